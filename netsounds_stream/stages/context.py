"""The context of a run that is being carried out: its plan, the paths of its files, and shared resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ..base import machine
from ..base.journal import Journal
from ..base.pipeline import Pipeline, workers
from ..base.progress import Stages
from ..network.compute import Compute
from ..network.networks import Network
from ..picture.picture import Picture
from ..planning.options import SonifyOptions
from ..planning.plan import AudioPlan, BankPlan, Plan
from ..planning.steps import NETWORK, BankState, NetworkState
from ..run.layout import Layout
from ..run.record import tags_of
from ..run.storage import StorageBackend
from ..sound.background import Baseline
from ..sound.context import StageContext
from ..sound.levels import LevelMeter, Levels
from ..sound.mixture import Mixture, mixture_of, selected_filters
from ..sound.spectra import SpectraSpool
from ..sound.sum_spool import SumSpool
from ..sound.view import Views
from ..sound.windowed import Windowing


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """Values and resources that every stage of a run works with.

    Attributes:
        picture: the picture's header.
        network: the network.
        options: the run's options.
        plan: the run's plan, with every size.
        compute: device and precision of the network.
        record: the run's record as it began: see `begin_record`.
        layout: paths of the run's files, in the folder that it is worked on in.
        journal: where the steps' states are recorded.
        progress: the run's progress.
        storage: storage of arrays and finished files.
        baselines: each bank's response to a picture without content, by its number.
        notes: collects notes for the run's record on what was done otherwise than planned.
    """

    picture: Picture
    network: Network
    options: SonifyOptions
    plan: Plan
    compute: Compute
    record: dict[str, Any]
    layout: Layout
    journal: Journal
    progress: Stages
    storage: StorageBackend
    baselines: Mapping[int, Baseline] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def views(self) -> Views | None:
        """Views of the sound files, kept for the report; None without a report."""
        return Views(self.layout.temporary) if self.options.report else None

    @contextmanager
    def network_workers(self) -> Iterator[Pipeline]:
        """Start the workers of the network's stage.

        Yields:
            Their pipeline. They return free memory to the system before the process exceeds the plan.
        """
        with self._workers(self.plan.workers, self.plan.trim_bytes, "cpu") as pipeline:
            yield pipeline

    @contextmanager
    def sound_workers(self) -> Iterator[Pipeline]:
        """Start the workers of the sound stages.

        Yields:
            Their pipeline.
        """
        with self._workers(self.plan.workers, self.plan.pressure_bytes, self.compute.device) as pipeline:
            yield pipeline

    @contextmanager
    def report_workers(self) -> Iterator[Pipeline]:
        """Start the workers of the report.

        Yields:
            Their pipeline.
        """
        with self._workers(self.plan.report_workers, self.plan.pressure_bytes, "cpu") as pipeline:
            yield pipeline

    @contextmanager
    def _workers(self, count: int, trim_bytes: int, device: str) -> Iterator[Pipeline]:
        """Start workers, and note at the end if memory pressure has reduced their number."""
        pressure = machine.MemoryPressure(trim_bytes, self.plan.pressure_bytes)
        with workers(count, self.plan.threads_each, device, pressure) as pipeline:
            yield pipeline
            if pipeline.in_flight < count:
                self.notes.append(
                    f"memory came near the budget; {pipeline.in_flight} of {count} workers continued"
                )

    def stage(self, pipeline: Pipeline) -> StageContext:
        """Return the context of a stage that makes sound.

        Args:
            pipeline: the workers.
        """
        return StageContext(
            options=self.options.sound,
            journal=self.journal,
            pipeline=pipeline,
            temporary=self.layout.temporary,
            tags=partial(tags_of, self.record),
            views=self.views,
            device=self.compute.device,
        )

    def windowing(self, pipeline: Pipeline) -> Windowing | None:
        """Return the settings of windowed signals.

        Args:
            pipeline: the workers.

        Returns:
            The settings; None where the plan has no windowed signals.
        """
        if self.plan.stft is None:
            return None
        # the top of a picture is its highest frequency
        flipped = (self.plan.time_axis == "x") != self.options.sound.flip_frequency
        stage = self.stage(pipeline)
        return Windowing(
            context=stage,
            stft=self.plan.stft,
            flipped=flipped,
            baselines=self.baselines,
            keeps_sums=self.plan.sum_maps,
        )

    def network_state(self) -> NetworkState:
        """Return the state of the network's stage, which must have begun."""
        state = self.journal.state(NETWORK)
        assert state is not None
        return state

    def levels(self, bank: BankPlan) -> Levels:
        """Return the extremes of a bank's filters as the network's stage measured them.

        Args:
            bank: the bank's plan.

        Returns:
            The levels of all filters, audible or not.
        """
        state = self.network_state()["banks"][str(bank.number)]
        return LevelMeter(bank.channels, state["levels"]).levels()

    def mixture(self, bank: BankPlan) -> Mixture:
        """Return the weights that a bank's filters are summed by.

        Args:
            bank: the bank's plan.

        Returns:
            The mixture. Where it depends on the filters' levels, the network's stage must be complete.
        """
        levels = self.levels(bank) if self.options.sound.needs_second_pass else None
        return mixture_of(bank.channels, self.options.sound, levels)

    def selected(self, bank: BankPlan) -> tuple[int, ...]:
        """Select the audible filters of a bank, once the network's stage is complete.

        Args:
            bank: the bank's plan.

        Returns:
            The filters' numbers, in order.
        """
        return selected_filters(bank.channels, self.options.sound, self.levels(bank))

    def sound_files(self, bank: BankPlan) -> list[tuple[AudioPlan, list[Path]]]:
        """List a bank's sound files.

        Args:
            bank: the bank's plan.

        Returns:
            The plan of each of the bank's schemes, with the paths of its files.
        """
        selected = self.selected(bank)
        return [(audio, self.layout.sounds(bank.number, audio, selected)) for audio in bank.audio]

    def open_sums(
        self, bank: BankPlan, pipeline: Pipeline, state: BankState | None, stack: ExitStack
    ) -> tuple[SumSpool | None, dict[str, SpectraSpool]]:
        """Open the spools of a bank's sums, new or resumed.

        Args:
            bank: the bank's plan.
            pipeline: the workers.
            state: the state to resume from; None: the stage begins.
            stack: closes the spools.

        Returns:
            The raw sum, or None where it is not wanted; and the windowed sums by their names. Where weights
            depend on the whole picture there is neither: the sums are then taken in a second pass.
        """
        if self.options.sound.needs_second_pass:
            return None, {}
        mixture = self.mixture(bank)
        total = None
        if mixture.plain or mixture.raw:
            total = SumSpool(
                self.layout.sum_spool(bank.number),
                bank.frames,
                bank.frequencies,
                None if state is None else state["sum"],
                max(1, mixture.raw),
            )
            stack.enter_context(total)
        states = None if state is None else state["spectra"]
        windowing = self.windowing(pipeline)
        if windowing is None:
            return total, {}
        rows = bank.frames, bank.whole_frames
        return total, windowing.open_spectra(bank.number, rows, bank.frequencies, mixture, states, stack)
