"""Paths across a picture, by their geometry, and maps in their order, beside plain sampling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from netsounds_stream.errors import OptionError
from netsounds_stream.planning.options import SonifyOptions
from netsounds_stream.planning.plan import Limits, Source
from netsounds_stream.planning.planner import make_plan
from netsounds_stream.rendering import scans
from netsounds_stream.rendering.paths import Region, parse_path, parse_region
from netsounds_stream.rendering.scans import BankMap, Scan, scan_of
from netsounds_stream.sound.background import Background
from netsounds_stream.store import sum_maps
from netsounds_stream.store.sum_maps import SumMap, write_sum_map

WIDTH, HEIGHT = 700, 500
WHOLE = Region(x=0, y=0, width=WIDTH, height=HEIGHT)
EVEN = (0.25, 0.5)


def segment(text: str, share: float, region: Region = WHOLE, band: float | None = None) -> np.ndarray:
    low, high = parse_path(text, WHOLE, region, band).segments(np.array([share]))
    return np.concatenate((low[0], high[0]))


@pytest.mark.parametrize(
    ("text", "share", "expected"),
    [
        ("x", 0.25, (175, 500, 175, 0)),  # low is the bottom
        ("y", 0.5, (0, 250, 700, 250)),  # low is the left
        ("line:0,250,700,250", 0.25, (175, 500, 175, 0)),  # as x
        ("line:350,0,350,500", 0.5, (0, 250, 700, 250)),  # as y
        ("radar", 0.0, (350, 250, 350, 250 - np.hypot(350, 250))),  # 12 o'clock
        ("radar", 0.25, (350, 250, 350 + np.hypot(350, 250), 250)),  # 3 o'clock
        ("spiral:4", 0.0, (350, 250, 350, 250 - np.hypot(350, 250) / 5)),
        ("spiral:4", 1.0, (350, 250 - np.hypot(350, 250) * 4 / 5, 350, 250 - np.hypot(350, 250))),
    ],
)
def test_segments_lie_where_they_should(text: str, share: float, expected: tuple[float, ...]) -> None:
    np.testing.assert_allclose(segment(text, share), expected, atol=1e-9)


def test_a_line_of_some_width_stays_beside_it() -> None:
    np.testing.assert_allclose(segment("line:100,100,400,500", 0.5, band=50), (230, 315, 270, 285))


def test_a_curve_goes_at_one_speed(tmp_path: Path) -> None:
    (tmp_path / "way.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 70 50">'
        '<g><path d="M 10 10 L 40 10 L 40 40"/></g></svg>'
    )
    path = parse_path(str(tmp_path / "way.svg"), WHOLE, WHOLE)
    assert path.length == pytest.approx(600, rel=1e-2)
    low, high = path.segments(np.array([0.0, 0.25, 0.75, 1.0]))
    middle = (low + high) / 2
    np.testing.assert_allclose(middle, [(100, 100), (250, 100), (400, 250), (400, 400)], atol=1e-6)
    assert np.hypot(*(high - low).T) == pytest.approx(125)  # a quarter of the short edge
    assert high[0, 1] < 100 < low[0, 1]  # high is to the left of someone going right


def test_a_curve_from_a_file_is_sampled_along_its_bend(tmp_path: Path) -> None:
    (tmp_path / "arc.svg").write_text('<svg><path d="M 200 250 A 100 100 0 0 1 400 250"/></svg>')
    path = parse_path(str(tmp_path / "arc.svg"), WHOLE, WHOLE, 2)
    low, high = path.segments(np.linspace(0, 1, 50))
    # a polygon of 63 sides lies inside its circle by 100 (1 - cos(pi / 126)) = 0.03
    np.testing.assert_allclose(np.hypot(*((low + high) / 2 - (300, 250)).T), 100, atol=0.05)


BAD = {
    "no path 'up'": ("up", None),
    "a spiral cannot have '0' turns": ("spiral:0", None),
    "path line cannot be '1,2,3'": ("line:1,2,3", None),
    "has no length": ("line:1,1,1,1", None),
    "lies outside": ("line:-9,-9,-5,-5", None),
    "path width cannot be 0": ("x", 0.0),
    "cannot be read": ("absent.svg", None),
}


@pytest.mark.parametrize("message", BAD)
def test_what_is_no_path(message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse_path(BAD[message][0], WHOLE, WHOLE, BAD[message][1])


FILES = {
    "is no SVG file": "<svg>",
    "holds no path": "<svg><circle r='3'/></svg>",
    "has a transform": "<svg><g transform='scale(2)'><path d='M 1 1 L 9 9'/></g></svg>",
    "has no length": "<svg><path d='M 1 1'/></svg>",
    "cannot be read": "<svg><path d='M 1 1 L nonsense'/></svg>",
    "has a viewBox that is none": "<svg viewBox='0 0 0 1'><path d='M 1 1 L 9 9'/></svg>",
    "lies outside": "<svg><path d='M 901 901 L 999 999'/></svg>",
}


@pytest.mark.parametrize("message", FILES)
def test_a_file_without_a_path_that_can_be_used(tmp_path: Path, message: str) -> None:
    (tmp_path / "way.svg").write_text(FILES[message])
    with pytest.raises(OptionError, match=message):
        parse_path(str(tmp_path / "way.svg"), WHOLE, WHOLE)


def test_a_region_lies_in_the_picture() -> None:
    assert parse_region("10,20,30,40.5", WIDTH, HEIGHT) == Region(x=10, y=20, width=30, height=40.5)
    for text in ("1,2,3", "a,b,c,d", "0,0,701,10", "-1,0,5,5", "0,0,0,5", "nan,0,1,1"):
        with pytest.raises(OptionError, match="region"):
            parse_region(text, WIDTH, HEIGHT)


def bank_map(folder: Path, values: Any, *, time_axis: str = "x", number: int = 1) -> BankMap:
    """A map of a bank of a picture of this size; `values` takes pixels y and x, and the side."""
    plan = make_plan(
        Source(height=HEIGHT, width=WIDTH),
        SonifyOptions(banks=(number,), time_axis=time_axis),  # type: ignore[arg-type]
        Limits(baseline_bytes=1 << 28, budget_bytes=1 << 31),
    )
    planned = plan.banks[0]
    bank = planned.bank
    _, height, width = planned.shape
    y = bank.y.offset + 0.5 + bank.y.stride * np.arange(height)[:, None]
    x = bank.x.offset + 0.5 + bank.x.stride * np.arange(width)[None, :]
    plane = np.stack([np.broadcast_to(values(y, x, side), (height, width)) for side in (0, 1)])
    frames = plane.transpose((2, 0, 1) if time_axis == "x" else (1, 0, 2)).astype(np.float32)
    write_sum_map(
        folder / "map.zarr",
        planned,
        lambda start, count: frames[start : start + count],
        time_axis=time_axis,
        attributes={},
        advance=lambda amount: None,
    )
    background = Background(even=torch.tensor(EVEN), margin=torch.zeros(2), noise=1.0, border=2)
    return BankMap(bank=bank, stored=SumMap(folder / "map.zarr"), background=background, picture=WHOLE)


def noise(y: Any, x: Any, side: int) -> Any:
    return np.random.default_rng(side).standard_normal(np.broadcast_shapes(y.shape, x.shape))


def all_rows(scan: Scan, at_once: int) -> np.ndarray:
    return np.concatenate(
        [scan.read(start, min(at_once, scan.rows - start)) for start in range(0, scan.rows, at_once)]
    )


def plainly(source: BankMap, text: str, region: Region, rows: int, frequencies: int) -> np.ndarray:
    """The rows of a path, value by value, out of the whole map in memory."""
    _, height, width = source.stored.shape
    plane = source.stored.frames("y", 0, height).transpose(1, 0, 2).astype(np.float64)
    bank = source.bank
    path = parse_path(text, WHOLE, region)
    made = np.empty((rows, 2, frequencies))
    for row in range(rows):
        low, high = path.segments(np.array([(row + 0.5) / rows]))
        for frequency in range(frequencies):
            point = low[0] + (high[0] - low[0]) * (frequency + 0.5) / frequencies
            if not region.holds(point):
                made[row, :, frequency] = EVEN
                continue
            x = np.clip((point[0] - 0.5 - bank.x.offset) / bank.x.stride, 2, width - 3)
            y = np.clip((point[1] - 0.5 - bank.y.offset) / bank.y.stride, 2, height - 3)
            left, top = int(min(x, width - 4)), int(min(y, height - 4))
            corner = plane[:, top : top + 2, left : left + 2]
            made[row, :, frequency] = (corner[:, 0] * (top + 1 - y) + corner[:, 1] * (y - top)) @ (
                left + 1 - x,
                x - left,
            )
    return made


@pytest.mark.parametrize("text", ["radar", "spiral:2", "line:-50,20,600,400"])
@pytest.mark.parametrize("time_axis", ["x", "y"])
def test_a_scan_is_plain_interpolation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, time_axis: str
) -> None:
    source = bank_map(tmp_path, noise, time_axis=time_axis, number=3)
    region = Region(x=100, y=50, width=450, height=400)
    scan = scan_of(source, parse_path(text, WHOLE, region), region)
    rows = all_rows(scan, 17)
    # bilinear weights in float32, over values around 1
    np.testing.assert_allclose(
        rows, plainly(source, text, region, scan.rows, scan.frequencies), rtol=0, atol=1e-5
    )
    monkeypatch.setattr(sum_maps, "_KEPT_BYTES", 1)  # no tile is kept
    assert np.array_equal(rows, all_rows(scan, 1000))
    blocks = [block.numpy() for block in scans.rows_of(scan)]
    assert np.array_equal(rows, np.concatenate(blocks))


@pytest.mark.parametrize("time_axis", ["x", "y"])
def test_along_an_axis_are_the_maps_own_values(tmp_path: Path, time_axis: str) -> None:
    """Also along the other axis than that of the run; the border's are replaced by the next ones inside."""
    source = bank_map(tmp_path, noise, time_axis=time_axis, number=2)
    _, height, width = source.stored.shape
    plane = source.stored.frames("y", 0, height).transpose(1, 0, 2)
    down, right = (np.clip(np.arange(length), 2, length - 3) for length in (height, width))
    along_x = all_rows(scan_of(source, parse_path("x", WHOLE, WHOLE), WHOLE), 40)
    along_y = all_rows(scan_of(source, parse_path("y", WHOLE, WHOLE), WHOLE), 40)
    assert np.array_equal(along_x, plane[:, down][:, :, right].transpose(2, 0, 1))
    assert np.array_equal(along_y, plane[:, down][:, :, right].transpose(1, 0, 2))
    region = Region(x=200, y=100, width=120, height=64)
    part = all_rows(scan_of(source, parse_path("x", WHOLE, region), region), 5)
    bank = source.bank
    columns = [i for i in range(width) if 200 <= bank.x.offset + 0.5 + bank.x.stride * i < 320]
    lines = [i for i in range(height) if 100 <= bank.y.offset + 0.5 + bank.y.stride * i < 164]
    assert np.array_equal(part, plane[:, lines][:, :, columns].transpose(2, 0, 1))
    tiny = Region(x=201, y=101, width=0.5, height=0.5)
    with pytest.raises(OptionError, match="smaller than a value of bank 2"):
        scan_of(source, parse_path("x", WHOLE, tiny), tiny)


