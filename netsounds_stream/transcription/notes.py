"""Notes: ridges that last, at most so many at a time, with level, side, and pitch in each step.

A ridge becomes a note if it is no shorter than a least duration, and if, at every step of it, fewer of those
with more energy sound than are allowed. Times are in seconds of the sound. Pitches are in semitones as MIDI
counts them: 69 is 440 Hz, and a fraction is what lies between two keys.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..planning.scales import midi_number
from .energies import BankEnergies, Energies
from .ridges import Ridge, RidgeRules, blurred, track

Floats = NDArray[np.float64]

#: Semitones over which a note moves from which on it is one that glides.
GLIDE = 1.0
# Levels in dB, relative to a loud peak of the bank (`usual_peak`) in a picture full of content: that
# of a peak with which a note begins, and how far below it a note ends.
_ONSET_DB = -18.0
_BELOW_DB = 6.0
# Seconds without a peak that a note outlasts.
_GAP_S = 0.06
# Peaks of a step that may continue ridges, for each note that may sound: one that is outdone briefly goes on.
_PEAKS = 2
# Steps whose mean a pitch is, so that what is seen as a line is heard as one.
_SMOOTH = 5
# Share of the distance between two notes of a scale by which a pitch must pass their middle to be the other.
_HOLD = 0.15


@dataclass(frozen=True, kw_only=True)
class NoteRules:
    """Which ridges become notes.

    Attributes:
        most: most notes of a bank that sound at a time.
        least_s: least duration of a note in seconds.
        scale_hz: frequencies of the notes that pitches are brought to, ascending; None: pitches stay.
    """

    most: int
    least_s: float
    scale_hz: tuple[float, ...] | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Note:
    """A note of a bank.

    Attributes:
        start_s: where it begins, in seconds.
        step_s: duration of a step.
        pitches: pitch in each step, float64 `[step]`.
        levels_db: level in each step, relative to a loud peak of the bank, float64 `[step]`.
        side: where it sounds from, 0 left to 1 right.
    """

    start_s: float
    step_s: float
    pitches: Floats
    levels_db: Floats
    side: float

    @property
    def end_s(self) -> float:
        """End in seconds."""
        return self.start_s + self.step_s * len(self.pitches)

    @property
    def loudest(self) -> int:
        """The step in which it is loudest."""
        return int(self.levels_db.argmax())

    @property
    def loudest_s(self) -> float:
        """The middle of the step in which it is loudest, in seconds."""
        return self.start_s + self.step_s * (self.loudest + 0.5)

    @property
    def level_db(self) -> float:
        """Level of its mean energy, in dB."""
        return 10 * math.log10(float((10 ** (self.levels_db / 10)).mean()))

    @property
    def energy(self) -> float:
        """Total energy, by which notes take precedence."""
        return float((10 ** (self.levels_db / 10)).sum() * self.step_s)

    @property
    def velocity(self) -> int:
        """Velocity as MIDI counts it, 1 to 127: of v, synthesisers make 40 log10(v / 127) dB.

        That is the curve of General MIDI 2 and of the DLS format.
        """
        return max(1, round(127 * 10 ** (min(self.level_db, 0.0) / 40)))

    @property
    def glides(self) -> bool:
        """True if its pitch moves over more than `GLIDE`."""
        return bool(np.ptp(self.pitches) > GLIDE)

    def part(self, start: int, stop: int) -> Note:
        """Return the part between two of its own steps."""
        return replace(
            self,
            start_s=self.start_s + start * self.step_s,
            pitches=self.pitches[start:stop],
            levels_db=self.levels_db[start:stop],
        )

    def steady(self) -> Note:
        """Return the note at one pitch, the middle one of its own."""
        return replace(self, pitches=np.full(len(self.pitches), np.median(self.pitches)))


def notes_of(bank: BankEnergies, places: Floats, rules: NoteRules) -> list[Note]:
    """Find the notes of a bank.

    Args:
        bank: its energies.
        places: gains of the bank in the mix, left and right, float `[side]`.
        rules: which notes.

    Returns:
        The notes, by their beginnings; none where the bank is silent.
    """
    grid = bank.grid
    loud = blurred(bank.both, grid.pitches)
    usual = usual_peak(loud)
    if usual == 0 or bank.presence == 0:
        return []
    scale = bank.presence**2 / usual  # from energies to levels
    onset = 10 ** (_ONSET_DB / 10) / scale
    tracking = RidgeRules(
        onset=onset,
        offset=onset * 10 ** (-_BELOW_DB / 10),
        gap_steps=max(1, round(_GAP_S / grid.step_s)),
        peaks=_PEAKS * rules.most,
    )
    ridges = track(bank.both, loud, bank.moments, grid.pitches, tracking)
    least = max(1, math.ceil(rules.least_s / grid.step_s - 1e-9))
    chosen = _chosen([each for each in ridges if each.steps >= least], grid.steps, rules.most)
    notes = [
        Note(
            start_s=ridge.start * grid.step_s,
            step_s=grid.step_s,
            pitches=_smooth(ridge.pitches),
            levels_db=10 * np.log10(ridge.energies * scale),
            side=_side(bank, ridge, places),
        )
        for ridge in chosen
    ]
    if rules.scale_hz is not None:
        scale_pitches = np.array([midi_number(hz) for hz in rules.scale_hz])
        notes = [part for note in notes for part in stepped(note, scale_pitches, least)]
    return sorted(notes, key=lambda note: (note.start_s, note.pitches[0]))


def usual_peak(loud: Energies) -> float:
    """Return the energy of a loud peak: the 90th percentile of the steps' loudest bins.

    The loudest of all is often a single spark of the picture, 15 dB above all else.

    Args:
        loud: energies `[step, bin]`. Steps without any do not count.

    Returns:
        0 if there are no others.
    """
    loudest = loud.max(axis=1, initial=0)
    loudest = loudest[loudest > 0]
    return float(np.percentile(loudest, 90)) if loudest.size else 0.0


def stepped(note: Note, scale: Floats, least: int) -> list[Note]:
    """Bring a note to the pitches of a scale: what glides becomes some notes after one another.

    Args:
        note: the note.
        scale: pitches, ascending.
        least: least number of a note's steps; what is shorter belongs to the note before it, or else behind.

    Returns:
        Notes at pitches of the scale, which follow one another without a gap.
    """
    at = _held(note.pitches, scale)
    starts = np.flatnonzero(np.diff(at, prepend=-1))
    lengths = np.diff(starts, append=len(at))
    kept: list[int] = []  # starts of the notes
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        if length >= least and not (kept and at[kept[-1]] == at[start]):
            kept.append(start)
    if not kept:
        kept = [int(starts[lengths.argmax()])]
    stops = [*kept[1:], len(at)]
    parts = []
    for number, (start, stop) in enumerate(zip(kept, stops, strict=True)):
        part = note.part(start if number else 0, stop)
        parts.append(replace(part, pitches=np.full(len(part.pitches), scale[at[start]])))
    return parts


def _held(pitches: Floats, scale: Floats) -> NDArray[np.int64]:
    """Return the number of the scale's note in each step; one is left once the pitch is clearly another's."""
    middles = (scale[:-1] + scale[1:]) / 2
    hold = _HOLD * np.diff(scale)
    numbers = np.empty(len(pitches), dtype=np.int64)
    now = int(np.searchsorted(middles, pitches[0]))
    for step, pitch in enumerate(pitches):
        while now < len(middles) and pitch > middles[now] + hold[now]:
            now += 1
        while now > 0 and pitch < middles[now - 1] - hold[now - 1]:
            now -= 1
        numbers[step] = now
    return numbers


def _chosen(ridges: Sequence[Ridge], steps: int, most: int) -> list[Ridge]:
    """Choose ridges, those with the most energy first, so that no step has more than `most`."""
    sounding = np.zeros(steps, dtype=np.int64)
    chosen = []
    for ridge in sorted(ridges, key=lambda each: (-each.energy, each.start)):
        span = slice(ridge.start, ridge.stop)
        if sounding[span].max() < most:
            sounding[span] += 1
            chosen.append(ridge)
    return chosen


def _smooth(pitches: Floats) -> Floats:
    """Return running means of pitches, over fewer of them towards the ends, so that a line stays a line."""
    reach = np.minimum(np.arange(len(pitches)), np.arange(len(pitches))[::-1]).clip(max=_SMOOTH // 2)
    total = np.concatenate(([0.0], np.cumsum(pitches)))
    at = np.arange(len(pitches))
    return np.asarray((total[at + reach + 1] - total[at - reach]) / (2 * reach + 1))


def _side(bank: BankEnergies, ridge: Ridge, places: Floats) -> float:
    """Return where a ridge sounds from, 0 left to 1 right, by constant power."""
    steps = np.arange(ridge.start, ridge.stop)
    right = float(bank.right[steps, ridge.bins].sum(dtype=np.float64))
    left = float(bank.both[steps, ridge.bins].sum(dtype=np.float64)) - right
    amplitudes = np.sqrt(np.maximum((left, right), 0)) * places
    return float(np.arctan2(amplitudes[1], amplitudes[0]) * 2 / np.pi)
