"""What a worker of a batch does for a picture: look at it beforehand, make its run, or leave it as it is.

Imported by every worker before it does anything, so the large imports are made where they are needed.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.progress import Progress, Stop
from ..batches import pool
from ..cluster.guards import require_within
from ..errors import ChangedError, NetsoundsError, Stopped, StoreError
from ..planning.options import SonifyOptions

if TYPE_CHECKING:
    from ..network.weights import Weights
    from ..planning.plan import Plan

#: What is found of a picture, and what becomes of it.
NEW, UNFINISHED, FINISHED, FAILING = "new", "unfinished", "finished", "failing"
DONE, RESUMED, SKIPPED, FAILED, STOPPED = "done", "resumed", "skipped", "failed", "stopped"
_LOOK_UP_SECONDS = 0.5

# One run at a time in a process: memory is planned for that, and torch's threads are the process's.
_alone = threading.Lock()
_loaded: dict[tuple[object, ...], Weights] = {}


@dataclass(frozen=True)
class Task:
    """One picture, its run's folder, and how; paths are absolute, since a worker may be anywhere.

    `threads` of torch are None where the worker knows them best; `stop_file` appears when all is to be put
    down. `notes` go into the run's record.
    """

    picture: Path
    folder: Path
    options: SonifyOptions
    overwrite: bool
    checkpoint_seconds: float | None
    threads: int | None
    stop_file: Path
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Look:
    """What is found before the work: in which `state` a picture's run is, and why it would fail.

    Bytes on disk are what the run needs yet at its end and at most; `pixels` are those that the network sees;
    `expected_seconds` what a run of it is expected to take (`forecast`), `seconds` what a finished one took.
    """

    state: str
    pixels: int = 0
    final_disk_bytes: int = 0
    disk_bytes: int = 0
    memory_bytes: int = 0
    expected_seconds: float = 0.0
    seconds: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a picture, as `batch.jsonl` has it; times are UTC, `bytes` those of the run's files."""

    status: str
    error: str | None
    seconds: float
    peak_memory_bytes: int | None
    bytes: int
    started: str
    ended: str

    @classmethod
    def failed(cls, error: NetsoundsError) -> Outcome:
        """Of a picture whose worker could not tell."""
        return cls(FAILED, str(error), 0.0, None, 0, "", _now())


def prepare(task: Task) -> float:
    """Have what every picture needs, or raise why it cannot be had.

    Returns:
        How many times as long as expected this worker takes, here and now.
    """
    from ..base.device import reserve
    from ..network.compute import choose_compute
    from ..stages.forecast import measured_pixel_seconds, pace

    options = task.options
    with _threads(task.threads):
        compute = choose_compute(options.device, options.precision)
        reserve(compute.device, options.gpu_memory_bytes)
        weights(options.weights)
        return pace(measured_pixel_seconds())


def look(tasks: tuple[Task, ...]) -> tuple[Look, ...]:
    """What the work on some pictures will be, by their headers and their runs' records."""
    with _threads(tasks[0].threads):
        return tuple(map(_look, tasks))


def _look(task: Task) -> Look:
    from ..api import plan
    from ..run.folder import holds_work
    from ..run.layout import RECORD_NAME, work_path
    from ..run.record_file import read_record
    from ..stages.forecast import expected_seconds

    try:
        require_within([task.picture, task.folder])
        made = plan(task.picture, task.folder, task.options, load=weights)
        replace(made, free_disk_bytes=None).check()  # the disk is the whole batch's
        expected = sum(expected_seconds(made, task.options).values())
        record = read_record(task.folder / RECORD_NAME)
        if record is not None:
            newer = task.picture.stat().st_mtime > (task.folder / RECORD_NAME).stat().st_mtime
            differences = _asked_changes(task, record, read=newer)  # to read all would take its time
            if not differences:
                took = sum(record["seconds"].values())
                return Look(FINISHED, made.pixels, expected_seconds=expected, seconds=took)
            if not task.overwrite:
                raise _changed(task, differences)
        there = _bytes(work_path(task.folder))
        return Look(
            UNFINISHED if holds_work(work_path(task.folder)) else NEW,
            made.pixels,
            final_disk_bytes=max(0, made.final_disk_bytes - there),
            disk_bytes=max(0, made.disk_bytes - there),
            memory_bytes=made.peak_memory_bytes,
            expected_seconds=expected,
        )
    except Exception as error:  # noqa: BLE001  (the picture's own affair, whatever it is)
        return Look(FAILING, reason=_line(error))


def work(task: Task) -> Outcome:
    """Make the picture's run, go on with it, or leave it as it is; an error is the outcome's."""
    with _threads(task.threads):
        began, started = time.perf_counter(), _now()
        status, peak, why = FAILED, None, None
        try:
            status, peak = _worked(task)
        except Stopped:
            status = STOPPED
        except Exception as error:  # noqa: BLE001  (one picture's failure is not the batch's)
            why = _line(error)
        finally:
            pool.say(0)
        seconds = round(time.perf_counter() - began, 3)
    size = _bytes(task.folder) if status in (DONE, RESUMED, SKIPPED) else 0
    return Outcome(status, why, seconds, peak, size, started, _now())


