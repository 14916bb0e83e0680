"""How loud a bank's filters are before scaling, and the scaling that fills [-1, 1].

For x >= 0, as after a ReLU, |y[n]| <= y[0] = mean(x): the loudest sample of a frame is its mean, known
without an IFFT. Only the lowest sample needs one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import StoreError
from .transform import half_frames

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Levels:
    """Extremes of samples before scaling, one of each a signal: lowest, highest, largest magnitude.

    `low` is NaN where it was not asked for.
    """

    low: Floats
    high: Floats
    peak: Floats

    def whole(self) -> Levels:
        """The extremes of all the signals together, as one."""
        return Levels(
            *(
                np.array([reduce(each)])
                for reduce, each in ((np.min, self.low), (np.max, self.high), (np.max, self.peak))
            )
        )


def gains(levels: Levels, scale: str) -> tuple[Floats, Floats]:
    """(a, b) such that a * y + b fills [-1, 1].

    A signal without any range, a filter that never fires say, is silence: 0 throughout by `peak`; by
    `minmax`, which puts the lowest value at -1, the constant -1 that netsounds recorded.
    """
    span = levels.peak if scale == "peak" else levels.high - levels.low
    sounding = span > 0
    safe = np.where(sounding, span, 1.0)
    if scale == "peak":
        return np.where(sounding, 1 / safe, 0.0), np.zeros_like(safe)
    factor = np.where(sounding, 2 / safe, 0.0)
    return factor, np.where(sounding, -1 - factor * levels.low, -1.0)


def require_finite(values: Tensor) -> None:
    """Raise StoreError where activations hold NaN or infinity, which have no sound."""
    if not bool(torch.isfinite(values).all()):
        raise StoreError("the activations hold NaN or infinity; store them anew, in float16's range")


class LevelMeter:
    """Gathers the extremes of each filter's samples, block by block.

    With `lowest` every frame is inverted; without, only frames that hold negative values are.
    """

    def __init__(self, channels: int, *, lowest: bool) -> None:
        self._lowest = lowest
        self._low = np.full(channels, np.inf)
        self._high = np.full(channels, -np.inf)
        self._peak = np.zeros(channels)

    def add(self, first_channel: int, block: Tensor) -> None:
        """Take frames `[channel, frame, frequency]`, float16 or float32, of filters from `first_channel`."""
        here = slice(first_channel, first_channel + block.shape[0])
        require_finite(block)
        if self._lowest or bool((block < 0).any()):
            half = half_frames(block.float())
            low, high = torch.aminmax(half.flatten(1), dim=1)
            peak = torch.maximum(low.abs(), high.abs())
        else:
            high = peak = block.sum(-1, dtype=torch.float32).amax(-1) / block.shape[-1]
            low = torch.full_like(high, torch.nan)
        self._low[here] = np.minimum(self._low[here], low.double().numpy())
        self._high[here] = np.maximum(self._high[here], high.double().numpy())
        self._peak[here] = np.maximum(self._peak[here], peak.double().numpy())

    def add_means(self, first_channel: int, means: Tensor) -> None:
        """Take non-negative frames by their means alone, float32 `[frame, channel]`."""
        here = slice(first_channel, first_channel + means.shape[1])
        loudest = means.amax(0).double().numpy()
        self._low[here] = np.nan
        self._high[here] = np.maximum(self._high[here], loudest)
        self._peak[here] = np.maximum(self._peak[here], loudest)

    def levels(self) -> Levels:
        return Levels(self._low, self._high, self._peak)
