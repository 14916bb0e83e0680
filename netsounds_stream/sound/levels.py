"""Extremes and energies of a bank's filters before scaling, and the scaling that fills [-1, 1].

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


@dataclass(frozen=True, kw_only=True)
class Levels:
    """Extremes of signals before scaling, and energies of the activations that they are made of.

    Attributes:
        low: the lowest sample, float64 `[signal]`; NaN where it was not measured.
        high: the highest sample, float64 `[signal]`.
        peak: the largest magnitude of a sample, float64 `[signal]`.
        energy: the sum of the activations' squares, float64 `[signal]`; None: not measured.
        centroid: where across a frame that energy lies, from 0 to 1, float64 `[signal]`; None: not measured.
    """

    low: Floats
    high: Floats
    peak: Floats
    energy: Floats | None = None
    centroid: Floats | None = None

    def of(self, numbers: Sequence[int]) -> Levels:
        """Select the extremes of some signals.

        Args:
            numbers: positions of the signals, in the order of the result.
        """
        selected = list(numbers)
        return Levels(low=self.low[selected], high=self.high[selected], peak=self.peak[selected])

    def joined(self) -> Levels:
        """Return the extremes of all signals taken as one signal.

        Returns:
            Levels whose arrays have one value each.
        """
        return Levels(
            low=np.array([np.min(self.low)]),
            high=np.array([np.max(self.high)]),
            peak=np.array([np.max(self.peak)]),
        )


def gains(levels: Levels, scale: str) -> tuple[Floats, Floats]:
    """Return the factor a and the offset b with which a * y + b fills [-1, 1].

    A signal without any range, such as that of a filter that never fires, becomes silence: 0 throughout by
    'peak', and by 'minmax', which maps the lowest value to -1, the constant -1 that netsounds recorded.

    Args:
        levels: extremes of the signals.
        scale: 'peak', 'minmax', or 'none', which leaves signals as they are.

    Returns:
        Factors and offsets, each float64 `[signal]`.
    """
    if scale == "none":
        return np.ones_like(levels.peak), np.zeros_like(levels.peak)
    span = levels.peak if scale == "peak" else levels.high - levels.low
    audible = span > 0
    safe = np.where(audible, span, 1.0)
    if scale == "peak":
        return np.where(audible, 1 / safe, 0.0), np.zeros_like(safe)
    factor = np.where(audible, 2 / safe, 0.0)
    return factor, np.where(audible, -1 - factor * levels.low, -1.0)


def require_finite(values: Tensor) -> None:
    """Refuse activations that hold NaN or infinity, which have no sound.

    Raises:
        StoreError: not all values are finite.
    """
    # NaN and infinity pass through both; `isfinite` of the whole takes ten times as long.
    if not all(isfinite(extreme) for extreme in torch.aminmax(values)):
        raise StoreError("the activations hold NaN or infinity; store them again, within float16's range")


def extremes(block: Tensor, *, lowest: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Measure the lowest, the highest and the largest-magnitude sample of each filter in some frames.

    Args:
        block: activations `[channel, frame, frequency]`, float16 or float32.
        lowest: whether the lowest sample is wanted, for which every frame is inverted. Otherwise frames are
            inverted only where the block holds negative values.

    Returns:
        Lowest, highest and largest magnitude, each float32 `[channel]`. The lowest is NaN where no frame was
        inverted.

    Raises:
        StoreError: not all values are finite.
    """
    values = block.float()
    require_finite(values)
    if lowest or bool((values < 0).any()):
        low, high = torch.aminmax(half_frames(values).flatten(1), dim=1)
        return low, high, torch.maximum(low.abs(), high.abs())
    high = values.sum(-1).amax(-1) / values.shape[-1]
    return torch.full_like(high, torch.nan), high, high


def energies(block: Tensor) -> Tensor:
    """Sum each filter's squares, and its squares times their place across the frame.

    Args:
        block: activations `[frame, frequency, channel]`, float32.

    Returns:
        float64 `[2, channel]`: the energies, and their first moments over places from 0 to 1.
    """
    places = (torch.arange(block.shape[1], device=block.device) + 0.5) / block.shape[1]
    across = torch.stack((torch.ones_like(places), places)).expand(block.shape[0], -1, -1)
    return torch.bmm(across, block.square()).double().sum(0)


class LevelMeter(ResumableSink[LevelState]):
    """Measures the levels of each filter's samples, block by block.

    Args:
        channels: number of filters.
        state: the state of a meter to resume; None: a new one.
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
        """Return what was measured so far, JSON-ready and exact."""
        state: LevelState = {
            "low": self._low.tolist(),
            "high": self._high.tolist(),
            "peak": self._peak.tolist(),
        }
        if self._energy is not None:
            state["energy"] = self._energy.tolist()
        return state

    def add(self, first_channel: int, low: Tensor, high: Tensor, peak: Tensor) -> None:
        """Add a block's extremes, as `extremes` measures them.

        Args:
            first_channel: number of the block's first filter.
            low: lowest samples, `[channel]`.
            high: highest samples, `[channel]`.
            peak: largest magnitudes, `[channel]`.
        """
        channels = slice(first_channel, first_channel + low.shape[0])
        self._low[channels] = np.minimum(self._low[channels], low.double().numpy())
        self._high[channels] = np.maximum(self._high[channels], high.double().numpy())
        self._peak[channels] = np.maximum(self._peak[channels], peak.double().numpy())

    def add_means(self, first_channel: int, means: Tensor) -> None:
        """Add non-negative frames by their means alone: each is its frame's loudest sample.

        Args:
            first_channel: number of the frames' first filter.
            means: means of the frames, float32 `[frame, channel]`.
        """
        channels = slice(first_channel, first_channel + means.shape[1])
        loudest = means.amax(0).double().numpy()
        self._low[channels] = np.nan
        self._high[channels] = np.maximum(self._high[channels], loudest)
        self._peak[channels] = np.maximum(self._peak[channels], loudest)

    def add_energies(self, first_channel: int, sums: Tensor) -> None:
        """Add a block's energies.

        Args:
            first_channel: number of the block's first filter.
            sums: what `energies` returned, float64 `[2, channel]`.
        """
        if self._energy is None:
            self._energy = np.zeros((2, len(self._peak)))
        self._energy[:, first_channel : first_channel + sums.shape[1]] += sums.numpy()

    def levels(self) -> Levels:
        """Return what was measured so far.

        Returns:
            The filters' levels, with energies where any were added. A filter without energy has its centroid
            in the middle, at 0.5.
        """
        if self._energy is None:
            return Levels(low=self._low, high=self._high, peak=self._peak)
        energy, moment = self._energy
        centroid = np.where(energy > 0, moment / np.where(energy > 0, energy, 1.0), 0.5)
        return Levels(low=self._low, high=self._high, peak=self._peak, energy=energy, centroid=centroid)
