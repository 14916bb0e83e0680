"""The sinks of the network's stage, which take each bank's rows; and the snapshots that they resume from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from torch import Tensor

from ..base.checkpoint import CheckpointReader, CheckpointWriter
from ..base.checksums import FileSum, file_sum
from ..base.journal import Files, Journal
from ..base.sink import ResumableSink
from ..picture.overview import Overview
from ..planning.steps import NETWORK, BankState, NetworkState, OverviewState
from ..sound.firing import Firing
from ..sound.levels import LevelMeter
from ..sound.mixture import Mixture
from ..sound.spectra import SpectraSpool
from ..sound.sum_spool import SumSpool
from ..store.arrays import ShardWriter

_STATE = "state-"
_PREVIEW = "preview"


@dataclass(frozen=True, kw_only=True)
class BankSinks:
    """The sinks of one bank's rows: see `bank_hook.Taker`.

    Attributes:
        meter: takes the filters' extremes.
        store: takes the activations; None where they are not stored.
        total: takes the raw sum; None where it is not wanted.
        mixture: weights of the filters' weighted sums; None where only their plain sum is audible.
        spectra: take the columns that `mixture.spectra` names, in its order.
        energies: whether the meter takes the filters' energies.
        overview: takes the report's cells; None without a report.
        firing: takes them, too, for the filters' levels over time; None without a report.
    """

    meter: LevelMeter
    store: ShardWriter | None = None
    total: SumSpool | None = None
    mixture: Mixture | None = None
    spectra: tuple[SpectraSpool, ...] = ()
    energies: bool = False
    overview: Overview | None = None
    firing: Firing | None = None

    @property
    def cell_factor(self) -> int | None:
        """Side of an overview cell, in values; None without a report."""
        return None if self.overview is None else self.overview.cells.factor

    @property
    def stored(self) -> bool:
        """True if activations are stored."""
        return self.store is not None

    @property
    def inverted(self) -> bool:
        """True if the raw sum is wanted."""
        return self.total is not None

    def take_parts(self, means: Tensor, parts: tuple[Tensor, ...]) -> None:
        """Take activations: see `Taker`."""
        assert self.store is not None
        self.meter.add_means(0, means)
        self.store.append(parts)

    def take_energies(self, energies: Tensor) -> None:
        """Take the filters' energies: see `Taker`."""
        self.meter.add_energies(0, energies)

    def take_cells(self, sums: Tensor, highest: Tensor) -> None:
        """Take overview cells: see `Taker`."""
        assert self.overview is not None
        self.overview.add(sums, highest)
        if self.firing is not None:
            self.firing.add(sums)

    def take_half(self, half: Tensor) -> None:
        """Take the raw sum's half frames: see `Taker`."""
        assert self.total is not None
        self.total.add(half)

    def take_columns(self, columns: Tensor) -> None:
        """Take weighted sums: see `Taker`."""
        assert self.mixture is not None
        for spool, (_, part) in zip(self.spectra, self.mixture.spectra, strict=True):
            spool.add(columns[:, part])

    def state(self) -> BankState:
        """Return the part of the sinks' state that the journal keeps.

        Returns:
            Each sink's own state, JSON-ready; None for sinks that there are not. Retained tensors are saved
            apart: see `save`.
        """
        return {
            "levels": self.meter.state(),
            "sum": None if self.total is None else self.total.state(),
            "shards": None if self.store is None else self.store.state(),
            "spectra": [spool.state() for spool in self.spectra],
            "overview": None if self.overview is None else self.overview.state(),
            "firing": None if self.firing is None else self.firing.state(),
        }

    def save(self, writer: CheckpointWriter, folder: str) -> None:
        """Save the tensors that the sinks retain.

        Args:
            writer: writes the checkpoint.
            folder: the bank's folder in it.
        """
        for name, sink, _ in self._each(self.state()):
            for part, values in sink.retained().items():
                writer.add(f"{folder}/{name}/{part}", values)

    def restore(self, state: BankState, reader: CheckpointReader, folder: str) -> None:
        """Restore the tensors that the sinks retained when `state` was saved.

        Args:
            state: the bank's state in the journal, with which its sinks were opened.
            reader: reads the checkpoint.
            folder: the bank's folder in it.
        """
        for name, sink, own in self._each(state):
            sink.restore(own, reader.tensors(f"{folder}/{name}"))

    def files(self, state: BankState, cancelled: Callable[[], bool]) -> dict[PurePath, FileSum | None]:
        """Wait until the files that belong to a state are written: see `ResumableSink.files`.

        Args:
            state: the bank's state that is to be committed.
            cancelled: returns True once the commit is cancelled.

        Returns:
            The files that must be durable for the state to hold, with the checksums of those that are
            complete, None for others.
        """
        files: dict[PurePath, FileSum | None] = {}
        for _, sink, own in self._each(state):
            files.update(sink.files(own, cancelled).items())
        return files

    def _each(self, state: BankState) -> Iterator[tuple[str, ResumableSink[Any], Any]]:
        """List the sinks that retain tensors or write files.

        Yields:
            A sink's folder in a checkpoint, the sink, and its own part of `state`.
        """
        if self.store is not None:
            yield "shard", self.store, state["shards"]
        if self.total is not None:
            yield "sum", self.total, state["sum"]
        for number, spool in enumerate(self.spectra):
            yield f"spectra/{number}", spool, state["spectra"][number]
        if self.overview is not None:
            yield "overview", self.overview, state["overview"]
        if self.firing is not None:
            yield "firing", self.firing, state["firing"]


