"""Hooks that reduce a bank's rows as the network returns them, a few at a time, while they are in the cache.

Rows are rounded to float16, summed, measured and reduced, then passed to a taker: a run's sinks, or a
segment's output.
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
from ..graph.layers import Bank
from ..network.convolution import Parts
from ..network.stream import RowBlock
from ..picture.overview import across_cells
from ..sound.dsp.half_ifft import half_frames
from ..sound.levels import energies
from ..sound.mixture import Mixture

# A bank's values that are rounded, summed and passed on at a time: 4 MiB in float32. With less, calls cost
# more than the cache saves: workers wait for one another between them.
_PIECE_VALUES = 1 << 20


class Taker(Protocol):
    """A consumer of one bank's rows, which come in order as the network returns them."""

    @property
    def mixture(self) -> Mixture | None:
        """Weights of the filters' weighted sums; None where only their plain sum is audible."""

    @property
    def energies(self) -> bool:
        """True if the taker wants the filters' energies."""

    @property
    def cell_factor(self) -> int | None:
        """Side of an overview cell, in values; None where there is no overview."""

    @property
    def stored(self) -> bool:
        """True if the taker wants the activations themselves."""

    @property
    def inverted(self) -> bool:
        """True if the taker wants the raw sum."""

    def take_parts(self, means: Tensor, parts: Parts) -> None:
        """Take activations.

        Args:
            means: mean of each frame, float32 `[frame, channel]`.
            parts: float16 `[1, channel, frame, frequency]`, split along the channels.
        """

    def take_energies(self, energies: Tensor) -> None:
        """Take the filters' energies.

        Args:
            energies: float64 `[2, channel]`, as `levels.energies` returns them.
        """

    def take_cells(self, sums: Tensor, highest: Tensor) -> None:
        """Take rows reduced across, as `overview.across_cells` returns them.

        Args:
            sums: sum over each cell, float32 `[frame, cell, channel]`.
            highest: maximum of each cell, float32 `[frame, cell, channel]`.
        """

    def take_half(self, half: Tensor) -> None:
        """Take the raw sum's frames, inverted.

        Args:
            half: first halves of the frames, float32 `[frame, channel, sample]`: see `SumSpool.add`.
        """

    def take_columns(self, columns: Tensor) -> None:
        """Take the mixture's weighted sums.

        Args:
            columns: float32 `[frame, column, frequency]`.
        """


class BankHook:
    """A hook that reduces every block of a bank's rows and passes the results to a taker.

    Args:
        bank: the bank.
        taker: takes the results.
        frames_per_shard: frames of a shard. No piece that is measured lies across two shards, so that a
            stream that begins with a shard measures what the single stream does.
        precision: precision of the computation, for the error's text.
        transfers: copies tensors to the host.
        do: called with the tasks that need a band's results on the host.
        own: the frames that are passed on: the first, and the end; None: all. On the CPU only.

    Raises:
        RangeError: when called, where an activation is outside float16's range.
    """

    def __init__(
        self,
        bank: Bank,
        taker: Taker,
        *,
        frames_per_shard: int,
        precision: str,
        transfers: Transfers,
        do: Callable[[Callable[[], None]], None],
        own: tuple[int, int] | None = None,
    ) -> None:
        self._bank = bank
        self._taker = taker
        self._frames_per_shard = frames_per_shard
        self._precision = precision
        self._transfers = transfers
        self._do = do
        self._own = own
        mixture = taker.mixture
        self._weights = None if mixture is None else torch.from_numpy(mixture.weights).t().contiguous()
        self._raw = 0 if mixture is None else mixture.raw

    def __call__(self, block: RowBlock) -> None:
        """Reduce a block's own rows, and defer passing the results to the taker."""
        own = slice(0, block.rows) if self._own is None else _within(self._own, block)
        if own.start >= own.stop:
            return
        totals: list[Tensor] = []
        mixed: list[Tensor] = []
        row = 0
        overlapped = self._transfers.overlapped
        for piece in [block.parts] if overlapped else _pieces(block, self._frames_per_shard):
            # Round first: the sound must follow from the stored values.
            parts = tuple(part.to(torch.float16) for part in piece)
            weights = None if self._weights is None else self._weights.to(parts[0].device)
            sums = _sums(
                parts,
                weights,
                energies_too=self._taker.energies,
                factor=self._taker.cell_factor,
                signed=not self._bank.nonnegative,
            )
            totals.append(sums.total)
            mixed.extend(sums.mixed)
            if own.start <= row < own.stop:
                self._pass_on(sums, parts)
            row += int(parts[0].shape[2])
        total = torch.cat(totals)
        columns = torch.cat(mixed, dim=1).transpose(0, 1) if mixed else total.new_zeros(len(total), 0, 0)
        audible = columns[:, : self._raw] if self._raw else total[:, None]
        # an infinity in the sum is still one, or a NaN, in the half frame, so that `_take_sums` sees it
        half = half_frames(audible) if self._taker.inverted else total
        arrived = self._transfers.to_host(half[own], columns[own])
        self._do(partial(self._take_sums, block.start + own.start, arrived))

    def _pass_on(self, sums: _Sums, parts: Parts) -> None:
        to_host = self._transfers.to_host
        if self._taker.stored:
            self._do(partial(self._take_parts, to_host(sums.means, *parts)))
        if self._taker.energies:
            self._do(partial(self._take_energies, to_host(*sums.energies)))
        if sums.cells:
            self._do(partial(self._take_cells, to_host(*sums.cells)))

    def _take_parts(self, arrived: Arrived) -> None:
        means, *parts = arrived()
        self._taker.take_parts(means, tuple(parts))

    def _take_energies(self, arrived: Arrived) -> None:
        for squares in arrived():
            self._taker.take_energies(squares)

    def _take_cells(self, arrived: Arrived) -> None:
        self._taker.take_cells(*arrived())

    def _take_sums(self, first_row: int, arrived: Arrived) -> None:
        half, columns = arrived()
        if not bool(torch.isfinite(half).all()):
            remedy = "--precision fp32" if self._precision == "fp16" else "other --weights"
            number = self._bank.number
            raise RangeError(
                f"bank {number} ({self._bank.layer}) has a value beyond float16's largest, 65504, near row "
                f"{first_row} of it; use {remedy}, or leave bank {number} out with --banks"
            )
        if self._taker.inverted:
            self._taker.take_half(half)
        if self._taker.mixture is not None:
            self._taker.take_columns(columns)


