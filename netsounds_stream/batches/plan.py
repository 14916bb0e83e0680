"""The plan of a whole batch: how many pictures at a time, the memory and disk that takes, and about how long.

Pure arithmetic over what the workers found (`worker.Survey`).
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..base import machine
from ..base.units import Size, format_bytes
from ..errors import BudgetError, OptionError
from .worker import FAILING, FINISHED, NEW, UNFINISHED, Survey

_USUAL_JOB_BYTES = machine.usual_budget_bytes("cpu")
# Enough for a run of an ordinary photograph.
_LEAST_JOB_BYTES = 600 << 20
# Share of free memory for the jobs; the rest is left to the system and to the process that started them.
_SHARE_OF_FREE = 0.9
# Number of finished runs from which on their times tell more than estimates do.
_ENOUGH_RUNS = 3


@dataclass(frozen=True)
class Shares:
    """The machine divided among jobs.

    Attributes:
        jobs: pictures worked on at a time.
        threads: threads of torch for each.
        memory_bytes: memory for each.
    """

    jobs: int
    threads: int
    memory_bytes: int


def shares(
    jobs: int | None,
    memory_bytes: int | None,
    *,
    cores: int,
    free_bytes: int,
    pictures: int,
    usual_bytes: int = _USUAL_JOB_BYTES,
) -> Shares:
    """Divide the machine among jobs.

    Args:
        jobs: number of jobs; None: one for each core, fewer where memory is short.
        memory_bytes: memory for all together; None: `usual_bytes` each, or less where less is free.
        cores: number of the machine's cores.
        free_bytes: memory that is free.
        pictures: number of pictures, which there are no more jobs than.
        usual_bytes: memory for a job where none is given.

    Returns:
        The number of jobs, with threads and memory for each.

    Raises:
        OptionError: fewer than one job.
    """
    if jobs is not None and jobs < 1:
        raise OptionError(f"jobs cannot be {jobs}; use 1 or more")
    together = int(_SHARE_OF_FREE * free_bytes) if memory_bytes is None else memory_bytes
    count = jobs or min(cores, max(1, together // _LEAST_JOB_BYTES))
    count = max(1, min(count, pictures))
    share = Size(together // count, getattr(memory_bytes, "unit", ""))
    each_bytes = share if memory_bytes is not None else min(usual_bytes, share)
    return Shares(count, max(1, cores // count), each_bytes)


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """A batch in numbers.

    Attributes:
        new: pictures that have no run yet.
        unfinished: pictures whose run was stopped and will be resumed.
        finished: pictures whose run is finished, and left as it is.
        failing: pictures that will fail.
        pixels: pixels of all runs to be made.
        jobs: pictures worked on at a time.
        memory_bytes: what `jobs` runs need, with their processes.
        budget_bytes: memory budget for them; None: each worker has its own.
        final_disk_bytes: what the batch adds to the disk in the end.
        disk_bytes: what it needs on the disk at most.
        free_disk_bytes: what is free on the disk.
        seconds: an estimate of the time.
        reasons: why pictures will fail: each picture with its reason.

    Example:
        >>> from netsounds_stream import plan_batch
        >>> if __name__ == "__main__":
        ...     planned = plan_batch("photos", "runs", weights="untrained")
        ...     planned.check()
        ...     print(planned.pictures, planned.jobs)
    """

    new: int
    unfinished: int
    finished: int
    failing: int
    pixels: int
    jobs: int
    memory_bytes: int
    budget_bytes: int | None
    final_disk_bytes: int
    disk_bytes: int
    free_disk_bytes: int
    seconds: float
    reasons: tuple[tuple[str, str], ...]

    @property
    def pictures(self) -> int:
        """Number of all pictures."""
        return self.new + self.unfinished + self.finished + self.failing

    def check(self) -> None:
        """Require that the disk can hold the batch.

        Raises:
            BudgetError: it cannot.
        """
        if self.disk_bytes > self.free_disk_bytes:
            raise BudgetError(
                f"this batch needs {format_bytes(self.disk_bytes)} of disk and "
                f"{format_bytes(self.free_disk_bytes)} are free; make room, choose another --out, give fewer "
                f"pictures, or use --no-activations, fewer --banks or a smaller --size"
            )


def plan_of(
    pictures: Sequence[str],
    surveys: Sequence[Survey],
    *,
    jobs: int,
    pace: float,
    budget_bytes: int | None,
    free_disk_bytes: int,
) -> BatchPlan:
    """Plan a batch from what was found of each picture.

    Args:
        pictures: names of the pictures.
        surveys: what was found of each.
        jobs: pictures worked on at a time.
        pace: how many times as long as expected one of so many jobs takes.
        budget_bytes: memory budget of all jobs; None: each worker has its own.
        free_disk_bytes: what is free on the disk.

    Returns:
        The plan. Finished runs, where there are enough, tell the pace in place of `pace`.
    """
    count = Counter(survey.state for survey in surveys)
    to_make = [survey for survey in surveys if survey.state in (NEW, UNFINISHED)]
    final = sum(survey.final_disk_bytes for survey in to_make)
    temporary = _sum_of_largest([survey.disk_bytes - survey.final_disk_bytes for survey in to_make], jobs)
    paces = [
        survey.seconds / survey.expected_seconds
        for survey in surveys
        if survey.seconds and survey.expected_seconds
    ]
    if len(paces) >= _ENOUGH_RUNS:
        pace = statistics.median(paces)
    seconds = [pace * survey.expected_seconds for survey in to_make]
    return BatchPlan(
        new=count[NEW],
        unfinished=count[UNFINISHED],
        finished=count[FINISHED],
        failing=count[FAILING],
        pixels=sum(survey.pixels for survey in to_make),
        jobs=jobs,
        memory_bytes=_sum_of_largest([survey.memory_bytes for survey in to_make], jobs),
        budget_bytes=budget_bytes,
        final_disk_bytes=final,
        disk_bytes=final + max(0, temporary),
        free_disk_bytes=free_disk_bytes,
        # the last ones may have a worker to themselves
        seconds=max(sum(seconds) / jobs, max(seconds, default=0.0)),
        reasons=tuple(
            (name, survey.reason)
            for name, survey in zip(pictures, surveys, strict=True)
            if survey.state == FAILING
        ),
    )


def _sum_of_largest(values: Sequence[int], count: int) -> int:
    """Return the sum of the `count` largest values."""
    return sum(sorted(values, reverse=True)[:count])
