"""Stored filters inverted one by one, a block at a time, into laid-out WAVs: here or on another machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..base.checksums import combined, shifted
from ..planning.plan import AudioPlan
from ..planning.sound_options import SoundOptions
from ..store.arrays import Activations
from ..store.blocks import Block
from .dsp.half_ifft import half_frames, mirrored
from .levels import Floats
from .view import FilterExtremes
from .wav import LaidOutWav, full_scale, to_samples


@dataclass(frozen=True)
class Inversion:
    """How a bank's filters are inverted, and which samples of which files they are.

    Attributes:
        paths: one file for all filters, end to end; or one a filter, in the order of `place`.
        infos: of each file, see `tags.info_chunk`.
        factor, offset: by filter; samples are scaled by them.
        place: of the filters that sound, in order: which is which.
        per_filter: samples.
        extremes: a path, filters and frames, for `FilterExtremes`; None where nothing is to be seen.
    """

    options: SoundOptions
    audio: AudioPlan
    paths: tuple[Path, ...]
    infos: tuple[bytes, ...]
    factor: Floats
    offset: Floats
    place: Mapping[int, int]
    per_filter: int
    frequencies: int
    device: str
    extremes: tuple[Path, int, int] | None

    @property
    def together(self) -> bool:
        """Whether one file takes all filters."""
        return self.audio.scheme == "concat"

    @property
    def cut(self) -> bool:
        """Whether files end before the filters do, as a preview's."""
        return self.audio.samples < self.per_filter * (len(self.place) if self.together else 1)

    def begins(self, block: Block, at: int = 0) -> int:
        """The sample of its file where the block's filter `at` begins."""
        first: int = block.frames.start * self.frequencies
        return first + self.together * (self.place[block.channels.start] + at) * self.per_filter

    def files_of(self, block: Block) -> list[int]:
        """The numbers of the files that it goes to: filters, or 0 for all."""
        return [0] if self.together else list(range(block.channels.start, block.channels.stop))

    def laid_out(self, number: int, checksum: int | None) -> LaidOutWav:
        """A file, new; or with a checksum one that is gone on with."""
        at = 0 if self.together else self.place[number]
        return LaidOutWav(self.paths[at], self.audio, self.options, checksum, self.infos[at])

    def seen(self, opened: ExitStack) -> FilterExtremes | None:
        """What takes the samples' extremes, until `opened` closes it."""
        return None if self.extremes is None else opened.enter_context(FilterExtremes(*self.extremes))

    def invert(
        self,
        source: Activations,
        block: Block,
        files: Mapping[int, LaidOutWav],
        seen: FilterExtremes | None,
        advance: Callable[[float], None],
    ) -> tuple[Block, list[int]]:
        """Have a block's samples in their files; the linear parts of each filter's stretch."""
        values = source.read(block.channels, block.frames).to(self.device)
        half = half_frames(values.float())
        half.mul_(self._column(self.factor, block)).add_(self._column(self.offset, block))
        taken = to_samples(half, self.options.subtype, bounded=self.options.scale != "none")
        if seen is not None:
            low, high = (
                each.cpu().float() / full_scale(self.options.subtype) for each in torch.aminmax(taken, dim=2)
            )
            seen.add(self.place[block.channels.start], block.frames.start, low.numpy(), high.numpy())
        samples = mirrored(taken, self.frequencies).cpu().numpy()
        parts, cut = [], self.cut
        for at, (sound, number) in enumerate(zip(samples, self._numbers(block), strict=True)):
            first = self.begins(block, at)
            heard = sound.reshape(-1)[: max(0, self.audio.samples - first)] if cut else sound
            parts.append(files[number].write(first, heard) if heard.size else 0)
        advance(samples.size)
        return block, parts

    def add_sums(self, block: Block, parts: list[int], files: Mapping[int, LaidOutWav]) -> None:
        """Have what `invert` gave in the files' checksums."""
        length = (block.frames.stop - block.frames.start) * self.frequencies
        ends = [min(self.audio.samples, self.begins(block, at) + length) for at in range(len(parts))]
        if self.together and not self.cut:
            one = files[0]
            one.checksum ^= shifted(
                combined(parts, self.per_filter * one.sample_bytes), one.bytes_after(ends[-1])
            )
            return
        for part, end, number in zip(parts, ends, self._numbers(block), strict=True):
            file = files[number]
            file.checksum ^= shifted(part, file.bytes_after(end)) if part else 0

    def _numbers(self, block: Block) -> list[int]:
        """Of each of the block's filters, its file."""
        filters = range(block.channels.start, block.channels.stop)
        return [0 for _ in filters] if self.together else list(filters)

    def _column(self, values: Floats, block: Block) -> Tensor:
        taken = np.ascontiguousarray(values[block.channels])
        return torch.tensor(taken, dtype=torch.float32, device=self.device).view(-1, 1, 1)
