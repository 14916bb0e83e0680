"""Reading a picture as the plan says: spooled first where it must be, then slab by slab."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..base.journal import Journal
from ..base.progress import Stages
from ..errors import Stopped
from ..planning.plan import Plan
from ..planning.steps import DECODE
from .picture import Picture, Slab, slabs, write_spool


@dataclass(frozen=True)
class PixelBand:
    """Rows of the picture that enter the network at a time.

    Attributes:
        row: its first row's place in the picture, along the time axis.
        values: integer pixels `[time, frequency, rgb]`.
    """

    row: int
    values: Slab


def bands_of(slabs: Iterable[Slab], rows: int, first: int) -> Iterator[PixelBand]:
    """Cut slabs into bands.

    Args:
        slabs: integer pixels `[time, frequency, rgb]`, in time order.
        rows: rows of a band; the last of a slab may have fewer.
        first: row of the picture at which the first slab begins.

    Yields:
        The bands, in order.
    """
    for slab in slabs:
        for start in range(0, slab.shape[0], rows):
            values = slab[start : start + rows]
            yield PixelBand(first, values)
            first += values.shape[0]


def planned_slabs(picture: Picture, plan: Plan, spool: Path, first: int) -> Iterator[Slab]:
    """Decode the picture slab by slab along the planned time axis.

    Args:
        picture: the picture.
        plan: the run's plan.
        spool: the file that `spool_picture` wrote.
        first: row along the time axis to begin with.

    Yields:
        Upright slabs `[time, frequency, rgb]`.
    """
    return slabs(
        picture,
        time_axis=plan.time_axis,
        rows=plan.slab_rows,
        stored=plan.picture_stored,
        spool=spool,
        first=first,
    )


def spool_picture(picture: Picture, plan: Plan, spool: Path, journal: Journal, stages: Stages) -> None:
    """Decode the picture into the file `spool`, unless the journal says that this is done.

    Raises:
        Stopped: the run was cancelled; a resumed run starts this step over.
    """
    if journal.done(DECODE):
        return
    with stages.stage(DECODE.name, plan.pixels, "px") as advance:
        shares = [0.0]

        def on_spooled(share: float) -> None:
            if journal.stopping:
                raise Stopped
            advance((share - shares[-1]) * plan.pixels)
            shares.append(share)

        write_spool(picture, spool, on_spooled)
    journal.completed(DECODE, lambda cancelled: {spool: None})
    journal.step_ended()
