"""Worker pipelines: work on several threads at once, with a limit on the items in flight.

A `Pipeline` carries items through ordered stages. A worker takes the next item and carries it through all of
them, never past the item before it. So while one worker has item 7 at a late stage, another has item 8 at an
early one; each stage sees the items in order and one at a time, and no more items are alive than there are
workers:

    stages     1        2        3        4
    worker A   .. 8 ->                 7  ..            8 waits where 7 still is
    worker B                     7 ->

Work that need not hold up the items behind is *deferred*: whichever worker next finishes its item runs the
deferred tasks before it takes another.

Each worker uses its share of the cores. torch splits an operation among OpenMP threads, which wait for one
another by spinning. Beside other programs that holds up everyone: a thread that has work waits for a core on
which another one spins. So workers, and the caller meanwhile, split nothing as long as there is a worker for
each core.
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
    """A few worker threads that carry items through stages; see the module's text.

    Args:
        workers: number of threads, and so of items in flight.
        begin: called first on each worker thread.
        under_pressure: asked before an item is taken. Where it returns True, one item fewer may be in flight
            from then on, down to one.

    Attributes:
        in_flight: how many items may be in flight.
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
        self._alive = 0  # items in flight now
        self._deferred: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._stopped = False

    def defer(self, job: Callable[[], None]) -> None:
        """Run `job` soon, on a worker that has finished its item. Call it on a stage's thread."""
        self._deferred.append(job)

    def run(
        self, items: Iterable[T], first: Callable[[T], Any], stages: Sequence[Callable[[Any], Any]]
    ) -> None:
        """Carry every item through `first`, in any order and side by side, then through the stages.

        Each stage takes what the one before it returned. All items and deferred tasks are done when this
        returns. The first error stops the rest and is raised here; so is Ctrl-C, after the calls under way.
        """
        self._stopped = False
        self._alive = 0
        self._deferred.clear()  # of a run that failed
        numbered = enumerate(items)
        taking = threading.Lock()
        passed = [0] * len(stages)

        def work() -> None:
            self._begin()
            while True:
                self._run_deferred()
                self._admit()
                with taking:
                    taken = next(numbered, None)
                if taken is None:
                    self._finish_item()
                    return
                number, value = taken[0], first(taken[1])
                del taken
                for place, stage in enumerate(stages):
                    self._wait_for_turn(passed, place, number)
                    value = stage(value)
                    with self._changed:
                        passed[place] += 1
                        self._changed.notify_all()
                del value
                self._finish_item()

        self._run_threads(self._workers, work)
        self._run_threads(1, self._run_deferred)  # what the last items left behind

    def _run_threads(self, count: int, work: Callable[[], None]) -> None:
        # Plain threads, and a condition to wait for them: a Ctrl-C that meets an executor's clean-up is
        # lost in it, and one that meets Thread.join makes the next join return at once (CPython 3.11).
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
                with self._changed:
                    ended += 1
                    self._changed.notify_all()

        def wait_for_all() -> None:
            with self._changed:
                self._changed.wait_for(lambda: ended == sum(each.ident is not None for each in threads))

        try:
            for thread in threads:
                thread.start()
            wait_for_all()
        except BaseException:  # Ctrl-C, or no room for another thread
            self._stop()
            while True:  # nothing may work on in what the caller now clears away
                try:
                    wait_for_all()
                    break
                except KeyboardInterrupt:
                    continue
            raise
        for error in sorted(errors, key=lambda each: isinstance(each, _Stopped)):
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

    def _wait_for_turn(self, passed: list[int], place: int, number: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or passed[place] == number)
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
    """Yield the same items, making the next one on another thread while the caller works on this one.

    Close it where it may not be used up: left to the garbage collector, it would wait for its thread in
    whichever thread the collector runs.
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
    """Let the calling thread's torch, and threads begun meanwhile, use `count` threads."""
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

    torch uses `threads_each` threads in each of them, and in the calling thread meanwhile. On a GPU named
    `device` each worker has a stream of its own, for work that needs no order. Where memory is
    `under_pressure`, fewer items are in flight.
    """
    before = torch.get_num_threads()

    def begin() -> None:
        torch.set_num_threads(threads_each)
        own_stream(device)

    torch.set_num_threads(threads_each)
    try:
        yield Pipeline(count, begin, under_pressure)
    finally:
        torch.set_num_threads(before)  # what a worker sets, threads made later would take over
