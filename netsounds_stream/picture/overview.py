"""Rows reduced to a small picture as they come: the area mean and the maximum of square cells.

    rows of a bank  [row, cross, channel]      factor 3, 8 rows of 7 values:

        o o o | o o o | o        a cell is `factor` x `factor` values, at the far edges what is left.
        o o o | o o o | o        Each row is reduced across by itself, then added to the cells that fill, row
        o o o | o o o | o        after row: so the result does not depend on how the rows came, bit for bit.
        ------+-------+--
        o o o | o o o | o
              ...

Only the row of cells that fills is held; full ones wait on disk in float16.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from ..base.spool import Spool
from ..planning.plan import FILTER_CELLS, PICTURE_CELLS, BankPlan, Cells, Plan, cells_of


def across_cells(values: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Sums and maxima over each row's cells: `[row, cell, channel]` of float32 `[row, cross, channel]`."""
    rows, cross, channels = values.shape
    whole = cross - cross % factor
    cells = values[:, :whole].view(rows, whole // factor, factor, channels)
    sums, highest = cells.sum(2), cells.amax(2)
    if whole < cross:
        rest = values[:, whole:]
        sums = torch.cat((sums, rest.sum(1, keepdim=True)), 1)
        highest = torch.cat((highest, rest.amax(1, keepdim=True)), 1)
    return sums, highest


class Overview:
    """Gathers a bank's, or a picture's, cells in a spool at `path`, which stays.

    Holds one row of cells, float32 `[2, cell, channel]`: what they add up to, and their maxima.

    Args:
        state: of an overview left before, to go on with; `restore` has its `waiting`.
    """

    def __init__(self, path: Path, cells: Cells, channels: int, state: Mapping[str, Any] | None) -> None:
        self.path, self.cells, self._channels = path, cells, channels
        self._came = 0 if state is None else int(state["came"])
        shape = (2, cells.across, channels)
        self._filling = torch.zeros(shape)
        done = None if state is None else self._came // cells.factor
        if self._came == cells.rows:
            done = cells.along
        self._spool = Spool(path, shape, done, torch.float16)

    def __enter__(self) -> Overview:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()

    @property
    def waiting(self) -> Tensor:
        """float32 `[2, cell, channel]`: the row of cells that fills."""
        return self._filling

    def state(self) -> dict[str, int]:
        return {"came": self._came}

    def restore(self, waiting: Tensor) -> None:
        self._filling.copy_(waiting)

    def add(self, sums: Tensor, highest: Tensor) -> None:
        """Take the next rows as `across_cells` gives them."""
        factor = self.cells.factor
        for row_sums, row_highest in zip(sums, highest, strict=True):
            if self._came % factor == 0:
                self._filling[0], self._filling[1] = row_sums, row_highest
            else:
                self._filling[0] += row_sums
                torch.maximum(self._filling[1], row_highest, out=self._filling[1])
            self._came += 1
            if self._came % factor == 0 or self._came == self.cells.rows:
                self._spool.append(self._full().to(torch.float16)[None])

    def _full(self) -> Tensor:
        """The cells' means and maxima."""
        rows = (self._came - 1) % self.cells.factor + 1
        values = torch.full((self.cells.across,), float(rows * self.cells.factor))
        values[-1] = rows * (self.cells.cross - (self.cells.across - 1) * self.cells.factor)
        return torch.stack((self._filling[0] / values[:, None], self._filling[1]))

    def read(self, plane: int, channels: slice = slice(None)) -> Tensor:
        """float16 `[row of cells, cell, channel]`: means (0) or maxima (1), all rows having come."""
        assert self._spool.rows == self.cells.along
        rows = (self._spool.read(row, 1)[0, plane, :, channels] for row in range(self.cells.along))
        return torch.stack(list(rows))


def bank_overview(path: Path, bank: BankPlan, state: Mapping[str, Any] | None) -> Overview:
    """Of a bank: new, or as it was left."""
    cells = cells_of(bank.frames, bank.frequencies, FILTER_CELLS)
    return Overview(path, cells, bank.channels, state)


def picture_overview(path: Path, plan: Plan, state: Mapping[str, Any] | None) -> Overview:
    """Of the picture, as far as it is looked at."""
    along = plan.rows_along
    return Overview(path, cells_of(along, plan.pixels // along, PICTURE_CELLS), 3, state)
