"""All of one bank's sound: what is not known yet is measured and summed, then files are written.

Weighted sums of its filters take one pass over its store, which can be suspended and resumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor

from ..base.checkpoint import CheckpointReader, CheckpointWriter
from ..base.checksums import FileSum, file_sum
from ..base.journal import Files
from ..base.progress import Advance, Stages
from ..planning.plan import AudioPlan
from ..planning.sound_plan import raw_plan
from ..store.blocks import Block, Pass, blocks_of
from .dsp.half_ifft import half_frames
from .finished_files import finish_files
from .finishing import PIECE_SAMPLES, Finish, Segment
from .levels import Levels
from .mixture import Mixture, mixture_of
from .raw import Rendering, measure_levels, render_bank
from .spectra import SpectraSpool
from .sum_spool import SumSpool
from .view import view_plan
from .windowed import Windowing, signal_work, write_filters, write_voice

SoundFiles = Sequence[tuple[AudioPlan, Sequence[Path]]]


@dataclass(frozen=True)
class BankSound:
    """One bank's: `raw` what reads its store, `windowing` for what is windowed, if anything is.

    Attributes:
        number: the bank's, in seeds and names.
        whole_frames: of the whole picture; more than are stored in a preview.
        folder: for what waits.
    """

    number: int
    raw: Rendering
    windowing: Windowing | None
    folder: Path
    whole_frames: int

    def write(
        self,
        files: SoundFiles,
        stages: Stages,
        levels: Levels | None,
        total: SumSpool | None,
        spectra: dict[str, SpectraSpool],
    ) -> None:
        """Write all of `files`.

        Args:
            levels: the filters' extremes, if known; `low` need not be.
            total, spectra: the sums, if known; they are summed out of the store otherwise.
        """
        to, sound = self.raw, self.raw.options
        raw_files = [] if sound.windowed else files
        by_filter = any(audio.scheme != "sum" for audio, _ in raw_files)
        # Each filter's lowest sample only its own inversion tells.
        lowest = sound.scale == "minmax" and (by_filter or (bool(raw_files) and sound.balance == "filter"))
        summed = total is None and not spectra and ("sum" in sound.schemes or sound.mix)
        with ExitStack() as stack:
            if lowest or (levels is None and (by_filter or sound.windowed or sound.needs_second_pass)):
                values = to.source.channels * to.source.frames * to.source.frequencies
                with stages.stage(f"{to.name}: levels", values, "values") as advance:
                    levels = measure_levels(to, lowest=lowest, advance=advance)
            if summed:
                mixture = mixture_of(to.source.channels, sound, levels or _unknown(to.source.channels))
                total, spectra = self._summed(mixture, stages, stack)
            if raw_files:
                self._write_raw(raw_files, stages, levels, total)
            elif files:
                self._write_windowed(files, stages, levels, spectra)

    def _summed(
        self, mixture: Mixture, stages: Stages, stack: ExitStack
    ) -> tuple[SumSpool | None, dict[str, SpectraSpool]]:
        to, source = self.raw, self.raw.source
        sounding = np.flatnonzero(mixture.weights.any(axis=1)).tolist() or [0]
        blocks = blocks_of(source, to.block_values, frames_first=True, chosen=sounding)
        group = sum(block.frames.start == 0 for block in blocks)
        summing = Pass(to.journal, summing_step(to.name), blocks, group)
        left, total = summing.state or {}, None
        if mixture.raw:
            path = self.folder / f"sum-{self.number}.spool"
            total = SumSpool(path, source.frames, source.frequencies, left.get("sum"), mixture.raw)
            stack.enter_context(total)
        states = left.get("spectra", [None] * len(mixture.spectra))
        spectra = {
            name: stack.enter_context(
                self.windowing.spectra(
                    name,
                    self.number,
                    (source.frames, self.whole_frames),
                    source.frequencies,
                    mixture.weights[:, part],
                    state,
                )
            )
            for (name, part), state in zip(mixture.spectra, states, strict=True)
            if self.windowing is not None
        }
        sums = Sums(
            mixture, total, tuple(spectra.values()), self.folder / f"rows-{self.number}", summing.state
        )
        work = len(sounding) * source.frames * source.frequencies
        with stages.stage(f"{to.name}: sums", work, "values") as advance:
            sum_filters(to, mixture, sums, summing, advance)
        return total, spectra

    def _write_raw(
        self, files: SoundFiles, stages: Stages, levels: Levels | None, total: SumSpool | None
    ) -> None:
        to, sound = self.raw, self.raw.options
        if not sound.needs_finishing:
            render_bank(to, files, stages, levels=levels, total=total)
            return
        inner = replace(sound, format="wav", subtype="FLOAT", resample_hz=None, loudness_lufs=None)
        made = [
            (
                raw_plan(audio, inner),
                [self.folder / f"{self.number}-{audio.scheme}-{at}.wav" for at in range(audio.files)],
            )
            for audio, _ in files
        ]
        render_bank(replace(to, options=inner, views=None), made, stages, levels=levels, total=total)
        count = sum(plan.files * plan.samples * plan.channels for plan, _ in made)
        work = signal_work(count, sound, sound.loudness_lufs) - count
        with stages.stage(f"{to.name}: finish", work, "samples") as advance:
            for (audio, paths), (plan, raws) in zip(files, made, strict=True):
                jobs = [
                    (self._finish(path, audio), [Segment(plan.samples, partial(_pieces, raw))])
                    for path, raw in zip(paths, raws, strict=True)
                ]
                finish_files(to.journal, to.pipeline, f"{to.name}: {audio.scheme} finished", jobs, advance)

    def _finish(self, path: Path, audio: AudioPlan) -> Finish:
        to, sound, view = self.raw, self.raw.options, None
        if to.views is not None:
            # as the file's name has it: which filter it is
            scheme = f"filter {int(path.stem)}" if audio.scheme == "filters" else audio.scheme
            each = to.source.frames * to.source.frequencies
            plan = view_plan(audio, sound, windowed=False, filter_samples=each)
            view = to.views.path(self.number, scheme), plan
        tags = to.tags(audio.scheme)
        return Finish(path, audio, sound, tags, sound.loudness_lufs, False, (self.number,), view)

    def _write_windowed(
        self, files: SoundFiles, stages: Stages, levels: Levels | None, spectra: dict[str, SpectraSpool]
    ) -> None:
        to, windowing = self.raw, self.windowing
        assert windowing is not None
        voices = [(audio, paths) for audio, paths in files if audio.scheme == "sum"]
        others = [(audio, paths) for audio, paths in files if audio.scheme != "sum"]
        samples = windowing.stft.samples
        work = sum(
            signal_work(samples * audio.channels, to.options, to.options.loudness_lufs) for audio, _ in voices
        )
        if others:
            signals = max(audio.temporary_bytes for audio, _ in others) // 4
            work += signals + len(others) * (
                signal_work(signals, to.options, to.options.loudness_lufs) - signals
            )
        with stages.stage(to.name, work, "samples") as advance:
            for audio, (path,) in voices:
                write_voice(windowing, to.name, self.number, spectra["sum"], path, audio, advance)
            if others:
                assert levels is not None
                write_filters(
                    windowing, to.name, self.number, to.source, self.whole_frames, levels, others, advance
                )


def summing_step(name: str) -> str:
    """The journal's step in which the sums of the bank of that stage are made out of its store."""
    return f"{name}: weighted sum"


