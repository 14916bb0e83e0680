"""The plan for a whole batch, as values: how many at a time, what that takes, and how long about.

Pure arithmetic over what the workers found (`batch_work.Look`).
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..base.units import Size, format_bytes
from ..errors import BudgetError, OptionError
from .worker import FAILING, FINISHED, NEW, UNFINISHED, Look

_GIB, _MIB = 1 << 30, 1 << 20
#: What a run of an ordinary photograph is content with.
_LEAST_EACH = 600 * _MIB
# Of free memory: the rest is the system's and the process's that began the others.
_SHARE_OF_FREE = 0.9
# From so many finished runs on, they tell more than what is expected.
_ENOUGH_RUNS = 3


@dataclass(frozen=True)
class Shares:
    """How many pictures at a time, the threads of torch and the bytes of memory for each."""

    jobs: int
    threads: int
    memory_bytes: int


def shares(
    jobs: int | None, memory_bytes: int | None, *, cores: int, free_bytes: int, pictures: int
) -> Shares:
    """The machine divided among jobs: as many as its cores, fewer where memory, or pictures, are for fewer.

    Args:
        memory_bytes: for all together; None: 1 GiB each, or less where less is free.

    Raises:
        OptionError: fewer than one job.
    """
    if jobs is not None and jobs < 1:
        raise OptionError(f"jobs cannot be {jobs}; use 1 or more")
    together = int(_SHARE_OF_FREE * free_bytes) if memory_bytes is None else memory_bytes
    count = jobs or min(cores, max(1, together // _LEAST_EACH))
    count = max(1, min(count, pictures))
    each = Size(together // count, getattr(memory_bytes, "unit", ""))
    return Shares(count, max(1, cores // count), min(_GIB, each) if memory_bytes is None else each)


@dataclass(frozen=True)
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
        """Raise BudgetError where the disk cannot hold the batch."""
        if self.disk_bytes > self.free_disk_bytes:
            raise BudgetError(
                f"this batch needs {format_bytes(self.disk_bytes)} of disk and "
                f"{format_bytes(self.free_disk_bytes)} are free; make room, choose another --out, give fewer "
                f"pictures, or use --no-activations, fewer --banks or a smaller --size"
            )


def plan_of(
    pictures: Sequence[str],
    looks: Sequence[Look],
    *,
    jobs: int,
    pace: float,
    budget_bytes: int | None,
    free_disk_bytes: int,
) -> BatchPlan:
    """The plan of all, out of what was found of each.

    Args:
        pace: how many times as long as expected one of so many jobs takes.
    """
    count = Counter(each.state for each in looks)
    to_make = [each for each in looks if each.state in (NEW, UNFINISHED)]
    final = sum(each.final_disk_bytes for each in to_make)
    beyond = _largest([each.disk_bytes - each.final_disk_bytes for each in to_make], jobs)
    finished = [each for each in looks if each.seconds and each.expected_seconds]
    if len(finished) >= _ENOUGH_RUNS:
        pace = statistics.median((each.seconds or 0) / each.expected_seconds for each in finished)
    seconds = [pace * each.expected_seconds for each in to_make]
    return BatchPlan(
        new=count[NEW],
        unfinished=count[UNFINISHED],
        finished=count[FINISHED],
        failing=count[FAILING],
        pixels=sum(each.pixels for each in to_make),
        jobs=jobs,
        memory_bytes=_largest([each.memory_bytes for each in to_make], jobs),
        budget_bytes=budget_bytes,
        final_disk_bytes=final,
        disk_bytes=final + max(0, beyond),
        free_disk_bytes=free_disk_bytes,
        # the last ones may have a worker to themselves
        seconds=max(sum(seconds) / jobs, max(seconds, default=0.0)),
        reasons=tuple(
            (name, each.reason) for name, each in zip(pictures, looks, strict=True) if each.state == FAILING
        ),
    )


def _largest(values: Sequence[int], count: int) -> int:
    """The sum of so many, the largest."""
    return sum(sorted(values, reverse=True)[:count])
