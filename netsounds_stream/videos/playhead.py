"""Where on the picture the sound is at a time: a playhead, as a value that any path across it can give.

A video draws paths by `Playhead` alone. What draws one is handed a segment in pixels of the picture; how a
path runs is nobody's business but its own. No pixel is drawn here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..rendering.paths import Path, Region


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A straight line between two points. Pixel n spans n to n + 1, y runs down.

    Attributes:
        x0: where it begins, across.
        y0: and down.
        x1: where it ends, across.
        y1: and down.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def placed(self, left: float, top: float, scale_x: float, scale_y: float) -> Segment:
        """Return the same line on another grid of pixels.

        Args:
            left: where this grid's origin lies on the other, across.
            top: and down.
            scale_x: pixels of the other grid for one of this, across.
            scale_y: and down.
        """
        return Segment(
            x0=left + self.x0 * scale_x,
            y0=top + self.y0 * scale_y,
            x1=left + self.x1 * scale_x,
            y1=top + self.y1 * scale_y,
        )

    def within(self, part: Region) -> Segment | None:
        """Return the line's piece inside a part of the picture; None where it has none."""
        begin, end = 0.0, 1.0
        for start, stop, low, high in (
            (self.x0, self.x1, part.x, part.x + part.width),
            (self.y0, self.y1, part.y, part.y + part.height),
        ):
            if start == stop:
                if not low <= start <= high:
                    return None
                continue
            enters, leaves = sorted(((low - start) / (stop - start), (high - start) / (stop - start)))
            begin, end = max(begin, enters), min(end, leaves)
        if begin > end:
            return None
        across, down = self.x1 - self.x0, self.y1 - self.y0
        return Segment(
            x0=self.x0 + begin * across,
            y0=self.y0 + begin * down,
            x1=self.x0 + end * across,
            y1=self.y0 + end * down,
        )


class Playhead(Protocol):
    """A path across the picture: the line of pixels that sound at a time."""

    def at(self, seconds: float) -> Segment | None:
        """Return the line that sounds `seconds` after the sound's beginning.

        Returns:
            The line, in pixels of the picture that the network saw; None where nothing of it is heard.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class AxisPlayhead:
    """The playhead of sound whose time runs along an axis of the picture, at one speed.

    Attributes:
        time_axis: 'x', an upright line that moves right, or 'y', a level line that moves down.
        start_px: where the sound begins on that axis, in pixels.
        end_px: where it ends.
        across_px: the picture's length across the axis.
        seconds: duration of the sound.
    """

    time_axis: str
    start_px: float
    end_px: float
    across_px: float
    seconds: float

    def at(self, seconds: float) -> Segment:
        """Return the line that sounds after so many seconds; see `Playhead`."""
        share = min(1.0, max(0.0, seconds / self.seconds))
        along = self.start_px + share * (self.end_px - self.start_px)
        if self.time_axis == "x":
            return Segment(x0=along, y0=0.0, x1=along, y1=self.across_px)
        return Segment(x0=0.0, y0=along, x1=self.across_px, y1=along)


@dataclass(frozen=True, kw_only=True)
class PathPlayhead:
    """The playhead of sound whose time runs along a path: what the path passes over at a time.

    Attributes:
        path: the path.
        heard: the part of the picture that is heard.
        seconds: duration of the sound.
    """

    path: Path
    heard: Region
    seconds: float

    def at(self, seconds: float) -> Segment | None:
        """Return the line that sounds after so many seconds; see `Playhead`."""
        share = min(1.0, max(0.0, seconds / self.seconds))
        (low,), (high,) = self.path.segments(np.array([share]))
        line = Segment(x0=float(low[0]), y0=float(low[1]), x1=float(high[0]), y1=float(high[1]))
        return line.within(self.heard)
