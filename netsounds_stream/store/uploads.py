"""The upload of shards to an object store, a few at a time in the background.

The main process uses it, and so do the workers of a cluster.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from ..planning.plan import PUTS
from .object_store import ObjectFolder


class ShardUploads:
    """An `UploadQueue` on threads of its own. The next call raises the error of a failed upload.

    Args:
        objects: the folder of objects.
        require: called before each upload; it raises if the upload is no longer wanted.
    """

    def __init__(self, objects: ObjectFolder, require: Callable[[], None] = lambda: None) -> None:
        self._objects = objects
        self._require = require
        self._threads = ThreadPoolExecutor(PUTS, "put")
        self._free = threading.BoundedSemaphore(PUTS)
        self._failure: BaseException | None = None

    def put_later(self, name: str, content: bytes, then: Callable[[], None]) -> None:
        """Upload an object in the background; waits while too many uploads are in flight.

        Args:
            name: the object's name.
            content: its bytes.
            then: called once the store has acknowledged the object.
        """
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
        """Raise the error of a failed upload, if there is one."""
        if self._failure is not None:
            raise self._failure

    def wait(self) -> None:
        """Wait until no upload is in flight, then `check`."""
        for _ in range(PUTS):
            self._free.acquire()
        for _ in range(PUTS):
            self._free.release()
        self.check()

    def close(self) -> None:
        """Cancel the uploads that have not started, and wait for the others."""
        self._threads.shutdown(cancel_futures=True)

    def __enter__(self) -> ShardUploads:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
