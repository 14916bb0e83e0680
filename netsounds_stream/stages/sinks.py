"""Where one bank's rows go: to a store, to a running sum, to a meter; and how far that has come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from torch import Tensor

from ..base.checkpoint import CheckpointReader, CheckpointWriter
from ..base.checksums import FileSum
from ..picture.overview import Overview
from ..sound.levels import LevelMeter
from ..sound.mixture import Mixture
from ..sound.spectra import SpectraSpool
from ..sound.sum_spool import SumSpool
from ..store.arrays import ShardWriter


@dataclass(frozen=True)
class Sinks:
    """One bank's: a store or none, a running sum or none, the meter, and what becomes windowed frames.

    Attributes:
        mixture: what the filters are summed to as they come; None where only their plain sum is heard.
        spectra: what takes the columns that `mixture.spectra` names, in its order.
        energies: whether the meter takes the filters' energies.
        overview: what the report's pictures are made of, if there is one.
    """

    store: ShardWriter | None
    total: SumSpool | None
    meter: LevelMeter
    mixture: Mixture | None = None
    spectra: tuple[SpectraSpool, ...] = ()
    energies: bool = False
    overview: Overview | None = None

    @property
    def cell_factor(self) -> int | None:
        return None if self.overview is None else self.overview.cells.factor

    @property
    def stored(self) -> bool:
        return self.store is not None

    @property
    def inverted(self) -> bool:
        return self.total is not None

    def take_parts(self, means: Tensor, parts: tuple[Tensor, ...]) -> None:
        assert self.store is not None
        self.meter.add_means(0, means)
        self.store.append(parts)

    def take_energies(self, found: Tensor) -> None:
        self.meter.add_energies(0, found)

    def take_cells(self, sums: Tensor, highest: Tensor) -> None:
        assert self.overview is not None
        self.overview.add(sums, highest)

    def take_half(self, half: Tensor) -> None:
        assert self.total is not None
        self.total.add(half)

    def take_columns(self, columns: Tensor) -> None:
        assert self.mixture is not None
        for spool, (_, part) in zip(self.spectra, self.mixture.spectra, strict=True):
            spool.add(columns[:, part])

    def state(self) -> dict[str, Any]:
        """How far they have come, JSON-ready; the frames of the shard that fills are apart (`keep`)."""
        return {
            "levels": self.meter.state(),
            "sum": None if self.total is None else self.total.state(),
            "shards": None if self.store is None else self.store.full_shards,
            "spectra": [each.state() for each in self.spectra],
            "overview": None if self.overview is None else self.overview.state(),
        }

    def keep(self, writer: CheckpointWriter, folder: str) -> None:
        """Put the frames of the shard that fills, and the rows that wait, into `writer`."""
        for number, part in enumerate(() if self.store is None else self.store.waiting()):
            writer.add(f"{folder}/shard/{number}", part)
        for number, each in enumerate(self.spectra):
            writer.add(f"{folder}/spectra/{number}", each.made_by.waiting)
        if self.overview is not None:
            writer.add(f"{folder}/overview/cells", self.overview.waiting)

    def restore(self, state: Mapping[str, Any], reader: CheckpointReader, folder: str) -> None:
        """Have all go on where `state` was taken; the sum and the meter were made from it already."""
        if self.store is not None:
            parts = reader.tensors(f"{folder}/shard")
            self.store.restore(state["shards"], [parts[name] for name in sorted(parts, key=int)])
        waiting = reader.tensors(f"{folder}/spectra")
        for number, each in enumerate(self.spectra):
            each.made_by.restore(state["spectra"][number], waiting[str(number)])
        if self.overview is not None:
            self.overview.restore(reader.tensors(f"{folder}/overview")["cells"])

    def files(
        self, state: Mapping[str, Any], cancelled: Callable[[], bool]
    ) -> dict[PurePath, FileSum | None]:
        """What must be on the disk for `state` to hold: written, when this returns."""
        found: dict[PurePath, FileSum | None] = {}
        if self.store is not None:
            found[self.store.metadata_path] = None
            found |= self.store.written(state["shards"], cancelled)
        if self.total is not None:
            found[self.total.path] = None
        found |= {each.path: None for each in self.spectra}
        if self.overview is not None:
            found[self.overview.path] = None
        return found
