"""The last step to a sound file, from front to back: levels, fades, resampling, dither, the file's format.

Values that depend on the whole sound (the peak at another rate, loudness) take a pass before the one that
writes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
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
from .tags import Tags, broadcast_chunk, info_chunk
from .view import SoundMeter, ViewPlan
from .wav import LaidOutWav, to_samples

Samples = NDArray[np.float32]
#: Highest true peak, in dB relative to full scale.
CEILING_DBTP = -1.0
CEILING = 10 ** (CEILING_DBTP / 20)
# The limiter aims below the ceiling: between the samples that it turns down, peaks are a little higher than
# foreseen.
_MARGIN = 10 ** (-0.05 / 20)
# Most that the limiter turns peaks down by: beyond that it becomes audible.
_MOST_LIMITED_DB = 18.0
_TOLERATED_LU = 0.2
_TOLERATED_PEAK = 10 ** (0.005 / 20)  # what two decimals of a true peak do not show
_MOST_PASSES = 5  # over the sound, to find the gain that reaches a loudness behind the limiter
# Writings of a file, until what it holds is as loud as it should be and below the ceiling; after the first
# ones, the latter is enough.
_MOST_WRITINGS = 6
_LOUDNESS_WRITINGS = 4
_FADE_SECONDS = 0.01
PIECE_SAMPLES = 1 << 16
#: Progress of passes that the plan does not count.
UNCOUNTED = Advance("", 1, "", lambda progress: None)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of a file's sound: its pieces, times `factor`, faded, plus `offset`.

    Attributes:
        samples: length in samples of a channel.
        pieces: returns the stretch from its beginning, each time it is called, as pieces float32
            `[sample, channel]`.
        factor: multiplies the samples.
        offset: added to the samples after the fades.
        fades_in: whether its beginning is faded in.
        fades_out: whether its end is faded out.
    """

    samples: int
    pieces: Callable[[], Iterable[Samples]]
    factor: float = 1.0
    offset: float = 0.0
    fades_in: bool = False
    fades_out: bool = False


@dataclass(frozen=True)
class Gain:
    """The gain of a file's segments.

    Attributes:
        factor: multiplies all segments.
        limits: whether peaks then exceed the ceiling, so that a limiter must turn them down.
        ceiling: what the limiter turns them down to.
        most: the largest factor that is allowed.
    """

    factor: float = 1.0
    limits: bool = False
    ceiling: float = CEILING * _MARGIN
    most: float = math.inf


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A file that was written.

    Attributes:
        written: its size and checksum.
        measured: its loudness and true peak, JSON-ready, where it was brought to a loudness, else empty.
        gain: the gain that it was written with.
    """

    written: FileSum
    measured: dict[str, Any]
    gain: Gain


@dataclass(frozen=True, kw_only=True)
class Finish:
    """The target of finishing: one file, its format, loudness and tags.

    Attributes:
        path: path of the file.
        audio: plan of the file: length, channels, container.
        sound: options of the sound: format, rates, scale.
        tags: texts that the file carries.
        loudness_lufs: wanted loudness; None keeps the segments' levels, as far as full scale allows.
        dithered: whether 16-bit samples get TPDF dither, of one step each way.
        seed: seed of the dither.
        view: where the file's view is saved, and how it is measured; None: nowhere.
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
        """The file's sample rate."""
        return self.sound.file_rate_hz


