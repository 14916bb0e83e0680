"""The sinks of the network's stage: where each bank's rows go, and what is saved of them and restored."""

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
from ..sound.levels import LevelMeter
from ..sound.mixture import Mixture
from ..sound.spectra import SpectraSpool
from ..sound.sum_spool import SumSpool
from ..store.arrays import ShardWriter

_STATE = "state-"
_PREVIEW = "preview"


@dataclass(frozen=True, kw_only=True)
class BankSinks:
    """Where one bank's rows go: see `bank_hook.Taker`.

    Attributes:
        meter: takes the filters' extremes.
        store: takes the activations; None where they are not stored.
        total: takes the raw sum; None where it is not wanted.
        mixture: what the filters are summed to as they come; None where only their plain sum is audible.
        spectra: take the columns that `mixture.spectra` names, in its order.
        energies: whether the meter takes the filters' energies.
        overview: takes the report's cells; None without a report.
    """

    meter: LevelMeter
    store: ShardWriter | None = None
    total: SumSpool | None = None
    mixture: Mixture | None = None
    spectra: tuple[SpectraSpool, ...] = ()
    energies: bool = False
    overview: Overview | None = None

    @property
    def cell_factor(self) -> int | None:
        """Side of an overview cell, in values; None without a report."""
        return None if self.overview is None else self.overview.cells.factor

    @property
    def stored(self) -> bool:
        """Whether activations are stored."""
        return self.store is not None

    @property
    def inverted(self) -> bool:
        """Whether the raw sum is wanted."""
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
        """Return how far they have come, JSON-ready; tensors that they retain are saved apart (`save`)."""
        return {
            "levels": self.meter.state(),
            "sum": None if self.total is None else self.total.state(),
            "shards": None if self.store is None else self.store.state(),
            "spectra": [spool.state() for spool in self.spectra],
            "overview": None if self.overview is None else self.overview.state(),
        }

    def save(self, writer: CheckpointWriter, folder: str) -> None:
        """Save the tensors that they retain."""
        for name, sink, _ in self._each(self.state()):
            for part, values in sink.retained().items():
                writer.add(f"{folder}/{name}/{part}", values)

    def restore(self, state: BankState, reader: CheckpointReader, folder: str) -> None:
        """Resume where `state` was saved; the spools and the meter were opened with it."""
        for name, sink, own in self._each(state):
            sink.restore(own, reader.tensors(f"{folder}/{name}"))

    def files(self, state: BankState, cancelled: Callable[[], bool]) -> dict[PurePath, FileSum | None]:
        """Return the files that must be durable for `state` to hold, once they are written."""
        files: dict[PurePath, FileSum | None] = {}
        for _, sink, own in self._each(state):
            files.update(sink.files(own, cancelled).items())
        return files

    def _each(self, state: BankState) -> Iterator[tuple[str, ResumableSink[Any], Any]]:
        """Yield each sink that keeps more than numbers: its folder in a checkpoint, itself, and its state."""
        if self.store is not None:
            yield "shard", self.store, state["shards"]
        if self.total is not None:
            yield "sum", self.total, state["sum"]
        for number, spool in enumerate(self.spectra):
            yield f"spectra/{number}", spool, state["spectra"][number]
        if self.overview is not None:
            yield "overview", self.overview, state["overview"]


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
        """Resume where `state` was saved."""
        for number, sinks in self.banks.items():
            sinks.restore(state["banks"][str(number)], reader, f"bank-{number}")
        if self.preview is not None:
            assert state["preview"] is not None
            self.preview.restore(state["preview"], reader.tensors(_PREVIEW))

    def files(
        self, banks: Mapping[str, BankState], cancelled: Callable[[], bool]
    ) -> dict[PurePath, FileSum | None]:
        """Return the files that must be durable for the states of all banks to hold."""
        files: dict[PurePath, FileSum | None] = {} if self.preview is None else {self.preview.path: None}
        for number, sinks in self.banks.items():
            files |= sinks.files(banks[str(number)], cancelled)
        return files

    def complete(
        self,
        journal: Journal,
        logits: Tensor,
        *,
        files: Callable[[], Mapping[PurePath, FileSum | None]] = dict,
        after: Callable[[], None],
    ) -> None:
        """Note that the whole stage is done.

        Args:
            journal: where it is noted.
            logits: the classifier's average.
            files: returns what else was written, for the commit.
            after: called when it is durable.
        """
        assert all(sinks.store is None or sinks.store.finished for sinks in self.banks.values())
        banks = {str(number): sinks.state() for number, sinks in self.banks.items()}
        preview = None if self.preview is None else self.preview.state()
        state: NetworkState = {
            "complete": True,
            "banks": banks,
            "preview": preview,
            "logits": logits.tolist(),
        }

        def written(cancelled: Callable[[], bool]) -> Files:
            return {**files(), **self.files(banks, cancelled)}

        journal.reached(NETWORK, state, written, after=after)


class Snapshot:
    """One moment of the network's stage: saved part by part to a checkpoint, then committed.

    Args:
        journal: where it is noted.
        folder: the run's, for the checkpoint.
        rows: rows of the picture that are through.
        sinks: the stage's.
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
        """Save what a stage of the stream retains."""
        for part, values in retained.items():
            self._writer.add(f"{name}/{part}", values)

    def save_bank(self, number: int) -> None:
        """Save a bank's sinks."""
        sinks = self._sinks.banks[number]
        self._banks[str(number)] = sinks.state()
        sinks.save(self._writer, f"bank-{number}")

    def save_preview(self) -> None:
        """Save the picture's cells, if there are any."""
        preview = self._sinks.preview
        if preview is None:
            return
        self._preview = preview.state()
        for part, values in preview.retained().items():
            self._writer.add(f"{_PREVIEW}/{part}", values)

    def discard(self) -> None:
        """Close the checkpoint, which will not be used."""
        self._writer.discard()

    def commit(
        self,
        *,
        files: Mapping[PurePath, FileSum | None] | None = None,
        segments: tuple[Tensor, int] | None = None,
    ) -> None:
        """Have it committed.

        Args:
            files: what else was written.
            segments: of a cluster, whose segments it follows: the classifier's sums, and how many positions
                they are over.
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
            state["checksum"] = file_sum(path).to_json()  # here, beside the work
            return {path: None, **(files or {}), **self._sinks.files(self._banks, cancelled)}

        self._journal.reached(NETWORK, state, written, after=lambda: remove_snapshots(path.parent, path))
        self._journal.flush_soon()


def open_snapshot(folder: Path, state: NetworkState) -> CheckpointReader:
    """Open the checkpoint of a state that is not complete.

    Raises:
        StoreError: it is missing or damaged.
    """
    return CheckpointReader(folder / state["file"], FileSum.from_json(state["checksum"]))


def remove_snapshots(folder: Path, newest: Path | None = None) -> None:
    """Remove checkpoints, all or those that are older than `newest`."""
    for path in folder.glob(f"{_STATE}*.npz"):
        if newest is None or _age(path) < _age(newest):
            path.unlink(missing_ok=True)


def _age(path: Path) -> tuple[int, ...]:
    """Return how many times the run was started before a checkpoint, and the rows behind it."""
    return tuple(int(number) for number in path.stem.removeprefix(_STATE).split("-"))


def rows_done(journal: Journal) -> int:
    """Return how many of the picture's rows along the time axis are through, by the journal."""
    state = journal.state(NETWORK)
    return 0 if state is None else state.get("rows", 0)
