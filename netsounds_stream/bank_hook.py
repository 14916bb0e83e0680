"""What is done with a bank's rows where the network gives them, a few at a time, while they are in the cache.

They are rounded to what is stored, summed, measured and reduced, then handed to the bank's `Sinks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from .device import Arrived, Transfers
from .errors import RangeError
from .levels import energies
from .overview import across_cells
from .row_layers import Parts
from .sinks import Sinks
from .stream import RowBlock
from .transform import half_frames

# Of a bank, rounded, summed and handed to the store at a time: 1 MiB in float32.
_PIECE_VALUES = 1 << 18


def bank_hook(
    number: int, sink: Sinks, precision: str, transfers: Transfers, do: Callable[[Callable[[], None]], None]
) -> Callable[[RowBlock], None]:
    """What takes every block of the bank's rows.

    Args:
        do: called with what is to be done once a band's results have arrived on the host.

    Raises:
        RangeError: from what it gives, where an activation left float16's range.
    """
    weights = None if sink.mixture is None else torch.from_numpy(sink.mixture.weights)
    factor = None if sink.overview is None else sink.overview.cells.factor

    def take(block: RowBlock) -> None:
        totals: list[Tensor] = []
        mixed: list[Tensor] = []
        for piece in [block.parts] if transfers.beside else _pieces(block.parts):
            # Rounded to what is stored first: what is heard follows from the stored values.
            parts = tuple(part.to(torch.float16) for part in piece)
            on_it = None if weights is None else weights.to(parts[0].device)
            sums = _sums(parts, on_it, sink.energies, factor)
            totals.append(sums.total)
            mixed.extend(sums.mixed)
            if sink.store is not None:
                do(partial(keep, transfers.to_host(sums.means, *parts)))
            if sink.energies:
                do(partial(measure, transfers.to_host(*sums.energies)))
            if sums.cells:
                do(partial(reduce, transfers.to_host(*sums.cells)))
        total = torch.cat(totals)
        columns = torch.cat(mixed).transpose(1, 2) if mixed else total.new_zeros(len(total), 0, 0)
        raw = (
            columns[:, : sink.mixture.raw]
            if sink.mixture is not None and sink.mixture.raw
            else total[:, None]
        )
        # an infinity in the sum becomes one, or NaN, in the half frame: either tells
        arrived = transfers.to_host(total if sink.total is None else half_frames(raw), columns)
        do(partial(add, block.start, arrived))

    def reduce(arrived: Arrived) -> None:
        assert sink.overview is not None
        sink.overview.add(*arrived())

    def measure(arrived: Arrived) -> None:
        for each in arrived():
            sink.meter.add_energies(0, each)

    def keep(arrived: Arrived) -> None:
        assert sink.store is not None
        means, *parts = arrived()
        sink.meter.add_means(0, means)
        sink.store.append(tuple(parts))

    def add(start: int, arrived: Arrived) -> None:
        half, columns = arrived()
        if not bool(torch.isfinite(half).all()):
            way_out = "--precision fp32" if precision == "fp16" else "other --weights"
            raise RangeError(
                f"bank {number} holds a value past float16's largest, 65504, near row {start} of it; "
                f"use {way_out}, or leave bank {number} out with --banks"
            )
        if sink.total is not None:
            sink.total.add(half)
        if sink.mixture is not None:
            for spool, (_, part) in zip(sink.spectra, sink.mixture.spectra, strict=True):
                spool.add(columns[:, part])

    return take


def _pieces(parts: Parts) -> Iterator[Parts]:
    """Rows a few at a time, small enough for a core's own cache to hold them through all that follows."""
    _, channels, _, cross = parts[0].shape
    rows = max(1, _PIECE_VALUES // (channels * cross))
    return zip(*(torch.split(part, rows, dim=2) for part in parts), strict=True)


@dataclass(frozen=True)
class _Sums:
    """Of a few rows: over all filters `[frame, frequency]`; each filter's frame means `[frame, channel]`; the
    weighted sums `[frame, frequency, column]`, if any; the filters' `energies`, if wanted; sums and maxima
    `[frame, cell, channel]` over the overview's cells, if there is one."""

    total: Tensor
    means: Tensor
    mixed: tuple[Tensor, ...]
    energies: tuple[Tensor, ...]
    cells: tuple[Tensor, ...]


def _sums(parts: tuple[Tensor, ...], weights: Tensor | None, wanted: bool, factor: int | None) -> _Sums:
    """As products with a row of ones: `sum` over the outer axes of a channels_last tensor is 20 times slower.

    Args:
        weights: `[channel, column]`.
        wanted: whether the energies are.
        factor: of the overview's cells.
    """
    total, mixed, means, squares, cells, first = None, None, [], [], [], 0
    for part in parts:
        values = part[0].permute(1, 2, 0).float()  # [frame, frequency, channel], contiguous
        filters = values.sum(dim=2)
        total = filters if total is None else total.add_(filters)
        ones = values.new_full((values.shape[0], 1, values.shape[1]), 1 / values.shape[1])
        means.append(torch.bmm(ones, values)[:, 0])
        if weights is not None:
            weighted = values @ weights[first : first + values.shape[2]]
            mixed = weighted if mixed is None else mixed.add_(weighted)
        if wanted:
            squares.append(energies(values))
        if factor is not None:
            cells.append(across_cells(values, factor))
        first += values.shape[2]
    assert total is not None
    return _Sums(
        total,
        torch.cat(means, dim=1),
        () if mixed is None else (mixed,),
        (torch.cat(squares, dim=1),) if squares else (),
        tuple(torch.cat(each, dim=2) for each in zip(*cells, strict=True)),
    )
