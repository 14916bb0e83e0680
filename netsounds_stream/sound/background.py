"""What in a bank's rows is no content of the picture: the network's response to an even colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..planning.geometry import BANKS

#: Activations are divided by it first, so that powers stay in float32's range.
USUAL = 1e3
_FULL = 0.2  # of what noise has: what photographs have in their loudest frame, and more
# Of what the network answers to an even colour: what its values may be off by, in bfloat16 for one.
_ROUNDING = 1 / 128


@dataclass(frozen=True, kw_only=True)
class Background:
    """What in a signal's rows is no content of the picture.

    Attributes:
        even: what the rows are where the picture is even, float32 `[channel]`; content differs from it,
            above or below.
        margin: by how much at least, `[channel]`.
        noise: the size (root of the channels' squares) of the content of noise, on average.
        border: how many rows, and frequencies, at either end see zero padding: the next ones stand for them.
    """

    even: Tensor
    margin: Tensor
    noise: float
    border: int

    def presence(self, loudest: float, frequencies: int, contrast: float) -> float:
        """Return the share of content in the loudest frame, 0 to 1: 1 from a fifth of what noise has on.

        Args:
            loudest: the largest energy of a frame, which rows keep however many bins they are spread over.
            frequencies: of a row.
            contrast: the power to which rows were raised.
        """
        noise = (self.noise / USUAL) ** (2 * contrast) * frequencies
        if noise <= 0:
            return 1.0 if loudest > 0 else 0.0
        return float(min(1.0, (loudest / noise) ** (1 / (2 * contrast)) / _FULL))


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A bank's responses, float32 `[filter]`.

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
