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

from .base import machine
from .base.checksums import file_sum
from .base.journal import Journal, no_files
from .base.locations import DOWNLOAD
from .base.pipeline import Pipeline, workers
from .base.progress import Advance, Stages
from .cluster.guards import FencingToken, issue_token
from .cluster.segment_merge import Shared
from .cluster.segment_worker import Job, new_job
from .cluster.shared_sound import SharedSound
from .errors import OutputError, Stopped
from .network.compute import Compute, pixel_network
from .network.weights import Weights
from .picture.overview import Overview, bank_overview, picture_overview
from .picture.picture import Picture
from .picture.slabs import planned_slabs, spool_picture
from .planning.options import SonifyOptions
from .planning.plan import STORED_SPOOL, AudioPlan, BankPlan, Plan
from .report.contact_sheets import BankPictures
from .report.report import STEP as REPORT_STEP
from .report.report import BankReport, Report, report_files
from .run.layout import Layout, file_label
from .run.record import array_attributes, tags_of
from .run.storage import LocalStorage, StorageBackend
from .sound.background import Baseline
from .sound.bank import BankSound, summing_step
from .sound.levels import LevelMeter, Levels
from .sound.mix import mix_work, write_mix
from .sound.mixture import Mixture, chosen, mixture_of
from .sound.raw import Rendering
from .sound.spectra import SpectraSpool
from .sound.sum_spool import SumSpool
from .sound.view import Views
from .sound.windowed import Windowing
from .stages.forward import STEP, remove_states, rows_done, run_forward
from .stages.sinks import Sinks
from .store.arrays import Activations, ShardWriter, create_array


