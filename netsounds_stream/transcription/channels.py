"""Which of MIDI's channels plays a note: bend and pan belong to a channel, and so to all that sounds in it.

So each bank has a channel of its own, for notes on the keys, and what channels are left over are shared out
among the banks as lanes. A note that glides has a lane for itself while it sounds, and is one note, bent; one
for which no lane is free becomes steps on the keys. Channel 10, drums in General MIDI, stays empty.

With MPE (MIDI Polyphonic Expression 1.1, 2022) every note has a channel for itself, at its exact pitch. A
bank has fifteen of them, on a port of its own, and the first channel is the zone's master.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import OptionError
from .notes import Note, stepped

#: Semitones that a channel is bent by at most, up and down: what MPE has unless another is agreed on.
BEND = 48
#: Banks that there is a channel for.
MOST_BANKS = 15
#: Notes of a bank that MPE has channels for.
MOST_LANES = 15
_DRUMS = 9
_KEYS = np.arange(128, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Channels:
    """The channels of a bank, counted from 0.

    Attributes:
        main: channel of the notes on the keys; None: each note has a lane.
        lanes: channels that one note has for itself while it sounds.
    """

    main: int | None
    lanes: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Placed:
    """A note with its channel.

    Attributes:
        note: the note, as it is played.
        channel: its channel, counted from 0.
        key: MIDI's number of its key.
        alone: nothing else sounds in the channel meanwhile, which is bent and panned for this note.
    """

    note: Note
    channel: int
    key: int
    alone: bool


def channels_of(banks: int, *, mpe: bool) -> list[Channels]:
    """Share MIDI's channels out among banks.

    Args:
        banks: number of the banks.
        mpe: each bank has a port with all channels, and each note a lane.

    Raises:
        OptionError: there are more banks than channels.
    """
    if mpe:
        return [Channels(main=None, lanes=tuple(range(1, 16)))] * banks
    if banks > MOST_BANKS:
        raise OptionError(
            f"the run has {banks} banks, and MIDI {MOST_BANKS} channels for them; choose some with --banks, "
            f"or use --mpe"
        )
    free = [channel for channel in range(16) if channel != _DRUMS]
    lanes = free[banks:]
    each = len(lanes) // banks
    return [
        Channels(main=free[bank], lanes=tuple(lanes[bank * each : (bank + 1) * each]))
        for bank in range(banks)
    ]


def placed(notes: Sequence[Note], channels: Channels, least_s: float) -> list[Placed]:
    """Give each note of a bank its channel.

    Args:
        notes: the bank's notes.
        channels: the bank's channels.
        least_s: least duration of the steps that a glide becomes.

    Returns:
        The notes by their beginnings. Left out are notes whose key sounds already, with more energy.
    """
    notes = [part for note in notes for part in _within_bend(note)]
    if channels.main is None:
        return _each_alone(sorted(notes, key=lambda note: note.start_s), channels.lanes)[0]
    gliding = sorted((note for note in notes if note.glides), key=lambda note: -note.energy)
    bent, others = _each_alone(gliding, channels.lanes)
    keyed = [note.steady() for note in notes if not note.glides]
    for note in others:
        keyed += stepped(note, _KEYS, max(1, round(least_s / note.step_s)))
    return _in_order(bent + _on_keys(keyed, channels.main))


def _within_bend(note: Note) -> list[Note]:
    """Cut a note where it glides further than a channel can be bent."""
    low, high = np.minimum.accumulate(note.pitches), np.maximum.accumulate(note.pitches)
    beyond = np.flatnonzero(high - low > 2 * BEND - 1)  # its key is rounded
    if not beyond.size:
        return [note]
    return [note.part(0, int(beyond[0])), *_within_bend(note.part(int(beyond[0]), len(note.pitches)))]


def _key(note: Note) -> int:
    """Return the key of a note: the nearest to its beginning, or to its middle where it goes too far."""
    low, high = float(note.pitches.min()), float(note.pitches.max())
    key = round(float(note.pitches[0]))
    if high - key > BEND or key - low > BEND:
        key = round((low + high) / 2)
    return min(max(key, 0), 127)


def _each_alone(notes: Sequence[Note], lanes: Sequence[int]) -> tuple[list[Placed], list[Note]]:
    """Give each note a lane in which nothing else sounds meanwhile, in their order.

    Returns:
        The notes that got one, by their beginnings, and the others.
    """
    taken: dict[int, list[tuple[float, float]]] = {lane: [] for lane in lanes}
    got, others = [], []
    for note in notes:
        free = [
            lane
            for lane, spans in taken.items()
            if all(note.end_s <= start or end <= note.start_s for start, end in spans)
        ]
        if not free:
            others.append(note)
            continue
        # the one that has been silent for longest, so that the end of a note before is not bent, too
        lane = min(free, key=lambda each: max((e for _, e in taken[each] if e <= note.start_s), default=-1.0))
        taken[lane].append((note.start_s, note.end_s))
        got.append(Placed(note=note, channel=lane, key=_key(note), alone=True))
    return _in_order(got), others


def _on_keys(notes: Sequence[Note], channel: int) -> list[Placed]:
    """Place notes in one channel; of two that have one key at a time, that with more energy stays."""
    taken: dict[int, list[tuple[float, float]]] = {}
    got = []
    for note in sorted(notes, key=lambda each: -each.energy):
        key = _key(note)
        spans = taken.setdefault(key, [])
        if all(note.end_s <= start or end <= note.start_s for start, end in spans):
            spans.append((note.start_s, note.end_s))
            got.append(Placed(note=note, channel=channel, key=key, alone=False))
    return got


def _in_order(notes: Sequence[Placed]) -> list[Placed]:
    return sorted(notes, key=lambda each: (each.note.start_s, each.key, each.channel))
