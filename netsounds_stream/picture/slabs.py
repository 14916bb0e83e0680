"""A picture on its way to the network, as planned: spooled first where it must be, then slab by slab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..base.journal import Journal
from ..base.progress import Stages
from ..errors import Stopped
from ..planning.plan import Plan
from .picture import Picture, Slab, slabs, write_spool

_STEP = "decode"


def planned_slabs(picture: Picture, plan: Plan, spool: Path, first: int) -> Iterator[Slab]:
    """The picture's slabs along the planned axis, from the row `first` on."""
    return slabs(
        picture,
        time_axis=plan.time_axis,
        rows=plan.slab_rows,
        stored=plan.picture_stored,
        spool=spool,
        first=first,
    )


def spool_picture(picture: Picture, plan: Plan, spool: Path, journal: Journal, stages: Stages) -> None:
    """Have the picture in `spool`, unless it is there: a step of the run's journal.

    Raises:
        Stopped: the run was asked to stop; this begins again.
    """
    if journal.done(_STEP):
        return
    with stages.stage(_STEP, plan.pixels, "px") as advance:
        shares = [0.0]

        def on_spooled(share: float) -> None:
            if journal.stopping:
                raise Stopped
            advance((share - shares[-1]) * plan.pixels)
            shares.append(share)

        write_spool(picture, spool, on_spooled)
    journal.reached(_STEP, {"whole": True}, lambda cancelled: {spool: None})
    journal.step_ended()
