"""A shard's bytes, out and in: a codec a filter, an index. By zarr v3's `sharding_indexed` codec.

    filter 0's chunk | filter 1's chunk | ... | index: (offset, length) a chunk | its CRC-32C
                                                 uint64 little-endian              uint32

The network gives frames with all filters side by side, a chunk is one filter's plane. Turning one into the
other is most of the work besides the codec, and a strided copy is four times as slow as what is done here:
torch's blocked two-dimensional transposition, then each filter's plane gathered while it is encoded. One
thread makes a shard from first to last, so the same activations give the same bytes. Any zarr library reads
them; what is here reads these alone, with nothing between the file and the codec, from any thread.
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

#: How hard each codec tries, here and in the array's metadata.
ZSTD_LEVEL, PCODEC_LEVEL, LZ4_LEVEL = 1, 4, 1

P = TypeVar("P", bound=PurePath)
Encode = Callable[[NDArray[np.float16]], bytes]
Decode = Callable[[bytes, NDArray[np.float16]], object]

_INDEX_CODECS = ({"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"})
_UNFILLED = 0xFFFF  # as a float16 NaN, which activations have none of
#: Offset and length of a chunk that holds the fill value only.
MISSING = (1 << 64) - 1


def shard_path(array: P, time_axis: str, number: int) -> P:
    """Where shard `number` along the time axis lies in the zarr array at `array`."""
    return array.joinpath("c", "0", *(("0", str(number)) if time_axis == "x" else (str(number), "0")))


def encoder(codec: str) -> Encode:
    """How `codec` turns a chunk into bytes."""
    encode: Encode
    match codec:
        case "zstd":
            encode = numcodecs.Zstd(level=ZSTD_LEVEL).encode
        case "lz4":
            # Half of the values are zeros, which shuffling bytes apart makes larger and slower.
            encode = numcodecs.Blosc(cname="lz4", clevel=LZ4_LEVEL, shuffle=numcodecs.Blosc.NOSHUFFLE).encode
        case "pcodec":
            from numcodecs.pcodec import PCodec

            encode = PCodec(level=PCODEC_LEVEL).encode
        case _:
            assert codec == "none"
            encode = np.ndarray.tobytes
    return encode


def shard_pieces(parts: Sequence[Tensor], time_axis: str, encode: Encode) -> Iterator[bytes]:
    """The bytes of one shard, to be written one after another.

    Args:
        parts: float16 `[frame, frequency, channel]`, contiguous; one after another along the channels.
        time_axis: 'x' makes each filter's plane `[frequency, frame]`, 'y' `[frame, frequency]`.
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
    frames, frequencies, channels = part.shape
    if time_axis == "y":
        yield from _transposed(part.view(frames * frequencies, channels)).numpy()
        return
    turned = _transposed(part.view(frames, frequencies * channels)).view(frequencies, channels, frames)
    for channel in range(channels):
        yield np.ascontiguousarray(turned[:, channel].numpy())


def _transposed(matrix: Tensor) -> Tensor:
    # Into a contiguous tensor of the same dtype, torch goes by blocks; `.t().contiguous()` does not.
    return torch.empty(matrix.shape[::-1], dtype=matrix.dtype).copy_(matrix.t())


def _decoder(codecs: Sequence[Mapping[str, Any]]) -> Decode | None:
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


def _copy(content: bytes, out: NDArray[np.float16]) -> None:
    out[...] = np.frombuffer(content, "<f2").reshape(out.shape)


