"""What each filter answers to a picture without content, which the mix leaves out.

A filter answers to an even colour, too, by its bias and its sign: without content a picture would hum. So
the network is shown an even picture of the picture's median colour, and one of noise, small ones: the first
says what is no content, the second how much content there can be. Near the border a layer's zero padding
looks like an edge; what is said here holds inside of that (`geometry.Bank.border`, `geometry.inside`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .geometry import BANKS, inside
from .spectra import Background
from .stream import RowStream
from .weights import Weights, for_pixels

# Enough for each bank to have values on most of an axis that see neither end.
_SIDE = 448
# Of what the network answers to an even colour: what its values may be off by, in bfloat16 for one.
_ROUNDING = 1 / 128


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A bank's answers, float32 `[filter]`.

    Attributes:
        even: to an even picture.
        spread: how far from that some are in a small picture, which sees its borders all over.
        noise: to noise, on average.
    """

    number: int
    even: Tensor
    spread: Tensor
    noise: Tensor

    def background(self, weights: NDArray[np.float32]) -> Background:
        """Return what is no content in sums over the filters by `weights`, float32 `[filter, column]`."""
        columns = torch.from_numpy(weights)
        return Background(
            even=self.even @ columns,
            margin=(self.spread + _ROUNDING * self.even) @ columns,
            noise=float(torch.linalg.vector_norm((self.noise - self.even) @ columns)),
            border=BANKS[self.number - 1].border,
        )


def baselines(
    weights: Weights, colour: Sequence[int], full_scale: int, height: int, width: int, *, normalize: bool
) -> dict[int, Baseline]:
    """Return each bank's baseline, by its number.

    Args:
        colour: the picture's median, `[rgb]`, from 0 to `full_scale`.
        height, width: of the picture, in pixels: the even picture is no larger.
        normalize: whether the network's input is normalised.
    """
    state = for_pixels(weights, full_scale, normalize)
    size = min(height, _SIDE), min(width, _SIDE)
    even = torch.tensor(colour, dtype=torch.float32)[:, None, None].expand(3, *size)
    noise = torch.rand(3, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0)) * full_scale
    found = []
    for picture in (even, noise):
        values: dict[str, list[Tensor]] = {each.layer: [] for each in BANKS}
        hooks = {
            layer: lambda block, kept=kept: kept.append(block.tensor().float())
            for layer, kept in values.items()
        }
        stream = RowStream(state, hooks)
        stream.push(picture.contiguous())
        stream.flush()
        found.append({layer: torch.cat(kept, dim=1) for layer, kept in values.items()})
    made = {}
    for each in BANKS:
        even_values, noise_values = (_inside(values[each.layer], each.border) for values in found)
        low, high = even_values.amin((1, 2)), even_values.amax((1, 2))
        made[each.number] = Baseline(
            number=each.number,
            even=(low + high) / 2,
            spread=(high - low) / 2,
            noise=noise_values.mean((1, 2)),
        )
    return made


def _inside(values: Tensor, border: int) -> Tensor:
    """Activations `[filter, y, x]` without the border's, rounded as banks are."""
    rows, columns = (inside(length, border) for length in values.shape[1:])
    return values[:, rows, columns].half().float()
