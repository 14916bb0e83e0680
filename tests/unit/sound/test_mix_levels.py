"""Levels and places of the banks in the mix."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from netsounds_stream.errors import OptionError
from netsounds_stream.graph.layers import Bank
from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.planning.sound_options import SoundOptions
from netsounds_stream.sound.mix import bank_levels, panned


def banks(strides: dict[int, int]) -> dict[int, Bank]:
    one = usual_banks().banks[0]
    return {
        number: replace(one, number=number, y=replace(one.y, stride=stride))
        for number, stride in strides.items()
    }


def test_a_bank_is_quieter_for_each_halving_of_its_resolution() -> None:
    levels = bank_levels(banks({1: 2, 2: 4, 3: 8, 4: 8, 5: 16}), 6.0)
    decibels = [20 * np.log10(levels[number]) for number in range(1, 6)]
    assert decibels == pytest.approx([0, -6, -12, -12, -18])
    assert bank_levels(banks({7: 16, 9: 32}), 4.0)[7] == 1  # the finest that is there
    assert set(bank_levels(banks({1: 2, 2: 4}), 0.0).values()) == {1.0}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 16])
@pytest.mark.parametrize("fall", [0.0, 4.0, 6.0])
def test_both_channels_have_the_same_power(count: int, fall: float) -> None:
    levels = [10 ** (-fall * number / 20) for number in range(count)]
    places = panned(levels)
    assert places.shape == (count, 2)
    np.testing.assert_allclose(np.square(places).sum(1), 2, rtol=1e-6)  # constant power
    power = np.square(np.asarray(levels)[:, None] * places).sum(0)
    np.testing.assert_allclose(power[0], power[1], rtol=1e-5)  # float32


def test_the_first_goes_no_further_aside_than_the_others() -> None:
    """Where it is too faint to balance them."""
    places = panned([0.1, 1.0, 0.1])
    np.testing.assert_allclose(places[0], places[1][::-1])


def test_a_fall_out_of_range() -> None:
    for wrong in (-1.0, 12.5, float("nan")):
        with pytest.raises(OptionError, match="bank fall cannot be"):
            SoundOptions(bank_fall_db=wrong)
