"""Windowed sound: signals synthesised into spools, from there finished into files.

A bank's sum, or each of its filters, is a signal of the planned length (for the mix of banks see `mix`).
A signal is a fraction of a minute of work: one that was stopped begins again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from ..base.journal import no_files
from ..base.progress import Advance
from ..base.spool import Spool
from ..errors import Stopped
from ..planning.plan import AudioPlan, Stft
from ..planning.sound_options import MIX_LUFS, SoundOptions
from ..planning.steps import (
    SignalsState,
    SoundState,
    SpectraState,
    signals_step,
    spooled_step,
    sum_step,
    windowed_files_step,
)
from ..store.blocks import Block, Pass
from .background import Background, Baseline
from .context import StageContext
from .dsp.loudness import Loudness, LoudnessMeter
from .dsp.synthesis import synthesised
from .finished_files import finish_files, named, with_view
from .finishing import PIECE_SAMPLES, Finish, Segment, finish, gain_for, note_of, passes
from .levels import LevelMeter, Levels, gains
from .mixture import Mixture, selected_filters
from .raw import RawSound
from .spectra import SpectraMap, SpectraSpool, in_blocks
from .view import view_plan

_FRAMES_READ = 64
_OF_FILTERS = 1  # in seeds: the random numbers of a bank's filter n are no other signal's


@dataclass(frozen=True, kw_only=True)
class Windowing:
    """How every windowed signal of a run is made.

    Attributes:
        context: options, journal, workers and folders.
        stft: sizes of frames and signals.
        flipped: whether a frame's first value is its highest frequency.
        baselines: what of each bank is no content, by its number: left out of the mix.
    """

    context: StageContext
    stft: Stft
    flipped: bool
    baselines: Mapping[int, Baseline] = field(default_factory=dict)

    def open_spectra(
        self,
        number: int,
        rows: tuple[int, int],
        frequencies: int,
        mixture: Mixture,
        states: Sequence[SpectraState] | None,
        stack: ExitStack,
    ) -> dict[str, SpectraSpool]:
        """Open the magnitudes of a bank's windowed sums: new, or as they were left.

        Args:
            number: the bank's.
            rows: its rows, and those of the whole picture: see `SpectraMap`.
            frequencies: values of a row.
            mixture: the weights that its filters are summed by.
            states: the states to resume from; None: the spools are new.
            stack: closes them.

        Returns:
            The spools by their names, 'mix' and 'sum', in the mixture's order.
        """
        spools = {}
        for position, (name, part) in enumerate(mixture.spectra):
            weights = mixture.weights[:, part]
            background = None
            if name == "mix" and number in self.baselines:
                background = self.baselines[number].background(weights)
            spool = SpectraSpool(
                self.context.temporary / f"{name}-{number}.spectra",
                self.stft,
                weights.shape[1],
                self.map(rows, frequencies, background),
                None if states is None else states[position],
            )
            spools[name] = stack.enter_context(spool)
        return spools

    def map(
        self, rows: tuple[int, int], frequencies: int, background: Background | None = None
    ) -> SpectraMap:
        """Return what turns rows into magnitudes."""
        options = self.context.options
        return SpectraMap(*rows, frequencies, self.stft, options, flipped=self.flipped, background=background)

    def seed(self, *numbers: int) -> tuple[int, ...]:
        """Return the seed of a signal that these numbers identify."""
        return (self.context.options.seed, *numbers)

    def meter(self, audio: AudioPlan, loudness_lufs: float | None) -> LoudnessMeter | None:
        """Return a meter for a signal that is being made; None where the file's loudness will be another."""
        sound = self.context.options
        if loudness_lufs is None or sound.resample_hz is not None or sound.scale == "minmax":
            return None
        return LoudnessMeter(sound.sample_rate_hz, audio.channels)

    def signal(self, blocks: Iterable[Tensor], seed: tuple[int, ...]) -> Iterator[Tensor]:
        """Synthesise a signal: see `synthesised`.

        Raises:
            Stopped: the run was asked to stop.
        """
        sound = self.context.options
        for samples in synthesised(
            blocks, self.stft, sound.first_phase, sound.griffin_lim_iterations, seed, sound.audible_bins
        ):
            if self.context.journal.stopping:
                raise Stopped
            yield samples

    def finish(self, path: Path, audio: AudioPlan, number: int, scheme: str) -> Finish:
        """Return how a file of a bank is finished.

        Args:
            path: the file.
            audio: its plan.
            number: the bank's.
            scheme: the file's scheme; 'filter N' for one of 'filters'.
        """
        context, view = self.context, None
        if context.views is not None:
            plan = view_plan(audio, context.options, windowed=True, filter_samples=self.stft.sounded)
            view = context.views.path(number, scheme), plan
        return Finish(
            path=path,
            audio=audio,
            sound=context.options,
            tags=context.tags(str(number), scheme),
            loudness_lufs=context.options.loudness_lufs,
            dithered=True,
            seed=self.seed(number, crc32(scheme.encode())),
            view=view,
        )


