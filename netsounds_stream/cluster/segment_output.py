"""The output of a segment's stream: frames go into shards, all else to a result file for the merge.

The result file holds arrays in folders, numbered in order: `bank-N/half`, `bank-N/columns`, `bank-N/cells`,
`bank-N/energies`, `bank-N/loudest`; `picture/cells`; `classifier/sums`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..base.checkpoint import CheckpointWriter
from ..network.convolution import Parts
from ..network.stages import sums_of
from ..network.stream import RowBlock
from ..planning.plan import FILTER_CELLS, PICTURE_CELLS, BankPlan, Plan, cells_of
from ..planning.sound_options import SoundOptions
from ..sound.mixture import Mixture, mixture_of
from ..stages.pump import Preview
from ..store.arrays import ShardWriter
from .segments import Segment

# Rows of one kind are buffered until they fill so many bytes.
_BUFFER_BYTES = 1 << 20


class Rows:
    """A buffered writer of rows of several kinds, each in order, to one folder of a result file.

    Args:
        writer: writes the result file.
        folder: the folder.
    """

    def __init__(self, writer: CheckpointWriter, folder: str) -> None:
        self._writer = writer
        self._folder = folder
        self._waiting: dict[str, list[Tensor]] = {}
        self._written: dict[str, int] = {}

    def add(self, kind: str, values: Tensor) -> None:
        """Add rows.

        Args:
            kind: their kind: the array's name in the folder.
            values: rows along the first of at most three axes; copied.
        """
        waiting = self._waiting.setdefault(kind, [])
        waiting.append(values.clone())  # it may be a view of memory that a later layer overwrites
        if sum(rows.numel() * rows.itemsize for rows in waiting) >= _BUFFER_BYTES:
            self._write(kind)

    def end(self) -> None:
        """Write the rows that are still buffered; no rows may follow."""
        for kind in list(self._waiting):
            self._write(kind)

    def _write(self, kind: str) -> None:
        waiting = self._waiting.pop(kind)
        number = self._written.get(kind, 0)
        self._writer.add(f"{self._folder}/{kind}/{number}", torch.cat(waiting))
        self._written[kind] = number + 1


class SegmentTaker:
    """A taker of one bank's rows of a segment: see `bank_hook.Taker`.

    Args:
        planned: the bank's plan.
        sound: how activations become sound.
        cells: whether the report's cells are wanted.
        rows: takes rows for the merge.
        store: takes the activations; None where they are not stored.
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
        """Weights of the filters' weighted sums; None where there are none: see `Taker`."""
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
        """Write each filter's loudest frame and the rows still buffered; no rows may follow."""
        if self._loudest is not None:
            self._rows.add("loudest", self._loudest[None])
        self._rows.end()


class SegmentCells:
    """A taker of the picture's rows of a segment, reduced across to the report's cells.

    Args:
        rows: takes the cells for the merge.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def add(self, sums: Tensor, highest: Tensor) -> None:
        """Take the next rows' cells.

        Args:
            sums: sum over each cell, `[row, cell, channel]`.
            highest: maximum of each cell, `[row, cell, channel]`.
        """
        self._rows.add("cells", torch.cat((sums, highest), 1))

    def end(self) -> None:
        """Write the rows that are still buffered; no rows may follow."""
        self._rows.end()


def segment_preview(plan: Plan, segment: Segment, cells: SegmentCells) -> Preview:
    """Return the pump's preview of a segment.

    Args:
        plan: the run's plan.
        segment: the segment.
        cells: takes the cells.

    Returns:
        A preview of the segment's own rows, with the cell size of the whole picture's.
    """
    along = plan.rows_along
    factor = cells_of(along, plan.pixels // along, PICTURE_CELLS).factor
    return Preview(sink=cells, factor=factor, own=(segment.start, segment.stop))


def averaging(positions: tuple[int, int], rows: Rows) -> Callable[[RowBlock], None]:
    """Return a hook that writes sums of the rows whose mean is the prediction, for the merge.

    Args:
        positions: the segment's own rows: the first, and the end.
        rows: takes the sums.

    Returns:
        A hook of the layer. For each push of the segment's own rows it writes one row, float64
        `[1, channel + 1]`: the sum over all positions, as `MeanOverPicture` takes it, and last their number.
    """
    first, last = positions

    def take(block: RowBlock) -> None:
        if first <= block.start < last:
            total, count = sums_of(block.parts)
            rows.add("sums", torch.cat((total, total.new_tensor([count])))[None])

    return take