def gain_for(
    target: Finish, segments: Sequence[Segment], advance: Advance, known: Loudness | None = None
) -> Gain:
    """Determine the gain that a file is written with, in as many passes over the segments as that takes.

    Args:
        target: the file.
        segments: its sound.
        advance: called with the number of samples of each pass that the plan counts.
        known: loudness of the segments at a gain of 1, where it was measured when they were made; it saves a
            pass.

    Returns:
        The gain that reaches the loudness or the scale, as far as ceiling and limiter allow.
    """
    gain = 1.0
    limits = False
    most = math.inf
    if target.loudness_lufs is not None:
        before = known or _loudness(_stream(target, segments, advance), target)
        most = _most_gain(before) if before.true_peak else 1.0
        gain, limits = _gain_to(target.loudness_lufs, before)
        if limits:
            planned = iter([advance] if known is not None else [])  # the plan counts no further passes

            def limited(gain: float) -> float:
                counted = next(planned, UNCOUNTED)
                trial = _limited(target, Gain(gain), _stream(target, segments, counted))
                return _loudness(trial, target).integrated_lufs

            gain = _limited_gain(target.loudness_lufs, gain, most, limited)
    elif target.rate_hz != target.sound.sample_rate_hz:
        gain = _gain_to_peak(target, segments, advance)
    return Gain(gain, limits, most=most)


def finish(
    target: Finish, segments: Sequence[Segment], advance: Advance, gain: Gain | None = None
) -> Finished:
    """Write a file.

    A file that is to have a loudness is written again, with another gain, where what it then holds is too
    loud or too quiet: Ogg Vorbis changes a sound's peaks by up to 2 dB and its loudness by up to 0.5 LU.

    Args:
        target: the file.
        segments: its sound.
        advance: called with the number of samples of each of the `passes` over the segments; not those of
            writing again, which the plan does not foresee.
        gain: gain of the segments; None: `gain_for` determines it.

    Returns:
        The file.

    Raises:
        OutputError: the file or its view cannot be written.
    """
    gain = gain or gain_for(target, segments, advance)
    written, given = _written(target, segments, advance, gain)
    if given is None:
        return Finished(written=written, measured={}, gain=gain)
    aim_lufs = given.integrated_lufs
    heard = _heard(target, given)
    for attempt in range(1, _MOST_WRITINGS):
        better = _corrected(gain, heard, aim_lufs if attempt < _LOUDNESS_WRITINGS else None)
        if better == gain:
            break
        gain = better
        written, given = _written(target, segments, UNCOUNTED, gain)
        assert given is not None
        heard = _heard(target, given)
    return Finished(written=written, measured=_measured(heard), gain=gain)


def _written(
    target: Finish, segments: Sequence[Segment], advance: Advance, gain: Gain
) -> tuple[FileSum, Loudness | None]:
    """Write a file once.

    Returns:
        Its size and checksum; and the loudness of what was written, where it is to have one.
    """
    meter = None if target.loudness_lufs is None else LoudnessMeter(target.rate_hz, target.audio.channels)
    draw = np.random.default_rng((*target.seed, 1))
    view_meter = None if target.view is None else SoundMeter(target.view[1])
    start = 0
    with _opened(target) as file:
        for piece in _scaled(target, gain, _stream(target, segments, advance)):
            if meter is not None:
                meter.add(piece)
            if view_meter is not None:
                view_meter.add(piece)
            _write(file, start, _file_samples(target, piece, draw))
            start += len(piece)
        assert start == target.audio.samples
    if view_meter is not None and target.view is not None:
        view_meter.finish().save(target.view[0])
    return _sum_of(file), None if meter is None else meter.finish()


def _heard(target: Finish, given: Loudness) -> Loudness:
    """Return the loudness of what a file holds; `given` is that of what it was given."""
    return decoded_loudness(target.path) if target.audio.container == "OGG" else given


def decoded_loudness(path: Path) -> Loudness:
    """Measure loudness and true peak of a sound file, decoded piece by piece."""
    with soundfile.SoundFile(str(path)) as file:
        meter = LoudnessMeter(file.samplerate, file.channels)
        for piece in file.blocks(PIECE_SAMPLES, dtype="float32", always_2d=True):
            meter.add(piece)
        return meter.finish()


