"""The folder in which a run is made, by one process at a time, and the run's way from there to its place.

`LocalRunFolder` gives the folder its own name by one rename, when all of it is complete;
`remote_folder.RemoteRunFolder` makes a run under a URL.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..base.checksums import file_sum, sealed
from ..base.journal import JOURNAL_NAME, Journal, durably_replace, read_journal, sync
from ..base.locations import DOWNLOAD, quoted
from ..base.locks import FileLock, LockHeldError
from ..errors import OutputError, StoreError, UnfinishedError
from .layout import LOCK, RECORD_NAME, outputs, replaced_path, resolved, tops_of, work_path
from .record_file import read_record
from .storage import LocalStorage, StorageBackend


class RunFolder(ABC):
    """The folder in which one process makes a run. It may hold what a stopped run left.

    Leaving the `with` block without `finish` removes the folder, unless its journal says that the run can be
    resumed from what is there.

    Attributes:
        place: where the run will be, as the user named it: a path, or a URL without its secrets.
        path: the folder.
        resumed_by: what resumes the run where `resume` does not, since its picture was in memory or has been
            moved.

    Raises:
        OutputError: the folder cannot be made, or another process works in it.
    """

    def __init__(self, place: Path | str, path: Path) -> None:
        self.place = place
        self.path = path
        self.resumed_by: str | None = None
        self._lock = self._acquired_lock()
        try:
            self._recover()
        except BaseException:
            self._leave()
            raise

    @property
    @abstractmethod
    def remote(self) -> bool:
        """True where the run will be in an object store."""

    @abstractmethod
    def check(self, *, overwrite: bool) -> None:
        """Require that a run can be put in its place: only an earlier run is ever replaced.

        Raises:
            OutputError: something else is there, or a run and not `overwrite`.
        """

    @abstractmethod
    def clear(self) -> None:
        """Remove what a stopped run left, except a picture that was fetched."""

    @abstractmethod
    def storage(self, journal: Journal) -> StorageBackend:
        """Choose the storage backend of the run.

        Args:
            journal: journal of the run.

        Returns:
            The backend, which is to be closed when no more is made.
        """

    @abstractmethod
    def contents(self, known: Mapping[str, Any], *, arrays: bool) -> dict[str, Any]:
        """Return what the record of the completed run says of its files.

        Args:
            known: checksums from the files' writing, by name.
            arrays: whether the run keeps its arrays.

        Returns:
            `files`, their names; `checksums`, by name, of every file.
        """

    @abstractmethod
    def finish(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Add the record to the run, all of whose files are complete and durable, and put it in its place.

        Returns:
            The record as it is written there.
        """

    @abstractmethod
    def _recover(self) -> None:
        """Complete what a process was killed at, between a run's end and its place."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, UnfinishedError) and holds_work(self.path):
            error.add_note(f"finished work is kept; continue with: {self.resumed_by or self._resuming()}")
        self._leave()

    def _resuming(self) -> str:
        """Return the command that resumes the run."""
        return f"netsounds-stream resume {quoted(self.place)}"

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the user on the folder."""
        if self._lock.missing is None:
            return ()
        return (
            f"the file system of {self.path.parent} has no locks ({self._lock.missing}): start no second run "
            f"of {self.place} meanwhile",
        )

    def _acquired_lock(self) -> FileLock:
        """Make the folder, and lock it.

        The lock is on a file in the folder, so that it goes where the folder goes.
        """
        while True:
            try:
                self._make_folder()
            except OSError as error:
                raise OutputError(
                    f"cannot make a folder in {self.path.parent} ({error.strerror}); choose another --out"
                ) from error
            try:
                lock = FileLock(self.path / LOCK)
            except FileNotFoundError:  # put in its place, or removed, by another process just now
                continue
            except OSError as error:
                raise OutputError(
                    f"cannot write in {self.path} ({error.strerror}); make it writable, or choose another "
                    f"--out"
                ) from error
            try:
                lock.acquire()
            except LockHeldError as error:
                raise OutputError(
                    f"another run is working on {self.place} (process {error.holder}); wait until it ends, "
                    "or choose another --out"
                ) from error
            if lock.is_at(self.path / LOCK):
                return lock
            lock.release()

    def _make_folder(self) -> None:
        if self.path.is_symlink():
            raise FileExistsError(errno.EEXIST, f"{self.path.name} is a link")
        if self.path.is_dir():
            names = {path.name for path in self.path.iterdir()}
            if names and not names.intersection((LOCK, JOURNAL_NAME, RECORD_NAME)):
                raise FileExistsError(errno.EEXIST, f"{self.path.name} is in the way; move it away")
            return
        self.path.mkdir(parents=True, exist_ok=True)
        sync([], [self.path.parent])

    def _clear_local(self, *kept: str) -> None:
        """Empty the folder, except the lock, a picture that was fetched, and the names in `kept`."""
        for path in self.path.iterdir():
            if path.name in (LOCK, DOWNLOAD, *kept):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _leave(self) -> None:
        # another process may have a folder at this path by now, when ours was put in its place
        kept = holds_work(self.path) or (self.path / DOWNLOAD).exists()
        if self._lock.is_at(self.path / LOCK) and not kept:
            with contextlib.suppress(OSError):
                self._clear_local()  # the lock last, or another process could take it while this goes on
                shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()


