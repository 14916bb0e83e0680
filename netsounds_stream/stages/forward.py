"""The picture through the network on this machine, with each bank's rows to its sinks; can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from pathlib import Path

from torch import Tensor

from ..base.journal import Journal
from ..base.pipeline import Pipeline, ahead
from ..errors import Stopped
from ..network.compute import Compute, PixelNetwork
from ..picture.picture import Slab
from ..picture.slabs import PixelBand, bands_of
from ..planning.plan import Plan
from ..planning.steps import NETWORK
from .pump import BandPump, Preview
from .sinks import NetworkSinks, Snapshot, open_snapshot, remove_snapshots, rows_done


def run_forward(
    slabs: Iterable[Slab],
    plan: Plan,
    network: PixelNetwork,
    sinks: NetworkSinks,
    *,
    compute: Compute,
    pipeline: Pipeline,
    advance: Callable[[int], None],
    journal: Journal,
    folder: Path,
) -> Tensor | None:
    """Push every slab through the network in bands of the planned height.

    Args:
        slabs: integer pixels `[time, frequency, rgb]`, in time order, from `rows_done` on.
        plan: the run's plan.
        network: the weights, and how pixels become their input.
        sinks: take what is made of each bank's rows; opened as the journal has them.
        compute: device and precision.
        pipeline: the workers; each layer is one of its stages.
        advance: called with the number of pixels of each band that is through.
        journal: where this step's state is recorded.
        folder: the run's folder, for the snapshots.

    Returns:
        The logits' average over the picture, float64 `[class]`; None if the network makes none.

    Raises:
        RangeError: an activation is outside float16's range.
        Stopped: the run was asked to stop; its progress is recorded in the journal.
    """
    preview = None
    if sinks.preview is not None:
        preview = Preview(sink=sinks.preview, factor=sinks.preview.cells.factor)
    pump = BandPump(plan, network, sinks.banks, compute, preview=preview, advance=advance)
    state = journal.state(NETWORK)
    if state is not None:
        with open_snapshot(folder, state) as reader:
            pump.stream.restore({name: reader.tensors(name) for name in pump.stream.stage_names})
            sinks.restore(state, reader)
    with closing(_items(slabs, plan.band_rows, journal, folder, sinks)) as items:
        pump.run(items, pipeline)
    if not pump.ended:
        raise Stopped
    logits = pump.stream.logits()
    sinks.complete(journal, logits, after=lambda: remove_snapshots(folder))
    return logits


def _items(
    slabs: Iterable[Slab], band_rows: int, journal: Journal, folder: Path, sinks: NetworkSinks
) -> Generator[PixelBand | Snapshot | None]:
    """Cut slabs into bands, while the next slab is decoded.

    Yields:
        Every band in order, then None at the picture's end. A snapshot comes whenever a commit is due, and as
        the last item if the run is asked to stop.
    """
    with closing(ahead(slabs)) as decoded:
        for band in bands_of(decoded, band_rows, rows_done(journal)):
            if journal.due() or journal.stopping:
                yield Snapshot(journal, folder, band.row, sinks)
            if journal.stopping:
                return
            yield band
    yield None
