"""From a bank's rows to windowed frames' magnitudes, against plain forms that see everything at once.

Tolerances: float32 weights and products of a few dozen terms near 1, so 1e-5 of the largest value; against
a finely sampled integral 2e-3, which is what its steps leave. However rows are cut, `==`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netsounds_stream.base.checkpoint import CheckpointReader, CheckpointWriter
from netsounds_stream.base.checksums import file_sum
from netsounds_stream.planning.plan import Stft
from netsounds_stream.planning.sound_options import SoundOptions
from netsounds_stream.sound.dsp.spectrum import (
    Floats,
    FrequencyMap,
    FrequencyScale,
    TimeMap,
    interval_weights,
)
from netsounds_stream.sound.spectra import SpectraMap, SpectraSpool, raised

RATE = 8000


def all_weights(low: Floats, high: Floats, length: int) -> np.ndarray:
    """`interval_weights` as one matrix `[interval, cell]`."""
    first, weights = interval_weights(low, high, length)
    whole = np.zeros((len(low), length))
    whole[:, first : first + weights.shape[1]] = weights
    return whole


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.lists(st.floats(0, 12), min_size=2, max_size=9), st.integers(0, 2**32 - 1))
def test_a_mean_over_an_interval_is_that_of_the_function(length: int, ends: list[float], seed: int) -> None:
    """Of the piecewise constant function, sampled a thousand times a cell; narrow ones are a cell wide."""
    ends = sorted(min(end, length) for end in ends)
    low, high = np.array(ends[:-1]), np.array(ends[1:])
    values = np.random.default_rng(seed).random(length)
    found = all_weights(low, high, length) @ values
    step = 1e-3
    points = (np.arange(round(length / step)) + 0.5) * step
    function = values[points.astype(int)]
    for mean, a, b in zip(found, low, high, strict=True):
        half = max(b - a, 1) / 2
        covered = np.abs(points - (a + b) / 2) < half
        assert mean == pytest.approx(function[covered].mean(), abs=4e-3)


def test_stretching_is_linear_between_the_middles() -> None:
    values = np.array([3.0, 1.0, 4.0, 1.0, 5.0])
    ends = np.linspace(0, 5, 51)
    found = all_weights(ends[:-1], ends[1:], 5) @ values
    middles = (ends[:-1] + ends[1:]) / 2
    expected = np.interp(middles, np.arange(5) + 0.5, values)  # past the outer middles: their values
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_shrinking_is_the_mean_over_the_area() -> None:
    values = np.random.default_rng(0).random(12)
    found = all_weights(np.array([0.0, 3.0, 6.0, 9.0]), np.array([3.0, 6.0, 9.0, 12.0]), 12) @ values
    np.testing.assert_allclose(found, values.reshape(4, 3).mean(1), rtol=1e-6)
    found = all_weights(np.array([0.0, 4.8]), np.array([2.4, 12.0]), 12) @ values
    first = (values[0] + values[1] + 0.4 * values[2]) / 2.4
    second = (0.2 * values[4] + values[5:].sum()) / 7.2
    np.testing.assert_allclose(found, [first, second], rtol=1e-6)


def frequency_map(name: str, rows: int, fft_size: int = 1024, *, reversed_rows: bool = False) -> FrequencyMap:
    scale = FrequencyScale(name, 100, 3500)
    return FrequencyMap(rows, fft_size, RATE, scale, reversed_rows=reversed_rows)


def frequency_of(name: str, share: float) -> float:
    """Written out once more: the scale's frequency at a share of the way from 100 to 3500 Hz."""
    if name == "linear":
        return 100 + 3400 * share
    if name == "log":
        return 100.0 * 35.0**share
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (100, 3500))
    return float(700 * (10 ** ((low + share * (high - low)) / 2595) - 1))


