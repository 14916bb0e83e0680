"""The first stage: the picture through the network, each bank's rows to the store and to the running sum."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..base.checkpoint import CheckpointReader, CheckpointWriter
from ..base.checksums import FileSum, file_sum
from ..base.device import Transfers
from ..base.journal import Journal
from ..base.pipeline import Pipeline, ahead
from ..errors import Stopped
from ..network.compute import Compute, PixelNetwork, as_values
from ..network.stream import Band, RowStream, exact_float32
from ..picture.overview import Overview, across_cells
from ..picture.picture import Slab
from ..planning.geometry import bank
from ..planning.plan import Plan
from .bank_hook import bank_hook
from .sinks import Sinks

Cells = tuple[Tensor, Tensor]  # sums and maxima, see `across_cells`

#: The network's step in the journal, and the files that hold what the stream retains.
STEP, _STATE = "network", "state-"
PREVIEW = "preview"


def preview_cells(values: Tensor, factor: int, full_scale: int) -> Cells:
    """Of pixels `[time, frequency, rgb]`, in 0 to 255: see `across_cells`."""
    sums, highest = across_cells(values.float(), factor)
    to_byte = 255 / full_scale
    return sums * to_byte, highest * to_byte


def run_forward(
    slabs: Iterable[Slab],
    plan: Plan,
    pixels: PixelNetwork,
    sinks: Mapping[int, Sinks],
    *,
    compute: Compute,
    pipeline: Pipeline,
    advance: Callable[[int], None],
    journal: Journal,
    folder: Path,
    preview: Overview | None = None,
) -> Tensor:
    """Push every slab through the network in bands of the planned height; the logits' average at the end.

    Args:
        slabs: `[time, frequency, rgb]` integer pixels, in time order, from `rows_done` on.
        pixels: the weights, and how pixels become their input.
        sinks: by bank number; each as the journal has it.
        line: the workers; a station is a layer.
        advance: called with the pixels of each band that is through.
        journal: where this step is kept, with what the stream retains in a file in `folder`.
        preview: what the picture is reduced to, for the report, in 0 to 255.

    Raises:
        RangeError: an activation left float16's range.
        Stopped: the run was asked to stop; how far it came is noted in the journal.
    """
    transfers = Transfers(compute.device)
    pending = _Pending()
    do = pending.later if transfers.overlapped else lambda job: job()
    kept = journal.state(STEP)
    per_shard = {each.number: each.frames_per_shard for each in plan.banks}
    hooks = {
        bank(number).layer: bank_hook(number, sink, per_shard[number], compute.precision, transfers, do)
        for number, sink in sinks.items()
    }
    stream = RowStream(
        pixels.state, hooks, transposed=plan.time_axis == "x", dtype=compute.dtype, device=compute.device
    )

    if kept is not None:
        with CheckpointReader(folder / kept["file"], FileSum.from_json(kept["sum"])) as reader:
            stream.restore({name: reader.tensors(name) for name in stream.station_names})
            for number, sink in sinks.items():
                sink.restore(kept["banks"][str(number)], reader, f"bank-{number}")
            if preview is not None:
                preview.restore(reader.tensors(PREVIEW)["cells"])

    ended, under_way = threading.Event(), set[_Keeping]()

    def enter(band: NDArray[np.generic] | _Mark | None) -> tuple[Band, Cells | None]:
        if band is None:
            ended.set()
            return stream.ending(), None
        if isinstance(band, _Mark):
            keeping = _Keeping(journal, state_path(folder, journal, band.rows), band.rows, sinks, do, preview)
            under_way.add(keeping)
            return stream.keeping(keeping), None
        values = as_values(band, compute.device)
        pending.later(partial(advance, band.shape[0] * band.shape[1]))  # counted when it is through
        cells = None
        if preview is not None:
            cells = preview_cells(values, preview.cells.factor, pixels.full_scale)
        return stream.enter(pixels.prepare(transfers.to_device(values).float().permute(2, 0, 1))), cells

    def look(entered: tuple[Band, Cells | None]) -> Band:
        band, cells = entered
        if preview is not None and cells is not None:
            preview.add(*cells)
        if preview is not None and isinstance(band.keep, _Keeping):
            band.keep.keep_preview(preview)
        return band

    def settle(band: Band) -> Band:
        pending.settle()
        if isinstance(band.keep, _Keeping):
            band.keep.finish()
            under_way.remove(band.keep)
        return band

    bands = _bands(slabs, plan.band_rows, rows_done(journal), journal)
    try:
        with exact_float32(compute.device), closing(bands):
            pipeline.run(bands, enter, (look, *stream.stages, settle))
    finally:
        for keeping in under_way:
            keeping.discard()
    if not ended.is_set():
        raise Stopped
    assert all(sink.store is None or sink.store.finished for sink in sinks.values())
    logits = stream.logits()
    network_ended(journal, sinks, preview, logits, after=lambda: remove_states(folder))
    return logits


def network_ended(
    journal: Journal,
    sinks: Mapping[int, Sinks],
    preview: Overview | None,
    logits: Tensor,
    *,
    files: Callable[[], Mapping[PurePath, FileSum | None]] = dict,
    after: Callable[[], None],
) -> None:
    """Note that the whole stage is done.

    Args:
        files: what was written besides, for the commit.
        after: called when it is durable.
    """
    banks = {str(number): sink.state() for number, sink in sinks.items()}
    seen = None if preview is None else preview.state()
    state = {"whole": True, "logits": logits.tolist(), "banks": banks, "preview": seen}
    journal.reached(
        STEP, state, lambda cancelled: {**files(), **written(sinks, preview, banks, cancelled)}, after=after
    )


def written(
    sinks: Mapping[int, Sinks],
    preview: Overview | None,
    banks: Mapping[str, Any],
    cancelled: Callable[[], bool],
) -> dict[PurePath, FileSum | None]:
    """What must be on the disk for the states of all `banks` to hold: written, when this returns."""
    found: dict[PurePath, FileSum | None] = {} if preview is None else {preview.path: None}
    for number, sink in sinks.items():
        found |= sink.files(banks[str(number)], cancelled)
    return found


def rows_done(journal: Journal) -> int:
    """How many of the picture's rows along the time axis the journal has behind them."""
    return int((journal.state(STEP) or {}).get("rows", 0))


