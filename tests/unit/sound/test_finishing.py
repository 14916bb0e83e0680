"""The last step to a file: the limiter, loudness, fades, dither, formats; measured from outside.

True peaks are measured eight times oversampled by scipy, loudness by pyloudnorm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyloudnorm
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import resample_poly

from netsounds_stream.base.checksums import file_sum
from netsounds_stream.base.progress import Advance
from netsounds_stream.planning.formats import SAMPLE_BYTES
from netsounds_stream.planning.plan import AudioPlan
from netsounds_stream.planning.sound_options import SUBTYPES, SoundOptions
from netsounds_stream.sound.dsp.limiter import Limiter
from netsounds_stream.sound.dsp.loudness import LoudnessMeter
from netsounds_stream.sound.finishing import CEILING_DBTP, Finish, Segment, finish, gain_for, note_of, passes
from netsounds_stream.sound.tags import Tags

Samples = NDArray[np.float32]
CEILING = 10 ** (CEILING_DBTP / 20)
pytestmark = pytest.mark.usefixtures("one_thread")
TAGS = Tags(
    title="a title",
    picture="a.png",
    label="a label",
    scheme="sum",
    method="istft",
    software="some software",
    bank="1",
)


def true_peak(samples: NDArray[Any]) -> float:
    return float(np.abs(resample_poly(samples.astype(np.float64), 8, 1, axis=0)).max())


def material(kind: str, channels: int = 2, seconds: float = 3, rate: int = 44100) -> Samples:
    """Sound well within full scale on average, with peaks to limit; `[sample, channel]`, channels unlike."""
    random, time = np.random.default_rng(7), np.arange(round(seconds * rate)) / rate
    if kind == "noise":
        sound = random.standard_normal((time.size, channels)) * 0.3
    elif kind == "clicks":
        sound = random.standard_normal((time.size, channels)) * 0.02
        at = random.integers(0, time.size, 60)
        sound[at] += random.uniform(-3, 3, (60, channels))
        sound[[0, 1, -1]] = 2  # at both ends, too
    else:  # notes with sharp attacks
        since = time % 0.25
        note = np.exp(-since * 12) * sum(np.sin(2 * np.pi * h * time) for h in (220, 555.5, 3333.3, 9000.7))
        sound = note[:, None] * np.linspace(0.5, 0.3, channels)
    return sound.astype(np.float32)


def limited(samples: Samples, pieces: Sequence[int] = (), rate: int = 44100) -> Samples:
    limiter, made = Limiter(rate, samples.shape[1], CEILING), []
    for piece in np.split(samples, np.cumsum(pieces)[:-1] if len(pieces) else []):
        made.append(limiter.push(piece))
    return np.concatenate([*made, limiter.flush()])


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("gain", [1, 4])
@pytest.mark.parametrize("kind", ["noise", "clicks", "notes"])
def test_nothing_passes_the_ceiling(kind: str, gain: float, channels: int) -> None:
    samples = material(kind, channels, 2) * np.float32(gain)
    assert true_peak(samples) > 1.1 * CEILING
    made = limited(samples)
    assert made.shape == samples.shape and made.dtype == np.float32
    # four points a sample see less and less towards half the rate, where white noise has as much as below
    assert true_peak(made) <= CEILING * 10 ** ((0.3 if kind == "noise" else 0.1) / 20)
    assert true_peak(made) > 0.9 * CEILING  # and it is not simply silent


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 20000), max_size=6), st.integers(1, 60000))
def test_limiting_does_not_know_pieces(pieces: list[int], length: int) -> None:
    samples = material("clicks", 2, 1.5)[:length]
    assert np.array_equal(limited(samples, [*pieces, 0]), limited(samples))
    assert limited(samples).shape == samples.shape


def test_what_is_below_the_ceiling_is_left_alone() -> None:
    quiet = material("notes", 2, 1.5)
    quiet *= np.float32(0.9 * CEILING / true_peak(quiet))
    assert np.array_equal(limited(quiet), quiet)
    peaky = quiet.copy()
    peaky[30000] = 3
    made, near = limited(peaky), 3 * round(0.005 * 44100)
    far = np.abs(np.arange(len(quiet)) - 30000) > near
    np.testing.assert_allclose(made[far], peaky[far], rtol=1e-6)  # a mean of ones, in float32
    assert np.abs(made[30000]).max() <= CEILING * (1 + 1e-6)


@pytest.mark.parametrize("peak", [1.0, 3.0, 30.0])
def test_the_gain_has_no_steps(peak: float) -> None:
    """On a level that can be divided by; all channels have one gain. Peaks also where blocks meet."""
    samples = np.full((70000, 2), (0.5, -0.25), np.float32)
    samples[[5, 16383, 16384, 32768 - 220, 50000, 69999], 1] = peak
    made = limited(samples)
    gain = made / samples
    np.testing.assert_allclose(gain[:, 0], gain[:, 1], rtol=1e-5)
    # over the 10 ms of the window, at its steepest twice the mean
    assert np.abs(np.diff(gain[:, 0])).max() < 2.1 / (2 * 220)
    assert gain.max() <= 1 + 1e-6


def finish_of(path: Path, count: int, channels: int, loudness: float | None = None, **words: Any) -> Finish:
    """How to finish `count` samples; `words`: the sound's options, `dithered` and `seed`."""
    dithered, seed = words.pop("dithered", False), words.pop("seed", (0,))
    sound = SoundOptions(loudness_lufs=loudness, **words)
    rate = sound.resample_hz or sound.sample_rate_hz
    samples = -(-count * rate // sound.sample_rate_hz)
    size = samples * channels * SAMPLE_BYTES[sound.subtype] + 2048
    audio = AudioPlan(
        scheme="sum",
        files=1,
        samples=samples,
        bytes_per_file=size,
        container=sound.format.upper(),
        channels=channels,
    )
    return Finish(
        path=path,
        audio=audio,
        sound=sound,
        tags=TAGS,
        loudness_lufs=loudness,
        dithered=dithered,
        seed=seed,
    )


def segment(samples: Samples, **words: Any) -> Segment:
    """In pieces that fit no block of anything."""

    def pieces() -> Iterator[Samples]:
        for start in range(0, len(samples), 10007):
            yield samples[start : start + 10007].copy()

    return Segment(samples=len(samples), pieces=pieces, **words)


def counting() -> tuple[Advance, Callable[[], float]]:
    done = [0.0]
    advance = Advance("a", 1, "samples", lambda progress: done.__setitem__(0, progress.done))
    return advance, lambda: done[0]


def finished(
    path: Path, samples: Samples, loudness: float | None = None, *, known: bool = False, **words: Any
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """What the file holds, and what was measured."""
    fades = words.pop("fades", False)
    to = finish_of(path, len(samples), samples.shape[1], loudness, **words)
    gain, segments = None, [segment(samples, fades_in=fades, fades_out=fades)]
    if known:
        meter = LoudnessMeter(to.rate_hz, samples.shape[1])
        meter.add(samples)
        gain = gain_for(to, segments, counting()[0], meter.finish())
    finished = finish(to, segments, counting()[0], gain)
    written, measured = finished.written, finished.measured
    assert written == file_sum(path)
    found, rate = soundfile.read(path, always_2d=True)
    assert rate == to.rate_hz and len(found) == to.audio.samples
    return found, measured


@pytest.mark.parametrize(
    ("rate", "to_rate", "known"),
    [
        (44100, None, True),  # nobody listens at another rate beforehand
        (44100, None, False),
        (48000, None, True),
        (44100, 48000, False),
        (48000, 44100, False),
    ],
)
@pytest.mark.parametrize("loudness", [-16.0, -23.0])
@pytest.mark.parametrize("kind", ["noise", "notes"])
def test_loudness_and_peaks_are_met(
    tmp_path: Path, kind: str, loudness: float, rate: int, to_rate: int | None, known: bool
) -> None:
    """Within the 0.2 LU that is promised."""
    samples = material(kind, 2, 3, rate)
    words = {"sample_rate_hz": rate, "resample_hz": to_rate, "known": known}
    found, measured = finished(tmp_path / "a.wav", samples, loudness, **words)
    rate = to_rate or rate
    assert pyloudnorm.Meter(rate).integrated_loudness(found) == pytest.approx(loudness, abs=0.2)
    assert measured["loudness_lufs"] == pytest.approx(loudness, abs=0.2)
    assert true_peak(found) <= CEILING * 10 ** (0.05 / 20)
    assert measured["true_peak_dbtp"] <= CEILING_DBTP
    assert note_of("a.wav", loudness, measured) is None


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("loudness", [-9.0, -14.0])
def test_loudness_that_the_limiter_takes_is_given_back(tmp_path: Path, loudness: float, known: bool) -> None:
    """Sharp attacks, limited by several dB: at its loudness, or, past a usual level, told of."""
    samples = material("notes", 2, 3)
    found, measured = finished(tmp_path / "a.wav", samples, loudness, known=known)
    assert true_peak(found) <= CEILING * 10 ** (0.1 / 20)
    reached = pyloudnorm.Meter(44100).integrated_loudness(found)
    assert measured["loudness_lufs"] == pytest.approx(reached, abs=0.2)
    assert (abs(reached - loudness) <= 0.2) == (note_of("a.wav", loudness, measured) is None)
    assert reached == pytest.approx(loudness, abs=0.2 if loudness < -12 else 1.5)


@pytest.mark.parametrize(("rate", "to_rate"), [(44100, None), (48000, None), (44100, 48000)])
@pytest.mark.parametrize("loudness", [-9.0, -16.0])
@pytest.mark.parametrize("kind", ["noise", "clicks", "notes"])
def test_what_an_ogg_file_holds(
    tmp_path: Path, kind: str, loudness: float, rate: int, to_rate: int | None
) -> None:
    """Vorbis raises peaks by up to 2 dB and takes up to 0.5 LU: the file holds what is promised, decoded."""
    samples = material(kind, 2, 3, rate)
    words = {"sample_rate_hz": rate, "resample_hz": to_rate, "format": "ogg"}
    found, measured = finished(tmp_path / "a.ogg", samples, loudness, **words)
    assert true_peak(found) <= CEILING * 10 ** ((0.3 if kind == "noise" else 0.1) / 20)
    meter = LoudnessMeter(to_rate or rate, 2)
    meter.add(found.astype(np.float32))
    heard = meter.finish()
    assert measured["true_peak_dbtp"] == round(float(20 * np.log10(heard.true_peak)), 2) <= CEILING_DBTP
    assert measured["loudness_lufs"] == pytest.approx(heard.integrated_lufs, abs=0.005)
    if kind != "clicks" and loudness == -16:
        assert measured["loudness_lufs"] == pytest.approx(loudness, abs=0.2)
    within = abs(measured["loudness_lufs"] - loudness) <= 0.2
    assert within == (note_of("a.ogg", loudness, measured) is None)


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_peaks_that_the_limiter_does_not_foresee(tmp_path: Path, format: str) -> None:
    """White noise has peaks between its samples that four points a sample do not show."""
    samples = np.random.default_rng(0).standard_normal((3 * 44100, 2)).astype(np.float32) / 5
    found, measured = finished(tmp_path / "a", samples, -7.0, format=format)
    assert measured["true_peak_dbtp"] <= CEILING_DBTP
    assert true_peak(found) <= CEILING * 10 ** (0.1 / 20)
    assert measured["loudness_lufs"] == pytest.approx(-7.0, abs=0.5)


def test_peaks_are_limited_only_so_far(tmp_path: Path) -> None:
    """A click in quiet noise would have to be turned down by 40 dB: it is not, and that is said."""
    samples = (np.random.default_rng(0).standard_normal((88200, 1)) * 1e-3).astype(np.float32)
    samples[40000] = 1
    found, measured = finished(tmp_path / "a.wav", samples, -16.0, subtype="FLOAT")
    assert true_peak(found) <= CEILING * 10 ** (0.1 / 20)
    assert found[1000, 0] / samples[1000, 0] == pytest.approx(CEILING * 10 ** (18 / 20), rel=0.01)
    assert "by more than 18 dB" in str(note_of("a.wav", -16.0, measured))


@pytest.mark.parametrize("count", [1, 300, 88200])
def test_silence_and_what_is_too_short(tmp_path: Path, count: int) -> None:
    silence = np.zeros((count, 1), np.float32)
    found, measured = finished(tmp_path / "a.wav", silence, -16.0)
    assert (found == 0).all() and measured["loudness_lufs"] is None
    assert "silent" in str(note_of("a.wav", -16.0, measured))
    found, measured = finished(tmp_path / "a.wav", silence + np.float32(1e-6), -16.0, resample_hz=48000)
    assert np.abs(found).max() < 1e-4 and measured["loudness_lufs"] is None  # not blown up
    short = material("noise", 1, 0.2)
    found, _ = finished(tmp_path / "a.wav", short / np.abs(short).max(), -16.0)
    assert true_peak(found) <= CEILING * 10 ** (0.1 / 20)


def test_fades_at_both_ends(tmp_path: Path) -> None:
    ones = np.ones((44100, 1), np.float32)
    words = {"subtype": "FLOAT", "scale": "none"}
    whole, _ = finished(tmp_path / "a.wav", ones, **words)
    assert (whole == 1).all()
    faded, _ = finished(tmp_path / "a.wav", ones, fades=True, **words)
    fade = (1 - np.cos(np.pi * (np.arange(441) + 0.5) / 441)) / 2
    np.testing.assert_allclose(faded[:441, 0], fade, atol=1e-6)
    np.testing.assert_allclose(faded[-441:, 0], fade[::-1], atol=1e-6)
    assert (faded[441:-441] == 1).all()
    for count in (1, 2, 5, 600):  # too short for both: half each
        faded, _ = finished(tmp_path / "a.wav", ones[:count], fades=True, **words)
        np.testing.assert_allclose(faded, faded[::-1], atol=1e-6)
        assert count < 2 or faded[0, 0] <= 0.5


def test_segments_follow_one_another(tmp_path: Path) -> None:
    """Each by its own factor and offset, in one pass; every sample of every pass counts as work."""
    random = np.random.default_rng(0)
    parts = [random.uniform(-0.2, 0.2, (count, 1)).astype(np.float32) for count in (30000, 1, 500)]
    factors, offsets = (1.0, 2.0, -3.0), (0.0, 0.25, 0.1)
    count = sum(len(part) for part in parts)
    segments = [
        segment(part, factor=factor, offset=offset)
        for part, factor, offset in zip(parts, factors, offsets, strict=True)
    ]
    expected = np.concatenate([p * f + o for p, f, o in zip(parts, factors, offsets, strict=True)])
    for words in ({}, {"resample_hz": 48000}):
        advance, done = counting()
        to = finish_of(tmp_path / "a.wav", count, 1, subtype="FLOAT", scale="none", **words)
        assert finish(to, segments, advance).measured == {}
        assert done() == count * passes(to.sound, None)
        found, _ = soundfile.read(tmp_path / "a.wav", always_2d=True)
        if not words:
            np.testing.assert_allclose(found, expected, atol=1e-7)
        else:  # another rate, against a plain resampling; away from the steps between segments
            plain = resample_poly(expected, 160, 147, axis=0)
            inside = slice(2000, 30000)
            error = found[inside, 0] - plain[inside, 0]
            assert np.sqrt((error**2).mean()) < 0.02  # white noise; the filters' slopes differ at the top


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("count", [1, 100, 4095, 10008])
def test_short_sounds_at_another_rate(tmp_path: Path, count: int, channels: int) -> None:
    """A resampler, and a limiter, give nothing for the first pieces."""
    samples = material("noise", channels, 1)[:count]
    for subtype in SUBTYPES:
        finished(tmp_path / "a.wav", samples, resample_hz=48000, subtype=subtype)
        finished(tmp_path / "a.wav", samples, -1.0, subtype=subtype)


@pytest.mark.parametrize("scale", ["peak", "minmax"])
def test_another_rate_fills_the_scale_again(tmp_path: Path, scale: str) -> None:
    samples = material("noise", 1, 1)
    samples /= np.abs(samples).max() * (1 if scale == "peak" else 2)
    found, _ = finished(tmp_path / "a.wav", samples, resample_hz=48000, subtype="FLOAT", scale=scale)
    if scale == "peak":
        assert np.abs(found).max() == pytest.approx(1, abs=1e-6)
    else:  # as loud as it was: it does not pass full scale
        ratio = np.sqrt((found**2).mean() / (samples**2).mean())
        assert np.abs(found).max() < 0.7 and ratio == pytest.approx(0.96, abs=0.05)


def test_dither(tmp_path: Path) -> None:
    """Rounding 1/12 and the triangle 1/6 of a step's square; none of it follows even a sine of a step."""
    time = np.arange(200_000) / 44100
    steps = 1.3 * np.sin(2 * np.pi * 441 * time)
    quiet = (steps / 32767)[:, None].astype(np.float32)
    error = {}
    for dithered in (False, True):
        words = {"dithered": dithered, "seed": (3, 4)}
        finished(tmp_path / "a.wav", quiet, **words)
        found, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
        error[dithered] = found - steps
        first = (tmp_path / "a.wav").read_bytes()
        finished(tmp_path / "a.wav", quiet, **words)
        assert (tmp_path / "a.wav").read_bytes() == first
        finished(tmp_path / "a.wav", quiet, dithered=dithered, seed=(3, 5))
        assert ((tmp_path / "a.wav").read_bytes() == first) is not dithered
    noise = error[True]
    # six standard errors: 0.5 / sqrt(200000) of the mean, 0.25 * sqrt(2 / 200000) of the variance
    assert abs(noise.mean()) < 6 * 0.5 / 447
    assert noise.var() == pytest.approx(0.25, abs=6 * 0.25 * (2 / 200_000) ** 0.5)
    assert abs(np.corrcoef(noise, steps)[0, 1]) < 6 / 447
    assert abs(np.corrcoef(noise**2, np.abs(steps))[0, 1]) < 6 / 447  # nor does its size
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 6 / 447
    undithered = error[False]
    assert abs(np.corrcoef(undithered**2, np.abs(steps))[0, 1]) > 0.05  # these tests can tell


def test_dither_at_full_scale_does_not_wrap(tmp_path: Path) -> None:
    full = np.repeat(np.float32([1, -1]), 5000)[:, None]
    found, _ = finished(tmp_path / "a.wav", full, dithered=True)
    assert found[:5000].min() > 0.999 and found[5000:].max() < -0.999


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("format", "subtype", "within"),
    [
        ("wav", "PCM_16", 1.5 * 2**-15),
        ("wav", "PCM_24", 2**-22),
        ("wav", "FLOAT", 0),
        ("flac", "PCM_16", 1.5 * 2**-15),
        ("flac", "PCM_24", 2**-22),
        ("ogg", "PCM_16", 0.2),  # lossy
    ],
)
def test_every_format_is_read_back(
    tmp_path: Path, format: str, subtype: str, within: float, channels: int
) -> None:
    samples = material("notes", channels, 1)
    samples /= np.abs(samples).max()
    path = tmp_path / f"a.{format}"
    found, _ = finished(path, samples, format=format, subtype=subtype)
    np.testing.assert_allclose(found, samples, atol=within)
    info = soundfile.info(path)
    assert (info.format, info.channels, info.frames) == (format.upper(), channels, 44100)
    assert info.subtype == ("VORBIS" if format == "ogg" else subtype)
    with soundfile.SoundFile(path) as file:
        assert file.title == "a title" and "some software" in file.software
        assert "picture=a.png" in file.comment and "bank=1" in file.comment
