"""The last step to a sound file: levels, fades, another rate, dither, the file's format. From front to back.

What depends on the whole (a rate's new peak, loudness) takes a pass before the one that writes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..base.checksums import FileSum, file_sum, shifted
from ..base.progress import Advance
from ..planning.plan import AudioPlan
from ..planning.sound_options import SoundOptions
from ..planning.sound_plan import preview_samples
from .dsp.limiter import Limiter
from .dsp.loudness import Loudness, LoudnessMeter
from .encoding import Resampler, SoundWriter
from .tags import Tags, info_chunk
from .view import SoundMeter, ViewPlan
from .wav import LaidOutWav, to_samples

Samples = NDArray[np.float32]
#: Of true peaks, in dB below full scale.
CEILING_DBTP = -1.0
CEILING = 10 ** (CEILING_DBTP / 20)
# The limiter's own: what it turns down has a little more between its samples than was foreseen.
_MARGIN = 10 ** (-0.05 / 20)
# Peaks are turned down by no more: past that a limiter is heard.
_MOST_LIMITED_DB = 18.0
_TOLERATED_LU = 0.2
_MOST_PASSES = 5  # over the sound, to find the gain that reaches a loudness behind the limiter
_FADE_SECONDS = 0.01
PIECE_SAMPLES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Some of a file's sound: `factor` times what `pieces` gives, plus `offset`.

    Attributes:
        samples: in each channel.
        pieces: gives it from its beginning, each time it is called; float32 `[sample, channel]`.
        fades_in, fades_out: whether it is faded.
    """

    samples: int
    pieces: Callable[[], Iterable[Samples]]
    factor: float = 1.0
    offset: float = 0.0
    fades_in: bool = False
    fades_out: bool = False


@dataclass(frozen=True)
class Gain:
    """What a file's segments are turned up by; `limits`: by so much that a limiter has work."""

    factor: float = 1.0
    limits: bool = False


@dataclass(frozen=True, kw_only=True)
class Finish:
    """How one file is finished; `loudness_lufs` None leaves the segments' own levels, to within full scale.

    `dithered`: TPDF dither of one step each way, where 16 bits are written. `view`: where to keep what was
    seen of it, and how.
    """

    path: Path
    audio: AudioPlan
    sound: SoundOptions
    tags: Tags
    loudness_lufs: float | None
    dithered: bool
    seed: tuple[int, ...]
    view: tuple[Path, ViewPlan] | None = None

    @property
    def rate_hz(self) -> int:
        return self.sound.resample_hz or self.sound.sample_rate_hz


def gain_for(
    to: Finish, segments: Sequence[Segment], advance: Advance, known: Loudness | None = None
) -> Gain:
    """Return the gain that the file is written with.

    Args:
        advance: called with every sample of every pass over the segments.
        known: what a meter would find of the segments as they are, if one was there when they were made: it
            saves a pass.
    """
    gain, limits = 1.0, False
    if to.loudness_lufs is not None:
        before = known or _loudness(_stream(to, segments, advance), to)
        gain, limits = _gain_to(to.loudness_lufs, before)
        if limits:
            counts = iter([advance] if known is not None else [])  # further passes are not in the plan

            def limited(gain: float) -> float:
                counted = next(counts, Advance("", 1, "", lambda progress: None))
                return _loudness(_limited(to, gain, _stream(to, segments, counted)), to).integrated_lufs

            gain = _limited_gain(to.loudness_lufs, gain, _most_gain(before), limited)
    elif to.rate_hz != to.sound.sample_rate_hz:
        gain = _gain_to_peak(to, segments, advance)
    return Gain(gain, limits)


def finish(
    to: Finish, segments: Sequence[Segment], advance: Advance, gain: Gain | None = None
) -> tuple[FileSum, dict[str, Any]]:
    """Write the file; its sum, and what was measured of it, JSON-ready.

    Args:
        advance: called with every sample of every pass over the segments (`passes`).
        gain: what it is written with; None: `gain_for` finds it.
    """
    gain = gain or gain_for(to, segments, advance)
    meter = None if to.loudness_lufs is None else LoudnessMeter(to.rate_hz, to.audio.channels)
    draw, at, stream = np.random.default_rng((*to.seed, 1)), 0, _stream(to, segments, advance)
    seen = None if to.view is None else SoundMeter(to.view[1])
    with _Writer(to) as file:
        for piece in _scaled(to, gain, stream):
            if meter is not None:
                meter.add(piece)
            if seen is not None:
                seen.add(piece)
            file.write(at, _samples(to, piece, draw))
            at += len(piece)
        assert at == to.audio.samples
    if seen is not None and to.view is not None:
        seen.finish().save(to.view[0])
    return file.sum(), {} if meter is None else _measured(meter.finish())


