"""Inverse short-time Fourier transform, in blocks of frames.

Frame n is centred on sample n * hop and windowed with Hann's window (periodic, length `fft_size`), both in
the analysis and in the synthesis: y[t] = sum_n w[t - n hop] f_n[t - n hop] / sum_n w[t - n hop]^2. The sums
run over existing frames only, so that the normalisation is exact at both ends and for any hop up to half a
window (Griffin and Lim, "Signal estimation from modified short-time Fourier transform", 1984).

With `overlap` = fft_size / hop rounded up, a frame covers that many stretches of `hop` samples. A stretch is
complete when the last frame that covers it has been added:

    stretch      n     n+1   n+2   n+3   n+4
    frame n      [---------------------]              stretch n: frames n - 3 to n
    frame n + 1        [---------------------]

Callers pass blocks of `block_frames` frames on a fixed grid, so that no sample depends on how the frames
came.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...planning.plan import Stft


def window_of(stft: Stft) -> Tensor:
    """Return Hann's window for these frames, float32 `[sample]`."""
    return torch.hann_window(stft.fft_size, dtype=torch.float64).float()


class OverlapAdd:
    """Overlap-add of windowed frames, block after block.

    Args:
        stft: the frames.
        samples: length of the signal; samples beyond it are 0.
        first: number of the first frame that is passed in; frames before 0 and after the last do not count.
    """

    def __init__(self, stft: Stft, samples: int, first: int = 0) -> None:
        self._stft = stft
        self._samples = samples
        self._first = first
        self._window = window_of(stft)
        padded = torch.zeros(stft.overlap * stft.hop)
        padded[: stft.fft_size] = self._window**2
        self._squares = padded.view(stft.overlap, stft.hop)
        self._usual = self._norm(torch.ones(stft.overlap, 1, dtype=torch.bool))
        self._carry = torch.zeros(0)

    @property
    def start(self) -> int:
        """Number of the first sample that the next block completes; the signal begins at 0."""
        return self._first * self._stft.hop - self._stft.fft_size // 2

    def __call__(self, spectra: Tensor) -> Tensor:
        """Add the next frames.

        Args:
            spectra: complex64 `[..., frame, bin]`, with phases against each frame's first sample.

        Returns:
            The samples that these frames complete, from `start` on: float32 `[..., sample]`, `hop` for each
            frame; 0 outside the signal.
        """
        return self.add(torch.fft.irfft(spectra, n=self._stft.fft_size))

    def add(self, frames: Tensor) -> Tensor:
        """Add the next frames, as samples.

        Args:
            frames: samples with the analysis' window, float32 `[..., frame, sample]`; changed.

        Returns:
            The samples that these frames complete, as above.
        """
        stft = self._stft
        count = frames.shape[-2]
        frames *= self._window
        if stft.fft_size % stft.hop:
            frames = torch.nn.functional.pad(frames, (0, stft.overlap * stft.hop - stft.fft_size))
        stretches = frames.reshape(*frames.shape[:-1], stft.overlap, stft.hop)
        if not self._carry.numel():
            self._carry = frames.new_zeros(*frames.shape[:-2], stft.overlap - 1, stft.hop)
        summed = torch.cat((self._carry, frames.new_zeros(*frames.shape[:-2], count, stft.hop)), dim=-2)
        for part in reversed(range(stft.overlap)):  # the earliest frame first, however the frames are split
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
        """Sum the squared windows over existing frames, `[stretch, sample]`."""
        stft = self._stft
        first = self._first
        if first - stft.overlap + 1 >= 0 and first + count <= stft.frames:
            return self._usual
        numbers = first + torch.arange(count) - torch.arange(stft.overlap)[:, None]
        norm = self._norm((numbers >= 0) & (numbers < stft.frames))
        return torch.where(norm > 0, norm, 1.0)

    def _norm(self, exists: Tensor) -> Tensor:
        """Sum the squared windows over the frames for which `exists`, a bool `[part of a frame, stretch]`."""
        total = torch.zeros(exists.shape[1], self._stft.hop)
        for part in reversed(range(self._stft.overlap)):
            total += exists[part, :, None] * self._squares[part]
        return total
