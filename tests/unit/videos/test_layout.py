"""Where a video's parts lie: inside, apart, in proportion, on even numbers, along the picture's time axis."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsounds_stream.videos.layout import Box, Layout, layout_for
from netsounds_stream.videos.playhead import AxisPlayhead, Segment

EDGES = st.integers(120, 2000).map(lambda half: 2 * half)


def parts(layout: Layout) -> list[Box]:
    return [layout.header, layout.clock, layout.picture, layout.waveform, layout.spectrogram]


@given(width=EDGES, height=EDGES, aspect=st.floats(0.02, 50), axis=st.sampled_from(("x", "y", None)))
def test_every_part_has_its_place(width: int, height: int, aspect: float, axis: str | None) -> None:
    layout = layout_for(width, height, aspect, axis)
    for box in parts(layout):
        assert 0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height
        assert not (box.left | box.top | box.width | box.height) % 2 or box is layout.header
    for one, other in combinations(parts(layout), 2):
        apart_x = one.right <= other.left or other.right <= one.left
        apart_y = one.bottom <= other.top or other.bottom <= one.top
        assert apart_x or apart_y, (one, other)
    # in proportion, to the rounding of both edges to even numbers
    picture = layout.picture
    assert abs(picture.width - picture.height * aspect) <= 1 + max(1, aspect)
    assert not layout.turned or axis == "y"


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (1080, 1080), (1080, 1920)])
def test_one_line_runs_through_all_along_x(size: tuple[int, int]) -> None:
    layout = layout_for(*size, 4 / 3, "x")
    spans = {(box.left, box.right) for box in (layout.picture, layout.waveform, layout.spectrogram)}
    assert len(spans) == 1 and not layout.turned
    assert layout.picture.top < layout.waveform.top < layout.spectrogram.top


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (1080, 1080)])
def test_one_line_runs_through_all_along_y(size: tuple[int, int]) -> None:
    layout = layout_for(*size, 3 / 4, "y")
    spans = {(box.top, box.bottom) for box in (layout.picture, layout.waveform, layout.spectrogram)}
    assert len(spans) == 1 and layout.turned


def test_a_portrait_fills_an_upright_video() -> None:
    """Beside waveform and spectrogram it would have half the area."""
    layout = layout_for(1080, 1920, 3 / 4, "y")
    assert not layout.turned
    assert layout.picture.width > 0.85 * 1080


def test_a_playhead_moves_along_its_axis() -> None:
    """From where the sound begins to where it ends, and no further."""
    playhead = AxisPlayhead(time_axis="x", start_px=8, end_px=208, across_px=90, seconds=4)
    assert playhead.at(0) == playhead.at(-1) == Segment(x0=8, y0=0, x1=8, y1=90)
    assert playhead.at(1) == Segment(x0=58, y0=0, x1=58, y1=90)
    assert playhead.at(4) == playhead.at(9) == Segment(x0=208, y0=0, x1=208, y1=90)
    down = AxisPlayhead(time_axis="y", start_px=0, end_px=100, across_px=30, seconds=2)
    assert down.at(0.5) == Segment(x0=0, y0=25, x1=30, y1=25)


def test_a_line_is_placed_on_other_pixels() -> None:
    line = Segment(x0=1, y0=2, x1=3, y1=4).placed(10, 20, 2, 0.5)
    assert line == Segment(x0=12, y0=21, x1=16, y1=22)
