"""A batch's own files in its folder: its lock, and `batch.jsonl` with a line for each ended picture."""

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

from ..base.locks import FileLock, LockHeldError
from ..errors import OutputError
from ..run.layout import PAGE, RECORD_NAME
from .inputs import RECORDS

#: A file that tells the workers to suspend their runs, by being there.
STOP = ".batch.stop"
_LOCK = ".batch.lock"


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of one picture. Times of day are UTC, by ISO 8601.

    Attributes:
        picture: its file.
        folder: its run's folder.
        status: 'done', 'resumed' (resumed and done), 'skipped' (done before), 'failed' or 'stopped'.
        error: why it failed, in a line.
        seconds: time that it took.
        peak_memory_bytes: peak memory of the process that made the run; None where none was made.
        bytes: size of the run's files.
        started: when it was started; empty where its worker died.
        ended: when it ended.
        call: when the call of `batch` started that this result is from.
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
    """The file `batch.jsonl` in a batch's folder, to which every call adds a line for each picture that ends.

    A picture's last line says how it stands.

    Args:
        folder: folder of the batch.
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
        """Add a line, and write it through to the disk."""
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
    """Require that a batch's page can be written into `out` in the end.

    Raises:
        OutputError: something else is there.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; choose another --out")
    if (out / RECORD_NAME).exists():
        raise OutputError(f"{out} holds a run; choose another --out")
    if (out / PAGE).exists():
        from ..report.page import is_ours

        if not is_ours(out / PAGE):
            raise OutputError(f"{out} holds an {PAGE} of another kind; choose another --out")


@contextmanager
def locked_folder(out: Path) -> Iterator[None]:
    """Make the folder of a batch, and keep other batches out of it during the `with` block.

    Args:
        out: folder of the batch.

    Raises:
        OutputError: another batch works there, or the folder cannot be made or locked.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / _LOCK)
    except OSError as error:
        raise OutputError(f"cannot write in {out} ({error.strerror}); choose another --out") from error
    try:
        lock.acquire()
    except LockHeldError as error:
        raise OutputError(
            f"another batch is working in {out}; wait until it ends, or choose another --out"
        ) from error
    except OSError as error:
        raise OutputError(f"{out} cannot be locked ({error.strerror}); choose another --out") from error
    try:
        (out / STOP).unlink(missing_ok=True)
        yield
        with contextlib.suppress(OSError):
            (out / STOP).unlink(missing_ok=True)
    finally:
        lock.release()
