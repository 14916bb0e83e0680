"""Pictures of numbers: the colour map, brightness, sheets, decibels, ticks and charts."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from netsounds_stream.errors import OutputError
from netsounds_stream.report.charts import Tick, frequency_ticks, spectrogram, time_ticks, waveform
from netsounds_stream.report.images import (
    Sheet,
    blank_sheet,
    brightness,
    colour_map,
    coloured,
    decibels,
    draw_numbers,
    draw_tile,
    halved,
    save,
    sheet_of,
)
from netsounds_stream.sound.dsp.spectrum import FrequencyScale

Floats = NDArray[np.float64]


def lightness(srgb: NDArray[np.uint8]) -> Floats:
    """CIE 1976 L*, 0 to 100, by the standard's own formulas: not those that the map is made with."""
    values = srgb / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, luminance * 24389 / 27)


def oklab(srgb: NDArray[np.uint8]) -> Floats:
    values = srgb / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    to_cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.cbrt(linear @ np.array(to_cones).T) @ np.array(to_lab).T


def test_the_colour_map_rises_evenly() -> None:
    images = colour_map()
    assert images.shape == (256, 3)
    # In Oklab's own lightness, but for rounding to 8 bits (0.002 where it is dark)
    np.testing.assert_allclose(oklab(images)[:, 0], np.linspace(0.12, 0.97, 256), atol=0.003)
    # In the older measure, too, it rises throughout, from near black to near white
    older = lightness(images)
    assert older[0] < 5 and older[-1] > 92
    assert (older[8:] > older[:-8]).all()
    assert np.abs(older - np.linspace(older[0], older[-1], 256)).max() < 8


def test_the_colour_map_lies_within_srgb() -> None:
    """A colour that had to be cut to fit would have another lightness and hue than it was drawn with."""
    from netsounds_stream.report import images

    drawn = images._oklab_map()
    np.testing.assert_allclose(oklab(colour_map()), drawn, atol=0.003)


def test_brightness_stands_outliers() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 1, (2, 100, 100)).astype(np.float32)
    values[1, 3, 4] = 1e4
    shown = brightness(values)
    assert shown.dtype == np.uint8
    assert shown[1, 3, 4] == 255
    np.testing.assert_allclose(shown[1].astype(int).mean(), 128, atol=3)
    assert (shown[0] == 255).mean() < 0.01  # half a hundredth is above the percentile
    np.testing.assert_array_equal(shown[0], brightness(values[:1])[0])  # each by itself


def test_brightness_of_nothing_and_of_almost_nothing() -> None:
    assert not brightness(np.zeros((3, 5, 4))).any()
    assert not brightness(np.full((5, 4), np.nan)).any()
    assert not brightness(np.full((5, 4), -1.0)).any()
    dot = np.zeros((40, 40))
    dot[2, 3] = 1e-7  # float16's least: the percentile is 0
    assert brightness(dot)[2, 3] == 255 and np.count_nonzero(brightness(dot)) == 1
    holes = np.ones((4, 4))
    holes[0, 0] = np.nan
    assert brightness(holes)[0, 0] == 0 and brightness(holes)[1, 1] == 255
    assert (brightness(np.ones((1, 1))) == 255).all()


def test_decibels() -> None:
    power = np.full((50, 50), 1e-3)
    power[:, 0], power[0, 1], power[1, 1] = 1.0, 0.0, 1e-9
    power[10:, 10] = 1e-5  # a sixtieth: below the 5th percentile
    shown = decibels(power, 60)
    assert shown[:, 0].min() == 1 and shown[2, 2] == 0  # what most of it is, is the quietest that shows
    power[:, 1:6] = 1e-9
    shown = decibels(power, 60)
    assert shown[:, 0].min() == 1
    np.testing.assert_allclose(shown[2, 8], 0.5, atol=1e-6)  # 30 of 60 dB down
    assert shown[0, 1] == 0 and shown[1, 1] == 0
    even = np.full((50, 50), 2.0)
    even[0] = 1.9
    assert 0.95 > decibels(even, 60)[0, 0] >= 0 and decibels(even, 60).max() < 0.1  # 0.2 dB is no contrast
    for quiet in (1e-20, 1e-36, 1e-44, 1e30):  # no matter how quiet all of it is
        np.testing.assert_allclose(decibels(power * quiet, 60)[:, 0], 1)
    assert not decibels(np.zeros((3, 3))).any() and not decibels(np.full((3, 3), np.nan)).any()
    click = np.zeros((100, 100))
    click[5, 5], click[6, 6] = 1e-6, 1e-9  # less of it than the percentile leaves out
    shown = decibels(click, 60)
    np.testing.assert_allclose([shown[5, 5], shown[6, 6]], [1, 0.5], atol=1e-6)


