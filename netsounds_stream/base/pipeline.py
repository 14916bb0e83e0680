"""Work on several threads at once, with a bound on what is under way. Knows nothing of what the work is.

`Line` carries items through ordered stations: a worker takes the next item and carries it through all of
them, never past the item before it. So while one worker has item 7 at a late station, another has item 8
at an early one, each station still sees the items in order and one at a time, and no more items are alive
than there are workers:

    stations   1        2        3        4
    worker A   .. 8 ->                 7  ..            8 waits where 7 still is
    worker B                     7 ->

What is left to do on the way, without holding up those behind, is an *errand*: whichever worker next lays
down its item does the errands that wait before it takes another.

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


class Line:
    """A few worker threads that carry items through stations; see the module's text.

    Args:
        workers: how many threads, and so how many items under way.
        begin: called first on each worker thread.
        strained: asked before an item is taken; where it is True, one item fewer is under way from then on,
            down to one.

    Attributes:
        width: how many items may be under way.
    """

    def __init__(
        self,
        workers: int,
        begin: Callable[[], None] = lambda: None,
        strained: Callable[[], bool] = lambda: False,
    ) -> None:
        self._workers, self._begin, self._strained = workers, begin, strained
        self.width, self._under_way = workers, 0
        self._errands: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._stopped = False

    def errand(self, job: Callable[[], None]) -> None:
        """Have `job` done soon, by a worker that has laid down its item. From a station's thread."""
        self._errands.append(job)

    def run(
        self, items: Iterable[T], first: Callable[[T], Any], stations: Sequence[Callable[[Any], Any]]
    ) -> None:
        """Carry every item through `first`, in any order and side by side, then through the stations.

        Each station takes what the one before it gave. Returns when all items and errands are done. The
        first error stops the rest and comes out here; so does Ctrl-C, after the steps under way.
        """
        self._stopped, self._under_way = False, 0
        self._errands.clear()  # of a run that failed
        numbered = enumerate(items)
        taking = threading.Lock()
        passed = [0] * len(stations)

        def work() -> None:
            self._begin()
            while True:
                self._do_errands()
                self._make_room()
                with taking:
                    taken = next(numbered, None)
                if taken is None:
                    self._lay_down()
                    return
                number, value = taken[0], first(taken[1])
                del taken
                for place, station in enumerate(stations):
                    self._wait_for_turn(passed, place, number)
                    value = station(value)
                    with self._changed:
                        passed[place] += 1
                        self._changed.notify_all()
                del value
                self._lay_down()

        self._on_threads(self._workers, work)
        self._on_threads(1, self._do_errands)  # what the last items left behind

    def _on_threads(self, count: int, work: Callable[[], None]) -> None:
        # Plain threads, and a condition to wait for them: a Ctrl-C that meets an executor's clean-up is
        # lost in it, and one that meets Thread.join makes the next join return at once (CPython 3.11).
        errors: list[BaseException] = []
        threads = [threading.Thread(target=lambda: guarded(), name=f"line-{n}") for n in range(count)]
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

    def _make_room(self) -> None:
        strained = self._strained()
        with self._changed:
            if strained:
                self.width = max(1, self.width - 1)
            self._changed.wait_for(lambda: self._stopped or self._under_way < self.width)
            if self._stopped:
                raise _Stopped
            self._under_way += 1

    def _lay_down(self) -> None:
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def _wait_for_turn(self, passed: list[int], place: int, number: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or passed[place] == number)
            if self._stopped:
                raise _Stopped

    def _do_errands(self) -> None:
        while True:
            if self._stopped:
                raise _Stopped
            try:
                job = self._errands.popleft()
            except IndexError:
                return
            job()


def ahead(items: Iterable[T]) -> Generator[T]:
    """The same items, the next one being made on another thread while the caller works on this one.

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
    """The calling thread's torch uses so many for a while, and what that begins."""
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
    strained: Callable[[], bool] = lambda: False,
) -> Iterator[Line]:
    """Open a line of workers whose torch uses so many threads each, as does the caller's for that while.

    On a GPU named `device` each has a stream of its own, for work that needs no order. Where memory is
    `strained` fewer work at a time.
    """
    before = torch.get_num_threads()

    def begin() -> None:
        torch.set_num_threads(threads_each)
        own_stream(device)

    torch.set_num_threads(threads_each)
    try:
        yield Line(count, begin, strained)
    finally:
        torch.set_num_threads(before)  # what a worker sets, threads made later would take over
