"""From magnitudes to samples: phases, inverse STFT, a block of frames at a time in bounded memory.

All channels of a signal get the same phases, those of their sum: so what was panned by amplitude stays
where it was put.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from .griffin_lim import Late
from .phases import Phases
from .planning.plan import Stft
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
