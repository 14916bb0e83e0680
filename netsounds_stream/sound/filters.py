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


@dataclass(frozen=True, kw_only=True)
class InvertedBlock:
    """A block whose samples are in their files, and the linear checksum of each filter's stretch of them."""

    block: Block
    checksums: list[int]


@dataclass(frozen=True, kw_only=True)
class Inversion:
    """How a bank's filters are inverted, and which samples of which files they are.

    Attributes:
        options: how activations become sound.
        audio: the plan of each file.
        paths: one file for all filters, end to end; or one a filter, in the order of `place`.
        infos: the chunk before the samples of each file, see `tags.info_chunk`.
        factor: by filter; samples are multiplied by it.
        offset: by filter; then it is added.
        place: position of each selected filter among them.
        filter_samples: samples of a filter.
        frequencies: values of a frame.
        device: where the frames are inverted.
        extremes: path, filters and frames for `FilterExtremes`; None without a report.
    """

    options: SoundOptions
    audio: AudioPlan
    paths: tuple[Path, ...]
    infos: tuple[bytes, ...]
    factor: Floats
    offset: Floats
    place: Mapping[int, int]
    filter_samples: int
    frequencies: int
    device: str
    extremes: tuple[Path, int, int] | None

    @property
    def together(self) -> bool:
        """Whether one file holds all filters."""
        return self.audio.scheme == "concat"

    @property
    def cut(self) -> bool:
        """Whether files end before the filters do, as a preview's."""
        return self.audio.samples < self.filter_samples * (len(self.place) if self.together else 1)

    def first_sample(self, block: Block, position: int = 0) -> int:
        """Return the sample of its file at which a filter of the block begins.

        Args:
            block: the block.
            position: the filter's, counted from the block's first.
        """
        first: int = block.frames.start * self.frequencies
        if self.together:
            first += (self.place[block.channels.start] + position) * self.filter_samples
        return first

    def files_of(self, block: Block) -> list[int]:
        """Return the numbers of the block's files: its filters, or 0 for the one file of all."""
        return [0] if self.together else list(range(block.channels.start, block.channels.stop))

    def laid_out(self, number: int, checksum: int | None) -> LaidOutWav:
        """Open a file: a new one, or with a checksum one to be resumed."""
        position = 0 if self.together else self.place[number]
        return LaidOutWav(self.paths[position], self.audio, self.options, checksum, self.infos[position])

    def open_extremes(self, stack: ExitStack) -> FilterExtremes | None:
        """Open the file of the samples' extremes, until `stack` is closed; None without a report."""
        return None if self.extremes is None else stack.enter_context(FilterExtremes(*self.extremes))

    def invert(
        self,
        source: Activations,
        block: Block,
        files: Mapping[int, LaidOutWav],
        extremes: FilterExtremes | None,
        advance: Callable[[float], None],
    ) -> InvertedBlock:
        """Invert a block and write its samples into their files.

        Args:
            source: the stored activations.
            block: which of them.
            files: the open files, by their numbers.
            extremes: takes the samples' extremes; None without a report.
            advance: called with the number of samples.
        """
        values = source.read(block.channels, block.frames).to(self.device)
        half = half_frames(values.float())
        half.mul_(self._column(self.factor, block)).add_(self._column(self.offset, block))
        rounded = to_samples(half, self.options.subtype, bounded=self.options.scale != "none")
        if extremes is not None:
            low, high = (
                extreme.cpu().float() / full_scale(self.options.subtype)
                for extreme in torch.aminmax(rounded, dim=2)
            )
            extremes.add(self.place[block.channels.start], block.frames.start, low.numpy(), high.numpy())
        samples = mirrored(rounded, self.frequencies).cpu().numpy()
        checksums = []
        cut = self.cut
        for position, (sound, number) in enumerate(zip(samples, self._numbers(block), strict=True)):
            first = self.first_sample(block, position)
            written = sound.reshape(-1)[: max(0, self.audio.samples - first)] if cut else sound
            checksums.append(files[number].write(first, written) if written.size else 0)
        advance(samples.size)
        return InvertedBlock(block=block, checksums=checksums)

    def add_checksums(self, inverted: InvertedBlock, files: Mapping[int, LaidOutWav]) -> None:
        """Add a block's checksums to those of its files."""
        block, parts = inverted.block, inverted.checksums
        length = (block.frames.stop - block.frames.start) * self.frequencies
        ends = [
            min(self.audio.samples, self.first_sample(block, position) + length)
            for position in range(len(parts))
        ]
        if self.together and not self.cut:
            file = files[0]
            stretch = combined(parts, self.filter_samples * file.sample_bytes)
            file.checksum ^= shifted(stretch, file.bytes_after(ends[-1]))
            return
        for part, end, number in zip(parts, ends, self._numbers(block), strict=True):
            file = files[number]
            file.checksum ^= shifted(part, file.bytes_after(end)) if part else 0

    def _numbers(self, block: Block) -> list[int]:
        """Return the number of the file of each of the block's filters."""
        filters = range(block.channels.start, block.channels.stop)
        return [0] * len(filters) if self.together else list(filters)

    def _column(self, values: Floats, block: Block) -> Tensor:
        selected = np.ascontiguousarray(values[block.channels])
        return torch.tensor(selected, dtype=torch.float32, device=self.device).view(-1, 1, 1)
