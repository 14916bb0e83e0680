"""Half frames for lengths N = P Q with coprime P and Q: two small cosine transforms instead of a large one.

Good and Thomas' prime-factor map, after I. J. Good, "The interaction algorithm and practical Fourier
analysis" (1958), here for the real part of a real input's transform. With

    k = Q p + P q  (mod N)      and      n ~ (n mod P, n mod Q) = (a, b)

the phase falls apart, k n / N = p a / P + q b / Q (mod 1), and cos(A + B) = cos A cos B - sin A sin B:

    y[a, b] = sum_q cos(B) (sum_p e[p, q] cos A)  -  sum_q sin(B) (sum_p e[p, q] sin A)

over the even part e of the input, for which (p, q) and (-p, -q) are equal: half of the p and half of the q
are enough, with e[p, q] + e[p, -q] for the cosines and their difference for the sines. Two sums of products
of P^2 / 4 and Q^2 / 4 terms each stand where a matrix of N^2 / 4 stood. Both are matrix products over all
frames at once, so frames are laid innermost.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import torch
from torch import Tensor


def coprime_split(length: int) -> tuple[int, int] | None:
    """P < Q with P Q = length and no common factor, their sum the least there is; None for prime powers."""
    for small in range(int(length**0.5), 1, -1):
        if length % small == 0 and gcd(small, length // small) == 1:
            return small, length // small
    return None


@dataclass(frozen=True, kw_only=True)
class _Tables:
    """Which rows of the even part to gather, the four matrices, and where the half frame's samples lie."""

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
    p, q = torch.arange(small // 2 + 1), torch.arange(large // 2 + 1)

    def row(k: Tensor) -> Tensor:
        return torch.minimum(k % length, -k % length).flatten()

    def phases(index: Tensor, period: int) -> Tensor:
        # as integers modulo the period first: the cosine of a large float loses digits
        return (torch.outer(index, index) % period).double() * (2 * torch.pi / period)

    def weights(index: Tensor, period: int) -> Tensor:
        # an index that is its own negative stands for itself alone, the others for two
        return torch.where(2 * index % period == 0, 0.5, 1.0).double()

    in_small, in_large = phases(p, small), phases(q, large)
    of_small, of_large = weights(p, small), weights(q, large) / length
    paired = slice(1, (small - 1) // 2 + 1)  # the others' sines are 0
    n = torch.arange(length // 2 + 1)
    a, b = n % small, n % large
    turned = 2 * a > small  # y[a, b] = y[-a, -b]
    a, b = torch.where(turned, -a % small, a), torch.where(turned, -b % large, b)
    # rows of (a, b): cosines less sines for every a, then cosines plus sines for the paired ones
    second = (2 * b > large) & (2 * a % small != 0)
    b = torch.where(2 * b > large, -b % large, b)
    place = torch.where(second, p.numel() + a - 1, a) * q.numel() + b

    def ready(matrix: Tensor) -> Tensor:
        return matrix.to(device, torch.float32).contiguous()

    return _Tables(
        plus=row(large * p[:, None] + small * q).to(device),
        minus=row(large * p[:, None] - small * q).to(device),
        cos_small=ready(torch.cos(in_small) * of_small),
        sin_small=ready((torch.sin(in_small) * of_small)[paired, paired]),
        cos_large=ready(torch.cos(in_large) * of_large),
        sin_large=ready(torch.sin(in_large) * of_large),
        out=place.to(device),
    )


def factored_half_frames(frames: Tensor, small: int, large: int) -> Tensor:
    """The first half of real(ifft(x)) of each frame, as `transform.half_frames`.

    Args:
        frames: `[..., frequency = small * large]`, float32.

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

    p, q, paired = small // 2 + 1, large // 2 + 1, (small - 1) // 2
    plus, minus = even.index_select(0, tables.plus), even.index_select(0, tables.minus)
    difference = plus[q : (paired + 1) * q] - minus[q : (paired + 1) * q]
    plus += minus
    out = torch.empty((p + paired, q, columns), device=frames.device)
    inner = (tables.cos_small @ plus.view(p, -1)).view(p, q, columns)
    torch.matmul(tables.cos_large, inner, out=out[:p])
    if paired:
        inner = (tables.sin_small @ difference.view(paired, -1)).view(paired, q, columns)
        sines = torch.matmul(tables.sin_large, inner)
        torch.add(out[1 : paired + 1], sines, out=out[p:])
        out[1 : paired + 1] -= sines
    half = out.view(-1, columns).index_select(0, tables.out)
    return half.view(-1, *rows.shape[1:]).movedim(0, -1)
