"""Charts with axes: spectrograms over seconds and hertz, waveforms over seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..sound.dsp.spectrum import FrequencyScale
from ..sound.view import View
from .images import Pixels, coloured, decibels, save

# Colours, sRGB.
_PAPER = (255, 255, 255)
_INK = (40, 40, 48)
_GRID = (225, 225, 230)
_WAVE = (152, 38, 92)
# Margins around the plot, and sizes, in pixels.
_LEFT = 72
_RIGHT = 36
_TOP = 34
_BOTTOM = 44
_TEXT = 13
_TICK = 5
_WAVE_HEIGHT = 200
_PIXELS_A_TICK = 64  # on the time axis; a time in hours is 50 wide
_CLOCK_SECONDS = 120  # axes from here on are labelled h:mm:ss
_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


@dataclass(frozen=True)
class Tick:
    """A tick of an axis.

    Attributes:
        place: position on the axis, 0 to 1.
        text: its label.
    """

    place: float
    text: str


@dataclass(frozen=True)
class Axis:
    """An axis of a chart: its name and its ticks."""

    name: str
    ticks: Sequence[Tick]


def time_ticks(seconds: float, most: int = 10) -> list[Tick]:
    """Choose round times for a time axis.

    Args:
        seconds: length of the axis.
        most: about how many ticks there may be.

    Returns:
        The ticks, labelled in seconds, or as h:mm:ss on an axis of two minutes or more.
    """
    if not seconds > 0:
        return [Tick(0.0, "0")]
    least = seconds / most
    if least >= 1:
        step: float = next((s for s in _TIME_STEPS if s >= least), 86400 * math.ceil(least / 86400))
    else:
        power = 10 ** math.floor(math.log10(least))
        step = next(power * m for m in (1, 2, 5, 10) if power * m >= least * (1 - 1e-9))
    times = (n * step for n in range(int(seconds / step * (1 + 1e-9)) + 1))
    as_clock = seconds >= _CLOCK_SECONDS
    return [Tick(time / seconds, _time_text(time, step, as_clock=as_clock)) for time in times]


def frequency_ticks(scale: FrequencyScale, most: int = 8) -> list[Tick]:
    """Choose round frequencies for a frequency axis.

    Args:
        scale: the axis.
        most: about how many ticks a linear axis may have.

    Returns:
        The ticks, labelled in Hz, with k for thousands.
    """
    low = scale.low_hz
    high = scale.high_hz
    powers = range(math.floor(math.log10(max(low, 1))), math.ceil(math.log10(high)) + 1)
    values = [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    if scale.name == "linear" or len(values) < 3:  # a narrow range may hold few of them
        step = _round_up((high - low) / most)
        values = [n * step for n in range(math.ceil(low / step), int(high / step * (1 + 1e-9)) + 1)]
    shares = scale.share(np.array(values, dtype=np.float64))
    return [Tick(float(share), _hertz_text(value)) for share, value in zip(shares, values, strict=True)]


def spectrogram(image: Pixels, seconds: float, scale: FrequencyScale, title: str) -> Image.Image:
    """Draw a spectrogram with axes in seconds and hertz.

    Args:
        image: brightness `[row, column]`, the highest frequency on top.
        seconds: duration of the sound.
        scale: frequency scale of the rows.
        title: heading of the chart.

    Returns:
        The chart.
    """
    height, width = image.shape
    chart, draw = _paper(width, height, title)
    chart.paste(coloured(image).convert("RGB"), (_LEFT, _TOP))
    _draw_axes(draw, (width, height), _time_axis(seconds, width), Axis("Hz", frequency_ticks(scale)))
    return chart


def waveform(extremes: NDArray[np.float32], seconds: float, title: str) -> Image.Image:
    """Draw a waveform with an axis in seconds.

    Args:
        extremes: lowest and highest sample `[column, 2]`, full scale being 1; NaN: no sample.
        seconds: duration of the sound.
        title: heading of the chart.
    """
    width = len(extremes)
    chart, draw = _paper(width, _WAVE_HEIGHT, title)
    half = _WAVE_HEIGHT / 2
    middle = _TOP + half
    ticks = [Tick((value + 1) / 2, f"{value:g}") for value in (-1, -0.5, 0, 0.5, 1)]
    _draw_axes(draw, (width, _WAVE_HEIGHT), _time_axis(seconds, width), Axis("", ticks))
    for column, (low, high) in enumerate(np.clip(extremes, -1, 1)):
        if np.isfinite(low):
            x = _LEFT + column
            draw.line((x, round(middle - half * high), x, round(middle - half * low)), fill=_WAVE)
    return chart


def spectrogram_pixels(view: View) -> Pixels:
    """Return a sound's spectrogram as brightness `[row, column]`, the highest frequency on top."""
    return np.round(255 * decibels(view.power[0].T[::-1])).astype(np.uint8)


