"""Resampling in pieces: soxr's samples on the whole, as many as planned."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from netsounds_stream.errors import OptionError
from netsounds_stream.planning.formats import check_resampling, resampled_length
from netsounds_stream.sound.encoding import Resampler
from tests.helpers.encoded import noise


def resampled(samples: np.ndarray, rate_in: int, rate_out: int, pieces: tuple[int, ...] = ()) -> np.ndarray:
    resampler = Resampler(rate_in, rate_out, samples.shape[1])
    parts = [resampler.push(piece) for piece in np.split(samples, pieces)]
    found = np.concatenate([*parts, resampler.flush()])
    assert found.dtype == np.float32
    return found


RATES = [
    (44100, 48000),
    (48000, 44100),
    (8000, 192_000),
    (192_000, 8000),
    (44100, 44101),
    (48000, 48000),
    (12_345, 99_991),
]


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_resampling_is_soxrs(rate_in: int, rate_out: int) -> None:
    samples = noise(20_000, 2, "VORBIS")
    expected = soxr.resample(samples, rate_in, rate_out, quality="VHQ")
    found = resampled(samples, rate_in, rate_out)
    assert len(found) == resampled_length(len(samples), rate_in, rate_out)
    assert np.array_equal(found[: len(expected)], expected)
    assert not found[len(expected) :].any()


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_pieces_leave_the_samples_alone(rate_in: int, rate_out: int) -> None:
    samples = noise(12_289, 2, "VORBIS")
    whole = resampled(samples, rate_in, rate_out)
    for pieces in [(1, 1, 2), (4095, 4096, 4097), tuple(range(333, 12_289, 333)), (12_288,)]:
        assert np.array_equal(resampled(samples, rate_in, rate_out, pieces), whole)


def test_a_tone_stays_in_its_place() -> None:
    """No delay: the samples of both rates are of one waveform."""
    at = np.arange(30_000)[:, None]
    found = resampled(np.sin(2 * np.pi * 1000 * at / 44100).astype(np.float32), 44100, 96_000)
    expected = np.sin(2 * np.pi * 1000 * np.arange(len(found))[:, None] / 96_000)
    assert np.abs(found - expected)[2000:-2000].max() < 1e-5


def test_lengths_are_exact() -> None:
    rng = np.random.default_rng(11)
    usual = [8000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000]
    for each in range(400):
        rate_in, rate_out = (
            int(rate) for rate in (rng.choice(usual, 2) if each % 2 else rng.integers(8000, 192_001, 2))
        )
        frames = int(rng.choice([0, 1, 2, 3, 4095, 4096, 4097, int(rng.integers(3, 9000))]))
        found = resampled(np.zeros((frames, 1), np.float32), rate_in, rate_out)
        assert len(found) == resampled_length(frames, rate_in, rate_out), (rate_in, rate_out, frames)


def test_resampled_length_is_the_ceiling() -> None:
    assert [resampled_length(each, 2, 1) for each in range(5)] == [0, 1, 1, 2, 2]
    assert resampled_length(2**60 + 1, 44100, 88200) == 2**61 + 2  # in integers


@pytest.mark.parametrize("rates", [(7999, 48000), (48000, 7999), (192_001, 48000), (48000, 192_001), (0, 1)])
def test_rates_that_are_not_resampled(rates: tuple[int, int]) -> None:
    for make in (check_resampling, lambda before, after: Resampler(before, after, 1)):
        with pytest.raises(OptionError) as raised:
            make(*rates)
        assert "\n" not in str(raised.value) and "use " in str(raised.value)
