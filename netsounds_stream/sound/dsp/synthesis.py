"""Synthesis of a signal from magnitudes: phases and inverse STFT, one block of frames at a time.

All channels of a signal get the same phases, those of their sum, so that filters panned by amplitude keep
their positions. Phases are zero, random or from the phase gradient, and may be improved by Griffin-Lim.
Blocks lie on a fixed grid.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ...planning.plan import Stft
from .griffin_lim import DelayLine, GriffinLim
from .pghi import PhaseGradient
from .stft import OverlapAdd


def synthesised(
    blocks: Iterable[Tensor],
    stft: Stft,
    phase: str,
    iterations: int,
    seed: tuple[int, ...],
    audible: int | None = None,
) -> Iterator[Tensor]:
    """Synthesise the signal that has these magnitudes.

    Args:
        blocks: float32 `[channel, frame, bin]`: all frames of `stft`, or as many as `stft.sounded` needs,
            `block_frames` at a time, with zeros at the end of the last block.
        stft: the frames.
        phase: initial phases, see `Phases`.
        iterations: iterations of Griffin-Lim.
        seed: seed of random phases.
        audible: number of bins that may be audible, from the lowest; None: all.

    Yields:
        float32 `[channel, sample]`, some thousand samples at a time, `stft.sounded` in all.
    """
    phases = Phases(stft, phase, iterations, seed, audible)
    delayed = DelayLine(phases.delay)
    overlap_add = OverlapAdd(stft, stft.samples, -phases.delay)
    for block in then_silence(blocks):
        phasors = phases(block.sum(0))
        # frames are delayed along the first axis
        magnitudes = delayed(block.transpose(0, 1)).transpose(0, 1)
        start = overlap_add.start
        samples = overlap_add(magnitudes * phasors)
        if start + samples.shape[-1] > 0:
            yield samples[:, max(0, -start) : stft.sounded - start]
        if overlap_add.start >= stft.sounded:
            return


def then_silence(blocks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield the blocks, then silent blocks without end, so that delayed frames can be drained."""
    block = torch.zeros(0)
    for block in blocks:
        yield block
    silence = torch.zeros_like(block)
    while True:
        yield silence


class Phases:
    """Phases for blocks of magnitudes, as phasors that come `delay` frames late.

    Args:
        stft: the frames.
        phase: initial phases: 'zero' (every frame is a pulse at its middle), 'random', or 'pghi' (see
            `pghi`).
        iterations: iterations of Griffin-Lim that improve them.
        seed: seed of random phases: any numbers.
        audible: number of bins that may be audible, from the lowest; None: all.

    Attributes:
        delay: look-ahead, in frames.
    """

    def __init__(
        self, stft: Stft, phase: str, iterations: int, seed: tuple[int, ...], audible: int | None = None
    ) -> None:
        self._phase = phase
        self._seed = seed
        self._blocks = 0  # blocks so far; part of the seed of each
        self._audible = stft.bins if audible is None else audible
        self._gradient = PhaseGradient(stft, self._audible) if phase == "pghi" else None
        first = 0 if self._gradient is None else self._gradient.delay
        self._delayed = DelayLine(first)
        self._griffin_lim = GriffinLim(stft, iterations, -first) if iterations else None
        self.delay = first + (0 if self._griffin_lim is None else self._griffin_lim.delay)
        # phase p at the middle of a frame is phase p + pi m at its first sample, in bin m
        self._signs = torch.ones(stft.bins)
        self._signs[1::2] = -1

    def __call__(self, magnitudes: Tensor) -> Tensor:
        """Compute the phasors of the next block.

        Args:
            magnitudes: float32 `[frame, bin]`.

        Returns:
            complex64 `[frame, bin]` of magnitude 1, with phases against each frame's first sample, of the
            frames `delay` before these.
        """
        phasors = torch.ones_like(magnitudes, dtype=torch.complex64)
        if self._phase != "zero":
            generator = np.random.default_rng((*self._seed, self._blocks))
            phases = generator.random((magnitudes.shape[0], self._audible)) * (2 * math.pi)
            if self._gradient is not None:
                phases = self._gradient(magnitudes[:, : self._audible], phases)
            angles = torch.from_numpy(phases).float()
            phasors[:, : self._audible] = torch.polar(torch.ones_like(angles), angles)
        self._blocks += 1
        phasors *= self._signs
        if self._griffin_lim is None:
            return phasors
        return self._griffin_lim(self._delayed(magnitudes), phasors)
