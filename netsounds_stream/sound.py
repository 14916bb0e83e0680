"""From stored activations, or from their running sum, to WAV files, in blocks.

Sample n of a filter's frame is y[n] = real(ifft(x))[n] over the frequency axis; frames follow one another
in time order. A scheme says which samples make a file, a balance whether filters are levelled first, a
scale how the result fills [-1, 1]; `minmax` with `filter` is what netsounds recorded.

The inversion is linear: a sum of filters takes one IFFT a frame, not one a filter. Every pass over the
store is a step of the run's journal, and goes on where it was put down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .checksums import FileSum, joined, moved
from .errors import Stopped
from .journal import Files, Journal
from .levels import Floats, LevelMeter, Levels, extremes, gains
from .options import SoundOptions
from .overlap import Line
from .passes import Block, Pass, blocks_of
from .plans import AudioPlan
from .progress import Advance, Stages
from .store import Activations
from .sum_spool import SumSpool
from .transform import half_frames, mirrored
from .wav import LaidOutWav, to_samples


@dataclass(frozen=True)
class Rendering:
    """What every pass over a bank's store needs.

    Attributes:
        source: the stored activations.
        options: how they become sound.
        block_values: worked on at a time.
        line: the workers.
        journal: where the passes' steps are kept.
        name: of the bank's stage, and the first word of its steps.
        device: where filters are inverted, one by one.
    """

    source: Activations
    options: SoundOptions
    block_values: int
    line: Line
    journal: Journal
    name: str
    device: str = "cpu"


def measure_levels(to: Rendering, *, lowest: bool, advance: Advance) -> Levels:
    """The extremes of each filter of stored activations, in one pass over them."""
    source, work = to.source, Pass(to.journal, f"{to.name}: levels", blocks_of(to.source, to.block_values))
    meter = LevelMeter(source.channels, work.state)

    def measure(block: Block) -> tuple[int, tuple[Tensor, Tensor, Tensor]]:
        values = source.read(block.channels, block.frames)
        low, high, peak = (each.cpu() for each in extremes(values.to(to.device), lowest=lowest))
        advance(values.numel())
        return block.channels.start, (low, high, peak)

    def add(found: tuple[int, tuple[Tensor, Tensor, Tensor]]) -> None:
        meter.add(found[0], *found[1])
        work.reached(meter.state, dict)

    to.line.run(work.left(advance, source.frequencies), measure, [add])
    work.end(meter.state, dict)
    return meter.levels()


def sum_filters(to: Rendering, weights: Floats, spool: SumSpool, work: Pass, advance: Advance) -> None:
    """Add the filters, each times its weight, into `spool`, in one pass over stored activations."""
    factors = torch.from_numpy(weights).float()
    total = torch.empty(0)

    def weighted(block: Block) -> tuple[Block, Tensor]:
        values = to.source.read(block.channels, block.frames)
        advance(values.numel())
        return block, torch.tensordot(factors[block.channels], values.float(), dims=1)

    def add(found: tuple[Block, Tensor]) -> None:
        nonlocal total
        block, part = found
        total = part if block.channels.start == 0 else total.add_(part)
        if block.channels.stop == to.source.channels:
            spool.add(half_frames(total))
        work.reached(state, files)

    def state() -> Mapping[str, Any]:
        return {"sum": spool.state()}

    def files() -> Files:
        return {spool.path: None}

    to.line.run(work.left(advance, to.source.frequencies), weighted, [add])
    work.end(state, files)


def write_filters(
    to: Rendering, levels: Levels, paths: Sequence[Path], audio: AudioPlan, advance: Advance
) -> None:
    """Write every filter's sound, in one pass over stored activations.

    Into one path, filters end to end; or into a path a filter. Inverted, scaled and rounded on the device.
    """
    source, options, device = to.source, to.options, to.device
    together = audio.scheme == "concat"
    each = levels if options.balance == "filter" else levels.whole()
    factor, offset = (np.broadcast_to(values, source.channels) for values in gains(each, options.scale))
    per_filter = source.frames * source.frequencies
    work = Pass(to.journal, f"{to.name}: {audio.scheme}", blocks_of(source, to.block_values))
    left_open = dict((work.state or {}).get("open", {}))
    files: dict[int, LaidOutWav] = {}
    whole: dict[Path, FileSum | None] = {}  # closed, and not kept yet

    def opening(opened: ExitStack) -> Iterator[Block]:
        for block in work.left(advance, source.frequencies):
            for number in [0] if together else range(block.channels.start, block.channels.stop):
                if number not in files:
                    wav = LaidOutWav(paths[number], audio, options, left_open.pop(str(number), None))
                    files[number] = opened.enter_context(wav)
            yield block

    def invert(block: Block) -> tuple[Block, list[int]]:
        values = source.read(block.channels, block.frames).to(device)
        half = half_frames(values.float())
        half.mul_(_column(factor[block.channels], device)).add_(_column(offset[block.channels], device))
        samples = mirrored(to_samples(half, options.subtype), source.frequencies).cpu().numpy()
        start = block.frames.start * source.frequencies
        parts = [
            files[0].write(number * per_filter + start, sound)
            if together
            else files[number].write(start, sound)
            for number, sound in enumerate(samples, block.channels.start)
        ]
        advance(samples.size)
        return block, parts

    def add(found: tuple[Block, list[int]]) -> None:
        block, parts = found
        end = block.frames.stop * source.frequencies
        if together:
            one = files[0]
            after = one.bytes_after((block.channels.stop - 1) * per_filter + end)
            one.checksum ^= moved(joined(parts, per_filter * one.sample_bytes), after)
            if block.channels.stop == source.channels and block.frames.stop == source.frames:
                whole[one.path] = files.pop(0).file_sum()
        for number, part in [] if together else enumerate(parts, block.channels.start):
            files[number].checksum ^= moved(part, files[number].bytes_after(end))
            if block.frames.stop == source.frames:  # in order: all before it are written
                wav = files.pop(number)
                wav.close()
                whole[wav.path] = wav.file_sum()
        work.reached(state, written)

    def state() -> Mapping[str, Any]:
        # as a list first: another worker may open files meanwhile
        return {"open": {str(number): wav.checksum for number, wav in list(files.items())}}

    def written() -> Files:
        found = {**whole, **{wav.path: None for wav in list(files.values())}}
        whole.clear()
        return found

    with ExitStack() as opened:
        to.line.run(opening(opened), invert, [add])
        work.end(state, written)


def write_sum(
    total: SumSpool,
    path: Path,
    audio: AudioPlan,
    options: SoundOptions,
    block_values: int,
    journal: Journal,
    name: str,
    advance: Advance,
) -> None:
    """Write the sum of a bank's filters. A step that is begun again: it is a hundredth of a run."""
    step = f"{name}: sum"
    if journal.done(step):
        advance.skip(audio.samples)
        return
    if journal.stopping:
        raise Stopped
    written = total.write_wav(path, audio, options, block_values, advance)
    journal.reached(step, {"whole": True}, lambda given_up: {path: written})


