"""The first stage: the picture through the network, each bank's rows to the store and to the running sum."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .device import Arrived, Transfers
from .errors import OptionError, RangeError
from .geometry import bank
from .levels import LevelMeter
from .machine import resident_bytes, trim_heap
from .overlap import Line, ahead
from .picture import Slab
from .planning import Plan
from .sound import SumSpool
from .store import ShardWriter
from .stream import Band, Parts, RowBlock, RowStream, exact_float32
from .transform import half_frames
from .weights import Weights, for_pixels, normalised

# Blocks of many sizes, freed by several threads, leave gaps that grow over thousands of bands. They are given
# back where memory comes this near to what was planned, and no sooner: their pages must be cleared again.
_NEAR = 0.85
# Of a bank, rounded, summed and handed to the store at a time: 1 MiB in float32.
_PIECE_VALUES = 1 << 18


@dataclass(frozen=True)
class Compute:
    """Where the network runs ('cpu', 'cuda', 'mps') and in what: 'fp32', 'bf16' or 'fp16'."""

    device: str
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]


def devices() -> tuple[str, ...]:
    """What this machine, and this build of torch, can compute on."""
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return tuple(name for name, there in has.items() if there)


def choose_compute(device: str, precision: str) -> Compute:
    """`device` and `precision` with 'auto' decided.

    Raises:
        OptionError: the device asked for is not there.
    """
    if device == "auto":
        device = "cpu"  # what runs on a GPU has not been tried on one yet: nobody gets it unasked
    elif device not in devices():
        raise OptionError(f"this machine, or this build of torch, has no {device} device; use --device cpu")
    if precision == "auto":
        # On a CPU torch's float16 is some twenty times slower than float32 unless the chip computes in it,
        # and torch does not say whether it does.
        precision = "fp32" if device == "cpu" else "fp16"
    return Compute(device, precision)


@dataclass(frozen=True)
class PixelNetwork:
    """Parameters for a stream, and what turns float32 pixels `[rgb, y, x]` into its input."""

    state: Mapping[str, Tensor]
    prepare: Callable[[Tensor], Tensor]


def pixel_network(weights: Weights, full_scale: int, normalize: bool, dtype: torch.dtype) -> PixelNetwork:
    """The cheapest right way for `dtype`: scaling folded into the weights where float32 has room for it."""
    if dtype == torch.float32:
        return PixelNetwork(for_pixels(weights, full_scale, normalize), lambda pixels: pixels)
    return PixelNetwork(weights.state, lambda pixels: normalised(pixels, full_scale, normalize))


@dataclass(frozen=True)
class Sinks:
    """Where one bank's rows go: to a store or none, to a running sum or none; and what measures them."""

    store: ShardWriter | None
    total: SumSpool | None
    meter: LevelMeter


def run_forward(
    slabs: Iterable[Slab],
    plan: Plan,
    pixels: PixelNetwork,
    sinks: Mapping[int, Sinks],
    *,
    compute: Compute,
    line: Line,
    advance: Callable[[int], None],
) -> Tensor:
    """Push every slab through the network in bands of the planned height; the logits' average at the end.

    Args:
        slabs: `[time, frequency, rgb]` integer pixels, in time order.
        pixels: the weights, and how pixels become their input.
        sinks: by bank number.
        line: the workers; a station is a layer.
        advance: called with the pixels of each band begun.

    Raises:
        RangeError: an activation left float16's range.
    """
    transfers = Transfers(compute.device)
    pending = _Pending()
    hooks = {
        bank(number).layer: _bank_hook(number, sink, compute.precision, transfers, pending)
        for number, sink in sinks.items()
    }
    stream = RowStream(
        pixels.state, hooks, transposed=plan.time_axis == "x", dtype=compute.dtype, device=compute.device
    )

    def enter(band: NDArray[np.generic] | None) -> Band:
        if band is None:
            return stream.ending()
        # torch takes no negative strides of numpy's; bytes go to a device as bytes
        small = band.dtype == np.uint8 and compute.device != "cpu"
        values = torch.from_numpy(band.astype("uint8" if small else "float32", order="C"))
        if resident_bytes() > _NEAR * plan.forward_memory_bytes:
            trim_heap()
        advance(band.shape[0] * band.shape[1])
        there = transfers.to_device(values).float()
        return stream.enter(pixels.prepare(there.permute(2, 0, 1)))

    with exact_float32(compute.device), closing(_bands(slabs, plan.band_rows)) as bands:
        line.run(bands, enter, (*stream.stations, pending.settle))
    for sink in sinks.values():
        if sink.store is not None:
            sink.store.finish()
    return stream.logits()


