"""Inversion of real frames: y = real(ifft(x)) along the last axis.

For real x, y is even: y[n] = y[N - n]. So only the first half, N // 2 + 1 samples, is computed, and the rest
is its mirror image. There are three methods. The choice depends on the length alone, so that results repeat
to the bit:

    FFT      y = real(rfft(x)) / N                                    (for real x, conj changes the sign of
                                                                       the imaginary part only)
    matrix   y[n] = 1/N sum_k e[k] cos(2 pi k n / N), with x folded to its even part
             e[k] = x[k] + x[N - k]  for 0 < k < N / 2, else x[k]
    factors  two small cosine transforms, where N has coprime factors (`prime_factor`)

An FFT is fastest for lengths with small factors only. But a bank's number of frequencies follows from the
picture's size: it is often a prime, or has few and large factors.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .prime_factor import coprime_split, factored_half_frames
from .products import product

# Approximate costs in nanoseconds a sample on one core, as `benchmarks/fft.py` measures them. FFT: by the
# largest prime factor of the length.
_FFT_COST = ((5, 1.6), (13, 3.2), (1 << 62, 6.5))
# The two others: folding and gathering, and so many multiplications a nanosecond.
_MATRIX_COST = 0.5
_FACTORS_COST = 0.6
_PRODUCTS_A_NANOSECOND = 400


def half_length(length: int) -> int:
    """Return the number of samples in a frame's first half, up to the middle and including it."""
    return length // 2 + 1


def half_frames(frames: Tensor) -> Tensor:
    """Compute the first half of real(ifft(x)) of each frame.

    Args:
        frames: `[..., frequency]`, float32; may be a transposed view.

    Returns:
        `[..., sample]` with `half_length(frequencies)` samples, float32. The error is at most 2e-6 of the
        largest exact value.
    """
    length = frames.shape[-1]
    match method := _method(length):
        case (small, large):
            return factored_half_frames(frames, small, large)
        case "matrix":
            even = _folded(frames)
            cosines = _cosines(length, frames.device)
            if even.stride(-1) == 1:
                return even @ cosines
            # Frames lie innermost in memory. The transposed product (the matrix is symmetric) avoids a
            # transposition.
            return product(cosines, even.transpose(-1, -2)).transpose(-1, -2)
    assert method == "fft"
    half: Tensor = torch.fft.rfft(frames, norm="forward").real
    return half


def mirrored(half: NDArray[Any], length: int) -> NDArray[Any]:
    """Complete frames from their first halves.

    Args:
        half: `[..., sample]` with `half_length(length)` samples, of any dtype.
        length: length of a whole frame.

    Returns:
        `[..., sample]` with `length` samples, contiguous.
    """
    whole = np.empty((*half.shape[:-1], length), half.dtype)
    middle = half_length(length)
    whole[..., :middle] = half
    whole[..., middle:] = whole[..., length - middle : 0 : -1]
    return whole


@lru_cache(maxsize=32)
def _method(length: int) -> str | tuple[int, int]:
    """Choose the fastest method for frames of a length.

    Returns:
        'fft', 'matrix', or the two factors of the factored method.
    """
    costs: dict[str | tuple[int, int], float] = {
        "matrix": _MATRIX_COST + length / _PRODUCTS_A_NANOSECOND,
        "fft": next(cost for limit, cost in _FFT_COST if _largest_prime_factor(length) <= limit),
    }
    split = coprime_split(length)
    if split is not None:
        costs[split] = _FACTORS_COST + sum(split) / _PRODUCTS_A_NANOSECOND
    return min(costs, key=costs.__getitem__)


def _largest_prime_factor(number: int) -> int:
    factor = 2
    while factor * factor <= number:
        if number % factor:
            factor += 1
        else:
            number //= factor
    return number


def _folded(frames: Tensor) -> Tensor:
    length = frames.shape[-1]
    pairs = (length - 1) // 2
    even = frames[..., : half_length(length)].clone()
    even[..., 1 : pairs + 1] += frames[..., length - pairs :].flip(-1)
    return even


@lru_cache(maxsize=4)
def _cosines(length: int, device: torch.device) -> Tensor:
    # Phases are reduced modulo the length as integers, because the cosine of a large float is inexact.
    index = torch.arange(half_length(length))
    phase = torch.outer(index, index) % length
    return (torch.cos(phase.double() * (2 * torch.pi / length)) / length).to(device, torch.float32)
