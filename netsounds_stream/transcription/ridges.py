r"""Ridges: what stays near one pitch, or glides, as time passes, found in a bank's energies `[step, bin]`.

First, energies are blurred along pitch: a line of a picture has two edges, which are one voice, and pitches
that are nearer than some two semitones would be heard as a roughness. In each step of time the peaks along
pitch are found. A peak counts if it stands out: on the way from it to
any higher one, energy falls to a quarter of its own at least (6 dB). A flat stretch has one peak, in its
middle. Peaks are then joined from step to step, the nearest first, each to where its ridge was heading, as
R. McAulay and T. Quatieri join the partials of speech ("Speech analysis/synthesis based on a sinusoidal
representation", 1986).

    level ^        ____                a ridge begins where a peak reaches the onset, and goes on
    onset |-------/----\-----------    while its peaks reach the offset, which is lower: so it does
   offset |------/------\--/\------    not flicker. A short gap is bridged.
          +----------------------> time

Nothing here knows of seconds, pixels or MIDI.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Energies = NDArray[np.float32]

# A peak's energy over that of the valley between it and a higher one, at least.
_STANDS_OUT = 4.0
# Semitones on either side over which energies are blurred, and whose energies tell where a peak lies.
_BESIDE = 2.0
# Semitones that a ridge may move from one step to the next, beside what it was moving already.
_REACH = _BESIDE
# The same in bins, where they lie far apart: a bit more than the diagonal of the picture.
_REACH_BINS = 1.5
# Energies that differ by less than this share of a step's largest are alike: flat stretches are to be flat.
_ALIKE = 1e-6
# Share of the newest difference in the speed that a ridge is expected to have.
_NEW_SPEED = 0.5


@dataclass(frozen=True, kw_only=True)
class RidgeRules:
    """When a ridge begins and ends.

    Attributes:
        onset: energy of a peak with which a ridge begins.
        offset: energy of a peak below which it ends; no more than `onset`.
        gap_steps: steps without a peak that a ridge outlasts.
        peaks: most peaks that count in one step, the strongest.
    """

    onset: float
    offset: float
    gap_steps: int
    peaks: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Ridge:
    """What stays near one pitch, or glides, over some steps of time.

    Attributes:
        start: its first step.
        pitches: its pitch in each step, in semitones as MIDI counts them, float64 `[step]`.
        energies: energy of its peak in each step, float64 `[step]`.
        bins: bin of its peak in each step, int64 `[step]`.
    """

    start: int
    pitches: Floats
    energies: Floats
    bins: NDArray[np.int64]

    @property
    def steps(self) -> int:
        """Number of its steps."""
        return len(self.pitches)

    @property
    def stop(self) -> int:
        """The step behind its last one."""
        return self.start + self.steps

    @property
    def energy(self) -> float:
        """Energy over all steps."""
        return float(self.energies.sum())

    def part(self, start: int, stop: int) -> Ridge:
        """Return the part between two of its own steps, counted from its first."""
        steps = slice(start, stop)
        return Ridge(
            start=self.start + start,
            pitches=self.pitches[steps],
            energies=self.energies[steps],
            bins=self.bins[steps],
        )


@dataclass(eq=False, kw_only=True)
class _Open:
    """A ridge that has not ended: steps, bins, pitches and energies of its peaks, and its speed."""

    steps: list[int] = field(default_factory=list)
    bins: list[int] = field(default_factory=list)
    pitches: list[float] = field(default_factory=list)
    energies: list[float] = field(default_factory=list)
    speed: float = 0.0

    def add(self, step: int, bin_: int, pitch: float, energy: float) -> None:
        if self.steps:
            new = (pitch - self.pitches[-1]) / (step - self.steps[-1])
            self.speed += _NEW_SPEED * (new - self.speed)
        self.steps.append(step)
        self.bins.append(bin_)
        self.pitches.append(pitch)
        self.energies.append(energy)

    def expected(self, step: int) -> float:
        return self.pitches[-1] + self.speed * (step - self.steps[-1])

    def closed(self) -> Ridge:
        """Return the ridge, with its gaps bridged."""
        steps = np.arange(self.steps[0], self.steps[-1] + 1)
        nearest = np.searchsorted(self.steps, steps, side="right") - 1
        return Ridge(
            start=self.steps[0],
            pitches=np.interp(steps, self.steps, self.pitches),
            energies=np.interp(steps, self.steps, self.energies),
            bins=np.asarray(self.bins, dtype=np.int64)[nearest],
        )


def peaks_of(energies: Floats, least: float, most: int) -> NDArray[np.int64]:
    """Find the peaks of one step that stand out.

    Args:
        energies: float64 `[bin]`, 0 or more; beyond both ends there is none.
        least: smallest energy of a peak, above 0.
        most: most peaks; the strongest are kept.

    Returns:
        Their bins, ascending. A flat peak is one, in its middle.
    """
    padded = np.concatenate(([0.0], energies, [0.0]))
    turns = np.flatnonzero(np.diff(padded))  # where energy changes, from each place to the next
    rises = padded[turns + 1] > padded[turns]
    tops = np.flatnonzero(rises[:-1] & ~rises[1:])
    bins = (turns[tops] + turns[tops + 1] - 1) // 2
    if len(bins) > 1:
        valleys = np.minimum.reduceat(energies, bins)[:-1]
        bins = bins[_standing_out(energies[bins].tolist(), valleys.tolist())]
    bins = bins[energies[bins] >= least]
    if len(bins) > most:
        bins = np.sort(bins[np.argsort(-energies[bins], kind="stable")[:most]])
    return bins


def _standing_out(peaks: Sequence[float], valleys: Sequence[float]) -> list[int]:
    """Return the peaks that no higher one hides.

    Args:
        peaks: energies of all peaks in their order.
        valleys: the smallest energy between each peak and the next.

    Returns:
        Numbers of the peaks from which the way to any higher one falls by `_STANDS_OUT`. Of equal ones the
        first counts as higher.
    """
    saddles = [0.0] * len(peaks)  # the highest valley that a way to a higher peak passes
    for order in (range(len(peaks)), range(len(peaks) - 1, -1, -1)):
        forward = order.step == 1
        passed: list[tuple[float, float]] = []  # peaks, falling, each with the lowest valley before it
        for at in order:
            lowest = valleys[at - 1 if forward else at] if passed else 0.0
            while passed and (passed[-1][0] < peaks[at] or (passed[-1][0] == peaks[at] and not forward)):
                lowest = min(lowest, passed.pop()[1])
            if passed:
                saddles[at] = max(saddles[at], lowest)
            passed.append((peaks[at], lowest))
    return [at for at, peak in enumerate(peaks) if saddles[at] * _STANDS_OUT <= peak]


def blurred(energies: Energies, pitches: Floats) -> Energies:
    """Blur energies along pitch.

    Args:
        energies: float32 `[step, bin]`.
        pitches: pitches of the bins in semitones, float64 `[bin]`.

    Returns:
        float32 `[step, bin]`: what lies up to `_BESIDE` from a bin, added up with weights that fall evenly.
    """
    weights = np.maximum(0, 1 - np.abs(pitches[:, None] - pitches) / _BESIDE).astype(np.float32)
    return np.asarray(energies @ weights)


def track(
    energies: Energies, loud: Energies, moments: Energies, pitches: Floats, rules: RidgeRules
) -> list[Ridge]:
    """Find the ridges of a bank.

    Args:
        energies: float32 `[step, bin]`.
        loud: the same, `blurred`, among which peaks are sought.
        moments: each bin's energy times the pitch at which it lies, above that of the bin, in semitones;
            float32 `[step, bin]`.
        pitches: pitches of the bins in semitones, ascending, float64 `[bin]`.
        rules: when ridges begin and end.

    Returns:
        The ridges, in the order in which they end.
    """
    ended: list[Ridge] = []
    ridges: list[_Open] = []
    spacing = np.gradient(pitches) if len(pitches) > 1 else np.ones(1)
    reach = np.maximum(_REACH, _REACH_BINS * spacing)
    for step in range(len(energies)):
        row = loud[step].astype(np.float64)
        alike = _ALIKE * float(row.max(initial=0))
        level = np.round(row / alike) * alike if alike else row
        bins = peaks_of(level, rules.offset, rules.peaks)
        found = _between(energies[step].astype(np.float64), moments[step].astype(np.float64), pitches, bins)
        joined = _joined([each.expected(step) for each in ridges], found, reach[bins])
        for peak, bin_ in enumerate(bins):
            number = joined.get(peak)
            if number is None and row[bin_] < rules.onset:
                continue
            if number is None:
                ridges.append(_Open())
                number = len(ridges) - 1
            ridges[number].add(step, int(bin_), float(found[peak]), float(row[bin_]))
        ended += [each.closed() for each in ridges if step - each.steps[-1] > rules.gap_steps]
        ridges = [each for each in ridges if step - each.steps[-1] <= rules.gap_steps]
    return ended + [each.closed() for each in ridges]


def _between(row: Floats, moment: Floats, pitches: Floats, bins: NDArray[np.int64]) -> Floats:
    """Return the pitches of peaks: the mean over the bins beside each, weighted by their energies."""
    low = np.minimum(np.searchsorted(pitches, pitches[bins] - _BESIDE), bins)
    high = np.maximum(np.searchsorted(pitches, pitches[bins] + _BESIDE, side="right"), bins + 1)
    energy = np.concatenate(([0.0], np.cumsum(row)))
    weighted = np.concatenate(([0.0], np.cumsum(row * pitches + moment)))
    return np.asarray((weighted[high] - weighted[low]) / (energy[high] - energy[low]))


def _joined(expected: Sequence[float], found: Floats, reach: Floats) -> dict[int, int]:
    """Join peaks to ridges, the nearest first.

    Args:
        expected: pitch at which each ridge is expected.
        found: pitches of the peaks.
        reach: how far each may lie from where it is expected.

    Returns:
        The number of the ridge for each peak that has one.
    """
    if not expected or not len(found):
        return {}
    apart = np.abs(np.asarray(expected)[:, None] - found)
    pairs = np.argwhere(apart <= reach)
    pairs = pairs[np.argsort(apart[pairs[:, 0], pairs[:, 1]], kind="stable")]
    joined: dict[int, int] = {}
    used: set[int] = set()
    for ridge, peak in pairs.tolist():
        if ridge not in used and peak not in joined:
            used.add(ridge)
            joined[peak] = ridge
    return joined
