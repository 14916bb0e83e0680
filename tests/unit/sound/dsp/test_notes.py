"""Rows on notes and their sines, against plain forms: a loop over rows, oscillators in float64.

Tolerances: float32 levels and waves, so 1e-5 of the largest value. However levels are cut, `==`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from netsounds_stream.planning.plan import Stft
from netsounds_stream.planning.scales import notes_of
from netsounds_stream.sound.dsp.notes import NoteMap, Waves, sounded
from netsounds_stream.sound.dsp.spectrum import FrequencyScale

RATE = 8000
SHAPES = [
    *(Stft(64, 16, 1000, notes=5), Stft(64, 24, 997, notes=5), Stft(64, 32, 20, notes=5)),
    *(Stft(64, 7, 700, notes=5), Stft(2048, 512, 40000, notes=5), Stft(64, 16, 1000, 300, notes=5)),
]
HZ = notes_of("minor-pentatonic", 110.0, 110.0, 210.0).hz


def some_levels(stft: Stft, channels: int = 1) -> torch.Tensor:
    """`[frame, channel, note]`, some of them 0."""
    generator = torch.Generator().manual_seed(stft.samples)
    levels = torch.rand(stft.frames, channels, stft.notes, generator=generator)
    return levels * (levels > 0.3)


def blocks_of(levels: torch.Tensor, stft: Stft) -> Iterator[torch.Tensor]:
    """`[channel, frame, note]`, on the grid, the last filled up with zeros."""
    missing = -levels.shape[0] % stft.block_frames
    padded = torch.cat((levels, levels.new_zeros(missing, *levels.shape[1:])))
    for block in padded.split(stft.block_frames):
        yield block.transpose(0, 1)


def waves(stft: Stft, seed: int = 0) -> Waves:
    return Waves(HZ, stft, RATE, (seed,))


def made(levels: torch.Tensor, stft: Stft) -> NDArray[np.float64]:
    """`[channel, sample]`."""
    pieces = list(sounded(blocks_of(levels, stft), stft, waves(stft)))
    return torch.cat(pieces, dim=-1).double().numpy()


def oscillators(levels: torch.Tensor, stft: Stft) -> NDArray[np.float64]:
    """Each note's sine from beginning to end, times its level in between frames; float64."""
    window = torch.hann_window(stft.fft_size, dtype=torch.float64).numpy()
    length = (stft.frames + 1) * stft.hop + stft.fft_size
    envelopes = np.zeros((*levels.shape[1:], length))
    norm = np.zeros(length)
    for number, frame in enumerate(levels.double().numpy()):
        here = slice(number * stft.hop, number * stft.hop + stft.fft_size)
        envelopes[..., here] += frame[..., None] * window**2
        norm[here] += window**2
    middle = slice(stft.fft_size // 2, stft.fft_size // 2 + stft.samples)
    envelopes = envelopes[..., middle] / norm[middle]
    begin = np.random.default_rng((0,)).random(len(HZ))
    angles = 2 * np.pi * (np.outer(HZ, np.arange(stft.samples) / RATE) + begin[:, None])
    return (envelopes * np.cos(angles)).sum(1) * math.sqrt(32 / 3) / stft.fft_size


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("stft", SHAPES, ids=str)
def test_notes_are_sines_with_these_levels(stft: Stft, channels: int) -> None:
    levels = some_levels(stft, channels)
    found = made(levels, stft)
    expected = oscillators(levels, stft)[:, : stft.sounded]
    assert found.shape == (channels, stft.sounded)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("stft", SHAPES, ids=str)
def test_a_steady_level_is_a_sine_to_both_ends(stft: Stft) -> None:
    levels = torch.zeros(stft.frames, 1, stft.notes)
    levels[..., 2] = 3.0
    (found,) = made(levels, stft)
    begin = np.random.default_rng((0,)).random(len(HZ))[2]
    angles = 2 * np.pi * (HZ[2] * np.arange(stft.sounded) / RATE + begin)
    np.testing.assert_allclose(found, 3 * math.sqrt(32 / 3) / stft.fft_size * np.cos(angles), atol=1e-6)


def test_a_preview_begins_as_the_whole() -> None:
    stft = Stft(64, 16, 5000, notes=5)
    levels = some_levels(stft)
    whole = made(levels, stft)
    for wanted in (1, 100, 2047, 4999):
        part = Stft(64, 16, 5000, wanted, notes=5)
        needed = math.ceil((wanted + 32) / 16) + 1
        assert np.array_equal(made(levels[:needed], part), whole[:, :wanted])


def test_no_precision_is_lost_in_the_longest_sound() -> None:
    """After a million seconds as at the beginning: the notes' periods are whole samples here."""
    stft = Stft(64, 16, 1000, notes=2)
    high = Waves((500.0, 1000.0), stft, RATE, (3,))
    levels = torch.ones(1, 4, 2)
    late = 1_000_000 * RATE // stft.hop
    torch.testing.assert_close(high.frames(levels, 0), high.frames(levels, late), atol=1e-7, rtol=1e-4)


def test_a_frame_has_the_energy_that_bins_would_have() -> None:
    """A level of 1 sounds as loud as magnitudes whose squares add up to 1."""
    stft = Stft(2048, 512, 8000, notes=1)
    frame = Waves((700.0,), stft, RATE, (0,)).frames(torch.ones(1, 1, 1), 0)[0, 0]
    assert float(torch.fft.rfft(frame).abs().square().sum()) == pytest.approx(1, rel=1e-3)


def nearest(hz: float, notes: tuple[float, ...]) -> int:
    return min(range(len(notes)), key=lambda number: abs(math.log(hz / notes[number])))


@pytest.mark.parametrize("reversed_rows", [False, True])
@pytest.mark.parametrize("name", ["linear", "mel", "log"])
@pytest.mark.parametrize("rows", [1, 4, 13, 60, 755])
@pytest.mark.parametrize("scale", ["chromatic", "minor-pentatonic", "cents:30,31,700,1900"])
def test_a_row_falls_on_the_nearest_note(scale: str, rows: int, name: str, reversed_rows: bool) -> None:
    notes = notes_of(scale, 110.0, 110.0, 3500.0).hz
    on = FrequencyScale(name, 100.0, 3600.0)
    found = NoteMap(rows, notes, on, reversed_rows=reversed_rows)
    frames = torch.rand(3, rows, generator=torch.Generator().manual_seed(rows))
    energies = np.zeros((3, len(notes)))
    for row in range(rows):
        place = rows - 1 - row if reversed_rows else row
        number = nearest(float(on.at(np.array((place + 0.5) / rows))), notes)
        assert found.note_of_row[row] == number
        energies[:, number] += frames[:, row].double().numpy() ** 2
    np.testing.assert_allclose(found(frames).numpy(), np.sqrt(energies), atol=1e-6 * math.sqrt(rows))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.integers(0, 2**32 - 1))
def test_energy_is_kept(rows: int, seed: int) -> None:
    """All rows fall on some note, also those beyond the outermost."""
    spread = NoteMap(rows, HZ, FrequencyScale("log", 20.0, 3900.0), reversed_rows=False)
    frames = torch.rand(4, rows, generator=torch.Generator().manual_seed(seed))
    found = spread(frames).double().square().sum(1)
    torch.testing.assert_close(found, frames.double().square().sum(1), rtol=1e-5, atol=0)
