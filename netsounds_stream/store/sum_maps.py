"""Stored sum maps: for each bank a small zarr v3 array of the sums that its part of the mix is made of.

An array is float32 `[side, y, x]`, left and right, in square chunks, so that sound along any path reads no
more than the path crosses. A shard holds the chunks of some frames. Values are exactly those that the mix was
made of, before anything is subtracted from them.
"""

from __future__ import annotations

import shutil
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
import zarr.codecs
from numpy.typing import NDArray

from ..errors import StoreError
from ..planning.plan import MAP_TILE, BankPlan
from .arrays import UNREADABLE
from .group import map_dimension_names

#: Sides of the mix, the array's first axis.
SIDES = ("left", "right")

_LEVEL = 1  # of zstd, behind a shuffle of bytes
# Decoded tiles that are kept: more than a straight line through a map of 30,000 values crosses.
_KEPT_BYTES = 64 << 20

Floats = NDArray[np.float32]
#: Returns frames `[frame, side, frequency]`, float32, given the first and their number.
ReadFrames = Callable[[int, int], Floats]


def write_sum_map(
    path: Path,
    bank: BankPlan,
    read: ReadFrames,
    *,
    time_axis: str,
    attributes: Mapping[str, Any],
    advance: Callable[[int], None],
) -> list[Path]:
    """Write a bank's sum map, some frames at a time.

    Args:
        path: the array's folder; what lies there is replaced.
        bank: the plan of the bank.
        read: reads the sums.
        time_axis: 'x' or 'y'.
        attributes: further attributes for the array.
        advance: called with the number of values of each step.

    Returns:
        The files that were written.
    """
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()  # zarr would also create the run's folder again if that had vanished
    along = MAP_TILE
    across = -(-bank.frequencies // MAP_TILE) * MAP_TILE
    _, height, width = bank.shape
    array = zarr.create_array(
        str(path),
        shape=(len(SIDES), height, width),
        shards=(len(SIDES), *((across, along) if time_axis == "x" else (along, across))),
        chunks=(len(SIDES), MAP_TILE, MAP_TILE),
        dtype="float32",
        fill_value=0,
        dimension_names=map_dimension_names(bank.number),
        attributes={**attributes, "sides": list(SIDES), "time_axis": time_axis},
        compressors=zarr.codecs.BloscCodec(cname="zstd", clevel=_LEVEL, shuffle="shuffle", typesize=4),
        zarr_format=3,
    )
    for start in range(0, bank.frames, along):
        count = min(along, bank.frames - start)
        frames = read(start, count)
        if time_axis == "x":
            array[:, :, start : start + count] = frames.transpose(1, 2, 0)
        else:
            array[:, start : start + count] = frames.transpose(1, 0, 2)
        advance(frames.size)
    return [each for each in sorted(path.rglob("*")) if each.is_file()]


class SumMap:
    """A stored sum map, read by frames or at any of its values.

    Args:
        path: the array's folder.

    Attributes:
        attributes: the array's attributes.
        time_axis: 'x' or 'y'.
        shape: `[side, y, x]`.

    Raises:
        StoreError: there is no sum map.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        remedy = "give a run that was made with --sum-maps"
        try:
            self._array: zarr.Array[Any] = zarr.open_array(str(path), mode="r")
        except UNREADABLE as error:
            raise StoreError(f"{path} is no sum map; {remedy}") from error
        self.attributes: dict[str, Any] = dict(self._array.attrs)
        self.shape = tuple(self._array.shape)
        if self._array.ndim != 3 or "sides" not in self.attributes:
            raise StoreError(f"{path} is no sum map; {remedy}")
        self.time_axis = str(self.attributes["time_axis"])
        self._tile = tuple(int(length) for length in self._array.chunks[1:])
        self._tiles: OrderedDict[tuple[int, int], Floats] = OrderedDict()

    def frames(self, axis: str, first: int, count: int) -> Floats:
        """Read frames along an axis.

        Args:
            axis: 'x' or 'y', the axis that the frames follow one another along.
            first: number of the first one.
            count: how many.

        Returns:
            float32 `[frame, side, frequency]`.

        Raises:
            StoreError: a file of the array is missing or damaged.
        """
        stop = first + count
        if axis == "x":
            return self._read((slice(None), slice(None), slice(first, stop))).transpose(2, 0, 1)
        return self._read((slice(None), slice(first, stop))).transpose(1, 0, 2)

    def at(self, y: NDArray[np.int64], x: NDArray[np.int64]) -> Floats:
        """Read single values, wherever they lie.

        Args:
            y: their rows in the map, of any shape.
            x: their columns, of the same shape.

        Returns:
            float32, that shape with the sides behind it.

        Raises:
            StoreError: a file of the array is missing or damaged.
        """
        height, width = self._tile
        across = -(-self.shape[2] // width)
        tiles = (y // height) * across + x // width
        found = np.empty((*y.shape, len(SIDES)), dtype=np.float32)
        for number in np.unique(tiles):
            here = tiles == number
            tile = self._tile_at(int(number) // across, int(number) % across)
            found[here] = tile[:, y[here] % height, x[here] % width].T
        return found

    def _tile_at(self, row: int, column: int) -> Floats:
        """Return a tile, decoded; those used last are kept."""
        height, width = self._tile
        if (row, column) in self._tiles:
            self._tiles.move_to_end((row, column))
        else:
            rows = slice(row * height, (row + 1) * height)
            self._tiles[row, column] = self._read(
                (slice(None), rows, slice(column * width, (column + 1) * width))
            )
            if len(self._tiles) * self._tiles[row, column].nbytes > _KEPT_BYTES:
                self._tiles.popitem(last=False)
        return self._tiles[row, column]

    def _read(self, index: tuple[slice, ...]) -> Floats:
        try:
            return np.asarray(self._array[index], dtype=np.float32)
        except UNREADABLE as error:
            raise StoreError(f"{self._path} cannot be read ({error}); make the run again") from error