def _corrected(gain: Gain, heard: Loudness, aim_lufs: float | None) -> Gain:
    """Return the gain with which a file comes nearer to what it should hold.

    Args:
        gain: the gain that it was written with.
        heard: what it then held.
        aim_lufs: the loudness that it should have; None: what remains is to bring it below the ceiling. Then
            all of it is turned down, since coding may add to peaks that no limiter touches.

    Returns:
        The gain; the same one where the file is right.
    """
    if heard.true_peak > CEILING * _TOLERATED_PEAK:
        down = CEILING * _MARGIN / heard.true_peak
        factor = gain.factor if aim_lufs is not None else gain.factor * down
        gain = replace(gain, limits=True, factor=factor, ceiling=gain.ceiling * down)
    missing = 0.0 if aim_lufs is None else aim_lufs - heard.integrated_lufs
    if math.isfinite(missing) and abs(missing) > _TOLERATED_LU / 2:
        factor = min(gain.factor * 10 ** (missing / 20), gain.most)
        gain = replace(gain, limits=gain.limits or missing > 0, factor=factor)
    return gain


def passes(sound: SoundOptions, loudness_lufs: float | None) -> int:
    """Count the passes over a file's segments that the plan of its progress counts."""
    return 2 if loudness_lufs is not None or sound.resample_hz is not None else 1


def true_peak(target: Finish, segments: Sequence[Segment], advance: Advance) -> float:
    """Measure the true peak of a file's sound at a gain of 1.

    Args:
        target: the file, which is not written.
        segments: its sound.
        advance: called with the number of samples.

    Returns:
        The peak, linear: full scale is 1.
    """
    return _loudness(_stream(target, segments, advance), target).true_peak


def _loudness(pieces: Iterable[Samples], target: Finish) -> Loudness:
    meter = LoudnessMeter(target.rate_hz, target.audio.channels)
    for piece in pieces:
        meter.add(piece)
    return meter.finish()


def _gain_to(wanted_lufs: float, measured: Loudness) -> tuple[float, bool]:
    """Return the gain to a loudness, before any limiter.

    Args:
        wanted_lufs: the loudness.
        measured: loudness and true peak at a gain of 1.

    Returns:
        The gain, no larger than `_most_gain`; and whether a limiter is needed. Sound that is too short or too
        quiet to have a loudness is turned down to the ceiling at most.
    """
    if not measured.true_peak:
        return 1.0, False
    to_ceiling = CEILING / measured.true_peak
    wanted = measured.gain_to(wanted_lufs)
    if wanted is None:
        return min(1.0, to_ceiling), False
    return min(wanted, _most_gain(measured)), wanted > to_ceiling


def _most_gain(measured: Loudness) -> float:
    """Return the gain at which the limiter turns peaks down by the most that is allowed."""
    return CEILING / measured.true_peak * 10 ** (_MOST_LIMITED_DB / 20)


def _limited_gain(wanted_lufs: float, first: float, most: float, limited: Callable[[float], float]) -> float:
    """Find the gain that reaches a loudness behind the limiter, by the secant method.

    With more gain the limiter turns down more, so that a decibel of gain brings less than one of loudness.

    Args:
        wanted_lufs: the loudness.
        first: gain of the first trial.
        most: largest gain that is allowed.
        limited: returns the loudness behind the limiter, in LUFS, for a gain; each call is a pass over the
            sound.

    Returns:
        The gain whose loudness is nearest to the wanted one.
    """
    tried: list[tuple[float, float]] = []  # gain and loudness, both in dB
    gain_db, most_db = (20 * math.log10(gain) for gain in (first, most))
    for _ in range(_MOST_PASSES):
        reached = limited(10 ** (gain_db / 20))
        missing = wanted_lufs - reached
        slope = 1.0
        if tried and gain_db != tried[-1][0]:
            slope = (reached - tried[-1][1]) / (gain_db - tried[-1][0])
        tried.append((gain_db, reached))
        # below a tenth of a decibel per decibel, the limiter takes nearly all of what is added
        if abs(missing) <= _TOLERATED_LU / 2 or slope < 0.1 or (missing > 0 and gain_db >= most_db):
            break
        gain_db = min(gain_db + missing / slope, most_db)
    nearest = min(tried, key=lambda trial: abs(trial[1] - wanted_lufs))
    return float(10 ** (nearest[0] / 20))


