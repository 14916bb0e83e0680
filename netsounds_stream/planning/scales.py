"""Musical scales and pitches: their names, and the notes of a scale between two frequencies.

A scale is written as its degrees in cents above the root; the last one is the period, after which it repeats.
Named scales are tempered equally: a semitone is 100 cents, a twelfth of an octave. Files of scales are read
in `scala`; here is arithmetic alone, for whatever sounds or writes down notes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..base.units import SHOWN_CHARACTERS
from ..errors import OptionError

#: Semitones above the root, of the scales that have a name.
_SEMITONES = {
    "chromatic": (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic-minor": (0, 2, 3, 5, 7, 8, 11),
    "melodic-minor": (0, 2, 3, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
    "pentatonic": (0, 2, 4, 7, 9),
    "minor-pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "whole-tone": (0, 2, 4, 6, 8, 10),
    "diminished": (0, 2, 3, 5, 6, 8, 9, 11),
    "hirajoshi": (0, 2, 3, 7, 8),
}
_OCTAVE = 1200.0
#: Scales by name: degrees in cents, from 0 to below the period, and the period.
SCALES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {name: (*(100.0 * step for step in steps), _OCTAVE) for name, steps in _SEMITONES.items()}
)
#: Before the degrees of a scale that has no name, as in 'cents:386.31,701.96,1200'.
IN_CENTS = "cents:"
#: Most notes that a picture's rows fall on, to within one octave's.
MOST_NOTES = 1024
#: Root where none is given: A2.
ROOT_HZ = 110.0
_ROOTS_HZ = (1.0, 20_000.0)
_MOST_CENTS = 100_000.0
# Degrees nearer to each other than this are one; so are a note and the end of a range.
_SAME_CENTS = 1e-3
_CONCERT_PITCH_HZ = 440.0  # A4
_CONCERT_PITCH_NUMBER = 69
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


@dataclass(frozen=True, kw_only=True)
class Notes:
    """The notes of a scale within a range of frequencies.

    Attributes:
        scale: name of the scale, or its degrees as `IN_CENTS` has them.
        root_hz: frequency of its root, in some octave.
        hz: frequencies of the notes, ascending.
    """

    scale: str
    root_hz: float
    hz: tuple[float, ...]


def notes_of(scale: str, root_hz: float, low_hz: float, high_hz: float) -> Notes:
    """Return the notes of a scale between two frequencies, both included.

    Args:
        scale: name of a scale, or degrees in cents after `IN_CENTS`.
        root_hz: frequency of the root, in any octave: the scale goes on above and below it.
        low_hz: lowest frequency, above 0.
        high_hz: highest frequency.

    Returns:
        One note or more.

    Raises:
        OptionError: there is no such scale; the root is no frequency that is heard; no note lies there, or
            more than some `MOST_NOTES`.
    """
    checked_root(root_hz)
    *degrees, period = degrees_of(scale)
    low = cents(low_hz / root_hz) - _SAME_CENTS
    high = cents(high_hz / root_hz) + _SAME_CENTS
    if len(degrees) * (high - low) / period > MOST_NOTES:
        raise OptionError(
            f"{_shown(scale)} has more than {MOST_NOTES} notes from {low_hz:g} to {high_hz:g} Hz; use --fmin "
            f"and --fmax nearer to each other"
        )
    repeats = range(math.floor(low / period), math.floor(high / period) + 1)
    found = [period * repeat + degree for repeat in repeats for degree in degrees]
    hz = tuple(root_hz * 2 ** (each / _OCTAVE) for each in found if low <= each <= high)
    if not hz:
        raise OptionError(
            f"no note of {_shown(scale)} on {note_name(root_hz)} lies from {low_hz:g} to {high_hz:g} Hz; use "
            f"--fmin and --fmax further apart"
        )
    return Notes(scale=scale, root_hz=root_hz, hz=hz)


def degrees_of(scale: str) -> tuple[float, ...]:
    """Return the degrees of a scale in cents: 0, others below the period in their order, the period.

    Args:
        scale: name of a scale, or degrees in cents after `IN_CENTS`, of which the last is the period.

    Raises:
        OptionError: there is no such scale.
    """
    if scale in SCALES:
        return SCALES[scale]
    if not scale.startswith(IN_CENTS):
        raise OptionError(
            f"there is no scale {_shown(scale)}; use {', '.join(SCALES)}, or a Scala file, NAME.scl"
        )
    try:
        values = [float(word) for word in scale.removeprefix(IN_CENTS).split(",")]
    except ValueError as error:
        raise OptionError(
            f"scale notes cannot be {_shown(scale)}; write degrees as {IN_CENTS}386.31,701.96,1200"
        ) from error
    return ordered(values)


def ordered(degrees: Iterable[float]) -> tuple[float, ...]:
    """Bring degrees into one period, and into their order.

    Args:
        degrees: in cents, of any order and sign, without the root's 0 or with it; the last is the period.

    Returns:
        0, the others below the period, each once, and the period.

    Raises:
        OptionError: the period is not above 0, or a degree is no number or beyond all pitches.
    """
    *others, period = degrees
    for degree in (*others, period):
        if not abs(degree) <= _MOST_CENTS:
            raise OptionError(f"a degree of a scale cannot be {degree:g} cents; use at most {_MOST_CENTS:g}")
    if period < 1:
        raise OptionError(
            f"a scale repeats after its last degree, which cannot be {period:g} cents; end it with its "
            f"period, such as 1200 or 2/1"
        )
    kept = [0.0]
    for degree in sorted(degree % period for degree in others):
        if degree - kept[-1] > _SAME_CENTS and degree < period - _SAME_CENTS:
            kept.append(degree)
    return (*kept, period)


def canonical(scale: str) -> str:
    """Return the one way to write a scale: its name, or its degrees in order.

    Raises:
        OptionError: there is no such scale.
    """
    return scale if scale in SCALES else in_cents(degrees_of(scale))


def in_cents(degrees: Iterable[float]) -> str:
    """Write degrees in cents as a scale, from which the same numbers are read."""
    return IN_CENTS + ",".join(f"{degree!r}" for degree in degrees if degree)


def parse_root(text: str) -> float:
    """Parse a root: a note such as 'A2', 'F#3', 'Bb1', or hertz such as '110' or '110 Hz'.

    Returns:
        Its frequency in Hz; A4 has 440, and C4 is the middle C.

    Raises:
        OptionError: `text` is neither.
    """
    if named := re.fullmatch(r"\s*([A-Ga-g])([#♯b♭]?)(-?[0-9]{1,2})\s*", text):
        letter, accidental, octave = named.groups()
        number = 12 * (int(octave) + 1) + _LETTERS[letter.upper()] + _ACCIDENTALS[accidental]
        return checked_root(frequency_of(number))
    if hertz := re.fullmatch(r"\s*([0-9]{1,6}(?:\.[0-9]*)?)\s*(?:[Hh][Zz])?\s*", text):
        return checked_root(float(hertz[1]))
    raise OptionError(
        f"root cannot be {text[:SHOWN_CHARACTERS]!r}; write a note with its octave, such as A2, F#3 or Bb1, "
        f"or hertz"
    )


def checked_root(hz: float) -> float:
    """Require that a root is a frequency that is heard, or nearly.

    Raises:
        OptionError: it is not.
    """
    low, high = _ROOTS_HZ
    if not low <= hz <= high:
        raise OptionError(f"root cannot be {hz:g} Hz; use {low:g} to {high:g} Hz, or a note such as A2")
    return hz


def cents(ratio: float) -> float:
    """Return an interval in cents, a ratio of frequencies."""
    return _OCTAVE * math.log2(ratio)


def frequency_of(number: float) -> float:
    """Return the frequency in Hz of a MIDI note number: 69 is A4, 440 Hz."""
    return _CONCERT_PITCH_HZ * 2 ** ((number - _CONCERT_PITCH_NUMBER) / 12)


def midi_number(hz: float) -> float:
    """Return the MIDI note number of a frequency; its fraction is what pitch bend adds."""
    return _CONCERT_PITCH_NUMBER + cents(hz / _CONCERT_PITCH_HZ) / 100


def note_name(hz: float) -> str:
    """Return the name of the nearest note of equal temperament, and how far off it is: 'C#4 +14 cents'."""
    number = round(midi_number(hz))
    name = f"{_NAMES[number % 12]}{number // 12 - 1}"
    off = round(cents(hz / frequency_of(number)))
    return f"{name} {off:+d} cents" if off else name


def _shown(scale: str) -> str:
    return repr(scale[:SHOWN_CHARACTERS])