@given(st.integers(1, 600), st.integers(1, 128), st.integers(1, 128))
def test_a_sheet_holds_every_tile_once(tiles: int, width: int, height: int) -> None:
    of = sheet_of(tiles, width, height)
    assert 1 <= of.columns <= tiles and (of.rows - 1) * of.columns < tiles <= of.rows * of.columns
    wide, high = of.columns * width, of.rows * height
    assert (wide < high + 2 * width + 2 * height and high < wide + 2 * height + 2 * width) or of.columns in (
        1,
        tiles,
    )


def test_tiles_lie_where_the_sheet_says() -> None:
    of = Sheet(tiles=5, columns=3, tile_width=4, tile_height=2)
    image = blank_sheet(of)
    assert image.shape == (4, 12)
    for number in range(5):
        draw_tile(image, of, number, np.full((2, 4), number + 1, np.uint8))
    assert image[1, 11] == 3 and image[2, 0] == 4 and image[3, 7] == 5 and not image[2:, 8:].any()


def test_halved() -> None:
    image = np.array([[0, 4, 9], [8, 4, 11], [1, 1, 255]], np.uint8)
    np.testing.assert_array_equal(halved(image), [[4, 10], [1, 255]])
    assert halved(np.full((128, 128), 255, np.uint8)).max() == 255
    assert halved(np.array([[7]], np.uint8)).tolist() == [[7]]


def test_tiles_have_their_numbers_below_them() -> None:
    sheet = sheet_of(101, 9, 6, numbered=True)
    assert sheet.cell_width > sheet.tile_width and sheet.cell_height > sheet.tile_height
    image = blank_sheet(sheet)
    for number in range(101):
        draw_tile(image, sheet, number, np.full((6, 9), 255, np.uint8))
    tiles = image.copy()
    draw_numbers(image, sheet)
    cells = [
        image[row : row + sheet.cell_height, column : column + sheet.cell_width]
        for row in range(0, len(image), sheet.cell_height)
        for column in range(0, image.shape[1], sheet.cell_width)
    ]
    strips = {cell[6:].tobytes() for cell in cells[:101]}
    assert len(strips) == 101 and not any((cell[6:] > 0).sum() == 0 for cell in cells[:101])
    assert all((cell[:6, :9] == 255).all() for cell in cells[:101])  # nothing is drawn over a tile
    assert not any(cell[:, -1].any() for cell in cells[:101])  # nor cut at the right
    assert (tiles != image).any() and not any(cell.any() for cell in cells[101:])


def test_pictures_are_files(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    save(coloured(ramp), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), colour_map()[ramp])
    save(coloured(ramp), tmp_path / "a.jpg", 90)
    with Image.open(tmp_path / "a.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (256, 16))
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - colour_map()[ramp]).mean() < 4
    with pytest.raises(OutputError, match="cannot write"):
        save(coloured(ramp), tmp_path / "absent" / "a.png")


