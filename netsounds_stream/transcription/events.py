"""`events.csv`: a MIDI file's notes as a table, each with the place in the picture that it came from."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Event:
    """A line of the table; its fields are the columns.

    Attributes:
        start_seconds: where the note begins in the sound.
        end_seconds: where it ends.
        note: its name, and how far off it is, as 'C#4 +14 cents'.
        midi: its pitch where it begins, as MIDI counts keys: 69 is 440 Hz, and a fraction is what lies
            between two keys.
        hz: the same in Hz.
        end_hz: its pitch where it ends.
        key: number of the key that the file plays, from which it is bent.
        channel: channel in the file, counted from 1.
        velocity: velocity in the file.
        level_db: level of its mean energy, relative to a loud peak of its bank.
        pan: where it sounds from: -1 left, 0 middle, 1 right.
        bank: number of the bank.
        layer: the bank's layer.
        filter: number of the filter that is loudest at the place, counted from 0; None: not known.
        x_px: the place where it is loudest, in pixels of the picture as the network saw it.
        y_px: likewise.
    """

    start_seconds: float
    end_seconds: float
    note: str
    midi: float
    hz: float
    end_hz: float
    key: int
    channel: int
    velocity: int
    level_db: float
    pan: float
    bank: int
    layer: str
    filter: int | None
    x_px: float
    y_px: float


def events_text(events: Iterable[Event]) -> str:
    """Return the table as CSV: a line of names, then the events; an unknown filter is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Event))
    writer.writerows(astuple(event) for event in events)
    return text.getvalue()
