"""The work of a batch's worker on one picture: survey it beforehand, make its run, or leave that as it is.

Every worker imports this module before it does anything, so large imports stand where they are needed.
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
from ..errors import ChangedError, NetsoundsError, Stopped, StoreError, first_line, of_system, remedy_for
from ..planning.options import SonifyOptions

if TYPE_CHECKING:
    from ..network.networks import Network
    from ..planning.plan import Plan

#: States of a picture before the work.
NEW = "new"
UNFINISHED = "unfinished"
FINISHED = "finished"
FAILING = "failing"
#: States of a picture after the work.
DONE = "done"
RESUMED = "resumed"
SKIPPED = "skipped"
FAILED = "failed"
STOPPED = "stopped"
_POLL_SECONDS = 0.5

# One run at a time in a process: memory is planned for that, and torch's threads are the process's.
_one_run = threading.Lock()
_loaded: dict[tuple[object, ...], Network] = {}


@dataclass(frozen=True, kw_only=True)
class Task:
    """The task of making one picture's run. Paths are absolute, since a worker may be anywhere.

    Attributes:
        picture: the picture's file.
        folder: the run's folder.
        options: options of the run.
        overwrite: whether another run is replaced.
        checkpoint_seconds: time between checkpoints, or None.
        threads: threads of torch; None: as many as the worker was given.
        stop_file: file that appears when all runs are to be suspended.
        notes: lines for the run's record.
    """

    picture: Path
    folder: Path
    options: SonifyOptions
    overwrite: bool
    checkpoint_seconds: float | None
    threads: int | None
    stop_file: Path
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Survey:
    """The state of a picture before the work, and what its run will need.

    Attributes:
        state: `NEW`, `UNFINISHED`, `FINISHED` or `FAILING`.
        pixels: pixels that the network sees.
        final_disk_bytes: what the run still adds to the disk in the end.
        disk_bytes: what it still needs on the disk at most.
        memory_bytes: what the run needs, with its process.
        expected_seconds: what such a run is expected to take; see `stages.forecast`.
        seconds: what a finished run took; None where there is none.
        reason: why the picture would fail.
    """

    state: str
    pixels: int = 0
    final_disk_bytes: int = 0
    disk_bytes: int = 0
    memory_bytes: int = 0
    expected_seconds: float = 0.0
    seconds: float | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of one task; see `records.Result`, which has the same attributes."""

    status: str
    error: str | None
    seconds: float
    peak_memory_bytes: int | None
    bytes: int
    started: str
    ended: str

    @classmethod
    def failed(cls, error: NetsoundsError) -> Outcome:
        """Return the outcome of a picture whose worker could not tell."""
        return cls(
            status=FAILED,
            error=str(error),
            seconds=0.0,
            peak_memory_bytes=None,
            bytes=0,
            started="",
            ended=_now(),
        )


@dataclass(frozen=True, kw_only=True)
class Start:
    """The start of a worker.

    Attributes:
        task: any task of the batch.
        loads: whether the worker loads the weights. One does so first, for it may have to fetch them.
    """

    task: Task
    loads: bool


def start(order: Start) -> None:
    """Import what every picture needs, and load the weights if the order says so.

    Raises:
        NetsoundsError: the device does not exist, or the weights cannot be loaded.
    """
    with pool.importing():
        from .. import api  # noqa: F401  (most of a worker's start)
    from ..base.device import reserve
    from ..network.compute import choose_compute

    options = order.task.options
    with _threads(order.task.threads):
        compute = choose_compute(options.device, options.precision)
        reserve(compute.device, options.gpu_memory_bytes)
        if order.loads:
            loaded_network(options.network, options.weights)


def measure_pace(task: Task) -> float:
    """Return how many times as long as expected this worker takes, here and now.

    Args:
        task: any task of the batch.
    """
    from ..stages.forecast import measured_pixel_seconds, pace

    with _threads(task.threads):
        return pace(measured_pixel_seconds())


