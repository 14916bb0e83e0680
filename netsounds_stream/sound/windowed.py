"""Windowed sound: signals synthesised into spools, from there finished into files.

A bank's sum, or each of its filters, is a signal of the planned length (for the mix of banks see `mixdown`).
A signal is a fraction of a minute of work: one that was stopped begins again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..base.journal import Journal, no_files
from ..base.pipeline import Pipeline
from ..base.progress import Advance
from ..base.spool import Spool
from ..errors import Stopped
from ..planning.plan import AudioPlan, Stft
from ..planning.sound_options import MIX_LUFS, SoundOptions
from ..store.arrays import Activations
from ..store.blocks import Block, Pass
from .background import Background, Baseline
from .dsp.loudness import Loudness, LoudnessMeter
from .dsp.synthesis import synthesised
from .finished_files import finish_files, named, with_view
from .finishing import PIECE_SAMPLES, Finish, Segment, finish, gain_for, note_of, passes
from .levels import LevelMeter, Levels, gains
from .mixture import chosen
from .spectra import SpectraMap, SpectraSpool, in_blocks
from .tags import Tags
from .view import Views, view_plan

_FRAMES_READ = 64
_OF_FILTERS = 1  # in seeds: what is drawn for filter n of a bank is of no other signal


@dataclass(frozen=True)
class Windowing:
    """What every windowed signal of a run needs; `folder` is for what waits, `tags` of a bank and a scheme.

    Attributes:
        flipped: whether a frame's first value is its highest frequency.
        views: where what is seen of the files is kept, if it is wanted.
        baselines: what of each bank is no content, by its number: left out of the mix.
    """

    stft: Stft
    sound: SoundOptions
    journal: Journal
    folder: Path
    pipeline: Pipeline
    tags: Callable[[str, str], Tags]
    flipped: bool
    views: Views | None = None
    baselines: Mapping[int, Baseline] = field(default_factory=dict)

    def spectra(
        self,
        name: str,
        number: int,
        rows: tuple[int, int],
        frequencies: int,
        weights: NDArray[np.float32],
        state: Mapping[str, Any] | None,
    ) -> SpectraSpool:
        """Open a signal's magnitudes: new, or as they were left.

        Args:
            name: the signal's, 'mix' or 'sum'.
            number: of the bank whose filters it sums.
            rows: see `SpectraMap`.
            weights: that they are summed by, `[filter, column]`.
        """
        path = self.folder / f"{name}-{number}.spectra"
        background = None
        if name == "mix" and number in self.baselines:
            background = self.baselines[number].background(weights)
        made_by = self.map(rows, frequencies, background)
        return SpectraSpool(path, self.stft, weights.shape[1], made_by, state)

    def map(
        self, rows: tuple[int, int], frequencies: int, background: Background | None = None
    ) -> SpectraMap:
        return SpectraMap(
            *rows, frequencies, self.stft, self.sound, flipped=self.flipped, background=background
        )

    def seed(self, *numbers: int) -> tuple[int, ...]:
        return (self.sound.seed, *numbers)

    def meter(self, audio: AudioPlan, loudness_lufs: float | None) -> LoudnessMeter | None:
        """To be there while a signal is made; None where its loudness would be another's in the file."""
        sound = self.sound
        if loudness_lufs is None or sound.resample_hz is not None or sound.scale == "minmax":
            return None
        return LoudnessMeter(sound.sample_rate_hz, audio.channels)

    def signal(self, blocks: Iterable[Tensor], seed: tuple[int, ...]) -> Iterator[Tensor]:
        """See `synthesised`; ends early where the run is asked to stop."""
        sound = self.sound
        for samples in synthesised(
            blocks, self.stft, sound.first_phase, sound.griffin_lim_iterations, seed, sound.audible_bins
        ):
            if self.journal.stopping:
                raise Stopped
            yield samples


def write_voice(
    to: Windowing,
    name: str,
    number: int,
    spectra: SpectraSpool,
    path: Path,
    audio: AudioPlan,
    advance: Advance,
) -> None:
    """Write a bank's windowed sum."""
    step = f"{name}: sum"
    if to.journal.done(step):
        return
    with Spool(to.folder / f"voice-{number}.spool", (audio.channels,)) as spool:
        level, heard = LevelMeter(1), to.meter(audio, to.sound.loudness_lufs)
        spooled(to.signal(spectra.blocks(), to.seed(number, 0)), spool, 0, level, advance, heard)
        (segment,) = segments_of(spool, to, [level.levels()])
        target = _finish(to, path, audio, number, "sum")
        gain = gain_for(target, [segment], advance, known(heard, segment))
        written, measured = finish(target, [segment], advance, gain)
    files = with_view(target, written)
    to.journal.reached(step, ended(path, measured), lambda cancelled: files, removal(spool.path))


