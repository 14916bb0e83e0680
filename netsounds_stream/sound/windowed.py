"""Windowed sound: signals synthesised into spools, and finished into files from there.

A bank's sum, or each of its filters, is a signal of the planned length; for the mix of banks, see `mix`. The
synthesis of one signal takes a fraction of a minute, and is not resumed but begins again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
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
from .dsp.notes import Waves, sounded
from .dsp.synthesis import synthesised
from .finished_files import finish_files, with_view
from .finishing import PIECE_SAMPLES, Finish, Segment, finish, gain_for, note_of, passes
from .levels import LevelMeter, Levels, gains
from .mixture import Mixture, selected_filters
from .naming import map_rows_path, named
from .raw import RawSound
from .spectra import SpectraMap, SpectraSpool, in_blocks
from .view import view_plan

_FRAMES_READ = 64
_OF_FILTERS = 1  # in seeds: gives filters random numbers that no other signal of the bank has


@dataclass(frozen=True, kw_only=True)
class Windowing:
    """Makes the windowed signals of a run.

    Attributes:
        context: options, journal, workers and folders.
        stft: sizes of frames and signals.
        flipped: whether a row's first value is its highest frequency.
        baselines: responses of each bank that are no content and are left out of the mix, by the bank's
            number.
        keeps_sums: whether the rows of the mix are kept; see `naming.map_rows_path`.
    """

    context: StageContext
    stft: Stft
    flipped: bool
    baselines: Mapping[int, Baseline] = field(default_factory=dict)
    keeps_sums: bool = False
    _building: Lock = field(default_factory=Lock, repr=False, compare=False)

    @cached_property
    def _waves(self) -> Waves | None:
        """The notes' waves, which all signals share; None where there are no notes."""
        sound = self.context.options
        if sound.notes is None:
            return None
        return Waves(sound.notes.hz, self.stft, sound.sample_rate_hz, self.seed())

    def open_spectra(
        self,
        number: int,
        rows: tuple[int, int],
        frequencies: int,
        mixture: Mixture,
        states: Sequence[SpectraState] | None,
        stack: ExitStack,
    ) -> dict[str, SpectraSpool]:
        """Open the spools of a bank's windowed sums.

        Args:
            number: number of the bank.
            rows: number of the bank's rows, and of those of the whole picture; see `SpectraMap`.
            frequencies: number of a row's values.
            mixture: the weights that the bank's filters are summed by.
            states: states of the spools to resume, in the mixture's order; None: they are new.
            stack: closes the spools.

        Returns:
            The spools by their names, 'sum' and 'mix', in the mixture's order.
        """
        spools = {}
        for position, (name, channels) in enumerate(mixture.spectra):
            weights = mixture.weights[:, channels]
            background = None
            if name == "mix" and number in self.baselines:
                background = self.baselines[number].background(weights)
            spool = SpectraSpool(
                self.context.temporary / f"{name}-{number}.spectra",
                self.stft,
                weights.shape[1],
                self.map(rows, frequencies, background),
                None if states is None else states[position],
                map_rows_path(self.context.temporary, number) if name == "mix" and self.keeps_sums else None,
            )
            spools[name] = stack.enter_context(spool)
        return spools

    def map(
        self, rows: tuple[int, int], frequencies: int, background: Background | None = None
    ) -> SpectraMap:
        """Return a map from rows to magnitudes.

        Args:
            rows: number of the bank's rows, and of those of the whole picture; see `SpectraMap`.
            frequencies: number of a row's values.
            background: content is the difference from it; None: values are content as they are.
        """
        options = self.context.options
        return SpectraMap(*rows, frequencies, self.stft, options, flipped=self.flipped, background=background)

    def seed(self, *numbers: int) -> tuple[int, ...]:
        """Return the seed of the signal that these numbers identify."""
        return (self.context.options.seed, *numbers)

    def meter(self, audio: AudioPlan, loudness_lufs: float | None) -> LoudnessMeter | None:
        """Return a meter for a signal as it is made, which saves a pass over it.

        Args:
            audio: plan of the signal's file.
            loudness_lufs: loudness that the file is brought to; None: none.

        Returns:
            The meter; None where no loudness is wanted, or resampling or scaling changes it.
        """
        sound = self.context.options
        if loudness_lufs is None or sound.resample_hz is not None or sound.scale == "minmax":
            return None
        return LoudnessMeter(sound.sample_rate_hz, audio.channels)

    def signal(self, blocks: Iterable[Tensor], seed: tuple[int, ...]) -> Iterator[Tensor]:
        """Synthesise a signal; see `synthesised`, and `sounded` for notes.

        Args:
            blocks: magnitudes `[channel, frame, bin]`, or levels of notes.
            seed: seed of random phases; notes have the same phases in all signals, so that they add up.

        Yields:
            Pieces of the signal, float32 `[channel, sample]`.

        Raises:
            Stopped: the run was cancelled.
        """
        sound = self.context.options
        with self._building:  # once, however many workers ask for it
            waves = self._waves
        if waves is None:
            pieces = synthesised(
                blocks, self.stft, sound.first_phase, sound.griffin_lim_iterations, seed, sound.audible_bins
            )
        else:
            pieces = sounded(blocks, self.stft, waves)
        for samples in pieces:
            if self.context.journal.stopping:
                raise Stopped
            yield samples

    def finish(self, path: Path, audio: AudioPlan, number: int, scheme: str) -> Finish:
        """Return the target of a bank's file.

        Args:
            path: path of the file.
            audio: plan of the file.
            number: number of the bank.
            scheme: scheme of the file; 'filter N' for one of 'filters'.
        """
        context = self.context
        view = None
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
    """Write a bank's windowed sum, unless the journal says that it is written.

    Args:
        windowing: makes the signal.
        raw: the bank.
        spectra: magnitudes of the sum.
        path: path of the file.
        audio: plan of the file.
        advance: called with the number of samples of each pass.

    Raises:
        Stopped: the run was cancelled.
    """
    context = windowing.context
    step = sum_step(raw.stage)
    if context.journal.done(step):
        return
    with Spool(context.temporary / f"windowed-{raw.number}.spool", (audio.channels,)) as spool:
        level = LevelMeter(1)
        loudness = windowing.meter(audio, context.options.loudness_lufs)
        signal = windowing.signal(spectra.blocks(), windowing.seed(raw.number, 0))
        write_signal(signal, spool, 0, level, advance, loudness)
        (segment,) = segments_of(spool, windowing, [level.levels()])
        target = windowing.finish(path, audio, raw.number, "sum")
        gain = gain_for(target, [segment], advance, scaled_loudness(loudness, segment))
        finished = finish(target, [segment], advance, gain)
    files = with_view(target, finished.written)
    context.journal.reached(
        step, written_state(path, finished.measured), lambda cancelled: files, removal(spool.path)
    )


