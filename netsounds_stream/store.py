"""Activations on disk: one zarr v3 array a bank, written in whole shards as frames arrive.

The store is also the transposition: activations come frame by frame with all filters side by side, sound
wants filter by filter with all frames end to end. So a shard holds all filters of some frames, and an
inner chunk one filter's: `[1, all frequencies, frames]` of the upright `[channel, y, x]`. Plain `zarr.open`
reads the arrays; here they go through the zarrs pipeline (Rust), three to five times cheaper.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
import zarr.codecs
import zarr.errors
from torch import Tensor

from .errors import OutputError, StoreError
from .overlap import Beside
from .planning import BankPlan

DIMENSIONS = ("channel", "y", "x")
_LEVELS = {"zstd": 1, "pcodec": 4}


@contextmanager
def _zarrs() -> Iterator[None]:
    # Set around the opening of our own arrays only: the pipeline is fixed there, and a program that uses
    # this package keeps its own zarr settings.
    import zarrs  # noqa: F401  (registers the pipeline)

    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}), warnings.catch_warnings():
        # pcodec is outside zarr's specification, which the README says; once is enough.
        warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr version 3")
        yield


def _codecs(codec: str) -> dict[str, Any]:
    match codec:
        case "zstd":
            return {"compressors": zarr.codecs.ZstdCodec(level=_LEVELS["zstd"])}
        case "lz4":
            # Half of the values are zeros, which shuffling bytes apart makes larger and slower.
            return {"compressors": zarr.codecs.BloscCodec(cname="lz4", clevel=1, shuffle="noshuffle")}
        case "pcodec":
            from zarr.codecs.numcodecs import PCodec

            return {"serializer": PCodec(level=_LEVELS["pcodec"]), "compressors": None}
    assert codec == "none"
    return {"compressors": None}


def create_array(
    path: Path, bank: BankPlan, time_axis: str, codec: str, attributes: Mapping[str, Any]
) -> zarr.Array[Any]:
    """A new float16 array `[channel, y, x]` for `bank`, sharded along the time axis."""
    per_shard, across = bank.frames_per_shard, bank.frequencies
    plane = (across, per_shard) if time_axis == "x" else (per_shard, across)
    with _zarrs():
        return zarr.create_array(
            str(path),
            shape=bank.shape,
            shards=(bank.channels, *plane),
            chunks=(1, *plane),
            dtype="float16",
            fill_value=0,
            dimension_names=DIMENSIONS,
            attributes={**attributes, "time_axis": time_axis},
            zarr_format=3,
            **_codecs(codec),
        )


class ShardWriter:
    """Gathers a bank's frames and writes them shard by shard.

    Holds one shard that fills. The caller waits while it is written: the encoder uses every core, and
    beside a convolution that does so too it gains nothing (measured) and holds a second shard.
    """

    def __init__(
        self,
        array: zarr.Array[Any],
        bank: BankPlan,
        time_axis: str,
        beside: Beside,
    ) -> None:
        self._array, self._bank, self._time_axis, self._beside = array, bank, time_axis, beside
        self._start = 0
        self._filled = 0
        self._shard: Tensor | None = None

    def append(self, parts: tuple[Tensor, ...]) -> None:
        """Take the next frames: float16 `[1, channel, frame, frequency]`, split along the channels."""
        taken, count = 0, int(parts[0].shape[2])
        while taken < count:
            if self._shard is None:
                self._shard = self._new_shard()
            frames = self._frames(self._shard)
            room = min(count - taken, frames.shape[1] - self._filled)
            channel = 0
            for part in parts:
                rows = part[0, :, taken : taken + room]
                frames[channel : channel + rows.shape[0], self._filled : self._filled + room] = rows
                channel += rows.shape[0]
            self._filled += room
            taken += room
            if self._filled == frames.shape[1]:
                self._write()

    def finish(self) -> None:
        """Check that every frame has come; the last shard was handed over with its last frame."""
        assert self._start == self._bank.frames and self._shard is None

    def _new_shard(self) -> Tensor:
        count = min(self._bank.frames_per_shard, self._bank.frames - self._start)
        channels, across = self._bank.channels, self._bank.frequencies
        plane = (across, count) if self._time_axis == "x" else (count, across)
        return torch.empty((channels, *plane), dtype=torch.float16)

    def _frames(self, shard: Tensor) -> Tensor:
        return shard.transpose(1, 2) if self._time_axis == "x" else shard

    def _write(self) -> None:
        shard, start = self._shard, self._start
        assert shard is not None
        stop = start + int(self._frames(shard).shape[1])
        self._shard, self._filled, self._start = None, 0, stop

        where = (slice(None), slice(None), slice(start, stop))
        where = where if self._time_axis == "x" else (where[0], where[2], where[1])
        try:
            self._beside.run(lambda: self._array.__setitem__(where, shard.numpy()))
        except (OSError, RuntimeError) as error:  # RuntimeError is what zarrs makes of an OSError
            raise OutputError(
                f"cannot write activations ({error}); is the disk full or read-only?"
            ) from error


class Activations:
    """Stored activations, read as frames `[channel, frame, frequency]` whatever their time axis."""

    def __init__(
        self, array: Any, time_axis: str, frames_per_block: int, attributes: Mapping[str, Any]
    ) -> None:
        self._array, self.time_axis = array, time_axis
        self.frames_per_block = frames_per_block
        self.attributes = dict(attributes)
        self.shape = tuple(int(length) for length in array.shape)
        self.dtype = np.dtype(array.dtype)
        channels, height, width = self.shape
        self.channels = channels
        self.frames, self.frequencies = (width, height) if time_axis == "x" else (height, width)

    def read(self, channels: slice, frames: slice) -> Tensor:
        """A block `[channel, frame, frequency]`, in the dtype stored: a view, frames innermost for x."""
        where = (channels, slice(None), frames) if self.time_axis == "x" else (channels, frames)
        try:
            block = self._array[where]
        except (OSError, RuntimeError, ValueError) as error:  # as zarr, zarrs or a codec words it
            raise StoreError(f"stored activations cannot be read ({error}); make them again") from error
        native = np.asarray(block, dtype=self.dtype.newbyteorder("="))
        # torch takes no memory that it may not write, such as a mapped file's
        values = torch.from_numpy(native if native.flags.writeable else native.copy())
        return values.transpose(1, 2) if self.time_axis == "x" else values


def open_activations(path: Path, time_axis: str | None = None) -> Activations:
    """Stored activations for reading: a `.zarr` array of any origin, or a `.npy` file.

    Args:
        time_axis: 'x' or 'y'; None takes what the array's attributes say, else its long edge.

    Raises:
        StoreError: it is no array `[channel, y, x]` of finite floating-point numbers.
    """
    array, attributes, along_shard = _open_array(path)
    if array.ndim != 3 or np.dtype(array.dtype).name not in ("float16", "float32", "float64"):
        raise StoreError(
            f"{path} holds {array.dtype} with shape {tuple(array.shape)}; activations are floating point "
            f"[channel, y, x]"
        )
    if 0 in array.shape:
        raise StoreError(f"{path} is empty: its shape is {tuple(array.shape)}")
    axis = time_axis or attributes.get("time_axis") or ("x" if array.shape[2] >= array.shape[1] else "y")
    if axis not in ("x", "y"):
        raise StoreError(f"{path} says its time axis is {axis!r}; give --time-axis x or y")
    return Activations(array, axis, along_shard[2 if axis == "x" else 1], attributes)


def _open_array(path: Path) -> tuple[Any, Mapping[str, Any], tuple[int, ...]]:
    mend = "give an activations .zarr array or a .npy file"
    if not path.exists():
        raise StoreError(f"nothing at {path}; {mend}")
    if path.suffix == ".npy":
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise StoreError(f"{path} is not a plain .npy array ({error}); {mend}") from error
        if not isinstance(array, np.ndarray):
            raise StoreError(f"{path} is an archive of arrays (.npz), not one; {mend}")
        return array, {}, (1, 64, 64)
    try:
        with _zarrs():
            opened = zarr.open_array(str(path), mode="r")
    except (FileNotFoundError, ValueError, KeyError, zarr.errors.BaseZarrError) as error:
        raise StoreError(f"{path} is not a zarr array ({str(error).splitlines()[0]}); {mend}") from error
    return opened, dict(opened.attrs), tuple(opened.chunks)
