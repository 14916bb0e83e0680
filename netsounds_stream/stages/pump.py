"""The pump, which carries bands of pixels through the network, and each bank's rows to their taker.

    band ─> prepare ─> preview ─> layer 1 ─> layer 2 ─> ... ─> classifier ─> settle
            any order  └───────────── a pipeline's stages, in order ───────────┘

A run on one machine and a cluster's worker both use it. A snapshot is sent between two bands. It reaches each
stage and each bank after all earlier bands and before all later ones. So it shows one moment of the stream,
though no worker ever pauses (Chandy and Lamport's distributed snapshot, in a pipeline).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from torch import Tensor

from ..base.device import Transfers
from ..base.pipeline import Pipeline
from ..network.compute import Compute, PixelNetwork, as_values
from ..network.stream import Band, Hook, RowBlock, RowStream, exact_float32
from ..picture.overview import across_cells
from ..picture.slabs import PixelBand
from ..planning.plan import Plan
from .bank_hook import BankHook, Taker
from .sinks import Snapshot


class CellSink(Protocol):
    """A consumer of the picture's cells, which come in order."""

    def add(self, sums: Tensor, highest: Tensor) -> None:
        """Take the next rows' cells, as `across_cells` returns them.

        Args:
            sums: sum over each cell, of pixels in 0 to 255, float32 `[row, cell, channel]`.
            highest: maximum of each cell, in 0 to 255, float32 `[row, cell, channel]`.
        """


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The reduction of the picture for the report.

    Attributes:
        sink: takes the cells.
        factor: side of a cell, in pixels.
        own: the rows that are reduced: the first, and the end; None: all.
    """

    sink: CellSink
    factor: int
    own: tuple[int, int] | None = None

    def cells(self, band: PixelBand, values: Tensor, full_scale: int) -> tuple[Tensor, Tensor] | None:
        """Reduce a band's own rows.

        Args:
            band: the band.
            values: its pixels `[time, frequency, rgb]`.
            full_scale: the largest value of a pixel.

        Returns:
            Sums and maxima for `CellSink.add`; None if the band has no own rows.
        """
        rows = values.shape[0]
        own = (0, band.row + rows) if self.own is None else self.own
        start, stop = (min(max(row - band.row, 0), rows) for row in own)
        if start == stop:
            return None
        sums, highest = across_cells(values[start:stop].float(), self.factor)
        to_byte = 255 / full_scale
        return sums * to_byte, highest * to_byte


class BandPump:
    """A pump of bands through the network.

    Args:
        plan: the run's plan.
        network: the weights, and how pixels become their input.
        takers: take each bank's rows, by its number.
        compute: device and precision.
        preview: the reduction of the picture; None without a report.
        advance: called with the number of pixels of each band that is through.
        hooks: further hooks, by the names of their layers.
        first_row: row of the picture at which the stream begins.
        own: each bank's frames that are passed on, by its number: the first, and the end; None: all.

    Attributes:
        stream: the network.
        ended: whether the end of the picture has passed.
    """

    def __init__(
        self,
        plan: Plan,
        network: PixelNetwork,
        takers: Mapping[int, Taker],
        compute: Compute,
        *,
        preview: Preview | None = None,
        advance: Callable[[int], None] = lambda pixels: None,
        hooks: Mapping[str, Hook] | None = None,
        first_row: int = 0,
        own: Mapping[int, tuple[int, int]] | None = None,
    ) -> None:
        self._network = network
        self._compute = compute
        self._preview = preview
        self._advance = advance
        self._transfers = Transfers(compute.device)
        self._pending = _Pending()
        self._under_way = set[_Barrier]()
        self.ended = False
        do = self._pending.later if self._transfers.overlapped else _now
        self._do: Callable[[Callable[[], None]], None] = do
        banks = {planned.number: planned for planned in plan.banks}
        bank_hooks: dict[str, Hook] = {
            banks[number].bank.layer: BankHook(
                banks[number].bank,
                taker,
                frames_per_shard=banks[number].frames_per_shard,
                precision=compute.precision,
                transfers=self._transfers,
                do=do,
                own=None if own is None else own[number],
            )
            for number, taker in takers.items()
        }
        self._layers = {banks[number].bank.layer: number for number in takers}
        self.stream = RowStream(
            network.captured,
            _together(hooks or {}, bank_hooks),
            transposed=plan.time_axis == "x",
            dtype=compute.dtype,
            device=compute.device,
            first_row=first_row,
            prediction=plan.classified is not None,
        )

    def run(self, items: Iterable[PixelBand | Snapshot | None], pipeline: Pipeline) -> None:
        """Carry every item through the network.

        Args:
            items: bands in order; snapshots, each to be taken between two bands; None at the picture's end,
                upon which every layer returns what waited for more rows.
            pipeline: the workers.

        Raises:
            RangeError: an activation is outside float16's range.
        """
        stages = (self._reduce, *(_of_band(stage) for stage in self.stream.stages), self._settle)
        try:
            with exact_float32(self._compute.device):
                pipeline.run(items, self._prepare, stages)
        finally:
            for barrier in self._under_way:
                barrier.snapshot.discard()

    def _prepare(self, item: PixelBand | Snapshot | None) -> _Carried:
        """Turn an item into a band for the network, on any worker, in any order."""
        if item is None:
            self.ended = True
            return _Carried(self.stream.ending())
        if isinstance(item, Snapshot):
            barrier = _Barrier(item, self._layers, self._do)
            self._under_way.add(barrier)
            return _Carried(self.stream.keeping(barrier), barrier=barrier)
        values = as_values(item.values, self._compute.device)
        pixels = values.shape[0] * values.shape[1]
        self._pending.later(partial(self._advance, pixels))  # counts as progress once it is through
        cells = None
        if self._preview is not None:
            cells = self._preview.cells(item, values, self._network.full_scale)
        image = self._transfers.to_device(values).float().permute(2, 0, 1)
        return _Carried(self.stream.enter(self._network.prepare(image)), cells=cells)

    def _reduce(self, carried: _Carried) -> _Carried:
        """Pass a band's cells to the preview's sink; the pipeline's first stage."""
        if self._preview is not None and carried.cells is not None:
            self._preview.sink.add(*carried.cells)
        if carried.barrier is not None:
            carried.barrier.snapshot.save_preview()
        return _Carried(carried.band, barrier=carried.barrier)

    def _settle(self, carried: _Carried) -> _Carried:
        """Do what was put off for a band, or commit a snapshot; the pipeline's last stage."""
        self._pending.settle()
        if carried.barrier is not None:
            carried.barrier.snapshot.commit()
            self._under_way.remove(carried.barrier)
        return carried