def _bands(slabs: Iterable[Slab], rows: int) -> Generator[Slab | None]:
    """Every slab cut into bands, the next slab being decoded meanwhile; then None for the end."""
    with closing(ahead(slabs)) as decoded:
        for slab in decoded:
            for start in range(0, slab.shape[0], rows):
                yield slab[start : start + rows]
    yield None


class _Pending:
    """What is still to be done on the host with the band that the calling thread carries.

    On a GPU results are on their way when a hook returns, and to wait for them there would keep the next
    band from that layer. So they are taken at the line's last station, band after band.
    """

    def __init__(self) -> None:
        self._mine = threading.local()

    def later(self, job: Callable[[], None]) -> None:
        self._mine.jobs = [*getattr(self._mine, "jobs", []), job]

    def settle(self, band: Band) -> Band:
        jobs, self._mine.jobs = getattr(self._mine, "jobs", []), []
        for job in jobs:
            job()
        return band


def _bank_hook(
    number: int, sink: Sinks, precision: str, transfers: Transfers, pending: _Pending
) -> Callable[[RowBlock], None]:
    do = pending.later if transfers.beside else lambda job: job()

    def take(block: RowBlock) -> None:
        totals: list[Tensor] = []
        for piece in [block.parts] if transfers.beside else _pieces(block.parts):
            # Rounded to what is stored first: what is heard follows from the stored values.
            parts = tuple(part.to(torch.float16) for part in piece)
            total, means = _sums(parts)
            totals.append(total)
            if sink.store is not None:
                do(partial(keep, transfers.to_host(means, *parts)))
        do(partial(add, block.start, transfers.to_host(half_frames(torch.cat(totals)))))

    def keep(arrived: Arrived) -> None:
        assert sink.store is not None
        means, *parts = arrived()
        sink.meter.add_means(0, means)
        sink.store.append(tuple(parts))

    def add(start: int, arrived: Arrived) -> None:
        (half,) = arrived()
        if not bool(torch.isfinite(half).all()):
            way_out = "--precision fp32" if precision == "fp16" else "other --weights"
            raise RangeError(
                f"bank {number} holds a value past float16's largest, 65504, near row {start} of it; "
                f"use {way_out}, or leave bank {number} out with --banks"
            )
        if sink.total is not None:
            sink.total.add(half)

    return take


def _pieces(parts: Parts) -> Iterator[Parts]:
    """Rows a few at a time, small enough for a core's own cache to hold them through all that follows."""
    _, channels, _, cross = parts[0].shape
    rows = max(1, _PIECE_VALUES // (channels * cross))
    return zip(*(torch.split(part, rows, dim=2) for part in parts), strict=True)


def _sums(parts: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """The sum over all filters, `[frame, frequency]`, and each filter's frame means, `[frame, channel]`.

    As products with a row of ones: `sum` over the outer axes of a channels_last tensor is 20 times slower.
    """
    total, means = None, []
    for part in parts:
        values = part[0].permute(1, 2, 0).float()  # [frame, frequency, channel], contiguous
        filters = values.sum(dim=2)
        total = filters if total is None else total.add_(filters)
        ones = values.new_full((values.shape[0], 1, values.shape[1]), 1 / values.shape[1])
        means.append(torch.bmm(ones, values)[:, 0])
    assert total is not None
    return total, torch.cat(means, dim=1)