class LocalRunFolder(RunFolder):
    """The folder of a run that will be at `out`, made in a hidden neighbour of `out`.

    An existing run is replaced only with `overwrite`, and only by `finish`.

    Raises:
        OutputError: `out` is in the way or cannot be made, or another process works on it.
    """

    def __init__(self, out: Path, *, overwrite: bool) -> None:
        self._out = resolved(out)
        self._overwrite = overwrite
        self.path = work_path(self._out)
        # half put in its place, it is no run yet, and no other one is there any more
        if not self._is_being_put() or (self._out / RECORD_NAME).exists():
            check_out(self._out, overwrite=overwrite)
        super().__init__(out, self.path)

    @property
    def remote(self) -> bool:
        """False, since the run will be in a folder."""
        return False

    def check(self, *, overwrite: bool) -> None:
        """Require that a run can be put at `out`; see `RunFolder`."""
        check_out(self._out, overwrite=overwrite)

    def clear(self) -> None:
        """Remove what a stopped run left; see `RunFolder`."""
        self._clear_local()

    def storage(self, journal: Journal) -> StorageBackend:
        """Return the backend that keeps everything in the folder."""
        return LocalStorage()

    def contents(self, known: Mapping[str, Any], *, arrays: bool) -> dict[str, Any]:
        """Return what the record says of the run's files; arrays that are not kept are gone by now."""
        tops = {path.split("/")[0] for path in known}
        gone = {top for top in tops if not (self.path / top).exists()}
        checksums = {name: checksum for name, checksum in known.items() if name.split("/")[0] not in gone}
        for path in self.path.glob("*.zarr/zarr.json"):
            checksums[path.relative_to(self.path).as_posix()] = file_sum(path).to_json()
        return {"files": outputs(self.path), "checksums": dict(sorted(checksums.items()))}

    def finish(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Add the record, and rename the folder to `out`; see `RunFolder`."""
        check_out(self._out, overwrite=self._overwrite)  # what came there meanwhile is not ours to replace
        durably_replace(self.path / RECORD_NAME, sealed(record))
        for name in (JOURNAL_NAME, f"{JOURNAL_NAME}.new"):
            (self.path / name).unlink(missing_ok=True)
        sync([], [self.path])
        self._put_in_place()
        written = read_record(self._out / RECORD_NAME)
        assert written is not None
        return written

    def _recover(self) -> None:
        """Put a completed run in its place, or put back the earlier run that it was to replace."""
        replaced = replaced_path(self.path)
        if self._is_being_put():
            self._put_in_place()
            moved = self._lock
            self._lock = self._acquired_lock()
            moved.release()
        elif read_record(replaced / RECORD_NAME) is None:
            _remove(replaced)  # a run that was being removed
        elif not self._out.exists():
            os.rename(replaced, self._out)

    def _put_in_place(self) -> None:
        """Move the completed run to `out`; begun again after a kill, it goes on where it was."""
        try:
            if self._out.is_dir():
                self._fill_out()
            else:
                os.rename(self.path, self._out)
            sync([], [self._out.parent])
        except OSError as failure:
            raise OutputError(
                f"the finished run could not be moved to {self._out} ({failure.strerror}); it is in "
                f"{self.path}"
            ) from failure
        (self._out / LOCK).unlink(missing_ok=True)
        _remove(replaced_path(self.path))

    def _fill_out(self) -> None:
        """Move the run's files into the folder `out`, the record last; an earlier run's out of it before.

        The folder itself stays: it may be the current one of a process, which would find nothing in it, or on
        Windows keep it from being replaced.
        """
        replaced = replaced_path(self.path)
        record = read_record(self.path / RECORD_NAME)
        assert record is not None
        new = {RECORD_NAME, *tops_of(record)}
        there = [path.name for path in self._out.iterdir()]
        # What the new run has and what is no longer in its own folder was moved before a kill.
        earlier = [name for name in there if name not in new or (self.path / name).exists()]
        try:
            for name in sorted(earlier, key=RECORD_NAME.__ne__):
                replaced.mkdir(exist_ok=True)
                os.rename(self._out / name, replaced / name)
        except OSError:
            for path in sorted(replaced.iterdir() if replaced.is_dir() else (), key=_is_record):
                os.rename(path, self._out / path.name)
            raise
        for path in sorted(self.path.iterdir(), key=_is_record):
            if path.name != LOCK:
                os.rename(path, self._out / path.name)
        sync([], [self._out])
        (self.path / LOCK).unlink(missing_ok=True)
        self.path.rmdir()

    def _is_being_put(self) -> bool:
        """Return whether a process was killed while it moved the completed run."""
        return (self.path / RECORD_NAME).exists() and not (self.path / JOURNAL_NAME).exists()


def _is_record(path: Path) -> bool:
    return path.name == RECORD_NAME


def recover(out: Path) -> None:
    """Complete what a process was killed at while it put a run in its place at `out`.

    Raises:
        OutputError: something else is at `out`, or another process works on it.
    """
    record = read_record(work_path(out) / RECORD_NAME)
    with LocalRunFolder(out, overwrite=record is None or bool(record.get("overwrite"))):
        pass  # opening it does so


def _remove(replaced: Path) -> None:
    # its record first: half removed it is no run, and nobody puts it back
    (replaced / RECORD_NAME).unlink(missing_ok=True)
    shutil.rmtree(replaced, ignore_errors=True)


def holds_work(folder: Path) -> bool:
    """Return whether `folder` holds a stopped run that has got further than its beginning."""
    try:
        journal = read_journal(folder)
    except StoreError:  # damaged, so there was some, and it is not for us to throw away
        return True
    return (folder / RECORD_NAME).exists() or (journal is not None and bool(journal["steps"]))


def check_out(out: Path, *, overwrite: bool) -> None:
    """Require that a run can be put at `out`: only an earlier run is ever replaced.

    Raises:
        OutputError: something else is there, or a run and not `overwrite`.
    """
    if out.is_symlink() and not out.exists():
        raise OutputError(f"{out} is a link to nothing; remove it or choose another --out")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; choose another --out")
    if os.path.ismount(out):
        raise OutputError(f"{out} is the root of a disk; choose a folder in it for --out")
    try:
        names = {path.name for path in out.iterdir()} if out.exists() else set()
    except PermissionError as error:
        raise OutputError(f"no permission to read {out}; choose another --out") from error
    if not names:
        return
    record = read_record(out / RECORD_NAME)
    if record is None:
        raise OutputError(f"{out} holds files but no run; choose another --out or an empty folder")
    if not overwrite:
        raise OutputError(f"{out} holds a run already; use --overwrite to replace it, or another --out")
    foreign = sorted(names - {RECORD_NAME, LOCK} - tops_of(record))
    if foreign:
        raise OutputError(
            f"{out} holds {foreign[0]}, which is not part of its run; move it away, or choose another --out"
        )
