"""Frames of a video as planes of brightness and colour, of which each differs from the last in a few lines.

A frame is yuv420p in BT.709, brightness 16 to 235: what video is made of, so that a frame is not converted
before it is encoded. A pixel of colour covers two by two of brightness:

    brightness  [y, x]       o o | o o | o o     The still picture is converted once. A line is blended into
                             o o | o o | o o     the frame, encoded, and taken out again by copying the few
    colour      [y/2, x/2]    #     #     #      pixels that it covered from the still picture.

Nothing here knows what is shown, or how it is encoded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor, hypot
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .layout import Box
from .playhead import Segment

if TYPE_CHECKING:
    from av import VideoFrame

Plane = NDArray[np.uint8]
Planes = tuple[Plane, Plane, Plane]
_WHITE = 235.0
_BLACK = 16.0
_GREY = 128.0  # of the planes of colour
# The shadow on both sides of a line, which sets it off from what is bright: its width and opacity.
_SHADOW_WIDTHS = 1.6  # in the line's own widths
_SHADOW = 0.5
_POINT_PX = 1e-6  # a shorter line is a point


@dataclass(frozen=True, kw_only=True)
class _Stroke:
    """The pixels of a plane that a line covers.

    Attributes:
        rows: their rows: of a rectangle of pixels a slice, else one for each pixel.
        columns: their columns, likewise.
        line: how far the line covers each, 0 to 1; of a rectangle what all its rows, or columns, have.
        shadow: and how far its shadow darkens it, 0 to 1.
    """

    rows: NDArray[np.intp] | slice
    columns: NDArray[np.intp] | slice
    line: NDArray[np.float32]
    shadow: NDArray[np.float32]


def stroke(segment: Segment, width: float, box: Box) -> _Stroke:
    """Find the pixels that a line covers, smoothly at its edges and with round ends.

    Only a strip along the line is looked at: its cost is that of its length.

    Args:
        segment: the line's middle.
        width: the line's width in pixels.
        box: pixels outside are left alone.
    """
    if (straight := _straight(segment, width, box)) is not None:
        return straight
    reach = _reach(width)
    step_x = segment.x1 - segment.x0
    step_y = segment.y1 - segment.y0
    length = hypot(step_x, step_y)
    if length < _POINT_PX:
        segment = replace(segment, x1=segment.x0, y1=segment.y0)
        step_x = step_y = 0.0
    steep = abs(step_y) >= abs(step_x)
    begin, end = (segment.y0, segment.y1) if steep else (segment.x0, segment.x1)
    first, stop = (box.top, box.bottom) if steep else (box.left, box.right)
    along = np.arange(max(first, floor(min(begin, end) - reach)), min(stop, ceil(max(begin, end) + reach)))
    share = np.clip((along + 0.5 - begin) / (end - begin), 0, 1) if end != begin else np.zeros(len(along))
    middle = (segment.x0 + share * step_x) if steep else (segment.y0 + share * step_y)
    # the strip's width along the rows (or columns) that it crosses slantwise
    across = ceil(reach * (length / abs(end - begin) if end != begin else 1))
    offsets = np.arange(-across, across + 1)
    crossing = np.floor(middle).astype(np.intp)[:, None] + offsets
    along = np.broadcast_to(along[:, None], crossing.shape)
    rows, columns = (along, crossing) if steep else (crossing, along)
    inside = (rows >= box.top) & (rows < box.bottom) & (columns >= box.left) & (columns < box.right)
    rows, columns = rows[inside], columns[inside]
    return _Stroke(rows=rows, columns=columns, **_opacities(_distances(segment, rows, columns), width))


def _straight(segment: Segment, width: float, box: Box) -> _Stroke | None:
    """Find the pixels of an upright or level line from edge to edge of its box, where they are a rectangle.

    Returns:
        The same as for any line, at a fifth of the time; None for other lines.
    """
    upright = segment.x0 == segment.x1
    ends = sorted((segment.y0, segment.y1) if upright else (segment.x0, segment.x1))
    first, stop = (box.top, box.bottom) if upright else (box.left, box.right)
    if not (upright or segment.y0 == segment.y1) or ends[0] > first or ends[1] < stop:
        return None
    middle = segment.x0 if upright else segment.y0
    reach = _reach(width)
    least, most = (box.left, box.right) if upright else (box.top, box.bottom)
    begin = min(most, max(least, floor(middle - reach)))
    end = max(begin, min(most, ceil(middle + reach)))
    opacities = _opacities(np.abs(np.arange(begin, end) + 0.5 - middle), width)
    if upright:
        return _Stroke(rows=slice(first, stop), columns=slice(begin, end), **opacities)
    return _Stroke(
        rows=slice(begin, end),
        columns=slice(first, stop),
        **{name: values[:, None] for name, values in opacities.items()},
    )


def _reach(width: float) -> float:
    """Return how far from a line's middle its shadow ends."""
    return width / 2 + _SHADOW_WIDTHS * width + 1


