"""Scales, notes and their names, against lists that are written out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsounds_stream.errors import OptionError
from netsounds_stream.planning import scales
from netsounds_stream.planning.options import sound_from_words
from netsounds_stream.planning.scales import Notes, canonical, degrees_of, midi_number, note_name, notes_of
from netsounds_stream.planning.sound_plan import default_duration_s

#: MIDI note numbers of scales on A2 (45), from A2 to A3, as musicians write them.
WRITTEN = {
    "chromatic": "A2 A#2 B2 C3 C#3 D3 D#3 E3 F3 F#3 G3 G#3 A3",
    "major": "A2 B2 C#3 D3 E3 F#3 G#3 A3",
    "minor": "A2 B2 C3 D3 E3 F3 G3 A3",
    "harmonic-minor": "A2 B2 C3 D3 E3 F3 G#3 A3",
    "melodic-minor": "A2 B2 C3 D3 E3 F#3 G#3 A3",
    "dorian": "A2 B2 C3 D3 E3 F#3 G3 A3",
    "phrygian": "A2 A#2 C3 D3 E3 F3 G3 A3",
    "lydian": "A2 B2 C#3 D#3 E3 F#3 G#3 A3",
    "mixolydian": "A2 B2 C#3 D3 E3 F#3 G3 A3",
    "locrian": "A2 A#2 C3 D3 D#3 F3 G3 A3",
    "pentatonic": "A2 B2 C#3 E3 F#3 A3",
    "minor-pentatonic": "A2 C3 D3 E3 G3 A3",
    "blues": "A2 C3 D3 D#3 E3 G3 A3",
    "whole-tone": "A2 B2 C#3 D#3 F3 G3 A3",
    "diminished": "A2 B2 C3 D3 D#3 F3 F#3 G#3 A3",
    "hirajoshi": "A2 B2 C3 E3 F3 A3",
}


def test_scales_are_those_that_musicians_write() -> None:
    assert set(WRITTEN) == set(scales.SCALES)
    for scale, written in WRITTEN.items():
        notes = notes_of(scale, 110.0, 110.0, 220.0)
        assert " ".join(map(note_name, notes.hz)) == written, scale


def test_the_octave_of_the_root_does_not_matter() -> None:
    for scale in scales.SCALES:
        expected = notes_of(scale, 110.0, 50.0, 5000.0).hz
        for root in (27.5, 440.0, 14080.0):
            assert notes_of(scale, root, 50.0, 5000.0).hz == pytest.approx(expected, rel=1e-12)


@given(
    st.lists(st.floats(0.5, 1900), min_size=1, max_size=9),
    st.floats(500, 2000),
    st.floats(20, 2000),
    st.floats(20, 500),
    st.floats(0, 5),
)
def test_notes_are_all_that_lie_between(
    degrees: list[float], period: float, root: float, low: float, octaves: float
) -> None:
    """Found one by one from far below to far above, in whatever order the degrees come."""
    high = low * 2**octaves
    every = sorted({0.0, *(degree % period for degree in degrees)})
    found: list[float] = []
    for repeat in range(-40, 41):
        for degree in every:
            hz = root * 2 ** ((repeat * period + degree) / 1200)
            if low <= hz <= high and (not found or 1200 * math.log2(hz / found[-1]) > 2e-3):
                found.append(hz)
    scale = scales.in_cents([*degrees, period])
    ends = [abs(1200 * math.log2(hz / end)) for hz in found for end in (low, high)]
    gaps = [b - a for a, b in zip(every, [*every[1:], period], strict=True)]
    if min(ends, default=1) < 3e-3 or min(gaps) < 3e-3:
        return  # within what counts as the same
    if not found:
        with pytest.raises(OptionError, match="no note of"):
            notes_of(scale, root, low, high)
        return
    assert notes_of(scale, root, low, high).hz == pytest.approx(found, rel=1e-9)


def test_ends_of_the_range_are_in_it() -> None:
    """As a user writes them: C8 is 4186.01 Hz, and a root by its name."""
    root = scales.parse_root("Bb1")
    assert notes_of("major", root, root, 2 * root).hz == pytest.approx(
        [root * 2 ** (step / 12) for step in (0, 2, 4, 5, 7, 9, 11, 12)]
    )


def test_one_way_to_write_a_scale() -> None:
    assert canonical("blues") == "blues"
    assert canonical("cents:1100, 300,-200,1500,1200") == "cents:300.0,1000.0,1100.0,1200.0"
    assert canonical(canonical("cents:386.3137138648348,1200")) == canonical("cents:386.3137138648348,1200")
    assert degrees_of("cents:200,200.0004,1200") == (0.0, 200.0, 1200.0)  # told apart by nobody


@pytest.mark.parametrize(
    ("text", "hz"),
    [
        ("A4", 440.0), ("a2", 110.0), ("C4", 261.6255653), ("Bb1", 58.27047019), ("B♭1", 58.27047019),
        ("A#1", 58.27047019), ("F#3", 184.9972114), ("Cb4", 246.9416506), ("B#3", 261.6255653),
        ("C-1", 8.175798916), ("110", 110.0), ("2", 2.0), ("432.5 Hz", 432.5),
        ("55hz", 55.0), (" E2 ", 82.40688923),
    ],
)  # fmt: skip
def test_roots(text: str, hz: float) -> None:
    assert scales.parse_root(text) == pytest.approx(hz, rel=1e-9)


@pytest.mark.parametrize(
    "text", ["H2", "A", "2", "C99", "-5", "0.5", "30000", "A2x", "nan", "", "A##2", "1e3"]
)
def test_what_is_no_root(text: str) -> None:
    if text == "2":  # two hertz: low, but a number
        assert scales.parse_root(text) == 2.0
        return
    with pytest.raises(OptionError, match="root"):
        scales.parse_root(text)


def test_names_and_numbers_of_notes() -> None:
    assert [note_name(scales.frequency_of(number)) for number in (0, 21, 60, 69, 108, 127)] == [
        "C-1", "A0", "C4", "A4", "C8", "G9",
    ]  # fmt: skip
    assert note_name(450.0) == "A4 +39 cents"
    assert note_name(430.0) == "A4 -40 cents"
    assert midi_number(440.0 * 2 ** (0.5 / 12)) == pytest.approx(69.5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"scale_notes": "bagpipe"}, "there is no scale 'bagpipe'.*minor-pentatonic"),
        ({"scale_notes": "cents:a,b"}, "write degrees"),
        ({"scale_notes": "cents:100,0"}, "repeats after its last degree"),
        ({"scale_notes": "cents:nan,1200"}, "nan cents"),
        ({"scale_notes": "cents:1e9,1200"}, "1e.09 cents"),
        ({"scale_notes": "major", "root": "H1"}, "root cannot be 'H1'"),
        ({"scale_notes": "major", "root": 1e5}, "root cannot be 100000 Hz"),
        ({"scale_notes": "major", "root": float("nan")}, "root cannot be nan"),
        ({"scale_notes": "major", "fmin": 231.0, "fmax": 240.0}, "no note of 'major' on A2"),
        ({"scale_notes": "major", "fmin": 0.0, "frequency": "linear"}, "frequencies cannot go from 0"),
        ({"scale_notes": "cents:1,1200", "fmin": 900.0, "fmax": 800.0}, "frequencies cannot go"),
        ({"scale_notes": "cents:" + ",".join(f"{c / 2}" for c in range(1, 2401))}, "more than 1024 notes"),
        ({"scale_notes": "cents:1.5", "fmin": 20.0}, "more than 1024 notes"),
    ],
    ids=str,
)
def test_what_is_refused(words: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        sound_from_words(**words)


def test_options_hold_their_notes() -> None:
    assert sound_from_words().notes is None
    sound = sound_from_words(scale_notes="whole-tone", root="C3", fmax=170.0)
    assert isinstance(sound.notes, Notes)
    assert [note_name(hz) for hz in sound.notes.hz] == ["A#2", "C3", "D3", "E3"]
    assert sound.notes.root_hz == pytest.approx(130.8127827)
    assert sound_from_words(scale_notes="major").frequencies_hz == (110.0, 4200.0)
    assert sound_from_words(scale_notes="major", sample_rate=8000).frequencies_hz == (110.0, 4000.0)
    # frames are four times as long, in sound of the same length
    assert (sound.fft_size, sound.hop_samples, default_duration_s(2000, sound)) == (
        8192,
        2048,
        2000 * 512 / 44100,
    )
    assert (sound_from_words().fft_size, default_duration_s(2000, sound_from_words())) == (
        2048,
        2000 * 512 / 44100,
    )
    assert sound_from_words(scale_notes="major", fft_size=1000).fft_size == 1000
