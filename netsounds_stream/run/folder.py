"""A run's folder: worked on under a partial name, given its own by one rename when all of it is whole."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from ..base.checksums import file_sum, sealed
from ..base.journal import JOURNAL_NAME, Journal, durably_replace, read_journal, sync
from ..base.locations import DOWNLOAD
from ..errors import OutputError, StoreError, UnfinishedError
from ..planning.sound_options import FORMATS
from .storage import StorageBackend

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

RECORD_NAME = "run.json"
#: The report: its page, the pictures for people, the page's own data.
PAGE, PICTURES, REPORT = "index.html", "pictures", "report"
#: The page as one file that needs no other.
SINGLE_FILE = "share.html"
_PARTIAL, LOCK = ".partial", ".lock"
_LONGEST_LABEL_BYTES = 80  # file names may have 255


def file_label(label: str) -> str:
    """`label` as a part of file names: spaces become hyphens, what a file system dislikes becomes '_'."""
    hyphenated = re.sub(r"\s+", "-", label.strip())
    kept = re.sub(r"[^\w.'+-]", "_", hyphenated)
    return kept.encode()[:_LONGEST_LABEL_BYTES].decode(errors="ignore")


def resolved(out: Path) -> Path:
    """`out` with every link followed."""
    try:
        return out.resolve()
    except (OSError, RuntimeError) as error:  # a loop of links
        raise OutputError(f"{out} cannot be resolved ({error}); choose another --out") from error


def work_path(out: Path) -> Path:
    """Where the run that will be `out` is worked on: a hidden neighbour of it."""
    return out.with_name(f".{out.name}{_PARTIAL}")


def out_path(folder: Path) -> Path:
    """The run's folder that `folder` names: itself, or where what is worked on in it will be."""
    folder = resolved(folder)
    name = folder.name
    if name.startswith(".") and name.endswith(_PARTIAL):
        return folder.with_name(name[1 : -len(_PARTIAL)])
    return folder


