"""All sound of one bank: levels and sums that are not known yet are made first, then the files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ..base.progress import Stages
from ..planning.plan import AudioPlan
from ..planning.sound_plan import raw_plan
from ..planning.steps import SummingState, finished_step, summing_step
from ..store.blocks import Pass, blocks_of
from .finished_files import finish_files
from .finishing import PIECE_SAMPLES, Finish, Segment
from .levels import Levels
from .mixture import Mixture, mixture_of
from .naming import sum_spool_path
from .raw import RawSound, bank_tag, measure_levels, render_bank
from .spectra import SpectraSpool
from .sum_spool import SumSpool
from .summing import Sums, sum_filters
from .view import view_plan
from .windowed import FilterSignals, Windowing, signal_work, write_windowed_sum

#: The plan of each scheme's files, and their paths.
SoundFiles = Sequence[tuple[AudioPlan, Sequence[Path]]]


@dataclass(frozen=True, kw_only=True)
class BankSums:
    """A bank's levels and sums, as far as the network's stage has made them.

    Attributes:
        levels: levels of the filters, without the lowest samples; None: not known.
        total: the raw sum; None: not known, or not wanted.
        spectra: the windowed sums, by their names, 'sum' and 'mix'.
    """

    levels: Levels | None = None
    total: SumSpool | None = None
    spectra: dict[str, SpectraSpool]


@dataclass(frozen=True, kw_only=True)
class BankSound:
    """The sound of one bank.

    Attributes:
        raw: the bank's store, and its raw sound.
        windowing: makes windowed signals; None where nothing is windowed.
        whole_frames: number of frames of the whole picture; in a preview, more than are stored.
    """

    raw: RawSound
    windowing: Windowing | None
    whole_frames: int

    def write(self, files: SoundFiles, stages: Stages, known: BankSums) -> None:
        """Write the bank's sound files.

        Args:
            files: plan and paths of each scheme's files.
            stages: the run's progress.
            known: levels and sums that are known; others are made of the store.

        Raises:
            Stopped: the run was cancelled; what is done is noted in the journal.
        """
        raw = self.raw
        sound = raw.context.options
        levels = known.levels
        total = known.total
        spectra = known.spectra
        raw_files = [] if sound.windowed else files
        by_filter = any(audio.scheme != "sum" for audio, _ in raw_files)
        # a filter's lowest sample is known only once the filter is inverted
        lowest = sound.scale == "minmax" and (by_filter or (bool(raw_files) and sound.balance == "filter"))
        summed = total is None and not spectra and ("sum" in sound.schemes or sound.mix)
        with ExitStack() as stack:
            if lowest or (levels is None and (by_filter or sound.windowed or sound.needs_second_pass)):
                values = raw.source.channels * raw.source.frames * raw.source.frequencies
                with stages.stage(f"{raw.stage}: levels", values, "values") as advance:
                    levels = measure_levels(raw, lowest=lowest, advance=advance)
            if summed:
                mixture = mixture_of(raw.source.channels, sound, levels or _unknown(raw.source.channels))
                total, spectra = self._summed(mixture, stages, stack)
            if raw_files:
                self._write_raw(raw_files, stages, levels, total)
            elif files:
                self._write_windowed(files, stages, levels, spectra)

    def _summed(
        self, mixture: Mixture, stages: Stages, stack: ExitStack
    ) -> tuple[SumSpool | None, dict[str, SpectraSpool]]:
        """Sum the stored filters.

        Args:
            mixture: the weights.
            stages: the run's progress.
            stack: closes the spools.

        Returns:
            The raw sum, where it is wanted, and the windowed sums by their names.
        """
        raw = self.raw
        source = raw.source
        folder = raw.context.temporary
        selected = np.flatnonzero(mixture.weights.any(axis=1)).tolist() or [0]
        blocks = blocks_of(source, raw.block_values, frames_first=True, chosen=selected)
        group = sum(block.frames.start == 0 for block in blocks)
        summing: Pass[SummingState] = Pass(raw.context.journal, summing_step(raw.stage), blocks, group)
        state = summing.state
        total = None
        if mixture.raw:
            path = sum_spool_path(folder, raw.number)
            sum_state = None if state is None else state["sum"]
            total = SumSpool(path, source.frames, source.frequencies, sum_state, mixture.raw)
            stack.enter_context(total)
        spectra = {}
        if self.windowing is not None:
            rows = source.frames, self.whole_frames
            spectra = self.windowing.open_spectra(
                raw.number, rows, source.frequencies, mixture, state and state.get("spectra"), stack
            )
        sums = Sums(mixture, total, tuple(spectra.values()), folder / f"rows-{raw.number}", state)
        work = len(selected) * source.frames * source.frequencies
        with stages.stage(f"{raw.stage}: sums", work, "values") as advance:
            sum_filters(raw, mixture, sums, summing, advance)
        return total, spectra

    def _write_raw(
        self, files: SoundFiles, stages: Stages, levels: Levels | None, total: SumSpool | None
    ) -> None:
        """Write raw files: at once, or as plain WAVs that are then finished."""
        raw = self.raw
        context = raw.context
        sound = context.options
        if not sound.needs_finishing:
            render_bank(raw, files, stages, levels=levels, total=total)
            return
        plain = replace(sound, format="wav", subtype="FLOAT", resample_hz=None, loudness_lufs=None)
        unfinished = [
            (
                raw_plan(audio, plain),
                [context.temporary / f"{raw.number}-{audio.scheme}-{at}.wav" for at in range(audio.files)],
            )
            for audio, _ in files
        ]
        inner = replace(raw, context=replace(context, options=plain, views=None))
        render_bank(inner, unfinished, stages, levels=levels, total=total)
        count = sum(plan.files * plan.samples * plan.channels for plan, _ in unfinished)
        work = signal_work(count, sound, sound.loudness_lufs) - count
        with stages.stage(f"{raw.stage}: finish", work, "samples") as advance:
            for (audio, paths), (plan, raw_paths) in zip(files, unfinished, strict=True):
                jobs = [
                    (
                        self._finish(path, audio),
                        [Segment(samples=plan.samples, pieces=partial(_pieces, raw_path))],
                    )
                    for path, raw_path in zip(paths, raw_paths, strict=True)
                ]
                step = finished_step(raw.stage, audio.scheme)
                finish_files(context.journal, context.pipeline, step, jobs, advance)

    def _finish(self, path: Path, audio: AudioPlan) -> Finish:
        """Return the target of a raw file."""
        raw = self.raw
        context = raw.context
        view = None
        if context.views is not None:
            # the file's name says which filter it is
            scheme = f"filter {int(path.stem)}" if audio.scheme == "filters" else audio.scheme
            samples = raw.source.frames * raw.source.frequencies
            plan = view_plan(audio, context.options, windowed=False, filter_samples=samples)
            view = context.views.path(raw.number, scheme), plan
        return Finish(
            path=path,
            audio=audio,
            sound=context.options,
            tags=context.tags(bank_tag(raw.number), audio.scheme),
            loudness_lufs=context.options.loudness_lufs,
            dithered=False,
            seed=(raw.number,),
            view=view,
        )

    def _write_windowed(
        self, files: SoundFiles, stages: Stages, levels: Levels | None, spectra: dict[str, SpectraSpool]
    ) -> None:
        """Write windowed files: sums of their magnitudes, filters of the store."""
        raw = self.raw
        windowing = self.windowing
        assert windowing is not None
        sound = raw.context.options
        sums = [(audio, paths) for audio, paths in files if audio.scheme == "sum"]
        others = [(audio, paths) for audio, paths in files if audio.scheme != "sum"]

        def work_of(samples: int) -> int:
            return signal_work(samples, sound, sound.loudness_lufs)

        work = sum(work_of(windowing.stft.samples * audio.channels) for audio, _ in sums)
        if others:
            signals = max(audio.temporary_bytes for audio, _ in others) // 4
            work += signals + len(others) * (work_of(signals) - signals)
        with stages.stage(raw.stage, work, "samples") as advance:
            for audio, (path,) in sums:
                write_windowed_sum(windowing, raw, spectra["sum"], path, audio, advance)
            if others:
                assert levels is not None
                FilterSignals(windowing, raw, self.whole_frames, levels, advance).write(others)


def _unknown(channels: int) -> Levels:
    """Return levels of NaN, for a plain sum, whose weights depend on no level."""
    unknown = np.full(channels, np.nan)
    return Levels(low=unknown, high=unknown, peak=unknown)


def _pieces(path: Path) -> Iterator[Any]:
    """Read a sound file in pieces, float32 `[sample, channel]`."""
    return iter(soundfile.blocks(str(path), blocksize=PIECE_SAMPLES, dtype="float32", always_2d=True))
