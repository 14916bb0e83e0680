"""The inversion against numpy's double-precision ifft.

Tolerance 2e-6 of the largest sample: an FFT's or a product's float32 rounding over a few thousand terms.
"""

from __future__ import annotations

from math import gcd

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netsounds_stream.sound.dsp.half_ifft import _method, half_frames, half_length, mirrored
from netsounds_stream.sound.dsp.prime_factor import coprime_split, factored_half_frames


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
    whole = mirrored(half.numpy(), length)
    assert float(np.abs(whole - expected).max()) <= 2e-6 * max(1.0, float(np.abs(expected).max()))


@pytest.mark.parametrize("length", [length for length in range(2, 260) if coprime_split(length)])
@pytest.mark.parametrize("layout", ["frames last", "frequencies last"])
def test_every_coprime_split(length: int, layout: str) -> None:
    """Every split there is, not only the best: (2, 3) is the least, with its own negatives in both."""
    frames = np.random.default_rng(length).normal(size=(2, 3, length)).astype(np.float32)
    expected = np.fft.ifft(frames.astype(np.float64), axis=-1).real[..., : half_length(length)]
    given = torch.from_numpy(frames)
    if layout == "frames last":
        given = given.transpose(1, 2).contiguous().transpose(1, 2)
    for small in range(2, length):
        if length % small == 0 and gcd(small, length // small) == 1:
            half = factored_half_frames(given, small, length // small).numpy()
            assert float(np.abs(half - expected).max()) <= 2e-6 * max(1.0, float(np.abs(expected).max()))


def test_all_ways_are_exercised() -> None:
    assert {_method(length) for length in (512, 1024, 2048)} == {"fft"}
    assert {_method(length) for length in (251, 503, 1021)} == {"matrix"}
    assert [_method(length) for length in (754, 1509, 2013)] == [(26, 29), (3, 503), (33, 61)]
    assert _method(4093) == "fft"  # a prime