class ShardedArray:
    """A stored array of the layout that `shard_pieces` makes, for reading: float16 `[channel, y, x]`."""

    dtype = np.dtype("<f2")
    ndim = 3

    def __init__(self, path: Path, shape: tuple[int, ...], plane: tuple[int, int], decode: Decode) -> None:
        self._path, self.shape, self._plane, self._decode = path, shape, plane, decode
        self._along = 2 if plane[0] >= shape[1] else 1  # the axis that is cut into shards

    @classmethod
    def recognise(cls, path: Path, metadata: Mapping[str, Any]) -> Self | None:
        """The array at `path` if its metadata (`zarr.json`) is of that layout, else None."""
        shape, codecs = tuple(metadata["shape"]), tuple(metadata["codecs"])
        grid, keys = metadata["chunk_grid"], metadata["chunk_key_encoding"]
        if len(shape) != 3 or metadata["data_type"] != "float16" or metadata["fill_value"] != 0:
            return None
        if grid["name"] != "regular" or keys != {"name": "default", "configuration": {"separator": "/"}}:
            return None
        if len(codecs) != 1 or codecs[0]["name"] != "sharding_indexed":
            return None
        shard, inside = tuple(grid["configuration"]["chunk_shape"]), codecs[0]["configuration"]
        plane, decode = tuple(inside["chunk_shape"])[1:], _decoder(inside["codecs"])
        ours = shard == (shape[0], *plane) and inside["chunk_shape"][0] == 1
        ours &= plane[0] >= shape[1] or plane[1] >= shape[2]  # cut along one axis only
        ours &= tuple(inside["index_codecs"]) == _INDEX_CODECS and inside["index_location"] == "end"
        return cls(path, shape, (plane[0], plane[1]), decode) if ours and decode is not None else None

    def __getitem__(self, where: tuple[slice, ...]) -> NDArray[np.float16]:
        """`array[channels, y, x]` by slices of step 1; the later ones may be left out.

        Raises:
            OSError: a shard is missing or cannot be read.
            ValueError: a shard is damaged.
        """
        wanted = [
            range(*part.indices(length))
            for part, length in zip((*where, slice(None), slice(None)), self.shape, strict=False)
        ]
        out = np.empty([len(each) for each in wanted], self.dtype)
        step, span = self._plane[self._along - 1], wanted[self._along]
        for number in range(span.start // step, -(-span.stop // step)):
            first, last = max(span.start, number * step), min(span.stop, (number + 1) * step)
            source, target = [slice(each.start, each.stop) for each in wanted[1:]], [slice(None)] * 2
            source[self._along - 1] = slice(first - number * step, last - number * step)
            target[self._along - 1] = slice(first - span.start, last - span.start)
            self._read_shard(number, wanted[0], tuple(source), out[(slice(None), *target)])
        return out

    def _read_shard(
        self, number: int, channels: range, source: tuple[slice, ...], out: NDArray[np.float16]
    ) -> None:
        whole = out.shape[1:] == self._plane and out.flags.c_contiguous
        scratch = np.empty(self._plane, self.dtype)
        name = self._named(number)
        for channel, mine, content in zip(channels, out, self._contents(number, channels), strict=True):
            if content is None:
                mine[...] = 0
                continue
            target = mine if whole else scratch
            # Codecs fill from the front and do not mind stopping short: the last value tells.
            target.view("<u2")[-1, -1] = _UNFILLED
            try:
                self._decode(content, target)
            except (RuntimeError, ValueError, TypeError) as error:  # as the codecs word it
                raise ValueError(
                    f"{name} is damaged: filter {channel} cannot be decoded ({error})"
                ) from error
            if target.view("<u2")[-1, -1] >> 8 == _UNFILLED >> 8:
                raise ValueError(f"{name} is damaged: filter {channel} is too short")
            if not whole:
                mine[...] = scratch[source]

    def _named(self, number: int) -> str:
        """What errors call a shard."""
        return str(self._shard(number))

    def _shard(self, number: int) -> Path:
        return shard_path(self._path, "x" if self._along == 2 else "y", number)

    def _contents(self, number: int, channels: range) -> Iterator[bytes | None]:
        """What a shard holds of each filter, encoded; None where that is the fill value."""
        with self._shard(number).open("rb", buffering=0) as file:
            index = self._index_in(file)
            for channel in channels:
                offset, length = (int(value) for value in index[channel])
                if offset == MISSING:
                    yield None
                    continue
                file.seek(offset)
                content = file.read(length)
                if len(content) != length:
                    raise ValueError(f"{file.name} is cut short")
                yield content

    def _index_in(self, file: FileIO) -> NDArray[np.uint64]:
        whole, size = file.seek(0, 2), index_bytes(self.shape[0])
        file.seek(max(0, whole - size))
        return shard_index(str(file.name), file.read(size), self.shape[0], whole)

    def check(self) -> None:
        """Every shard is there and as long as its index, whole itself, says; no filter is decoded.

        Raises:
            OSError: a shard is missing or cannot be read.
            ValueError: a shard is damaged.
        """
        for number in range(-(-self.shape[self._along] // self._plane[self._along - 1])):
            with self._shard(number).open("rb", buffering=0) as file:
                index = self._index_in(file)
                check_length(str(file.name), index, file.seek(0, 2))


def index_bytes(channels: int) -> int:
    """The length of a shard's index with its checksum."""
    return 16 * channels + 4


def shard_index(name: str, content: bytes, channels: int, whole: int) -> NDArray[np.uint64]:
    """Where each filter lies in the shard `name` of `whole` bytes: `[filter, (offset, length)]`.

    Args:
        content: the shard's last `index_bytes`.

    Raises:
        ValueError: the shard is damaged.
    """
    size = 16 * channels
    if whole < size + 4 or len(content) < size + 4:
        raise ValueError(f"{name} is cut short")
    if google_crc32c.value(content[:size]) != int.from_bytes(content[size:], "little"):
        raise ValueError(f"{name} is damaged: its index does not match its checksum")
    index = np.frombuffer(content[:size], "<u8").reshape(-1, 2)
    offsets, lengths = index[index[:, 0] != MISSING].T
    end = np.uint64(whole - size - 4)
    if (offsets > end).any() or (lengths > end - np.minimum(offsets, end)).any():
        raise ValueError(f"{name} is damaged: its index points past its end")
    return index


def check_length(name: str, index: NDArray[np.uint64], whole: int) -> None:
    """That a shard of `whole` bytes is as long as its index says.

    Raises:
        ValueError: it is not.
    """
    there = index[index[:, 0] != MISSING]
    said = int((there[:, 0] + there[:, 1]).max(initial=0)) + index_bytes(len(index))
    if whole != said:
        raise ValueError(f"{name} is damaged: it is not the {said} bytes that its index says")
