"""The inversion against numpy's double-precision ifft.

Tolerance 2e-6 of the largest sample: an FFT's or a product's float32 rounding over a few thousand terms.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netsounds_stream.transform import _matrix_is_faster, half_frames, half_length, mirrored


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 4), st.integers(0, 9))
def test_frames_are_the_real_part_of_ifft(length: int, count: int, seed: int) -> None:
    check(length, count, seed)


@pytest.mark.parametrize("length", [509, 754, 755, 1024, 1509, 1597, 2013, 2045, 4093])
def test_long_frames(length: int) -> None:
    check(length, 3, 0)


def check(length: int, count: int, seed: int) -> None:
    frames = np.random.default_rng(seed).normal(size=(2, count, length)).astype(np.float32)
    expected = np.fft.ifft(frames.astype(np.float64), axis=-1).real
    half = half_frames(torch.from_numpy(frames))
    assert half.shape == (2, count, half_length(length))
    whole = mirrored(half, length)
    assert float(np.abs(whole.numpy() - expected).max()) <= 2e-6 * max(1.0, float(np.abs(expected).max()))


def test_both_ways_are_exercised() -> None:
    assert {_matrix_is_faster(length) for length in (377, 755, 1509)} == {True}
    assert {_matrix_is_faster(length) for length in (512, 1024, 2013, 4093)} == {False}
