"""Half frames of lengths N = P Q with coprime P and Q, by two small cosine transforms instead of a large one.

This is Good and Thomas' prime-factor map, after I. J. Good, "The interaction algorithm and practical Fourier
analysis" (1958), for the real part of a real input's transform. With

    k = Q p + P q  (mod N)      and      n ~ (n mod P, n mod Q) = (a, b)

the phase separates, k n / N = p a / P + q b / Q (mod 1), and cos(A + B) = cos A cos B - sin A sin B:

    y[a, b] = sum_q cos(B) (sum_p e[p, q] cos A)  -  sum_q sin(B) (sum_p e[p, q] sin A)

over the even part e of the input. There e[p, q] = e[-p, -q], so that half of the p and half of the q suffice,
with e[p, q] + e[p, -q] for the cosines and the difference for the sines. Matrices of P^2 / 4 and Q^2 / 4
entries replace one of N^2 / 4. Both products run over all frames at once, so frames lie innermost in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import torch
from torch import Tensor

from .products import product


def coprime_split(length: int) -> tuple[int, int] | None:
    """Split a length into two coprime factors with the smallest sum.

    Returns:
        P < Q with P Q = length; None for primes and powers of primes.
    """
    for small in range(int(length**0.5), 1, -1):
        if length % small == 0 and gcd(small, length // small) == 1:
            return small, length // small
    return None


@dataclass(frozen=True, kw_only=True)
class _Tables:
    """Constants of the transform for one length.

    Attributes:
        plus: rows of the even part to gather for e[p, q].
        minus: rows to gather for e[p, -q].
        cos_small: cosines `[a, p]` of the small factor, weighted.
        sin_small: its sines, without those that are 0.
        cos_large: cosines `[b, q]` of the large factor, weighted.
        sin_large: its sines.
        out: rows of the result `[a, b]` to gather for the half frame's samples.
    """

    plus: Tensor
    minus: Tensor
    cos_small: Tensor
    sin_small: Tensor
    cos_large: Tensor
    sin_large: Tensor
    out: Tensor


@lru_cache(maxsize=8)
def _tables(small: int, large: int, device: torch.device) -> _Tables:
    length = small * large
    p = torch.arange(small // 2 + 1)
    q = torch.arange(large // 2 + 1)

    def even_row(k: Tensor) -> Tensor:
        return torch.minimum(k % length, -k % length).flatten()

    def phases(index: Tensor, period: int) -> Tensor:
        # reduced modulo the period as integers, because the cosine of a large float is inexact
        return (torch.outer(index, index) % period).double() * (2 * torch.pi / period)

    def weights(index: Tensor, period: int) -> Tensor:
        # an index stands for itself and its negative, unless they are the same
        return torch.where(2 * index % period == 0, 0.5, 1.0).double()

    def as_matrix(values: Tensor) -> Tensor:
        return values.to(device, torch.float32).contiguous()

    small_phases = phases(p, small)
    large_phases = phases(q, large)
    small_weights = weights(p, small)
    large_weights = weights(q, large) / length
    paired = slice(1, (small - 1) // 2 + 1)  # the sines of the others are 0
    return _Tables(
        plus=even_row(large * p[:, None] + small * q).to(device),
        minus=even_row(large * p[:, None] - small * q).to(device),
        cos_small=as_matrix(torch.cos(small_phases) * small_weights),
        sin_small=as_matrix((torch.sin(small_phases) * small_weights)[paired, paired]),
        cos_large=as_matrix(torch.cos(large_phases) * large_weights),
        sin_large=as_matrix(torch.sin(large_phases) * large_weights),
        out=_sample_rows(small, large).to(device),
    )


def _sample_rows(small: int, large: int) -> Tensor:
    """Return the rows of the result in which the half frame's samples lie.

    The result has a row for each (a, b) in the first halves: cosines less sines for every a, then cosines
    plus sines for every a that differs from its negative.
    """
    n = torch.arange(small * large // 2 + 1)
    a = n % small
    b = n % large
    negative = 2 * a > small  # y[a, b] = y[-a, -b]
    a = torch.where(negative, -a % small, a)
    b = torch.where(negative, -b % large, b)
    plus_sines = (2 * b > large) & (2 * a % small != 0)
    b = torch.where(2 * b > large, -b % large, b)
    return torch.where(plus_sines, small // 2 + a, a) * (large // 2 + 1) + b


def factored_half_frames(frames: Tensor, small: int, large: int) -> Tensor:
    """Compute the first half of real(ifft(x)) of each frame, as `half_ifft.half_frames` does.

    Args:
        frames: `[..., frequency]` of length `small * large`, float32.
        small: the smaller factor.
        large: the larger factor, coprime to it.

    Returns:
        `[..., sample]`: a view with samples outermost in memory.
    """
    tables = _tables(small, large, frames.device)
    length = small * large
    rows = frames.movedim(-1, 0)
    columns = rows[0].numel()
    pairs = (length - 1) // 2
    even = torch.empty((length // 2 + 1, *rows.shape[1:]), device=frames.device)
    torch.add(rows[1 : pairs + 1], rows[length - pairs :].flip(0), out=even[1 : pairs + 1])
    torch.mul(rows[0], 2, out=even[0])
    if length % 2 == 0:
        torch.mul(rows[length // 2], 2, out=even[-1])
    even = even.view(-1, columns)

    p = small // 2 + 1
    q = large // 2 + 1
    paired = (small - 1) // 2
    plus = even.index_select(0, tables.plus)
    minus = even.index_select(0, tables.minus)
    difference = plus[q : (paired + 1) * q] - minus[q : (paired + 1) * q]
    plus += minus
    out = torch.empty((p + paired, q, columns), device=frames.device)
    inner = (tables.cos_small @ plus.view(p, -1)).view(p, q, columns)
    out[:p] = product(tables.cos_large, inner)
    if paired:
        inner = (tables.sin_small @ difference.view(paired, -1)).view(paired, q, columns)
        sines = product(tables.sin_large, inner)
        torch.add(out[1 : paired + 1], sines, out=out[p:])
        out[1 : paired + 1] -= sines
    half = out.view(-1, columns).index_select(0, tables.out)
    return half.view(-1, *rows.shape[1:]).movedim(0, -1)
