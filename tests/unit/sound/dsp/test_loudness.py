"""Loudness against pyloudnorm and against a recursion in double precision; true peaks against scipy.

Tolerances: 1e-4 LU against the same weighting and blocks in double precision, pyloudnorm's or ours, fifty
times what float32 and the cut response come to; 0.1 LU where EBU Tech 3341 says so.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from math import inf

import numpy as np
import pyloudnorm
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import firwin, lfilter, resample_poly

from netsounds_stream.errors import OptionError
from netsounds_stream.sound.dsp.loudness import (
    Loudness,
    LoudnessMeter,
    impulse_response,
    k_weighting,
    oversampling,
)

Samples = NDArray[np.float32]
pytestmark = pytest.mark.usefixtures("one_thread")
RATES = [8000, 44_100, 48_000, 96_000, 192_000]


def measure(samples: Samples, rate: int, pieces: Iterable[int] = ()) -> Loudness:
    """What a meter finds in `[frame, channel]`, in pieces of these lengths and what is left."""
    meter = LoudnessMeter(rate, samples.shape[1])
    start = 0
    for length in pieces:
        meter.add(samples[start : start + length])
        start += length
    meter.add(samples[start:])
    return meter.finish()


def sine(rate: int, hertz: float, seconds: float, dbfs: float, channels: int = 1) -> Samples:
    time = np.arange(round(seconds * rate)) / rate
    wave = 10 ** (dbfs / 20) * np.sin(2 * np.pi * hertz * time)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def material(kind: str, rate: int, channels: int) -> Samples:
    """Test sound of 6 s, `[frame, channel]`, the channels unlike."""
    random = np.random.default_rng(11)
    time = np.arange(6 * rate) / rate
    if kind == "noise":  # 30 dB up and down, once a second
        level = 10 ** (np.array([-40, -12, -30, -18, -42, -20])[time.astype(int)] / 20)
        sound = random.uniform(-1, 1, (time.size, channels)) * level[:, None]
    elif kind == "tones":
        sound = 0.2 * np.stack([np.sin(2 * np.pi * h * time) for h in (60, 3100)[:channels]], axis=1)
    else:  # notes that die away, with silence and near silence between: both gates have work
        sound = np.zeros((time.size, channels))
        for start, hertz, level in ((0.0, 110, 0.5), (0.7, 440, 0.3), (3.15, 1760, 0.2), (3.2, 220, 0.6)):
            late = np.maximum(time - start, 0)
            note = (
                level * np.exp(-4 * late) * sum(np.sin(2 * np.pi * k * hertz * late) / k for k in (1, 2, 3))
            )
            sound += note[:, None] * np.linspace(1, 0.4, channels)
        sound[(time > 1.5) & (time < 3)] *= 1e-4
        sound[time > 5] = 0
    return sound.astype(np.float32)


def plain_loudness(samples: Samples, rate: int) -> float:
    """BS.1770-4's equations 1 to 7, one after another, in double precision; blocks begin at whole steps."""
    weighted = samples.astype(np.float64)
    for b0, b1, b2, a1, a2 in k_weighting(rate):
        weighted = lfilter([b0, b1, b2], [1, a1, a2], weighted, axis=0)
    edges, powers = [round(step * rate / 10) for step in range(samples.shape[0] * 10 // rate + 2)], []
    for first, last in zip(edges, edges[4:], strict=False):
        if last <= samples.shape[0]:
            powers.append((weighted[first:last] ** 2).sum() / (0.4 * rate))
    loudness = [(-0.691 + 10 * np.log10(power), power) for power in powers if power > 0]
    above = [(level, power) for level, power in loudness if level > -70]
    if not above:
        return -inf
    gate = -0.691 + 10 * np.log10(np.mean([power for _, power in above])) - 10
    return float(-0.691 + 10 * np.log10(np.mean([power for level, power in above if level > gate])))


def test_weighting_is_the_standards() -> None:
    """BS.1770-4, tables 1 and 2: given to 14 digits at 48 kHz."""
    shelf, high_pass = k_weighting(48_000)
    table_1 = (1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585)
    table_2 = (1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621)
    assert shelf == pytest.approx(table_1, abs=1e-9)
    assert high_pass == pytest.approx(table_2, abs=1e-9)


@pytest.mark.parametrize("rate", [*RATES, 11_025, 768_000])
def test_response_is_the_recursions(rate: int) -> None:
    """1e-7 of the whole: what the cut leaves out is 3e-8, and only then the recursion's rounding."""
    whole = np.zeros(rate)
    whole[0] = 1
    for b0, b1, b2, a1, a2 in k_weighting(rate):
        whole = lfilter([b0, b1, b2], [1, a1, a2], whole)
    response = impulse_response(rate)
    whole[: response.size] -= response
    assert np.abs(whole).sum() < 1e-7 * np.abs(response).sum()


@pytest.mark.parametrize("kind", ["noise", "tones", "music"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_loudness_is_pyloudnorms(rate: int, channels: int, kind: str) -> None:
    samples = material(kind, rate, channels)
    found = measure(samples, rate).integrated_lufs
    assert found == pytest.approx(plain_loudness(samples, rate), abs=1e-4)
    reference = pyloudnorm.Meter(rate, filter_class="DeMan")
    assert found == pytest.approx(reference.integrated_loudness(samples.astype(np.float64)), abs=1e-4)


@pytest.mark.parametrize("kind", ["noise", "tones", "music"])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_loudness_is_near_another_weighting(rate: int, kind: str) -> None:
    """pyloudnorm's own filters come from other formulas: 0.1 LU."""
    samples = material(kind, rate, 2)
    reference = pyloudnorm.Meter(rate).integrated_loudness(samples.astype(np.float64))
    assert measure(samples, rate).integrated_lufs == pytest.approx(reference, abs=0.1)


@pytest.mark.parametrize("rate", RATES)
def test_ebu_tech_3341(rate: int) -> None:
    """Its cases 1 to 3: a sine in both channels, the last with quiet ends that the relative gate drops."""
    assert measure(sine(rate, 1000, 5, -23, 2), rate).integrated_lufs == pytest.approx(-23, abs=0.1)
    if rate == 48_000:
        assert measure(sine(rate, 1000, 20, -33, 2), rate).integrated_lufs == pytest.approx(-33, abs=0.1)
        parts = [sine(rate, 1000, *part, 2) for part in ((10, -36), (60, -23), (10, -36))]
        assert measure(np.concatenate(parts), rate).integrated_lufs == pytest.approx(-23, abs=0.1)


def test_full_scale_of_one_channel() -> None:
    """BS.1770-4: 0 dBFS at 997 Hz in one channel is -3.01 LKFS; a mono file is that channel."""
    one = sine(48_000, 997, 3, 0)
    other = np.concatenate([np.zeros_like(one), one], axis=1)
    assert measure(one, 48_000).integrated_lufs == pytest.approx(-3.01, abs=0.01)
    assert measure(other, 48_000).integrated_lufs == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize("rate", [11_025, 12_345, 22_050])
def test_steps_of_uneven_length(rate: int) -> None:
    samples = material("music", rate, 2)
    found = measure(samples, rate).integrated_lufs
    assert found == pytest.approx(plain_loudness(samples, rate), abs=1e-4)


def test_quiet_after_loud() -> None:
    """float32's rounding stays far below the gate, also under a constant, as `minmax` leaves it."""
    rate = 44_100
    samples = np.full((3 * rate, 1), -1, np.float32)
    samples[rate:] += sine(rate, 440, 2, -60)
    assert measure(samples, rate).integrated_lufs == pytest.approx(plain_loudness(samples, rate), abs=1e-4)
    settled = samples.copy()
    settled[:rate] = 0
    settled[rate : 2 * rate] = -1  # its onset passes the gate, and nothing after it
    settled[2 * rate :] = -1
    assert measure(settled, rate).integrated_lufs == pytest.approx(plain_loudness(settled, rate), abs=1e-4)


@pytest.mark.parametrize("above", [-0.01, 0.01])
def test_absolute_gate(above: float) -> None:
    quiet = sine(48_000, 997, 2, -70 + 3.01 + above)
    assert np.isfinite(measure(quiet, 48_000).integrated_lufs) == (above > 0)


def test_incomplete_steps_do_not_count() -> None:
    """A block has to be whole: 399 ms are none, and 99 ms more of a louder sound change nothing."""
    rate = 8000
    loud, quiet = sine(rate, 1000, 0.099, 0), sine(rate, 1000, 0.4, -40)
    assert measure(quiet[:-1], rate).integrated_lufs == -inf
    whole = measure(quiet, rate).integrated_lufs
    assert whole == pytest.approx(plain_loudness(quiet, rate), abs=1e-4)
    assert measure(np.concatenate([quiet, loud]), rate).integrated_lufs == pytest.approx(whole, abs=1e-5)


@pytest.mark.parametrize("frames", [0, 1, 3000, 100_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_silence(frames: int, channels: int) -> None:
    assert measure(np.zeros((frames, channels), np.float32), 44_100) == Loudness(-inf, 0.0)


@pytest.mark.parametrize("rate", RATES)
def test_true_peak_between_samples(rate: int) -> None:
    """A sine at a quarter of the rate, its samples at 45 degrees: 3 dB below what is between them.

    Within 0.2 dB, where 0.5 would hide a factor of 2 missing; it fades in and out, or its ends would ring.
    """
    place = np.arange(rate)
    fade = np.minimum(1, np.minimum(place, place[::-1]) / (0.1 * rate))
    wave = (0.5 * fade * np.sin(np.pi / 2 * place + np.pi / 4)).astype(np.float32)[:, None]
    found = measure(np.concatenate([0 * wave, wave], axis=1), rate).true_peak
    expected = 0.5 if rate < 192_000 else 0.5 * 0.5**0.5
    assert 20 * np.log10(found / expected) == pytest.approx(0, abs=0.2)
    assert found >= np.abs(wave).max()


@pytest.mark.parametrize(("rate", "seed"), [(8000, 0), (44_100, 2), (96_000, 0)])
def test_true_peak_is_scipys(rate: int, seed: int) -> None:
    """0.05 dB, for noise of up to 0.8 of half the rate, which both pass whole; its samples are further off.

    Seeds whose highest peak lies between samples.
    """
    noise = lfilter(firwin(101, 0.8), [1], np.random.default_rng(seed).normal(size=2 * rate))
    samples = (0.2 * noise).astype(np.float32)[:, None]
    expected = np.abs(resample_poly(samples.astype(np.float64), oversampling(rate), 1)).max()
    assert 20 * np.log10(expected / np.abs(samples).max()) > 0.2
    found = measure(samples, rate).true_peak
    assert 20 * np.log10(found / expected) == pytest.approx(0, abs=0.05)


def test_true_peak_at_the_end_of_a_block() -> None:
    """The resampler holds the last frames back until it is told that no more will come."""
    samples = np.zeros((4480, 1), np.float32)
    samples[-40:, 0] = np.hanning(40) * np.sin(np.pi / 2 * np.arange(40) + np.pi / 4)
    followed = np.concatenate([samples, np.zeros_like(samples)])
    found = measure(samples, 8000).true_peak
    assert found > 1.3 * np.abs(samples).max()
    assert found == measure(followed, 8000).true_peak


@pytest.mark.parametrize("rate", [44_100, 192_000])
@pytest.mark.parametrize("place", [0, 20_000, 59_999])
def test_no_sample_passes_the_true_peak(rate: int, place: int) -> None:
    """The resampler rounds the last sample's edge and a lone sample's height; in either sign."""
    samples = np.zeros((60_000, 2), np.float32)
    samples[place, 1] = -0.9
    assert measure(samples, rate).true_peak >= np.float32(0.9)


def test_factors() -> None:
    rates = [8000, 95_999, 96_000, 191_999, 192_000, 768_000]
    assert [oversampling(rate) for rate in rates] == [4, 4, 2, 2, 1, 1]


@pytest.mark.parametrize("rate", [8000, 44_100, 192_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_pieces_make_no_difference(rate: int, channels: int) -> None:
    samples = material("noise", rate, channels)[: 2 * rate + 77]
    whole = measure(samples, rate)
    assert np.isfinite(whole.integrated_lufs)
    for length in (7, 4410, 99_991):
        assert measure(samples, rate, [length] * (samples.shape[0] // length)) == whole
    assert measure(samples[:9000], rate, [1] * 9000) == measure(samples[:9000], rate)


SHORT = material("noise", 8000, 2)[:20_000]


@pytest.fixture(scope="module")
def short() -> Loudness:
    return measure(SHORT, 8000)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 9000), max_size=12))
@example([4481])  # a block is full
@example([4481, 4481, 4481, 4481])
def test_any_pieces_make_no_difference(short: Loudness, pieces: list[int]) -> None:
    assert measure(SHORT, 8000, pieces) == short


@pytest.mark.parametrize("frames", [4480, 4481, 4482, 8962])
def test_lengths_about_a_block(frames: int) -> None:
    """A block at 8 kHz begins every 4481 frames: 5120 less the response's 640, and one."""
    samples = SHORT[:frames]
    found = measure(samples, 8000)
    assert found.integrated_lufs == pytest.approx(plain_loudness(samples, 8000), abs=1e-4)


def test_samples_of_another_layout(short: Loudness) -> None:
    samples = np.asfortranarray(SHORT)
    samples.flags.writeable = False
    assert measure(samples, 8000) == short


def test_memory_is_one_block_and_the_steps() -> None:
    meter = LoudnessMeter(8000, 1)
    piece = np.zeros((8000, 1), np.float32)
    for _ in range(30):
        meter.add(piece)
    kept = {name: value for name, value in vars(meter).items() if hasattr(value, "__len__")}
    assert len(kept.pop("_energies")) <= 301
    assert sum(np.asarray(value).nbytes for value in kept.values()) < 100_000


def test_a_rate_too_low() -> None:
    with pytest.raises(OptionError, match=r"7999.*8000"):
        LoudnessMeter(7999, 1)


def test_used_once() -> None:
    meter = LoudnessMeter(8000, 1)
    meter.finish()
    with pytest.raises(AssertionError):
        meter.finish()
    with pytest.raises(AssertionError):
        meter.add(np.zeros((1, 1), np.float32))


@pytest.mark.process
def test_scipy_stays_out() -> None:
    """It costs every run 53 MiB and a second."""
    code = "import sys, netsounds_stream.sound.dsp.loudness; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
