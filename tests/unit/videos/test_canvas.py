"""Lines drawn into planes, against every pixel's distance; and that nothing of them is left behind."""

from __future__ import annotations

from math import hypot

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netsounds_stream.videos.canvas import Canvas, planes_of, stroke
from netsounds_stream.videos.layout import Box
from netsounds_stream.videos.playhead import Segment

WIDTH, HEIGHT = 48, 36
BOX = Box(left=6, top=4, width=30, height=24)
PLACES = st.floats(-10, 60) | st.integers(-10, 60).map(float)
SEGMENTS = st.builds(
    lambda x0, y0, x1, y1: Segment(x0=x0, y0=y0, x1=x1, y1=y1), PLACES, PLACES, PLACES, PLACES
)
UPRIGHT = PLACES.map(lambda x: Segment(x0=x, y0=float(BOX.top), x1=x, y1=float(BOX.bottom)))
LEVEL = PLACES.map(lambda y: Segment(x0=float(BOX.right), y0=y, x1=float(BOX.left), y1=y))


def plainly(line: Segment, width: float) -> tuple[np.ndarray, np.ndarray]:
    """How far a line and its shadow cover each pixel, one by one."""
    covered, shaded = np.zeros((HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH))
    shadow = 1.6 * width
    for y in range(BOX.top, BOX.bottom):
        for x in range(BOX.left, BOX.right):
            step = (line.x1 - line.x0, line.y1 - line.y0)
            square = step[0] ** 2 + step[1] ** 2
            share = 0.0
            if square:
                share = ((x + 0.5 - line.x0) * step[0] + (y + 0.5 - line.y0) * step[1]) / square
            share = min(1.0, max(0.0, share))
            far = hypot(x + 0.5 - line.x0 - share * step[0], y + 0.5 - line.y0 - share * step[1])
            covered[y, x] = min(1.0, max(0.0, width / 2 + 0.5 - far))
            shaded[y, x] = 0.5 * min(1.0, max(0.0, (width / 2 + shadow + 1 - far) / shadow))
    return covered, shaded


@settings(max_examples=60, deadline=None)
@example(line=Segment(x0=8.0, y0=9.0, x1=8.0, y1=9.0 + 2e-15), width=2.0)
@example(line=Segment(x0=0.0, y0=0.0, x1=0.0, y1=2.3e-309), width=2.0)
@given(line=SEGMENTS | UPRIGHT | LEVEL, width=st.sampled_from((1.0, 2.0, 3.24)))
def test_a_line_covers_the_pixels_near_it(line: Segment, width: float) -> None:
    """To the rounding of float32, also where upright and level ones take a shorter way."""
    found = stroke(line, width, BOX)
    covered, shaded = np.zeros((HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH))
    covered[found.rows, found.columns] = found.line
    shaded[found.rows, found.columns] = found.shadow
    expected = plainly(line, width)
    np.testing.assert_allclose(covered, expected[0], atol=1e-5)
    np.testing.assert_allclose(shaded, expected[1], atol=1e-5)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def test_planes_are_bt709() -> None:
    """Even colours, by the recommendation's own numbers; libswscale rounds within a level."""
    for colour in ((255, 255, 255), (0, 0, 0), (200, 30, 60), (10, 180, 240)):
        red, green, blue = (value / 255 for value in colour)
        bright = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        expected = (
            16 + 219 * bright,
            128 + 224 * (blue - bright) / 1.8556,
            128 + 224 * (red - bright) / 1.5748,
        )
        planes = planes_of(np.full((HEIGHT, WIDTH, 3), colour, np.uint8))
        for plane, value in zip(planes, expected, strict=True):
            assert np.abs(plane - value).max() <= 1.5, colour


def shown(canvas: Canvas) -> list[np.ndarray]:
    return [
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width].copy()
        for plane in canvas.frame.planes
    ]


def test_a_line_is_drawn_and_taken_out_again() -> None:
    """Lines that cross, and a part that changes between them: what is left is the still picture."""
    rgb = noise(1)
    canvas = Canvas(rgb)
    still = planes_of(rgb)
    lines = [Segment(x0=10, y0=4, x1=10, y1=28), Segment(x0=0, y0=0, x1=40, y1=30)]
    for line in lines:
        canvas.draw(line, 3, BOX)
    drawn = shown(canvas)
    assert (drawn[0][19:27, 9:11] >= 230).all()  # white, away from the other's shadow
    fades = np.abs(drawn[1][10:13, 4:6] - 128.0) - 0.25 * np.abs(still[1][10:13, 4:6] - 128.0)
    assert fades.max() <= 1  # three quarters of a pixel of colour are under the line
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[BOX.top : BOX.bottom, BOX.left : BOX.right] = False
    np.testing.assert_array_equal(drawn[0][outside], still[0][outside])
    canvas.wipe()
    for plane, expected in zip(shown(canvas), still, strict=True):
        np.testing.assert_array_equal(plane, expected)
    other = planes_of(noise(2))
    canvas.put(0, 0, other, Box(left=8, top=4, width=10, height=6))
    canvas.draw(lines[1], 3, BOX)
    canvas.wipe()
    for number, (plane, expected) in enumerate(zip(shown(canvas), still, strict=True)):
        scale = 2 if number else 1
        part = (slice(4 // scale, 10 // scale), slice(8 // scale, 18 // scale))
        expected[part] = other[number][part]
        np.testing.assert_array_equal(plane, expected)


def test_a_frame_that_an_encoder_keeps_is_not_drawn_on() -> None:
    """Encoders hold references: a line of later would show in a frame of earlier."""
    av = pytest.importorskip("av")
    canvas = Canvas(noise(3))
    graph = av.filter.Graph()
    source = graph.add_buffer(width=WIDTH, height=HEIGHT, format="yuv420p", time_base="1/30")
    sink = graph.add("buffersink")
    source.link_to(sink)
    graph.configure()
    source.push(canvas.frame)
    kept = sink.pull()  # of the same memory
    before = kept.to_ndarray()
    canvas.wipe()
    canvas.draw(Segment(x0=20, y0=4, x1=20, y1=28), 3, BOX)
    np.testing.assert_array_equal(kept.to_ndarray(), before)
