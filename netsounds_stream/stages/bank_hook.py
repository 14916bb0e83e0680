"""What is done with a bank's rows where the network gives them, a few at a time, while they are in the cache.

They are rounded to what is stored, summed, measured and reduced, then handed to what takes them: a run's
`Sinks`, or a segment's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from ..base.device import Arrived, Transfers
from ..errors import RangeError
from ..network.layers import Parts
from ..network.stream import RowBlock
from ..picture.overview import across_cells
from ..sound.dsp.half_ifft import half_frames
from ..sound.levels import energies
from ..sound.mixture import Mixture

# Of a bank, rounded, summed and handed to the store at a time: 1 MiB in float32.
_PIECE_VALUES = 1 << 18


class Taker(Protocol):
    """What takes one bank's rows, in order, as the network gives them.

    Attributes:
        mixture: what the filters are summed to as they come; None where only their plain sum is heard.
        energies: whether the filters' energies are wanted.
    """

    @property
    def mixture(self) -> Mixture | None: ...
    @property
    def energies(self) -> bool: ...
    @property
    def cell_factor(self) -> int | None:
        """Of the overview's cells; None where there is no overview."""

    @property
    def stored(self) -> bool:
        """Whether the activations themselves are wanted."""

    @property
    def inverted(self) -> bool:
        """Whether the raw sum is."""

    def take_parts(self, means: Tensor, parts: Parts) -> None:
        """Frame means `[frame, channel]`, and float16 `[1, channel, frame, frequency]`, in parts."""

    def take_energies(self, found: Tensor) -> None:
        """See `levels.energies`."""

    def take_cells(self, sums: Tensor, highest: Tensor) -> None:
        """See `overview.across_cells`."""

    def take_half(self, half: Tensor) -> None:
        """The raw sum's frames, inverted: see `SumSpool.add`."""

    def take_columns(self, columns: Tensor) -> None:
        """The mixture's weighted sums `[frame, column, frequency]`."""


def bank_hook(
    number: int,
    taker: Taker,
    per_shard: int,
    precision: str,
    transfers: Transfers,
    do: Callable[[Callable[[], None]], None],
    own: tuple[int, int] | None = None,
) -> Callable[[RowBlock], None]:
    """What takes every block of the bank's rows.

    Args:
        per_shard: frames in a shard. No piece of what is measured lies across two, so that who begins with
            a shard measures what the single stream does.
        do: called with what is to be done once a band's results have arrived on the host.
        own: the rows from and to which are handed on; None: all. On the CPU only.

    Raises:
        RangeError: from what it gives, where an activation left float16's range.
    """
    weights = None if taker.mixture is None else torch.from_numpy(taker.mixture.weights)
    raw = 0 if taker.mixture is None else taker.mixture.raw

    def take(block: RowBlock) -> None:
        mine = slice(0, block.rows) if own is None else _within(own, block)
        if mine.start >= mine.stop:
            return
        totals: list[Tensor] = []
        mixed: list[Tensor] = []
        row = 0
        for piece in [block.parts] if transfers.overlapped else _pieces(block, per_shard):
            # Rounded to what is stored first: what is heard follows from the stored values.
            parts = tuple(part.to(torch.float16) for part in piece)
            on_it = None if weights is None else weights.to(parts[0].device)
            sums = _sums(parts, on_it, taker.energies, taker.cell_factor)
            totals.append(sums.total)
            mixed.extend(sums.mixed)
            if mine.start <= row < mine.stop:
                hand_over(sums, parts)
            row += int(parts[0].shape[2])
        total = torch.cat(totals)
        columns = torch.cat(mixed).transpose(1, 2) if mixed else total.new_zeros(len(total), 0, 0)
        heard = columns[:, :raw] if raw else total[:, None]
        # an infinity in the sum becomes one, or NaN, in the half frame: either tells
        half = half_frames(heard) if taker.inverted else total
        do(partial(add, block.start + mine.start, transfers.to_host(half[mine], columns[mine])))

    def hand_over(sums: _Sums, parts: Parts) -> None:
        if taker.stored:
            do(partial(keep, transfers.to_host(sums.means, *parts)))
        if taker.energies:
            do(partial(measure, transfers.to_host(*sums.energies)))
        if sums.cells:
            do(partial(reduce, transfers.to_host(*sums.cells)))

    def keep(arrived: Arrived) -> None:
        means, *parts = arrived()
        taker.take_parts(means, tuple(parts))

    def measure(arrived: Arrived) -> None:
        for each in arrived():
            taker.take_energies(each)

    def reduce(arrived: Arrived) -> None:
        taker.take_cells(*arrived())

    def add(start: int, arrived: Arrived) -> None:
        half, columns = arrived()
        if not bool(torch.isfinite(half).all()):
            way_out = "--precision fp32" if precision == "fp16" else "other --weights"
            raise RangeError(
                f"bank {number} has a value beyond float16's largest, 65504, near row {start} of it; "
                f"use {way_out}, or leave bank {number} out with --banks"
            )
        if taker.inverted:
            taker.take_half(half)
        if taker.mixture is not None:
            taker.take_columns(columns)

    return take


def _within(own: tuple[int, int], block: RowBlock) -> slice:
    """Which of the block's rows lie from `own[0]` to `own[1]`."""
    first, last = (min(max(each - block.start, 0), block.rows) for each in own)
    return slice(first, last)


def _pieces(block: RowBlock, per_shard: int) -> Iterator[Parts]:
    """Rows a few at a time, small enough for a core's own cache to hold them through all that follows."""
    _, channels, _, cross = block.parts[0].shape
    most, row = max(1, _PIECE_VALUES // (channels * cross)), 0
    while row < block.rows:
        count = min(most, block.rows - row, per_shard - (block.start + row) % per_shard)
        yield tuple(part[:, :, row : row + count] for part in block.parts)
        row += count


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