def content(rows: np.ndarray) -> np.ndarray:
    return np.abs(rows - np.array(EVEN)[None, :, None]).sum(axis=1)


def test_a_spoke_is_a_click_and_a_ring_a_tone(tmp_path: Path) -> None:
    def spoke(y: Any, x: Any, side: int) -> Any:
        angle = np.arctan2(x - 350, -(y - 250)) / (2 * np.pi) % 1
        radius = np.hypot(x - 350, y - 250)
        return np.where((np.abs(angle - 0.3) < 0.01) & (radius > 60), 9.0, EVEN[side])

    (tmp_path / "spoke").mkdir()
    source = bank_map(tmp_path / "spoke", spoke)
    scan = scan_of(source, parse_path("radar", WHOLE, WHOLE), WHOLE)
    by_time = content(all_rows(scan, 500)).sum(axis=1)
    heard = (np.flatnonzero(by_time > by_time.max() / 4) + 0.5) / scan.rows
    assert heard.min() > 0.285 and heard.max() < 0.315

    def ring(y: Any, x: Any, side: int) -> Any:
        return np.where(np.abs(np.hypot(x - 350, y - 250) - 150) < 4, 9.0, EVEN[side])

    (tmp_path / "ring").mkdir()
    source = bank_map(tmp_path / "ring", ring)
    scan = scan_of(source, parse_path("radar", WHOLE, WHOLE), WHOLE)
    rows = content(all_rows(scan, 500))
    tones = (np.argmax(rows, axis=1) + 0.5) / scan.frequencies * np.hypot(350, 250)
    np.testing.assert_allclose(tones, 150, atol=6)
    assert rows.max(axis=1).min() > 0.5 * rows.max()  # it never stops