def survey(tasks: tuple[Task, ...]) -> tuple[Survey, ...]:
    """Survey some pictures by their headers and their runs' records; nothing is decoded.

    Args:
        tasks: the pictures' tasks.

    Returns:
        A survey of each, in the same order. An error becomes a part of it, and is not raised.
    """
    with _threads(tasks[0].threads):
        return tuple(map(_survey, tasks))


def _survey(task: Task) -> Survey:
    from ..api import plan
    from ..run.folder import holds_work
    from ..run.layout import RECORD_NAME, work_path
    from ..run.record_file import read_record
    from ..stages.forecast import expected_seconds

    try:
        require_within([task.picture, task.folder])
        planned = plan(task.picture, task.folder, task.options, load=loaded_network)
        replace(planned, free_disk_bytes=None).check()  # the disk is checked for the whole batch
        expected = sum(expected_seconds(planned, task.options).values())
        record = read_record(task.folder / RECORD_NAME)
        if record is not None:
            newer = task.picture.stat().st_mtime > (task.folder / RECORD_NAME).stat().st_mtime
            differences = _request_changes(task, record, read=newer)  # reading every picture takes long
            if not differences:
                return Survey(
                    state=FINISHED,
                    pixels=planned.pixels,
                    expected_seconds=expected,
                    seconds=sum(record["seconds"].values()),
                )
            if not task.overwrite:
                raise _changed(task, differences)
        present_bytes = _bytes(work_path(task.folder))
        return Survey(
            state=UNFINISHED if holds_work(work_path(task.folder)) else NEW,
            pixels=planned.pixels,
            final_disk_bytes=max(0, planned.final_disk_bytes - present_bytes),
            disk_bytes=max(0, planned.disk_bytes - present_bytes),
            memory_bytes=planned.peak_memory_bytes,
            expected_seconds=expected,
        )
    except Exception as error:  # noqa: BLE001  (whatever it is, it is this picture's alone)
        return Survey(state=FAILING, reason=_line(error))


def make_run(task: Task) -> Outcome:
    """Make the picture's run, resume it, or leave it as it is.

    Args:
        task: the picture's task.

    Returns:
        The result. An error becomes a part of it, and is not raised.
    """
    with _threads(task.threads):
        began = time.perf_counter()
        started = _now()
        status = FAILED
        peak_bytes = None
        reason = None
        try:
            status, peak_bytes = _make_run(task)
        except Stopped:
            status = STOPPED
        except Exception as error:  # noqa: BLE001  (one picture's failure is not the batch's)
            reason = _line(error)
        finally:
            pool.report(0)
        seconds = round(time.perf_counter() - began, 3)
    size = _bytes(task.folder) if status in (DONE, RESUMED, SKIPPED) else 0
    return Outcome(
        status=status,
        error=reason,
        seconds=seconds,
        peak_memory_bytes=peak_bytes,
        bytes=size,
        started=started,
        ended=_now(),
    )


