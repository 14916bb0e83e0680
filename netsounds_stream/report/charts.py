"""Pictures with axes: a spectrogram over seconds and hertz, a waveform over seconds."""

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

_PAPER, _INK, _GRID, _WAVE = (255, 255, 255), (40, 40, 48), (225, 225, 230), (152, 38, 92)
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 36, 34, 44
_TEXT, _TICK = 13, 5
_WAVE_HEIGHT = 200
_PIXELS_A_TICK = 64  # along; a time in hours takes 50
_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


@dataclass(frozen=True)
class Tick:
    """Where on an axis, 0 to 1, and what stands there."""

    place: float
    text: str


def time_ticks(seconds: float, most: int = 10) -> list[Tick]:
    """At round times, `most` of them about: as seconds, or from two minutes on as h:mm:ss."""
    if not seconds > 0:
        return [Tick(0.0, "0")]
    least = seconds / most
    if least >= 1:
        step: float = next((s for s in _TIME_STEPS if s >= least), 86400 * math.ceil(least / 86400))
    else:
        power = 10 ** math.floor(math.log10(least))
        step = next(power * m for m in (1, 2, 5, 10) if power * m >= least * (1 - 1e-9))
    places = (n * step for n in range(int(seconds / step * (1 + 1e-9)) + 1))
    return [Tick(at / seconds, _time_text(at, step, long=seconds >= 120)) for at in places]


def frequency_ticks(scale: FrequencyScale, most: int = 8) -> list[Tick]:
    """At round frequencies."""
    low, high = scale.low_hz, scale.high_hz
    powers = range(math.floor(math.log10(max(low, 1))), math.ceil(math.log10(high)) + 1)
    values = [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    if scale.name == "linear" or len(values) < 3:  # the scale may be a narrow one
        step = _round_up((high - low) / most)
        values = [n * step for n in range(math.ceil(low / step), int(high / step * (1 + 1e-9)) + 1)]
    shares = scale.share(np.array(values, dtype=np.float64))
    return [Tick(float(at), _hertz_text(f)) for at, f in zip(shares, values, strict=True)]


def spectrogram(image: Pixels, seconds: float, scale: FrequencyScale, title: str) -> Image.Image:
    """Brightness `[row, column]`, the highest frequency on top, with axes in seconds and hertz."""
    height, width = image.shape
    chart, draw = _paper(width, height, title)
    chart.paste(coloured(image).convert("RGB"), (_LEFT, _TOP))
    _axes(draw, width, height, _along(seconds, width), frequency_ticks(scale), _time_name(seconds), "Hz")
    return chart


def waveform(extremes: NDArray[np.float32], seconds: float, title: str) -> Image.Image:
    """Lowest and highest sample `[column, 2]`, full scale being 1, with an axis in seconds."""
    width = len(extremes)
    chart, draw = _paper(width, _WAVE_HEIGHT, title)
    middle, half = _TOP + _WAVE_HEIGHT / 2, _WAVE_HEIGHT / 2
    ticks = [Tick((value + 1) / 2, f"{value:g}") for value in (-1, -0.5, 0, 0.5, 1)]
    _axes(draw, width, _WAVE_HEIGHT, _along(seconds, width), ticks, _time_name(seconds), "")
    for column, (low, high) in enumerate(np.clip(extremes, -1, 1)):
        if np.isfinite(low):
            x = _LEFT + column
            draw.line((x, round(middle - half * high), x, round(middle - half * low)), fill=_WAVE)
    return chart


def spectrogram_pixels(seen: View) -> Pixels:
    """Return a sound's spectrogram as brightness `[row, column]`, the highest frequency on top."""
    return np.round(255 * decibels(seen.power[0].T[::-1])).astype(np.uint8)


def write_charts(seen: View, title: str, pictures: Path, name: str) -> Pixels:
    """Write a sound's spectrogram and waveform into the folder `pictures`; the spectrogram without axes.

    Raises:
        OutputError: they cannot be written.
    """
    plan, shown = seen.plan, spectrogram_pixels(seen)
    seconds, scale = plan.samples / plan.rate_hz, FrequencyScale(plan.scale, plan.low_hz, plan.high_hz)
    save(spectrogram(shown, seconds, scale, f"{title}: spectrogram"), pictures / f"{name}_spectrogram.png")
    save(waveform(seen.extremes[0], seconds, f"{title}: waveform"), pictures / f"{name}_waveform.png")
    return shown


def sound_title(number: int, scheme: str) -> str:
    """Of a bank's sound, or of the mix (0)."""
    return f"bank {number}, {scheme}" if number else "mix of all banks"


def sound_name(number: int, scheme: str) -> str:
    """How the names of its pictures begin."""
    return f"bank-{number}_{scheme}" if number else "mix"


def _paper(width: int, height: int, title: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    chart = Image.new("RGB", (_LEFT + width + _RIGHT, _TOP + height + _BOTTOM), _PAPER)
    draw = ImageDraw.Draw(chart)
    draw.text((_LEFT, _TOP - 10), title, fill=_INK, font=_font(_TEXT + 2), anchor="ls")
    return chart, draw


def _axes(
    draw: ImageDraw.ImageDraw,
    width: int,
    height: int,
    along: Sequence[Tick],
    up: Sequence[Tick],
    along_name: str,
    up_name: str,
) -> None:
    font, bottom = _font(_TEXT), _TOP + height
    draw.rectangle((_LEFT - 1, _TOP - 1, _LEFT + width, bottom), outline=_GRID)
    for tick in along:
        x = _LEFT + tick.place * (width - 1)
        draw.line((x, bottom, x, bottom + _TICK), fill=_INK)
        draw.text((x, bottom + _TICK + 2), tick.text, fill=_INK, font=font, anchor="mt")
    for tick in up:
        y = bottom - 1 - tick.place * (height - 1)
        draw.line((_LEFT - _TICK, y, _LEFT - 1, y), fill=_INK)
        draw.text((_LEFT - _TICK - 3, y), tick.text, fill=_INK, font=font, anchor="rm")
    draw.text((_LEFT + width, bottom + _BOTTOM - 4), along_name, fill=_INK, font=font, anchor="rs")
    draw.text((_LEFT - _TICK - 3, _TOP - 12), up_name, fill=_INK, font=font, anchor="rs")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)  # part of Pillow, so that a picture is the same on every machine


def _along(seconds: float, width: int) -> list[Tick]:
    return time_ticks(seconds, max(1, min(10, width // _PIXELS_A_TICK)))


def _time_name(seconds: float) -> str:
    return "seconds" if seconds < 120 else "h:mm:ss"


def _time_text(at: float, step: float, *, long: bool) -> str:
    if long:
        minutes, rest = divmod(round(at), 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
    return f"{at:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


def _hertz_text(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def _round_up(value: float) -> float:
    power = 10 ** math.floor(math.log10(value))
    return float(next(power * m for m in (1, 2, 5, 10) if power * m >= value * (1 - 1e-9)))
