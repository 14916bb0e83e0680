"""What a batch keeps in its folder besides runs: `batch.jsonl`, a line for each picture that has ended."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from ..errors import OutputError
from ..run.layout import PAGE, RECORD_NAME
from .inputs import RECORDS

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: Its being there tells the workers to put down what they do.
STOP = ".batch.stop"
_LOCK = ".batch.lock"


@dataclass(frozen=True)
class Result:
    """What became of one picture.

    Attributes:
        picture: its file.
        folder: its run's.
        status: 'done', 'resumed' (gone on with, and done), 'skipped' (done before), 'failed' or 'stopped'.
        error: why it failed, in a line.
        seconds: that it took.
        peak_memory_bytes: of the process that made the run; None where none was made.
        bytes: those of the run's files.
        started: when, in UTC, by ISO 8601; empty where its worker died.
        ended: likewise.
        call: when the call of `batch` began that this is from, likewise.
    """

    picture: str
    folder: str
    status: str
    error: str | None
    seconds: float
    peak_memory_bytes: int | None
    bytes: int
    started: str
    ended: str
    call: str


class Records:
    """`batch.jsonl` in `folder`: a line is added for each picture that ends, in every call.

    A picture's last line says how it stands.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / RECORDS
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Records:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, result: Result) -> None:
        """Have a line on the disk."""
        line = json.dumps(asdict(result)) + "\n"
        if self._file is None:
            self._file = self._path.open("ab")
            if self._file.tell() and not _ends_a_line(self._path):  # a call was killed within its last line
                line = "\n" + line
        self._file.write(line.encode("ascii"))
        self._file.flush()
        os.fsync(self._file.fileno())


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def check_folder(out: Path) -> None:
    """Raise OutputError where a batch's page could not be written into `out` in the end."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; choose another --out")
    if (out / RECORD_NAME).exists():
        raise OutputError(f"{out} holds a run; choose another --out")
    if (out / PAGE).exists():
        from ..report.page import is_ours

        if not is_ours(out / PAGE):
            raise OutputError(f"{out} holds an {PAGE} of another kind; choose another --out")


@contextmanager
def taken(out: Path) -> Iterator[None]:
    """The folder `out`, made where it is not there, for one batch at a time.

    Raises:
        OutputError: another is at work there, or it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = os.open(out / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise OutputError(f"cannot write in {out} ({error.strerror}); choose another --out") from error
    try:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise OutputError(
                    f"another batch is working in {out}; wait until it ends, or choose another --out"
                ) from error
        (out / STOP).unlink(missing_ok=True)
        yield
        with contextlib.suppress(OSError):
            (out / STOP).unlink(missing_ok=True)
    finally:
        os.close(lock)
