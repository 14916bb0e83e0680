"""A pool of worker processes on this machine, with the interface of a cluster.

Each process has a `ProcessPoolExecutor` of its own, so that one that is killed, because memory ran out say,
loses the item that it worked on and no other; another takes its place. All end with the process that started
them.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from ..base import machine
from ..base.progress import Stop
from ..errors import NetsoundsError, Stopped, WorkerError, remedy_for

T = TypeVar("T")
R = TypeVar("R")

_POLL_SECONDS = 0.5
# Environment variables that libraries take their number of threads from, when they are loaded.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_progress: Any = None  # in a worker process: shared with the pool, says how far its item is


class Processes:
    """Worker processes, each of which starts with its first item.

    Args:
        count: number of processes.
        threads: number of threads in each.
    """

    def __init__(self, count: int, threads: int) -> None:
        self._threads = threads
        self._spawn = multiprocessing.get_context("spawn")  # a fork would share torch's locked threads
        self._progresses = [self._spawn.Value("d", 0.0, lock=False) for _ in range(count)]
        self._pools = [self._new_pool(at) for at in range(count)]

    @property
    def workers(self) -> int:
        """Number of worker processes."""
        return len(self._pools)

    def under_way(self) -> float:
        """Return how far all items are that are worked on: the sum of what `report` was called with last."""
        return sum(float(progress.value) for progress in self._progresses)

    def as_completed(
        self, work: Callable[[T], R], items: Iterable[T], *, name: str, stop: Stop
    ) -> Iterator[tuple[T, R | NetsoundsError]]:
        """Call `work` with each item, in the worker processes.

        An item is taken from `items` when a process is free for it.

        Args:
            work: function that a worker process can import.
            items: its arguments.
            name: name of the work, which a cluster shows; not used here.
            stop: cancellation token.

        Yields:
            Each item with the result or with an error that a user can fix, in the order of completion.

        Raises:
            Stopped: the token was asked to stop.
        """
        waiting = iter(items)
        free = list(range(self.workers))
        running: dict[Future[R], tuple[int, T]] = {}
        while True:
            for item in islice(waiting, len(free)):
                at = free.pop()
                running[self._submit(at, work, item)] = at, item
            if not running:
                return
            ended, _ = wait(running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            if stop.asked:
                raise Stopped
            # asked in this order: a pool whose process was killed first tells its items, then ends its thread
            stuck = {
                future for future, (at, _) in running.items() if self._is_stuck(at) and not future.done()
            }
            for future in ended | stuck:
                at, item = running.pop(future)
                free.append(at)
                outcome: R | NetsoundsError = (
                    self._given_up(at) if future in stuck else self._outcome(future, at)
                )
                yield item, outcome

    def _submit(self, at: int, work: Callable[[T], R], item: T) -> Future[R]:
        try:
            return self._pools[at].submit(work, item)
        except BrokenProcessPool:  # it was killed while it waited
            self._pools[at] = self._new_pool(at)
            return self._pools[at].submit(work, item)

    def _outcome(self, future: Future[Any], at: int) -> Any:
        try:
            return future.result()
        except BrokenProcessPool:
            self._pools[at].shutdown(wait=False)
            self._pools[at] = self._new_pool(at)
            return WorkerError("its process was killed; if memory ran out, use fewer --jobs")
        except NetsoundsError as error:
            return error
        finally:
            self._progresses[at].value = 0.0

    def _is_stuck(self, at: int) -> bool:
        """Return whether a pool's own thread has died, where the system allows no further one.

        Then no item reaches its process, and `concurrent.futures` would wait for ever.
        """
        manager: Any = self._pools[at]._executor_manager_thread
        return manager is not None and not manager.is_alive()

    def _given_up(self, at: int) -> WorkerError:
        """Replace a pool that is stuck, and return its item's error."""
        _kill(self._pools[at])
        self._pools[at] = self._new_pool(at)
        return WorkerError(f"its process cannot be given work; {remedy_for(OSError(errno.EAGAIN, ''))}")

    def close(self, *, at_once: bool) -> None:
        """End the processes.

        Args:
            at_once: kill them; otherwise wait for the items that they work on.
        """
        if at_once:
            for pool in self._pools:
                _kill(pool)
        managers: list[Any] = [pool._executor_manager_thread for pool in self._pools]
        for pool in self._pools:  # all are told before one is waited for, so that they end side by side
            pool.shutdown(wait=False, cancel_futures=True)
        for manager in managers:
            if manager is not None:
                manager.join()

    def _new_pool(self, at: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            max_workers=1,
            mp_context=self._spawn,
            initializer=_start_worker,
            initargs=(self._progresses[at], self._threads),
        )


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        process.kill()


@contextmanager
def started(count: int, threads: int) -> Iterator[Processes]:
    """Start worker processes, and end them after the `with` block.

    An error that is no `NetsoundsError`, Ctrl-C among them, kills them; otherwise their items end first.

    Args:
        count: number of processes.
        threads: number of threads in each.

    Yields:
        The processes.
    """
    with machine.safe_imports():
        _start_quiet_tracker()
        processes = Processes(count, threads)
        try:
            yield processes
        except NetsoundsError:
            processes.close(at_once=False)
            raise
        except BaseException:
            processes.close(at_once=True)
            raise
        processes.close(at_once=False)


def _start_quiet_tracker() -> None:
    """Start multiprocessing's resource tracker without its warnings about killed processes."""
    before = os.environ.get("PYTHONWARNINGS")
    quiet = "ignore::UserWarning:multiprocessing.resource_tracker"
    os.environ["PYTHONWARNINGS"] = quiet if before is None else f"{before},{quiet}"
    try:
        resource_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


def report(done: float) -> None:
    """Tell the pool how far this worker process's item is; elsewhere do nothing."""
    if _progress is not None:
        _progress.value = done


@contextmanager
def importing() -> Iterator[None]:
    """Import as `machine.importing` does in a worker process of the pool; elsewhere, change nothing."""
    if _progress is None:
        yield
        return
    with machine.importing():
        yield


def _start_worker(progress: Any, threads: int) -> None:
    """Set up a worker process, before it imports anything large."""
    global _progress
    _progress = progress
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    # Ctrl-C in a terminal reaches all of its processes; the one that started these tells them what to do
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # a worker process waits for items on a pipe that it holds open itself, so it would wait for ever
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