def write_filters(
    to: Windowing,
    name: str,
    number: int,
    source: Activations,
    whole_frames: int,
    levels: Levels,
    files: Sequence[tuple[AudioPlan, Sequence[Path]]],
    advance: Advance,
) -> None:
    """Write the windowed sound of a bank's filters, end to end or a file each."""
    if to.journal.done(f"{name}: spooled"):
        return
    numbers, samples = chosen(source.channels, to.sound, levels), to.stft.sounded
    longest = max(audio.temporary_bytes // 4 for audio, _ in files)
    numbers = numbers[: -(-longest // samples)]  # a preview may be through before the last one
    blocks = [Block(slice(each, each + 1), slice(0, source.frames)) for each in numbers]
    work = Pass(to.journal, f"{name}: signals", blocks)
    place = {each: at for at, each in enumerate(numbers)}
    meter = LevelMeter(len(numbers), work.state)
    path = to.folder / f"signals-{number}.spool"

    def pieces(channel: slice) -> Iterator[Tensor]:
        made_by = to.map((source.frames, whole_frames), source.frequencies)
        starts = range(0, source.frames, _FRAMES_READ)
        blocks = [Block(channel, slice(start, min(start + _FRAMES_READ, source.frames))) for start in starts]
        for block in source.prefetched(blocks):
            values = source.read(block.channels, block.frames)
            yield from made_by(values.float().transpose(0, 1))

    with Spool(path, (1,), None if work.state is None else int(work.state["rows"])) as spool:

        def signal(block: Block) -> LevelMeter:
            filter_number = block.channels.start
            level = LevelMeter(1)
            seed = to.seed(number, _OF_FILTERS, filter_number)
            stretches = to.signal(in_blocks(pieces(block.channels), to.stft), seed)
            spooled(stretches, spool, place[filter_number] * samples, level, advance)
            return level

        done = [0 if work.state is None else int(work.state["rows"]) // samples]

        def add(level: LevelMeter) -> None:
            found = level.levels()
            meter.add(done[0], *(torch.from_numpy(each) for each in (found.low, found.high, found.peak)))
            done[0] += 1
            work.reached(state, lambda: {path: None})

        def state() -> dict[str, Any]:
            return {**meter.state(), "rows": done[0] * samples}

        to.pipeline.run(work.remaining(advance, source.frequencies), signal, [add])
        work.end(state, lambda: {path: None})
        found = meter.levels()
        each_level = [found.of([at]) for at in range(len(numbers))]
        segments = segments_of(spool, to, each_level)
        for audio, paths in files:
            if audio.scheme != "sum":
                if audio.scheme == "concat":
                    jobs: list[tuple[Finish, Sequence[Segment]]] = [
                        (_finish(to, paths[0], audio, number, "concat"), segments)
                    ]
                else:
                    jobs = [
                        (_finish(to, each, audio, number, f"filter {of}"), [segment])
                        for each, of, segment in zip(paths, numbers, segments, strict=True)
                    ]
                finish_files(to.journal, to.pipeline, f"{name}: {audio.scheme}", jobs, advance)
    to.journal.reached(f"{name}: spooled", {"whole": True}, no_files, removal(path))


def measured_levels(steps: Mapping[str, Any]) -> dict[str, Any]:
    """Loudness and true peak of each file that was brought to a loudness, by its name."""
    return {name: facts for step in steps.values() for name, facts in step.get("measured", {}).items()}


def sound_notes(levels: Mapping[str, Any], sound: SoundOptions) -> list[str]:
    """What to tell of files that did not come to their loudness."""
    wanted = MIX_LUFS if sound.loudness_lufs is None else sound.loudness_lufs
    notes = (note_of(name, wanted, facts) for name, facts in levels.items())
    return [note for note in notes if note is not None]


def signal_work(samples: int, sound: SoundOptions, loudness_lufs: float | None) -> int:
    """What making and finishing a signal of so many samples, in all channels, advances by."""
    return samples * (1 + passes(sound, loudness_lufs))


def spooled(
    stretches: Iterable[Tensor],
    spool: Spool,
    row: int,
    level: LevelMeter,
    advance: Callable[[float], None],
    heard: LoudnessMeter | None = None,
) -> None:
    """Write a signal's stretches from `row` on, and measure their extremes, and their loudness if wanted."""
    for stretch in stretches:
        low, high = torch.aminmax(stretch)
        level.add(0, low[None], high[None], torch.maximum(low.abs(), high.abs())[None])
        rows = stretch.T.contiguous()
        spool.put(row, rows)
        if heard is not None:
            heard.add(rows.numpy())
        row += stretch.shape[1]
        advance(stretch.numel())


def known(heard: LoudnessMeter | None, segment: Segment) -> Loudness | None:
    """What a meter heard of the signal that `segment` scales."""
    if heard is None:
        return None
    return heard.finish().scaled(segment.factor)


def segments_of(spool: Spool, to: Windowing, levels: Sequence[Levels]) -> list[Segment]:
    """Each signal in the spool, levelled by its own or by the common extremes."""
    samples = to.stft.sounded
    every = Levels(
        *(np.concatenate([getattr(each, name) for each in levels]) for name in ("low", "high", "peak"))
    )
    together = every if to.sound.balance == "filter" else every.whole()
    factors, offsets = (np.broadcast_to(values, len(levels)) for values in gains(together, to.sound.scale))

    def pieces(first: int) -> Iterator[Any]:
        for start in range(first, first + samples, PIECE_SAMPLES):
            yield spool.read(start, min(PIECE_SAMPLES, first + samples - start)).numpy()

    return [
        Segment(
            samples,
            partial(pieces, at * samples),
            float(factors[at]),
            float(offsets[at]),
            True,
            to.stft.sounded == to.stft.samples,
        )
        for at in range(len(levels))
    ]


def _finish(to: Windowing, path: Path, audio: AudioPlan, number: int, scheme: str) -> Finish:
    tags, seed, view = to.tags(str(number), scheme), to.seed(number, crc32(scheme.encode())), None
    if to.views is not None:
        plan = view_plan(audio, to.sound, windowed=True, filter_samples=to.stft.sounded)
        view = to.views.path(number, scheme), plan
    return Finish(path, audio, to.sound, tags, to.sound.loudness_lufs, True, seed, view)


def ended(path: Path, measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a step that has written a file, with what was measured of it."""
    return {"whole": True, "measured": {named(path): dict(measured)} if measured else {}}


def removal(*paths: Path) -> Callable[[], None]:
    """Return what removes files that wait no longer."""

    def unlink() -> None:
        for path in paths:
            path.unlink(missing_ok=True)

    return unlink
