"""Paths across a picture: where sound begins and ends, and what it passes.

At each moment a path is a straight segment, from the place of the lowest frequency to that of the highest.
Points are `(x, y)` in pixels of the picture as the network saw it, from the upper left corner: the first
pixel's centre is (0.5, 0.5).

| path | the segment moves | from low to high |
| --- | --- | --- |
| `x`, `y` | along the axis | bottom to top; left to right |
| `line:x0,y0,x1,y1` | from the first point to the second | across it, from its right to its left |
| `radar` | clockwise, from 12 o'clock | from the centre outwards |
| `spiral:N` | N times around, outwards | across the turn, outwards |
| a file `.svg` | along its first path, at one speed | across it, from its right to its left |
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path as File

import numpy as np
from numpy.typing import NDArray

from ..errors import OptionError

Floats = NDArray[np.float64]

_TURNS = 5
_MOST_TURNS = 100
_STEPS = 4096  # at which the lengths of curves are measured
# Share of the picture's short edge that a curve from a file passes over, unless its width is given.
_WIDTH = 0.25


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle of a picture, in pixels.

    Attributes:
        x: its left edge.
        y: its upper edge.
        width: its width.
        height: its height.
    """

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """The point in its middle."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def corners(self) -> Floats:
        """The four corners, float64 `[corner, x or y]`."""
        right, bottom = self.x + self.width, self.y + self.height
        return np.array([(self.x, self.y), (right, self.y), (self.x, bottom), (right, bottom)])

    def holds(self, points: Floats) -> NDArray[np.bool_]:
        """Return which points, `[..., x or y]`, lie in it."""
        low = np.array((self.x, self.y))
        high = low + np.array((self.width, self.height))
        return np.asarray(((points >= low) & (points < high)).all(axis=-1))


class Path(ABC):
    """A path: a segment of the picture for each moment."""

    @abstractmethod
    def segments(self, shares: Floats) -> tuple[Floats, Floats]:
        """Return the segments at some moments.

        Args:
            shares: moments, from 0 at the beginning to 1 at the end, `[moment]`.

        Returns:
            The ends for the lowest and the highest frequency, float64 `[moment, x or y]` each.
        """

    @property
    def length(self) -> float:
        """Length of the way that the segments' middle goes, in pixels."""
        low, high = self.segments(np.linspace(0, 1, _STEPS))
        return _way((low + high) / 2)

    @property
    def longest(self) -> float:
        """Length of the longest way that a point of the segment goes, in pixels."""
        return max(map(_way, self.segments(np.linspace(0, 1, _STEPS))))

    @property
    def across(self) -> float:
        """Length of the longest segment, in pixels."""
        low, high = self.segments(np.linspace(0, 1, _STEPS))
        return float(np.hypot(*(high - low).T).max())


@dataclass(frozen=True, kw_only=True)
class Along(Path):
    """The path along one of the picture's axes, row after row.

    Attributes:
        axis: 'x' or 'y'.
        region: the part of the picture that it passes over.
    """

    axis: str
    region: Region

    def segments(self, shares: Floats) -> tuple[Floats, Floats]:
        """Return the segments at some moments; see `Path`."""
        region = self.region
        if self.axis == "x":
            at = region.x + shares * region.width
            ends = np.full_like(at, region.y + region.height), np.full_like(at, region.y)
            return np.stack((at, ends[0]), axis=1), np.stack((at, ends[1]), axis=1)
        at = region.y + shares * region.height
        ends = np.full_like(at, region.x), np.full_like(at, region.x + region.width)
        return np.stack((ends[0], at), axis=1), np.stack((ends[1], at), axis=1)


@dataclass(frozen=True, kw_only=True)
class Radar(Path):
    """A hand that turns once about the middle of a region, and reaches its corners.

    Attributes:
        region: the region.
    """

    region: Region

    def segments(self, shares: Floats) -> tuple[Floats, Floats]:
        """Return the segments at some moments; see `Path`."""
        centre = np.array(self.region.centre)
        radius = math.hypot(self.region.width, self.region.height) / 2
        return np.broadcast_to(centre, (len(shares), 2)), centre + radius * _clockwise(shares)


@dataclass(frozen=True, kw_only=True)
class Spiral(Path):
    """An Archimedean spiral from the middle of a region to its corners; each turn passes over a ring.

    Attributes:
        region: the region.
        turns: how many times it goes around.
    """

    region: Region
    turns: int

    def segments(self, shares: Floats) -> tuple[Floats, Floats]:
        """Return the segments at some moments; see `Path`."""
        centre = np.array(self.region.centre)
        pitch = math.hypot(self.region.width, self.region.height) / 2 / (self.turns + 1)
        # equal ways in equal times, but for the first turn, which would take no time at its beginning
        turned = self.turns * np.sqrt(shares)
        towards = _clockwise(turned)
        inner = pitch * turned[:, None]
        return centre + inner * towards, centre + (inner + pitch) * towards


