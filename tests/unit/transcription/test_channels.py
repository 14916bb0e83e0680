"""Channels: what sounds at a time in one is what may, however many notes there are."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsounds_stream.errors import OptionError
from netsounds_stream.transcription.channels import BEND, channels_of, placed
from netsounds_stream.transcription.notes import Note, stepped


def note(start: int, steps: int, first: float, last: float, level: float = 0.0) -> Note:
    return Note(
        start_s=start * 0.1,
        step_s=0.1,
        pitches=np.linspace(first, last, steps),
        levels_db=np.full(steps, level),
        side=0.5,
    )


NOTES = st.builds(
    note, st.integers(0, 30), st.integers(2, 20), st.floats(0, 127), st.floats(0, 127), st.floats(-18, 0)
)


@pytest.mark.parametrize("banks", [1, 4, 8, 15])
def test_channels_are_apart_and_leave_out_drums(banks: int) -> None:
    given_ = channels_of(banks, mpe=False)
    used = [each.main for each in given_] + [lane for each in given_ for lane in each.lanes]
    assert len(set(used)) == len(used) and 9 not in used and None not in used
    assert len({len(each.lanes) for each in given_}) == 1


def test_more_banks_than_channels_take_mpe() -> None:
    with pytest.raises(OptionError, match="--banks"):
        channels_of(16, mpe=False)
    assert len(channels_of(16, mpe=True)) == 16


@settings(max_examples=200, deadline=None)
@given(st.lists(NOTES, max_size=15), st.integers(1, 15), st.booleans())
def test_no_key_sounds_twice_and_bent_notes_sound_alone(notes: list[Note], banks: int, mpe: bool) -> None:
    channels = channels_of(banks, mpe=mpe)[0]
    found = placed(notes, channels, 0.15)
    for number, one in enumerate(found):
        assert 0 <= one.key <= 127
        if one.alone:
            assert one.channel in channels.lanes
            assert np.abs(one.note.pitches - one.key).max() <= BEND
        else:
            assert one.channel == channels.main and np.ptp(one.note.pitches) == 0
        for other in found[number + 1 :]:
            apart = one.note.end_s <= other.note.start_s or other.note.end_s <= one.note.start_s
            if one.channel == other.channel and (one.key == other.key or one.alone):
                assert apart
    if mpe:  # fifteen at most at a time: nothing is lost
        assert sum(len(one.note.pitches) for one in found) == sum(len(each.pitches) for each in notes)


def test_without_a_lane_a_glide_is_steps() -> None:
    glide = note(0, 40, 60, 64)
    (alone,) = placed([glide], channels_of(4, mpe=False)[0], 0.2)
    assert alone.alone and alone.key == 60
    steps = placed([glide], channels_of(15, mpe=False)[0], 0.2)
    assert [each.key for each in steps] == [60, 61, 62, 63, 64]
    assert steps[0].note.start_s == 0 and steps[-1].note.end_s == pytest.approx(4)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(55, 65), min_size=1, max_size=40), st.integers(1, 6))
def test_steps_follow_one_another_and_last(pitches: list[float], least: int) -> None:
    whole = Note(
        start_s=1.0, step_s=1.0, pitches=np.array(pitches), levels_db=np.zeros(len(pitches)), side=0.0
    )
    scale = np.array([55.0, 57.0, 60.0, 62.0, 65.0])
    parts = stepped(whole, scale, least)
    assert parts[0].start_s == 1 and parts[-1].end_s == 1 + len(pitches)
    for one, other in pairwise(parts):
        assert one.end_s == other.start_s and one.pitches[0] != other.pitches[0]
    assert all(len(part.pitches) >= min(least, len(pitches)) for part in parts)
    assert {float(each) for part in parts for each in part.pitches} <= set(scale.tolist())


def test_velocities_follow_levels() -> None:
    levels = {0.0: 127, 5.0: 127, -12.04: 64, -200.0: 1}
    assert {level: note(0, 2, 60, 60, level).velocity for level in levels} == levels
