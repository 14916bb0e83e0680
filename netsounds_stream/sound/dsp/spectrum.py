"""Where a picture's rows lie among a spectrum's frequencies and in time: maps as weights, on blocks of rows.

Along both axes an output value covers an interval of the input, whose cell i is [i, i + 1). It is the mean
over that interval, widened to one cell where it is narrower: that is the area mean where the map shrinks,
and linear interpolation between cells' middles where it stretches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
# Outputs in one product: its rows of input are few, for neighbours cover neighbouring cells.
_GROUP = 64


def interval_weights(low: Floats, high: Floats, length: int) -> tuple[int, NDArray[np.float32]]:
    """The first cell that some interval covers, and weights `[interval, cell]` from there on.

    Args:
        low, high: the intervals' ends in cells; ascending. What lies outside 0 to `length` is left out.
        length: of the input, in cells.
    """
    middle = np.clip((low + high) / 2, 0, length)
    half = np.maximum(high - low, 1) / 2
    low, high = np.maximum(middle - half, 0), np.minimum(middle + half, length)
    first, last = int(low.min()), min(length, int(np.ceil(high.max())))
    cells = np.arange(first, last)
    covered = np.minimum(high[:, None], cells + 1) - np.maximum(low[:, None], cells)
    weights = np.maximum(covered, 0)
    return first, (weights / weights.sum(1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True)
class FrequencyScale:
    """Frequencies between which rows are spread evenly by 'linear', 'mel' or 'log' pitch, in hertz.

    `mel` is 2595 log10(1 + f / 700) (O'Shaughnessy, "Speech Communication", 1987).
    """

    name: str
    low_hz: float
    high_hz: float

    def share(self, frequencies_hz: Floats) -> Floats:
        """Where frequencies lie: 0 at the lowest, 1 at the highest; those beyond are moved there."""
        inside = np.clip(frequencies_hz, self.low_hz, self.high_hz)
        low, high, here = (self._pitch(np.asarray(f)) for f in (self.low_hz, self.high_hz, inside))
        return np.asarray((here - low) / (high - low))

    def at(self, share: Floats) -> Floats:
        """The frequency at a share of the scale, 0 to 1: what `share` undoes."""
        low, high = (self._pitch(np.asarray(f)) for f in (self.low_hz, self.high_hz))
        pitch = low + (high - low) * share
        match self.name:
            case "mel":
                return 700 * np.expm1(pitch)
            case "log":
                return np.exp(pitch)
        return np.asarray(pitch)

    def _pitch(self, frequencies_hz: Floats) -> Floats:
        match self.name:
            case "mel":
                return np.log1p(frequencies_hz / 700)
            case "log":
                return np.log(frequencies_hz)
        assert self.name == "linear"
        return frequencies_hz


class FrequencyMap:
    """From a picture's rows of one frame to the magnitudes of an FFT's bins, 0 to half the sample rate.

    A row keeps its energy however many bins it is spread over: a bin's magnitude is its mean over the rows,
    times the root of how many it covers. By 'log' that is what makes noise pink. Bins outside the scale are
    silent, and so is the lowest, which no one hears.

    Args:
        rows: how many there are; the first is the lowest frequency, unless `reversed_rows`.
    """

    def __init__(
        self, rows: int, fft_size: int, sample_rate_hz: int, scale: FrequencyScale, *, reversed_rows: bool
    ) -> None:
        bins = np.arange(fft_size // 2 + 1)
        hertz = sample_rate_hz / fft_size
        heard = np.flatnonzero((bins > 0) & (bins * hertz >= scale.low_hz) & (bins * hertz <= scale.high_hz))
        self.bins, self._heard = len(bins), slice(0, 0)
        self._groups: list[tuple[slice, Tensor]] = []
        if not heard.size:
            return
        self._heard = slice(int(heard[0]), int(heard[-1]) + 1)
        low, high = (
            rows * scale.share(np.asarray(heard + side, dtype=np.float64) * hertz) for side in (-0.5, 0.5)
        )
        root = np.sqrt(high - low)
        for start in range(0, heard.size, _GROUP):
            part = slice(start, start + _GROUP)
            first, weights = interval_weights(low[part], high[part], rows)
            weights *= root[part, None].astype(np.float32)
            if reversed_rows:
                first, weights = rows - first - weights.shape[1], weights[:, ::-1]
            matrix = torch.from_numpy(weights.T.copy())
            self._groups.append((slice(first, first + matrix.shape[0]), matrix))

    def __call__(self, frames: Tensor) -> Tensor:
        """Magnitudes `[frame, bin]` from `[frame, row]`, float32."""
        magnitudes = frames.new_zeros(frames.shape[0], self.bins)
        if self._groups:
            parts = [frames[:, rows] @ matrix for rows, matrix in self._groups]
            magnitudes[:, self._heard] = torch.cat(parts, dim=1)
        return magnitudes


@dataclass(frozen=True)
class TimeMap:
    """From a bank's `rows` in time to `frames` of the STFT, whose centres lie `hop` samples apart.

    The picture's time is `samples` long; the last frame's centre may lie past that.
    """

    rows: int
    frames: int
    hop: int
    samples: int

    @property
    def rows_a_frame(self) -> float:
        return self.rows * self.hop / self.samples

    def weights(self, frames: slice) -> tuple[int, NDArray[np.float32]]:
        """The first row that these frames need, and weights `[frame, row]` from there on."""
        centres = np.arange(frames.start, frames.stop) * self.rows_a_frame
        return interval_weights(centres - self.rows_a_frame / 2, centres + self.rows_a_frame / 2, self.rows)
