"""Firing: how strongly each filter of a bank fires as time passes, and where across the picture.

Rows come as an overview takes them (`overview.across_cells`), reduced across to sums over cells. A few rows
make a step of time:

    rows of a bank  [row, cell, channel]     step 3, border 1:

        . o o o .      A filter's value at a place is the mean of a cell over the step's rows; its level is
        . o o o .      how far the largest of them lies above what the filter answers to an even picture, its
        . o o o .      place the cell where that is. Cells and steps at the border (.) see zero padding; they
        ---------      are left out across, and along they repeat the nearest step inside, as in the mix.
        . o o o .

Rows are added one after another, so that nothing depends on how they were split into pushes, bit for bit.
Only the current step is in memory; levels and places of the others are on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..base.journal import Files
from ..base.sink import ResumableSink
from ..base.spool import Spool
from ..graph.geometry import inside
from ..planning.plan import FILTER_CELLS, BankPlan, Cells, cells_of, firing_rows
from ..planning.steps import FiringState
from .background import Baseline

Floats = NDArray[np.float32]
# Values reduced at a time, as far as a step has no more: half a MiB, beside which copies of it do not count.
_AT_ONCE_VALUES = 1 << 17


@dataclass(frozen=True, kw_only=True)
class FiringGrid:
    """Steps of time and cells across in which a bank's firing is measured.

    Attributes:
        cells: the cells of the bank's overview, in which rows come.
        whole_rows: rows of the whole picture; more than those of `cells` in a preview.
        step_rows: rows of a step; the last may have fewer.
        border: number of values at either end of an axis that see zero padding.
    """

    cells: Cells
    whole_rows: int
    step_rows: int
    border: int

    @property
    def steps(self) -> int:
        """Number of steps."""
        return -(-self.cells.rows // self.step_rows)

    @property
    def inner_cells(self) -> slice:
        """Cells that hold no value of the border; the middle one if there is none."""
        values = inside(self.cells.cross, self.border)
        return _complete(values, self.cells.factor, self.cells.cross)

    @property
    def inner_steps(self) -> slice:
        """Steps that hold no row of the border; the middle one if there is none."""
        rows = inside(self.whole_rows, self.border)
        own = slice(min(rows.start, self.cells.rows - 1), min(rows.stop, self.cells.rows))
        return _complete(own, self.step_rows, self.cells.rows)


def _complete(values: slice, size: int, length: int) -> slice:
    """Return the groups of `size` of an axis's `length` values that lie within `values`.

    Returns:
        A slice of the groups; the one in the middle of `values` if none lies within.
    """
    first = -(-values.start // size)
    last = -(-length // size) if values.stop == length else values.stop // size
    if first < last:
        return slice(first, last)
    middle = (values.start + values.stop - 1) // 2 // size
    return slice(middle, middle + 1)


class Firing(ResumableSink[FiringState]):
    """Levels and places of a bank's filters in a spool file, which is kept.

    Holds the current step's sums, float32 `[cell, channel]`.

    Args:
        path: the spool file.
        grid: steps and cells.
        quiet: each filter's value that is no content yet, float32 `[channel]`.
        state: `state()` of earlier firing to resume; `restore` then takes what it retained.

    Attributes:
        path: the spool file.
        grid: steps and cells.
    """

    def __init__(self, path: Path, grid: FiringGrid, quiet: Tensor, state: FiringState | None) -> None:
        self.path = path
        self.grid = grid
        self._quiet: Floats = quiet.numpy()
        self._rows = 0 if state is None else int(state["came"])
        self._current = torch.zeros(grid.cells.across, len(quiet))
        completed = None if state is None else self._rows // grid.step_rows
        if self._rows == grid.cells.rows:
            completed = grid.steps
        self._spool = Spool(path, (2, len(quiet)), completed)

    def close(self) -> None:
        """Close the spool file."""
        self._spool.close()

    def state(self) -> FiringState:
        """Return what the journal keeps: the number of rows so far, `came`."""
        return {"came": self._rows}

    def retained(self) -> dict[str, Tensor]:
        """Return the current step's sums, float32 `[cell, channel]`."""
        return {"cells": self._current}

    def restore(self, state: FiringState, retained: Mapping[str, Tensor]) -> None:
        """Restore the current step's sums."""
        self._current.copy_(retained["cells"])

    def files(self, state: FiringState, cancelled: Callable[[], bool]) -> Files:
        """Return the spool file."""
        return {self.path: None}

    def add(self, sums: Tensor) -> None:
        """Add the next rows, reduced across by `overview.across_cells`.

        Args:
            sums: sum over each cell, float32 `[row, cell, channel]`.
        """
        step = self.grid.step_rows
        at_once = max(1, _AT_ONCE_VALUES // (step * self._current.numel())) * step
        first = 0
        while first < len(sums):
            over = self._rows % step  # rows that the current step has
            left = len(sums) - first
            whole = not over and left >= step  # whole steps: some of them at once
            count = min(left - left % step, at_once) if whole else min(left, step - over)
            rows: Floats = sums[first : first + count].numpy()
            if over:
                rows = np.concatenate((self._current[None].numpy(), rows))
            by_step = rows.reshape(-1, step, *rows.shape[1:]) if whole else rows[None]
            totals: Floats = np.add.reduce(by_step, axis=1)  # along any axis but the last, row after row
            first += count
            self._rows += count
            if self._rows % step == 0 or self._rows == self.grid.cells.rows:
                self._spool.append(torch.from_numpy(self._fired(totals)))
            else:
                self._current.copy_(torch.from_numpy(totals[0]))

    def _fired(self, totals: Floats) -> Floats:
        """Reduce completed steps to levels and places.

        Args:
            totals: sums `[step, cell, channel]`; of one step if that has fewer rows.

        Returns:
            `[step, 2, channel]`: levels, and the numbers of the cells where they are.
        """
        cells = self.grid.cells
        rows = (self._rows - 1) % self.grid.step_rows + 1
        inner = self.grid.inner_cells
        values = np.full((cells.across, 1), rows * cells.factor, np.float32)
        values[-1] = rows * (cells.cross - (cells.across - 1) * cells.factor)
        means = totals[:, inner] / values[inner]
        places = means.argmax(axis=1)
        highest = np.take_along_axis(means, places[:, None], axis=1)[:, 0]
        levels = np.maximum(highest - self._quiet, 0)
        return np.stack((levels, (places + inner.start).astype(np.float32)), axis=1)

    def read(self) -> tuple[Floats, NDArray[np.uint8]]:
        """Read all steps, once all rows have been added.

        Returns:
            Levels, float32 `[step, channel]`, and the numbers of the cells where they are, uint8 likewise.
        """
        assert self._spool.rows == self.grid.steps
        inner = self.grid.inner_steps
        steps = np.arange(self.grid.steps).clip(inner.start, inner.stop - 1)
        spooled = self._spool.read(0, self.grid.steps).numpy()[steps]
        return spooled[:, 0], spooled[:, 1].astype(np.uint8)


def bank_firing(path: Path, bank: BankPlan, baseline: Baseline, state: FiringState | None) -> Firing:
    """Open the firing of a bank's filters at `path`, new or resumed from `state`.

    Args:
        path: the spool file.
        bank: the bank's plan.
        baseline: the bank's responses to a picture without content.
        state: state to resume from; None: a new one.
    """
    grid = FiringGrid(
        cells=cells_of(bank.frames, bank.frequencies, FILTER_CELLS),
        whole_rows=bank.whole_frames,
        step_rows=firing_rows(bank.frames),
        border=baseline.border,
    )
    return Firing(path, grid, baseline.quiet, state)