@dataclass(frozen=True)
class _Mark:
    """Goes through the line between two bands: what was done with the `rows` before it is to be kept."""

    rows: int


def _bands(slabs: Iterable[Slab], rows: int, done: int, journal: Journal) -> Generator[Slab | _Mark | None]:
    """Every slab cut into bands, the next slab being decoded meanwhile; then None for the end.

    With a mark whenever a commit is due; the last one, if the run is asked to stop.
    """
    with closing(ahead(slabs)) as decoded:
        for slab in decoded:
            for start in range(0, slab.shape[0], rows):
                if journal.due() or journal.stopping:
                    yield _Mark(done)
                if journal.stopping:
                    return
                band = slab[start : start + rows]
                yield band
                done += band.shape[0]
    yield None


class _Keeping:
    """Takes along, station by station, what is needed to go on behind the band that it follows.

    Every station, and every bank's sink, is met when all earlier bands have passed it and no later one: so
    the whole is one moment of the stream, though the workers never pause.
    """

    def __init__(
        self,
        journal: Journal,
        path: Path,
        rows: int,
        sinks: Mapping[int, Sinks],
        do: Callable[[Callable[[], None]], None],
        preview: Overview | None,
    ) -> None:
        self._journal, self._rows, self._sinks, self._do = journal, rows, sinks, do
        self._preview = preview
        self._preview_state: dict[str, int] | None = None
        self._writer = CheckpointWriter(path)
        self._banks: dict[str, Any] = {}

    def __call__(self, name: str, layers: tuple[str, ...], retained: Mapping[str, Tensor]) -> None:
        for each, values in retained.items():
            self._writer.add(f"{name}/{each}", values)
        for number, sink in self._sinks.items():
            if bank(number).layer in layers:
                self._do(partial(self._keep_bank, number, sink))

    def _keep_bank(self, number: int, sink: Sinks) -> None:
        self._banks[str(number)] = sink.state()
        sink.keep(self._writer, f"bank-{number}")

    def keep_preview(self, preview: Overview) -> None:
        """All bands before it are in the preview, and none after it."""
        self._preview_state = preview.state()
        self._writer.add(f"{PREVIEW}/cells", preview.waiting)

    def discard(self) -> None:
        """It will not be finished."""
        self._writer.discard()

    def finish(self) -> None:
        """Have it committed."""
        self._writer.close()
        path, banks = self._writer.path, self._banks
        state: dict[str, Any] = {"whole": False, "rows": self._rows, "file": path.name, "banks": banks}
        state["preview"] = self._preview_state

        def files(cancelled: Callable[[], bool]) -> dict[PurePath, FileSum | None]:
            state["sum"] = file_sum(path).to_json()  # here, beside the work
            return {path: None, **written(self._sinks, self._preview, banks, cancelled)}

        self._journal.reached(STEP, state, files, after=lambda: remove_states(path.parent, path))
        self._journal.flush_soon()


def state_path(folder: Path, journal: Journal, rows: int) -> Path:
    """A new file for what is retained behind so many of the picture's rows."""
    return folder / f"{_STATE}{journal.content['starts']}-{rows}.npz"


def remove_states(folder: Path, newest: Path | None = None) -> None:
    """Remove saved states, all or those that are older than `newest`."""
    for path in folder.glob(f"{_STATE}*.npz"):
        if newest is None or _age(path) < _age(newest):
            path.unlink(missing_ok=True)


def _age(path: Path) -> tuple[int, ...]:
    return tuple(int(each) for each in path.stem.removeprefix(_STATE).split("-"))


class _Pending:
    """What is still to be done with the band that the calling thread carries, at the line's last station.

    On a GPU results are on their way when a hook returns, and to wait for them there would keep the next
    band from that layer. So they are taken at the line's last station, band after band.
    """

    def __init__(self) -> None:
        self._mine = threading.local()

    def later(self, job: Callable[[], None]) -> None:
        self._mine.jobs = [*getattr(self._mine, "jobs", []), job]

    def settle(self) -> None:
        jobs, self._mine.jobs = getattr(self._mine, "jobs", []), []
        for job in jobs:
            job()
