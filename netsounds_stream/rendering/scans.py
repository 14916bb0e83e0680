"""Scans: a bank's sum map in the order in which a path passes over it, as rows that become frames.

A row holds what the path's segment crosses at one moment, `[side, frequency]`. Rows are so many, and a row's
values so near, that no value of the map lies between two of them; the means that frames are made of are then
means over areas. Where a path leaves the picture or the region, a row has the even background: no content.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import OptionError
from ..graph.geometry import inside
from ..graph.layers import Bank
from ..sound.background import Background
from ..store.sum_maps import Floats, SumMap
from .paths import Along, Path, Region

# Values of the map that are read at a time.
_BLOCK_VALUES = 1 << 18


@dataclass(frozen=True, kw_only=True)
class BankMap:
    """A bank's sum map with what is known of it.

    Attributes:
        bank: the bank, and where its values lie on the picture.
        stored: the map.
        background: its background.
        picture: the whole picture.
    """

    bank: Bank
    stored: SumMap
    background: Background
    picture: Region


class Scan(Protocol):
    """A map's values in a path's order."""

    @property
    def rows(self) -> int:
        """Number of rows."""

    @property
    def frequencies(self) -> int:
        """Number of a row's values."""

    @property
    def top_first(self) -> bool:
        """True if a row's first value is the highest frequency."""

    def read(self, start: int, count: int) -> Floats:
        """Read rows.

        Args:
            start: number of the first one.
            count: how many.

        Returns:
            float32 `[row, side, frequency]`.
        """

    def pixels(self, rows: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where values lie on the picture.

        Args:
            rows: numbers of rows, of which fractions lie between two, `[place]`.
            values: numbers of a row's values, likewise.

        Returns:
            float64 `[place, x or y]`; the first pixel's centre is 0.5.
        """


def scan_of(source: BankMap, path: Path, region: Region) -> Scan:
    """Return a path's scan of a bank.

    Args:
        source: the bank's map.
        path: the path.
        region: the part of the picture that is heard.

    Raises:
        OptionError: the region is so small that none of the bank's values lies in it.
    """
    if isinstance(path, Along):
        return _Straight(source, path.axis, region)
    return _Crossed(source, path, region)


def rows_of(scan: Scan) -> Iterator[Tensor]:
    """Read all rows of a scan, in blocks of bounded size.

    Yields:
        float32 `[row, side, frequency]`.
    """
    at_once = max(1, _BLOCK_VALUES // scan.frequencies)
    for start in range(0, scan.rows, at_once):
        rows = scan.read(start, min(at_once, scan.rows - start))
        yield torch.from_numpy(np.ascontiguousarray(rows))


class _Straight:
    """The map's own rows or columns; the next ones inside replace those that see the picture's border."""

    def __init__(self, source: BankMap, axis: str, region: Region) -> None:
        self._map = source.stored
        self._axis = axis
        self.top_first = axis == "x"
        border = source.background.border
        _, height, width = source.stored.shape
        bottom, end = region.y + region.height, region.x + region.width
        down = _within(source.bank, "y", (region.y, bottom), source.picture.height, height)
        right = _within(source.bank, "x", (region.x, end), source.picture.width, width)
        self._first = np.array([right[0], down[0]])
        self._bank = source.bank
        down, right = _clamped(down, height, border), _clamped(right, width, border)
        self._along, self._across = (right, down) if axis == "x" else (down, right)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self._along)

    @property
    def frequencies(self) -> int:
        """Number of a row's values."""
        return len(self._across)

    def read(self, start: int, count: int) -> Floats:
        """Read rows; see `Scan`."""
        wanted = self._along[start : start + count]
        first = int(wanted[0])
        frames = self._map.frames(self._axis, first, int(wanted[-1]) - first + 1)
        return frames[wanted - first][:, :, self._across]

    def pixels(self, rows: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where values lie on the picture; see `Scan`."""
        x, y = self._bank.x, self._bank.y
        numbers = np.stack((rows, values) if self._axis == "x" else (values, rows), axis=1) + self._first
        centres = np.array([x.offset, y.offset]) + 0.5 + np.array([x.stride, y.stride]) * numbers
        return np.asarray(centres, dtype=np.float64)


class _Crossed:
    """Values between the map's, interpolated bilinearly, where a path crosses it."""

    def __init__(self, source: BankMap, path: Path, region: Region) -> None:
        self._source = source
        self._path = path
        self._region = region
        self.top_first = False
        stride = min(source.bank.y.stride, source.bank.x.stride)
        self.rows = max(1, math.ceil(path.longest / stride))
        self.frequencies = max(1, math.ceil(path.across / stride))
        self._even = source.background.even.numpy()

    def read(self, start: int, count: int) -> Floats:
        """Read rows; see `Scan`."""
        moments = (np.arange(start, start + count) + 0.5) / self.rows
        low, high = self._path.segments(moments)
        shares = ((np.arange(self.frequencies) + 0.5) / self.frequencies)[None, :, None]
        points = low[:, None] + shares * (high - low)[:, None]  # [row, frequency, x or y]
        found = np.empty((*points.shape[:2], len(self._even)), dtype=np.float32)
        heard = self._region.holds(points)
        found[~heard] = self._even
        found[heard] = self._interpolated(points[heard])
        return found.transpose(0, 2, 1)

    def pixels(self, rows: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where values lie on the picture; see `Scan`."""
        low, high = self._path.segments((rows + 0.5) / self.rows)
        return low + (values[:, None] + 0.5) / self.frequencies * (high - low)

    def _interpolated(self, points: NDArray[np.float64]) -> Floats:
        """Interpolate the map at points `[point, x or y]`; returns `[point, side]`."""
        bank = self._source.bank
        border = self._source.background.border
        _, height, width = self._source.stored.shape
        x0, x1, to_right = _between(points[:, 0], bank.x.offset, bank.x.stride, width, border)
        y0, y1, down = _between(points[:, 1], bank.y.offset, bank.y.stride, height, border)
        at = self._source.stored.at
        upper = at(y0, x0) * (1 - to_right) + at(y0, x1) * to_right
        lower = at(y1, x0) * (1 - to_right) + at(y1, x1) * to_right
        return np.asarray(upper * (1 - down) + lower * down, dtype=np.float32)


def _between(
    pixels: NDArray[np.float64], offset: float, stride: int, length: int, border: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Find the values of an axis between which pixels lie, and how far from the first to the second."""
    within = inside(length, border)
    at = np.clip((pixels - 0.5 - offset) / stride, within.start, within.stop - 1)
    first = np.minimum(at.astype(np.int64), max(within.start, within.stop - 2))
    second = np.minimum(first + 1, within.stop - 1)
    return first, second, (at - first).astype(np.float32)[:, None]


def _within(
    bank: Bank, axis: str, part: tuple[float, float], length: float, values: int
) -> NDArray[np.int64]:
    """Return the numbers of the values whose centres lie in a part of an axis, from its start to its stop.

    At the picture's ends those count, too, whose centres lie beyond them.
    """
    start, stop = part
    lie = bank.y if axis == "y" else bank.x
    numbers = np.arange(values)
    centres = lie.offset + 0.5 + lie.stride * numbers
    chosen = numbers[((centres >= start) | (start <= 0)) & ((centres < stop) | (stop >= length))]
    if not chosen.size:
        raise OptionError(
            f"the region is smaller than a value of bank {bank.number}, which is {lie.stride} pixels wide; "
            f"give a larger one, or leave the bank out with --banks"
        )
    return chosen


def _clamped(numbers: NDArray[np.int64], length: int, border: int) -> NDArray[np.int64]:
    within = inside(length, border)
    return np.clip(numbers, within.start, within.stop - 1)
