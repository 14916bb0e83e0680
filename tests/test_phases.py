"""Phases and the inverse STFT, against plain forms that have everything in memory at once."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from netsounds_stream.planning.plan import Stft
from netsounds_stream.sound.dsp.griffin_lim import GriffinLim
from netsounds_stream.sound.dsp.pghi import PhaseGradient, _sources
from netsounds_stream.sound.dsp.stft import OverlapAdd
from netsounds_stream.sound.dsp.synthesis import synthesised

SHAPES = [Stft(64, 16, 1000), Stft(64, 24, 997), Stft(64, 32, 20), Stft(64, 7, 700), Stft(2048, 512, 40000)]


def spectra_of(samples: torch.Tensor, stft: Stft, frames: int) -> torch.Tensor:
    """The STFT of the whole signal, frame n centred on sample n * hop; complex128 `[frame, bin]`."""
    window = torch.hann_window(stft.fft_size, dtype=torch.float64)
    beyond = stft.fft_size + stft.hop
    padded = torch.nn.functional.pad(samples.double(), (stft.fft_size // 2, beyond))
    return torch.fft.rfft(padded.unfold(0, stft.fft_size, stft.hop)[:frames] * window)


def signal_of(spectra: torch.Tensor, stft: Stft, samples: int) -> torch.Tensor:
    """Frames laid down one by one, divided by the windows' squares; float64."""
    window = torch.hann_window(stft.fft_size, dtype=torch.float64)
    length = spectra.shape[0] * stft.hop + stft.fft_size
    total, norm = torch.zeros(2, length, dtype=torch.float64)
    for number, frame in enumerate(torch.fft.irfft(spectra, n=stft.fft_size)):
        here = slice(number * stft.hop, number * stft.hop + stft.fft_size)
        total[here] += window * frame
        norm[here] += window**2
    middle = slice(stft.fft_size // 2, stft.fft_size // 2 + samples)
    return total[middle] / norm[middle]


def some_magnitudes(stft: Stft, seed: int = 0) -> torch.Tensor:
    """Of noise with a swept tone in it: `[frame, bin]`."""
    rng = np.random.default_rng(seed)
    length = (stft.frames - 1) * stft.hop
    time = np.arange(length) / max(1, length)
    sound = 5 * np.sin(length * (0.3 * time + 0.2 * time**2)) + rng.standard_normal(length)
    return spectra_of(torch.from_numpy(sound), stft, stft.frames).abs().float()


def blocks_of(rows: torch.Tensor, stft: Stft) -> list[torch.Tensor]:
    """On the grid, the last filled up with zeros."""
    missing = -rows.shape[0] % stft.block_frames
    padded = torch.cat((rows, rows.new_zeros(missing, rows.shape[1])))
    return list(padded.split(stft.block_frames))


@pytest.mark.parametrize("stft", SHAPES, ids=str)
def test_a_signal_comes_back_from_its_frames(stft: Stft) -> None:
    """The normalisation is exact at both ends and at any hop, so only float32's rounding is left."""
    samples = torch.from_numpy(np.random.default_rng(1).standard_normal(stft.samples))
    spectra = spectra_of(samples, stft, stft.frames).to(torch.complex64)
    lay_down = OverlapAdd(stft, stft.samples)
    found = [torch.zeros(0)]
    start = lay_down.start
    for block in blocks_of(spectra, stft) + [torch.zeros(stft.block_frames, stft.bins) * 1j] * 3:
        found.append(lay_down(block))
    back = torch.cat(found)[-start:][: stft.samples]
    assert (back - samples).abs().max() < 2e-5  # near the ends of a hop of half a window the norm is 1/4


@pytest.mark.parametrize("stft", SHAPES, ids=str)
def test_griffin_lim_is_that_of_the_whole(stft: Stft) -> None:
    """The plain algorithm in float64 on all frames; from the same first phases."""
    iterations, magnitudes = 5, some_magnitudes(stft)
    angles = torch.from_numpy(np.random.default_rng(2).random(magnitudes.shape)) * 2 * torch.pi
    phasors = torch.polar(torch.ones_like(angles), angles)
    whole, before = phasors, None
    for _ in range(iterations):
        length = (stft.frames - 1) * stft.hop
        signal = signal_of(magnitudes * whole, stft, length)
        rebuilt = spectra_of(signal, stft, stft.frames)
        moved = rebuilt if before is None else rebuilt - 0.99 / 1.99 * before
        whole, before = moved / (moved.abs() + 1e-30), rebuilt
    stream = GriffinLim(stft, iterations)
    later = -(-stream.delay // stft.block_frames)
    silence = [torch.zeros(stft.block_frames, stft.bins)] * later
    found = torch.cat(
        [
            stream(part, first.to(torch.complex64))
            for part, first in zip(
                blocks_of(magnitudes, stft) + silence,
                blocks_of(phasors, stft) + [part + 0j for part in silence],
                strict=True,
            )
        ]
    )[stream.delay :][: stft.frames]
    # phases of faint bins are ill-conditioned: what counts is the error weighted by magnitude
    error = torch.linalg.norm(magnitudes * (found - whole)) / torch.linalg.norm(magnitudes)
    assert error < 2e-3


def heap_sources(
    before: NDArray[np.float64], here: NDArray[np.float64], loud: NDArray[np.bool_]
) -> list[int]:
    """Who gives each bin its phase, by the paper's heap; -1 for those that are drawn."""
    heap = [(-before[m], m, True) for m in np.flatnonzero(loud)]
    heapq.heapify(heap)
    source = [-1] * len(here)
    while heap:
        _, m, of_before = heapq.heappop(heap)
        for other in [m] if of_before else [m - 1, m + 1]:
            if 0 <= other < len(here) and loud[other] and source[other] < 0:
                source[other] = m if of_before else source[m]
                heapq.heappush(heap, (-here[other], other, False))
    return source


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.9]))
def test_phase_comes_from_where_the_heap_has_it_from(bins: int, seed: int, faint: float) -> None:
    rng = np.random.default_rng(seed)
    before, here = rng.random((2, 4, bins)) ** 3
    loud = rng.random((4, bins)) >= faint
    found = _sources(before, here, loud)
    for row in range(4):
        expected = np.array(heap_sources(before[row], here[row], loud[row]))
        assert (found[row] == expected)[loud[row]].all()


