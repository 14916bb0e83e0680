"""One shard's bytes: a transposition, a codec a filter, an index. By zarr v3's `sharding_indexed` codec.

    filter 0's chunk | filter 1's chunk | ... | index: (offset, length) a chunk | its CRC-32C
                                                 uint64 little-endian              uint32

The network gives frames with all filters side by side, a chunk is one filter's plane. Turning one into the
other is most of the work besides the codec, and a strided copy is four times as slow as what is done here:
torch's blocked two-dimensional transposition, then each filter's plane gathered while it is encoded. One
thread makes a shard from first to last, so the same activations give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import google_crc32c
import numcodecs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: How hard each codec tries, here and in the array's metadata.
ZSTD_LEVEL, PCODEC_LEVEL, LZ4_LEVEL = 1, 4, 1

Encode = Callable[[NDArray[np.float16]], bytes]


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
