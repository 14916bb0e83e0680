"""A batch's worker pool, of processes here or of a cluster, and each picture's task for it."""

from __future__ import annotations

import os
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
from ..planning.options import SonifyOptions, with_whole_paths
from .inputs import Input, inputs_of
from .plan import Shares, shares
from .records import STOP, check_folder
from .worker import Task

T = TypeVar("T")
R = TypeVar("R")


class Workers(Protocol):
    """Workers of either kind: `pool.Processes`, or a `dask_cluster.Cluster`."""

    def as_completed(
        self, work: Callable[[T], R], items: Iterable[T], *, name: str, stop: Stop
    ) -> Iterator[tuple[T, R | NetsoundsError]]:
        """Call `work` with each item, and yield results as they complete: see `Processes.as_completed`."""


@dataclass(frozen=True, kw_only=True)
class BatchRequest:
    """Arguments of `batch`, checked; see there.

    Attributes:
        patterns: patterns of pictures.
        out: folder of the batch.
        options: options of every run.
        jobs: number of jobs, or None.
        cluster: address of a Dask cluster, or None.
        overwrite: whether other runs are replaced.
        checkpoint_seconds: time between checkpoints, or None.
        notes: lines for each run's record.
    """

    patterns: tuple[str, ...]
    out: Path
    options: SonifyOptions
    jobs: int | None
    cluster: str | None
    overwrite: bool
    checkpoint_seconds: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class WorkerPool:
    """Workers, with the tasks of a batch.

    Attributes:
        workers: the workers.
        tasks: a task for each picture.
        jobs: number of pictures worked on at a time.
        budget_bytes: memory budget of all workers together; None: each has its own.
        under_way: returns the pixels of pictures that are worked on, each in proportion to the time that has
            passed of what its run is expected to take.
    """

    workers: Workers
    tasks: tuple[Task, ...]
    jobs: int
    budget_bytes: int | None
    under_way: Callable[[], float]


@contextmanager
def worker_pool(request: BatchRequest) -> Iterator[WorkerPool]:
    """Start or connect to the workers of a batch, for the `with` block.

    Args:
        request: the batch.

    Yields:
        The workers, with a task for each picture.

    Raises:
        OptionError: a pattern stands for nothing, or there are no such workers.
        OutputError: something other than a batch is in the folder.
    """
    if request.cluster is not None:
        dask_cluster.check_address(request.cluster)
        if request.jobs is not None:
            raise OptionError(
                "--jobs counts processes on this machine; with --cluster, use local:N, or a cluster with "
                "more workers"
            )
    check_folder(request.out)
    inputs = inputs_of(request.patterns, request.out, _stdin)
    if request.cluster is None:
        with _local_pool(request, inputs) as local:
            yield local
        return
    with dask_cluster.connected(request.cluster) as cluster:
        jobs = cluster.workers
        memory_bytes = request.options.memory_bytes
        budget_bytes = None
        if dask_cluster.is_local(request.cluster):
            memory_bytes = _shares(request, jobs, jobs).memory_bytes
            budget_bytes = jobs * memory_bytes
        yield WorkerPool(
            workers=cluster,
            tasks=_tasks(request, inputs, None, memory_bytes),
            jobs=jobs,
            budget_bytes=budget_bytes,
            under_way=lambda: 0.0,  # a cluster's workers do not tell
        )


@contextmanager
def _local_pool(request: BatchRequest, inputs: Sequence[Input]) -> Iterator[WorkerPool]:
    usual = 1 if request.options.device == "cuda" else None  # one device, one run on it
    share = _shares(request, usual if request.jobs is None else request.jobs, len(inputs))
    with pool.started(share.jobs, share.threads) as processes:
        yield WorkerPool(
            workers=processes,
            tasks=_tasks(request, inputs, share.threads, share.memory_bytes),
            jobs=share.jobs,
            budget_bytes=request.options.memory_bytes or share.jobs * share.memory_bytes,
            under_way=processes.under_way,
        )


def _shares(request: BatchRequest, jobs: int | None, pictures: int) -> Shares:
    return shares(
        jobs,
        request.options.memory_bytes,
        cores=machine.cores(),
        free_bytes=machine.available_bytes(),
        pictures=pictures,
        usual_bytes=machine.usual_budget_bytes(request.options.device),
    )


def _tasks(
    request: BatchRequest, inputs: Sequence[Input], threads: int | None, memory_bytes: int | None
) -> tuple[Task, ...]:
    out = request.out.absolute()
    options = with_whole_paths(replace(request.options, memory_bytes=memory_bytes))
    return tuple(
        Task(
            picture=item.picture.absolute(),
            folder=out / item.folder,
            options=options,
            overwrite=request.overwrite,
            checkpoint_seconds=request.checkpoint_seconds,
            threads=threads,
            stop_file=out / STOP,
            notes=request.notes,
        )
        for item in inputs
    )


def _stdin() -> bytes:
    """Read all of standard input; nothing where it is closed."""
    if sys.stdin is None:
        return b""
    binary = getattr(sys.stdin, "buffer", None)  # a test's or a notebook's may have text only
    return os.fsencode(sys.stdin.read()) if binary is None else bytes(binary.read())