def _unknown(channels: int) -> Levels:
    """Where nothing asks for levels: a plain sum."""
    unknown = np.full(channels, np.nan)
    return Levels(unknown, unknown, unknown)


def _pieces(path: Path) -> Iterator[Any]:
    return iter(soundfile.blocks(str(path), blocksize=PIECE_SAMPLES, dtype="float32", always_2d=True))


def sum_filters(to: Rendering, mixture: Mixture, sums: Sums, work: Pass, advance: Advance) -> None:
    """Sum the filters, each times its weights, in one pass over stored activations.

    Args:
        work: over blocks of all filters that sound, frames outermost; to be put down between frames.
    """
    factors = torch.from_numpy(mixture.weights).T.contiguous()
    first, last = work.channels
    total = torch.empty(0)

    def weighted(block: Block) -> tuple[Block, Tensor]:
        values = to.source.read(block.channels, block.frames)
        advance(values.numel())
        return block, torch.tensordot(factors[:, block.channels], values.float(), dims=1)

    def add(found: tuple[Block, Tensor]) -> None:
        nonlocal total
        block, part = found
        total = part if block.channels.start == first else total.add_(part)
        if block.channels.stop == last:
            sums.add(total.transpose(0, 1))
        work.reached(sums.state, sums.files)

    to.pipeline.run(to.source.prefetched(work.remaining(advance, to.source.frequencies)), weighted, [add])
    work.end(sums.state, sums.files)


class Sums:
    """Where weighted sums go: to a sum that is inverted, to what becomes windowed frames.

    Args:
        mixture: what the sums' columns are; a plain raw sum has one, too.
        state: how far they were; the spools were made with it.
        waiting: where the rows that wait are kept, at a stem of that name.
    """

    def __init__(
        self,
        mixture: Mixture,
        total: SumSpool | None,
        spectra: Sequence[SpectraSpool],
        waiting: Path,
        state: Mapping[str, Any] | None,
    ) -> None:
        self._mixture, self._total, self._spectra = mixture, total, spectra
        self._waiting, self._kept = waiting, Path()
        if state is not None and spectra:
            self._kept = waiting.with_name(state["waiting"])
            with CheckpointReader(self._kept, FileSum.from_json(state["waiting_sum"])) as reader:
                rows = reader.tensors("rows")
            for number, each in enumerate(spectra):
                each.made_by.restore(state["spectra"][number], rows[str(number)])

    def add(self, columns: Tensor) -> None:
        """The next frames' sums, `[frame, column, frequency]`."""
        if self._total is not None:
            self._total.add(half_frames(columns[:, : self._mixture.raw]))
        for spool, (_, part) in zip(self._spectra, self._mixture.spectra, strict=True):
            spool.add(columns[:, part])

    def state(self) -> dict[str, Any]:
        """How far they are; what cannot be told in a few numbers goes to a file of its own."""
        found: dict[str, Any] = {"sum": None if self._total is None else self._total.state()}
        if self._spectra:
            # three names in turn: neither the one that the journal speaks of is written over, nor the one
            # of a commit under way
            turn = (int(self._kept.suffix[1:] or 2) + 1) % 3
            writer = CheckpointWriter(self._waiting.with_name(f"{self._waiting.name}.{turn}"))
            for number, each in enumerate(self._spectra):
                writer.add(f"rows/{number}", each.made_by.waiting)
            writer.close()
            self._kept = writer.path
            found |= {
                "spectra": [each.state() for each in self._spectra],
                "waiting": self._kept.name,
                "waiting_sum": file_sum(self._kept).to_json(),
            }
        return found

    def files(self) -> Files:
        kept = [self._kept] if self._spectra else []
        total = [] if self._total is None else [self._total.path]
        return dict.fromkeys((*kept, *total, *(each.path for each in self._spectra)))
