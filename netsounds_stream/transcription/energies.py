"""A bank's energies by time and pitch, from its sum map: what the mix is made of, in steps and bins.

Rows of a sum map that follow one another make a step, and values of a row that lie near each other in pitch a
bin. Values become content, raised to the contrast, as in the mix. A bin has the energy of all its values, so
that a line is as loud by itself as it is among others; a step has the mean of its rows. Beside that are kept
the energy of the right side, and where among a bin's values its energy lies. Rows are read some at a time: in
memory are those, and the three arrays, whose size `Grid` bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..planning.scales import midi_number
from ..planning.sound_options import LISTENING_PHON, SoundOptions
from ..rendering.scans import BankMap, Scan, rows_of
from ..sound.background import Background
from ..sound.dsp.equal_loudness import gains
from ..sound.dsp.spectrum import FrequencyScale
from ..sound.spectra import raised

Floats = NDArray[np.float64]
Energies = NDArray[np.float32]

#: Duration of a step, unless the sound is so long that it has more than `MOST_STEPS`.
STEP_S = 0.03
MOST_STEPS = 8192
#: Bins of a semitone, where a bank has so many values.
BINS = 4
# MIDI's keys; what lies beyond them is left out.
_KEYS = 128


@dataclass(frozen=True, eq=False, kw_only=True)
class Grid:
    """Steps of time and bins of pitch of a bank.

    Attributes:
        rows: rows of the bank along time.
        steps: number of steps; no more than rows.
        seconds: duration of the sound.
        low: first of a row's values, from the lowest on, that has a key.
        row_pitches: pitches of the values from `low` on, in semitones as MIDI counts them, ascending,
            float64 `[value]`.
        starts: where the bins begin among these values, int64 `[bin]`.
        pitches: pitches of the bins, the mean over their values, float64 `[bin]`.
    """

    rows: int
    steps: int
    seconds: float
    low: int
    row_pitches: Floats
    starts: NDArray[np.int64]
    pitches: Floats

    @property
    def step_s(self) -> float:
        """Duration of a step in seconds."""
        return self.seconds / self.steps

    def step_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of the steps that rows belong to."""
        return rows * self.steps // self.rows


def grid_of(rows: int, frequencies: int, seconds: float, sound: SoundOptions) -> Grid:
    """Plan the steps and bins of a bank.

    Args:
        rows: rows of the bank along time.
        frequencies: number of a row's values.
        seconds: duration of the sound.
        sound: options of the sound, the scale of frequencies among them.

    Returns:
        At most `MOST_STEPS` steps, and `BINS` bins for each of MIDI's keys; no bin where all values lie
        beyond the keys.
    """
    scale = FrequencyScale(sound.frequency, *sound.frequencies_hz)
    hz = scale.at((np.arange(frequencies) + 0.5) / frequencies)
    pitches = np.array([midi_number(each) for each in hz])
    keyed = np.flatnonzero((pitches >= -0.5) & (pitches < _KEYS - 0.5))
    low = int(keyed[0]) if keyed.size else 0
    pitches = pitches[keyed]
    starts = np.flatnonzero(np.diff(np.floor(pitches * BINS), prepend=-np.inf))
    counts = np.diff(starts, append=len(pitches))
    means = np.add.reduceat(pitches, starts) / counts if starts.size else pitches
    wanted = int(np.ceil(seconds / STEP_S))
    return Grid(
        rows=rows,
        steps=min(rows, max(1, wanted), MOST_STEPS),
        seconds=seconds,
        low=low,
        row_pitches=pitches,
        starts=starts,
        pitches=means,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class BankEnergies:
    """A bank's energies.

    Attributes:
        grid: steps and bins.
        both: energy of both sides, float32 `[step, bin]`.
        right: energy of the right side, likewise.
        moments: energy times how far it lies above the bin's pitch, in semitones, likewise.
        presence: share of content in the loudest step; see `Background.presence`.
    """

    grid: Grid
    both: Energies
    right: Energies
    moments: Energies
    presence: float


def energies_of(
    source: BankMap, scan: Scan, grid: Grid, sound: SoundOptions, advance: Callable[[int], None]
) -> BankEnergies:
    """Read a bank's energies.

    Args:
        source: the bank's map.
        scan: its values in the order of time.
        grid: steps and bins.
        sound: options of the sound.
        advance: called with the number of values of each piece.
    """
    shape = (grid.steps, len(grid.pitches))
    both, right, moments = (np.zeros(shape, np.float32) for _ in range(3))
    apart = grid.row_pitches - np.repeat(grid.pitches, np.diff(grid.starts, append=len(grid.row_pitches)))
    weights = np.ones(len(grid.row_pitches))
    if sound.equal_loudness:
        hz = 440 * 2 ** ((grid.row_pitches - 69) / 12)
        weights = gains(hz, LISTENING_PHON) ** 2
    flipped = scan.top_first != sound.flip_frequency
    values = slice(grid.low, grid.low + len(grid.row_pitches))
    loudest = 0.0
    first = 0
    for rows in rows_of(scan):
        content = raised(content_of(rows, source.background), sound.contrast)
        squares = content.double().square_().numpy()
        loudest = max(loudest, float(squares.sum(axis=(1, 2)).max()))
        if flipped:
            squares = squares[:, :, ::-1]
        squares = squares[:, :, values] * weights
        steps = grid.step_of(np.arange(first, first + len(rows)))
        first += len(rows)
        total = squares.sum(axis=1)
        for into, part in ((both, total), (right, squares[:, 1]), (moments, total * apart)):
            _add(into, part, steps, grid)
        advance(rows.shape[0] * rows.shape[2])
    counts = np.bincount(grid.step_of(np.arange(grid.rows)), minlength=grid.steps)[:, None]
    for each in (both, right, moments):
        each /= counts
    presence = source.background.presence(loudest, scan.frequencies, sound.contrast)
    return BankEnergies(grid=grid, both=both, right=right, moments=moments, presence=presence)


def content_of(rows: Tensor, background: Background) -> Tensor:
    """Return how far rows differ from the background, by more than its margin; else 0.

    Args:
        rows: float32 `[row, side, value]`.
        background: the background.
    """
    apart = (rows - background.even[:, None]).abs_()
    return torch.clamp_min(apart.sub_(background.margin[:, None]), 0)


def _add(into: Energies, part: Floats, steps: NDArray[np.int64], grid: Grid) -> None:
    """Add values `[row, value]` to steps and bins."""
    if grid.starts.size:
        np.add.at(into, steps, np.add.reduceat(part, grid.starts, axis=1))