@pytest.mark.parametrize("reversed_rows", [False, True])
@pytest.mark.parametrize("name", ["linear", "mel", "log"])
@pytest.mark.parametrize("lit", [0, 3, 7])
def test_a_lit_row_comes_out_at_its_frequencies(name: str, lit: int, reversed_rows: bool) -> None:
    rows, hertz = 8, RATE / 1024
    frame = torch.zeros(1, rows)
    frame[0, rows - 1 - lit if reversed_rows else lit] = 1
    (bins,) = frequency_map(name, rows, reversed_rows=reversed_rows)(frame)
    assert bins.shape == (513,)
    # a bin covers less than a row here: it hears this row from the middle of the one before to the next's
    low = frequency_of(name, max(0, (lit - 0.5) / rows)) - hertz
    high = frequency_of(name, min(1, (lit + 1.5) / rows)) + hertz
    heard = np.flatnonzero(bins.numpy()) * hertz
    assert low <= heard.min() and heard.max() <= high
    loudest = bins.argmax() * hertz
    if 0 < lit < rows - 1 and name == "linear":  # elsewhere a bin at one edge covers more than at the other
        assert loudest == pytest.approx(frequency_of(name, (lit + 0.5) / rows), abs=hertz)
    assert heard.max() - heard.min() > (high - low) / 2


@pytest.mark.parametrize("name", ["linear", "mel", "log"])
def test_energy_is_kept_however_many_bins(name: str) -> None:
    """Neighbours alike, so that interpolation between them takes nothing: 8 rows of 1 have the energy 8."""
    for fft_size in (1024, 4096, 16384):
        (bins,) = frequency_map(name, 8, fft_size)(torch.ones(1, 8))
        # the outermost bins reach over the ends by up to a half, and are cut there
        assert float(bins.square().sum()) == pytest.approx(8, rel=0.01)


@pytest.mark.parametrize("name", ["linear", "mel", "log"])
def test_outside_the_scale_is_silence(name: str) -> None:
    (bins,) = frequency_map(name, 40)(torch.ones(1, 40))
    hertz = np.arange(513) * RATE / 1024
    heard = (hertz >= 100) & (hertz <= 3500)
    assert (bins.numpy()[~heard] == 0).all() and (bins.numpy()[heard] > 0).all()
    whole = FrequencyMap(40, 1024, RATE, FrequencyScale("linear", 0, RATE / 2), reversed_rows=False)
    (bins,) = whole(torch.ones(1, 40))
    assert bins[0] == 0 and (bins[1:] > 0).all()
    between = FrequencyMap(40, 64, RATE, FrequencyScale("linear", 130, 140), reversed_rows=False)
    assert (between(torch.ones(2, 40)) == 0).all()  # no bin lies there


def some_rows(rows: int, channels: int, frequencies: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rows)
    return torch.rand(rows, channels, frequencies, generator=generator) * 1500


def sound(contrast: float = 3.0) -> SoundOptions:
    return SoundOptions(sample_rate_hz=RATE, fft_size=64, contrast=contrast, fmin_hz=200, fmax_hz=3000)


def spectra_map(
    rows: int, whole: int, stft: Stft, contrast: float = 3.0, *, flipped: bool = False
) -> SpectraMap:
    return SpectraMap(rows, whole, 10, stft, sound(contrast), flipped=flipped)


def in_pieces(made_by: SpectraMap, rows: torch.Tensor, cuts: Sequence[int]) -> torch.Tensor:
    """The frames of these rows, cut there; checks that all come, and that few rows wait."""
    pieces = torch.tensor_split(rows, sorted(min(cut, len(rows)) for cut in cuts))
    return torch.cat(
        [torch.zeros(0, rows.shape[1], 33), *(made for piece in pieces for made in made_by(piece))]
    )


