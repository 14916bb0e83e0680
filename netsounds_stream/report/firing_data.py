"""Levels and places of filters over time as the page gets them: a byte each, packed, and where they lie.

A level is coded by the root of its share of the bank's largest one, so that a byte spans 96 dB. Filters
follow one another, each with all its steps, since neighbouring steps are alike and pack better.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..planning.plan import BankPlan
from ..sound.firing import FiringGrid

Bytes = NDArray[np.uint8]


def level_codes(levels: NDArray[np.float32]) -> Bytes:
    """Code a bank's levels `[step, channel]` in 8 bits: 255 times the root of their share of the largest."""
    largest = float(levels.max(initial=0))
    if largest <= 0:
        return np.zeros(levels.shape, np.uint8)
    codes: Bytes = np.round(255 * np.sqrt(levels / largest)).astype(np.uint8)
    return codes


def packed(banks: Sequence[tuple[NDArray[np.float32], Bytes]]) -> bytes:
    """Pack the banks' levels and places for the page.

    Args:
        banks: levels and places `[step, channel]` of each bank, as `Firing.read` returns them.

    Returns:
        A zlib stream of each bank's levels, then its places, uint8 `[channel, step]` each. Where a level is 0
        a place repeats the one before it.
    """
    parts = []
    for levels, places in banks:
        codes = level_codes(levels)
        last = np.where(codes > 0, np.arange(len(codes))[:, None], 0)
        held = np.take_along_axis(places, np.maximum.accumulate(last), axis=0)
        parts += [codes.T.tobytes(), held.T.tobytes()]
    return zlib.compress(b"".join(parts), 9)


def firing_entry(bank: BankPlan, grid: FiringGrid, time_axis: str, filters: Sequence[int]) -> dict[str, Any]:
    """Describe the steps and cells of a bank's firing for the page.

    Args:
        bank: the bank's plan.
        grid: its steps and cells.
        time_axis: axis of the picture that became time, 'x' or 'y'.
        filters: numbers of the audible filters.

    Returns:
        `filters`, None if all are audible; `steps`; where they begin on the picture's time axis, and how long
        each is, in pixels; likewise where the cells begin across it, and the edge of each.
    """
    along = bank.bank.along(time_axis)
    cross = bank.bank.along("y" if time_axis == "x" else "x")
    return {
        "filters": None if len(filters) == bank.channels else list(filters),
        "steps": grid.steps,
        "start_px": along.offset + (1 - along.stride) / 2,
        "step_px": along.stride * grid.step_rows,
        "across_px": cross.offset + (1 - cross.stride) / 2,
        "cell_px": cross.stride * grid.cells.factor,
    }
