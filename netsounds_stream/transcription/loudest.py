"""Which filter is loudest at a place of the picture, by what a run keeps: activations, or its page's levels.

Activations say it exactly. They are read at the places alone, the frames of one shard at a time, so that each
shard is decoded once at most. The page's levels know each filter's strongest cell in each step of time: the
loudest filter is then the one of the highest level among those whose cell is the place's, or next to it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreError
from ..graph.layers import Bank
from ..planning.plan import FILTER_CELLS, BankPlan, cells_of, firing_rows
from ..report.byte_scripts import bytes_of_script
from ..run.layout import FIRING_SCRIPT, REPORT
from ..run.notebook import RunContents
from ..store.arrays import UNREADABLE

Floats = NDArray[np.float64]
#: Returns the filters of a bank that are loudest at places `[place, x or y]`; None: not known.
Loudest = Callable[[BankPlan, Floats], list[int | None]]


@dataclass(frozen=True, kw_only=True)
class _Levels:
    """A bank's levels and places for the page, uint8 `[filter, step]`."""

    levels: NDArray[np.uint8]
    places: NDArray[np.uint8]


def values_at(
    bank: Bank, shape: Sequence[int], places: Floats
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and columns of a bank's values that are nearest to places.

    Args:
        bank: where values lie on the picture.
        shape: `[..., y, x]` of the bank.
        places: `[place, x or y]` in pixels; the first pixel's centre is 0.5.
    """
    x = np.rint((places[:, 0] - 0.5 - bank.x.offset) / bank.x.stride)
    y = np.rint((places[:, 1] - 0.5 - bank.y.offset) / bank.y.stride)
    return y.clip(0, shape[-2] - 1).astype(np.int64), x.clip(0, shape[-1] - 1).astype(np.int64)


def loudest_by(contents: RunContents, banks: Sequence[BankPlan], time_axis: str) -> tuple[str, Loudest]:
    """Choose how a run's loudest filters are known.

    Args:
        contents: the run.
        banks: all its banks.
        time_axis: its time axis.

    Returns:
        Where it is known from: 'activations', 'levels' or '' (not at all), and what tells it.

    Raises:
        StoreError: the page's levels cannot be read.
    """
    audible = _audible(contents.record)
    try:
        arrays = {bank.number: contents.array(bank.number) for bank in banks}
    except StoreError:  # it keeps none
        arrays = {}
    if arrays:
        return "activations", lambda bank, places: _by_activations(
            arrays[bank.number], bank, places, audible.get(bank.number), time_axis
        )
    path = contents.folder / REPORT / FIRING_SCRIPT
    if path.is_file():
        levels = _page_levels(path, banks)
        return "levels", lambda bank, places: _by_levels(
            levels[bank.number], bank, places, audible.get(bank.number), time_axis
        )
    return "", lambda bank, places: [None] * len(places)


def _audible(record: Mapping[str, Any]) -> dict[int, NDArray[np.int64]]:
    """Return the filters of each bank that the mix has, where it has not all."""
    sound = record["options"]["sound"]
    numbers = [int(planned["number"]) for planned in record["plan"]["banks"]]
    if sound["filters"] is not None:
        return {number: np.asarray(sound["filters"], dtype=np.int64) for number in numbers}
    if sound["top"] is not None:
        return {number: np.asarray(record["sounding"][str(number)], dtype=np.int64) for number in numbers}
    return {}


def _by_activations(
    array: Any, bank: BankPlan, places: Floats, audible: NDArray[np.int64] | None, time_axis: str
) -> list[int | None]:
    """Return the filters with the largest activations at places."""
    y, x = values_at(bank.bank, bank.shape, places)
    filters = np.arange(bank.channels) if audible is None else audible
    along = x if time_axis == "x" else y
    frames = array.chunks[2 if time_axis == "x" else 1]
    found: list[int | None] = [None] * len(places)
    for shard in np.unique(along // frames):
        here = np.flatnonzero(along // frames == shard)
        rows, row = np.unique(y[here], return_inverse=True)
        columns, column = np.unique(x[here], return_inverse=True)
        try:
            block = np.asarray(array.oindex[:, rows, columns])[filters]
        except UNREADABLE as error:
            raise StoreError(f"bank {bank.number} cannot be read ({error}); make the run again") from error
        for place, filter_ in zip(here, filters[block[:, row, column].argmax(axis=0)], strict=True):
            found[place] = int(filter_)
    return found


def _page_levels(path: Path, banks: Sequence[BankPlan]) -> dict[int, _Levels]:
    """Read the levels of all banks that the page has."""
    shapes = [(bank.channels, -(-bank.frames // firing_rows(bank.frames))) for bank in banks]
    try:
        content = np.frombuffer(zlib.decompress(bytes_of_script(path)), dtype=np.uint8)
        parts = np.split(
            content, np.cumsum([count * steps for count, steps in shapes for _ in range(2)])[:-1]
        )
        both = [part.reshape(shapes[number // 2]) for number, part in enumerate(parts)]
    except (OSError, ValueError, IndexError, zlib.error) as error:
        raise StoreError(f"{path} cannot be read ({error}); make the run again") from error
    return {
        bank.number: _Levels(levels=both[2 * number], places=both[2 * number + 1])
        for number, bank in enumerate(banks)
    }


def _by_levels(
    known: _Levels, bank: BankPlan, places: Floats, audible: NDArray[np.int64] | None, time_axis: str
) -> list[int | None]:
    """Return the filters with the highest levels whose strongest cell is a place's, or next to it."""
    y, x = values_at(bank.bank, bank.shape, places)
    along, across = (x, y) if time_axis == "x" else (y, x)
    step = along // firing_rows(bank.frames)
    cell = across // cells_of(bank.frames, bank.frequencies, FILTER_CELLS).factor
    filters = np.arange(bank.channels) if audible is None else audible
    found: list[int | None] = []
    for s, c in zip(step, cell, strict=True):
        steps = slice(max(0, s - 1), s + 2)
        near = np.abs(known.places[filters, steps].astype(np.int64) - c) <= 1
        levels = np.where(near, known.levels[filters, steps], 0).max(axis=1)
        found.append(int(filters[levels.argmax()]) if levels.any() else None)
    return found