def write_charts(view: View, title: str, pictures: Path, name: str) -> Pixels:
    """Write a sound's charts, `NAME_spectrogram.png` and `NAME_waveform.png`.

    Args:
        view: the sound's extremes and spectra.
        title: what both charts' headings begin with.
        pictures: folder for the charts.
        name: what their file names begin with.

    Returns:
        The spectrogram without axes, as brightness `[row, column]`.

    Raises:
        OutputError: a chart cannot be written.
    """
    pixels = spectrogram_pixels(view)
    seconds = view.plan.samples / view.plan.rate_hz
    scale = frequency_scale(view)
    save(spectrogram(pixels, seconds, scale, f"{title}: spectrogram"), pictures / f"{name}_spectrogram.png")
    save(waveform(view.extremes[0], seconds, f"{title}: waveform"), pictures / f"{name}_waveform.png")
    return pixels


def frequency_scale(view: View) -> FrequencyScale:
    """Return the frequency scale of a view's spectra."""
    return FrequencyScale(view.plan.scale, view.plan.low_hz, view.plan.high_hz)


def sound_title(number: int, scheme: str) -> str:
    """Return the title of a bank's sound, or of the mix, whose number is 0."""
    return f"bank {number}, {scheme}" if number else "mix of all banks"


def sound_name(number: int, scheme: str) -> str:
    """Return what the file names of a sound's images begin with; the mix has number 0."""
    return f"bank-{number}_{scheme}" if number else "mix"


def _paper(width: int, height: int, title: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return a chart with its title and an empty plot of that size, and what draws on it."""
    chart = Image.new("RGB", (_LEFT + width + _RIGHT, _TOP + height + _BOTTOM), _PAPER)
    draw = ImageDraw.Draw(chart)
    draw.text((_LEFT, _TOP - 10), title, fill=_INK, font=_font(_TEXT + 2), anchor="ls")
    return chart, draw


def _draw_axes(draw: ImageDraw.ImageDraw, size: tuple[int, int], horizontal: Axis, vertical: Axis) -> None:
    """Draw the axes of a plot of `size` (width, height) in pixels."""
    width, height = size
    font = _font(_TEXT)
    bottom = _TOP + height
    draw.rectangle((_LEFT - 1, _TOP - 1, _LEFT + width, bottom), outline=_GRID)
    for tick in horizontal.ticks:
        x = _LEFT + tick.place * (width - 1)
        draw.line((x, bottom, x, bottom + _TICK), fill=_INK)
        draw.text((x, bottom + _TICK + 2), tick.text, fill=_INK, font=font, anchor="mt")
    for tick in vertical.ticks:
        y = bottom - 1 - tick.place * (height - 1)
        draw.line((_LEFT - _TICK, y, _LEFT - 1, y), fill=_INK)
        draw.text((_LEFT - _TICK - 3, y), tick.text, fill=_INK, font=font, anchor="rm")
    draw.text((_LEFT + width, bottom + _BOTTOM - 4), horizontal.name, fill=_INK, font=font, anchor="rs")
    draw.text((_LEFT - _TICK - 3, _TOP - 12), vertical.name, fill=_INK, font=font, anchor="rs")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)  # built into Pillow: charts are the same on every machine


def _time_axis(seconds: float, width: int) -> Axis:
    """Return the time axis of a plot `width` pixels wide."""
    ticks = time_ticks(seconds, max(1, min(10, width // _PIXELS_A_TICK)))
    return Axis("seconds" if seconds < _CLOCK_SECONDS else "h:mm:ss", ticks)


def _time_text(seconds: float, step: float, *, as_clock: bool) -> str:
    if as_clock:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
    return f"{seconds:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


def _hertz_text(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def _round_up(value: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(value))
    return float(next(power * m for m in (1, 2, 5, 10) if power * m >= value * (1 - 1e-9)))