@dataclass(frozen=True, kw_only=True)
class NetworkSinks:
    """All sinks of the network's stage.

    Attributes:
        banks: by bank number.
        preview: takes the picture's cells for the report, in 0 to 255; None without one.
    """

    banks: Mapping[int, BankSinks]
    preview: Overview | None = None

    def restore(self, state: NetworkState, reader: CheckpointReader) -> None:
        """Restore the tensors that the sinks retained when `state` was saved.

        Args:
            state: the stage's state in the journal, with which the sinks were opened.
            reader: reads its checkpoint.
        """
        for number, sinks in self.banks.items():
            sinks.restore(state["banks"][str(number)], reader, f"bank-{number}")
        if self.preview is not None:
            assert state["preview"] is not None
            self.preview.restore(state["preview"], reader.tensors(_PREVIEW))

    def files(
        self, banks: Mapping[str, BankState], cancelled: Callable[[], bool]
    ) -> dict[PurePath, FileSum | None]:
        """Wait until the files that belong to the banks' states are written.

        Args:
            banks: each bank's state that is to be committed, by its number.
            cancelled: returns True once the commit is cancelled.

        Returns:
            The files that must be durable for the states to hold, with the checksums of those that are
            complete, None for others.
        """
        files: dict[PurePath, FileSum | None] = {} if self.preview is None else {self.preview.path: None}
        for number, sinks in self.banks.items():
            files |= sinks.files(banks[str(number)], cancelled)
        return files

    def complete(
        self,
        journal: Journal,
        logits: Tensor | None,
        *,
        files: Callable[[], Mapping[PurePath, FileSum | None]] = dict,
        after: Callable[[], None],
    ) -> None:
        """Record that the stage is complete.

        Args:
            journal: where it is recorded.
            logits: the logits' average over the picture, float64 `[class]`; None if the network makes none.
            files: returns further files that must be durable first.
            after: called when the record is durable.
        """
        assert all(sinks.store is None or sinks.store.finished for sinks in self.banks.values())
        banks = {str(number): sinks.state() for number, sinks in self.banks.items()}
        preview = None if self.preview is None else self.preview.state()
        state: NetworkState = {
            "complete": True,
            "banks": banks,
            "preview": preview,
            "logits": None if logits is None else logits.tolist(),
        }

        def written(cancelled: Callable[[], bool]) -> Files:
            return {**files(), **self.files(banks, cancelled)}

        journal.reached(NETWORK, state, written, after=after)


