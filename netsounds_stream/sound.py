"""From stored activations, or from their running sum, to WAV files, in blocks.

Sample n of a filter's frame is y[n] = real(ifft(x))[n] over the frequency axis; frames follow one another
in time order. A scheme says which samples make a file, a balance whether filters are levelled first, a
scale how the result fills [-1, 1]; `minmax` with `filter` is what netsounds recorded.

The inversion is linear: a sum of filters takes one IFFT a frame, not one a filter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from .levels import Floats, LevelMeter, Levels, extremes, gains, require_finite
from .options import SoundOptions
from .overlap import Line
from .planning import AudioPlan, sound_block_channels
from .progress import Stages
from .store import Activations
from .transform import half_frames, half_length, mirrored
from .wav import LaidOutWav, to_samples

Advance = Callable[[int], None]

# Filters in a block at most, and so files that a worker has open: some systems allow a process 256.
_FILES_AT_ONCE = 48


class SumSpool:
    """The sum of a bank's filters on its way to sound: inverted as it comes, kept until its peak is known.

    Keeps the half frames as float32 in a temporary file at `path`; leaving the `with` block removes it.
    """

    def __init__(self, path: Path, frames: int, frequencies: int) -> None:
        self._path, self._frames, self._frequencies = path, frames, frequencies
        self._half = half_length(frequencies)
        self._file: BinaryIO = path.open("w+b", buffering=0)
        self._low, self._high, self._peak = np.inf, -np.inf, 0.0
        self._added = 0

    def __enter__(self) -> SumSpool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def add(self, half: Tensor) -> None:
        """Take the next summed frames, inverted: first halves, float32 `[frame, sample]`."""
        require_finite(half)
        low, high = (float(value) for value in torch.aminmax(half))
        self._low, self._high = min(self._low, low), max(self._high, high)
        self._peak = max(self._peak, abs(low), abs(high))
        self._added += int(half.shape[0])
        data = memoryview(half.contiguous().numpy()).cast("B")
        while data:  # an unbuffered write may take less than all
            data = data[self._file.write(data) :]

    def write_wav(
        self, path: Path, audio: AudioPlan, options: SoundOptions, block_values: int, advance: Advance
    ) -> None:
        """Scale what was gathered and write it as one WAV."""
        assert self._added == self._frames
        levels = Levels(np.array([self._low]), np.array([self._high]), np.array([self._peak]))
        (factor,), (offset,) = gains(levels, options.scale)
        rows = max(1, block_values // self._frequencies)
        self._file.seek(0)
        with LaidOutWav(path, audio, options) as wav:
            for start in range(0, self._frames, rows):
                count = min(rows, self._frames - start)
                half = torch.empty(count, self._half)
                view = memoryview(half.numpy()).cast("B")
                while view:
                    view = view[self._file.readinto(view) :]  # type: ignore[attr-defined]
                samples = to_samples(half.mul_(factor).add_(offset), options.subtype)
                wav.write(start * self._frequencies, mirrored(samples, self._frequencies).numpy())
                advance(count * self._frequencies)


def measure_levels(
    source: Activations,
    block_values: int,
    *,
    lowest: bool,
    line: Line,
    advance: Advance,
    device: str = "cpu",
) -> Levels:
    """The extremes of each filter of stored activations, in one pass over them."""
    meter = LevelMeter(source.channels)

    def measure(block: _Block) -> tuple[int, tuple[Tensor, Tensor, Tensor]]:
        values = source.read(block.channels, block.frames)
        low, high, peak = (each.cpu() for each in extremes(values.to(device), lowest=lowest))
        advance(values.numel())
        return block.channels.start, (low, high, peak)

    line.run(_blocks(source, block_values), measure, [lambda found: meter.add(found[0], *found[1])])
    return meter.levels()


def sum_filters(
    source: Activations,
    weights: Floats,
    spool: SumSpool,
    block_values: int,
    *,
    line: Line,
    advance: Advance,
) -> None:
    """Add the filters, each times its weight, into `spool`, in one pass over stored activations."""
    factors = torch.from_numpy(weights).float()
    total = torch.empty(0)

    def weighted(block: _Block) -> tuple[_Block, Tensor]:
        values = source.read(block.channels, block.frames)
        advance(values.numel())
        return block, torch.tensordot(factors[block.channels], values.float(), dims=1)

    def add(found: tuple[_Block, Tensor]) -> None:
        nonlocal total
        block, part = found
        total = part if block.channels.start == 0 else total.add_(part)
        if block.channels.stop == source.channels:
            spool.add(half_frames(total))

    line.run(_blocks(source, block_values, frames_first=True), weighted, [add])


def write_filters(
    source: Activations,
    levels: Levels,
    paths: Sequence[Path],
    audio: AudioPlan,
    options: SoundOptions,
    block_values: int,
    *,
    line: Line,
    advance: Advance,
    device: str = "cpu",
) -> None:
    """Write every filter's sound, in one pass over stored activations.

    Into one path, filters end to end; or into a path a filter. Inverted, scaled and rounded on `device`.
    """
    together = len(paths) == 1 and audio.scheme == "concat"
    each = levels if options.balance == "filter" else levels.whole()
    factor, offset = (np.broadcast_to(values, source.channels) for values in gains(each, options.scale))
    per_filter = source.frames * source.frequencies
    with ExitStack() as opened:
        one = opened.enter_context(LaidOutWav(paths[0], audio, options)) if together else None
        files: dict[int, LaidOutWav] = {}

        def invert(block: _Block) -> _Block:
            values = source.read(block.channels, block.frames).to(device)
            half = half_frames(values.float())
            half.mul_(_column(factor[block.channels], device)).add_(_column(offset[block.channels], device))
            samples = mirrored(to_samples(half, options.subtype), source.frequencies).cpu().numpy()
            at = block.frames.start * source.frequencies
            for number, sound in enumerate(samples, block.channels.start):
                if one is not None:
                    one.write(number * per_filter + at, sound)
                else:
                    files[number].write(at, sound)
            advance(samples.size)
            return block

        def close(block: _Block) -> None:
            if one is None and block.frames.stop == source.frames:  # in order: all before it are written
                for number in range(block.channels.start, block.channels.stop):
                    files.pop(number).close()

        def opening() -> Iterator[_Block]:
            for block in _blocks(source, block_values):
                if one is None and block.frames.start == 0:
                    for number in range(block.channels.start, block.channels.stop):
                        files[number] = opened.enter_context(LaidOutWav(paths[number], audio, options))
                yield block

        line.run(opening(), invert, [close])


def render_bank(
    source: Activations | None,
    levels: Levels | None,
    total: SumSpool | None,
    files: Sequence[tuple[AudioPlan, Sequence[Path]]],
    options: SoundOptions,
    block_values: int,
    line: Line,
    stages: Stages,
    stage: str,
    *,
    device: str = "cpu",
) -> None:
    """Write all of a bank's sound.

    Args:
        source: the stored activations; None where `total` is enough.
        levels: the filters' extremes, if known already (`low` need not be).
        total: the sum of the filters, if gathered already.
        line: the workers.
        device: where filters are inverted, one by one.
        files: what to write: a file for 'sum' and 'concat', a file a filter for 'filters'.
    """
    per_filter = files[0][0].samples if source is None else source.frames * source.frequencies
    everything = per_filter * (1 if source is None else source.channels)
    by_filter = [(audio, paths) for audio, paths in files if audio.scheme != "sum"]
    # Each filter's lowest sample only its own inversion tells.
    lowest = options.scale == "minmax" and (bool(by_filter) or options.balance == "filter")
    wanted = bool(by_filter) or (total is None and options.balance == "filter")
    measured = wanted and (levels is None or lowest)
    sums = total is None and not all(audio.scheme != "sum" for audio, _ in files)
    work = everything * (measured + sums + len(by_filter)) + per_filter * (len(files) - len(by_filter))
    with stages.stage(stage, work, "samples") as advance, ExitStack() as stack:
        if measured:
            assert source is not None
            levels = measure_levels(
                source, block_values, lowest=lowest, line=line, advance=advance, device=device
            )
        for audio, paths in files:
            if audio.scheme != "sum":
                assert source is not None and levels is not None
                write_filters(
                    source,
                    levels,
                    paths,
                    audio,
                    options,
                    block_values,
                    line=line,
                    advance=advance,
                    device=device,
                )
                continue
            if total is None:
                assert source is not None
                spool = paths[0].with_suffix(".spool")
                total = stack.enter_context(SumSpool(spool, source.frames, source.frequencies))
                weights = np.ones(source.channels)
                if options.balance == "filter":
                    assert levels is not None
                    weights, _ = gains(levels, options.scale)
                sum_filters(source, weights, total, block_values, line=line, advance=advance)
            total.write_wav(paths[0], audio, options, block_values, advance)


def _column(values: Floats, device: str) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)


@dataclass(frozen=True)
class _Block:
    """Some filters of some frames, read and turned to sound at a time."""

    channels: slice
    frames: slice


def _blocks(source: Activations, block_values: int, *, frames_first: bool = False) -> Iterator[_Block]:
    """All of `source` in blocks.

    Filters outermost, so that what is written runs forwards in the file; or frames outermost.
    """
    per_block = source.frames_per_block
    group = sound_block_channels(block_values, per_block, source.frequencies, source.channels)
    group = min(group, _FILES_AT_ONCE)
    all_channels = [slice(c, min(c + group, source.channels)) for c in range(0, source.channels, group)]
    all_frames = [slice(t, min(t + per_block, source.frames)) for t in range(0, source.frames, per_block)]
    if frames_first:
        return (_Block(channels, frames) for frames in all_frames for channels in all_channels)
    return (_Block(channels, frames) for channels in all_channels for frames in all_frames)
