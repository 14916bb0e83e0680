"""Worker pipelines: work on several threads at once, with a limit on the items in flight.

A `Pipeline` carries items through ordered stages. A worker takes the next item and carries it through every
stage, but never overtakes the item before it. While one worker has item 7 at a late stage, another has item 8
at an early one. Each stage sees the items in order and one at a time, and there are never more items in
flight than workers:

    stages     1        2        3        4
    worker A   .. 8 ->                 7  ..            8 waits where 7 still is
    worker B                     7 ->

Work that need not delay the items behind is *deferred*: the next worker to finish its item runs the deferred
tasks before it takes another item.

Each worker uses its share of the cores. torch splits an operation among OpenMP threads, which wait for one
another by spinning. If other programs run too, that delays everything: a thread with work to do waits for a
core on which another one spins. So workers, and the caller meanwhile, run operations on one thread as long as
there is a worker for each core.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from .device import own_stream

T = TypeVar("T")


class _Stopped(Exception):
    """Another worker has failed, or the caller was interrupted."""


class Pipeline:
    """Worker threads that carry items through ordered stages, as the module's text explains.

    Args:
        workers: number of threads, and so of items in flight.
        begin: called first on each worker thread.
        under_pressure: called before an item is taken. Each time it returns True, the number of items that
            may be in flight falls by one, down to one.

    Attributes:
        in_flight: number of items that may be in flight.
    """

    def __init__(
        self,
        workers: int,
        begin: Callable[[], None] = lambda: None,
        under_pressure: Callable[[], bool] = lambda: False,
    ) -> None:
        self._workers = workers
        self._begin = begin
        self._under_pressure = under_pressure
        self.in_flight = workers
        self._alive = 0  # items in flight at present
        self._deferred: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._ended = threading.Condition()  # apart: else each turn of a worker would wake the caller
        self._stopped = False

    def defer(self, job: Callable[[], None]) -> None:
        """Run `job` soon, on the next worker that finishes its item; call this from a stage's thread."""
        self._deferred.append(job)

    def run(
        self, items: Iterable[T], first: Callable[[T], Any], stages: Sequence[Callable[[Any], Any]]
    ) -> None:
        """Carry every item through `first`, concurrently and in any order, then through the stages in order.

        All items and deferred tasks are done when this returns.

        Args:
            items: consumed by one worker at a time.
            first: called with each item.
            stages: each is called with the result of the one before, `first` included.

        Raises:
            BaseException: the first error of any call, once the calls under way have returned; Ctrl-C
                likewise.
        """
        self._stopped = False
        self._alive = 0
        self._deferred.clear()  # an earlier call may have failed and left tasks
        numbered = enumerate(items)
        items_lock = threading.Lock()
        passed = [0] * len(stages)

        def work() -> None:
            self._begin()
            while True:
                self._run_deferred()
                self._admit()
                with items_lock:
                    numbered_item = next(numbered, None)
                if numbered_item is None:
                    self._finish_item()
                    return
                number = numbered_item[0]
                value = first(numbered_item[1])
                del numbered_item  # or the item would stay in memory through all stages
                for position, stage in enumerate(stages):
                    self._wait_for_turn(passed, position, number)
                    value = stage(value)
                    with self._changed:
                        passed[position] += 1
                        self._changed.notify_all()
                del value
                self._finish_item()

        self._run_threads(self._workers, work)
        self._run_threads(1, self._run_deferred)  # tasks that the last items deferred

    def _run_threads(self, count: int, work: Callable[[], None]) -> None:
        # Plain threads and a condition, because Ctrl-C during an executor's clean-up is lost, and during
        # Thread.join makes the next join return at once (CPython 3.11).
        errors: list[BaseException] = []
        threads = [threading.Thread(target=lambda: guarded(), name=f"worker-{n}") for n in range(count)]
        ended = 0

        def guarded() -> None:
            nonlocal ended
            try:
                work()
            except BaseException as error:  # noqa: BLE001  (raised again below)
                errors.append(error)
                self._stop()
            finally:
                with self._ended:
                    ended += 1
                    self._ended.notify_all()

        def wait_for_all() -> None:
            with self._ended:
                self._ended.wait_for(lambda: ended == sum(thread.ident is not None for thread in threads))

        try:
            for thread in threads:
                thread.start()
            wait_for_all()
        except BaseException:  # Ctrl-C, or the system cannot start another thread
            self._stop()
            while True:  # no thread may still use what the caller is about to clean up
                try:
                    wait_for_all()
                    break
                except KeyboardInterrupt:
                    continue
            raise
        for error in sorted(errors, key=lambda error: isinstance(error, _Stopped)):
            raise error

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _admit(self) -> None:
        under_pressure = self._under_pressure()
        with self._changed:
            if under_pressure:
                self.in_flight = max(1, self.in_flight - 1)
            self._changed.wait_for(lambda: self._stopped or self._alive < self.in_flight)
            if self._stopped:
                raise _Stopped
            self._alive += 1

    def _finish_item(self) -> None:
        with self._changed:
            self._alive -= 1
            self._changed.notify_all()

    def _wait_for_turn(self, passed: list[int], position: int, number: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or passed[position] == number)
            if self._stopped:
                raise _Stopped

    def _run_deferred(self) -> None:
        while True:
            if self._stopped:
                raise _Stopped
            try:
                job = self._deferred.popleft()
            except IndexError:
                return
            job()


def ahead(items: Iterable[T]) -> Generator[T]:
    """Yield the same items, computing the next one on another thread while the caller works on this one.

    Close the generator if it may not be exhausted. Otherwise the garbage collector does, on whichever thread
    it runs, and that thread waits for this one's.
    """
    iterator = iter(items)
    done = object()

    def take() -> object:
        return next(iterator, done)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead") as pool:
        upcoming = pool.submit(take)
        while (item := upcoming.result()) is not done:
            upcoming = pool.submit(take)
            yield item  # type: ignore[misc]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads, in the calling thread and in threads started meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def workers(
    count: int,
    threads_each: int,
    device: str = "cpu",
    under_pressure: Callable[[], bool] = lambda: False,
) -> Iterator[Pipeline]:
    """Open a pipeline of `count` workers.

    Args:
        count: number of worker threads.
        threads_each: threads that torch uses inside an operation, in each worker and, meanwhile, in the
            caller.
        device: name of the device. On a GPU each worker has a stream of its own, for work that needs no
            order.
        under_pressure: see `Pipeline`.

    Yields:
        The pipeline.
    """
    before = torch.get_num_threads()

    def begin() -> None:
        torch.set_num_threads(threads_each)
        own_stream(device)

    torch.set_num_threads(threads_each)
    try:
        yield Pipeline(count, begin, under_pressure)
    finally:
        torch.set_num_threads(before)  # later threads would inherit what the workers set
