"""Many pictures: a run each, in one folder, with a line about each in `batch.jsonl` and a page over all."""

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
from .records import Records, Result, taken
from .tasks import Asked, Hands, hands
from .worker import DONE, FAILED, NEW, RESUMED, SKIPPED, UNFINISHED, Look, Outcome, look, prepare, work

R = TypeVar("R")

_TICK_SECONDS = 0.5
_PICTURES_A_LOOK = 32


@dataclass(frozen=True)
class Batch:
    """What became of a batch.

    Attributes:
        folder: where its runs are.
        results: one for each picture, in the order in which they were given.
        page: the page of all finished runs and failed pictures; None where there are none.
    """

    folder: Path
    results: tuple[Result, ...]
    page: Path | None

    @property
    def failed(self) -> tuple[Result, ...]:
        """The results of the pictures that failed."""
        return tuple(each for each in self.results if each.status == FAILED)

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
        What became of each picture, and the page over all runs.

    Raises:
        OptionError: a pattern stands for nothing; or Dask is needed and not installed.
        BudgetError: the disk cannot hold the batch.
        Stopped: the batch was asked to stop; what is finished is kept.

    Example:
        >>> from netsounds_stream import batch
        >>> if __name__ == "__main__":
        ...     batch("photos", "runs", jobs=2, scheme="sum").require_all()
    """
    asked = _asked(patterns, out, options, words, jobs, cluster, overwrite, checkpoint_seconds, notes)
    stop = stop or Stop()
    with hands(asked) as working, stop.observed():
        plan, looks = _planned(asked, working, stop)
        on_plan(plan)
        plan.check()
        results = _worked(asked, working, plan, looks, stop, on_progress or (lambda progress: None), on_end)
    return Batch(asked.out, results, _page(asked.out, results))


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
    asked = _asked(patterns, out, options, words, jobs, cluster, overwrite, None, ())
    stop = stop or Stop()
    with hands(asked) as working, stop.observed():
        return _planned(asked, working, stop)[0]


def _asked(
    patterns: str | Path | Iterable[str | Path],
    out: str | Path,
    options: SonifyOptions | None,
    words: SonifyKeywords,
    jobs: int | None,
    cluster: str | None,
    overwrite: bool,
    checkpoint_seconds: float | None,
    notes: tuple[str, ...],
) -> Asked:
    listed: tuple[object, ...] = (patterns,)
    if not isinstance(patterns, str | Path) and isinstance(patterns, Iterable):
        listed = tuple(patterns)
    if any(not isinstance(each, str | Path) for each in listed):
        raise OptionError(
            "batch takes paths, for its processes read the pictures themselves; save these to files, or call "
            "sonify for each"
        )
    return Asked(
        patterns=tuple(map(str, listed)),
        out=Path(out),
        options=resolve_options(options, words),
        jobs=jobs,
        cluster=cluster,
        overwrite=overwrite,
        checkpoint_seconds=checkpoint_seconds,
        notes=notes,
    )


def _planned(asked: Asked, working: Hands, stop: Stop) -> tuple[BatchPlan, list[Look]]:
    """Return the plan, and what was found of each picture.

    Raises:
        NetsoundsError: something that every picture needs, the weights say, cannot be had.
    """
    tasks, pace = working.tasks, 0.0
    for count in sorted({1, working.jobs}):  # one first: it may fetch the weights for all
        for _, found in working.workers.each(prepare, tasks[:1] * count, name="prepare", stop=stop):
            pace = max(pace, _got(found))
    parts = [tasks[at : at + _PICTURES_A_LOOK] for at in range(0, len(tasks), _PICTURES_A_LOOK)]
    looked: dict[Path, Look] = {}
    for part, looks in working.workers.each(look, parts, name="look", stop=stop):
        looked |= zip((task.folder for task in part), _got(looks), strict=True)
    in_order = [looked[task.folder] for task in tasks]
    plan = plan_of(
        [str(task.picture) for task in tasks],
        in_order,
        jobs=working.jobs,
        pace=pace,
        budget_bytes=working.budget_bytes,
        free_disk_bytes=machine.free_disk_bytes(asked.out),
    )
    return plan, in_order


def _got(found: R | NetsoundsError) -> R:
    if isinstance(found, NetsoundsError):
        raise found
    return found


def _worked(
    asked: Asked,
    working: Hands,
    plan: BatchPlan,
    looks: Sequence[Look],
    stop: Stop,
    on_progress: Listener,
    on_end: Callable[[Result], None],
) -> tuple[Result, ...]:
    """Make the runs; return what became of each picture, in the order in which they were given."""
    pixels = {
        task.folder: look.pixels if look.state in (NEW, UNFINISHED) else 0
        for task, look in zip(working.tasks, looks, strict=True)
    }
    results: dict[Path, Result] = {}
    call = datetime.now(UTC).isoformat(timespec="milliseconds")
    with taken(asked.out), Records(asked.out) as records:
        with _watched(working, plan.pixels, stop, on_progress) as ended:
            waiting = (task for task in working.tasks if not stop.asked)
            # nobody asks this `each` to stop: what is under way is put down by itself, and waited for
            for task, found in working.workers.each(work, waiting, name="picture", stop=Stop()):
                if isinstance(found, NetsoundsError):
                    found = Outcome.failed(found)
                folder = asked.out / task.folder.relative_to(asked.out.absolute())
                result = Result(str(task.picture), str(folder), **asdict(found), call=call)
                records.add(result)
                results[task.folder] = result
                ended(pixels[task.folder])
                on_end(result)
        if stop.asked:
            error = Stopped()
            error.add_note("finished work is kept; the same command continues it")
            raise error
    return tuple(results[task.folder] for task in working.tasks)


@contextmanager
def _watched(
    working: Hands, pixels: int, stop: Stop, on_progress: Listener
) -> Iterator[Callable[[float], None]]:
    """Report progress, and pass a request to stop to the workers; yields what is told of ended pixels."""
    began, over, lock = time.perf_counter(), threading.Event(), threading.Lock()
    done = most = 0.0

    def tell(amount: float = 0.0, *, finished: bool = False) -> None:
        nonlocal done, most
        with lock:
            done += amount
            # what ended is still under way for a moment
            most = max(most, min(done + working.under_way(), pixels))
            took = time.perf_counter() - began
            on_progress(
                Progress(
                    stage="pictures", done=most, total=pixels, unit="px", seconds=took, finished=finished
                )
            )

    def tick() -> None:
        while not over.wait(_TICK_SECONDS):
            if stop.asked:
                with contextlib.suppress(OSError):  # on a full disk, say: then they go on to their ends
                    working.tasks[0].stop_file.touch()
            tell()

    ticking = threading.Thread(target=tick, name="batch")
    ticking.start()
    try:
        yield tell
    finally:
        over.set()
        ticking.join()
    tell(finished=True)


def _page(out: Path, results: Sequence[Result]) -> Path | None:
    runs = [each.folder for each in results if each.status in (DONE, RESUMED, SKIPPED)]
    failed = [each for each in results if each.status == FAILED]
    if not runs and not failed:
        return None
    from ..report.gallery import FailedPicture, gallery  # which takes torch: the workers have ended by now

    listed = [FailedPicture(_name(each, out), _reason(each)) for each in failed]
    return gallery(runs, out, failed=listed)


def _name(result: Result, out: Path) -> str:
    """Return a picture's name below what was given, as a page can hold it: not every file name is UTF-8."""
    below = Path(result.folder).relative_to(out).parent / Path(result.picture).name
    return _shown(below.as_posix())


def _reason(result: Result) -> str:
    """Return why a picture failed, without the folders of this machine."""
    return _shown((result.error or "").replace(result.picture, Path(result.picture).name))


def _shown(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
