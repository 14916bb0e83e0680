"""What of a run is durably on disk, and how to go on from there.

A run is a row of *steps*: the spooled picture, the network, each bank's passes over its frames. Each has a
state, a small JSON object, that says how far its files are whole; `{"whole": true}` says that it is done.
A *commit* makes files durable first (fsync), then replaces `journal.json` by one rename: so what the journal
says is on the disk is there, whenever the process or the machine ends. Commits run on a thread of their own,
one at a time, while the work goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from ..errors import OutputError, StoreError
from .checksums import FileSum, is_sealed, sealed
from .progress import Stop

JOURNAL_NAME = "journal.json"
_FORMAT = 2
State = Mapping[str, Any]
#: Files that are written, with their sums where they are whole. A `Path` is synced; a name that is none is
#: an object's, whose store has acknowledged it.
Files = Mapping[PurePath, FileSum | None] | Mapping[Path, FileSum | None]
GiveFiles = Callable[[Callable[[], bool]], Files]
_Note = tuple[str, State, GiveFiles, Callable[[], None]]
# Between commits: this, or this share of the time since the beginning if that is more. What a kill takes
# is that and the commit under way; the promise is 10 s or 2 % of the run.
EVERY_SECONDS = 8.0
_EVERY_SHARE = 0.015


class Journal:
    """The journal of the run in `folder`; without a folder nothing is kept, and every step begins anew.

    Args:
        content: what `read` gave, or `new_journal`.
        every_seconds: between commits; None: `EVERY_SECONDS`, more in long runs.
        facts: what else to write down with each commit.

    Attributes:
        on_whole: called by each commit with the files that are whole from then on.
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
        self._folder, self._content, self._facts = folder, content, facts
        self._stop, self._every_seconds = stop or Stop(), every_seconds
        self._started = self._last = time.monotonic()
        # An event, for a Ctrl-C that meets Thread.join makes the next join return at once (CPython 3.11).
        self._ended = threading.Event()
        self._ended.set()
        self._error: BaseException | None = None
        self._abandoned = False
        self._noted: list[_Note] = []
        self._put_off, self._lock = False, threading.Lock()
        self._steps: dict[str, State] = dict(content["steps"])  # with what is noted only
        self.on_whole: Callable[[Mapping[Path, FileSum]], None] = lambda files: None

    @classmethod
    def nowhere(cls) -> Journal:
        """One that keeps nothing."""
        return cls(None, new_journal({}))

    @property
    def content(self) -> dict[str, Any]:
        """All of it, as of the last commit; not to be changed."""
        return self._content

    @property
    def busy(self) -> bool:
        """Whether a commit is under way, so that a flush would wait for it."""
        return not self._ended.is_set()

    @property
    def stop(self) -> Stop:
        """The wish that the work be put down."""
        return self._stop

    @property
    def stopping(self) -> bool:
        """Whether the work should be put down at the next place that can be gone on from."""
        return self._stop.asked

    def state(self, step: str) -> State | None:
        """How far `step` had come; None: it has not begun."""
        state: State | None = self._steps.get(step)
        return state

    @property
    def noted_steps(self) -> dict[str, State]:
        """The states of all steps, those that are only noted, too."""
        return dict(self._steps)

    def done(self, step: str) -> bool:
        return bool((self.state(step) or {}).get("whole"))

    def due(self) -> bool:
        """Whether something should be noted and committed now; True once, then not for a while.

        To be asked often: it also begins the commit that `flush_soon` put off.

        Raises:
            NetsoundsError: what the last commit failed with.
        """
        if self._folder is None or self.busy:
            return False
        self._raise_failure()
        if self._put_off:
            self.flush_soon()
            return False
        now = time.monotonic()
        every = max(EVERY_SECONDS, _EVERY_SHARE * (now - self._started))
        if now - self._last < (every if self._every_seconds is None else self._every_seconds):
            return False
        self._last = now
        return True

    def reached(
        self,
        step: str,
        state: State,
        files: GiveFiles,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        """Note that `step` has come to `state`, for the next commit.

        Args:
            files: waits until what the state speaks of is written, and gives the files to be synced, with
                their sums where they are whole; it is handed a function that says when waiting has lost
                its sense.
            after: called when it is durable.
        """
        self._steps[step] = state
        if self._folder is not None:
            with self._lock:
                self._noted.append((step, state, files, after))

    def flush_soon(self) -> None:
        """Commit what was noted, or have the next `due` do so where a commit is under way. Never waits."""
        if self._folder is not None:
            self._begin_commit(self._folder)

    def flush(self) -> None:
        """Commit what was noted, and wait until it is durable. Not from a station: see `overlap`.

        A commit may wait for what only a worker that is in no station does.
        """
        if self._folder is None:
            return
        self.settle()
        while not self._begin_commit(self._folder):
            self.settle()
        self.settle()

    def _begin_commit(self, folder: Path) -> bool:
        with self._lock:
            self._put_off = self.busy
            if self._put_off:
                return False
            self._raise_failure()  # what that one spoke of is not durable: nothing may build on it
            noted, self._noted = self._noted, []
            thread = threading.Thread(target=lambda: self._commit(folder, noted), name="journal")
            self._ended.clear()
            try:
                thread.start()
            except BaseException:  # no room for a thread, or Ctrl-C
                if thread.ident is None:
                    self._ended.set()
                raise
        return True

    def _commit(self, folder: Path, noted: Sequence[_Note]) -> None:
        try:
            files = {path: each for *_, give, _ in noted for path, each in give(self._is_cancelled).items()}
            if self._abandoned:
                return
            here = {path: each for path, each in files.items() if isinstance(path, Path)}
            sync(here, {each for path in here for each in path.parents if each.is_relative_to(folder)})
            sums = {
                (path.relative_to(folder) if path in here else path).as_posix(): each.to_json()
                for path, each in files.items()
                if each is not None
            }
            self._replace({step: dict(state) for step, state, *_ in noted}, sums)
            for *_, after in noted:
                after()
            self.on_whole({path: each for path, each in here.items() if each is not None})
        except BaseException as error:  # noqa: BLE001  (raised again in `due` or `settle`)
            self._error = error
        finally:
            self._last = time.monotonic()
            self._ended.set()

    def step_ended(self) -> None:
        """Commit, if nothing is being committed: the disk works on while the next step computes."""
        if self.due() or self._every_seconds is None:
            self.flush_soon()

    def _is_cancelled(self) -> bool:
        return self._abandoned

    def write(self) -> None:
        """Put the journal as it is on the disk."""
        assert self._folder is not None
        durably_replace(self._folder / JOURNAL_NAME, sealed(self._content))

    def settle(self) -> None:
        """Wait for the commit under way, and raise what it failed with."""
        self._ended.wait()
        self._raise_failure()
        self._last = time.monotonic()

    def abandon(self) -> None:
        """The work has failed: let the commit under way end, as it can."""
        self._abandoned = True
        while self.busy:  # nothing may write on when the lock is given up
            with contextlib.suppress(KeyboardInterrupt):
                self._ended.wait()

    def _replace(self, steps: Mapping[str, State], checksums: Mapping[str, Any]) -> None:
        content = self._content
        self._content = {
            **content,
            **self._facts(),
            "steps": {**content["steps"], **steps},
            "checksums": {**content["checksums"], **checksums},
        }
        self.write()

    def _raise_failure(self) -> None:
        error, self._error = self._error, None
        if isinstance(error, OSError):
            raise OutputError(
                f"finished work in {self._folder} cannot be saved ({error}); make room on the "
                f"disk, or make it writable"
            ) from error
        if error is not None:
            raise error


def new_journal(record: dict[str, Any]) -> dict[str, Any]:
    """The content for a run that has done nothing yet."""
    return {"format": _FORMAT, "record": record, "steps": {}, "checksums": {}, "seconds": {}, "starts": 0}


def no_files(cancelled: Callable[[], bool]) -> Files:
    """For a step that wrote nothing."""
    return {}


def read_journal(folder: Path) -> dict[str, Any] | None:
    """The content of the journal in `folder`; None if there is none.

    Raises:
        StoreError: there is one that is damaged, or of another version of this package.
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
    """Have files, and the names in folders, on the disk."""
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