def _gain_to_peak(target: Finish, segments: Sequence[Segment], advance: Advance) -> float:
    """Return the gain that resampled segments need, whose peak is another one.

    Returns:
        The gain to full scale by 'peak'; by 'minmax' only where the peak exceeds full scale; else 1.
    """
    peak = max(
        (float(np.abs(piece).max(initial=0)) for piece in _stream(target, segments, advance)), default=0
    )
    scaled = peak > 0 and (target.sound.scale == "peak" or (peak > 1 and target.sound.scale != "none"))
    return 1 / peak if scaled else 1.0


def _measured(loudness: Loudness) -> dict[str, Any]:
    audible = math.isfinite(loudness.integrated_lufs)
    return {
        "loudness_lufs": round(loudness.integrated_lufs, 2) if audible else None,
        "true_peak_dbtp": round(20 * math.log10(loudness.true_peak), 2) if loudness.true_peak else None,
    }


def _scaled(target: Finish, gain: Gain, pieces: Iterable[Samples]) -> Iterator[Samples]:
    if gain.limits:
        return _limited(target, gain, pieces)
    return (piece * np.float32(gain.factor) for piece in pieces)


def _limited(target: Finish, gain: Gain, pieces: Iterable[Samples]) -> Iterator[Samples]:
    limiter = Limiter(target.rate_hz, target.audio.channels, gain.ceiling)
    for piece in pieces:
        yield limiter.push(piece * np.float32(gain.factor))
    yield limiter.flush()


def _file_samples(target: Finish, piece: Samples, draw: np.random.Generator) -> NDArray[Any]:
    """Convert a piece to the file's sample format, dithered where that is wanted."""
    if target.audio.container == "OGG":
        return np.clip(piece, -1, 1)
    if target.dithered and target.sound.subtype == "PCM_16":
        return _dithered(piece, draw)
    values = torch.from_numpy(np.array(piece))
    bounded = target.sound.scale != "none"
    samples: NDArray[Any] = to_samples(values, target.sound.subtype, bounded=bounded).numpy()
    return samples


def note_of(name: str, requested_lufs: float, measured: Mapping[str, Any]) -> str | None:
    """Explain why a file is not at the loudness that was requested.

    Args:
        name: name of the file.
        requested_lufs: the loudness of the options.
        measured: loudness and true peak of the file, with the loudness that was wanted of it where it is less
            than the requested one.

    Returns:
        One sentence; None where the file is at the loudness.
    """
    reached = measured["loudness_lufs"]
    wanted = measured.get("wanted_lufs", requested_lufs)
    if measured["true_peak_dbtp"] is None:
        why = ": nothing in the picture stands out from an even colour" if "wanted_lufs" in measured else ""
        return f"{name} is silent{why}"
    if reached is None:
        return f"{name} is too short or too quiet to have a loudness: its level was left as it is"
    if abs(reached - wanted) > _TOLERATED_LU:
        return (
            f"{name} is at {reached:.1f} LUFS instead of {wanted:.1f}: if it were louder, its peaks would "
            f"exceed {CEILING_DBTP:g} dBTP, or the limiter would turn them down by more than "
            f"{_MOST_LIMITED_DB:g} dB"
        )
    if wanted < requested_lufs - _TOLERATED_LU:
        return (
            f"{name} is at {reached:.1f} LUFS instead of {requested_lufs:g}: the picture is nearly even, and "
            "what little it has is not raised to the level of full pictures"
        )
    return None


