"""The places of a video's parts, in whole pixels: pure geometry, for any size and any shape of picture.

    x, `under`                     y, `beside`

    title              0:07/0:23   title                  0:07/0:23
    +------------|-------------+   +-----------+ +--+ +-----------+
    |         picture          |   |  picture  | |  | |           |
    |            |             |   |-----------| |--| |-----------|
    +------------|-------------+   |           | |  | |spectrogram|
    +--waveform--|-------------+   |           | |  | | turned    |
    +------------|-------------+   +-----------+ +--+ +-----------+
    |       spectrogram        |
    +------------|-------------+

Waveform and spectrogram share the picture's time axis where there is room, so that one line runs through all
three: under it where time runs to the right, beside it and turned where it runs down. Where that would make
the picture small, they lie under it at full width, and time in them runs to the right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

# Lengths in thousandths of the video's short edge.
_MARGIN = 36
_GAP = 14
_TITLE = 30
_SUBTITLE = 21
_LABEL = 15
_LEADING = 9  # between title and subtitle
# Shares of the room for picture, waveform and spectrogram, along the edge on which they share it.
_LEAST_PANELS = 0.25
_WAVE = 0.24  # of the panels
_MOST_PANELS = 0.9  # of the picture's length there
_LOW_PICTURE = 0.42  # panels may be so high however low a picture is
# A picture that takes less than this of the width has panels wider than itself under it: where they share its
# time axis, and where they do not.
_ALIGNED = 0.33
_FLUSH = 0.8
_LEAST_HEADER = 0.4
# `beside` may make the picture's area so much smaller than `under` would, for one line through all three.
_WORTH = 0.8


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle of pixels.

    Attributes:
        left: its first column.
        top: its first row.
        width: its columns.
        height: its rows.
    """

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The column after its last."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The row after its last."""
        return self.top + self.height


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The places of a video's parts.

    Every edge is an even number: a pixel of colour covers two of brightness.

    Attributes:
        width: of the video, in pixels.
        height: likewise.
        header: title and subtitle, on the left.
        clock: the time, at the header's right end.
        picture: the picture.
        waveform: the waveform.
        spectrogram: the spectrogram.
        turned: time runs down in waveform and spectrogram.
        title_px: height of the title's letters.
        subtitle_px: and of the subtitle's.
        label_px: and of labels on the spectrogram.
        line_px: width of the playhead.
    """

    width: int
    height: int
    header: Box
    clock: Box
    picture: Box
    waveform: Box
    spectrogram: Box
    turned: bool
    title_px: int
    subtitle_px: int
    label_px: int
    line_px: float


def layout_for(width: int, height: int, aspect: float, time_axis: str | None) -> Layout:
    """Place the parts of a video.

    Args:
        width: of the video in pixels, even.
        height: likewise.
        aspect: width of the picture over its height.
        time_axis: 'x' or 'y'; None where time runs along neither.

    Returns:
        The layout. The picture is as large as it can be beside the rest, and keeps its proportions.
    """
    unit = min(width, height) / 1000
    margin = round(_MARGIN * unit)
    gap = _even(_GAP * unit)
    title_px = max(8, round(_TITLE * unit))
    subtitle_px = max(7, round(_SUBTITLE * unit))
    header_height = _even(title_px + _LEADING * unit + subtitle_px + 1)
    room = (width - 2 * margin, height - 2 * margin - header_height - gap)
    group = _under(room, gap, aspect, aligned=time_axis == "x")
    turned = False
    if time_axis == "y":
        beside = _beside(room, gap, aspect)
        if _area(beside[0]) >= _WORTH * _area(group[0]):
            group = beside
            turned = True
    group_width = max(box.right for box in group)
    group_height = max(box.bottom for box in group)
    left = _even((width - group_width) / 2)
    top = _even((height - header_height - gap - group_height) / 2)
    picture, waveform, spectrogram = (
        replace(box, left=box.left + left, top=box.top + top + header_height + gap) for box in group
    )
    header_width = max(group_width, _even(_LEAST_HEADER * room[0]))
    header = Box(left=_even((width - header_width) / 2), top=top, width=header_width, height=header_height)
    clock_width = _even(7 * title_px)
    clock = Box(left=header.right - clock_width, top=top, width=clock_width, height=_even(title_px + 2))
    return Layout(
        width=width,
        height=height,
        header=replace(header, width=header.width - clock_width - gap),
        clock=clock,
        picture=picture,
        waveform=waveform,
        spectrogram=spectrogram,
        turned=turned,
        title_px=title_px,
        subtitle_px=subtitle_px,
        label_px=max(7, round(_LABEL * unit)),
        line_px=max(2.0, 3 * unit),
    )


def _under(room: tuple[int, int], gap: int, aspect: float, *, aligned: bool) -> tuple[Box, Box, Box]:
    """Place waveform and spectrogram under the picture.

    Args:
        room: width and height of the place for all three.
        gap: pixels between them.
        aspect: width of the picture over its height.
        aligned: the picture's time runs to the right, as theirs does.

    Returns:
        Picture, waveform, spectrogram, from the room's top left corner on.
    """
    width, height = _even(room[0]), _even(room[1])
    fitted = min(height - _LEAST_PANELS * height - 2 * gap, width / aspect)
    picture_width = max(2, _nearest_even(fitted * aspect))
    picture_height = max(2, _nearest_even(fitted))
    panels = min(
        height - picture_height - 2 * gap,
        _even(max(_MOST_PANELS * picture_height, _LOW_PICTURE * height)),
    )
    wave = _even(_WAVE * panels)
    panels_width = picture_width if picture_width >= (_ALIGNED if aligned else _FLUSH) * width else width
    below = picture_height + gap
    left = _even((panels_width - picture_width) / 2)
    return (
        Box(left=left, top=0, width=picture_width, height=picture_height),
        Box(left=0, top=below, width=panels_width, height=wave),
        Box(left=0, top=below + wave + gap, width=panels_width, height=panels - wave),
    )


def _beside(room: tuple[int, int], gap: int, aspect: float) -> tuple[Box, Box, Box]:
    """Place waveform and spectrogram beside the picture: the arrangement under it, turned about a corner."""
    return tuple(  # type: ignore[return-value]  # of three
        Box(left=box.top, top=box.left, width=box.height, height=box.width)
        for box in _under(room[::-1], gap, 1 / aspect, aligned=True)
    )


def _area(box: Box) -> int:
    return box.width * box.height


def _even(number: float) -> int:
    return int(number) // 2 * 2


def _nearest_even(number: float) -> int:
    return 2 * round(number / 2)