class Snapshot:
    """A snapshot of the network's stage between two bands, saved part by part to a checkpoint.

    Args:
        journal: where it is recorded.
        folder: the run's folder, for the checkpoint.
        rows: number of the picture's rows before it.
        sinks: the stage's sinks.
    """

    def __init__(self, journal: Journal, folder: Path, rows: int, sinks: NetworkSinks) -> None:
        self._journal = journal
        self._rows = rows
        self._sinks = sinks
        self._banks: dict[str, BankState] = {}
        self._preview: OverviewState | None = None
        name = f"{_STATE}{journal.content['starts']}-{rows}.npz"
        self._writer = CheckpointWriter(folder / name)

    def save_layer(self, name: str, retained: Mapping[str, Tensor]) -> None:
        """Save the tensors that a stage of the stream retains.

        Args:
            name: the stage's name.
            retained: its tensors, by their names.
        """
        for part, values in retained.items():
            self._writer.add(f"{name}/{part}", values)

    def save_bank(self, number: int) -> None:
        """Save the sinks of a bank.

        Args:
            number: the bank's number.
        """
        sinks = self._sinks.banks[number]
        self._banks[str(number)] = sinks.state()
        sinks.save(self._writer, f"bank-{number}")

    def save_preview(self) -> None:
        """Save the state of the picture's overview, if there is one."""
        preview = self._sinks.preview
        if preview is None:
            return
        self._preview = preview.state()
        for part, values in preview.retained().items():
            self._writer.add(f"{_PREVIEW}/{part}", values)

    def discard(self) -> None:
        """Close and abandon the checkpoint."""
        self._writer.discard()

    def commit(
        self,
        *,
        files: Mapping[PurePath, FileSum | None] | None = None,
        segments: tuple[Tensor, int] | None = None,
    ) -> None:
        """Close the checkpoint, and record the snapshot in the journal, which commits it in the background.

        Args:
            files: further files that must be durable first.
            segments: on a cluster, the classifier's sums and the number of positions that they are over;
                None on one machine.
        """
        self._writer.close()
        path = self._writer.path
        state: NetworkState = {
            "complete": False,
            "rows": self._rows,
            "file": path.name,
            "banks": self._banks,
            "preview": self._preview,
        }
        if segments is not None:
            sums, positions = segments
            state |= {"segments": True, "classes": sums.tolist(), "positions": positions}

        def written(cancelled: Callable[[], bool]) -> Files:
            state["checksum"] = file_sum(path).to_json()  # in the journal's thread, beside the work
            return {path: None, **(files or {}), **self._sinks.files(self._banks, cancelled)}

        self._journal.reached(NETWORK, state, written, after=lambda: remove_snapshots(path.parent, path))
        self._journal.flush_soon()


def open_snapshot(folder: Path, state: NetworkState) -> CheckpointReader:
    """Open the checkpoint of a state that is not complete.

    Args:
        folder: the run's folder.
        state: the stage's state in the journal.

    Returns:
        A reader, which the caller closes.

    Raises:
        StoreError: the checkpoint is missing or damaged.
    """
    return CheckpointReader(folder / state["file"], FileSum.from_json(state["checksum"]))


def remove_snapshots(folder: Path, newest: Path | None = None) -> None:
    """Remove checkpoints.

    Args:
        folder: the run's folder.
        newest: only checkpoints that are older than this one are removed; None: all are.
    """
    for path in folder.glob(f"{_STATE}*.npz"):
        if newest is None or _age(path) < _age(newest):
            path.unlink(missing_ok=True)


def _age(path: Path) -> tuple[int, ...]:
    """Return a checkpoint's place among a run's checkpoints, to compare them by.

    Returns:
        How many times the run had been started, and the number of rows that were done.
    """
    return tuple(int(number) for number in path.stem.removeprefix(_STATE).split("-"))


def rows_done(journal: Journal) -> int:
    """Return the number of the picture's rows that the journal records as done.

    Args:
        journal: the run's journal.

    Returns:
        Rows along the time axis; 0 before the first commit, and where the stage is complete.
    """
    state = journal.state(NETWORK)
    return 0 if state is None else state.get("rows", 0)