class RunFolder:
    """`out` as it will be, worked on in `path`, by one process at a time.

    `path` may hold what a stopped run left. Leaving the `with` block without `finish` removes what is there,
    unless its journal says that some of it can be gone on from. An existing run is replaced only with
    `overwrite`, and only by `finish`.

    Raises:
        OutputError: `out` is in the way or cannot be made, or another process works on it.
    """

    def __init__(self, out: Path, *, overwrite: bool) -> None:
        self.given: Path | str = out
        #: What resumes the run, where the command cannot: its picture was in memory.
        self.resumed_by: str | None = None
        self.out, self._overwrite = resolved(out), overwrite
        self.path = work_path(self.out)
        check_out(self.out, overwrite=overwrite)
        self._lock = self._take_lock()
        try:
            self._recover()
        except BaseException:
            self._leave()
            raise

    def __enter__(self) -> RunFolder:
        return self

    def check(self, *, overwrite: bool) -> None:
        """Raise OutputError if the run cannot be put at `out`."""
        check_out(self.out, overwrite=overwrite)

    def clear(self) -> None:
        """Remove what a stopped run left, but for a picture that was fetched."""
        self._clear_here()

    def _clear_here(self, *kept: str) -> None:
        for path in self.path.iterdir():
            if path.name in (LOCK, DOWNLOAD, *kept):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def storage(self, journal: Journal) -> StorageBackend:
        """Where the run's arrays and finished files lie while it goes on."""
        return StorageBackend()

    def contents(self, known: Mapping[str, Any], *, arrays: bool) -> dict[str, Any]:
        """What the record says of the run's files, when it is done: their names and checksums.

        Args:
            known: checksums from the files' writing.
            arrays: whether they were to be kept. Those that were not are gone as a whole.
        """
        gone = {path.split("/")[0] for path in known if not (self.path / path.split("/")[0]).exists()}
        sums = {name: each for name, each in known.items() if name.split("/")[0] not in gone}
        for path in self.path.glob("*.zarr/zarr.json"):
            sums[path.relative_to(self.path).as_posix()] = file_sum(path).to_json()
        return {"files": outputs(self.path), "checksums": dict(sorted(sums.items()))}

    def finish(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Everything in `path` is whole and on the disk: add the record, and put the run in its place.

        The record as it is there then.
        """
        check_out(self.out, overwrite=self._overwrite)  # what came there meanwhile is not ours to replace
        durably_replace(self.path / RECORD_NAME, sealed(record))
        for name in (JOURNAL_NAME, f"{JOURNAL_NAME}.new"):
            (self.path / name).unlink(missing_ok=True)
        sync([], [self.path])
        self._put_in_place()
        found = read_record(self.out / RECORD_NAME)
        assert found is not None
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, UnfinishedError) and holds_work(self.path):
            error.add_note(f"finished work is kept; continue with: {self.resumed_by or self._resuming()}")
        self._leave()

    def _resuming(self) -> str:
        return f"netsounds-stream resume {shlex.quote(str(self.given))}"

    def _recover(self) -> None:
        """Finish what a process was killed at between a run's end and its place, or put back what it took."""
        if (self.path / RECORD_NAME).exists() and not (self.path / JOURNAL_NAME).exists():
            self._put_in_place()
            done, self._lock = self._lock, self._take_lock()
            _close(done)
        elif read_record(self._replaced / RECORD_NAME) is None:
            _remove(self._replaced)  # a run that was being removed
        elif not self.out.exists():
            os.rename(self._replaced, self.out)

    @property
    def _replaced(self) -> Path:
        return self.path.with_name(self.path.name.removesuffix(_PARTIAL) + ".replaced")

    def _put_in_place(self) -> None:
        replaced = self._replaced
        try:
            if self._overwrite and self.out.exists() and any(self.out.iterdir()):
                _remove(replaced)
                os.rename(self.out, replaced)
            os.rename(self.path, self.out)  # onto nothing, or an empty folder: the system refuses another
            sync([], [self.out.parent])
        except OSError as failure:
            if replaced.exists() and not self.out.exists():
                os.rename(replaced, self.out)
            raise OutputError(
                f"the finished run could not be moved to {self.out} ({failure.strerror}); it is in "
                f"{self.path}"
            ) from failure
        (self.out / LOCK).unlink(missing_ok=True)
        _remove(replaced)

    def _take_lock(self) -> int | None:
        # On a file in the folder, so that the lock goes where the folder goes. The system frees it with
        # the process, however that ends. Windows has no fcntl: nothing is locked there, nor kept open, for a
        # folder with an open file in it cannot be renamed.
        while True:
            try:
                self._make_folder()
            except OSError as error:
                raise OutputError(
                    f"cannot make a folder in {self.out.parent} ({error.strerror}); choose another --out"
                ) from error
            try:
                lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # put in its place, or removed, by another process just now
                continue
            except OSError as error:
                raise OutputError(
                    f"cannot write in {self.path} ({error.strerror}); make it writable, or choose another "
                    f"--out"
                ) from error
            if fcntl is None:
                os.close(lock)
                return None
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.read(lock, 20).decode(errors="replace")
                os.close(lock)
                raise OutputError(
                    f"another run is working on {self.given} (process {holder}); wait until it ends, or "
                    "choose another --out"
                ) from error
            except OSError as error:
                os.close(lock)
                raise OutputError(
                    f"{self.out.parent} cannot be locked ({error.strerror}); choose another --out"
                ) from error
            if self._is_at(lock):
                os.ftruncate(lock, 0)
                os.write(lock, str(os.getpid()).encode())
                return lock
            os.close(lock)

    def _make_folder(self) -> None:
        if self.path.is_symlink():
            raise FileExistsError(errno.EEXIST, f"{self.path.name} is a link")
        ours = (LOCK, JOURNAL_NAME, RECORD_NAME)
        if self.path.is_dir():
            there = {path.name for path in self.path.iterdir()}
            if there and not there.intersection(ours):
                raise FileExistsError(errno.EEXIST, f"{self.path.name} is in the way; move it away")
            return
        self.path.mkdir(parents=True, exist_ok=True)
        sync([], [self.path.parent])

    def _is_at(self, lock: int | None) -> bool:
        if lock is None:
            return True
        try:
            return os.path.samestat(os.fstat(lock), (self.path / LOCK).stat())
        except FileNotFoundError:
            return False

    def _leave(self) -> None:
        # What is at the path may be another process's by now: ours was put in its place, say.
        kept = holds_work(self.path) or (self.path / DOWNLOAD).exists()
        if self._is_at(self._lock) and not kept:
            with contextlib.suppress(OSError):
                self._clear_here()  # the lock last, or another process could take it while this goes on
                shutil.rmtree(self.path, ignore_errors=True)
        self._close()

    def _close(self) -> None:
        _close(self._lock)


def _close(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _remove(replaced: Path) -> None:
    # its record first: half removed it is no run, and nobody puts it back
    (replaced / RECORD_NAME).unlink(missing_ok=True)
    shutil.rmtree(replaced, ignore_errors=True)


def holds_work(folder: Path) -> bool:
    """Whether a stopped run in `folder` can be gone on from, further on than its beginning."""
    try:
        journal = read_journal(folder)
    except StoreError:  # there was some, and it is not for us to throw away
        return True
    return (folder / RECORD_NAME).exists() or (journal is not None and bool(journal["steps"]))


def check_out(out: Path, *, overwrite: bool) -> None:
    """Raise OutputError if a run cannot be put at `out`: only an earlier run of ours is ever replaced."""
    if out.is_symlink() and not out.exists():
        raise OutputError(f"{out} is a link to nothing; remove it or choose another --out")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; choose another --out")
    if os.path.ismount(out):
        raise OutputError(f"{out} is the root of a disk; choose a folder in it for --out")
    try:
        there = {path.name for path in out.iterdir()} if out.exists() else set()
    except PermissionError as error:
        raise OutputError(f"no permission to read {out}; choose another --out") from error
    if not there:
        return
    record = read_record(out / RECORD_NAME)
    if record is None:
        raise OutputError(f"{out} holds files but no run; choose another --out or an empty folder")
    if not overwrite:
        raise OutputError(f"{out} holds a run already; use --overwrite to replace it, or another --out")
    foreign = sorted(there - {RECORD_NAME, LOCK} - {Path(name).parts[0] for name in record["files"]})
    if foreign:
        raise OutputError(
            f"{out} holds {foreign[0]}, which is not part of its run; move it away, or choose another --out"
        )


def read_record(path: Path) -> dict[str, Any] | None:
    """A run's record; None if there is none at `path` that this package wrote."""
    try:
        if not path.is_file():  # reading a pipe would wait for ever
            return None
        return parsed_record(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def is_run(folder: Path) -> bool:
    """Return whether `folder` holds a finished run, damaged or not: a `run.json` may be another program's."""
    try:
        record = folder / RECORD_NAME
        return record.is_file() and b'"netsounds-stream' in record.read_bytes()
    except OSError:
        return False


def parsed_record(text: str) -> dict[str, Any] | None:
    """A run's record out of its text; None if this package did not write it."""
    try:
        record = json.loads(text)
        ours = "netsounds-stream" in record["versions"] and all(Path(name).parts for name in record["files"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return record if ours else None


def outputs(folder: Path) -> list[str]:
    """What a run's folder holds besides its record; see `outputs_of`."""
    return outputs_of(PurePosixPath(path.relative_to(folder)) for path in folder.rglob("*"))


def outputs_of(there: Iterable[PurePosixPath]) -> list[str]:
    """What of the files of a run's folder its record names: the page first, then the mix; arrays, and sound
    files at any depth; then the page in one file, and the report's folders."""
    found, kinds = set(there), {".zarr", *(f".{name}" for name in FORMATS)}
    found |= {each for path in found for each in path.parents if each.parts}
    names = [
        path.as_posix() for path in found if path.suffix in kinds and path.parts[0] not in (PICTURES, REPORT)
    ]
    names.sort(key=lambda name: (not name.startswith("mix."), name))
    page = [PAGE] if PurePosixPath(PAGE) in found else []
    return [
        *page,
        *names,
        *(name for name in (SINGLE_FILE, PICTURES, REPORT) if PurePosixPath(name) in found),
    ]


def add_files(top: Path, record: Mapping[str, Any], name: str, paths: Iterable[Path]) -> None:
    """Have the record of the finished run at `top` know files that were put there, listed by that name."""
    sums = {path.relative_to(top).as_posix(): file_sum(path).to_json() for path in paths}
    files = record["files"] if name in record["files"] else [*record["files"], name]
    checksums = dict(sorted({**record.get("checksums", {}), **sums}.items()))
    durably_replace(top / RECORD_NAME, sealed({**record, "files": files, "checksums": checksums}))
