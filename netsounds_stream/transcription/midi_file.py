"""Notes as a standard MIDI file of several tracks, by mido.

The first track has the title and the one tempo, each other one a bank. Ticks follow from seconds by the tempo
as the file has it, in whole microseconds a beat, so that a note lies where it does in the sound, to
half a tick.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import OptionError
from .channels import BEND, Channels, Placed

#: Ticks of a beat.
TICKS = 960
#: Beats a minute: the least and the most that MIDI files hold in three bytes, rounded, and the usual.
BPM = (4.0, 1000.0)
# Pitch is bent again once it is further than this from where it was bent to, in semitones: a fiftieth of one.
_FINE = 0.02
_CENTRE = 8192
_PAN = 10
_MISSING = "midi needs another package: pip install 'netsounds-stream[midi]'"


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a file is written from.

    Attributes:
        title: the first track's name.
        about: a text beside it.
        bpm: beats a minute.
        seconds: duration of the sound.
        tracks: names of the banks' tracks, with their channels and notes.
        mpe: each track is a zone of MPE, on a port of its own.
    """

    title: str
    about: str
    bpm: float
    seconds: float
    tracks: Mapping[str, tuple[Channels, Sequence[Placed]]]
    mpe: bool

    @property
    def beat_us(self) -> int:
        """Duration of a beat in microseconds, as the file has it."""
        return round(60e6 / self.bpm)

    def ticks(self, seconds: float) -> int:
        """Return the tick nearest to a time."""
        return round(seconds * 1e6 / self.beat_us * TICKS)


def mido_module() -> Any:
    """Import mido.

    Raises:
        OptionError: it is not installed.
    """
    try:
        import mido
    except ImportError as error:
        raise OptionError(_MISSING) from error
    return mido


def midi_bytes(score: Score) -> bytes:
    """Return a file's bytes.

    Args:
        score: what is in it.

    Raises:
        OptionError: mido is not installed.
    """
    mido = mido_module()
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS, charset="utf-8")
    meta = mido.MetaMessage
    end = score.ticks(score.seconds)
    heading = [
        meta("track_name", name=score.title),
        meta("text", text=score.about),
        meta("set_tempo", tempo=score.beat_us),
        meta("time_signature", numerator=4, denominator=4),
    ]
    file.tracks.append(mido.MidiTrack([*heading, meta("end_of_track", time=end)]))
    for number, (name, (channels, notes)) in enumerate(score.tracks.items()):
        track = mido.MidiTrack([meta("track_name", name=name)])
        if score.mpe:
            track.append(meta("midi_port", port=number))
        track += [mido.Message.from_bytes(data) for data in _set_up(channels, mpe=score.mpe)]
        now = 0
        for tick, data in _messages(score, channels, notes):
            track.append(mido.Message.from_bytes(data, time=tick - now))
            now = tick
        track.append(meta("end_of_track", time=max(0, end - now)))
        file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def _set_up(channels: Channels, *, mpe: bool) -> Iterator[list[int]]:
    """Yield the messages that say how far a channel's bend reaches, and that there is a zone of MPE."""
    if mpe:
        yield from _parameter(0, 6, len(channels.lanes))
    for channel in channels.lanes:
        yield from _parameter(channel, 0, BEND)


def _parameter(channel: int, number: int, value: int) -> Iterator[list[int]]:
    """Yield the messages that set a registered parameter of a channel, and then choose none."""
    for control, content in ((101, 0), (100, number), (6, value), (38, 0), (101, 127), (100, 127)):
        yield [0xB0 | channel, control, content]


def _messages(score: Score, channels: Channels, notes: Sequence[Placed]) -> list[tuple[int, list[int]]]:
    """Return a track's messages with their ticks, in order.

    At one tick notes end, then channels are bent and panned, then notes begin.
    """
    ordered: list[tuple[int, int, list[int]]] = []
    for placed in notes:
        note, channel = placed.note, placed.channel
        start, end = score.ticks(note.start_s), score.ticks(note.end_s)
        ordered.append((start, 2, [0x90 | channel, placed.key, note.velocity]))
        ordered.append((end, 0, [0x80 | channel, placed.key, 64]))
        if placed.alone:
            ordered.append((start, 1, [0xB0 | channel, _PAN, pan_of(note.side)]))
            ordered += [(tick, 1, _bent(channel, bend)) for tick, bend in _bends(score, placed)]
    ordered += _panned(score, [each for each in notes if not each.alone])
    ordered.sort(key=lambda each: each[:2])
    return [(tick, data) for tick, _, data in ordered]


def _bends(score: Score, placed: Placed) -> Iterator[tuple[int, float]]:
    """Yield the ticks at which a note is bent, the first where it begins, and by how many semitones."""
    note = placed.note
    last: float | None = None
    for step, pitch in enumerate(note.pitches):
        bend = float(pitch) - placed.key
        if last is None or abs(bend - last) > _FINE:
            # a step's pitch is that of its middle, but for the first, with which the note begins
            yield score.ticks(note.start_s + note.step_s * (step + 0.5 if step else 0)), bend
            last = bend


def _bent(channel: int, semitones: float) -> list[int]:
    value = min(max(_CENTRE + round(semitones / BEND * _CENTRE), 0), 2 * _CENTRE - 1)
    return [0xE0 | channel, value & 127, value >> 7]


def _panned(score: Score, notes: Sequence[Placed]) -> Iterator[tuple[int, int, list[int]]]:
    """Yield the pans of a channel that notes share: where one begins, the middle of those that sound."""
    last: int | None = None
    sounding: list[Placed] = []
    for placed in sorted(notes, key=lambda each: each.note.start_s):
        now = placed.note.start_s
        sounding = [*(each for each in sounding if each.note.end_s > now), placed]
        weights = [10 ** (each.note.level_db / 10) for each in sounding]
        sides = (each.note.side * weight for each, weight in zip(sounding, weights, strict=True))
        if (pan := pan_of(sum(sides) / sum(weights))) != last:
            yield score.ticks(now), 1, [0xB0 | placed.channel, _PAN, pan]
            last = pan


def pan_of(side: float) -> int:
    """Return MIDI's pan, 1 left, 64 middle, 127 right, of a side from 0 to 1, by General MIDI 2's law."""
    return 1 + round(126 * side)
