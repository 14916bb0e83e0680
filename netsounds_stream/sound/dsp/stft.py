"""The inverse short-time Fourier transform, in blocks of frames.

Frame n is centred on sample n * hop and Hann-windowed (periodic, length `fft_size`), once when it is taken
and once when it is laid down: y[t] = sum_n w[t - n hop] f_n[t - n hop] / sum_n w[t - n hop]^2, over the
frames that there are, so that the normalisation is exact at both ends and at any hop up to half a window
(Griffin and Lim, "Signal estimation from modified short-time Fourier transform", 1984).

Time in blocks: with `overlap` = fft_size / hop rounded up, a frame covers that many stretches of `hop`
samples, and the stretches of a block of frames are whole when the block is laid down:

    stretch      n     n+1   n+2   n+3   n+4
    frame n      [---------------------]              stretch n: frames n - 3 to n
    frame n + 1        [---------------------]

Everything is done in blocks of `block_frames` frames on a fixed grid, so that no sample depends on how the
frames came.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...planning.plan import Stft


def window_of(stft: Stft) -> Tensor:
    """Hann's, float32 `[sample]`."""
    return torch.hann_window(stft.fft_size, dtype=torch.float64).float()


class OverlapAdd:
    """Lays frames down, block after block.

    Args:
        samples: where the signal ends: what the frames say of it beyond is left out.
        first: the number of the first frame to come; those before 0 and past the last are not there.
    """

    def __init__(self, stft: Stft, samples: int, first: int = 0) -> None:
        self._stft, self._samples, self._first = stft, samples, first
        self._window = window_of(stft)
        padded = torch.zeros(stft.overlap * stft.hop)
        padded[: stft.fft_size] = self._window**2
        self._squares = padded.view(stft.overlap, stft.hop)
        self._usual = self._norm(torch.ones(stft.overlap, 1, dtype=torch.bool))
        self._carry = torch.zeros(0)

    @property
    def start(self) -> int:
        """The first sample that the next block completes; before 0 there is no signal."""
        return self._first * self._stft.hop - self._stft.fft_size // 2

    def __call__(self, spectra: Tensor) -> Tensor:
        """The samples that these frames complete, `hop` a frame, from `start` on; 0 where there is no signal.

        Args:
            spectra: complex64 `[..., frame, bin]`, phases against each frame's first sample.

        Returns:
            float32 `[..., sample]`.
        """
        stft, count, before = self._stft, spectra.shape[-2], self._stft.overlap - 1
        frames = torch.fft.irfft(spectra, n=stft.fft_size).mul_(self._window)
        if stft.fft_size % stft.hop:
            frames = torch.nn.functional.pad(frames, (0, stft.overlap * stft.hop - stft.fft_size))
        stretches = frames.unflatten(-1, (stft.overlap, stft.hop))
        if not self._carry.numel():
            self._carry = frames.new_zeros(*frames.shape[:-2], before, stft.hop)
        summed = torch.cat((self._carry, frames.new_zeros(*frames.shape[:-2], count, stft.hop)), dim=-2)
        for part in reversed(range(stft.overlap)):  # the earliest frame first, as in any other chunking
            summed[..., part : part + count, :] += stretches[..., part, :]
        self._carry = summed[..., count:, :].clone()
        start = self.start
        samples = (summed[..., :count, :] / self._norms(count)).flatten(-2)
        self._first += count
        if start < 0:
            samples[..., : min(-start, samples.shape[-1])] = 0
        if start + samples.shape[-1] > self._samples:
            samples[..., max(0, self._samples - start) :] = 0
        return samples

    def _norms(self, count: int) -> Tensor:
        """The sum of squared windows `[stretch, sample]` over the frames that there are."""
        stft, first = self._stft, self._first
        if first - stft.overlap + 1 >= 0 and first + count <= stft.frames:
            return self._usual
        numbers = first + torch.arange(count) - torch.arange(stft.overlap)[:, None]
        norm = self._norm((numbers >= 0) & (numbers < stft.frames))
        return torch.where(norm > 0, norm, 1.0)

    def _norm(self, there: Tensor) -> Tensor:
        """Args: there: bool `[part of a frame, stretch]`."""
        total = torch.zeros(there.shape[1], self._stft.hop)
        for part in reversed(range(self._stft.overlap)):
            total += there[part, :, None] * self._squares[part]
        return total
