"""Who works on a batch: processes here, or a cluster; and each picture's task for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from ..base import machine
from ..base.progress import Stop
from ..batches import pool
from ..cluster import dask_cluster
from ..errors import NetsoundsError, OptionError
from ..planning.options import PRETRAINED, UNTRAINED, SonifyOptions
from .inputs import Given, given
from .plan import Shares, shares
from .records import STOP, check_folder
from .worker import Task

T = TypeVar("T")
R = TypeVar("R")


class Workers(Protocol):
    """What does work: `Processes`, or a `Cluster`."""

    def each(
        self, work: Callable[[T], R], items: Iterable[T], *, name: str, stop: Stop
    ) -> Iterator[tuple[T, R | NetsoundsError]]: ...


@dataclass(frozen=True)
class Asked:
    """What a batch is asked; see `batches.batch`."""

    patterns: tuple[str, ...]
    out: Path
    options: SonifyOptions
    jobs: int | None
    cluster: str | None
    overwrite: bool
    checkpoint_seconds: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hands:
    """Workers with what is to be done, so many pictures at a time.

    `budget_bytes` are for all of them; None: each worker has its own. `under_way` are pixels of pictures
    which have not ended, in proportion to the time that has passed of what their runs will take.
    """

    workers: Workers
    tasks: tuple[Task, ...]
    jobs: int
    budget_bytes: int | None
    under_way: Callable[[], float]


@contextmanager
def hands(asked: Asked) -> Iterator[Hands]:
    """Workers for the pictures that are given, for a while.

    Raises:
        OptionError: a pattern stands for nothing, or who is to work cannot be had.
        OutputError: the folder is another thing's.
    """
    if asked.cluster is not None:
        dask_cluster.check_address(asked.cluster)
        if asked.jobs is not None:
            raise OptionError(
                "--jobs counts processes on this machine; with --cluster, use local:N, or a cluster with "
                "more workers"
            )
    check_folder(asked.out)
    found = given(asked.patterns, asked.out, sys.stdin)
    if asked.cluster is None:
        # one device, one run on it
        usual = 1 if asked.options.device == "cuda" else None
        jobs = usual if asked.jobs is None else asked.jobs
        divided = _shares(asked, jobs, len(found))
        tasks = _tasks(asked, found, divided.threads, divided.memory_bytes)
        with pool.started(divided.jobs, divided.threads) as made:
            budget = asked.options.memory_bytes or divided.jobs * divided.memory_bytes
            yield Hands(made, tasks, divided.jobs, budget, made.under_way)
        return
    with dask_cluster.connected(asked.cluster) as cluster:
        count, each, together = cluster.workers, asked.options.memory_bytes, None
        if dask_cluster.is_local(asked.cluster):
            each = _shares(asked, count, count).memory_bytes
            together = count * each
        yield Hands(cluster, _tasks(asked, found, None, each), count, together, lambda: 0.0)


def _shares(asked: Asked, jobs: int | None, pictures: int) -> Shares:
    free = machine.available_bytes()
    return shares(jobs, asked.options.memory_bytes, cores=machine.cores(), free_bytes=free, pictures=pictures)


def _tasks(
    asked: Asked, found: Sequence[Given], threads: int | None, memory_bytes: int | None
) -> tuple[Task, ...]:
    out, options = asked.out.absolute(), replace(asked.options, memory_bytes=memory_bytes)
    if options.weights not in (PRETRAINED, UNTRAINED):
        options = replace(options, weights=str(Path(options.weights).absolute()))
    return tuple(
        Task(
            picture=each.picture.absolute(),
            folder=out / each.folder,
            options=options,
            overwrite=asked.overwrite,
            checkpoint_seconds=asked.checkpoint_seconds,
            threads=threads,
            stop_file=out / STOP,
            notes=asked.notes,
        )
        for each in found
    )
