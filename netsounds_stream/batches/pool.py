"""This machine's own processes, and work done in them: as on a cluster, without one.

Each has a pool of its own (`concurrent.futures`), so that one that dies, for want of memory say, takes the
item with it that it worked on, and no other; it is replaced. They end with the process that began them.
"""

from __future__ import annotations

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

from ..base.progress import Stop
from ..errors import NetsoundsError, Stopped, WorkerError

T = TypeVar("T")
R = TypeVar("R")

_LOOK_UP_SECONDS = 0.5
# What libraries ask for their number of threads, when they are loaded.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_slot: Any = None  # in a process of a pool: where it says how far its item is


class Processes:
    """So many processes, until they are closed. They begin with the first item.

    Args:
        threads: of each.
    """

    def __init__(self, count: int, threads: int) -> None:
        self._threads = threads
        self._spawn = multiprocessing.get_context("spawn")  # a fork would share torch's locked threads
        self._pools: list[ProcessPoolExecutor] = []
        self._slots = [self._spawn.Value("d", 0.0, lock=False) for _ in range(count)]
        self._pools = [self._pool(at) for at in range(count)]

    @property
    def workers(self) -> int:
        """How many there are."""
        return len(self._pools)

    def under_way(self) -> float:
        """The sum of what `say` was told last in each."""
        return sum(float(slot.value) for slot in self._slots)

    def each(
        self, work: Callable[[T], R], items: Iterable[T], *, name: str, stop: Stop
    ) -> Iterator[tuple[T, R | NetsoundsError]]:
        """Every item with what `work` gave for it, or with the error that a user can mend, as they end.

        Items are taken as processes are free for them.

        Args:
            name: as on a cluster; nothing shows it here.

        Raises:
            Stopped: it was asked.
        """
        waiting = iter(items)
        free = list(range(self.workers))
        running: dict[Future[R], tuple[int, T]] = {}
        while True:
            for item in islice(waiting, len(free)):
                at = free.pop()
                running[self._begun(at, work, item)] = at, item
            if not running:
                return
            ended, _ = wait(running, timeout=_LOOK_UP_SECONDS, return_when=FIRST_COMPLETED)
            if stop.asked:
                raise Stopped
            for future in ended:
                at, item = running.pop(future)
                free.append(at)
                outcome: R | NetsoundsError = self._outcome(future, at)
                yield item, outcome

    def _begun(self, at: int, work: Callable[[T], R], item: T) -> Future[R]:
        try:
            return self._pools[at].submit(work, item)
        except BrokenProcessPool:  # it died with nothing to do
            self._pools[at] = self._pool(at)
            return self._pools[at].submit(work, item)

    def _outcome(self, future: Future[Any], at: int) -> Any:
        try:
            return future.result()
        except BrokenProcessPool:
            self._pools[at].shutdown(wait=False)
            self._pools[at] = self._pool(at)
            return WorkerError("its process was killed; if memory ran out, use fewer --jobs")
        except NetsoundsError as error:
            return error
        finally:
            self._slots[at].value = 0.0

    def close(self, *, at_once: bool) -> None:
        """End the processes: when what is under way has ended, or at once."""
        if at_once:
            for pool in self._pools:
                for process in list((pool._processes or {}).values()):
                    process.kill()
        for pool in self._pools:
            pool.shutdown(wait=True, cancel_futures=True)

    def _pool(self, at: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            max_workers=1,
            mp_context=self._spawn,
            initializer=_begin,
            initargs=(self._slots[at], self._threads),
        )


@contextmanager
def started(count: int, threads: int) -> Iterator[Processes]:
    """Processes for a while. An error that nobody words, Ctrl-C among them, ends them at once."""
    _hush_tracker()
    made = Processes(count, threads)
    try:
        yield made
    except NetsoundsError:
        made.close(at_once=False)
        raise
    except BaseException:
        made.close(at_once=True)
        raise
    made.close(at_once=False)


def _hush_tracker() -> None:
    """Begin the process that clears away after killed ones  without a word."""
    before, quiet = os.environ.get("PYTHONWARNINGS"), "ignore::UserWarning:multiprocessing.resource_tracker"
    os.environ["PYTHONWARNINGS"] = quiet if before is None else f"{before},{quiet}"
    try:
        resource_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


def say(done: float) -> None:
    """In a process of a pool: how far its item is. Elsewhere nothing."""
    if _slot is not None:
        _slot.value = done


def _begin(slot: Any, threads: int) -> None:
    """What a process does first, before anything large is imported."""
    global _slot
    _slot = slot
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    # Ctrl-C in a terminal goes to all of its processes; the one that began these tells them what to do
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A pool's process waits for work on a pipe that it holds open itself: it would wait for ever.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
