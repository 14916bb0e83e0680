"""Phases for magnitudes by the fast Griffin-Lim algorithm, exactly as on the whole, in a stream.

An iteration lays the frames down and takes them up again. What it makes of frame n depends on frames
n - reach to n + reach only, with `reach` = overlap - 1. So the iterations run one behind the other, each
`reach` frames behind the one before, as the layers of a line-buffered network do:

    iteration 1   frames up to n
    iteration 2   frames up to n - reach
    ...
    the last      frames up to n - iterations * reach: the look-ahead

and every value is what the algorithm gives with all frames in memory. D. Griffin and J. Lim, 1984; the
momentum is from N. Perraudin, P. Balazs and P. Søndergaard, "A fast Griffin-Lim algorithm", 2013.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...planning.plan import Stft
from .stft import OverlapAdd, window_of

_MOMENTUM = 0.99


class GriffinLim:
    """Improves phases, block by block; gives them `delay` frames late.

    Args:
        iterations: how many.
        first: the number of the first frame that comes, at or before 0.
    """

    def __init__(self, stft: Stft, iterations: int, first: int = 0) -> None:
        reach = stft.overlap - 1
        self._stages = [_Iteration(stft, first - number * reach) for number in range(iterations)]
        self.delay = iterations * reach

    def __call__(self, magnitudes: Tensor, phasors: Tensor) -> Tensor:
        """Unit phasors for the frames `delay` before these, as many; see `OverlapAdd` for their reference.

        Args:
            magnitudes: float32 `[frame, bin]`; 0 before the first frame and after the last.
            phasors: complex64 `[frame, bin]` of size 1.
        """
        rebuilt = None
        for stage in self._stages:
            magnitudes, phasors, rebuilt = stage(magnitudes, phasors, rebuilt)
        return phasors


class _Iteration:
    """One iteration. `first` is the number of the first frame that comes, at or before 0."""

    def __init__(self, stft: Stft, first: int) -> None:
        self._stft, self._window = stft, window_of(stft)
        # as on the whole: the signal ends at the last frame's centre
        self._lay_down = OverlapAdd(stft, (stft.frames - 1) * stft.hop, first)
        reach = stft.overlap - 1
        self._samples = torch.zeros(reach * stft.hop)
        self._magnitudes = Late(reach)
        self._before = Late(reach)

    def __call__(
        self, magnitudes: Tensor, phasors: Tensor, before: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Magnitudes, phasors and what was taken up, `reach` frames before those that came.

        Args:
            before: what the last iteration took up for these frames; None: this is the first.
        """
        stft, count = self._stft, magnitudes.shape[0]
        samples = torch.cat((self._samples, self._lay_down(magnitudes * phasors)))
        self._samples = samples[count * stft.hop :].clone()
        frames = samples.unfold(0, stft.fft_size, stft.hop)[:count]
        rebuilt = torch.fft.rfft(frames * self._window)
        if before is None:
            moved = rebuilt.clone()
        else:
            moved = rebuilt - (_MOMENTUM / (1 + _MOMENTUM)) * self._before(before)
        moved /= moved.abs().add_(torch.finfo(torch.float32).tiny)
        return self._magnitudes(magnitudes), moved, rebuilt


class Late:
    """Gives rows of tensors back `delay` rows later; zeros at first."""

    def __init__(self, delay: int) -> None:
        self._delay, self._kept = delay, torch.zeros(0)

    def __call__(self, rows: Tensor) -> Tensor:
        """As many rows as come: along the first axis."""
        if not self._kept.numel():
            self._kept = rows.new_zeros(self._delay, *rows.shape[1:])
        joined = torch.cat((self._kept, rows))
        self._kept = joined[rows.shape[0] :].clone()
        return joined[: rows.shape[0]]
