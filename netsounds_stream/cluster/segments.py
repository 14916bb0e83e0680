"""A picture cut along its time axis into segments that are streamed separately, with the whole's results.

Segments meet where shards end, in every bank. A segment's stream begins earlier, at the beginning of one of
the single stream's bands, by as much as its first frames see; and it goes on until its last are complete:

    the picture's rows     |----------------------------------------------------------|
    segment 1              |==================~~~~|
    segment 2                           ....|==================~~~~|
    segment 3                                            ....|=======================|

    = rows whose frames are its own    . warm-up    ~ what its last frames see

A stream that begins at a multiple of the network's stride and of the band's height returns, push for push,
the same rows as the single stream, except in the first push in which a layer returns any: there they are
fewer. On some processors the last bit of a row depends on how many rows are computed at once. The rows of
that push all see the stream's first band. So one band more is read than the first frames see, and the bytes
are the same. Everything here is integer arithmetic.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from math import lcm

from ..graph.geometry import Places
from ..planning.plan import Plan

#: About how many rows of the picture a segment has, unless an option says otherwise.
USUAL_ROWS = 2048


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Rows of the picture along the time axis that one worker computes.

    Attributes:
        number: the segment's place among all, from 0.
        start: first row of the segment.
        stop: end of its rows, exclusive.
        first: first row that is read for it, with the warm-up.
        last: end of the rows that are read for it, exclusive.
        frames: its own frames of each bank, by the bank's number: the first, and the end.
        positions: likewise the rows whose mean is the prediction, in the last segment all that remain; None
            where there are none.
        ends: whether the picture ends with the rows that are read, so that layers return what waits for more.
    """

    number: int
    start: int
    stop: int
    first: int
    last: int
    frames: dict[int, tuple[int, int]]
    positions: tuple[int, int] | None
    ends: bool


def unit_rows(plan: Plan) -> int:
    """Return the number of rows that a segment's length is a multiple of.

    Args:
        plan: the run's plan.

    Returns:
        The least number of the picture's rows that are whole shards of every bank and whole bands.
    """
    shards = (planned.frames_per_shard * planned.bank.stride for planned in plan.banks)
    return lcm(plan.network_stride, plan.band_rows, *shards)


def segments_of(plan: Plan, rows: int = USUAL_ROWS) -> tuple[Segment, ...]:
    """Cut the picture into segments.

    Args:
        plan: the run's plan.
        rows: about how many rows a segment has.

    Returns:
        The segments in order. All but the last have the same number of rows, the multiple of `unit_rows` that
        is closest to `rows`.
    """
    unit = unit_rows(plan)
    length = max(1, round(rows / unit)) * unit
    starts = [start for start in range(0, plan.rows_along, length) if _has_frames(plan, start)]
    stops = [*starts[1:], plan.rows_along]
    return tuple(
        _segment(plan, number, start, stop)
        for number, (start, stop) in enumerate(zip(starts, stops, strict=True))
    )


def _has_frames(plan: Plan, start: int) -> bool:
    """Return whether every bank has a frame that begins at row `start` or later.

    The picture's last few rows may belong to earlier frames only.
    """
    return start == 0 or all(start // planned.bank.stride < planned.frames for planned in plan.banks)


def _segment(plan: Plan, number: int, start: int, stop: int) -> Segment:
    along = plan.rows_along
    ends = stop == along
    seen_from = start
    seen_to = stop

    def own(lie: Places, rows: int) -> tuple[int, int]:
        """Return the segment's rows of values that lie so; there are at most `rows` in all."""
        nonlocal seen_from, seen_to
        seen_from = min(seen_from, start + lie.start)
        seen_to = max(seen_to, stop - lie.stride + lie.stop)
        return start // lie.stride, rows if ends else stop // lie.stride

    frames = {bank.number: own(bank.bank.along(plan.time_axis), bank.frames) for bank in plan.banks}
    positions = None if plan.classified is None else own(plan.classified, sys.maxsize)
    step = lcm(plan.network_stride, plan.band_rows)
    last = along if ends else min(along, -(-seen_to // plan.band_rows) * plan.band_rows)
    return Segment(
        number=number,
        start=start,
        stop=stop,
        first=max(0, (seen_from - plan.band_rows) // step * step),
        last=last,
        frames=frames,
        positions=positions,
        ends=last == along,
    )
