"""Raw sound: stored activations, or their running sum, inverted frame by frame into WAV files.

Sample n of a filter's frame is y[n] = real(ifft(x))[n] over the frequency axis; frames follow one another in
time order. The scheme says which samples make a file, the balance whether filters are levelled one by one,
the scale how the result fills [-1, 1]; 'minmax' with 'filter' is what netsounds recorded.

The inversion is linear: a sum of filters takes one IFFT a frame, not one a filter. Every pass over the store
is a step of the run's journal, and can be suspended and resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..base.checksums import FileSum
from ..base.journal import Files
from ..base.progress import Advance, Stages
from ..errors import Stopped
from ..planning.plan import AudioPlan
from ..planning.steps import FiltersState, LevelsPassState, SoundState, filters_step, levels_step, sum_step
from ..store.arrays import Activations
from ..store.blocks import Block, Pass, blocks_of
from .context import StageContext
from .filters import Inversion, InvertedBlock
from .levels import LevelMeter, Levels, energies, extremes, gains
from .mixture import selected_filters
from .sum_spool import SumSpool
from .tags import info_chunk
from .view import FilterExtremes, SoundMeter, view_plan
from .wav import LaidOutWav

#: Inverts a bank's blocks on other machines into preallocated WAV files, and hands on what `Inversion.invert`
#: returns for each, in block order.
Share = Callable[[Inversion, int, list[Block], Callable[[InvertedBlock], None], Advance], None]


@dataclass(frozen=True, kw_only=True)
class RawSound:
    """A bank whose sound is made of stored activations, or of sums that the network's stage has made.

    Attributes:
        context: options, journal, workers and folders.
        number: number of the bank; 0 where it is not known.
        stage: name of the bank's stage, with which the names of its steps begin.
        stored: the bank's activations; None where only known sums are written.
        block_values: number of values that are processed at a time.
        share: inverts blocks on other machines; None: they are inverted here.
    """

    context: StageContext
    number: int
    stage: str
    stored: Activations | None
    block_values: int
    share: Share | None = None

    @property
    def source(self) -> Activations:
        """The stored activations, which must be there."""
        assert self.stored is not None
        return self.stored


@dataclass(frozen=True, kw_only=True)
class _BlockLevels:
    """Levels of a block's filters.

    Attributes:
        first: number of the block's first filter.
        extremes: lowest and highest sample and largest magnitude, `[channel]` each.
        energies: energies and their moments, `[2, channel]`; None where they are not wanted.
    """

    first: int
    extremes: tuple[Tensor, Tensor, Tensor]
    energies: Tensor | None


def measure_levels(raw: RawSound, *, lowest: bool, advance: Advance) -> Levels:
    """Measure the extremes of each filter, and its energy where it is wanted, in one pass over its store.

    Args:
        raw: the bank.
        lowest: whether the lowest sample is wanted, too, for which every frame is inverted.
        advance: called with the number of values.

    Raises:
        Stopped: the run was cancelled; what is done is noted in the journal.
        StoreError: the store cannot be read, or holds NaN or infinity.
    """
    context = raw.context
    source = raw.source
    work: Pass[LevelsPassState] = Pass(
        context.journal, levels_step(raw.stage), blocks_of(source, raw.block_values)
    )
    meter = LevelMeter(source.channels, work.state)

    def measure(block: Block) -> _BlockLevels:
        values = source.read(block.channels, block.frames)
        low, high, peak = (extreme.cpu() for extreme in extremes(values.to(context.device), lowest=lowest))
        wanted = context.options.needs_energies
        squares = energies(values.float().permute(1, 2, 0)) if wanted else None
        advance(values.numel())
        return _BlockLevels(first=block.channels.start, extremes=(low, high, peak), energies=squares)

    def add(block: _BlockLevels) -> None:
        meter.add(block.first, *block.extremes)
        if block.energies is not None:
            meter.add_energies(block.first, block.energies)
        work.reached(meter.state, dict)

    context.pipeline.run(source.prefetched(work.remaining(advance, source.frequencies)), measure, [add])
    work.end(meter.state, dict)
    return meter.levels()


def write_filters(
    raw: RawSound, levels: Levels, paths: Sequence[Path], audio: AudioPlan, advance: Advance
) -> None:
    """Write the sound of each filter, in one pass over stored activations.

    Filters are inverted, scaled and rounded on the device.

    Args:
        raw: the bank.
        levels: levels of the filters.
        paths: path of one file for all filters, end to end; or of a file a filter.
        audio: plan of each file.
        advance: called with the number of samples.

    Raises:
        Stopped: the run was cancelled; what is done is noted in the journal.
    """
    writer = _FilterWriter(raw, _inversion(raw, levels, paths, audio), advance)
    with ExitStack() as stack:
        if raw.share is None:
            writer.write_here(stack)
        else:
            writer.write_elsewhere(stack, raw.share)
        writer.end()


def _inversion(raw: RawSound, levels: Levels, paths: Sequence[Path], audio: AudioPlan) -> Inversion:
    """Return how the bank's filters are inverted."""
    context = raw.context
    source = raw.source
    options = context.options
    numbers = selected_filters(source.channels, options, levels)
    one_file = audio.scheme == "concat"
    schemes = ["concat"] if one_file else [f"filter {number}" for number in numbers]
    scaled_by = levels if options.balance == "filter" else levels.of(numbers).joined()
    factor, offset = (np.broadcast_to(values, source.channels) for values in gains(scaled_by, options.scale))
    extremes_file = None
    if context.views is not None:
        extremes_file = context.views.extremes_path(raw.number), len(numbers), source.frames
    return Inversion(
        options=options,
        audio=audio,
        paths=tuple(paths),
        infos=tuple(info_chunk(context.tags(bank_tag(raw.number), scheme)) for scheme in schemes),
        factor=factor,
        offset=offset,
        place={number: position for position, number in enumerate(numbers)},
        filter_samples=source.frames * source.frequencies,
        frequencies=source.frequencies,
        device=context.device,
        extremes=extremes_file,
    )


