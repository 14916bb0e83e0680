"""Notes: levels of a scale's notes from a frame's rows, and the signal that has these levels.

Each row falls on the note that is nearest to its frequency in pitch, so that it lies where it would lie on a
continuous axis, to within half a step. A note's wave is a sine, whose phase runs on from the beginning of the
signal to its end; its level follows the frames. So every note is exactly in tune, however near its neighbours
are, whereas magnitudes of an FFT's bins, 5 to 20 Hz apart, would blur low notes.

A frame of level a is its window times a sine of amplitude a, and frames are overlapped and added as in
`stft`: in between, levels are interpolated by the windows' squares. This is the additive synthesis of
X. Rodet and P. Depalle, "Spectral envelopes and inverse FFT synthesis", 1992, with the frames' sines computed
as a product of levels and waves instead of by an FFT.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...planning.plan import Stft
from .spectrum import FrequencyScale
from .stft import OverlapAdd, window_of
from .synthesis import then_silence

Floats = NDArray[np.float64]


class NoteMap:
    """Map from a frame's rows to levels of notes.

    A note has the energy of all rows that fall on it, so that a line is as loud by itself as it is among
    others. A row falls on one note only: a line is no chord. Where there are fewer rows than notes, notes
    without a row are silent.

    Args:
        rows: number of rows; the first is the lowest frequency, unless `reversed_rows`.
        notes_hz: frequencies of the notes, ascending.
        scale: frequencies over which the rows are spread.
        reversed_rows: whether the first row is the highest frequency.

    Attributes:
        hz: frequencies of the notes, float64 `[note]`.
        note_of_row: number of each row's note, from the first row on.
    """

    def __init__(
        self, rows: int, notes_hz: Sequence[float], scale: FrequencyScale, *, reversed_rows: bool
    ) -> None:
        self.hz: Floats = np.asarray(notes_hz, dtype=np.float64)
        middles = scale.at((np.arange(rows) + 0.5) / rows)
        between = np.sqrt(self.hz[:-1] * self.hz[1:])  # midway in pitch
        self.note_of_row = np.searchsorted(between, middles, side="right")
        if reversed_rows:
            self.note_of_row = self.note_of_row[::-1].copy()
        # the rows of a note lie side by side
        self._starts = np.flatnonzero(np.diff(self.note_of_row, prepend=-1))
        self._notes = torch.from_numpy(self.note_of_row[self._starts])

    def __call__(self, frames: Tensor) -> Tensor:
        """Compute levels, float32 `[frame, note]`, from frames, float32 `[frame, row]`."""
        energies = np.add.reduceat(frames.square().numpy(), self._starts, axis=1)
        levels = frames.new_zeros(frames.shape[0], len(self.hz))
        levels[:, self._notes] = torch.from_numpy(energies).sqrt_()
        return levels


class Waves:
    """Windowed sines of a scale's notes, for frames of any number of signals.

    It holds a cosine and a sine of each note, float32, as long as a frame.

    Args:
        notes_hz: frequencies of the notes.
        stft: the frames.
        sample_rate_hz: samples a second.
        seed: seed of the notes' phases: any numbers.
    """

    def __init__(
        self, notes_hz: Sequence[float], stft: Stft, sample_rate_hz: int, seed: tuple[int, ...]
    ) -> None:
        self._stft = stft
        self._cycles = np.asarray(notes_hz, dtype=np.float64) / sample_rate_hz  # of a note, a sample
        # Phases that are alike would add up to a pulse at the beginning.
        self._begin = np.random.default_rng(seed).random(len(self._cycles))
        self._window = window_of(stft)
        # a frame then has the energy that it would have if levels were magnitudes of bins
        loudness = math.sqrt(32 / 3) / stft.fft_size
        self._waves = torch.empty(2, len(self._cycles), stft.fft_size)  # cosines, sines
        samples = np.arange(stft.fft_size)
        for number, cycles in enumerate(self._cycles):
            angles = torch.from_numpy(2 * np.pi * cycles * samples)
            self._waves[0, number] = loudness * torch.cos(angles)
            self._waves[1, number] = loudness * torch.sin(angles)

    def frames(self, levels: Tensor, first: int) -> Tensor:
        """Compute frames of the signal.

        Args:
            levels: float32 `[channel, frame, note]`.
            first: number of the first of these frames.

        Returns:
            Windowed samples, float32 `[channel, frame, sample]`.
        """
        stft = self._stft
        starts = (first + np.arange(levels.shape[1])) * stft.hop - stft.fft_size // 2
        # in cycles, of which whole ones are dropped before precision is lost
        angles = 2 * np.pi * np.remainder(np.outer(starts, self._cycles) + self._begin, 1)
        turned = torch.from_numpy(np.concatenate((np.cos(angles), -np.sin(angles)), axis=1)).float()
        factors = torch.cat((levels, levels), dim=-1).mul_(turned)
        # one product of two matrices: for a stack of them, the waves would be copied
        frames = factors.flatten(0, 1) @ self._waves.flatten(0, 1)
        return frames.mul_(self._window).view(*levels.shape[:2], stft.fft_size)


def sounded(blocks: Iterable[Tensor], stft: Stft, waves: Waves) -> Iterator[Tensor]:
    """Synthesise the signal in which notes have these levels.

    Args:
        blocks: float32 `[channel, frame, note]`: all frames of `stft`, or as many as `stft.sounded` needs,
            `block_frames` at a time, with zeros at the end of the last block.
        stft: the frames.
        waves: the notes.

    Yields:
        float32 `[channel, sample]`, some thousand samples at a time, `stft.sounded` in all.
    """
    overlap_add = OverlapAdd(stft, stft.samples)
    first = 0
    for block in then_silence(blocks):
        start = overlap_add.start
        samples = overlap_add.add(waves.frames(block, first))
        first += block.shape[1]
        if start + samples.shape[-1] > 0:
            yield samples[:, max(0, -start) : stft.sounded - start]
        if overlap_add.start >= stft.sounded:
            return
