"""From stored activations, or from their running sum, to WAV files, in blocks.

Sample n of a filter's frame is y[n] = real(ifft(x))[n] over the frequency axis; frames follow one another
in time order. A scheme says which samples make a file, a balance whether filters are levelled first, a
scale how the result fills [-1, 1]; `minmax` with `filter` is what netsounds recorded.

The inversion is linear: a sum of filters takes one IFFT a frame, not one a filter. Every pass over the
store is a step of the run's journal, and goes on where it was put down.
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
from ..base.journal import Files, Journal
from ..base.pipeline import Pipeline
from ..base.progress import Advance, Stages
from ..errors import Stopped
from ..planning.plan import AudioPlan
from ..planning.sound_options import SoundOptions
from ..store.arrays import Activations
from ..store.blocks import Block, Pass, blocks_of
from .filters import Inversion
from .levels import LevelMeter, Levels, energies, extremes, gains
from .mixture import chosen
from .sum_spool import SumSpool
from .tags import Tags, info_chunk
from .view import SoundMeter, Views, view_plan
from .wav import LaidOutWav

#: Has a bank's blocks inverted elsewhere, into files laid out here; gives on what `invert` gives, in order.
Share = Callable[[Inversion, int, list[Block], Callable[[tuple[Block, list[int]]], None], Advance], None]


@dataclass(frozen=True)
class Rendering:
    """What every pass over a bank's store needs.

    Attributes:
        stored: the activations; None where there are none and nothing but known sums is written.
        options: how they become sound.
        block_values: worked on at a time.
        line: the workers.
        journal: where the passes' steps are kept.
        name: of the bank's stage, and the first word of its steps.
        tags: of each file, by its scheme.
        device: where filters are inverted, one by one.
        number: the bank's.
        views: where what is seen of the files is kept, if it is wanted.
        share: what has blocks inverted elsewhere, if something does.
    """

    stored: Activations | None
    options: SoundOptions
    block_values: int
    pipeline: Pipeline
    journal: Journal
    name: str
    tags: Callable[[str], Tags]
    device: str = "cpu"
    number: int = 0
    views: Views | None = None
    share: Share | None = None

    @property
    def source(self) -> Activations:
        assert self.stored is not None
        return self.stored


def measure_levels(to: Rendering, *, lowest: bool, advance: Advance) -> Levels:
    """The extremes of each filter of stored activations, and its energy if wanted, in one pass over them."""
    source, work = to.source, Pass(to.journal, f"{to.name}: levels", blocks_of(to.source, to.block_values))
    meter = LevelMeter(source.channels, work.state)

    def measure(block: Block) -> tuple[int, tuple[Tensor, Tensor, Tensor], Tensor | None]:
        values = source.read(block.channels, block.frames)
        low, high, peak = (each.cpu() for each in extremes(values.to(to.device), lowest=lowest))
        squares = energies(values.float().permute(1, 2, 0)) if to.options.needs_energies else None
        advance(values.numel())
        return block.channels.start, (low, high, peak), squares

    def add(found: tuple[int, tuple[Tensor, Tensor, Tensor], Tensor | None]) -> None:
        first, levels, squares = found
        meter.add(first, *levels)
        if squares is not None:
            meter.add_energies(first, squares)
        work.reached(meter.state, dict)

    to.pipeline.run(source.prefetched(work.remaining(advance, source.frequencies)), measure, [add])
    work.end(meter.state, dict)
    return meter.levels()


def write_filters(
    to: Rendering, levels: Levels, paths: Sequence[Path], audio: AudioPlan, advance: Advance
) -> None:
    """Write every filter's sound, in one pass over stored activations.

    Into one path, filters end to end; or into a path a filter. Inverted, scaled and rounded on the device.
    """
    source, options = to.source, to.options
    together = audio.scheme == "concat"
    numbers = chosen(source.channels, options, levels)
    place = {number: at for at, number in enumerate(numbers)}
    each = levels if options.balance == "filter" else levels.of(numbers).whole()
    factor, offset = (np.broadcast_to(values, source.channels) for values in gains(each, options.scale))
    inversion = Inversion(
        options,
        audio,
        tuple(paths),
        tuple(
            info_chunk(to.tags("concat" if together else f"filter {number}"))
            for number in ([0] if together else numbers)
        ),
        factor,
        offset,
        place,
        source.frames * source.frequencies,
        source.frequencies,
        to.device,
        None if to.views is None else (to.views.extremes_path(to.number), len(numbers), source.frames),
    )
    blocks = [
        block
        for block in blocks_of(source, to.block_values, chosen=numbers)
        if inversion.begins(block) < audio.samples
    ]
    last_frame = max(block.frames.stop for block in blocks)
    work = Pass(to.journal, f"{to.name}: {audio.scheme}", blocks)
    left_open = dict((work.state or {}).get("open", {}))
    files: dict[int, LaidOutWav] = {}
    whole: dict[Path, FileSum | None] = {}  # closed, and not kept yet

    def opening(opened: ExitStack) -> Iterator[Block]:
        for block in source.prefetched(work.remaining(advance, source.frequencies)):
            for number in inversion.files_of(block):
                if number not in files:
                    wav = inversion.laid_out(number, left_open.pop(str(number), None))
                    files[number] = opened.enter_context(wav)
            yield block

    def add(found: tuple[Block, list[int]]) -> None:
        block, parts = found
        inversion.add_sums(block, parts, files)
        # in order: all before it are written
        ended = block == blocks[-1] if together else block.frames.stop == last_frame
        for number in inversion.files_of(block) if ended else []:
            wav = files.pop(number)
            wav.close()
            whole[wav.path] = wav.file_sum()
        work.reached(state, written)

    def state() -> Mapping[str, Any]:
        # as a list first: another worker may open files meanwhile
        return {"open": {str(number): wav.checksum for number, wav in list(files.items())}}

    def written() -> Files:
        found = {**whole, **{wav.path: None for wav in list(files.values())}}
        if to.views is not None:
            found[to.views.extremes_path(to.number)] = None
        whole.clear()
        return found

    with ExitStack() as opened:
        if to.share is not None:
            blocks = []
            for block in opening(opened):
                blocks.append(block)
                for number in inversion.files_of(block):
                    files[number].close()  # laid out, and opened again where it is written
            to.share(inversion, to.number, blocks, add, advance)
        else:
            seen = inversion.seen(opened)
            to.pipeline.run(
                opening(opened), lambda block: inversion.invert(source, block, files, seen, advance), [add]
            )
        work.end(state, written)


def write_sum(to: Rendering, total: SumSpool, path: Path, audio: AudioPlan, advance: Advance) -> None:
    """Write the sum of a bank's filters. A step that is begun again: it is a hundredth of a run."""
    step, options, seen = f"{to.name}: sum", to.options, None
    if to.journal.done(step):
        advance.skip(audio.samples * audio.channels)
        return
    if to.journal.stopping:
        raise Stopped
    if to.views is not None:
        seen = SoundMeter(view_plan(audio, options, windowed=False, filter_samples=0))
    info = info_chunk(to.tags("sum"))
    files: dict[Path, FileSum | None] = {
        path: total.write_wav(path, audio, options, to.block_values, advance, info, seen)
    }
    if to.views is not None and seen is not None:
        view = to.views.path(to.number, "sum")
        seen.finish().save(view)
        files[view] = None
    to.journal.reached(step, {"whole": True}, lambda cancelled: files)


def render_bank(
    to: Rendering,
    files: Sequence[tuple[AudioPlan, Sequence[Path]]],
    stages: Stages,
    *,
    levels: Levels | None,
    total: SumSpool | None = None,
) -> None:
    """Write all of a bank's raw sound out of its stored activations.

    Args:
        files: what to write: a file for 'sum' and 'concat', a file a filter for 'filters'.
        levels: the filters' extremes, where they are written one by one; by 'minmax' the lowest, too.
        total: the sum of the filters, where there is one to be written.

    Raises:
        Stopped: the run was asked to stop; what is done is noted in the journal.
    """
    work = sum(audio.files * audio.samples * audio.channels for audio, _ in files)
    with stages.stage(to.name, work, "samples") as advance:
        for audio, paths in files:
            if audio.scheme == "sum":
                assert total is not None
                write_sum(to, total, paths[0], audio, advance)
            else:
                assert levels is not None
                write_filters(to, levels, paths, audio, advance)
