"""Ridges: peaks against a plain search, and lines drawn in energies followed to their ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsounds_stream.transcription.ridges import RidgeRules, blurred, peaks_of, track

RULES = RidgeRules(onset=0.5, offset=0.1, gap_steps=2, peaks=10)
PITCHES = np.arange(40, 80, 0.25)


def plain_peaks(energies: list[int], least: float) -> list[int]:
    """Each flat top, in its middle, from which ways to higher ones fall to a quarter; ties: the first."""
    found = []
    count = len(energies)
    at = 0
    while at < count:
        end = at
        while end + 1 < count and energies[end + 1] == energies[at]:
            end += 1
        left = energies[at - 1] if at else 0
        right = energies[end + 1] if end + 1 < count else 0
        if left < energies[at] > right and energies[at] >= least:
            lowest, hidden = energies[at], False
            for other in range(end + 1, count):
                lowest = min(lowest, energies[other])
                hidden |= energies[other] > energies[at] and 4 * lowest > energies[at]
            lowest = energies[at]
            for other in range(at - 1, -1, -1):
                lowest = min(lowest, energies[other])
                hidden |= energies[other] >= energies[at] and 4 * lowest > energies[at]
            if not hidden:
                found.append((at + end) // 2)
        at = end + 1
    return found


@settings(max_examples=500, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=30))
def test_peaks_are_those_of_a_plain_search(energies: list[int]) -> None:
    assert peaks_of(np.array(energies, float), 1, 100).tolist() == plain_peaks(energies, 1)


def test_the_strongest_peaks_are_kept() -> None:
    energies = np.zeros(50)
    energies[[5, 20, 35]] = 3, 1, 2
    assert peaks_of(energies, 0.5, 2).tolist() == [5, 35]


def lines(steps: int, *curves: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Energies `[step, bin]` with a bin of energy 1 where each curve of steps and pitches is."""
    energies = np.zeros((steps, len(PITCHES)), np.float32)
    for at, pitches in curves:
        energies[at, np.rint((pitches - PITCHES[0]) * 4).astype(int)] = 1
    return energies


def tracked(energies: np.ndarray, rules: RidgeRules = RULES) -> list[tuple[int, int, float, float]]:
    found = track(energies, blurred(energies, PITCHES), np.zeros_like(energies), PITCHES, rules)
    assert all(len(each.pitches) == len(each.energies) == len(each.bins) for each in found)
    return sorted((each.start, each.stop, each.pitches[0], each.pitches[-1]) for each in found)


@pytest.mark.parametrize("slope", [0.0, 0.25, 0.9, -0.6])
def test_a_line_is_one_ridge(slope: float) -> None:
    at = np.arange(5, 35)
    pitches = 60 + slope * (at - 20)
    ((start, stop, first, last),) = tracked(lines(40, (at, pitches)))
    assert (start, stop) == (5, 35)
    assert abs(first - pitches[0]) <= 0.125 and abs(last - pitches[-1]) <= 0.125  # half a bin


def test_lines_that_cross_are_followed_to_their_ends() -> None:
    at = np.arange(40)
    found = tracked(lines(40, (at, 52 + 0.4 * at), (at, 68 - 0.4 * at)))
    assert len(found) <= 4  # where they meet there is one voice, from which two come again
    assert sorted(each[2] for each in found)[:1] == [52] and max(each[2] for each in found) == 68
    assert sum(stop - start for start, stop, _, _ in found) > 70


def test_gaps_are_bridged_up_to_a_length() -> None:
    at = np.array([*range(10), *range(12, 20), *range(23, 30)])
    assert [each[:2] for each in tracked(lines(30, (at, np.full(len(at), 60.0))))] == [(0, 20), (23, 30)]


def test_a_ridge_begins_at_the_onset_and_ends_below_the_offset() -> None:
    energies = np.zeros((9, len(PITCHES)), np.float32)
    energies[:, 80] = 0.2, 0.3, 0.6, 0.3, 0.2, 0.15, 0.05, 0.05, 0.05
    assert [each[:2] for each in tracked(energies)] == [(2, 6)]
    energies[2, 80] = 0.4
    assert tracked(energies) == []


def test_two_edges_are_one_voice() -> None:
    at = np.arange(20)
    ((_, _, first, last),) = tracked(lines(20, (at, np.full(20, 60.0)), (at, np.full(20, 61.5))))
    assert abs(first - 60.75) < 0.01 and abs(last - 60.75) < 0.01


def test_silence_has_no_ridges() -> None:
    assert tracked(np.zeros((10, len(PITCHES)), np.float32)) == []