def passes(sound: SoundOptions, loudness_lufs: float | None) -> int:
    """How often the segments are gone through."""
    return 2 if loudness_lufs is not None or sound.resample_hz is not None else 1


def true_peak(to: Finish, segments: Sequence[Segment], advance: Advance) -> float:
    """Return the true peak, linear, of what the file would hold at a gain of 1."""
    return _loudness(_stream(to, segments, advance), to).true_peak


def _loudness(pieces: Iterable[Samples], to: Finish) -> Loudness:
    meter = LoudnessMeter(to.rate_hz, to.audio.channels)
    for piece in pieces:
        meter.add(piece)
    return meter.finish()


def _gain_to(wanted_lufs: float, found: Loudness) -> tuple[float, bool]:
    """To the loudness, as far as the limiter is let go, and whether that must work; to the ceiling at most
    where there is no loudness."""
    if not found.true_peak:
        return 1.0, False
    wanted, most = found.gain_to(wanted_lufs), CEILING / found.true_peak
    if wanted is None:
        return min(1.0, most), False
    return min(wanted, _most_gain(found)), wanted > most


def _most_gain(found: Loudness) -> float:
    """Return the gain at which the limiter turns peaks down by as much as it is let."""
    return CEILING / found.true_peak * 10 ** (_MOST_LIMITED_DB / 20)


def _limited_gain(wanted_lufs: float, first: float, most: float, limited: Callable[[float], float]) -> float:
    """Return the gain that reaches the loudness behind the limiter, found by the secant method.

    More gain has the limiter take more, so that each decibel of it brings less than one.

    Args:
        first: the gain to begin with.
        most: the largest that is let.
        limited: the loudness behind the limiter, in LUFS, for a gain; each call is a pass over the sound.
    """
    tried: list[tuple[float, float]] = []  # gain and loudness, both in dB
    gain_db, most_db = (20 * math.log10(gain) for gain in (first, most))
    for _ in range(_MOST_PASSES):
        reached = limited(10 ** (gain_db / 20))
        missing, slope = wanted_lufs - reached, 1.0
        if tried and gain_db != tried[-1][0]:
            slope = (reached - tried[-1][1]) / (gain_db - tried[-1][0])
        tried.append((gain_db, reached))
        # below a tenth of a decibel for each, more is turned down nearly altogether
        if abs(missing) <= _TOLERATED_LU / 2 or slope < 0.1 or (missing > 0 and gain_db >= most_db):
            break
        gain_db = min(gain_db + missing / slope, most_db)
    nearest = min(tried, key=lambda each: abs(each[1] - wanted_lufs))
    return float(10 ** (nearest[0] / 20))


def _gain_to_peak(to: Finish, segments: Sequence[Segment], advance: Advance) -> float:
    """To full scale where that is the scale; else down to it, where another rate's samples passed it."""
    peak = max((float(np.abs(piece).max(initial=0)) for piece in _stream(to, segments, advance)), default=0)
    passed = peak > 0 and (to.sound.scale == "peak" or (peak > 1 and to.sound.scale != "none"))
    return 1 / peak if passed else 1.0


def _measured(found: Loudness) -> dict[str, Any]:
    heard = math.isfinite(found.integrated_lufs)
    return {
        "loudness_lufs": round(found.integrated_lufs, 2) if heard else None,
        "true_peak_dbtp": round(20 * math.log10(found.true_peak), 2) if found.true_peak else None,
    }


def _scaled(to: Finish, gain: Gain, pieces: Iterable[Samples]) -> Iterator[Samples]:
    if gain.limits:
        return _limited(to, gain.factor, pieces)
    return (each * np.float32(gain.factor) for each in pieces)


def _limited(to: Finish, gain: float, pieces: Iterable[Samples]) -> Iterator[Samples]:
    limiter = Limiter(to.rate_hz, to.audio.channels, CEILING * _MARGIN)
    for piece in pieces:
        yield limiter.push(piece * np.float32(gain))
    yield limiter.flush()


def _samples(to: Finish, piece: Samples, draw: np.random.Generator) -> NDArray[Any]:
    """As the file takes them."""
    if to.audio.container == "OGG":
        return np.clip(piece, -1, 1)
    if to.dithered and to.sound.subtype == "PCM_16":
        return _dithered(piece, draw)
    values, bounded = torch.from_numpy(np.array(piece)), to.sound.scale != "none"
    samples: NDArray[Any] = to_samples(values, to.sound.subtype, bounded=bounded).numpy()
    return samples


