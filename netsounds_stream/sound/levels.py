"""How loud a bank's filters are before scaling, and the scaling that fills [-1, 1].

For x >= 0, as after a ReLU, |y[n]| <= y[0] = mean(x): the loudest sample of a frame is its mean, known
without an IFFT. Only the lowest sample needs one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..base.sink import ResumableSink
from ..errors import StoreError
from ..planning.steps import LevelState
from .dsp.half_ifft import half_frames

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Levels:
    """Extremes of samples before scaling, one of each a signal: lowest, highest, largest magnitude.

    `low` is NaN where it was not asked for. Where asked for, of each filter's activations: `energy`, the sum
    of their squares, and `centroid`, where across a frame it lies, from 0 to 1.
    """

    low: Floats
    high: Floats
    peak: Floats
    energy: Floats | None = None
    centroid: Floats | None = None

    def of(self, numbers: Sequence[int]) -> Levels:
        """The extremes of some of the signals."""
        return Levels(*(each[list(numbers)] for each in (self.low, self.high, self.peak)))

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
    `minmax`, which puts the lowest value at -1, the constant -1 that netsounds recorded. By `none` all stays
    as it is.
    """
    if scale == "none":
        return np.ones_like(levels.peak), np.zeros_like(levels.peak)
    span = levels.peak if scale == "peak" else levels.high - levels.low
    sounding = span > 0
    safe = np.where(sounding, span, 1.0)
    if scale == "peak":
        return np.where(sounding, 1 / safe, 0.0), np.zeros_like(safe)
    factor = np.where(sounding, 2 / safe, 0.0)
    return factor, np.where(sounding, -1 - factor * levels.low, -1.0)


def require_finite(values: Tensor) -> None:
    """Raise StoreError where activations hold NaN or infinity, which have no sound."""
    # NaN and infinity pass through both; `isfinite` of the whole takes ten times as long.
    if not all(isfinite(extreme) for extreme in torch.aminmax(values)):
        raise StoreError("the activations hold NaN or infinity; store them again, within float16's range")


def extremes(block: Tensor, *, lowest: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Lowest, highest and largest-magnitude sample of each filter in some frames; `[channel]` each.

    With `lowest` every frame is inverted; without, only frames that hold negative values are, and the
    lowest is NaN where none was.

    Args:
        block: `[channel, frame, frequency]`, float16 or float32.

    Raises:
        StoreError: not all of it is finite.
    """
    values = block.float()
    require_finite(values)
    if lowest or bool((values < 0).any()):
        low, high = torch.aminmax(half_frames(values).flatten(1), dim=1)
        return low, high, torch.maximum(low.abs(), high.abs())
    high = values.sum(-1).amax(-1) / values.shape[-1]
    return torch.full_like(high, torch.nan), high, high


def energies(block: Tensor) -> Tensor:
    """Each filter's sum of squares, and of squares times where across the frame they lie (0 to 1).

    Args:
        block: `[frame, frequency, channel]`, float32.

    Returns:
        `[2, channel]`, float64.
    """
    places = (torch.arange(block.shape[1], device=block.device) + 0.5) / block.shape[1]
    across = torch.stack((torch.ones_like(places), places)).expand(block.shape[0], -1, -1)
    return torch.bmm(across, block.square()).double().sum(0)


class LevelMeter(ResumableSink[LevelState]):
    """Gathers the extremes of each filter's samples, block by block.

    Args:
        state: what another meter had gathered; see `state`.
    """

    def __init__(self, channels: int, state: LevelState | None = None) -> None:
        self._low = np.full(channels, np.inf)
        self._high = np.full(channels, -np.inf)
        self._peak = np.zeros(channels)
        self._energy: Floats | None = None
        if state is not None:
            self._low = np.array(state["low"], float)
            self._high = np.array(state["high"], float)
            self._peak = np.array(state["peak"], float)
            if "energy" in state:
                self._energy = np.array(state["energy"], float)

    def state(self) -> LevelState:
        state: LevelState = {
            "low": self._low.tolist(),
            "high": self._high.tolist(),
            "peak": self._peak.tolist(),
        }
        if self._energy is not None:
            state["energy"] = self._energy.tolist()
        return state

    def add(self, first_channel: int, low: Tensor, high: Tensor, peak: Tensor) -> None:
        """Take the `extremes` of a block whose filters begin at `first_channel`."""
        here = slice(first_channel, first_channel + low.shape[0])
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

    def add_energies(self, first_channel: int, found: Tensor) -> None:
        """Take the `energies` of a block whose filters begin at `first_channel`."""
        if self._energy is None:
            self._energy = np.zeros((2, len(self._peak)))
        self._energy[:, first_channel : first_channel + found.shape[1]] += found.numpy()

    def levels(self) -> Levels:
        if self._energy is None:
            return Levels(self._low, self._high, self._peak)
        energy, moment = self._energy
        centroid = np.where(energy > 0, moment / np.where(energy > 0, energy, 1.0), 0.5)
        return Levels(self._low, self._high, self._peak, energy, centroid)
