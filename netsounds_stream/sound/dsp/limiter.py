"""A true-peak limiter with look-ahead: turns down, for some milliseconds, what would pass the ceiling.

For every sample the gain that it needs, min(1, ceiling / |x|), with |x| the largest between its neighbours,
too (four times oversampled). The least of these over the look-ahead on either side, then smoothed by a
window as long: a mean of values of which none is above the gain that the sample itself needs, so no more
than that; and continuous.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_LOOK_AHEAD_SECONDS = 0.005
_OVERSAMPLING, _TAPS = 4, 24  # of the interpolation, for each of the points between two samples
_BLOCK = 1 << 14


class Limiter:
    """Takes samples `[sample, channel]` of any count, gives as many, later; all channels by one gain.

    In blocks on a grid from the first sample on: nothing depends on the pieces that samples come in.

    Args:
        ceiling: the largest magnitude that is let through, linear.
    """

    def __init__(self, sample_rate_hz: int, channels: int, ceiling: float) -> None:
        self._ahead, self._ceiling = max(1, round(_LOOK_AHEAD_SECONDS * sample_rate_hz)), ceiling
        # either side: what the least, the smoothing and the interpolation need
        self._context = 2 * self._ahead + _TAPS
        self._held = torch.zeros(self._context, channels)
        window = torch.hann_window(2 * self._ahead + 3, periodic=False, dtype=torch.float64)[1:-1]
        # by FFT, and the interpolation tap by tap: torch's convolutions lay out every window's samples apart
        self._length = 5 * 2 ** (_BLOCK // 5 + 3 * self._ahead).bit_length()
        self._window = torch.fft.rfft((window / window.sum()).float(), n=self._length)
        self._between = _interpolation()

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is ready after `samples`."""
        self._held = torch.cat((self._held, torch.from_numpy(samples)))
        ready = []
        while self._held.shape[0] >= _BLOCK + 2 * self._context:
            ready.append(self._limited(self._held[: _BLOCK + 2 * self._context]))
            self._held = self._held[_BLOCK:]
        self._held = self._held.clone()
        return torch.cat(ready).numpy() if ready else np.zeros((0, samples.shape[1]), np.float32)

    def flush(self) -> NDArray[np.float32]:
        """The rest."""
        left = self._held.shape[0] - self._context
        blocks = -(-left // _BLOCK)
        padded = self._held.new_zeros(blocks * _BLOCK + 2 * self._context, self._held.shape[1])
        padded[: self._held.shape[0]] = self._held
        made = [
            self._limited(padded[start : start + _BLOCK + 2 * self._context])
            for start in range(0, blocks * _BLOCK, _BLOCK)
        ]
        self._held = self._held[:0]
        return torch.cat([*made, padded[:0]])[:left].numpy()

    def _limited(self, block: Tensor) -> Tensor:
        """`_BLOCK` samples, out of those with `_context` more on either side."""
        peaks = self._peaks(block.T)  # of what has _TAPS / 2 on either side
        if float(peaks.max()) <= self._ceiling:
            return block[self._context : -self._context]
        least = self._ceiling / peaks.clamp_min(self._ceiling)
        reach, width = 1, 2 * self._ahead + 1
        while reach < width:  # the least of `reach` values becomes that of twice as many
            step = min(reach, width - reach)
            least = torch.minimum(least[:-step], least[step:])
            reach += step
        assert least.shape[0] <= self._length
        spectrum = torch.fft.rfft(least, n=self._length) * self._window
        smooth = torch.fft.irfft(spectrum, n=self._length)[width - 1 : least.shape[0]]
        spare = (smooth.shape[0] - _BLOCK) // 2
        limited: Tensor = block[self._context : -self._context] * smooth[spare : spare + _BLOCK, None]
        return limited

    def _peaks(self, channels: Tensor) -> Tensor:
        """The largest magnitude over the channels at each sample and half way to its neighbours."""
        count = channels.shape[1] - _TAPS + 1
        between = torch.zeros(count)
        for kernel in self._between.tolist():
            point = torch.zeros(channels.shape[0], count)
            for tap, weight in enumerate(kernel):
                point.add_(channels[:, tap : tap + count], alpha=weight)
            between = torch.maximum(between, point.abs_().amax(0))
        # point n lies between samples n and n + 1 of what is kept: each sample sees both sides
        half = _TAPS // 2
        here = channels[:, half:-half].abs().amax(0)
        return torch.maximum(here, torch.maximum(between[:-1], between[1:]))


def _interpolation() -> Tensor:
    """A windowed sinc for each of the points between two samples, `[point, tap]`."""
    taps = np.arange(_TAPS) - (_TAPS // 2 - 1)
    shares = np.arange(1, _OVERSAMPLING) / _OVERSAMPLING
    away = taps - shares[:, None]
    kernels = np.sinc(away) * np.cos(math.pi * away / _TAPS) ** 2
    kernels /= kernels.sum(1, keepdims=True)
    return torch.from_numpy(kernels.astype(np.float32))
