"""The journal of a run: what is durably on disk, and how to resume from there.

A run is a row of *steps*: the spooled picture, the network, each bank's passes over its frames. Each has a
state, a small JSON object that says how far its files are complete. A *commit* makes files durable (fsync),
then replaces `journal.json` by one rename: so what the journal says is on the disk is there, whenever the
process or the machine ends. Commits run on a thread of their own, one at a time, while the work goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Generic, TypedDict, TypeVar, cast

from ..errors import OutputError, StoreError, remedy_to_write
from .checksums import FileSum, SumJson, is_sealed, sealed
from .progress import Stop

JOURNAL_NAME = "journal.json"
_FORMAT = 3
#: Files that are written, with their checksums where they are complete. A `Path` is synced; a name that is
#: none is an object's, whose store has acknowledged it.
Files = Mapping[PurePath, FileSum | None] | Mapping[Path, FileSum | None]
#: Waits until the files of a state are written and returns them. It is given a function that says whether the
#: commit is cancelled, and waiting in vain.
WrittenFiles = Callable[[Callable[[], bool]], Files]
# Between commits: this, or this share of the time since the beginning if that is more. What a kill takes
# is that and the commit under way; the promise is 10 s or 2 % of the run.
EVERY_SECONDS = 8.0
_EVERY_SHARE = 0.015


class Complete(TypedDict):
    """The state of a step that is done, or not at all."""

    complete: bool


S = TypeVar("S", bound=Mapping[str, object])


@dataclass(frozen=True)
class Step(Generic[S]):
    """A step of a run, by its name in the journal; its state is an `S`."""

    name: str


@dataclass(frozen=True, kw_only=True)
class _Note:
    """A step's state that waits for the next commit."""

    step: str
    state: Mapping[str, Any]
    files: WrittenFiles
    after: Callable[[], None]


