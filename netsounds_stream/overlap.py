"""Work done beside the main thread, with a bound on what waits. Knows nothing of what the work is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")


class Beside:
    """One background thread. `submit` waits until the job before is done.

    The first job that raises stops the rest; its error comes out of the next `submit`, or of leaving the
    `with` block. So never more than one job's arguments are alive besides the caller's own.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._room = threading.Semaphore(1)
        self._failed: BaseException | None = None

    def __enter__(self) -> Beside:
        return self

    def submit(self, job: Callable[[], None]) -> None:
        """Run `job` after those before it."""
        self._room.acquire()
        if self._failed is not None:
            self._room.release()
            raise self._failed
        self._pool.submit(self._guarded, job).add_done_callback(self._done)

    def run(self, job: Callable[[], T]) -> T:
        """Run `job` there and wait for it: Ctrl-C ends the wait, never the job half done."""
        return self._pool.submit(job).result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is None and self._failed is not None:
            raise self._failed

    def _guarded(self, job: Callable[[], None]) -> None:
        if self._failed is None:
            job()

    def _done(self, future: Future[None]) -> None:
        if not future.cancelled() and self._failed is None:
            self._failed = future.exception()
        self._room.release()


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, the next one being made on another thread while the caller works on this one."""
    iterator = iter(items)
    done = object()

    def take() -> object:
        return next(iterator, done)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead") as pool:
        upcoming = pool.submit(take)
        while (item := upcoming.result()) is not done:
            upcoming = pool.submit(take)
            yield item  # type: ignore[misc]
