"""Overviews: rows reduced to a small picture as they stream by, the mean and the maximum of square cells.

    rows of a bank  [row, cross, channel]      factor 3, 8 rows of 7 values:

        o o o | o o o | o        A cell is `factor` x `factor` values, at the far edges what remains.
        o o o | o o o | o        Each row is reduced across by itself, then added to the current row of
        o o o | o o o | o        cells. So the result does not depend on how the rows were split into
        ------+-------+--        pushes, bit for bit.
        o o o | o o o | o
              ...

Only the current row of cells is in memory. Completed ones are on disk in float16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..base.journal import Files
from ..base.sink import ResumableSink
from ..base.spool import Spool
from ..planning.plan import FILTER_CELLS, PICTURE_CELLS, BankPlan, Cells, Plan, cells_of
from ..planning.steps import OverviewState

Floats = NDArray[np.float32]
# Below these a cell's values are added one by one: torch's sums gain by running along many channels.
_FEW_CHANNELS = 16
_FEW_VALUES = 8


def across_cells(values: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Reduce each row across: the sum and the maximum of every `factor` values.

    Args:
        values: float32 `[row, cross, channel]`.
        factor: edge of a cell, in values.

    Returns:
        Sums and maxima, each float32 `[row, cell, channel]`; the last cell may cover fewer values.
    """
    if factor == 1:
        return values, values
    rows, cross, channels = values.shape
    full = cross - cross % factor
    cells = values[:, :full].view(rows, full // factor, factor, channels)
    if channels < _FEW_CHANNELS and factor <= _FEW_VALUES:
        sums = cells[:, :, 0].clone()
        maxima = sums.clone()
        for place in range(1, factor):
            sums += cells[:, :, place]
            torch.maximum(maxima, cells[:, :, place], out=maxima)
    else:
        sums = cells.sum(2)
        maxima = cells.amax(2)
    if full < cross:
        rest = values[:, full:]
        sums = torch.cat((sums, rest.sum(1, keepdim=True)), 1)
        maxima = torch.cat((maxima, rest.amax(1, keepdim=True)), 1)
    return sums, maxima


class Overview(ResumableSink[OverviewState]):
    """Reduces the rows of a bank or a picture to cells in a spool file, which is kept.

    Holds the current row of cells, float32 `[2, cell, channel]`: their sums so far, and their maxima.

    Args:
        path: the spool file.
        cells: the grid of cells.
        channels: number of channels.
        state: `state()` of an earlier overview to resume; `restore` then takes what it retained.

    Attributes:
        path: the spool file.
        cells: the grid of cells.
    """

    def __init__(self, path: Path, cells: Cells, channels: int, state: OverviewState | None) -> None:
        self.path = path
        self.cells = cells
        self._rows = 0 if state is None else int(state["came"])
        shape = (2, cells.across, channels)
        self._current = torch.zeros(shape)
        completed = None if state is None else self._rows // cells.factor
        if self._rows == cells.rows:
            completed = cells.along
        self._spool = Spool(path, shape, completed, torch.float16)

    def close(self) -> None:
        """Close the spool file."""
        self._spool.close()

    def state(self) -> OverviewState:
        """Return what the journal keeps: the number of rows so far, `came`."""
        return {"came": self._rows}

    def retained(self) -> dict[str, Tensor]:
        """Return the current row of cells, float32 `[2, cell, channel]`: sums and maxima."""
        return {"cells": self._current}

    def restore(self, state: OverviewState, retained: Mapping[str, Tensor]) -> None:
        """Restore the current row of cells."""
        self._current.copy_(retained["cells"])

    def files(self, state: OverviewState, cancelled: Callable[[], bool]) -> Files:
        """Return the spool file."""
        return {self.path: None}

    def add(self, sums: Tensor, maxima: Tensor) -> None:
        """Add the next rows, reduced across by `across_cells`.

        Args:
            sums: float32 `[row, cell, channel]`.
            maxima: of the same shape.
        """
        factor = self.cells.factor
        first = 0
        while first < len(sums):
            over = self._rows % factor  # rows that the current row of cells has
            left = len(sums) - first
            whole = not over and left >= factor  # rows of cells: all of them at once
            count = left - left % factor if whole else min(left, factor - over)
            rows = slice(first, first + count)
            reduced = np.stack(
                (
                    self._reduced(np.add, 0, sums[rows].numpy(), over),
                    self._reduced(np.maximum, 1, maxima[rows].numpy(), over),
                ),
                axis=1,
            )
            first += count
            self._rows += count
            if self._rows % factor == 0 or self._rows == self.cells.rows:
                reduced[:, 0] /= self._values()
                self._spool.append(torch.from_numpy(reduced).to(torch.float16))
            else:
                self._current.copy_(torch.from_numpy(reduced[0]))

    def _reduced(self, operation: np.ufunc, plane: int, rows: Floats, over: int) -> Floats:
        """Reduce rows along, one after another, so that a sum does not depend on how they were split.

        Numpy does so along any axis but the innermost one.

        Args:
            operation: addition or the maximum.
            plane: 0 for sums, 1 for maxima.
            rows: `[row, cell, channel]`; of whole rows of cells, or at most up to the end of the current one.
            over: rows that the current row of cells has already.

        Returns:
            `[row of cells, cell, channel]`.
        """
        factor = self.cells.factor
        if over:
            rows = np.concatenate((self._current[plane : plane + 1].numpy(), rows))
        by_cells = rows[None] if over or len(rows) % factor else rows.reshape(-1, factor, *rows.shape[1:])
        reduced: Floats = operation.reduce(by_cells, axis=1)
        return reduced

    def _values(self) -> Floats:
        """Return how many values the cells hold whose last row has just come, `[cell, 1]`."""
        rows = (self._rows - 1) % self.cells.factor + 1
        values = np.full((self.cells.across, 1), rows * self.cells.factor, np.float32)
        values[-1] = rows * (self.cells.cross - (self.cells.across - 1) * self.cells.factor)
        return values

    def read(self, plane: int, channels: slice = slice(None)) -> Tensor:
        """Read the overview, once all rows have been added.

        Args:
            plane: 0 for the means, 1 for the maxima.
            channels: channels to read.

        Returns:
            float16 `[row of cells, cell, channel]`.
        """
        assert self._spool.rows == self.cells.along
        rows = (self._spool.read(row, 1)[0, plane, :, channels] for row in range(self.cells.along))
        return torch.stack(list(rows))


def bank_overview(path: Path, bank: BankPlan, state: OverviewState | None) -> Overview:
    """Open the overview of a bank's filters at `path`, new or resumed from `state`."""
    cells = cells_of(bank.frames, bank.frequencies, FILTER_CELLS)
    return Overview(path, cells, bank.channels, state)


def picture_overview(path: Path, plan: Plan, state: OverviewState | None) -> Overview:
    """Open the overview of the rows that the plan decodes at `path`, new or resumed from `state`."""
    rows = plan.rows_along
    cells = cells_of(rows, plan.pixels // rows, PICTURE_CELLS)
    return Overview(path, cells, 3, state)
