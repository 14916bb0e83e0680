"""Shards put into an object store beside the work, a few at a time; here, or on a cluster's worker."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from .objects import ObjectFolder
from .planning.plan import PUTS


class ShardPuts:
    """See `store.Putting`. What a put fails with comes out of the next call.

    Args:
        require: called before each put; it raises where that is not wanted any more.
    """

    def __init__(self, objects: ObjectFolder, require: Callable[[], None] = lambda: None) -> None:
        self._objects, self._require = objects, require
        self._threads, self._free = ThreadPoolExecutor(PUTS, "put"), threading.BoundedSemaphore(PUTS)
        self._failure: BaseException | None = None

    def put_later(self, name: str, content: bytes, then: Callable[[], None]) -> None:
        """Put `content`, and call `then` when that is acknowledged; waits while too many are under way."""
        self._free.acquire()

        def put() -> None:
            try:
                self._require()
                self._objects.put(name, content)
                then()
            except BaseException as error:  # noqa: BLE001  (raised again in `check`)
                self._failure = error
            finally:
                self._free.release()

        try:
            self.check()
            self._threads.submit(put)
        except BaseException:
            self._free.release()
            raise

    def check(self) -> None:
        """Raise what a put has failed with."""
        if self._failure is not None:
            raise self._failure

    def wait(self) -> None:
        """Until none is under way."""
        for _ in range(PUTS):
            self._free.acquire()
        for _ in range(PUTS):
            self._free.release()
        self.check()

    def close(self) -> None:
        """Begin none any more."""
        self._threads.shutdown(cancel_futures=True)

    def __enter__(self) -> ShardPuts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