def _worked(task: Task) -> tuple[str, int | None]:
    from ..api import sonify
    from ..base import machine
    from ..run.folder import holds_work, recover
    from ..run.layout import RECORD_NAME, work_path
    from ..run.record_file import read_record

    require_within([task.picture, task.folder])
    stop = _StopFile(task.stop_file)
    if stop.asked:
        raise Stopped
    hidden = work_path(task.folder)
    if hidden.exists():
        recover(task.folder)
    record = read_record(task.folder / RECORD_NAME)
    if record is not None:
        differences = _changes(task, record)
        if not differences:
            return SKIPPED, None
        if not task.overwrite:
            raise _changed(task, differences)
    resuming, told = holds_work(hidden), Told()
    words: dict[str, Any] = {
        "overwrite": task.overwrite,
        "checkpoint_seconds": task.checkpoint_seconds,
        "stop": stop,
        "on_plan": told.plan,
        "on_progress": told,
        "load": weights,
        "notes": task.notes,
    }
    try:
        run = sonify(task.picture, task.folder, task.options, resume=True, **words)
    except (ChangedError, StoreError):
        if not (task.overwrite and resuming):
            raise
        resuming = False
        run = sonify(task.picture, task.folder, task.options, **words)
    finally:
        gc.collect()
        machine.trim_heap()  # the next run is planned from what is resident then
    return (RESUMED if resuming else DONE), int(run.record["peak_memory_bytes"])


def _changes(task: Task, record: dict[str, Any]) -> list[str]:
    """In words, what the finished run has of its own; and what of its files is not there as it was."""
    from ..base.checksums import is_sealed
    from ..run.layout import RECORD_NAME

    found = _asked_changes(task, record, read=True)
    if not is_sealed((task.folder / RECORD_NAME).read_text(encoding="utf-8")):
        found.append(f"{RECORD_NAME} is damaged")
    for name, each in record.get("checksums", {}).items():
        path = task.folder / name
        if not path.is_file() or path.stat().st_size != each["bytes"]:
            found.append(f"{name} is damaged")
            break
    return found


def _asked_changes(task: Task, record: dict[str, Any], *, read: bool) -> list[str]:
    """What of a run's record the task would have otherwise; the picture only where it is to be `read`."""
    from ..network.compute import choose_compute
    from ..picture.picture import open_picture
    from ..run.record import changes

    parameters, picture = weights(task.options.weights), record["picture"]
    if read:
        picture = {"name": task.picture.name, "sha256": open_picture(task.picture).sha256()}
    asked = {
        "picture": picture,
        "weights": {"source": parameters.source, "sha256": parameters.sha256},
        "options": asdict(task.options),
        "computed": asdict(choose_compute(task.options.device, task.options.precision)),
    }
    return changes(record, asked)


def _changed(task: Task, differences: list[str]) -> ChangedError:
    return ChangedError(
        f"{task.folder} holds a different run: {'; '.join(differences)}; use --overwrite to replace it"
    )


def weights(source: str) -> Weights:
    """As `load_weights`; read once in a process, as long as the file stays as it is."""
    from ..network.weights import PRETRAINED, UNTRAINED, load_weights

    key: tuple[object, ...] = (source,)
    if source not in (PRETRAINED, UNTRAINED) and os.path.exists(source):
        about = os.stat(source)
        key = (source, about.st_mtime_ns, about.st_size)
    if key not in _loaded:
        loaded = load_weights(source)
        _loaded.clear()
        _loaded[key] = loaded
    return _loaded[key]


class _StopFile(Stop):
    """A wish to stop that reaches every worker by the file system which they share anyway."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self._next, self._found = path, 0.0, False

    @property
    def asked(self) -> bool:
        now = time.monotonic()
        if not self._found and now >= self._next:
            self._next = now + _LOOK_UP_SECONDS
            self._found = self._path.exists()
        return self._found


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """The process alone, and torch with so many threads."""
    with _alone:
        import torch

        torch.set_num_threads(count or _of_dask() or torch.get_num_threads())
        yield


def _of_dask() -> int | None:
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return int(distributed.get_worker().state.nthreads)
    except ValueError:  # this is no worker
        return None


class Told:
    """Tells how much of a run is done, as pixels: the share of its time that has passed, not of one stage."""

    def __init__(self) -> None:
        self._began, self._pixels = time.perf_counter(), 0

    def plan(self, plan: Plan) -> None:
        """Take what the whole run counts."""
        self._pixels = plan.pixels

    def __call__(self, progress: Progress) -> None:
        if progress.run_seconds_left is not None:
            passed = time.perf_counter() - self._began
            pool.say(self._pixels * passed / max(passed + progress.run_seconds_left, 1e-9))


def _bytes(folder: Path) -> int:
    return sum(
        os.lstat(os.path.join(top, name)).st_size for top, _, names in os.walk(folder) for name in names
    )


def _line(error: Exception) -> str:
    text = str(error) if isinstance(error, NetsoundsError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
