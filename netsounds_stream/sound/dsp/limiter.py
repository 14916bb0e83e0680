"""True-peak limiter with look-ahead: lowers the gain for some milliseconds around peaks above the ceiling.

Each sample needs the gain min(1, ceiling / |x|), where |x| is the largest magnitude at the sample and between
it and its neighbours (four times oversampled). The minimum of these gains over the look-ahead on either side
is smoothed by a window of the same length. The result is continuous. It never exceeds the gain that a sample
needs, because it is a mean of values that do not.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_LOOK_AHEAD_SECONDS = 0.005
_OVERSAMPLING = 4
_TAPS = 24  # of the interpolation, for each of the points between two samples
_BLOCK = 1 << 14


class Limiter:
    """A stream of samples, limited to a ceiling; all channels get the same gain.

    `push` takes any number of samples, and returns those that are complete; `flush` returns the rest. Blocks
    lie on a fixed grid, so that the output does not depend on how the input is split.

    Args:
        sample_rate_hz: samples a second.
        channels: number of channels.
        ceiling: largest magnitude of the output, linear.
    """

    def __init__(self, sample_rate_hz: int, channels: int, ceiling: float) -> None:
        self._ahead = max(1, round(_LOOK_AHEAD_SECONDS * sample_rate_hz))
        self._ceiling = ceiling
        # samples on either side of a block that the minimum, the smoothing and the interpolation need
        self._context = 2 * self._ahead + _TAPS
        self._held = torch.zeros(self._context, channels)
        window = torch.hann_window(2 * self._ahead + 3, periodic=False, dtype=torch.float64)[1:-1]
        # Smoothing by FFT and interpolation tap by tap, because torch's convolutions copy every window's
        # samples.
        self._length = 5 * 2 ** (_BLOCK // 5 + 3 * self._ahead).bit_length()
        self._window = torch.fft.rfft((window / window.sum()).float(), n=self._length)
        self._between = _interpolation()
        # no point between samples lies above the largest sample times this
        self._overshoot = max(1.0, float(self._between.abs().sum(1).max()))

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples.

        Args:
            samples: float32 `[sample, channel]`.

        Returns:
            Limited samples `[sample, channel]` that are complete, perhaps none.
        """
        self._held = torch.cat((self._held, torch.from_numpy(samples)))
        ready = []
        while self._held.shape[0] >= _BLOCK + 2 * self._context:
            ready.append(self._limited(self._held[: _BLOCK + 2 * self._context]))
            self._held = self._held[_BLOCK:]
        self._held = self._held.clone()
        return torch.cat(ready).numpy() if ready else np.zeros((0, samples.shape[1]), np.float32)

    def flush(self) -> NDArray[np.float32]:
        """Return the remaining limited samples, `[sample, channel]`; call this once, at the end."""
        remaining = self._held.shape[0] - self._context
        blocks = -(-remaining // _BLOCK)
        padded = self._held.new_zeros(blocks * _BLOCK + 2 * self._context, self._held.shape[1])
        padded[: self._held.shape[0]] = self._held
        limited = [
            self._limited(padded[start : start + _BLOCK + 2 * self._context])
            for start in range(0, blocks * _BLOCK, _BLOCK)
        ]
        self._held = self._held[:0]
        return torch.cat([*limited, padded[:0]])[:remaining].numpy()

    def _limited(self, block: Tensor) -> Tensor:
        """Limit one block, `[sample, channel]`, which comes with `_context` more samples on either side."""
        if float(block.abs().max()) * self._overshoot <= self._ceiling:
            return block[self._context : -self._context]
        peaks = self._peaks(block.T)  # of all samples but the outer _TAPS / 2 on either side
        if float(peaks.max()) <= self._ceiling:
            return block[self._context : -self._context]
        least = self._ceiling / peaks.clamp_min(self._ceiling)
        width = 2 * self._ahead + 1
        reach = 1
        while reach < width:  # the minimum of `reach` values becomes that of twice as many
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
        """Return each sample's largest magnitude over the channels, between it and its neighbours included.

        Args:
            channels: float32 `[channel, sample]`.
        """
        count = channels.shape[1] - _TAPS + 1
        between = torch.zeros(count)
        for kernel in self._between.tolist():
            point = torch.zeros(channels.shape[0], count)
            for tap, weight in enumerate(kernel):
                point.add_(channels[:, tap : tap + count], alpha=weight)
            between = torch.maximum(between, point.abs_().amax(0))
        # between[n] lies before sample n of the output, between[n + 1] after it
        half = _TAPS // 2
        at_samples = channels[:, half:-half].abs().amax(0)
        return torch.maximum(at_samples, torch.maximum(between[:-1], between[1:]))


def _interpolation() -> Tensor:
    """Compute a windowed sinc for each of the points between two samples, `[point, tap]`."""
    taps = np.arange(_TAPS) - (_TAPS // 2 - 1)
    shares = np.arange(1, _OVERSAMPLING) / _OVERSAMPLING
    away = taps - shares[:, None]
    kernels = np.sinc(away) * np.cos(math.pi * away / _TAPS) ** 2
    kernels /= kernels.sum(1, keepdims=True)
    return torch.from_numpy(kernels.astype(np.float32))