@dataclass(frozen=True)
class Execution:
    """What carrying out a plan needs. `record` is what `begin_record` gave; `folder` is worked in.

    `notes` gathers what was done otherwise than planned. `shared` is what a cluster has to do with it.
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
    shared: Shared | None = None
    storage: StorageBackend = field(default_factory=LocalStorage)
    baselines: Mapping[int, Baseline] = field(default_factory=dict)

    def run(self, describe: Callable[[Tensor], dict[str, Any]]) -> Tensor:
        """Do all of it; the logits' average over the full picture.

        Args:
            describe: the run's record, of those logits, for the report.

        Raises:
            Stopped: the run was asked to stop, and what was done is durable.
        """
        self._layout.temporary.mkdir(exist_ok=True)
        if self.shared is not None:
            issue_token(self._layout.temporary)
        try:
            logits = self._network()
            machine.trim_heap()
            most = self.plan.pressure_bytes
            with self._workers(most, most, self.compute.device) as pipeline:
                for each in self.plan.banks:
                    self.storage.make_room(self.plan)
                    self._sound(each, pipeline)
                if self.plan.mix is not None:
                    self._mix(self.plan.mix, pipeline)
            if self.options.report:
                machine.trim_heap()  # of what sound took: sheets are large
                with self._workers(most, most, count=self.plan.report_workers) as pipeline:
                    self._report(pipeline, lambda: describe(logits))
            with self.stages.stage("sync", 1, "share") as advance:
                self.journal.flush()
                self.storage.settle()
                advance(1)
        except Stopped:
            self.journal.flush()
            raise
        finally:
            self.storage.close()
            self.journal.abandon()
        self._tidy()
        return logits

    @property
    def _views(self) -> Views | None:
        return Views(self._layout.temporary) if self.options.report else None

    def _tidy(self) -> None:
        """Remove what is none of the run's: also what a kill kept a commit from removing."""
        remove_states(self.folder)
        self._layout.picture_spool.unlink(missing_ok=True)
        for path in (self._layout.temporary, self.folder / DOWNLOAD):
            shutil.rmtree(path, ignore_errors=True)
        if not self.options.activations:
            for each in self.plan.banks:
                self.storage.forget(self._layout.array(each.number))

    def _network(self) -> Tensor:
        journal, planned, options = self.journal, self.plan, self.options
        state = journal.state(STEP)
        if journal.done(STEP):
            assert state is not None
            return torch.tensor(state["logits"], dtype=torch.float64)
        if state is not None and (self.shared is None) == ("segments" in state):
            how = "on one machine; resume it without" if self.shared else "on a cluster; resume it with"
            raise OutputError(f"the run was started {how} --cluster")
        spool = self._layout.picture_spool
        with ExitStack() as stack:
            pipeline = stack.enter_context(self._workers(planned.trim_bytes, planned.pressure_bytes))
            sinks = {each.number: self._sinks(each, pipeline, stack) for each in planned.banks}
            preview = None
            if options.report:
                preview = stack.enter_context(self._preview((journal.state(STEP) or {}).get("preview")))
            if planned.picture_stored == STORED_SPOOL:
                spool_picture(self.picture, planned, spool, journal, self.stages)
            with self.stages.stage("network", planned.pixels, "px") as advance:
                advance.skip(rows_done(journal) * planned.pixels // planned.rows_along)
                if self.shared is not None:
                    logits = self.shared.run(self._job(), sinks, preview, journal, advance)
                else:
                    logits = self._network_here(sinks, preview, pipeline, advance)
                self.storage.network_ended()
        if planned.picture_stored == STORED_SPOOL:
            journal.reached("spool", {"whole": True}, no_files, after=lambda: spool.unlink(missing_ok=True))
        journal.step_ended()
        return logits

    def _job(self) -> Job:
        layout, token = self._layout, FencingToken.of(self._layout.temporary)
        picture, weights, url = self.picture, self.weights, self.storage.url
        return new_job(self.plan, picture, layout, weights, self.options, self.compute, token, url)

    def _network_here(
        self, sinks: Mapping[int, Sinks], preview: Overview | None, pipeline: Pipeline, advance: Advance
    ) -> Tensor:
        planned = self.plan
        return run_forward(
            planned_slabs(self.picture, planned, self._layout.picture_spool, rows_done(self.journal)),
            planned,
            pixel_network(self.weights, self.picture.full_scale, self.options.normalize, self.compute.dtype),
            sinks,
            compute=self.compute,
            pipeline=pipeline,
            advance=advance,
            journal=self.journal,
            folder=self.folder,
            preview=preview,
        )

    @contextmanager
    def _workers(
        self, trim_bytes: int, most_bytes: int, device: str = "cpu", count: int | None = None
    ) -> Iterator[Pipeline]:
        count = count or self.plan.workers
        strain = machine.MemoryPressure(trim_bytes, most_bytes)
        with workers(count, self.plan.threads_each, device, strain) as pipeline:
            yield pipeline
            if pipeline.in_flight < count:
                self.notes.append(
                    f"memory came near the budget; {pipeline.in_flight} of {count} workers continued"
                )

    def _sinks(self, each: BankPlan, pipeline: Pipeline, stack: ExitStack) -> Sinks:
        step = self.journal.state(STEP)
        state = None if step is None else step["banks"][str(each.number)]
        store = None
        total, mixture, spectra = self._sums(each, pipeline, state, stack)
        if self.plan.stored:
            path, codec, axis = self._layout.array(each.number), self.options.codec, self.plan.time_axis
            # segments of a cluster's may be whole before the first commit
            if state is None and (self.shared is None or not (path / "zarr.json").exists()):
                shutil.rmtree(path, ignore_errors=True)  # of a run that ended before its first commit
                facts = array_attributes(each, self.record)
                create = partial(create_array, path, time_axis=axis, codec=codec, attributes=facts)
                pipeline.run([each], create, [])  # by a worker, for Ctrl-C must not leave zarr writing behind
            if self.shared is None:
                store = ShardWriter(path, each, axis, codec, pipeline.defer, self.storage.uploads)
        meter = LevelMeter(each.channels, None if state is None else state["levels"])
        windowed, energies, overview = tuple(spectra.values()), self.options.sound.needs_energies, None
        if self.options.report:
            overview = stack.enter_context(self._overview(each, state))
        return Sinks(store, total, meter, mixture, windowed, energies, overview)

    def _overview(self, each: BankPlan, state: Mapping[str, Any] | None) -> Overview:
        path = self._layout.overview(f"bank-{each.number}")
        return bank_overview(path, each, None if state is None else state["overview"])

    def _preview(self, state: Mapping[str, Any] | None) -> Overview:
        return picture_overview(self._layout.overview("picture"), self.plan, state)

    def _sums(
        self, each: BankPlan, pipeline: Pipeline, state: Mapping[str, Any] | None, stack: ExitStack
    ) -> tuple[SumSpool | None, Mixture | None, dict[str, SpectraSpool]]:
        """What the network's stage sums, opened: new, or as it was left."""
        sound = self.options.sound
        if sound.needs_second_pass:
            return None, None, {}
        mixture, total = mixture_of(each.channels, sound), None
        if mixture.plain or mixture.raw:
            left = None if state is None else state["sum"]
            spool = SumSpool(
                self._layout.sum_spool(each.number), each.frames, each.frequencies, left, max(1, mixture.raw)
            )
            total = stack.enter_context(spool)
        spectra = self._spectra(each, mixture, pipeline, state, stack)
        return total, mixture if mixture.weights.size else None, spectra

    def _spectra(
        self,
        each: BankPlan,
        mixture: Mixture,
        pipeline: Pipeline,
        state: Mapping[str, Any] | None,
        stack: ExitStack,
    ) -> dict[str, SpectraSpool]:
        windowing = self._windowing(pipeline)
        found: dict[str, SpectraSpool] = {}
        for at, (name, part) in enumerate(mixture.spectra):
            assert windowing is not None
            left = None if state is None else state["spectra"][at]
            weights, rows = mixture.weights[:, part], (each.frames, each.whole_frames)
            spool = windowing.spectra(name, each.number, rows, each.frequencies, weights, left)
            found[name] = stack.enter_context(spool)
        return found

    def _windowing(self, pipeline: Pipeline) -> Windowing | None:
        if self.plan.stft is None:
            return None
        sound = self.options.sound
        flipped = (self.plan.time_axis == "x") != sound.flip_frequency  # a picture's top is high
        folder, tags, views = self._layout.temporary, partial(tags_of, self.record), self._views
        stft, journal, even = self.plan.stft, self.journal, self.baselines
        return Windowing(stft, sound, journal, folder, pipeline, tags, flipped, views, even)

    def _sound(self, each: BankPlan, pipeline: Pipeline) -> None:
        journal, options, name = self.journal, self.options, f"sound {each.number}"
        if journal.done(name):
            return
        network = journal.state(STEP)
        assert network is not None
        left = network["banks"][str(each.number)]
        files = [(audio, self._sound_paths(each, audio)) for audio in each.audio]
        with ExitStack() as stack:
            total, _, spectra = self._sums(each, pipeline, left, stack)
            source: Activations | None = None
            if self.plan.stored:
                source = self.storage.activations(self._layout.array(each.number), self.plan.time_axis)
            tags = partial(tags_of, self.record, str(each.number))
            raw = Rendering(
                source,
                options.sound,
                self.plan.block_values,
                pipeline,
                journal,
                name,
                tags,
                self.compute.device,
                each.number,
                self._views,
                self._shared_sound,
            )
            bank = BankSound(
                each.number, raw, self._windowing(pipeline), self._layout.temporary, each.whole_frames
            )
            bank.write(files, self.stages, self._levels(each), total, spectra)
        array = self._layout.array(each.number)
        unwanted = self.plan.stored and not options.activations
        forget = partial(self.storage.forget, array) if unwanted else lambda: None
        journal.reached(name, {"whole": True}, no_files, after=forget)

    @property
    def _shared_sound(self) -> SharedSound | None:
        if self.shared is None:
            return None
        return SharedSound(
            self.shared.cluster,
            FencingToken.of(self._layout.temporary),
            self._layout.array,
            self.plan.time_axis,
            self.plan.threads_each,
            self.journal.stop,
            self.storage.url,
        )

    def _mix(self, audio: AudioPlan, pipeline: Pipeline) -> None:
        if self.journal.done("mix"):
            return
        windowing, network = self._windowing(pipeline), self.journal.state(STEP)
        assert windowing is not None and network is not None
        parts = {each.number: self._layout.parts(each.number, self.plan) for each in self.plan.banks}
        work = mix_work(audio.temporary_bytes // 4, self.options.sound, parts)
        with self.stages.stage("mix", work, "samples") as advance, ExitStack() as stack:
            banks: dict[int, SpectraSpool] = {}
            for each in self.plan.banks:
                state = network["banks"][str(each.number)]
                if self.options.sound.needs_second_pass:
                    state = self.journal.state(summing_step(f"sound {each.number}"))
                mixture = self._mixture(each)
                banks[each.number] = self._spectra(each, mixture, pipeline, state, stack)["mix"]
            write_mix(windowing, banks, self._layout.mix, audio, advance, parts)

    def _report(self, pipeline: Pipeline, record: Callable[[], Mapping[str, Any]]) -> None:
        network, views = self.journal.state(STEP), self._views
        if self.journal.done(REPORT_STEP):
            return
        assert network is not None and views is not None
        with ExitStack() as stack:
            banks, written = [], [] if self.plan.mix is None else [self._layout.mix]
            for each in self.plan.banks:
                state = network["banks"][str(each.number)]
                overview = stack.enter_context(self._overview(each, state))
                pictures = BankPictures(each.number, overview, each.channels, self.plan.time_axis)
                source = None
                if self.plan.stored and self.options.activations:
                    source = self.storage.activations(self._layout.array(each.number), self.plan.time_axis)
                    written.append(self._layout.array(each.number))
                files = [(audio, self._sound_paths(each, audio)) for audio in each.audio]
                parts = self._layout.parts(each.number, self.plan)
                written += [path for _, paths in files for path in paths]
                written += [path for audio, path in parts if audio.scheme == "stem"]
                filters = self._sounding(each)
                banks.append(BankReport(each, pictures, source, files, filters, pictures.means(), parts))
            preview = stack.enter_context(self._preview(network["preview"]))
            Report(
                self.folder,
                self.plan,
                self.options.sound,
                views,
                pipeline,
                self.journal,
                partial(tags_of, self.record),
                banks,
                None if self.plan.mix is None else self._layout.mix,
                preview,
                self.storage,
                self.options.single_file,
            ).write(record, [path.relative_to(self.folder).as_posix() for path in written], self.stages)
        made = report_files(self.folder)
        self.journal.reached(
            REPORT_STEP,
            {"whole": True},
            lambda cancelled: {path: file_sum(path) for path in made if path.exists()},
        )

    def _mixture(self, each: BankPlan) -> Mixture:
        levels = self._levels(each) if self.options.sound.needs_second_pass else None
        return mixture_of(each.channels, self.options.sound, levels)

    def _levels(self, each: BankPlan) -> Levels:
        """As the network's stage measured them."""
        network = self.journal.state(STEP)
        assert network is not None
        return LevelMeter(each.channels, network["banks"][str(each.number)]["levels"]).levels()

    def sounding(self) -> dict[str, list[int]]:
        """The filters that sound, in order, by bank; once the network is through."""
        return {str(each.number): list(self._sounding(each)) for each in self.plan.banks}

    def _sounding(self, each: BankPlan) -> tuple[int, ...]:
        return chosen(each.channels, self.options.sound, self._levels(each))

    @property
    def _layout(self) -> Layout:
        return Layout(self.folder, file_label(self.record["label"]), self.options.sound.format)

    def _sound_paths(self, each: BankPlan, audio: AudioPlan) -> list[Path]:
        return self._layout.sounds(each.number, audio, self._sounding(each))
