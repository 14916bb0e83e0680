"""The inversion: y = real(ifft(x)) along the last axis, of real frames.

For real x, y is even: y[n] = y[N - n]. So only its first half, N // 2 + 1 samples, is computed, and the
rest is its mirror. Two ways to the half, chosen by the length alone (so that bytes repeat):

    FFT     y = real(rfft(x)) / N                                     (for real x, conj changes the sign of
                                                                       the imaginary part only)
    matrix  y[n] = 1/N sum_k e[k] cos(2 pi k n / N), with x folded to its even part
            e[k] = x[k] + x[N - k]  for 0 < k < N / 2, else x[k]

A product with a few-hundred-row cosine matrix beats an FFT of a length with large prime factors.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

# Measured on 2 cores (benchmarks/fft.py): below these lengths, odd and even, the matrix is faster where
# the length has a prime factor above `_SMOOTH`.
_SMOOTH = 13
_MATRIX_UP_TO_ODD, _MATRIX_UP_TO_EVEN = 1600, 800


def half_length(length: int) -> int:
    """Samples of a frame that are not a mirror of others."""
    return length // 2 + 1


def half_frames(frames: Tensor) -> Tensor:
    """The first half of real(ifft(x)) of each frame.

    Args:
        frames: `[..., frequency]`, float32; may be a transposed view.

    Returns:
        `[..., sample]` with `half_length(frequencies)` samples, float32, within 2e-6 of the largest
        exact value.
    """
    length = frames.shape[-1]
    if _matrix_is_faster(length):
        even, cosines = _folded(frames), _cosines(length, frames.device)
        if even.stride(-1) == 1:
            return even @ cosines
        # frames lie innermost: the transposed product (the matrix is symmetric) spares a transposition
        return (cosines @ even.transpose(-1, -2)).transpose(-1, -2)
    half: Tensor = torch.fft.rfft(frames, norm="forward").real
    return half


def mirrored(half: Tensor, length: int) -> Tensor:
    """Whole frames `[..., sample=length]` from their first halves; any dtype."""
    whole = half.new_empty((*half.shape[:-1], length))
    middle = half_length(length)
    whole[..., :middle] = half
    whole[..., middle:] = half[..., 1 : length - middle + 1].flip(-1)
    return whole


def _matrix_is_faster(length: int) -> bool:
    limit = _MATRIX_UP_TO_ODD if length % 2 else _MATRIX_UP_TO_EVEN
    return length <= limit and _largest_prime_factor(length) > _SMOOTH


@lru_cache(maxsize=8)
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
    # Phases as integers modulo the length first: the cosine of a large float loses digits.
    index = torch.arange(half_length(length))
    phase = torch.outer(index, index) % length
    return (torch.cos(phase.double() * (2 * torch.pi / length)) / length).to(device, torch.float32)