def _opacities(distance: NDArray[np.float64], width: float) -> dict[str, NDArray[np.float32]]:
    """Return how far a line and its shadow cover pixels, by these pixels' distances from its middle."""
    line = np.clip(width / 2 + 0.5 - distance, 0, 1).astype(np.float32)
    shadow = np.clip((_reach(width) - distance) / (_SHADOW_WIDTHS * width), 0, 1).astype(np.float32)
    return {"line": line, "shadow": np.float32(_SHADOW) * shadow}


def _distances(segment: Segment, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return how far the middles of pixels are from a line."""
    step_x = segment.x1 - segment.x0
    step_y = segment.y1 - segment.y0
    from_x = columns + 0.5 - segment.x0
    from_y = rows + 0.5 - segment.y0
    square = step_x**2 + step_y**2
    share = np.clip((from_x * step_x + from_y * step_y) / square, 0, 1) if square else 0.0
    distances: NDArray[np.float64] = np.hypot(from_x - share * step_x, from_y - share * step_y)
    return distances


def planes_of(rgb: NDArray[np.uint8]) -> Planes:
    """Convert an image to the planes of a frame.

    Args:
        rgb: sRGB, uint8 `[y, x, rgb]`; both edges are even numbers.

    Returns:
        Brightness `[y, x]`, and two of colour `[y/2, x/2]`.
    """
    import av

    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    converted = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
    return tuple(plane.copy() for plane in _views(converted))  # type: ignore[return-value]  # of three


def _views(frame: VideoFrame) -> list[Plane]:
    """Return the planes of a frame as arrays, which write into it."""
    return [
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    ]


class Canvas:
    """A frame that is drawn on and encoded again and again.

    Holds two frames: the one that is handed out, and the still picture without any line.

    Args:
        rgb: the still picture, uint8 `[y, x, rgb]`; both edges are even numbers.
    """

    def __init__(self, rgb: NDArray[np.uint8]) -> None:
        import av

        self._still = planes_of(rgb)
        height, width = rgb.shape[:2]
        self._frame = av.VideoFrame(width, height, "yuv420p")
        for plane, still in zip(_views(self._frame), self._still, strict=True):
            plane[:] = still
        self._covered: list[_Stroke] = []  # each of the three planes in turn

    def put(self, left: int, top: int, planes: Planes, box: Box) -> None:
        """Change a part of the still picture, where no line is.

        Args:
            left: column at which `planes` begin, even.
            top: row at which they begin, even.
            planes: planes of an image.
            box: the part of it to copy, in pixels of the video; every edge is an even number.
        """
        assert not self._covered
        shown = _views(self._frame)
        for number, (plane, still, source) in enumerate(zip(shown, self._still, planes, strict=True)):
            scale = 2 if number else 1
            rows = slice(box.top // scale, box.bottom // scale)
            columns = slice(box.left // scale, box.right // scale)
            part = source[
                (box.top - top) // scale : (box.bottom - top) // scale,
                (box.left - left) // scale : (box.right - left) // scale,
            ]
            still[rows, columns] = part
            plane[rows, columns] = part

    def draw(self, segment: Segment, width: float, box: Box) -> None:
        """Draw a white line with a shadow, until `wipe` is called.

        Args:
            segment: the line's middle, in pixels of the video.
            width: its width in pixels.
            box: pixels outside are left alone.
        """
        full = stroke(segment, width, box)
        half_box = Box(left=box.left // 2, top=box.top // 2, width=box.width // 2, height=box.height // 2)
        half = stroke(segment.placed(0, 0, 0.5, 0.5), width / 2, half_box)
        for number, plane in enumerate(_views(self._frame)):
            each = half if number else full
            values = plane[each.rows, each.columns].astype(np.float32)
            if number:  # colour fades under the line and its shadow alike
                values += (_GREY - values) * np.maximum(each.line, each.shadow)
            else:
                values += (_BLACK - values) * each.shadow
                values += (_WHITE - values) * each.line
            plane[each.rows, each.columns] = np.rint(values).astype(np.uint8)
            self._covered.append(each)

    def wipe(self) -> None:
        """Take all lines out again."""
        self._frame.make_writable()  # an encoder may have kept the memory of the last frame
        shown = _views(self._frame)
        for number, each in enumerate(self._covered):
            plane = number % len(shown)
            shown[plane][each.rows, each.columns] = self._still[plane][each.rows, each.columns]
        self._covered.clear()

    @property
    def frame(self) -> VideoFrame:
        """The frame, to be encoded before it is drawn on again."""
        return self._frame