@pytest.mark.parametrize("contrast", [1.0, 0.5, 3.0])
@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize(("rows", "samples"), [(5, 3000), (75, 1200), (100, 1600), (500, 400), (90, 31)])
def test_magnitudes_are_those_of_all_rows_at_once(
    rows: int, samples: int, flipped: bool, contrast: float
) -> None:
    stft, values = Stft(64, 16, samples), some_rows(rows, 2, 10)
    found = in_pieces(spectra_map(rows, rows, stft, contrast, flipped=flipped), values, [])
    powers = values.double().numpy()
    if contrast != 1:
        whole = np.sqrt((powers**2).sum(1, keepdims=True)) / 1000
        shares = np.divide(powers / 1000, whole, out=np.zeros_like(powers), where=whole > 0) ** contrast
        of_all = np.sqrt((shares**2).sum(1, keepdims=True))
        powers = whole**contrast * np.divide(shares, of_all, out=np.zeros_like(powers), where=of_all > 0)
    a_frame = rows * 16 / samples
    centres = np.arange(stft.frames) * a_frame
    in_time = np.einsum(
        "fr,rcq->fcq", all_weights(centres - a_frame / 2, centres + a_frame / 2, rows), powers
    )
    if flipped:
        in_time = in_time[:, :, ::-1]
    hertz, place = np.arange(33) * RATE / 64, np.zeros((33, 10))
    scale = FrequencyScale("log", 200, 3000)
    low, high = (10 * scale.share(hertz + side * RATE / 64) for side in (-0.5, 0.5))
    heard = (hertz >= 200) & (hertz <= 3000)
    place[heard] = all_weights(low[heard], high[heard], 10) * np.sqrt(high - low)[heard, None]
    expected = in_time @ place.T
    assert found.shape == (stft.frames, 2, 33)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5 * expected.max())


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 300),
    st.sampled_from([0.04, 0.3, 1.0, 3.7, 16.0, 23.0, 70.0]),  # rows a frame
    st.integers(1, 3),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_the_cuts_make_no_difference(rows: int, ratio: float, channels: int, cuts: list[int]) -> None:
    stft = Stft(64, 16, max(1, round(16 * rows / ratio)))
    values = some_rows(rows, channels, 10)
    whole = in_pieces(spectra_map(rows, rows, stft), values, [])
    assert whole.shape[0] == stft.frames
    assert torch.equal(in_pieces(spectra_map(rows, rows, stft), values, cuts), whole)
    assert torch.equal(in_pieces(spectra_map(rows, rows, stft), values, range(0, 300, 7)), whole)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.sampled_from([0.1, 1.0, 5.0, 40.0]), st.lists(st.integers(0, 200), min_size=1))
def test_it_goes_on_where_it_was(rows: int, ratio: float, cuts: list[int]) -> None:
    """Another map takes over at every cut."""
    stft, values = Stft(64, 16, max(1, round(16 * rows / ratio))), some_rows(rows, 2, 10)
    made_by = spectra_map(rows, rows, stft)
    whole = in_pieces(made_by, values, [])
    made_by, found = spectra_map(rows, rows, stft), [torch.zeros(0, 2, 33)]
    for piece in torch.tensor_split(values, sorted(min(cut, rows) for cut in cuts)):
        found += made_by(piece)
        rows_a_frame = rows * stft.hop / stft.samples
        assert made_by.retained.shape[0] <= 3 * max(32, rows_a_frame + 3)  # memory is bounded
        state, waiting = made_by.state, made_by.retained.clone()
        made_by = spectra_map(rows, rows, stft)
        made_by.restore(state, waiting)
    assert torch.equal(torch.cat(found), whole)


@pytest.mark.parametrize("ratio", [0.2, 2.5, 40.0])
@pytest.mark.parametrize("some", [1, 33, 150, 299])
def test_the_first_rows_give_the_first_frames(ratio: float, some: int) -> None:
    """In a preview: the same bytes, and all frames that the rows it has can tell of."""
    rows = 300
    stft, values = Stft(64, 16, round(16 * rows / ratio)), some_rows(rows, 1, 10)
    whole = in_pieces(spectra_map(rows, rows, stft), values, [])
    head = in_pieces(spectra_map(some, rows, stft), values[:some], [])
    assert torch.equal(head, whole[: len(head)]) and len(head) < len(whole)
    assert len(head) >= (some - max(ratio, 1) / 2) / ratio - 1