def bank_tag(number: int) -> str:
    """Return a bank's number as tags have it; empty where it is not known."""
    return str(number or "")


class _FilterWriter:
    """One pass that inverts filters into files, each of which is open from its first block to its last."""

    def __init__(self, raw: RawSound, inversion: Inversion, advance: Advance) -> None:
        self._raw = raw
        self._inversion = inversion
        self._advance = advance
        self._blocks = [
            block
            for block in blocks_of(raw.source, raw.block_values, chosen=list(inversion.place))
            if inversion.first_sample(block) < inversion.audio.samples
        ]
        self._last_frame = max(block.frames.stop for block in self._blocks)
        self._pass: Pass[FiltersState] = Pass(
            raw.context.journal, filters_step(raw.stage, inversion.audio.scheme), self._blocks
        )
        self._left_open = {} if self._pass.state is None else dict(self._pass.state["open"])
        self._files: dict[int, LaidOutWav] = {}
        self._closed: dict[Path, FileSum | None] = {}  # since the last commit
        self._extremes: FilterExtremes | None = None  # those of this machine

    def write_here(self, stack: ExitStack) -> None:
        """Invert the blocks on this machine's workers."""
        extremes = self._extremes = self._inversion.open_extremes(stack)

        def invert(block: Block) -> InvertedBlock:
            return self._inversion.invert(self._raw.source, block, self._files, extremes, self._advance)

        self._raw.context.pipeline.run(self._opening(stack), invert, [self._add])

    def write_elsewhere(self, stack: ExitStack, share: Share) -> None:
        """Preallocate the files, and have other machines invert the blocks into them."""
        blocks = []
        for block in self._opening(stack):
            blocks.append(block)
            for number in self._inversion.files_of(block):
                self._files[number].close()  # opened again where it is written
        share(self._inversion, self._raw.number, blocks, self._add, self._advance)

    def end(self) -> None:
        """Record in the journal that the pass is complete, or how far it has come.

        Raises:
            Stopped: the run was cancelled before the last block.
        """
        self._pass.end(self._state, self._written)

    def _opening(self, stack: ExitStack) -> Iterator[Block]:
        """Yield the remaining blocks, their files having been opened."""
        source = self._raw.source
        for block in source.prefetched(self._pass.remaining(self._advance, source.frequencies)):
            for number in self._inversion.files_of(block):
                if number not in self._files:
                    wav = self._inversion.open_file(number, self._left_open.pop(str(number), None))
                    self._files[number] = stack.enter_context(wav)
            yield block

    def _add(self, inverted: InvertedBlock) -> None:
        block = inverted.block
        self._inversion.add_checksums(inverted, self._files)
        # blocks come in order: all before this one are written
        one_file = self._inversion.one_file
        complete = block == self._blocks[-1] if one_file else block.frames.stop == self._last_frame
        for number in self._inversion.files_of(block) if complete else []:
            wav = self._files.pop(number)
            wav.close()
            self._closed[wav.path] = wav.file_sum()
        self._pass.reached(self._state, self._written)

    def _state(self) -> Mapping[str, Any]:
        # copied to a list first: another worker may open files meanwhile
        return {"open": {str(number): wav.checksum for number, wav in list(self._files.items())}}

    def _written(self) -> Files:
        files = {**self._closed, **{wav.path: None for wav in list(self._files.values())}}
        self._closed.clear()
        views = self._raw.context.views
        if self._extremes is not None:
            self._extremes.flush()
        if views is not None:
            files[views.extremes_path(self._raw.number)] = None
        return files