def _within(own: tuple[int, int], block: RowBlock) -> slice:
    """Select the block's rows that lie from `own[0]` up to `own[1]`.

    Returns:
        A slice of the block's rows, perhaps empty.
    """
    first, last = (min(max(row - block.start, 0), block.rows) for row in own)
    return slice(first, last)


def _pieces(block: RowBlock, frames_per_shard: int) -> Iterator[Parts]:
    """Cut a block into pieces small enough to stay in a core's own cache until they are reduced.

    Yields:
        The parts of the next rows, all of one shard, `[1, channel, frame, frequency]` each.
    """
    _, channels, _, cross = block.parts[0].shape
    most = max(1, _PIECE_VALUES // (channels * cross))
    row = 0
    while row < block.rows:
        to_shard_end = frames_per_shard - (block.start + row) % frames_per_shard
        count = min(most, block.rows - row, to_shard_end)
        yield tuple(part[:, :, row : row + count] for part in block.parts)
        row += count


@dataclass(frozen=True, kw_only=True)
class _Sums:
    """A few rows, reduced.

    Attributes:
        total: sum over all filters, float32 `[frame, frequency]`.
        means: means of each filter's frames, of magnitudes, float32 `[frame, channel]`.
        mixed: weighted sums, float32 `[column, frame, frequency]`; empty without weights.
        energies: the filters' `levels.energies`; empty if they are not wanted.
        cells: sums and maxima over the overview's cells, float32 `[frame, cell, channel]` each; empty without
            an overview.
    """

    total: Tensor
    means: Tensor
    mixed: tuple[Tensor, ...]
    energies: tuple[Tensor, ...]
    cells: tuple[Tensor, ...]


def _sums(
    parts: tuple[Tensor, ...],
    weights: Tensor | None,
    *,
    energies_too: bool,
    factor: int | None,
    signed: bool,
) -> _Sums:
    """Sum rows over filters and along frames.

    Frame means are products with a row of ones: `sum` over the outer axes of a channels_last tensor is 20
    times slower. The weighted sums' product has the few weights on its left, for on its right they take six
    times as long.

    Args:
        parts: float16 `[1, channel, frame, frequency]`, split along the channels.
        weights: float32 `[column, channel]`; None where there are no weighted sums.
        energies_too: whether the filters' energies are wanted.
        factor: side of an overview cell; None where there is no overview.
        signed: whether there may be negative values, which means and cells then count by their magnitude.

    Returns:
        The sums over all channels.
    """
    total: Tensor | None = None
    mixed: Tensor | None = None
    means: list[Tensor] = []
    squares: list[Tensor] = []
    cells: list[tuple[Tensor, Tensor]] = []
    first = 0
    for part in parts:
        values = part[0].permute(1, 2, 0).float()  # [frame, frequency, channel], contiguous
        filters = values.sum(dim=2)
        total = filters if total is None else total.add_(filters)
        sizes = values.abs() if signed else values
        ones = values.new_full((values.shape[0], 1, values.shape[1]), 1 / values.shape[1])
        means.append(torch.bmm(ones, sizes)[:, 0])
        if weights is not None:
            weighted = weights[:, first : first + values.shape[2]] @ values.flatten(0, 1).t()
            mixed = weighted if mixed is None else mixed.add_(weighted)
        if energies_too:
            squares.append(energies(values))
        if factor is not None:
            cells.append(across_cells(sizes, factor))
        first += values.shape[2]
    assert total is not None
    return _Sums(
        total=total,
        means=torch.cat(means, dim=1),
        mixed=() if mixed is None else (mixed.view(-1, *total.shape),),
        energies=(torch.cat(squares, dim=1),) if squares else (),
        cells=tuple(torch.cat(part, dim=2) for part in zip(*cells, strict=True)),
    )
