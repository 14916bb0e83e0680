"""Phases from magnitudes by the fast Griffin-Lim algorithm, streamed, with the same result as at once.

An iteration is an inverse and a forward STFT. Its result for frame n depends only on frames n - reach to
n + reach, with `reach` = overlap - 1. So the iterations run concurrently, each `reach` frames behind the one
before, like the layers of a line-buffered network:

    iteration 1   frames up to n
    iteration 2   frames up to n - reach
    ...
    the last      frames up to n - iterations * reach: the look-ahead

Every value equals that of the algorithm with all frames in memory. D. Griffin and J. Lim, "Signal estimation
from modified short-time Fourier transform", 1984; the momentum is from N. Perraudin, P. Balazs and
P. Søndergaard, "A fast Griffin-Lim algorithm", 2013.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...planning.plan import Stft
from .stft import OverlapAdd, window_of

_MOMENTUM = 0.99


class GriffinLim:
    """Griffin-Lim iterations on blocks of frames, whose results come `delay` frames late.

    Args:
        stft: the frames.
        iterations: number of iterations.
        first: number of the first frame that is passed in, at most 0.

    Attributes:
        delay: look-ahead, in frames.
    """

    def __init__(self, stft: Stft, iterations: int, first: int = 0) -> None:
        reach = stft.overlap - 1
        self._iterations = [_Iteration(stft, first - number * reach) for number in range(iterations)]
        self.delay = iterations * reach

    def __call__(self, magnitudes: Tensor, phasors: Tensor) -> Tensor:
        """Improve the phases of the next block.

        Args:
            magnitudes: float32 `[frame, bin]`; 0 before the first frame and after the last.
            phasors: complex64 `[frame, bin]` of magnitude 1: the phases against each frame's first sample.

        Returns:
            Improved phasors of the frames `delay` before these, of the same shape.
        """
        spectra = None
        for iteration in self._iterations:
            magnitudes, phasors, spectra = iteration(magnitudes, phasors, spectra)
        return phasors


class _Iteration:
    """One iteration; `first` is the number of the first frame that is passed in, at most 0."""

    def __init__(self, stft: Stft, first: int) -> None:
        self._stft = stft
        self._window = window_of(stft)
        # the signal ends at the last frame's centre, as it does with all frames in memory
        self._overlap_add = OverlapAdd(stft, (stft.frames - 1) * stft.hop, first)
        reach = stft.overlap - 1
        self._samples = torch.zeros(reach * stft.hop)
        self._magnitudes = DelayLine(reach)
        self._before = DelayLine(reach)

    def __call__(
        self, magnitudes: Tensor, phasors: Tensor, before: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run the iteration on the next block.

        Args:
            magnitudes: float32 `[frame, bin]`.
            phasors: complex64 `[frame, bin]` of magnitude 1.
            before: spectra of the same frames in the preceding iteration; None in the first.

        Returns:
            Magnitudes, improved phasors and spectra of the frames `reach` before these.
        """
        stft = self._stft
        count = magnitudes.shape[0]
        samples = torch.cat((self._samples, self._overlap_add(magnitudes * phasors)))
        self._samples = samples[count * stft.hop :].clone()
        frames = samples.unfold(0, stft.fft_size, stft.hop)[:count]
        spectra = torch.fft.rfft(frames * self._window)
        if before is None:
            improved = spectra.clone()
        else:
            improved = torch.sub(spectra, self._before(before), alpha=_MOMENTUM / (1 + _MOMENTUM))
        # `sgn` divides by the magnitude, in a quarter of the time that `abs` and a division take
        return self._magnitudes(magnitudes), improved.sgn_(), spectra


class DelayLine:
    """Rows of a tensor, delayed by `delay` rows; the first are zeros."""

    def __init__(self, delay: int) -> None:
        self._delay = delay
        self._retained = torch.zeros(0)

    def __call__(self, rows: Tensor) -> Tensor:
        """Return the rows that came `delay` rows before these, `[row, ...]`, as many."""
        if not self._retained.numel():
            self._retained = rows.new_zeros(self._delay, *rows.shape[1:])
        joined = torch.cat((self._retained, rows))
        self._retained = joined[rows.shape[0] :].clone()
        return joined[: rows.shape[0]]