@given(st.floats(1e-4, 1e7))
def test_time_ticks_are_round_and_few(seconds: float) -> None:
    ticks = time_ticks(seconds)
    places = [tick.place for tick in ticks]
    assert places[0] == 0 and places == sorted(places) and places[-1] <= 1 + 1e-6
    assert 1 < len(ticks) <= 12
    np.testing.assert_allclose(np.diff(places), places[1], rtol=1e-6)
    assert len({tick.text for tick in ticks}) == len(ticks)
    if seconds < 119:
        np.testing.assert_allclose(
            [float(tick.text) for tick in ticks], np.array(places) * seconds, rtol=1e-6
        )
    elif seconds > 121:
        for tick in ticks:
            hours, minutes, rest = map(int, tick.text.split(":"))
            assert abs(3600 * hours + 60 * minutes + rest - tick.place * seconds) < 1e-6 * seconds


def test_times_in_words() -> None:
    assert [tick.text for tick in time_ticks(10)] == [str(second) for second in range(11)]
    assert [tick.text for tick in time_ticks(0.5)][:3] == ["0.00", "0.05", "0.10"]
    assert [tick.text for tick in time_ticks(3600 * 2.6)] == [
        "0:00:00",
        "0:30:00",
        "1:00:00",
        "1:30:00",
        "2:00:00",
        "2:30:00",
    ]
    assert time_ticks(0) == [Tick(0.0, "0")]


@pytest.mark.parametrize("name", ["linear", "mel", "log"])
@pytest.mark.parametrize(
    ("low", "high"), [(40.0, 12000.0), (1.0, 22050.0), (3000.0, 4000.0), (440.0, 441.0), (1.0, 2.5)]
)
def test_frequency_ticks_lie_where_their_frequency_is(name: str, low: float, high: float) -> None:
    scale = FrequencyScale(name, low, high)
    ticks = frequency_ticks(scale)
    assert 2 <= len(ticks) <= 20
    for tick in ticks:
        value = float(tick.text.replace("k", "")) * (1000 if tick.text.endswith("k") else 1)
        assert low <= value <= high
        np.testing.assert_allclose(tick.place, float(scale.share(np.array(value))), atol=1e-5)
    assert all(first.place < second.place for first, second in pairwise(ticks))


def ink(chart: Image.Image) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where something is drawn; and the outermost pixels' lines alone."""
    drawn = (np.asarray(chart) != 255).any(axis=2)
    edge = np.concatenate((drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]))
    return drawn, edge


@pytest.mark.parametrize("seconds", [0.001, 9.99, 119.0, 121.0, 4 * 3600.0])
@pytest.mark.parametrize("width", [1024, 512])
def test_charts_hold_all_that_is_drawn(seconds: float, width: int) -> None:
    shown = np.zeros((256, width), np.uint8)
    chart = spectrogram(shown, seconds, FrequencyScale("log", 1.0, 96000.0), "bank 4, concat: spectrogram")
    drawn, edge = ink(chart)
    assert chart.size == (72 + width + 36, 34 + 256 + 44)
    assert drawn.any() and not edge.any()  # no text is cut at the image's edge
    wave = np.stack((np.full(width, -2.0), np.full(width, 2.0)), 1).astype(np.float32)
    chart = waveform(wave, seconds, "mix of all banks: waveform")
    _, edge = ink(chart)
    assert chart.size == (72 + width + 36, 34 + 200 + 44) and not edge.any()


def test_a_chart_shows_its_numbers_where_they_are() -> None:
    shown = np.zeros((20, 300), np.uint8)
    shown[0, 299], shown[19, 0] = 255, 128
    chart = np.asarray(spectrogram(shown, 1.0, FrequencyScale("linear", 0.0, 10.0), "a"))
    assert (chart[34, 72 + 299] == colour_map()[255]).all() and (
        chart[34 + 19, 72] == colour_map()[128]
    ).all()
    extremes = np.zeros((300, 2), np.float32)
    extremes[7], extremes[9] = (-1, 1), (np.nan, np.nan)
    chart = np.asarray(waveform(extremes, 1.0, "a"))
    wave = (chart == (152, 38, 92)).all(axis=2)
    assert wave[34:235, 72 + 7].sum() >= 200 and wave[34:235, 72 + 8].sum() == 1 and not wave[:, 72 + 9].any()
