"""Bytes for the page, in scripts: a page opened from disk may load those, but fetch nothing."""

from __future__ import annotations

from base64 import b64decode, b64encode
from pathlib import Path
from typing import Protocol

from ..errors import cannot_write

_PIECE_BYTES = 3 << 18


class Readable(Protocol):
    """What bytes are read from, piece by piece."""

    def read(self, count: int, /) -> bytes:
        """Return up to `count` more bytes; none at the end."""


def write_byte_script(path: Path, reference: str, content: Readable) -> None:
    """Write a script that passes bytes to the page's `netsoundsBytes`.

    Args:
        path: the script.
        reference: the page's reference to it, by which the page knows whose bytes they are.
        content: the bytes, at their beginning; read in pieces.

    Raises:
        OutputError: the script cannot be written.
    """
    try:
        with path.open("wb") as script:
            script.write(f'netsoundsBytes("{reference}", "'.encode("ascii"))
            rest = b""
            while piece := content.read(_PIECE_BYTES):
                piece = rest + piece
                whole = (
                    len(piece) - len(piece) % 3
                )  # only triples of bytes have texts that follow one another
                script.write(b64encode(piece[:whole]))
                rest = piece[whole:]
            script.write(b64encode(rest))
            script.write(b'");\n')
    except OSError as error:
        raise cannot_write(path, error) from error


def bytes_of_script(path: Path) -> bytes:
    """Return the bytes in a script that `write_byte_script` wrote."""
    return b64decode(path.read_bytes().rsplit(b'"', 2)[1])