class Journal:
    """The journal of the run in `folder`; without a folder nothing is kept, and every step begins anew.

    Args:
        content: what `read_journal` returned, or `new_journal`.
        stop: cancels the run.
        every_seconds: between commits; None: `EVERY_SECONDS`, more in long runs.
        facts: returns what else to write down with each commit.

    Attributes:
        on_complete: called by each commit with the files that are complete from then on.
    """

    def __init__(
        self,
        folder: Path | None,
        content: dict[str, Any],
        *,
        stop: Stop | None = None,
        every_seconds: float | None = None,
        facts: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._folder = folder
        self._content = content
        self._facts = facts
        self._stop = stop or Stop()
        self._every_seconds = every_seconds
        self._started = self._last = time.monotonic()
        # An event, for a Ctrl-C that meets Thread.join makes the next join return at once (CPython 3.11).
        self._ended = threading.Event()
        self._ended.set()
        self._error: BaseException | None = None
        self._abandoned = False
        self._noted: list[_Note] = []
        self._put_off = False
        self._lock = threading.Lock()
        self._steps: dict[str, Mapping[str, Any]] = dict(content["steps"])  # with what is only noted
        self.on_complete: Callable[[Mapping[Path, FileSum]], None] = lambda files: None

    @classmethod
    def nowhere(cls) -> Journal:
        """Return a journal that keeps nothing."""
        return cls(None, new_journal({}))

    @property
    def content(self) -> dict[str, Any]:
        """The whole content as of the last commit; do not change it."""
        return self._content

    @property
    def busy(self) -> bool:
        """True while a commit is under way, for which a flush would wait."""
        return not self._ended.is_set()

    @property
    def stop(self) -> Stop:
        """The run's cancellation token."""
        return self._stop

    @property
    def stopping(self) -> bool:
        """True once the run is asked to stop, at the next place from which it can be resumed."""
        return self._stop.asked

    def state(self, step: Step[S]) -> S | None:
        """Return how far a step has come; None where it has not begun."""
        return cast("S | None", self._steps.get(step.name))

    @property
    def noted_steps(self) -> dict[str, Mapping[str, Any]]:
        """The states of all steps by name, including those that wait for a commit."""
        return dict(self._steps)

    def done(self, step: Step[Any]) -> bool:
        """Return whether a step is complete."""
        return bool(self._steps.get(step.name, {}).get("complete"))

    def due(self) -> bool:
        """Return whether a state should be noted and committed now; True once, then not for a while.

        Call it often: it also begins the commit that `flush_soon` put off.

        Raises:
            NetsoundsError: the last commit failed.
        """
        if self._folder is None or self.busy:
            return False
        self._raise_failure()
        if self._put_off:
            self.flush_soon()
            return False
        now = time.monotonic()
        every = self._every_seconds
        if every is None:
            every = max(EVERY_SECONDS, _EVERY_SHARE * (now - self._started))
        if now - self._last < every:
            return False
        self._last = now
        return True

    def reached(
        self, step: Step[S], state: S, files: WrittenFiles, after: Callable[[], None] = lambda: None
    ) -> None:
        """Note that a step has come to `state`, for the next commit.

        Args:
            step: the step.
            state: its state from now on.
            files: returns the files that must be durable for it.
            after: called when they are.
        """
        self._steps[step.name] = state
        if self._folder is not None:
            with self._lock:
                self._noted.append(_Note(step=step.name, state=state, files=files, after=after))

    def completed(
        self, step: Step[Complete], files: WrittenFiles, after: Callable[[], None] = lambda: None
    ) -> None:
        """Note that a step is complete: see `reached`."""
        complete: Complete = {"complete": True}
        self.reached(step, complete, files, after)

    def flush_soon(self) -> None:
        """Commit what was noted, or have the next `due` do so where a commit is under way. Never waits."""
        if self._folder is not None:
            self._begin_commit(self._folder)

    def flush(self) -> None:
        """Commit what was noted and wait for it; not in a pipeline's stage, which it may have to wait for."""
        if self._folder is None:
            return
        self.settle()
        while not self._begin_commit(self._folder):
            self.settle()
        self.settle()

    def step_ended(self) -> None:
        """Commit, unless a commit is under way: the disk works while the next step computes."""
        if self.due() or self._every_seconds is None:
            self.flush_soon()

    def write(self) -> None:
        """Write the journal to the disk as it is."""
        assert self._folder is not None
        durably_replace(self._folder / JOURNAL_NAME, sealed(self._content))

    def settle(self) -> None:
        """Wait for the commit under way, and raise the error that it failed with."""
        self._ended.wait()
        self._raise_failure()
        self._last = time.monotonic()

    def abandon(self) -> None:
        """Cancel the commit under way, since the work has failed, and wait for its end."""
        self._abandoned = True
        while self.busy:  # nothing may write on when the lock is released
            with contextlib.suppress(KeyboardInterrupt):
                self._ended.wait()

    def _begin_commit(self, folder: Path) -> bool:
        with self._lock:
            self._put_off = self.busy
            if self._put_off:
                return False
            self._raise_failure()  # its states are not durable: nothing may build on them
            noted = self._noted
            self._noted = []
            thread = threading.Thread(target=lambda: self._run_commit(folder, noted), name="journal")
            self._ended.clear()
            try:
                thread.start()
            except BaseException:  # no room for a thread, or Ctrl-C
                if thread.ident is None:
                    self._ended.set()
                raise
        return True

    def _run_commit(self, folder: Path, noted: Sequence[_Note]) -> None:
        try:
            self._commit(folder, noted)
        except BaseException as error:  # noqa: BLE001  (raised again in `due` or `settle`)
            self._error = error
        finally:
            self._last = time.monotonic()
            self._ended.set()

    def _commit(self, folder: Path, noted: Sequence[_Note]) -> None:
        files = {path: known for note in noted for path, known in note.files(lambda: self._abandoned).items()}
        if self._abandoned:
            return
        local = {path: known for path, known in files.items() if isinstance(path, Path)}
        sync(local, {parent for path in local for parent in path.parents if parent.is_relative_to(folder)})
        content = self._content
        self._content = {
            **content,
            **self._facts(),
            "steps": {**content["steps"], **{note.step: dict(note.state) for note in noted}},
            "checksums": {**content["checksums"], **_recorded(files, folder)},
        }
        self.write()
        for note in noted:
            note.after()
        self.on_complete({path: known for path, known in local.items() if known is not None})

    def _raise_failure(self) -> None:
        error = self._error
        self._error = None
        if error is not None:
            raise _worded(error, self._folder) from error


def _worded(error: BaseException, folder: Path | None) -> BaseException:
    """Return what to raise for a commit's error: one that the user can mend, where the disk failed."""
    if not isinstance(error, OSError):
        return error
    return OutputError(f"finished work in {folder} cannot be saved ({error}); {remedy_to_write(error)}")


def _recorded(files: Files, folder: Path) -> dict[str, SumJson]:
    """Return the checksums of files that are complete, by their paths in the run's folder, or their names."""
    return {
        (path.relative_to(folder) if isinstance(path, Path) else path).as_posix(): known.to_json()
        for path, known in files.items()
        if known is not None
    }


def new_journal(record: dict[str, Any]) -> dict[str, Any]:
    """Return the content for a run that has done nothing yet."""
    return {"format": _FORMAT, "record": record, "steps": {}, "checksums": {}, "seconds": {}, "starts": 0}


def no_files(cancelled: Callable[[], bool]) -> Files:
    """Return the files of a step that wrote nothing."""
    return {}


def read_journal(folder: Path) -> dict[str, Any] | None:
    """Read the journal in `folder`.

    Returns:
        Its content; None if there is no journal.

    Raises:
        StoreError: the journal is damaged, or of another version of this package.
    """
    path = folder / JOURNAL_NAME
    if not path.exists():
        return None
    mend = "start again with --overwrite"
    try:
        if not path.is_file():  # reading a pipe would wait for ever
            raise StoreError(f"{path} is not an ordinary file; {mend}")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}); {mend}") from error
    if not is_sealed(text):
        raise StoreError(f"{path} is damaged; {mend}")
    content: dict[str, Any] = json.loads(text)
    if content["format"] != _FORMAT:
        raise StoreError(
            f"{path} was written by another version of netsounds-stream; use that version, or {mend}"
        )
    return content


def sync(files: Iterable[Path], folders: Iterable[Path]) -> None:
    """Make files, and the names in folders, durable."""
    for file in files:
        _fsync(file)
    for folder in folders:
        _fsync(folder)


def durably_replace(path: Path, text: str) -> None:
    """Give `path` new content: all of it or none, whenever the machine ends."""
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    _fsync(path.parent)


def _fsync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":  # Windows opens no folders, and needs it not
        return
    opened = os.open(path, os.O_RDWR if path.is_file() and os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
