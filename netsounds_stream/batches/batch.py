"""A batch: a run of each of many pictures, a line about each in `batch.jsonl`, and a page of all."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, Unpack

from ..base import machine
from ..base.progress import Listener, Progress, Stop
from ..errors import NetsoundsError, OptionError, SomeFailedError, Stopped
from ..planning.keywords import SonifyKeywords
from ..planning.options import SonifyOptions, resolve_options
from .inputs import RECORDS
from .plan import BatchPlan, plan_of
from .records import Records, Result, locked_folder
from .tasks import BatchRequest, WorkerPool, worker_pool
from .worker import (
    DONE,
    FAILED,
    NEW,
    RESUMED,
    SKIPPED,
    UNFINISHED,
    Outcome,
    Start,
    Survey,
    make_run,
    measure_pace,
    start,
    survey,
)

R = TypeVar("R")

_TICK_SECONDS = 0.5
_PICTURES_A_SURVEY = 32


@dataclass(frozen=True)
class Batch:
    """The results of a batch.

    Attributes:
        folder: folder of its runs.
        results: one result for each picture, in the order in which the pictures were given.
        page: the page of all finished runs and failed pictures; None where there are neither.

    Example:
        >>> from pathlib import Path
        >>> from netsounds_stream import Batch
        >>> empty = Batch(folder=Path("runs"), results=(), page=None)
        >>> empty.require_all()  # no picture failed
        >>> empty.failed
        ()
    """

    folder: Path
    results: tuple[Result, ...]
    page: Path | None

    @property
    def failed(self) -> tuple[Result, ...]:
        """The results of the pictures that failed."""
        return tuple(result for result in self.results if result.status == FAILED)

    def require_all(self) -> None:
        """Require that no picture failed.

        Raises:
            SomeFailedError: some did.
        """
        if self.failed:
            raise SomeFailedError(
                f"{len(self.failed)} of {len(self.results)} pictures failed; {self.folder / RECORDS} says "
                f"why, and the same command tries them again"
            )


def batch(
    patterns: str | Path | Iterable[str | Path],
    out: str | Path,
    options: SonifyOptions | None = None,
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    overwrite: bool = False,
    checkpoint_seconds: float | None = None,
    stop: Stop | None = None,
    on_plan: Callable[[BatchPlan], None] = lambda plan: None,
    on_progress: Listener | None = None,
    on_end: Callable[[Result], None] = lambda result: None,
    notes: tuple[str, ...] = (),
    **words: Unpack[SonifyKeywords],
) -> Batch:
    """Make a run of each of many pictures, in several processes, each in a folder below `out`.

    A run that is finished there, of the same picture, weights and options, is left as it is; one that was
    stopped is resumed. A picture that fails is recorded, and does not stop the others.

    In a script, call it under `if __name__ == "__main__":`, because every process imports the script.

    Args:
        patterns: folders, files, globs, a `.txt` file of names, or '-' for names on standard input. Paths
            only: the processes, which may be on other machines, read the pictures, and the next call finds by
            its file what is finished.
        out: folder of all runs.
        options: options as a value; or give them by keyword. Their memory is for all jobs together.
        jobs: how many pictures are worked on at a time. None: one for each core, fewer where memory is short.
        cluster: Dask cluster to work on in place of `jobs`: 'tcp://HOST:PORT', 'local' or 'local:N'. On one
            of other machines the memory budget is each worker's, and pictures, weights and `out` must be on a
            disk that all share.
        overwrite: replace runs that are there with other options, or of a picture that has changed.
        checkpoint_seconds: see `sonify`.
        stop: stops all runs soon after `stop.ask()`, so that the next call resumes them.
        on_plan: called with the plan before the work starts.
        on_progress: called as the work goes on, from any thread.
        on_end: called with each picture's result.
        notes: lines to be kept in each run's record.
        words: options by keyword, in place of `options`; see `SonifyKeywords`.

    Returns:
        The result of each picture, and the page over all runs.

    Raises:
        OptionError: a pattern stands for nothing; or Dask is needed and not installed.
        BudgetError: the disk cannot hold the batch.
        Stopped: the batch was asked to stop; what is finished is kept.

    Example:
        >>> from netsounds_stream import batch
        >>> if __name__ == "__main__":
        ...     batch("photos", "runs", jobs=2, scheme="sum").require_all()
    """
    request = BatchRequest(
        patterns=_paths(patterns),
        out=Path(out),
        options=resolve_options(options, words),
        jobs=jobs,
        cluster=cluster,
        overwrite=overwrite,
        checkpoint_seconds=checkpoint_seconds,
        notes=notes,
    )
    stop = stop or Stop()
    with worker_pool(request) as pool, stop.observed():
        plan, surveys = _planned(request.out, pool, stop)
        on_plan(plan)
        plan.check()
        making = _Making(
            out=request.out,
            pool=pool,
            stop=stop,
            on_progress=on_progress or (lambda progress: None),
            on_end=on_end,
        )
        results = making.run(plan, surveys)
    return Batch(request.out, results, _page(request.out, results))


def plan_batch(
    patterns: str | Path | Iterable[str | Path],
    out: str | Path,
    options: SonifyOptions | None = None,
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    overwrite: bool = False,
    stop: Stop | None = None,
    **words: Unpack[SonifyKeywords],
) -> BatchPlan:
    """Plan what `batch` would do here. Nothing is made.

    Args:
        patterns: see `batch`.
        out: see `batch`.
        options: see `batch`.
        jobs: see `batch`.
        cluster: see `batch`.
        overwrite: see `batch`.
        stop: gives up soon after `stop.ask()`.
        words: options by keyword, in place of `options`; see `SonifyKeywords`.

    Returns:
        Numbers of pictures, memory, disk and an estimate of the time.

    Raises:
        OptionError: a pattern stands for nothing; or Dask is needed and not installed.

    Example:
        >>> from netsounds_stream import plan_batch
        >>> if __name__ == "__main__":
        ...     print(plan_batch("photos", "runs").new)
    """
    request = BatchRequest(
        patterns=_paths(patterns),
        out=Path(out),
        options=resolve_options(options, words),
        jobs=jobs,
        cluster=cluster,
        overwrite=overwrite,
        checkpoint_seconds=None,
    )
    stop = stop or Stop()
    with worker_pool(request) as pool, stop.observed():
        return _planned(request.out, pool, stop)[0]


def _paths(patterns: str | Path | Iterable[str | Path]) -> tuple[str, ...]:
    """Return the patterns as text.

    Raises:
        OptionError: one is no path, but a picture in memory say.
    """
    listed: tuple[object, ...] = (patterns,)
    if not isinstance(patterns, str | Path) and isinstance(patterns, Iterable):
        listed = tuple(patterns)
    if any(not isinstance(pattern, str | Path) for pattern in listed):
        raise OptionError(
            "batch takes paths, for its processes read the pictures themselves; save these to files, or call "
            "sonify for each"
        )
    return tuple(map(str, listed))


def _planned(out: Path, pool: WorkerPool, stop: Stop) -> tuple[BatchPlan, list[Survey]]:
    """Plan a batch.

    Returns:
        The plan, and what was found of each picture.

    Raises:
        NetsoundsError: something that every picture needs, such as the weights, cannot be loaded.
        Stopped: the batch was asked to stop.
    """
    tasks = pool.tasks
    starts = [Start(task=tasks[0], loads=number == 0) for number in range(pool.jobs)]
    for _, started in pool.workers.as_completed(start, starts, name="start", stop=stop):
        _value(started)
    any_task = tasks[:1] * pool.jobs
    paces = pool.workers.as_completed(measure_pace, any_task, name="pace", stop=stop)
    pace = max(_value(result) for _, result in paces)
    parts = [tasks[at : at + _PICTURES_A_SURVEY] for at in range(0, len(tasks), _PICTURES_A_SURVEY)]
    by_folder: dict[Path, Survey] = {}
    for part, surveys in pool.workers.as_completed(survey, parts, name="look", stop=stop):
        by_folder |= zip((task.folder for task in part), _value(surveys), strict=True)
    in_order = [by_folder[task.folder] for task in tasks]
    plan = plan_of(
        [str(task.picture) for task in tasks],
        in_order,
        jobs=pool.jobs,
        pace=pace,
        budget_bytes=pool.budget_bytes,
        free_disk_bytes=machine.free_disk_bytes(out),
    )
    return plan, in_order


def _value(result: R | NetsoundsError) -> R:
    """Return a worker's result, or raise the error that it is."""
    if isinstance(result, NetsoundsError):
        raise result
    return result