def write_sum(raw: RawSound, total: SumSpool, path: Path, audio: AudioPlan, advance: Advance) -> None:
    """Write the raw sum of a bank's filters, unless the journal says that it is written.

    The step is not resumed but begins again: it is a hundredth of a run.

    Args:
        raw: the bank.
        total: the sum.
        path: path of the file.
        audio: plan of the file.
        advance: called with the number of samples.

    Raises:
        Stopped: the run was cancelled.
    """
    context = raw.context
    step = sum_step(raw.stage)
    if context.journal.done(step):
        advance.skip(audio.samples * audio.channels)
        return
    if context.journal.stopping:
        raise Stopped
    meter = None
    if context.views is not None:
        meter = SoundMeter(view_plan(audio, context.options, windowed=False, filter_samples=0))
    info = info_chunk(context.tags(bank_tag(raw.number), "sum"))
    written = total.write_wav(
        path,
        audio,
        context.options,
        block_values=raw.block_values,
        advance=advance,
        info=info,
        meter=meter,
    )
    files: dict[Path, FileSum | None] = {path: written}
    if context.views is not None and meter is not None:
        view = context.views.path(raw.number, "sum")
        meter.finish().save(view)
        files[view] = None
    state: SoundState = {"complete": True}
    context.journal.reached(step, state, lambda cancelled: files)


def render_bank(
    raw: RawSound,
    files: Sequence[tuple[AudioPlan, Sequence[Path]]],
    stages: Stages,
    *,
    levels: Levels | None,
    total: SumSpool | None = None,
) -> None:
    """Write all of a bank's raw sound.

    Args:
        raw: the bank.
        files: plan and paths of each scheme's files: one for 'sum' and 'concat', one a filter for 'filters'.
        stages: the run's progress.
        levels: levels of the filters, where these are written one by one; by 'minmax' with the lowest
            samples.
        total: the sum of the filters, where it is written.

    Raises:
        Stopped: the run was cancelled; what is done is noted in the journal.
    """
    work = sum(audio.files * audio.samples * audio.channels for audio, _ in files)
    with stages.stage(raw.stage, work, "samples") as advance:
        for audio, paths in files:
            if audio.scheme == "sum":
                assert total is not None
                write_sum(raw, total, paths[0], audio, advance)
            else:
                assert levels is not None
                write_filters(raw, levels, paths, audio, advance)
