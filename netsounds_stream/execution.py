"""A finished plan carried out in a folder, step by step, from where the journal says it was put down."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import machine
from .bank_sound import BankSound, summing_step
from .device import own_stream
from .errors import Stopped
from .folder import file_label
from .forward import STEP, Compute, pixel_network, remove_states, rows_done, run_forward
from .journal import Journal, no_files
from .levels import LevelMeter
from .mixture import Mixture, chosen, mixture_of
from .options import SonifyOptions
from .overlap import Line
from .picture import Picture, slabs, write_spool
from .plans import STORED_SPOOL, AudioPlan, BankPlan, Plan
from .progress import Stages
from .record import array_attributes, tags_of
from .sinks import Sinks
from .sound import Rendering
from .sound_options import MIX_LUFS
from .spectra import SpectraSpool
from .store import Activations, ShardWriter, create_array, open_activations
from .sum_spool import SumSpool
from .weights import Weights
from .windowed import FILTERS, Windowing, signal_work, write_mix

_PICTURE_STEP = "decode"


@contextmanager
def workers(
    count: int,
    threads_each: int,
    device: str = "cpu",
    strained: Callable[[], bool] = lambda: False,
) -> Iterator[Line]:
    """Workers whose torch uses so many threads each; the caller's own number of threads is kept.

    On a GPU named `device` each has a stream of its own, for work that needs no order. Where memory is
    `strained` fewer work at a time.
    """
    before = torch.get_num_threads()

    def begin() -> None:
        torch.set_num_threads(threads_each)
        own_stream(device)

    try:
        yield Line(count, begin, strained)
    finally:
        torch.set_num_threads(before)  # what a worker sets, threads made later would take over


@dataclass(frozen=True)
class Execution:
    """What carrying out a plan needs. `record` is what `begin_record` gave; `folder` is worked in.

    `notes` gathers what was done otherwise than planned.
    """

    picture: Picture
    weights: Weights
    options: SonifyOptions
    plan: Plan
    compute: Compute
    record: dict[str, Any]
    folder: Path
    journal: Journal
    stages: Stages
    notes: list[str] = field(default_factory=list)

    def run(self) -> Tensor:
        """Do all of it; the logits' average over the full picture.

        Raises:
            Stopped: the run was asked to stop, and what was done is durable.
        """
        self._temporary.mkdir(exist_ok=True)
        try:
            logits = self._network()
            machine.trim_heap()
            most = self.plan.strained_bytes
            with self._workers(most, most, self.compute.device) as line:
                for each in self.plan.banks:
                    self._sound(each, line)
                if self.plan.mix is not None:
                    self._mix(self.plan.mix, line)
            with self.stages.stage("sync", 1, "share") as advance:
                self.journal.flush()
                advance(1)
        except Stopped:
            self.journal.flush()
            raise
        finally:
            self.journal.abandon()
        self._tidy()
        return logits

    def _tidy(self) -> None:
        """Remove what is none of the run's: also what a kill kept a commit from removing."""
        remove_states(self.folder)
        self._picture_spool.unlink(missing_ok=True)
        shutil.rmtree(self._temporary, ignore_errors=True)
        if not self.options.activations:
            for each in self.plan.banks:
                shutil.rmtree(self._array_path(each), ignore_errors=True)

    def _network(self) -> Tensor:
        journal, planned, options = self.journal, self.plan, self.options
        state = journal.state(STEP)
        if journal.done(STEP):
            assert state is not None
            return torch.tensor(state["logits"], dtype=torch.float64)
        spool = self._picture_spool
        with ExitStack() as stack:
            line = stack.enter_context(self._workers(planned.trim_bytes, planned.strained_bytes))
            sinks = {each.number: self._sinks(each, line, stack) for each in planned.banks}
            if planned.picture_stored == STORED_SPOOL and not journal.done(_PICTURE_STEP):
                self._spool_picture(spool)
            first = rows_done(journal)
            pixels = planned.pixels
            with self.stages.stage("network", pixels, "px") as advance:
                advance.skip(first * pixels // planned.rows_along)
                logits = run_forward(
                    slabs(
                        self.picture,
                        time_axis=planned.time_axis,
                        rows=planned.slab_rows,
                        stored=planned.picture_stored,
                        spool=spool,
                        first=first,
                    ),
                    planned,
                    pixel_network(
                        self.weights, self.picture.full_scale, options.normalize, self.compute.dtype
                    ),
                    sinks,
                    compute=self.compute,
                    line=line,
                    advance=advance,
                    journal=journal,
                    folder=self.folder,
                )
        if planned.picture_stored == STORED_SPOOL:
            journal.reached("spool", {"whole": True}, no_files, after=lambda: spool.unlink(missing_ok=True))
        journal.step_ended()
        return logits

    @contextmanager
    def _workers(self, trim_bytes: int, most_bytes: int, device: str = "cpu") -> Iterator[Line]:
        count = self.plan.workers
        strain = machine.Strain(trim_bytes, most_bytes)
        with workers(count, self.plan.threads_each, device, strain) as line:
            yield line
            if line.width < count:
                self.notes.append(f"memory came near the budget: {line.width} of {count} workers went on")

    def _sinks(self, each: BankPlan, line: Line, stack: ExitStack) -> Sinks:
        step = self.journal.state(STEP)
        state = None if step is None else step["banks"][str(each.number)]
        store = None
        total, mixture, spectra = self._sums(each, line, state, stack)
        if self.plan.stored:
            path, codec, axis = self._array_path(each), self.options.codec, self.plan.time_axis
            if state is None:
                shutil.rmtree(path, ignore_errors=True)  # of a run that ended before its first commit
                facts = array_attributes(each, self.record)
                create = partial(create_array, path, time_axis=axis, codec=codec, attributes=facts)
                line.run([each], create, [])  # by a worker, for Ctrl-C must not leave zarr writing behind
            store = ShardWriter(path, each, axis, codec, line.errand)
        meter = LevelMeter(each.channels, None if state is None else state["levels"])
        return Sinks(store, total, meter, mixture, tuple(spectra.values()), self.options.sound.energies)

    def _sums(
        self, each: BankPlan, line: Line, state: Mapping[str, Any] | None, stack: ExitStack
    ) -> tuple[SumSpool | None, Mixture | None, dict[str, SpectraSpool]]:
        """What the network's stage sums, opened: new, or as it was left."""
        sound = self.options.sound
        if sound.weighed:
            return None, None, {}
        mixture, total = mixture_of(each.channels, sound), None
        if mixture.plain or mixture.raw:
            left = None if state is None else state["sum"]
            spool = SumSpool(self._sum_path(each), each.frames, each.frequencies, left, max(1, mixture.raw))
            total = stack.enter_context(spool)
        spectra = self._spectra(each, mixture, line, state, stack)
        return total, mixture if mixture.weights.size else None, spectra

    def _spectra(
        self,
        each: BankPlan,
        mixture: Mixture,
        line: Line,
        state: Mapping[str, Any] | None,
        stack: ExitStack,
    ) -> dict[str, SpectraSpool]:
        windowing = self._windowing(line)
        found: dict[str, SpectraSpool] = {}
        for at, (name, part) in enumerate(mixture.spectra):
            assert windowing is not None
            left = None if state is None else state["spectra"][at]
            columns, rows = part.stop - part.start, (each.frames, each.whole_frames)
            spool = windowing.spectra(name, each.number, rows, each.frequencies, columns, left)
            found[name] = stack.enter_context(spool)
        return found

    def _windowing(self, line: Line) -> Windowing | None:
        if self.plan.stft is None:
            return None
        sound = self.options.sound
        flipped = (self.plan.time_axis == "x") != sound.flip_frequency  # a picture's top is high
        return Windowing(
            self.plan.stft, sound, self.journal, self._temporary, line, partial(tags_of, self.record), flipped
        )

    def _spool_picture(self, spool: Path) -> None:
        pixels = self.plan.pixels
        with self.stages.stage("decode", pixels, "px") as advance:
            shares = [0.0]

            def on_spooled(share: float) -> None:
                if self.journal.stopping:
                    raise Stopped
                advance((share - shares[-1]) * pixels)
                shares.append(share)

            write_spool(self.picture, spool, on_spooled)
        self.journal.reached(_PICTURE_STEP, {"whole": True}, lambda given_up: {spool: None})
        self.journal.step_ended()

    def _sound(self, each: BankPlan, line: Line) -> None:
        journal, options, name = self.journal, self.options, f"sound {each.number}"
        if journal.done(name):
            return
        network = journal.state(STEP)
        assert network is not None
        left = network["banks"][str(each.number)]
        files = [(audio, self._sound_paths(each, audio)) for audio in each.audio]
        with ExitStack() as stack:
            total, _, spectra = self._sums(each, line, left, stack)
            source: Activations | None = None
            if self.plan.stored:
                source = open_activations(self._array_path(each), self.plan.time_axis)
            tags = partial(tags_of, self.record, str(each.number))
            raw = Rendering(
                source, options.sound, self.plan.block_values, line, journal, name, tags, self.compute.device
            )
            bank = BankSound(each.number, raw, self._windowing(line), self._temporary, each.whole_frames)
            bank.write(files, self.stages, LevelMeter(each.channels, left["levels"]).levels(), total, spectra)
        array = self._array_path(each)
        unwanted = self.plan.stored and not options.activations
        journal.reached(
            name,
            {"whole": True},
            no_files,
            after=lambda: shutil.rmtree(array, ignore_errors=True) if unwanted else None,
        )

    def _mix(self, audio: AudioPlan, line: Line) -> None:
        if self.journal.done("mix"):
            return
        windowing, network = self._windowing(line), self.journal.state(STEP)
        assert windowing is not None and network is not None
        samples = audio.temporary_bytes // 4
        work = len(self.plan.banks) * samples + signal_work(samples, self.options.sound, MIX_LUFS) - samples
        with self.stages.stage("mix", work, "samples") as advance, ExitStack() as stack:
            banks: dict[int, SpectraSpool] = {}
            for each in self.plan.banks:
                state = network["banks"][str(each.number)]
                if self.options.sound.weighed:
                    state = self.journal.state(summing_step(f"sound {each.number}"))
                mixture = self._mixture(each, network)
                banks[each.number] = self._spectra(each, mixture, line, state, stack)["mix"]
            write_mix(windowing, banks, self.folder / f"mix{self._suffix}", audio, advance)

    def _mixture(self, each: BankPlan, network: Mapping[str, Any]) -> Mixture:
        if not self.options.sound.weighed:
            return mixture_of(each.channels, self.options.sound)
        levels = LevelMeter(each.channels, network["banks"][str(each.number)]["levels"]).levels()
        return mixture_of(each.channels, self.options.sound, levels)

    @property
    def _temporary(self) -> Path:
        """A folder for what waits while the run goes on."""
        return self.folder / "temporary"

    @property
    def _suffix(self) -> str:
        return f".{self.options.sound.format}"

    @property
    def _picture_spool(self) -> Path:
        return self.folder / "picture.spool.tif"

    def _stem(self, each: BankPlan) -> str:
        return f"activations-{each.number}_{file_label(self.record['label'])}"

    def _array_path(self, each: BankPlan) -> Path:
        return self.folder / f"{self._stem(each)}.zarr"

    def _sum_path(self, each: BankPlan) -> Path:
        return self._temporary / f"sum-{each.number}.spool"

    def _sound_paths(self, each: BankPlan, audio: AudioPlan) -> list[Path]:
        if audio.scheme != "filters":
            return [self.folder / f"{self._stem(each)}_{audio.scheme}{self._suffix}"]
        folder = self.folder / f"{self._stem(each)}{FILTERS}"
        folder.mkdir(exist_ok=True)
        network = self.journal.state(STEP)
        assert network is not None
        levels = LevelMeter(each.channels, network["banks"][str(each.number)]["levels"]).levels()
        numbers = chosen(each.channels, self.options.sound, levels)
        return [folder / f"{number:03d}{self._suffix}" for number in numbers]
