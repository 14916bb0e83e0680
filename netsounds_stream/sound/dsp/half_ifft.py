"""The inversion: y = real(ifft(x)) along the last axis, of real frames.

For real x, y is even: y[n] = y[N - n]. So only its first half, N // 2 + 1 samples, is computed, and the
rest is its mirror. Three ways to the half, chosen by the length alone (so that bytes repeat):

    FFT      y = real(rfft(x)) / N                                    (for real x, conj changes the sign of
                                                                       the imaginary part only)
    matrix   y[n] = 1/N sum_k e[k] cos(2 pi k n / N), with x folded to its even part
             e[k] = x[k] + x[N - k]  for 0 < k < N / 2, else x[k]
    factors  two small cosine transforms, where N has coprime factors (`prime_factor`)

An FFT is best at lengths of small factors only. A bank's frequencies are what the picture's size makes of
them: often a prime, or few and large factors.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from .prime_factor import coprime_split, factored_half_frames

# Nanoseconds a sample on one core, about, as `benchmarks/fft.py` measures them. FFTs: by the length's largest
# prime factor. Products: what folding and gathering take, and the multiplications (about 290 a nanosecond).
_FFT_COST = ((5, 1.8), (13, 3.2), (1 << 62, 5.0))
_MATRIX_COST, _FACTORS_COST, _LENGTH_A_NANOSECOND = 0.5, 1.7, 290


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
    match way := _way(length):
        case (small, large):
            return factored_half_frames(frames, small, large)
        case "matrix":
            even, cosines = _folded(frames), _cosines(length, frames.device)
            if even.stride(-1) == 1:
                return even @ cosines
            # frames lie innermost: the transposed product (the matrix is symmetric) spares a transposition
            return (cosines @ even.transpose(-1, -2)).transpose(-1, -2)
    assert way == "fft"
    half: Tensor = torch.fft.rfft(frames, norm="forward").real
    return half


def mirrored(half: Tensor, length: int) -> Tensor:
    """Whole frames `[..., sample=length]` from their first halves; any dtype."""
    whole = half.new_empty((*half.shape[:-1], length))
    middle = half_length(length)
    whole[..., :middle] = half
    whole[..., middle:] = half[..., 1 : length - middle + 1].flip(-1)
    return whole


@lru_cache(maxsize=32)
def _way(length: int) -> str | tuple[int, int]:
    """'fft', 'matrix', or the two factors."""
    costs: dict[str | tuple[int, int], float] = {
        "matrix": _MATRIX_COST + length / _LENGTH_A_NANOSECOND,
        "fft": next(cost for limit, cost in _FFT_COST if _largest_prime_factor(length) <= limit),
    }
    split = coprime_split(length)
    if split is not None:
        costs[split] = _FACTORS_COST + sum(split) / _LENGTH_A_NANOSECOND
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
    # Phases as integers modulo the length first: the cosine of a large float loses digits.
    index = torch.arange(half_length(length))
    phase = torch.outer(index, index) % length
    return (torch.cos(phase.double() * (2 * torch.pi / length)) / length).to(device, torch.float32)
