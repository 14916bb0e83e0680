"""The output of a segment's stream: frames go into shards, all else to a result file for the merge.

The result file holds arrays, by folders, numbered in order: `bank-N/half`, `bank-N/columns`, `bank-N/cells`,
`bank-N/energies`, `bank-N/loudest`; `picture/cells`; `classifier/sums`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..base.checkpoint import CheckpointWriter
from ..network.layers import Parts
from ..network.stream import RowBlock
from ..planning.plan import FILTER_CELLS, PICTURE_CELLS, BankPlan, Plan, cells_of
from ..planning.sound_options import SoundOptions
from ..sound.mixture import Mixture, mixture_of
from ..stages.pump import Preview
from ..store.arrays import ShardWriter
from .segments import Segment

# Rows of one kind are kept until so many bytes can be written at once.
_BUFFER_BYTES = 1 << 20


class Rows:
    """Rows of several kinds, each written in order, some rows at a time, to a folder of a result file."""

    def __init__(self, writer: CheckpointWriter, folder: str) -> None:
        self._writer = writer
        self._folder = folder
        self._waiting: dict[str, list[Tensor]] = {}
        self._written: dict[str, int] = {}

    def add(self, kind: str, values: Tensor) -> None:
        """Take rows, along the first of at most three axes."""
        waiting = self._waiting.setdefault(kind, [])
        waiting.append(values.clone())  # it may be a view of what a later layer works in
        if sum(each.numel() * each.itemsize for each in waiting) >= _BUFFER_BYTES:
            self._write(kind)

    def end(self) -> None:
        """Write what waits; nothing follows."""
        for kind in list(self._waiting):
            self._write(kind)

    def _write(self, kind: str) -> None:
        waiting = self._waiting.pop(kind)
        number = self._written.get(kind, 0)
        self._writer.add(f"{self._folder}/{kind}/{number}", torch.cat(waiting))
        self._written[kind] = number + 1


class SegmentTaker:
    """Takes one bank's rows of a segment: see `bank_hook.Taker`.

    Args:
        planned: the bank's plan.
        sound: how activations become sound.
        cells: whether the report's cells are wanted.
        rows: takes what is written for the merge.
        store: takes the frames; None where they are not stored.
    """

    def __init__(
        self, planned: BankPlan, sound: SoundOptions, *, cells: bool, rows: Rows, store: ShardWriter | None
    ) -> None:
        self._rows = rows
        self._store = store
        self._mixture: Mixture | None = None
        self.inverted = False
        self.energies = sound.needs_energies
        self.stored = store is not None
        if not sound.needs_second_pass:
            mixture = mixture_of(planned.channels, sound)
            self.inverted = bool(mixture.plain or mixture.raw)
            self._mixture = mixture if mixture.weights.size else None
        self.cell_factor: int | None = None
        if cells:
            self.cell_factor = cells_of(planned.frames, planned.frequencies, FILTER_CELLS).factor
        self._loudest: Tensor | None = None

    @property
    def mixture(self) -> Mixture | None:
        """What the filters are summed to."""
        return self._mixture

    def take_parts(self, means: Tensor, parts: Parts) -> None:
        """Take activations: see `Taker`."""
        assert self._store is not None
        loudest = means.amax(0)
        self._loudest = loudest if self._loudest is None else torch.maximum(self._loudest, loudest)
        self._store.append(parts)

    def take_energies(self, energies: Tensor) -> None:
        """Take the filters' energies: see `Taker`."""
        self._rows.add("energies", energies[None])

    def take_cells(self, sums: Tensor, highest: Tensor) -> None:
        """Take overview cells: see `Taker`."""
        self._rows.add("cells", torch.cat((sums, highest), 1))

    def take_half(self, half: Tensor) -> None:
        """Take the raw sum's half frames: see `Taker`."""
        self._rows.add("half", half)

    def take_columns(self, columns: Tensor) -> None:
        """Take weighted sums: see `Taker`."""
        self._rows.add("columns", columns)

    def end(self) -> None:
        """Write what waits; nothing follows."""
        if self._loudest is not None:
            self._rows.add("loudest", self._loudest[None])
        self._rows.end()


class SegmentCells:
    """Takes the picture's own rows, reduced across to the report's cells."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def add(self, sums: Tensor, highest: Tensor) -> None:
        """Take the next rows' cells, `[row, cell, channel]` each."""
        self._rows.add("cells", torch.cat((sums, highest), 1))

    def end(self) -> None:
        """Write what waits; nothing follows."""
        self._rows.end()


def segment_preview(plan: Plan, segment: Segment, cells: SegmentCells) -> Preview:
    """Return how a segment's own rows of the picture are reduced."""
    along = plan.rows_along
    factor = cells_of(along, plan.pixels // along, PICTURE_CELLS).factor
    return Preview(sink=cells, factor=factor, own=(segment.start, segment.stop))


def averaging(segment: Segment, rows: Rows) -> Callable[[RowBlock], None]:
    """Return a hook that takes the classifier's rows.

    It writes their sums, a push at a time, and last the number of positions: as `ClassifierStage` sums them.
    """
    first, last = segment.positions

    def take(block: RowBlock) -> None:
        if first <= block.start < last:
            (out,) = block.parts
            total = out.float().sum(dim=(0, 2, 3)).double()
            rows.add("sums", torch.cat((total, total.new_tensor([out.shape[2] * out.shape[3]])))[None])

    return take
