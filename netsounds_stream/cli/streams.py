"""Standard streams that never end a run: what cannot be written is lost, and noted.

A stream may be closed from the start, full, or read by a program that has ended; its encoding may lack a
character of a file's name. The run goes on, and its status is its own. Only where results could not be
written does the status say so, at the end.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Buffer  # of Python 3.12 and later

_UNDECODED_FIRST, _UNDECODED_LAST = "\udc80", "\udcff"  # bytes of names that are not UTF-8


class LossyWriter(io.RawIOBase):
    """Writes bytes to a file descriptor until that fails; what comes after is dropped.

    Args:
        descriptor: the file descriptor.

    Attributes:
        failure: the first error; None while all is well.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.failure: OSError | None = None

    def write(self, content: Buffer, /) -> int:
        """Write or drop `content`; return its length either way."""
        left = memoryview(content).cast("B")
        length = len(left)
        while left and self.failure is None:
            try:
                left = left[os.write(self._descriptor, left) :]
            except OSError as error:
                self.failure = error
        return length

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether a terminal is at the other end."""
        return os.isatty(self._descriptor)


def _escaped(error: UnicodeError) -> tuple[bytes, int]:
    """Write names as they are, UTF-8 or not, and what the encoding lacks as its number."""
    assert isinstance(error, UnicodeEncodeError)
    written = b""
    for character in error.object[error.start : error.end]:
        if _UNDECODED_FIRST <= character <= _UNDECODED_LAST:
            written += bytes([ord(character) - 0xDC00])
        else:
            written += character.encode("ascii", "backslashreplace")
    return written, error.end


def lossy_streams() -> tuple[LossyWriter | None, LossyWriter | None]:
    """Put streams that never fail in the places of stdout and stderr.

    Descriptors that are closed are opened on the null device first, so that no file of the run gets their
    number and with it what libraries print.

    Returns:
        The writers below stdout and stderr; None where Python has none.
    """
    codecs.register_error("netsounds_stream", _escaped)
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    stdout, out = _lossy(sys.stdout)
    stderr, err = _lossy(sys.stderr)
    sys.stdout = stdout
    sys.stderr = stderr
    return out, err


def _lossy(stream: TextIO | None) -> tuple[TextIO, LossyWriter | None]:
    if stream is None:
        return io.StringIO(), None
    if not isinstance(stream, io.TextIOWrapper):  # a notebook's, a test's
        return stream, None
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return stream, None
    stream.flush()
    writer = LossyWriter(descriptor)
    return (
        io.TextIOWrapper(
            io.BufferedWriter(writer),
            encoding=stream.encoding,
            errors="netsounds_stream",
            line_buffering=stream.line_buffering,
        ),
        writer,
    )