def render_bank(
    to: Rendering,
    files: Sequence[tuple[AudioPlan, Sequence[Path]]],
    stages: Stages,
    *,
    levels: Levels | None = None,
    total: SumSpool | None = None,
) -> None:
    """Write all of a bank's sound out of its stored activations.

    Args:
        files: what to write: a file for 'sum' and 'concat', a file a filter for 'filters'.
        levels: the filters' extremes, if known already (`low` need not be).
        total: the sum of the filters, if gathered already.

    Raises:
        Stopped: the run was asked to stop; what is done is noted in the journal.
    """
    source, options = to.source, to.options
    per_filter = source.frames * source.frequencies
    everything = per_filter * source.channels
    by_filter = [(audio, paths) for audio, paths in files if audio.scheme != "sum"]
    # Each filter's lowest sample only its own inversion tells.
    lowest = options.scale == "minmax" and (bool(by_filter) or options.balance == "filter")
    wanted = bool(by_filter) or (total is None and options.balance == "filter")
    measured = wanted and (levels is None or lowest)
    sums = total is None and len(by_filter) < len(files)
    work = everything * (measured + sums + len(by_filter)) + per_filter * (len(files) - len(by_filter))
    with stages.stage(to.name, work, "samples") as advance, ExitStack() as stack:
        if measured:
            levels = measure_levels(to, lowest=lowest, advance=advance)
        for audio, paths in files:
            if audio.scheme != "sum":
                assert levels is not None
                write_filters(to, levels, paths, audio, advance)
                continue
            if total is None:
                blocks = blocks_of(source, to.block_values, frames_first=True)
                group = sum(block.frames.start == 0 for block in blocks)
                summing = Pass(to.journal, f"{to.name}: weighted sum", blocks, group)
                left = (summing.state or {}).get("sum")
                spool = SumSpool(weighted_sum_path(paths[0]), source.frames, source.frequencies, left)
                total = stack.enter_context(spool)
                weights = np.ones(source.channels)
                if options.balance == "filter":
                    assert levels is not None
                    weights, _ = gains(levels, options.scale)
                sum_filters(to, weights, total, summing, advance)
            write_sum(total, paths[0], audio, options, to.block_values, to.journal, to.name, advance)


def weighted_sum_path(wav: Path) -> Path:
    """Where the weighted sum for `wav` waits for its peak."""
    return wav.with_suffix(".spool")


def _column(values: Floats, device: str) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)