def _make_run(task: Task) -> tuple[str, int | None]:
    """Make the run; return the picture's status and the peak memory in bytes, None where no run was made."""
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
    resuming = holds_work(hidden)
    progress = ProgressReporter()
    words: dict[str, Any] = {
        "overwrite": task.overwrite,
        "checkpoint_seconds": task.checkpoint_seconds,
        "stop": stop,
        "on_plan": progress.start,
        "on_progress": progress,
        "load": loaded_network,
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
        machine.trim_heap()  # the next run's plan starts from what is resident then
    return (RESUMED if resuming else DONE), int(run.record["peak_memory_bytes"])


def _changes(task: Task, record: dict[str, Any]) -> list[str]:
    """List, in words, by what a finished run differs from the task's, and which of its files are damaged."""
    from ..base.checksums import is_sealed
    from ..run.layout import RECORD_NAME

    differences = _request_changes(task, record, read=True)
    if not is_sealed((task.folder / RECORD_NAME).read_text(encoding="utf-8")):
        differences.append(f"{RECORD_NAME} is damaged")
    for name, checksum in record.get("checksums", {}).items():
        path = task.folder / name
        if not path.is_file() or path.stat().st_size != checksum["bytes"]:
            differences.append(f"{name} is damaged")
            break
    return differences


def _request_changes(task: Task, record: dict[str, Any], *, read: bool) -> list[str]:
    """List, in words, by what a run's record differs from the task's; the picture only with `read`."""
    from ..network.compute import choose_compute
    from ..picture.picture import open_picture
    from ..run.record import changes

    loaded = loaded_network(task.options.network, task.options.weights)
    picture = record["picture"]
    if read:
        opened = open_picture(task.picture, reading=task.options.reading)
        picture = {"name": task.picture.name, "sha256": opened.sha256()}
    requested = {
        "picture": picture,
        "weights": {"source": loaded.source, "sha256": loaded.sha256},
        "options": asdict(task.options.with_banks(loaded.banks(task.options.layers))),
        "computed": asdict(choose_compute(task.options.device, task.options.precision)),
    }
    return changes(record, requested)


def _changed(task: Task, differences: list[str]) -> ChangedError:
    return ChangedError(
        f"{task.folder} holds a different run: {'; '.join(differences)}; use --overwrite to replace it"
    )


def loaded_network(name: str, weights: str) -> Network:
    """Load a network as `load_network` does, but once in a process, as long as its files stay as they are."""
    from ..network.networks import load_network

    key: tuple[object, ...] = (name, weights)
    for path in (name.rpartition(":")[0], weights):
        if os.path.isfile(path):
            status = os.stat(path)
            key = (*key, status.st_mtime_ns, status.st_size)
    if key not in _loaded:
        loaded = load_network(name, weights)
        _loaded.clear()
        _loaded[key] = loaded
    return _loaded[key]


class _StopFile(Stop):
    """A cancellation token that reaches every worker through the file system, which they share anyway."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._next_look = 0.0
        self._exists = False

    @property
    def asked(self) -> bool:
        now = time.monotonic()
        if not self._exists and now >= self._next_look:
            self._next_look = now + _POLL_SECONDS
            self._exists = self._path.exists()
        return self._exists


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Wait until this process makes no other run, and give torch `count` threads, or the worker's."""
    with _one_run:
        import torch

        torch.set_num_threads(count or _dask_threads() or torch.get_num_threads())
        yield


def _dask_threads() -> int | None:
    """Return the number of threads of the Dask worker that this is; None where it is none."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return int(distributed.get_worker().state.nthreads)
    except ValueError:  # this is no worker
        return None


class ProgressReporter:
    """Reports to the pool how much of a run is done, in pixels.

    They are the run's pixels times the share of its expected time that has passed, not that of one stage.
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._pixels = 0

    def start(self, plan: Plan) -> None:
        """Take the run's pixels from its plan."""
        self._pixels = plan.pixels

    def __call__(self, progress: Progress) -> None:
        """Report the run's progress, where its remaining time is known."""
        if progress.run_seconds_left is not None:
            passed = time.perf_counter() - self._began
            pool.report(self._pixels * passed / max(passed + progress.run_seconds_left, 1e-9))


def _bytes(folder: Path) -> int:
    """Return the size of all files in a folder."""
    return sum(
        os.lstat(os.path.join(top, name)).st_size for top, _, names in os.walk(folder) for name in names
    )


def _line(error: Exception) -> str:
    """Return an error's text in one line, with its kind where it is none of the package's."""
    if isinstance(error, NetsoundsError):
        text = str(error)
    elif (cause := of_system(error)) is not None:
        text = f"{first_line(cause) or type(cause).__name__}; {remedy_for(cause)}"
    else:
        text = f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
