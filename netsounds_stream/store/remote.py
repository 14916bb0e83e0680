"""Stored activations in an object store, read by ranges; those that are due next are fetched before.

Shards put into an object store beside the work, a few at a time; here, or on a cluster's worker.
"""

from __future__ import annotations

import json
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ..errors import StoreError
from ..planning.plan import PUTS
from .arrays import UNREADABLE, Activations, activations_of
from .object_store import ObjectFolder
from .shards import MISSING, ShardedArray, check_length, index_bytes, shard_index, shard_path

# Indices kept: 4 kB each of a bank of 256 filters.
_INDICES = 1024
_Span = tuple[int, bytes]


class RemoteArray(ShardedArray):
    """Of the layout that `shards` writes. Until `connect` it knows its layout alone."""

    def connect(self, objects: ObjectFolder, name: str, pool: Executor | None) -> None:
        """Read it from `objects`, where it is called `name`; without a `pool` nothing is fetched ahead."""
        self._objects, self._name, self._pool = objects, PurePosixPath(name), pool
        self._indices: OrderedDict[int, NDArray[np.uint64]] = OrderedDict()
        self._coming: dict[tuple[int, int, int], Future[_Span]] = {}
        self._lock = threading.Lock()

    def expect(self, channels: slice, frames: slice) -> None:
        """Fetch these, which will be asked for soon and in one piece."""
        if self._pool is None:
            return
        step = self._plane[self._along - 1]
        for number in range(frames.start // step, -(-frames.stop // step)):
            key = number, channels.start, channels.stop
            with self._lock:
                if key not in self._coming:
                    self._coming[key] = self._pool.submit(self._fetch, number, range(*key[1:]))

    def check(self) -> None:
        for number in range(-(-self.shape[self._along] // self._plane[self._along - 1])):
            content, whole = self._objects.tail(self._object(number), index_bytes(self.shape[0]))
            index = shard_index(self._named(number), content, self.shape[0], whole)
            check_length(self._named(number), index, whole)

    def _contents(self, number: int, channels: range) -> Iterator[bytes | None]:
        with self._lock:
            coming = self._coming.pop((number, channels.start, channels.stop), None)
        first, content = self._fetch(number, channels) if coming is None else coming.result()
        index = self._index_of(number)
        for channel in channels:
            offset, length = (int(value) for value in index[channel])
            if offset == MISSING:
                yield None
                continue
            chunk = content[offset - first : offset - first + length]
            if len(chunk) != length:
                raise ValueError(f"{self._named(number)} is cut short")
            yield chunk

    def _fetch(self, number: int, channels: range) -> _Span:
        """The bytes from the first of these filters to the last, and where they begin."""
        index = self._index_of(number)[channels.start : channels.stop]
        there = index[index[:, 0] != MISSING]
        if not len(there):
            return 0, b""
        first, last = int(there[:, 0].min()), int((there[:, 0] + there[:, 1]).max())
        return first, self._objects.get_range(self._object(number), first, last)

    def _index_of(self, number: int) -> NDArray[np.uint64]:
        with self._lock:
            if (found := self._indices.get(number)) is not None:
                return found
        content, whole = self._objects.tail(self._object(number), index_bytes(self.shape[0]))
        index = shard_index(self._named(number), content, self.shape[0], whole)
        with self._lock:
            self._indices[number] = index
            while len(self._indices) > _INDICES:
                self._indices.popitem(last=False)
        return index

    def _object(self, number: int) -> str:
        return shard_path(self._name, "x" if self._along == 2 else "y", number).as_posix()

    def _named(self, number: int) -> str:
        return f"{self._objects.url}/{self._object(number)}"


def open_remote(
    objects: ObjectFolder,
    name: str,
    time_axis: str | None = None,
    *,
    pool: Executor | None = None,
    metadata: bytes | None = None,
) -> Activations:
    """The array `name` in `objects` for reading; ours by ranges, a zarr array of any other layout by zarr.

    Args:
        name: '' where `objects` is the array's own folder.
        pool: fetches what is due next.
        metadata: what its `zarr.json` holds, if that is known.

    Raises:
        StoreError: it is no array `[channel, y, x]` of finite floating-point numbers.
    """
    shown = f"{objects.url}/{name}".rstrip("/")
    content = metadata or objects.get(f"{name}/zarr.json".lstrip("/"))
    if content is None:
        raise StoreError(f"nothing at {shown}; give an activations .zarr array")
    try:
        described: Mapping[str, Any] = json.loads(content)
        attributes = dict(described.get("attributes", {}))
        ours = RemoteArray.recognise(Path(name), described) if "time_axis" in attributes else None
        if ours is not None:
            ours.connect(objects, name, pool)
            inside = described["codecs"][0]["configuration"]["chunk_shape"]
            return activations_of(ours, attributes, tuple(inside), time_axis, shown)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr version 3")
            opened = zarr.open_array(objects.for_zarr(name), mode="r")
        return activations_of(opened, dict(opened.attrs), tuple(opened.chunks), time_axis, shown)
    except UNREADABLE as error:
        reason = type(error).__name__
    raise StoreError(f"{shown} is not a zarr array ({reason}); give an activations .zarr array")


class ShardUploads:
    """See `store.UploadQueue`. What a put fails with comes out of the next call.

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

    def __enter__(self) -> ShardUploads:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