def _stream(target: Finish, segments: Sequence[Segment], advance: Advance) -> Iterator[Samples]:
    """Yield all segments, one after another, levelled and faded, at the file's rate."""
    rate_hz = target.sound.sample_rate_hz
    levelled = (piece for segment in segments for piece in _levelled(segment, rate_hz, advance))
    pieces = _shortened(levelled, preview_samples(target.sound))
    if target.rate_hz == rate_hz:
        yield from pieces
        return
    resampler = Resampler(rate_hz, target.rate_hz, target.audio.channels)
    for piece in pieces:
        yield resampler.push(piece)
    yield resampler.flush()


def _shortened(pieces: Iterable[Samples], samples: int | None) -> Iterator[Samples]:
    """Yield pieces up to a number of samples, as a preview has; None: all. All pieces are consumed."""
    remaining = samples
    for piece in pieces:
        yield piece if remaining is None else piece[:remaining]
        if remaining is not None:
            remaining = max(0, remaining - len(piece))


def _levelled(segment: Segment, rate_hz: int, advance: Advance) -> Iterator[Samples]:
    """Yield a segment's pieces, scaled and faded."""
    fade = _fade(min(int(_FADE_SECONDS * rate_hz), segment.samples // 2))
    start = 0
    for piece in segment.pieces():
        levelled = piece * np.float32(segment.factor)
        if segment.fades_in:
            head = fade[start : start + len(levelled)]
            levelled[: len(head)] *= head[:, None]
        if segment.fades_out:
            remaining = segment.samples - start  # the sample k before the end gets fade[k]
            first = max(0, remaining - len(fade))
            if first < len(levelled):
                levelled[first:] *= fade[remaining - len(levelled) : remaining - first][::-1, None]
        start += len(levelled)
        levelled += np.float32(segment.offset)
        advance(levelled.size)
        yield levelled
    assert start == segment.samples


def _fade(samples: int) -> Samples:
    """Return half a raised cosine, rising, float32 `[sample]`."""
    rising = (1 - np.cos(np.pi * (np.arange(samples) + 0.5) / max(1, samples))) / 2
    return rising.astype(np.float32)


def _dithered(piece: Samples, draw: np.random.Generator) -> NDArray[np.int16]:
    """Round values in [-1, 1] to int16, with TPDF dither.

    Noise of triangular density is added before rounding, so that the rounding error does not follow the sound
    (Lipshitz, Wannamaker, Vanderkooy, JAES 40/5, 1992). Zeros, whose rounding error is 0, stay silence.

    Args:
        piece: float32 `[sample, channel]`.
        draw: source of the noise.
    """
    noise = draw.random((*piece.shape, 2), dtype=np.float32)
    drawn = np.where(piece == 0, np.float32(0), noise[..., 0] - noise[..., 1])
    values = np.clip(piece, -1, 1) * np.float32(2**15 - 1) + drawn
    return np.clip(np.round(values), -(2**15), 2**15 - 1).astype(np.int16)


def _opened(target: Finish) -> LaidOutWav | SoundWriter:
    """Open the file of a target."""
    if target.audio.container in ("WAV", "RF64"):
        info = broadcast_chunk(target.tags) + info_chunk(target.tags)
        return LaidOutWav(target.path, target.audio, target.sound, info=info)
    return SoundWriter(
        target.path,
        target.sound.format,
        target.sound.subtype,
        target.rate_hz,
        target.audio.channels,
        target.tags,
    )


def _write(file: LaidOutWav | SoundWriter, start: int, samples: NDArray[Any]) -> None:
    """Append samples `[sample, channel]` of the file's format, the first of which is number `start`."""
    if not len(samples):  # a resampler or a limiter may hold all of a piece back
        return
    if isinstance(file, SoundWriter):
        file.write(samples)
        return
    part = file.write(start, samples)
    file.checksum ^= shifted(part, file.bytes_after(start + len(samples)))


def _sum_of(file: LaidOutWav | SoundWriter) -> FileSum:
    """Return size and checksum of a file that is closed."""
    return file_sum(file.path) if isinstance(file, SoundWriter) else file.file_sum()
