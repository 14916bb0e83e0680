"""Inversion of stored filters, block by block, into preallocated WAV files: here or on another machine."""

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
    """A block whose samples were written.

    Attributes:
        block: the block.
        checksums: linear checksum of each filter's samples.
    """

    block: Block
    checksums: list[int]


@dataclass(frozen=True, kw_only=True)
class Inversion:
    """The inversion of a bank's filters: scaling, files, and the place of each block in them.

    Attributes:
        options: options of the sound.
        audio: plan of each file.
        paths: path of one file for all filters, end to end; or of a file a filter, in the order of `place`.
        infos: chunk that precedes the samples of each file; see `tags.info_chunk`.
        factor: multiplies the samples of a filter, float64 `[filter]`.
        offset: is added to them afterwards, float64 `[filter]`.
        place: position of each selected filter among the selected ones, by its number.
        filter_samples: number of samples of a filter.
        frequencies: number of values of a frame.
        device: torch device on which frames are inverted.
        extremes: path, filters and frames of the `FilterExtremes`; None without a report.
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
    def one_file(self) -> bool:
        """True where one file holds all filters, end to end."""
        return self.audio.scheme == "concat"

    @property
    def shortened(self) -> bool:
        """True where files end before the filters do, as in a preview."""
        return self.audio.samples < self.filter_samples * (len(self.place) if self.one_file else 1)

    def first_sample(self, block: Block, position: int = 0) -> int:
        """Return the number of the sample, in its file, at which a filter of a block begins.

        Args:
            block: the block.
            position: position of the filter in the block.
        """
        first: int = block.frames.start * self.frequencies
        if self.one_file:
            first += (self.place[block.channels.start] + position) * self.filter_samples
        return first

    def files_of(self, block: Block) -> list[int]:
        """Return the numbers of a block's files: those of its filters, or 0 where all share one file."""
        return [0] if self.one_file else list(range(block.channels.start, block.channels.stop))

    def open_file(self, number: int, checksum: int | None) -> LaidOutWav:
        """Open a file.

        Args:
            number: number of the file; see `files_of`.
            checksum: checksum of a file to resume; None: a new file.

        Raises:
            OutputError: the file cannot be made.
            StoreError: the file to resume is missing, or has another length.
        """
        position = 0 if self.one_file else self.place[number]
        return LaidOutWav(self.paths[position], self.audio, self.options, checksum, self.infos[position])

    def open_extremes(self, stack: ExitStack) -> FilterExtremes | None:
        """Open the file of the samples' extremes until `stack` is closed; without a report, return None."""
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
            source: stored activations of the bank.
            block: filters and frames to invert.
            files: the block's open files, by their numbers.
            extremes: collects the samples' extremes; None without a report.
            advance: called with the number of samples.

        Returns:
            The block with its checksums, which `add_checksums` adds to the files'.

        Raises:
            StoreError: the activations cannot be read.
            OutputError: the samples cannot be written.
        """
        values = source.read(block.channels, block.frames).to(self.device)
        half = half_frames(values.float())
        half.mul_(self._column(self.factor, block)).add_(self._column(self.offset, block))
        rounded = to_samples(half, self.options.subtype, bounded=self.options.scale != "none").cpu().numpy()
        if extremes is not None:
            scale = full_scale(self.options.subtype)
            low, high = (bound.astype(np.float32) / scale for bound in (rounded.min(2), rounded.max(2)))
            extremes.add(self.place[block.channels.start], block.frames.start, low, high)
        samples = mirrored(rounded, self.frequencies)
        checksums = []
        shortened = self.shortened
        for position, (sound, number) in enumerate(zip(samples, self._numbers(block), strict=True)):
            first = self.first_sample(block, position)
            written = sound.reshape(-1)[: max(0, self.audio.samples - first)] if shortened else sound
            checksums.append(files[number].write(first, written) if written.size else 0)
        advance(samples.size)
        return InvertedBlock(block=block, checksums=checksums)

    def add_checksums(self, inverted: InvertedBlock, files: Mapping[int, LaidOutWav]) -> None:
        """Add a block's checksums to those of its files.

        Args:
            inverted: the block.
            files: its open files, by their numbers.
        """
        block = inverted.block
        checksums = inverted.checksums
        length = (block.frames.stop - block.frames.start) * self.frequencies
        ends = [
            min(self.audio.samples, self.first_sample(block, position) + length)
            for position in range(len(checksums))
        ]
        if self.one_file and not self.shortened:
            file = files[0]
            stretch = combined(checksums, self.filter_samples * file.sample_bytes)
            file.checksum ^= shifted(stretch, file.bytes_after(ends[-1]))
            return
        for checksum, end, number in zip(checksums, ends, self._numbers(block), strict=True):
            file = files[number]
            file.checksum ^= shifted(checksum, file.bytes_after(end)) if checksum else 0

    def _numbers(self, block: Block) -> list[int]:
        """Return the number of each filter's file, in the order of the block's filters."""
        filters = range(block.channels.start, block.channels.stop)
        return [0] * len(filters) if self.one_file else list(filters)

    def _column(self, values: Floats, block: Block) -> Tensor:
        """Return the values of a block's filters, float32 `[filter, 1, 1]`, on the device."""
        selected = values[block.channels].astype(np.float32)
        return torch.from_numpy(selected).view(-1, 1, 1).to(self.device)