def write_windowed_sum(
    windowing: Windowing,
    raw: RawSound,
    spectra: SpectraSpool,
    path: Path,
    audio: AudioPlan,
    advance: Advance,
) -> None:
    """Write a bank's windowed sum.

    Args:
        windowing: how the signal is made.
        raw: the bank.
        spectra: the sum's magnitudes.
        path: the file.
        audio: its plan.
        advance: called with the number of samples of each pass.
    """
    context, step = windowing.context, sum_step(raw.stage)
    if context.journal.done(step):
        return
    with Spool(context.temporary / f"windowed-{raw.number}.spool", (audio.channels,)) as spool:
        level = LevelMeter(1)
        loudness = windowing.meter(audio, context.options.loudness_lufs)
        signal = windowing.signal(spectra.blocks(), windowing.seed(raw.number, 0))
        spooled(signal, spool, 0, level, advance, loudness)
        (segment,) = segments_of(spool, windowing, [level.levels()])
        target = windowing.finish(path, audio, raw.number, "sum")
        gain = gain_for(target, [segment], advance, known(loudness, segment))
        written, measured = finish(target, [segment], advance, gain)
    files = with_view(target, written)
    context.journal.reached(step, ended(path, measured), lambda cancelled: files, removal(spool.path))


class FilterSignals:
    """The windowed signals of a bank's filters, synthesised end to end into a spool, and their files.

    Args:
        windowing: how the signals are made.
        raw: the bank.
        whole_frames: frames of the whole picture; more than are stored in a preview.
        levels: the filters' extremes, which decide which filters are selected.
        advance: called with the number of samples of each pass.
    """

    def __init__(
        self, windowing: Windowing, raw: RawSound, whole_frames: int, levels: Levels, advance: Advance
    ) -> None:
        self._windowing = windowing
        self._raw = raw
        self._whole_frames = whole_frames
        self._advance = advance
        self._numbers = selected_filters(raw.source.channels, raw.context.options, levels)
        self._samples = windowing.stft.sounded
        self._path = raw.context.temporary / f"signals-{raw.number}.spool"

    def write(self, files: Sequence[tuple[AudioPlan, Sequence[Path]]]) -> None:
        """Write the filters' sound, end to end or a file each, as each plan's scheme says.

        Raises:
            Stopped: the run was asked to stop.
        """
        journal, step = self._raw.context.journal, spooled_step(self._raw.stage)
        if journal.done(step):
            return
        longest = max(audio.temporary_bytes // 4 for audio, _ in files)
        # a preview may end before the last filter
        self._numbers = self._numbers[: -(-longest // self._samples)]
        source = self._raw.source
        blocks = [Block(slice(number, number + 1), slice(0, source.frames)) for number in self._numbers]
        work: Pass[SignalsState] = Pass(journal, signals_step(self._raw.stage), blocks)
        rows = None if work.state is None else work.state["rows"]
        with Spool(self._path, (1,), rows) as spool:
            levels = self._synthesised(spool, work)
            each = [levels.of([position]) for position in range(len(self._numbers))]
            self._finish(files, segments_of(spool, self._windowing, each))
        journal.completed(step, no_files, removal(self._path))

    def _synthesised(self, spool: Spool, work: Pass[SignalsState]) -> Levels:
        """Synthesise the signals that are left into `spool`, and return the levels of all."""
        meter = LevelMeter(len(self._numbers), work.state)
        done = 0 if work.state is None else work.state["rows"] // self._samples
        place = {number: position for position, number in enumerate(self._numbers)}

        def signal(block: Block) -> LevelMeter:
            number = block.channels.start
            level = LevelMeter(1)
            seed = self._windowing.seed(self._raw.number, _OF_FILTERS, number)
            magnitudes = in_blocks(self._spectra(block.channels), self._windowing.stft)
            pieces = self._windowing.signal(magnitudes, seed)
            spooled(pieces, spool, place[number] * self._samples, level, self._advance)
            return level

        def add(level: LevelMeter) -> None:
            nonlocal done
            found = level.levels()
            meter.add(done, *(torch.from_numpy(extreme) for extreme in (found.low, found.high, found.peak)))
            done += 1
            work.reached(state, lambda: {self._path: None})

        def state() -> Mapping[str, Any]:
            return {**meter.state(), "rows": done * self._samples}

        blocks = work.remaining(self._advance, self._raw.source.frequencies)
        self._raw.context.pipeline.run(blocks, signal, [add])
        work.end(state, lambda: {self._path: None})
        return meter.levels()

    def _spectra(self, channel: slice) -> Iterator[Tensor]:
        """Yield a filter's magnitudes, `[frame, channel=1, bin]`, some frames at a time."""
        source = self._raw.source
        spectra = self._windowing.map((source.frames, self._whole_frames), source.frequencies)
        starts = range(0, source.frames, _FRAMES_READ)
        blocks = [Block(channel, slice(start, min(start + _FRAMES_READ, source.frames))) for start in starts]
        for block in source.prefetched(blocks):
            values = source.read(block.channels, block.frames)
            yield from spectra(values.float().transpose(0, 1))

    def _finish(self, files: Sequence[tuple[AudioPlan, Sequence[Path]]], segments: Sequence[Segment]) -> None:
        raw, finish_of = self._raw, self._windowing.finish
        for audio, paths in files:
            jobs: list[tuple[Finish, Sequence[Segment]]]
            if audio.scheme == "concat":
                jobs = [(finish_of(paths[0], audio, raw.number, "concat"), segments)]
            else:
                jobs = [
                    (finish_of(path, audio, raw.number, f"filter {number}"), [segment])
                    for path, number, segment in zip(paths, self._numbers, segments, strict=True)
                ]
            step = windowed_files_step(raw.stage, audio.scheme)
            finish_files(raw.context.journal, raw.context.pipeline, step, jobs, self._advance)


def measured_levels(steps: Mapping[str, Any]) -> dict[str, Any]:
    """Return loudness and true peak of each file that was brought to a loudness, by its name."""
    return {name: facts for step in steps.values() for name, facts in step.get("measured", {}).items()}


def sound_notes(levels: Mapping[str, Any], sound: SoundOptions) -> list[str]:
    """Return notes on files that did not reach their loudness."""
    wanted = MIX_LUFS if sound.loudness_lufs is None else sound.loudness_lufs
    notes = (note_of(name, wanted, facts) for name, facts in levels.items())
    return [note for note in notes if note is not None]


def signal_work(samples: int, sound: SoundOptions, loudness_lufs: float | None) -> int:
    """Return how much making and finishing a signal of so many samples, in all channels, advances by."""
    return samples * (1 + passes(sound, loudness_lufs))


def spooled(
    pieces: Iterable[Tensor],
    spool: Spool,
    row: int,
    level: LevelMeter,
    advance: Callable[[float], None],
    loudness: LoudnessMeter | None = None,
) -> None:
    """Write a signal into a spool, and measure its extremes, and its loudness where it is wanted.

    Args:
        pieces: the signal, float32 `[channel, sample]`.
        spool: takes its samples.
        row: the spool's row where it begins.
        level: takes its extremes.
        advance: called with the number of samples.
        loudness: takes its samples; None where its loudness is not wanted.
    """
    for piece in pieces:
        low, high = torch.aminmax(piece)
        level.add(0, low[None], high[None], torch.maximum(low.abs(), high.abs())[None])
        rows = piece.T.contiguous()
        spool.put(row, rows)
        if loudness is not None:
            loudness.add(rows.numpy())
        row += piece.shape[1]
        advance(piece.numel())


def known(loudness: LoudnessMeter | None, segment: Segment) -> Loudness | None:
    """Return what a meter measured of the signal that `segment` scales."""
    if loudness is None:
        return None
    return loudness.finish().scaled(segment.factor)


def segments_of(spool: Spool, windowing: Windowing, levels: Sequence[Levels]) -> list[Segment]:
    """Return each signal in the spool, levelled by its own or by their common extremes."""
    sound, samples = windowing.context.options, windowing.stft.sounded
    measured = Levels(
        low=np.concatenate([level.low for level in levels]),
        high=np.concatenate([level.high for level in levels]),
        peak=np.concatenate([level.peak for level in levels]),
    )
    scaled_by = measured if sound.balance == "filter" else measured.joined()
    factors, offsets = (np.broadcast_to(values, len(levels)) for values in gains(scaled_by, sound.scale))

    def pieces(first: int) -> Iterator[Any]:
        for start in range(first, first + samples, PIECE_SAMPLES):
            yield spool.read(start, min(PIECE_SAMPLES, first + samples - start)).numpy()

    return [
        Segment(
            samples=samples,
            pieces=partial(pieces, position * samples),
            factor=float(factors[position]),
            offset=float(offsets[position]),
            fades_in=True,
            fades_out=samples == windowing.stft.samples,
        )
        for position in range(len(levels))
    ]


def ended(path: Path, measured: Mapping[str, Any]) -> SoundState:
    """Return the state of a step that has written a file, with what was measured of it."""
    return {"complete": True, "measured": {named(path): dict(measured)} if measured else {}}


def removal(*paths: Path) -> Callable[[], None]:
    """Return a function that removes temporary files."""

    def unlink() -> None:
        for path in paths:
            path.unlink(missing_ok=True)

    return unlink