def convergence_db(samples: torch.Tensor, magnitudes: torch.Tensor, stft: Stft) -> float:
    """How far a signal's STFT magnitudes are from those that were wanted."""
    found = spectra_of(samples, stft, stft.frames).abs()
    error = torch.linalg.norm(found - magnitudes) / torch.linalg.norm(magnitudes)
    return float(20 * torch.log10(error))


@pytest.mark.parametrize(
    ("phase", "iterations", "within_db"),
    # what was measured, and 2 dB for another torch's rounding
    [("zero", 0, 0), ("random", 0, 0), ("pghi", 0, -21), ("random", 32, -19), ("pghi", 32, -30)],
)
def test_phases_fit_the_magnitudes(phase: str, iterations: int, within_db: float) -> None:
    stft = Stft(512, 128, 128 * 400)
    magnitudes = some_magnitudes(stft)
    blocks = [block[None] for block in blocks_of(magnitudes, stft)]
    (samples,) = torch.cat(list(synthesised(blocks, stft, phase, iterations, (0,))), dim=1)
    assert samples.shape == (stft.samples,)
    found = convergence_db(samples, magnitudes, stft)
    assert found < within_db


def test_the_gradient_finds_a_tone_s_phase() -> None:
    """Between two frames a tone turns by its frequency, whatever bin it lies in."""
    stft = Stft(512, 128, 128 * 64)
    frequency = 2 * np.pi * 0.0613
    tone = torch.cos(frequency * torch.arange(stft.samples))
    magnitudes = spectra_of(tone, stft, stft.frames).abs().float()
    gradient = PhaseGradient(stft, stft.bins)
    phases = np.concatenate([gradient(block, np.zeros(block.shape)) for block in blocks_of(magnitudes, stft)])
    loudest = int(magnitudes[20].argmax())
    turned = np.diff(phases[10:50, loudest])
    off = np.angle(np.exp(1j * (turned - frequency * stft.hop)))
    assert np.abs(off).max() < 0.02  # Hann's window is not quite the Gaussian of the formula


def test_channels_keep_their_proportion() -> None:
    """One phase for all channels: a signal panned by amplitude comes out panned by the same."""
    stft = Stft(512, 128, 128 * 50)
    magnitudes = some_magnitudes(stft)
    both = [torch.stack((0.8 * block, 0.6 * block)) for block in blocks_of(magnitudes, stft)]
    left, right = torch.cat(list(synthesised(both, stft, "pghi", 2, (0,))), dim=1)
    assert (left * 0.6 - right * 0.8).abs().max() < 1e-6 * left.abs().max()