def test_values_below_zero_count_by_their_size() -> None:
    """Not what the network gives, but an array may hold them; no power of them is anything but a number."""
    stft, values = Stft(64, 16, 500), some_rows(40, 1, 10) - 700
    for contrast in (0.5, 1.0, 3.0):
        found = in_pieces(spectra_map(40, 40, stft, contrast), values, [])
        assert torch.equal(found, in_pieces(spectra_map(40, 40, stft, contrast), values.abs(), []))


@pytest.mark.parametrize("contrast", [0.5, 1.0, 3.0])
def test_contrast_keeps_constant_power(contrast: float) -> None:
    """A filter alone is as loud in the middle as at a side."""
    angles = torch.linspace(0, torch.pi / 2, 9)
    gains = torch.stack((torch.cos(angles), torch.sin(angles)))  # [channel, place]
    panned = raised(500 * gains[None], contrast)
    power = panned.square().sum(1)[0]
    assert torch.allclose(power, power[:1].expand(9), rtol=1e-5)


def test_a_spool_goes_on_where_it_was(tmp_path: Path) -> None:
    stft, values = Stft(64, 16, 3000), some_rows(200, 2, 10)

    def blocks(spool: SpectraSpool) -> torch.Tensor:
        return torch.cat(list(spool.blocks()), dim=1)

    with SpectraSpool(tmp_path / "whole", stft, 2, spectra_map(200, 200, stft), None) as spool:
        spool.add(values)
        whole, level = blocks(spool), spool.level
    with SpectraSpool(tmp_path / "parts", stft, 2, spectra_map(200, 200, stft), None) as spool:
        spool.add(values[:90])
        state, writer = spool.state(), CheckpointWriter(tmp_path / "rows")
        writer.add("rows/0", spool.retained()["rows"])
        writer.close()
        spool.add(values[90:])  # what came after the state was taken is to be forgotten
    with CheckpointReader(tmp_path / "rows", file_sum(tmp_path / "rows")) as reader:
        waiting = reader.tensors("rows")["0"]
    with SpectraSpool(tmp_path / "parts", stft, 2, spectra_map(200, 200, stft), state) as spool:
        spool.restore(state, {"rows": waiting})
        spool.add(values[90:])
        assert torch.equal(blocks(spool), whole) and spool.level == level
    frames = -(-stft.frames // stft.block_frames) * stft.block_frames
    assert whole.shape == (2, frames, 33) and not whole[:, stft.frames :].any()
    energy = whole.double().square().sum() / stft.frames
    assert level == pytest.approx(float(energy) ** 0.5, rel=1e-6)


def test_time_reaches_from_end_to_end() -> None:
    time = TimeMap(rows=100, frames=101, hop=16, samples=1600)
    first, weights = time.weights(slice(0, 1))
    assert (first, weights[0, 0]) == (0, 1)  # half a row is cut at the beginning
    first, weights = time.weights(slice(100, 101))
    assert (first, weights.tolist()) == (99, [[1.0]])


@pytest.mark.parametrize("power", [0.7, 1.0, 1.5, 2.0, 3.0])
def test_a_value_is_raised_to_the_same_bits_wherever_it_lies(power: float) -> None:
    """In a vector, behind the last whole one, or alone: a sound must not depend on how its rows come."""
    rows = torch.randn(61, 2, 37, generator=torch.Generator().manual_seed(1)).abs_()
    whole = raised(rows, power)
    for first, last in ((0, 1), (1, 8), (8, 60), (60, 61)):
        assert torch.equal(raised(rows[first:last], power), whole[first:last])
    assert torch.equal(raised(rows[:, :, 5:7], power), whole[:, :, 5:7])
