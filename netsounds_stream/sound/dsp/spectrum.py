"""Maps from a picture's rows to a spectrum's frequencies and to time, as matrices of weights.

Along both axes an output value covers an interval of the input, whose cell i is [i, i + 1). The value is the
mean over that interval, which is widened to one cell if it is narrower. That is an area mean where the map
shrinks, and linear interpolation between the cells' centres where it stretches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
_GROUP = (
    64  # outputs computed by one product; they need few cells, because neighbours cover neighbouring cells
)


def interval_weights(low: Floats, high: Floats, length: int) -> tuple[int, NDArray[np.float32]]:
    """Compute the weights of cells in the means over intervals.

    Args:
        low: lower ends of the intervals, in cells, ascending.
        high: their upper ends. Parts outside 0 to `length` are ignored.
        length: length of the input, in cells.

    Returns:
        The first cell that any interval covers, and weights `[interval, cell]` from that cell on.
    """
    middle = np.clip((low + high) / 2, 0, length)
    half = np.maximum(high - low, 1) / 2
    low = np.maximum(middle - half, 0)
    high = np.minimum(middle + half, length)
    first = int(low.min())
    last = min(length, int(np.ceil(high.max())))
    cells = np.arange(first, last)
    covered = np.minimum(high[:, None], cells + 1) - np.maximum(low[:, None], cells)
    weights = np.maximum(covered, 0)
    return first, (weights / weights.sum(1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True)
class FrequencyScale:
    """A range of frequencies on a scale of pitch, over which rows are spread evenly.

    Attributes:
        name: 'linear', 'mel' or 'log'. The mel scale is 2595 log10(1 + f / 700) (O'Shaughnessy, "Speech
            Communication", 1987).
        low_hz: lowest frequency.
        high_hz: highest frequency.
    """

    name: str
    low_hz: float
    high_hz: float

    def share(self, frequencies_hz: Floats) -> Floats:
        """Locate frequencies on the scale.

        Returns:
            0 for the lowest frequency and below, 1 for the highest and above.
        """
        clipped = np.clip(frequencies_hz, self.low_hz, self.high_hz)
        low, high, pitch = (self._pitch(np.asarray(hertz)) for hertz in (self.low_hz, self.high_hz, clipped))
        return np.asarray((pitch - low) / (high - low))

    def at(self, share: Floats) -> Floats:
        """Return the frequencies, in hertz, at shares of the scale: the inverse of `share`."""
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
    """Map from a frame's rows to the magnitudes of an FFT's bins, from 0 to half the sample rate.

    A row keeps its energy, no matter how many bins it is spread over: a bin's magnitude is the mean over the
    rows that it covers, times the square root of their number. On the 'log' scale this makes noise pink. Bins
    outside the scale are silent, and so is the lowest, which is inaudible.

    Args:
        rows: number of rows; the first is the lowest frequency, unless `reversed_rows`.
        fft_size: length of the FFT.
        sample_rate_hz: samples a second.
        scale: frequencies over which the rows are spread.
        reversed_rows: whether the first row is the highest frequency.

    Attributes:
        bins: number of bins.
        hz: their frequencies, float64 `[bin]`.
    """

    def __init__(
        self, rows: int, fft_size: int, sample_rate_hz: int, scale: FrequencyScale, *, reversed_rows: bool
    ) -> None:
        bins = np.arange(fft_size // 2 + 1)
        hertz = sample_rate_hz / fft_size
        on_scale = (bins > 0) & (bins * hertz >= scale.low_hz) & (bins * hertz <= scale.high_hz)
        audible = np.flatnonzero(on_scale)
        self.bins = len(bins)
        self.hz: Floats = np.asarray(bins * hertz, dtype=np.float64)
        self._audible = slice(0, 0)
        self._groups: list[tuple[slice, Tensor]] = []
        if not audible.size:
            return
        self._audible = slice(int(audible[0]), int(audible[-1]) + 1)
        low, high = (
            rows * scale.share(np.asarray(audible + side, dtype=np.float64) * hertz) for side in (-0.5, 0.5)
        )
        root = np.sqrt(high - low)
        for start in range(0, audible.size, _GROUP):
            part = slice(start, start + _GROUP)
            first, weights = interval_weights(low[part], high[part], rows)
            weights *= root[part, None].astype(np.float32)
            if reversed_rows:
                first = rows - first - weights.shape[1]
                weights = weights[:, ::-1]
            matrix = torch.from_numpy(weights.T.copy())
            self._groups.append((slice(first, first + matrix.shape[0]), matrix))

    def __call__(self, frames: Tensor) -> Tensor:
        """Compute magnitudes, float32 `[frame, bin]`, from frames, float32 `[frame, row]`."""
        magnitudes = frames.new_zeros(frames.shape[0], self.bins)
        if self._groups:
            parts = [frames[:, rows] @ matrix for rows, matrix in self._groups]
            magnitudes[:, self._audible] = torch.cat(parts, dim=1)
        return magnitudes


@dataclass(frozen=True)
class TimeMap:
    """Map from a bank's rows along the time axis to the frames of an STFT.

    Attributes:
        rows: number of rows, which last as long as the signal.
        frames: number of frames; the last one's centre may lie beyond the signal.
        hop: distance between frames, in samples.
        samples: length of the signal.
    """

    rows: int
    frames: int
    hop: int
    samples: int

    @property
    def rows_a_frame(self) -> float:
        """Distance between frames, in rows."""
        return self.rows * self.hop / self.samples

    def weights(self, frames: slice) -> tuple[int, NDArray[np.float32]]:
        """Compute the weights of rows in some frames.

        Returns:
            The first row that these frames need, and weights `[frame, row]` from that row on.
        """
        centres = np.arange(frames.start, frames.stop) * self.rows_a_frame
        return interval_weights(centres - self.rows_a_frame / 2, centres + self.rows_a_frame / 2, self.rows)
