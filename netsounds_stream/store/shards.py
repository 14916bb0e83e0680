"""Encoding and decoding of shards, by zarr v3's `sharding_indexed` codec.

    filter 0's chunk | filter 1's chunk | ... | index: (offset, length) per chunk | its CRC-32C
                                                 uint64 little-endian                uint32

The network emits frames with all filters side by side, while a chunk is the plane of one filter. Transposing
is most of the work besides the codec. A strided copy takes five times as long as what is done here: torch's
blocked two-dimensional transposition of some frequencies of some filters at a time, gathered into their
planes while they are in the cache. One thread makes a whole shard, so the same activations give the same
bytes. Any zarr library reads the shards. `ShardedArray` reads no other layout, but has nothing between the
file and the codec, and works on any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path, PurePath
from typing import Any, Self, TypeVar

import google_crc32c
import numcodecs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..planning.plan import TRANSPOSED_FILTERS

#: The compression level of each codec, here and in the array's metadata.
ZSTD_LEVEL = 1
PCODEC_LEVEL = 4
LZ4_LEVEL = 1

P = TypeVar("P", bound=PurePath)
Encode = Callable[[NDArray[np.float16]], bytes]
#: What holds an encoded chunk.
Buffer = bytes | memoryview
Decode = Callable[[Buffer, NDArray[np.float16]], object]

_INDEX_CODECS = ({"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"})
_UNFILLED = 0xFFFF  # as float16 a NaN, which activations never are
_TRANSPOSED_VALUES = 1 << 18  # values that are transposed at a time: half a MiB
_AT_ONCE = 1 << 20  # most bytes of several chunks that are read at once
#: Offset and length of a chunk that holds the fill value only.
MISSING = (1 << 64) - 1


def shard_path(array: P, time_axis: str, number: int) -> P:
    """Return the path of shard `number` along the time axis in the zarr array at `array`."""
    return array.joinpath("c", "0", *(("0", str(number)) if time_axis == "x" else (str(number), "0")))


def encoder(codec: str) -> Encode:
    """Return the function that encodes a chunk by `codec`: 'zstd', 'lz4', 'pcodec' or 'none'."""
    encode: Encode
    match codec:
        case "zstd":
            encode = numcodecs.Zstd(level=ZSTD_LEVEL).encode
        case "lz4":
            # Half of the values are zeros; shuffling bytes makes them larger and slower.
            encode = numcodecs.Blosc(cname="lz4", clevel=LZ4_LEVEL, shuffle=numcodecs.Blosc.NOSHUFFLE).encode
        case "pcodec":
            from numcodecs.pcodec import PCodec

            encode = PCodec(level=PCODEC_LEVEL).encode
        case _:
            assert codec == "none"
            encode = np.ndarray.tobytes
    return encode


def shard_pieces(parts: Sequence[Tensor], time_axis: str, encode: Encode) -> Iterator[bytes]:
    """Encode one shard.

    Args:
        parts: float16 `[frame, frequency, channel]`, contiguous; one after another along the channels.
        time_axis: 'x' makes each filter's plane `[frequency, frame]`, 'y' `[frame, frequency]`.
        encode: encodes a plane.

    Yields:
        The shard's bytes, to be written one after another.
    """
    index: list[tuple[int, int]] = []
    offset = 0
    for part in parts:
        for plane in _planes(part, time_axis):
            chunk = encode(plane)
            index.append((offset, len(chunk)))
            offset += len(chunk)
            yield chunk
    table = np.array(index, dtype="<u8").tobytes()
    yield table
    yield google_crc32c.value(table).to_bytes(4, "little")


def _planes(part: Tensor, time_axis: str) -> Iterator[NDArray[np.float16]]:
    """Transpose `[frame, frequency, channel]` and yield each filter's plane, contiguous."""
    for first in range(0, part.shape[2], TRANSPOSED_FILTERS):
        filters = part[:, :, first : first + TRANSPOSED_FILTERS]
        yield from (_frames_last(filters) if time_axis == "x" else _frames_first(filters)).numpy()