class FilterSignals:
    """Writes the windowed signals of a bank's filters, which are synthesised end to end into a spool.

    Args:
        windowing: makes the signals.
        raw: the bank.
        whole_frames: number of frames of the whole picture; in a preview, more than are stored.
        levels: levels of the filters, by which the loudest are selected.
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
        """Write the filters' sound, unless the journal says that it is written.

        Args:
            files: plan and paths of each scheme's files: one for 'concat', one a filter for 'filters'.

        Raises:
            Stopped: the run was cancelled; signals that are complete are noted in the journal.
        """
        journal = self._raw.context.journal
        step = spooled_step(self._raw.stage)
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
            by_filter = [levels.of([position]) for position in range(len(self._numbers))]
            self._finish(files, segments_of(spool, self._windowing, by_filter))
        journal.completed(step, no_files, removal(self._path))

    def _synthesised(self, spool: Spool, work: Pass[SignalsState]) -> Levels:
        """Synthesise the remaining signals into `spool`, and return the levels of all."""
        meter = LevelMeter(len(self._numbers), work.state)
        done = 0 if work.state is None else work.state["rows"] // self._samples
        place = {number: position for position, number in enumerate(self._numbers)}

        def signal(block: Block) -> LevelMeter:
            number = block.channels.start
            level = LevelMeter(1)
            seed = self._windowing.seed(self._raw.number, _OF_FILTERS, number)
            magnitudes = in_blocks(self._spectra(block.channels), self._windowing.stft)
            pieces = self._windowing.signal(magnitudes, seed)
            write_signal(pieces, spool, place[number] * self._samples, level, self._advance)
            return level

        def add(level: LevelMeter) -> None:
            nonlocal done
            levels = level.levels()
            extremes = (torch.from_numpy(values) for values in (levels.low, levels.high, levels.peak))
            meter.add(done, *extremes)
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
            yield from map(spectra.weighted, spectra(values.float().transpose(0, 1)))

    def _finish(self, files: Sequence[tuple[AudioPlan, Sequence[Path]]], segments: Sequence[Segment]) -> None:
        """Finish each scheme's files."""
        raw = self._raw
        target_of = self._windowing.finish
        for audio, paths in files:
            jobs: list[tuple[Finish, Sequence[Segment]]]
            if audio.scheme == "concat":
                jobs = [(target_of(paths[0], audio, raw.number, "concat"), segments)]
            else:
                jobs = [
                    (target_of(path, audio, raw.number, f"filter {number}"), [segment])
                    for path, number, segment in zip(paths, self._numbers, segments, strict=True)
                ]
            step = windowed_files_step(raw.stage, audio.scheme)
            finish_files(raw.context.journal, raw.context.pipeline, step, jobs, self._advance)