def note_of(name: str, asked_lufs: float, measured: Mapping[str, Any]) -> str | None:
    """Return what to tell of a file that is not at the loudness that was asked for; None: it is."""
    found, wanted = measured["loudness_lufs"], measured.get("wanted_lufs", asked_lufs)
    if measured["true_peak_dbtp"] is None:
        why = ": nothing in the picture stands out from an even colour" if "wanted_lufs" in measured else ""
        return f"{name} is silent{why}"
    if found is None:
        return f"{name} is too short or too quiet to have a loudness: its level was left as it is"
    if abs(found - wanted) > _TOLERATED_LU:
        return (
            f"{name} is at {found:.1f} LUFS instead of {wanted:.1f}: its peaks stand out so far that the "
            f"limiter would have to turn them down by more than {_MOST_LIMITED_DB:g} dB to keep them below "
            f"{CEILING_DBTP:g} dBTP"
        )
    if wanted < asked_lufs - _TOLERATED_LU:
        return (
            f"{name} is at {found:.1f} LUFS instead of {asked_lufs:g}: the picture is nearly even, and what "
            "little it has is not raised to the level of full pictures"
        )
    return None


def _stream(to: Finish, segments: Sequence[Segment], advance: Advance) -> Iterator[Samples]:
    """All segments, scaled, faded, one after another, at the rate that is written."""
    pieces = (piece for segment in segments for piece in _levelled(segment, to.sound.sample_rate_hz, advance))
    plain = _first(preview_samples(to.sound), pieces)
    if to.rate_hz == to.sound.sample_rate_hz:
        yield from plain
        return
    resampler = Resampler(to.sound.sample_rate_hz, to.rate_hz, to.audio.channels)
    for piece in plain:
        yield resampler.push(piece)
    yield resampler.flush()


def _first(samples: int | None, pieces: Iterable[Samples]) -> Iterator[Samples]:
    """So many samples, in a preview; None: all."""
    left = samples
    for piece in pieces:
        yield piece if left is None else piece[:left]
        if left is not None:
            left = max(0, left - len(piece))


def _levelled(segment: Segment, rate_hz: int, advance: Advance) -> Iterator[Samples]:
    fade, at = _fade(min(int(_FADE_SECONDS * rate_hz), segment.samples // 2)), 0
    for piece in segment.pieces():
        made = piece * np.float32(segment.factor)
        if segment.fades_in:
            head = fade[at : at + len(made)]
            made[: len(head)] *= head[:, None]
        if segment.fades_out:
            left = segment.samples - at  # the sample k before the end gets fade[k]
            first = max(0, left - len(fade))
            if first < len(made):
                made[first:] *= fade[left - len(made) : left - first][::-1, None]
        at += len(made)
        made += np.float32(segment.offset)
        advance(made.size)
        yield made
    assert at == segment.samples


def _fade(samples: int) -> Samples:
    """Half a raised cosine, rising."""
    rising = (1 - np.cos(np.pi * (np.arange(samples) + 0.5) / max(1, samples))) / 2
    return rising.astype(np.float32)


def _dithered(piece: Samples, draw: np.random.Generator) -> NDArray[np.int16]:
    """int16 of values in [-1, 1]: with noise of triangular density before rounding, so that what the
    rounding leaves does not follow the sound (Lipshitz, Wannamaker, Vanderkooy, JAES 40/5, 1992). Silence,
    which rounding leaves nothing of, stays silence."""
    noise = draw.random((*piece.shape, 2), dtype=np.float32)
    drawn = np.where(piece == 0, np.float32(0), noise[..., 0] - noise[..., 1])
    values = np.clip(piece, -1, 1) * np.float32(2**15 - 1) + drawn
    return np.clip(np.round(values), -(2**15), 2**15 - 1).astype(np.int16)


class _Writer:
    """The file, whatever its format; from front to back."""

    def __init__(self, to: Finish) -> None:
        self._wav: LaidOutWav | None = None
        self._coded: SoundWriter | None = None
        if to.audio.container in ("WAV", "RF64"):
            self._wav = LaidOutWav(to.path, to.audio, to.sound, info=info_chunk(to.tags))
        else:
            self._coded = SoundWriter(
                to.path, to.sound.format, to.sound.subtype, to.rate_hz, to.audio.channels, to.tags
            )
        self._path = to.path

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *error: Any) -> None:
        for each in (self._wav, self._coded):
            if each is not None:
                each.__exit__(*error)

    def write(self, start: int, values: NDArray[Any]) -> None:
        if not len(values):  # a resampler or a limiter may hold all of a piece back
            return
        if self._coded is not None:
            self._coded.write(values)
            return
        assert self._wav is not None
        part = self._wav.write(start, values)
        self._wav.checksum ^= shifted(part, self._wav.bytes_after(start + len(values)))

    def sum(self) -> FileSum:
        """Of the whole file, which is closed."""
        return file_sum(self._path) if self._wav is None else self._wav.file_sum()