def _frames_last(filters: Tensor) -> Tensor:
    """Transpose `[frame, frequency, channel]` to `[channel, frequency, frame]`."""
    frames, frequencies, channels = filters.shape
    planes = torch.empty((channels, frequencies, frames), dtype=filters.dtype)
    step = max(1, _TRANSPOSED_VALUES // (frames * channels))
    for first in range(0, frequencies, step):
        block = filters[:, first : first + step].reshape(frames, -1)
        frames_last = _transposed(block).view(-1, channels, frames)
        planes[:, first : first + len(frames_last)] = frames_last.transpose(0, 1)
    return planes


def _frames_first(filters: Tensor) -> Tensor:
    """Transpose `[frame, frequency, channel]` to `[channel, frame, frequency]`."""
    frames, frequencies, channels = filters.shape
    planes = torch.empty((channels, frames, frequencies), dtype=filters.dtype)
    step = max(1, _TRANSPOSED_VALUES // (frequencies * channels))
    for first in range(0, frames, step):
        block = filters[first : first + step].reshape(-1, channels)
        planes[:, first : first + step] = _transposed(block).view(channels, -1, frequencies)
    return planes


def _transposed(matrix: Tensor) -> Tensor:
    # torch copies by blocks into a contiguous tensor of the same dtype; `.t().contiguous()` does not.
    return torch.empty(matrix.shape[::-1], dtype=matrix.dtype).copy_(matrix.t())


def _decoder(codecs: Sequence[Mapping[str, Any]]) -> Decode | None:
    """Return the function that decodes chunks encoded by `codecs`; None for codecs that are not used here."""
    decode: Decode | None = None
    first = codecs[0]
    if first["name"] == "bytes" and first.get("configuration") != {"endian": "little"}:
        return None
    match [codec["name"] for codec in codecs]:
        case ["bytes"]:
            decode = _copy
        case ["bytes", "blosc"]:
            decode = numcodecs.Blosc().decode
        case ["bytes", "zstd"]:
            decode = numcodecs.Zstd().decode
        case ["numcodecs.pcodec"]:
            from numcodecs.pcodec import PCodec

            decode = PCodec().decode
    return decode


def _copy(content: Buffer, out: NDArray[np.float16]) -> None:
    out[...] = np.frombuffer(content, "<f2").reshape(out.shape)


class ShardedArray:
    """A stored array of the layout that `shard_pieces` writes, for reading: float16 `[channel, y, x]`.

    Args:
        path: the array's folder.
        shape: `[channel, y, x]`.
        plane: height and width of a chunk.
        decode: decodes a chunk.
    """

    dtype = np.dtype("<f2")
    ndim = 3

    def __init__(self, path: Path, shape: tuple[int, ...], plane: tuple[int, int], decode: Decode) -> None:
        self.shape = shape
        self._path = path
        self._plane = plane
        self._decode = decode
        self._sharded_axis = 2 if plane[0] >= shape[1] else 1

    @classmethod
    def recognise(cls, path: Path, metadata: Mapping[str, Any]) -> Self | None:
        """Open the array at `path` if its metadata describe this layout.

        Args:
            path: the array's folder.
            metadata: the content of its `zarr.json`.

        Returns:
            The array, or None if its layout is another.
        """
        shape = tuple(metadata["shape"])
        codecs = tuple(metadata["codecs"])
        grid = metadata["chunk_grid"]
        default_keys = {"name": "default", "configuration": {"separator": "/"}}
        if len(shape) != 3 or metadata["data_type"] != "float16" or metadata["fill_value"] != 0:
            return None
        if grid["name"] != "regular" or metadata["chunk_key_encoding"] != default_keys:
            return None
        if len(codecs) != 1 or codecs[0]["name"] != "sharding_indexed":
            return None
        shard = tuple(grid["configuration"]["chunk_shape"])
        sharding = codecs[0]["configuration"]
        plane = tuple(sharding["chunk_shape"])[1:]
        decode = _decoder(sharding["codecs"])
        same = shard == (shape[0], *plane) and sharding["chunk_shape"][0] == 1
        same &= plane[0] >= shape[1] or plane[1] >= shape[2]  # cut along one axis only
        same &= tuple(sharding["index_codecs"]) == _INDEX_CODECS and sharding["index_location"] == "end"
        return cls(path, shape, (plane[0], plane[1]), decode) if same and decode is not None else None

    def __getitem__(self, index: tuple[slice, ...]) -> NDArray[np.float16]:
        """Read `array[channels, y, x]` by slices of step 1; the last slices may be left out.

        Returns:
            float16 `[channel, y, x]`.

        Raises:
            OSError: a shard is missing or cannot be read.
            ValueError: a shard is damaged.
        """
        ranges = [
            range(*part.indices(length))
            for part, length in zip((*index, slice(None), slice(None)), self.shape, strict=False)
        ]
        out = np.empty([len(part) for part in ranges], self.dtype)
        step = self._shard_length
        span = ranges[self._sharded_axis]
        for number in self._shards_of(span.start, span.stop):
            first = max(span.start, number * step)
            last = min(span.stop, (number + 1) * step)
            source = [slice(part.start, part.stop) for part in ranges[1:]]
            source[self._sharded_axis - 1] = slice(first - number * step, last - number * step)
            target = [slice(None)] * 2
            target[self._sharded_axis - 1] = slice(first - span.start, last - span.start)
            self._read_shard(number, ranges[0], tuple(source), out[(slice(None), *target)])
        return out

    @property
    def _shard_length(self) -> int:
        """Frames in a shard."""
        return self._plane[self._sharded_axis - 1]

    def _shards_of(self, start: int, stop: int) -> range:
        """Return the numbers of the shards that hold the frames from `start` to `stop`."""
        return range(start // self._shard_length, -(-stop // self._shard_length))

    def _read_shard(
        self, number: int, channels: range, source: tuple[slice, ...], out: NDArray[np.float16]
    ) -> None:
        """Read some filters of a shard, its part `source` (y, x), into `out`."""
        in_place = out.shape[1:] == self._plane and out.flags.c_contiguous
        scratch = np.empty(self._plane, self.dtype)
        name = self._shard_name(number)
        for channel, plane, content in zip(channels, out, self._contents(number, channels), strict=True):
            if content is None:
                plane[...] = 0
                continue
            target = plane if in_place else scratch
            # Codecs fill from the front and accept too little data: the last value shows it.
            target.view("<u2")[-1, -1] = _UNFILLED
            try:
                self._decode(content, target)
            except (RuntimeError, ValueError, TypeError) as error:  # the codecs' errors
                raise ValueError(
                    f"{name} is damaged: filter {channel} cannot be decoded ({error})"
                ) from error
            if target.view("<u2")[-1, -1] >> 8 == _UNFILLED >> 8:
                raise ValueError(f"{name} is damaged: filter {channel} is too short")
            if not in_place:
                plane[...] = scratch[source]

    def _shard_name(self, number: int) -> str:
        """Return the name of a shard for errors."""
        return str(self._shard_within(self._path, number))

    def _shard_within(self, array: P, number: int) -> P:
        """Return the path of a shard in the array at `array`."""
        return shard_path(array, "x" if self._sharded_axis == 2 else "y", number)

    def _contents(self, number: int, channels: range) -> Iterator[Buffer | None]:
        """Read a shard's chunks, several of them at once.

        Yields:
            Each filter's encoded chunk; None where all of it is the fill value.
        """
        with self._shard_within(self._path, number).open("rb", buffering=0) as file:
            index = self._read_index(file)[channels.start : channels.stop].tolist()
            content = memoryview(b"")
            first = 0  # where `content` begins
            for position, (offset, length) in enumerate(index):
                if offset == MISSING:
                    yield None
                    continue
                if not first <= offset <= offset + length <= first + len(content):
                    first = offset
                    file.seek(first)
                    content = memoryview(file.read(_span(index[position:])))
                    if len(content) < length:
                        raise ValueError(f"{file.name} is cut short")
                yield content[offset - first : offset - first + length]

    def _read_index(self, file: FileIO) -> NDArray[np.uint64]:
        shard_bytes = file.seek(0, 2)
        size = index_bytes(self.shape[0])
        file.seek(max(0, shard_bytes - size))
        return shard_index(str(file.name), file.read(size), self.shape[0], shard_bytes)

    def check(self) -> None:
        """Check that every shard is there and as long as its index says; no filter is decoded.

        Raises:
            OSError: a shard is missing or cannot be read.
            ValueError: a shard is damaged.
        """
        for number in self._shards_of(0, self.shape[self._sharded_axis]):
            with self._shard_within(self._path, number).open("rb", buffering=0) as file:
                index = self._read_index(file)
                check_length(str(file.name), index, file.seek(0, 2))


def _span(chunks: Sequence[tuple[int, int]]) -> int:
    """Return how many bytes hold the first of these chunks and, up to `_AT_ONCE`, those right behind it.

    Args:
        chunks: offset and length of each.
    """
    start, end = chunks[0][0], sum(chunks[0])
    for offset, length in chunks[1:]:
        if offset != end or end + length - start > _AT_ONCE:
            break
        end += length
    return int(end - start)


def index_bytes(channels: int) -> int:
    """Return the length of a shard's index with its checksum."""
    return 16 * channels + 4


def shard_index(name: str, content: bytes, channels: int, shard_bytes: int) -> NDArray[np.uint64]:
    """Parse a shard's index and check it.

    Args:
        name: the shard's name in errors.
        content: the shard's last `index_bytes`.
        channels: number of filters.
        shard_bytes: length of the shard.

    Returns:
        uint64 `[filter, (offset, length)]`.

    Raises:
        ValueError: the shard is damaged.
    """
    size = 16 * channels
    if shard_bytes < size + 4 or len(content) < size + 4:
        raise ValueError(f"{name} is cut short")
    if google_crc32c.value(content[:size]) != int.from_bytes(content[size:], "little"):
        raise ValueError(f"{name} is damaged: its index does not match its checksum")
    index = np.frombuffer(content[:size], "<u8").reshape(-1, 2)
    offsets, lengths = index[index[:, 0] != MISSING].T
    end = np.uint64(shard_bytes - size - 4)
    if (offsets > end).any() or (lengths > end - np.minimum(offsets, end)).any():
        raise ValueError(f"{name} is damaged: its index points past its end")
    return index


def check_length(name: str, index: NDArray[np.uint64], shard_bytes: int) -> None:
    """Check that a shard is as long as its index says.

    Raises:
        ValueError: its length differs.
    """
    chunks = index[index[:, 0] != MISSING]
    expected = int((chunks[:, 0] + chunks[:, 1]).max(initial=0)) + index_bytes(len(index))
    if shard_bytes != expected:
        raise ValueError(f"{name} is damaged: it is not the {expected} bytes that its index says")