@dataclass(frozen=True, eq=False, kw_only=True)
class Curve(Path):
    """A curve through points, at one speed, that passes over a band to both sides of it.

    Attributes:
        points: the points, float64 `[point, x or y]`.
        right: width of the band to the right of the curve, in pixels.
        left: width of the band to its left, likewise.
    """

    points: Floats
    right: float
    left: float

    def segments(self, shares: Floats) -> tuple[Floats, Floats]:
        """Return the segments at some moments; see `Path`."""
        steps = np.diff(self.points, axis=0)
        ways = np.concatenate(([0.0], np.cumsum(np.hypot(*steps.T))))
        at = shares * ways[-1]
        middle = np.stack([np.interp(at, ways, self.points[:, axis]) for axis in (0, 1)], axis=1)
        number = np.clip(np.searchsorted(ways, at, side="right") - 1, 0, len(steps) - 1)
        ahead = steps[number] / np.maximum(np.hypot(*steps[number].T), 1e-12)[:, None]
        to_right = np.stack((-ahead[:, 1], ahead[:, 0]), axis=1)  # y points down
        return middle + self.right * to_right, middle - self.left * to_right


def parse_region(text: str, width: int, height: int) -> Region:
    """Parse a region, such as '100,0,800,600': left, top, width and height in pixels.

    Args:
        text: the region.
        width: width of the picture.
        height: its height.

    Raises:
        OptionError: it is none, or does not lie in the picture.
    """
    try:
        x, y, wide, high = _four(text)
    except ValueError:
        raise OptionError(
            f"region cannot be {text[:80]!r}; give left, top, width and height in pixels"
        ) from None
    if x < 0 or y < 0 or wide <= 0 or high <= 0 or x + wide > width or y + high > height:
        raise OptionError(f"region {text} does not lie in the picture, which is {width} x {height} pixels")
    return Region(x=x, y=y, width=wide, height=high)


def parse_path(text: str, picture: Region, region: Region, band: float | None = None) -> Path:
    """Parse a path.

    Args:
        text: 'x', 'y', 'radar', 'spiral', 'spiral:N', 'line:x0,y0,x1,y1', or the name of an SVG file.
        picture: the whole picture.
        region: the part of it that is heard.
        band: width of the band that a line or a curve passes over, in pixels; None: all of the region for a
            line, a quarter of its short edge for a curve.

    Raises:
        OptionError: it is none of these, or does not touch the region.
    """
    kind, _, rest = text.partition(":")
    if band is not None and not band > 0:
        raise OptionError(f"path width cannot be {band:g}; give pixels, such as 200")
    if text in ("x", "y"):
        return Along(axis=text, region=region)
    if text == "radar":
        return Radar(region=region)
    if kind == "spiral":
        return Spiral(region=region, turns=_turns(rest))
    if kind == "line":
        try:
            points = np.array(_four(rest)).reshape(2, 2)
        except ValueError:
            raise OptionError(f"path line cannot be {rest[:80]!r}; give the pixels x0,y0,x1,y1") from None
        return _line(points, region, band, text)
    if text.lower().endswith(".svg"):
        from .svg import first_path

        wide = min(region.width, region.height) * _WIDTH if band is None else band
        points = first_path(File(text), (picture.width, picture.height))
        if not region.holds(points).any():
            raise OptionError(f"the path in {text} lies outside the region; draw it in the picture's pixels")
        return Curve(points=points, right=wide / 2, left=wide / 2)
    raise OptionError(
        f"there is no path {text[:80]!r}; use x, y, radar, spiral, line:x0,y0,x1,y1 or a file FILE.svg"
    )


def _line(points: Floats, region: Region, band: float | None, text: str) -> Curve:
    """Return the path along a line, which passes over the whole region unless a width is given."""
    ahead = points[1] - points[0]
    if not ahead.any():
        raise OptionError(f"path {text} has no length; give two points")
    if not region.holds(np.linspace(points[0], points[1], _STEPS)).any():
        raise OptionError(f"path {text} lies outside the region; give points in the picture's pixels")
    to_right = np.array((-ahead[1], ahead[0])) / np.hypot(*ahead)
    beside = (region.corners - points[0]) @ to_right
    right, left = (float(beside.max()), float(-beside.min())) if band is None else (band / 2, band / 2)
    return Curve(points=points, right=right, left=left)


def _turns(text: str) -> int:
    if not text:
        return _TURNS
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_TURNS:
        raise OptionError(f"a spiral cannot have {text[:20]!r} turns; use 1 to {_MOST_TURNS}")
    return int(text)


def _four(text: str) -> list[float]:
    """Parse four numbers with commas between them.

    Raises:
        ValueError: it is anything else.
    """
    numbers = [float(part) for part in text.split(",")]
    if len(numbers) != 4 or not np.isfinite(numbers).all():
        raise ValueError
    return numbers


def _clockwise(turned: Floats) -> Floats:
    """Return directions, float64 `[moment, x or y]`, at numbers of turns clockwise from upwards."""
    angles = 2 * np.pi * turned
    return np.stack((np.sin(angles), -np.cos(angles)), axis=1)


def _way(points: Floats) -> float:
    return float(np.hypot(*np.diff(points, axis=0).T).sum())
