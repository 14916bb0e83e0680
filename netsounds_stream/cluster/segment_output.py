"""What a segment's stream gives, on its way out: frames into shards, all else written down for the merge.

In a result's file are arrays, by folders, numbered in order: `bank-N/half`, `bank-N/columns`, `bank-N/cells`,
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
from ..stages.forward import preview_cells
from ..store.arrays import ShardWriter
from .segments import Segment

# Of one kind of rows, kept until so many bytes can be written at once.
_BUFFER_BYTES = 1 << 20


class Rows:
    """Rows of several kinds, each kind written down in order, some rows at a time."""

    def __init__(self, writer: CheckpointWriter, folder: str) -> None:
        self._writer, self._folder = writer, folder
        self._waiting: dict[str, list[Tensor]] = {}
        self._written: dict[str, int] = {}

    def add(self, kind: str, values: Tensor) -> None:
        """Rows, along the first of at most three axes."""
        waiting = self._waiting.setdefault(kind, [])
        waiting.append(values.clone())  # it may be a view of what a later layer works in
        if sum(each.numel() * each.itemsize for each in waiting) >= _BUFFER_BYTES:
            self._write(kind)

    def end(self) -> None:
        """Nothing follows."""
        for kind in list(self._waiting):
            self._write(kind)

    def _write(self, kind: str) -> None:
        waiting, number = self._waiting.pop(kind), self._written.get(kind, 0)
        self._writer.add(f"{self._folder}/{kind}/{number}", torch.cat(waiting))
        self._written[kind] = number + 1


class SegmentTaker:
    """One bank's rows of a segment: see `bank_hook.Taker`.

    Args:
        cells: whether the report's are wanted.
        store: what takes the frames, if they are stored.
    """

    def __init__(
        self, planned: BankPlan, sound: SoundOptions, *, cells: bool, rows: Rows, store: ShardWriter | None
    ) -> None:
        self._rows, self._store = rows, store
        self._mixture: Mixture | None = None
        self.inverted, self.energies, self.stored = False, sound.needs_energies, store is not None
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
        return self._mixture

    def take_parts(self, means: Tensor, parts: Parts) -> None:
        assert self._store is not None
        loudest = means.amax(0)
        self._loudest = loudest if self._loudest is None else torch.maximum(self._loudest, loudest)
        self._store.append(parts)

    def take_energies(self, found: Tensor) -> None:
        self._rows.add("energies", found[None])

    def take_cells(self, sums: Tensor, highest: Tensor) -> None:
        self._rows.add("cells", torch.cat((sums, highest), 1))

    def take_half(self, half: Tensor) -> None:
        self._rows.add("half", half)

    def take_columns(self, columns: Tensor) -> None:
        self._rows.add("columns", columns)

    def end(self) -> None:
        """All has come."""
        if self._loudest is not None:
            self._rows.add("loudest", self._loudest[None])
        self._rows.end()


class SegmentPreview:
    """The picture's own rows, reduced across to the report's cells."""

    def __init__(self, plan: Plan, segment: Segment, rows: Rows) -> None:
        along = plan.rows_along
        self._factor = cells_of(along, plan.pixels // along, PICTURE_CELLS).factor
        self._own, self._rows = (segment.start, segment.stop), rows

    def take(self, row: int, values: Tensor, full_scale: int) -> None:
        """Pixels `[time, frequency, rgb]` from that row of the picture on."""
        start, stop = (min(max(each - row, 0), values.shape[0]) for each in self._own)
        if start < stop:
            self._rows.add("cells", torch.cat(preview_cells(values[start:stop], self._factor, full_scale), 1))

    def end(self) -> None:
        """All has come."""
        self._rows.end()


def averaging(segment: Segment, rows: Rows) -> Callable[[RowBlock], None]:
    """Takes the classifier's rows: their sums, a push at a time, and last the number of positions.

    As `ClassifierStage` sums them.
    """
    first, last = segment.positions

    def take(block: RowBlock) -> None:
        if first <= block.start < last:
            (out,) = block.parts
            total = out.float().sum(dim=(0, 2, 3)).double()
            rows.add("sums", torch.cat((total, total.new_tensor([out.shape[2] * out.shape[3]])))[None])

    return take