def measured_levels(steps: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the measurements of files that were brought to a loudness.

    Args:
        steps: states of the run's steps, by their names.

    Returns:
        Loudness and true peak of each file, by the file's name.
    """
    return {name: facts for step in steps.values() for name, facts in step.get("measured", {}).items()}


def sound_notes(levels: Mapping[str, Any], sound: SoundOptions) -> list[str]:
    """Explain which files did not reach their loudness, and why.

    Args:
        levels: what `measured_levels` returned.
        sound: options of the sound.

    Returns:
        One sentence for each of these files.
    """
    wanted = MIX_LUFS if sound.loudness_lufs is None else sound.loudness_lufs
    notes = (note_of(name, wanted, facts) for name, facts in levels.items())
    return [note for note in notes if note is not None]


def signal_work(samples: int, sound: SoundOptions, loudness_lufs: float | None) -> int:
    """Count the samples by which a signal's synthesis and finishing advance the progress.

    Args:
        samples: samples of the signal, all channels counted.
        sound: options of the sound.
        loudness_lufs: loudness that its file is brought to; None: none.
    """
    return samples * (1 + passes(sound, loudness_lufs))


def write_signal(
    pieces: Iterable[Tensor],
    spool: Spool,
    row: int,
    level: LevelMeter,
    advance: Callable[[float], None],
    loudness: LoudnessMeter | None = None,
) -> None:
    """Write a signal into a spool, and measure its extremes, and its loudness where that is wanted.

    Args:
        pieces: the signal, float32 `[channel, sample]`.
        spool: receives the samples, one row for all channels' samples of a moment.
        row: number of the spool's row where the signal begins.
        level: measures the extremes.
        advance: called with the number of samples.
        loudness: measures the loudness; None where it is not wanted.
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


def scaled_loudness(loudness: LoudnessMeter | None, segment: Segment) -> Loudness | None:
    """Return a signal's loudness as a segment scales it.

    Args:
        loudness: the meter that measured the signal; None: there was none.
        segment: the segment.

    Returns:
        The scaled loudness; None without a meter.
    """
    if loudness is None:
        return None
    return loudness.finish().scaled(segment.factor)


def segments_of(spool: Spool, windowing: Windowing, levels: Sequence[Levels]) -> list[Segment]:
    """Cut a spool into the segments of its signals, faded and levelled.

    Args:
        spool: signals of one length, end to end.
        windowing: says how long they are.
        levels: levels of each signal. Balanced by filter, each is scaled by its own, else all by the common
            ones.
    """
    sound = windowing.context.options
    samples = windowing.stft.sounded
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


def written_state(path: Path, measured: Mapping[str, Any]) -> SoundState:
    """Return the state of a step that has written a file.

    Args:
        path: path of the file.
        measured: loudness and true peak of the file; empty where none is recorded.
    """
    return {"complete": True, "measured": {named(path): dict(measured)} if measured else {}}


def removal(*paths: Path) -> Callable[[], None]:
    """Return a function that removes temporary files, for the journal to call once it is committed."""

    def unlink() -> None:
        for path in paths:
            path.unlink(missing_ok=True)

    return unlink
