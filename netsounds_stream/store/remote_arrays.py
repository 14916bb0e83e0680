"""Stored activations in an object store, read by byte ranges, with prefetching of the blocks due next."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ..errors import StoreError
from .arrays import UNREADABLE, Activations, activations_of, pcodec_accepted
from .object_store import ObjectFolder
from .shards import MISSING, ShardedArray, check_length, index_bytes, shard_index

# Shard indices in the cache: 4 kB each for a bank of 256 filters.
_INDICES = 1024
#: Neighbouring chunks of a shard: where they begin in it, and their bytes.
_Span = tuple[int, bytes]


class RemoteArray(ShardedArray):
    """An array in an object store, of the layout that `shards` writes.

    `recognise` makes it from the array's metadata; call `connect` before anything is read.
    """

    def connect(self, objects: ObjectFolder, name: str, pool: Executor | None) -> None:
        """Set the object store to read from.

        Args:
            objects: the folder of objects.
            name: the array's name in it.
            pool: runs prefetches; None prefetches nothing.
        """
        self._objects = objects
        self._name = PurePosixPath(name)
        self._pool = pool
        self._indices: OrderedDict[int, NDArray[np.uint64]] = OrderedDict()
        self._prefetches: dict[tuple[int, int, int], Future[_Span]] = {}
        self._lock = threading.Lock()

    def prefetch(self, channels: slice, frames: slice) -> None:
        """Start fetching a block that will be read soon, and in one piece."""
        if self._pool is None:
            return
        for number in self._shards_of(frames.start, frames.stop):
            key = number, channels.start, channels.stop
            with self._lock:
                if key not in self._prefetches:
                    self._prefetches[key] = self._pool.submit(self._fetch, number, range(*key[1:]))

    def check(self) -> None:
        """Check that every shard is there and as long as its index says; only indices are fetched.

        Raises:
            FileNotFoundError: a shard is missing.
            ValueError: a shard is damaged.
        """
        for number in self._shards_of(0, self.shape[self._sharded_axis]):
            index, shard_bytes = self._fetch_index(number)
            check_length(self._shard_name(number), index, shard_bytes)

    def _contents(self, number: int, channels: range) -> Iterator[bytes | None]:
        with self._lock:
            prefetch = self._prefetches.pop((number, channels.start, channels.stop), None)
        first, content = self._fetch(number, channels) if prefetch is None else prefetch.result()
        index = self._index_of(number)
        for channel in channels:
            offset, length = (int(value) for value in index[channel])
            if offset == MISSING:
                yield None
                continue
            chunk = content[offset - first : offset - first + length]
            if len(chunk) != length:
                raise ValueError(f"{self._shard_name(number)} is cut short")
            yield chunk

    def _fetch(self, number: int, channels: range) -> _Span:
        """Fetch a shard's bytes from the first of these filters to the last, in one request."""
        index = self._index_of(number)[channels.start : channels.stop]
        chunks = index[index[:, 0] != MISSING]
        if not len(chunks):
            return 0, b""
        first = int(chunks[:, 0].min())
        last = int((chunks[:, 0] + chunks[:, 1]).max())
        return first, self._objects.get_range(self._object(number), first, last)

    def _index_of(self, number: int) -> NDArray[np.uint64]:
        """Return a shard's index, from the cache or fetched."""
        with self._lock:
            if (cached := self._indices.get(number)) is not None:
                return cached
        index, _ = self._fetch_index(number)
        with self._lock:
            self._indices[number] = index
            while len(self._indices) > _INDICES:
                self._indices.popitem(last=False)
        return index

    def _fetch_index(self, number: int) -> tuple[NDArray[np.uint64], int]:
        """Fetch a shard's index, and its length in bytes."""
        content, shard_bytes = self._objects.tail(self._object(number), index_bytes(self.shape[0]))
        return shard_index(self._shard_name(number), content, self.shape[0], shard_bytes), shard_bytes

    def _object(self, number: int) -> str:
        return self._shard_within(self._name, number).as_posix()

    def _shard_name(self, number: int) -> str:
        return f"{self._objects.url}/{self._object(number)}"


def open_remote(
    objects: ObjectFolder,
    name: str,
    time_axis: str | None = None,
    *,
    pool: Executor | None = None,
    metadata: bytes | None = None,
) -> Activations:
    """Open an array in an object store for reading.

    An array that this package wrote is read by ranges, one of any other layout by zarr.

    Args:
        objects: the folder of objects.
        name: the array's name in it; '' if `objects` is the array's own folder.
        time_axis: 'x' or 'y'. None takes the axis from the array's attributes, else its long edge.
        pool: prefetches the blocks that are due next.
        metadata: the content of the array's `zarr.json`, if it is known.

    Returns:
        The activations.

    Raises:
        StoreError: it is not an array `[channel, y, x]` of floating-point numbers.
    """
    shown = f"{objects.url}/{name}".rstrip("/")
    content = metadata or objects.get(f"{name}/zarr.json".lstrip("/"))
    if content is None:
        raise StoreError(f"nothing at {shown}; give an activations .zarr array")
    try:
        described: Mapping[str, Any] = json.loads(content)
        attributes = dict(described.get("attributes", {}))
        sharded = RemoteArray.recognise(Path(name), described) if "time_axis" in attributes else None
        if sharded is not None:
            sharded.connect(objects, name, pool)
            chunk_shape = described["codecs"][0]["configuration"]["chunk_shape"]
            return activations_of(sharded, attributes, tuple(chunk_shape), time_axis, shown)
        with pcodec_accepted():
            opened = zarr.open_array(objects.for_zarr(name), mode="r")
        return activations_of(opened, dict(opened.attrs), tuple(opened.chunks), time_axis, shown)
    except UNREADABLE as error:
        reason = type(error).__name__
    raise StoreError(f"{shown} is not a zarr array ({reason}); give an activations .zarr array")
