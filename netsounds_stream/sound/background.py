"""The background of a bank's rows: the network's response to an even colour, which is no content."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: A usual activation; values are divided by it before they are raised to a power, to stay in float32's range.
USUAL = 1e3
# Share of noise's content from which a frame counts as full: photographs reach it in their loudest frame.
_FULL = 0.2
# Relative error of the response to an even colour, in bfloat16 for one: a difference below it is no content.
_ROUNDING = 1 / 128


@dataclass(frozen=True, kw_only=True)
class Background:
    """Background of a signal's rows; content is what differs from it.

    Attributes:
        even: value of the rows where the picture is even, float32 `[channel]`; content lies above or below.
        margin: smallest difference that counts as content, float32 `[channel]`.
        noise: mean size (root of the channels' squares) of the content of a picture of noise.
        border: number of rows, and of frequencies, at either end that see zero padding; they are replaced by
            the next ones inside.
    """

    even: Tensor
    margin: Tensor
    noise: float
    border: int

    def presence(self, loudest: float, frequencies: int, contrast: float) -> float:
        """Return the share of content in the loudest frame.

        Args:
            loudest: largest energy of a frame; it does not depend on the number of bins that a row is spread
                over.
            frequencies: number of a row's values.
            contrast: the power to which rows were raised.

        Returns:
            0 without content, 1 from a fifth of what a picture of noise has.
        """
        noise = (self.noise / USUAL) ** (2 * contrast) * frequencies
        if noise <= 0:
            return 1.0 if loudest > 0 else 0.0
        return float(min(1.0, (loudest / noise) ** (1 / (2 * contrast)) / _FULL))


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A bank's responses to an even picture and to noise.

    Attributes:
        border: number of values at either end of an axis that see zero padding.
        even: response to an even picture, float32 `[filter]`.
        spread: largest deviation from it within a small even picture, whose borders are seen all over,
            float32 `[filter]`.
        noise: mean response to noise, float32 `[filter]`.
    """

    border: int
    even: Tensor
    spread: Tensor
    noise: Tensor

    @property
    def quiet(self) -> Tensor:
        """Size of each filter's values up to which there is no content, float32 `[filter]`."""
        return self.even.abs() + self.margin

    @property
    def margin(self) -> Tensor:
        """Smallest difference from `even` that counts as content, float32 `[filter]`."""
        return self.spread + _ROUNDING * self.even

    def background(self, weights: NDArray[np.float32]) -> Background:
        """Return the background of a weighted sum of the filters.

        Args:
            weights: float32 `[filter, channel]`.
        """
        factors = torch.from_numpy(weights)
        return Background(
            even=self.even @ factors,
            margin=self.margin @ factors,
            noise=float(torch.linalg.vector_norm((self.noise - self.even) @ factors)),
            border=self.border,
        )