def _together(some: Mapping[str, Hook], others: Mapping[str, Hook]) -> dict[str, Hook]:
    """Return the hooks of both; where both have a layer, one that calls both."""

    def both(layer: str) -> Hook:
        def call(block: RowBlock) -> None:
            some[layer](block)
            others[layer](block)

        return call

    return {**some, **others, **{layer: both(layer) for layer in some if layer in others}}


@dataclass(frozen=True)
class _Carried:
    """An item that a worker carries through the pipeline's stages.

    Attributes:
        band: the rows that the network's layers pass on; none with a barrier.
        cells: the band's cells, until the preview's sink has taken them.
        barrier: a snapshot on its way; None for a band of pixels.
    """

    band: Band
    cells: tuple[Tensor, Tensor] | None = None
    barrier: _Barrier | None = None


def _of_band(stage: Callable[[Band], Band]) -> Callable[[_Carried], _Carried]:
    """Wrap a layer's stage for the pipeline.

    Returns:
        A stage that passes on the band that the layer returns, and the barrier, if there is one.
    """

    def step(carried: _Carried) -> _Carried:
        return _Carried(stage(carried.band), barrier=carried.barrier)

    return step


class _Barrier:
    """A snapshot on its way through the stages, which saves their retained tensors and the banks' sinks.

    Args:
        snapshot: takes the states.
        banks: numbers of the banks by the names of their layers.
        do: called with the tasks that save a bank's sinks, once these have taken all earlier bands.
    """

    def __init__(
        self, snapshot: Snapshot, banks: Mapping[str, int], do: Callable[[Callable[[], None]], None]
    ) -> None:
        self.snapshot = snapshot
        self._banks = banks
        self._do = do

    def __call__(self, name: str, layers: tuple[str, ...], retained: Mapping[str, Tensor]) -> None:
        self.snapshot.save_layer(name, retained)
        for layer in layers:
            if layer in self._banks:
                self._do(partial(self.snapshot.save_bank, self._banks[layer]))


class _Pending:
    """Deferred tasks for the band that the calling thread carries, done at the pipeline's last stage.

    On a GPU results are still on their way when a hook returns. To wait for them there would keep the next
    band from the layer. So they are taken at the last stage, band after band.
    """

    def __init__(self) -> None:
        self._own = threading.local()

    def later(self, task: Callable[[], None]) -> None:
        """Defer a task."""
        self._own.tasks = [*getattr(self._own, "tasks", []), task]

    def settle(self) -> None:
        """Do the calling thread's deferred tasks, in order."""
        tasks = getattr(self._own, "tasks", [])
        self._own.tasks = []
        for task in tasks:
            task()


def _now(task: Callable[[], None]) -> None:
    task()