@dataclass(frozen=True, kw_only=True)
class _Making:
    """The making of a batch's runs.

    Attributes:
        out: folder of the batch.
        pool: the workers, with a task for each picture.
        stop: cancellation token.
        on_progress: called as the work goes on.
        on_end: called with each picture's result.
    """

    out: Path
    pool: WorkerPool
    stop: Stop
    on_progress: Listener
    on_end: Callable[[Result], None]

    def run(self, plan: BatchPlan, surveys: Sequence[Survey]) -> tuple[Result, ...]:
        """Make the runs.

        Returns:
            The result of each picture, in the order in which they were given.

        Raises:
            Stopped: the batch was asked to stop.
        """
        pixels = {
            task.folder: found.pixels if found.state in (NEW, UNFINISHED) else 0
            for task, found in zip(self.pool.tasks, surveys, strict=True)
        }
        results: dict[Path, Result] = {}
        call = datetime.now(UTC).isoformat(timespec="milliseconds")
        with locked_folder(self.out), Records(self.out) as records:
            with self._watched(plan.pixels) as advance:
                waiting = (task for task in self.pool.tasks if not self.stop.asked)
                # the stop file suspends what is under way, which is waited for: so no token that is asked
                for task, outcome in self.pool.workers.as_completed(
                    make_run, waiting, name="picture", stop=Stop()
                ):
                    if isinstance(outcome, NetsoundsError):
                        outcome = Outcome.failed(outcome)
                    folder = self.out / task.folder.relative_to(self.out.absolute())
                    result = Result(
                        picture=str(task.picture), folder=str(folder), **asdict(outcome), call=call
                    )
                    records.add(result)
                    results[task.folder] = result
                    advance(pixels[task.folder])
                    self.on_end(result)
            if self.stop.asked:
                error = Stopped()
                error.add_note("finished work is kept; the same command continues it")
                raise error
        return tuple(results[task.folder] for task in self.pool.tasks)

    @contextmanager
    def _watched(self, pixels: int) -> Iterator[Callable[[float], None]]:
        """Report progress, and pass a request to stop on to the workers, during the `with` block.

        Args:
            pixels: pixels of all runs.

        Yields:
            A function to be called with the pixels of each picture that has ended.
        """
        began = time.perf_counter()
        over = threading.Event()
        lock = threading.Lock()
        done = 0.0
        most = 0.0

        def report(amount: float = 0.0, *, finished: bool = False) -> None:
            nonlocal done, most
            with lock:
                done += amount
                # a picture that has ended still counts as under way for a moment
                most = max(most, min(done + self.pool.under_way(), pixels))
                self.on_progress(
                    Progress(
                        stage="pictures",
                        done=most,
                        total=pixels,
                        unit="px",
                        seconds=time.perf_counter() - began,
                        finished=finished,
                    )
                )

        def tick() -> None:
            while not over.wait(_TICK_SECONDS):
                if self.stop.asked:
                    with contextlib.suppress(OSError):  # on a full disk, say: then the runs end by themselves
                        self.pool.tasks[0].stop_file.touch()
                report()

        ticking = threading.Thread(target=tick, name="batch")
        ticking.start()
        try:
            yield report
        finally:
            over.set()
            ticking.join()
        report(finished=True)


def _page(out: Path, results: Sequence[Result]) -> Path | None:
    """Write the page of all finished runs and failed pictures; return its path, or None without any."""
    runs = [result.folder for result in results if result.status in (DONE, RESUMED, SKIPPED)]
    failed = [result for result in results if result.status == FAILED]
    if not runs and not failed:
        return None
    from ..report.gallery import FailedPicture, gallery  # large, and needed only when the workers have ended

    listed = [FailedPicture(_name(result, out), _reason(result)) for result in failed]
    return gallery(runs, out, failed=listed)


def _name(result: Result, out: Path) -> str:
    """Return a picture's name below what was given."""
    below = Path(result.folder).relative_to(out).parent / Path(result.picture).name
    return _utf8(below.as_posix())


def _reason(result: Result) -> str:
    """Return why a picture failed, without the folders of this machine."""
    return _utf8((result.error or "").replace(result.picture, Path(result.picture).name))


def _utf8(text: str) -> str:
    """Return text as a page can hold it: not every file name is UTF-8."""
    return text.encode(errors="backslashreplace").decode()
