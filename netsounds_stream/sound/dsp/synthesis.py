"""From magnitudes to samples: phases, inverse STFT, a block of frames at a time in bounded memory.

All channels of a signal get the same phases, those of their sum: so what was panned by amplitude stays
where it was put.

Phases are zero, random, from the phase gradient or by Griffin-Lim, found in blocks on a fixed grid.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ...planning.plan import Stft
from .griffin_lim import GriffinLim, Late
from .pghi import PhaseGradient
from .stft import OverlapAdd


def synthesised(
    blocks: Iterable[Tensor],
    stft: Stft,
    phase: str,
    iterations: int,
    seed: tuple[int, ...],
    heard: int | None = None,
) -> Iterator[Tensor]:
    """The signal of these magnitudes, in stretches of some thousand samples.

    Args:
        blocks: float32 `[channel, frame, bin]`: all frames of `stft`, or as many as `stft.sounded` needs,
            `block_frames` at a time, the last block filled up with zeros.
        phase, iterations, seed, heard: see `Phases`.

    Yields:
        float32 `[channel, sample]`, `stft.sounded` in all.
    """
    phases = Phases(stft, phase, iterations, seed, heard)
    late: Late | None = None
    lay_down = OverlapAdd(stft, stft.samples, -phases.delay)
    for block in _then_silence(blocks):
        phasors = phases(block.sum(0))
        late = late or Late(phases.delay)
        # frames first, for they are what comes late
        magnitudes = late(block.transpose(0, 1)).transpose(0, 1)
        start = lay_down.start
        samples = lay_down(magnitudes * phasors)
        if start + samples.shape[-1] > 0:
            yield samples[:, max(0, -start) : stft.sounded - start]
        if lay_down.start >= stft.sounded:
            return


def _then_silence(blocks: Iterable[Tensor]) -> Iterator[Tensor]:
    """The blocks, and as many of silence as it takes for what is late to come."""
    block = torch.zeros(0)
    for block in blocks:
        yield block
    silence = torch.zeros_like(block)
    while True:
        yield silence


class Phases:
    """Gives unit phasors for magnitudes, block by block, `delay` frames late.

    Args:
        phase: 'zero', every frame a pulse at its middle; 'random', drawn; 'pghi' (see `pghi`).
        iterations: of Griffin-Lim, beginning with those phases.
        seed: what is drawn is the same for the same seed, of any numbers.
        heard: how many bins, from the lowest on, may be other than silent.
    """

    def __init__(
        self, stft: Stft, phase: str, iterations: int, seed: tuple[int, ...], heard: int | None = None
    ) -> None:
        self._stft, self._phase, self._seed, self._blocks = stft, phase, seed, 0
        self._heard = stft.bins if heard is None else heard
        self._gradient = PhaseGradient(stft, self._heard) if phase == "pghi" else None
        first = 0 if self._gradient is None else self._gradient.delay
        self._late = Late(first)
        self._griffin_lim = GriffinLim(stft, iterations, -first) if iterations else None
        self.delay = first + (0 if self._griffin_lim is None else self._griffin_lim.delay)
        # bin m of a frame whose middle has phase p has phase p + pi m at its first sample
        self._signs = torch.ones(stft.bins)
        self._signs[1::2] = -1

    def __call__(self, magnitudes: Tensor) -> Tensor:
        """complex64 `[frame, bin]` against each frame's first sample, from float32 `[frame, bin]`."""
        phasors = torch.ones_like(magnitudes, dtype=torch.complex64)
        if self._phase != "zero":
            draw = np.random.default_rng((*self._seed, self._blocks))
            phases = draw.random((magnitudes.shape[0], self._heard)) * (2 * math.pi)
            if self._gradient is not None:
                phases = self._gradient(magnitudes[:, : self._heard], phases)
            angles = torch.from_numpy(phases).float()
            phasors[:, : self._heard] = torch.polar(torch.ones_like(angles), angles)
        self._blocks += 1
        phasors *= self._signs
        if self._griffin_lim is None:
            return phasors
        return self._griffin_lim(self._late(magnitudes), phasors)
