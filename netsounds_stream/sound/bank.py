"""All of one bank's sound: what is not known yet is measured and summed, then files are written."""

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
from .raw import RawSound, bank_tag, measure_levels, render_bank
from .spectra import SpectraSpool
from .sum_spool import SumSpool, sum_spool_path
from .summing import Sums, sum_filters
from .view import view_plan
from .windowed import FilterSignals, Windowing, signal_work, write_windowed_sum

#: The plan of each scheme's files, and their paths.
SoundFiles = Sequence[tuple[AudioPlan, Sequence[Path]]]


@dataclass(frozen=True, kw_only=True)
class BankSums:
    """A bank's sums, as far as the network's stage has made them.

    Attributes:
        levels: the filters' extremes, without the lowest sample; None: not known.
        total: the raw sum; None: not known, or not wanted.
        spectra: the windowed sums, by their names.
    """

    levels: Levels | None = None
    total: SumSpool | None = None
    spectra: dict[str, SpectraSpool]


@dataclass(frozen=True, kw_only=True)
class BankSound:
    """One bank's sound.

    Attributes:
        raw: reads its store.
        windowing: makes what is windowed; None where nothing is.
        whole_frames: frames of the whole picture; more than are stored in a preview.
    """

    raw: RawSound
    windowing: Windowing | None
    whole_frames: int

    def write(self, files: SoundFiles, stages: Stages, known: BankSums) -> None:
        """Write all of `files`.

        Args:
            files: the files.
            stages: the run's progress.
            known: what is known of the bank; the rest is measured and summed out of its store.

        Raises:
            Stopped: the run was asked to stop; what is done is noted in the journal.
        """
        raw, sound = self.raw, self.raw.context.options
        levels, total, spectra = known.levels, known.total, known.spectra
        raw_files = [] if sound.windowed else files
        by_filter = any(audio.scheme != "sum" for audio, _ in raw_files)
        # Each filter's lowest sample only its own inversion tells.
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
        """Sum the filters out of the store; the spools are closed with `stack`."""
        raw, source, folder = self.raw, self.raw.source, self.raw.context.temporary
        selected = np.flatnonzero(mixture.weights.any(axis=1)).tolist() or [0]
        blocks = blocks_of(source, raw.block_values, frames_first=True, chosen=selected)
        group = sum(block.frames.start == 0 for block in blocks)
        summing: Pass[SummingState] = Pass(raw.context.journal, summing_step(raw.stage), blocks, group)
        state = summing.state
        total = None
        if mixture.raw:
            path = sum_spool_path(folder, raw.number)
            left = None if state is None else state["sum"]
            total = SumSpool(path, source.frames, source.frequencies, left, mixture.raw)
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
        raw, context = self.raw, self.raw.context
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
        raw, context = self.raw, self.raw.context
        view = None
        if context.views is not None:
            # as the file's name has it: which filter it is
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
        raw, windowing = self.raw, self.windowing
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
    return iter(soundfile.blocks(str(path), blocksize=PIECE_SAMPLES, dtype="float32", always_2d=True))
