"""One picture cut along its time axis into segments that are streamed apart, each as the whole would be.

Segments meet where shards end, in every bank. A segment's stream begins earlier, at a row where the single
stream has a band begin, by as much as its first frames see; and it goes on until its last ones are complete:

    the picture's rows     |----------------------------------------------------------|
    segment 1              |==================~~~~|
    segment 2                           ....|==================~~~~|
    segment 3                                            ....|=======================|

    = rows whose frames are its own    . warm-up    ~ what its last frames see

A stream that begins at a multiple of the network's stride and of the band's height gives, push for push, the
rows that the single stream gives there; but in the first push in which a layer gives any, they are fewer. On
some processors the last bit of a row depends on how many are computed at once. Such rows see the stream's
first band. So a band more is read than the first frames see, and the bytes are the same. All is integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm

from ..planning.geometry import BANKS, Bank, bank
from ..planning.plan import Plan

#: Rows of the picture in a segment, about, where nobody asks for others.
USUAL_ROWS = 2048


@dataclass(frozen=True)
class Segment:
    """Rows `start` to `stop` of the picture, and what is read for them: `first` to `last`.

    `frames` are its own, of each bank by number: from, to. `ends` says that nothing follows: what waits for
    more rows is complete with the last one.
    """

    number: int
    start: int
    stop: int
    first: int
    last: int
    frames: dict[int, tuple[int, int]]
    ends: bool

    @property
    def positions(self) -> tuple[int, int]:
        """Which of the classifier's rows are its own: those that begin there."""
        return self.frames[_DEEPEST.number]


#: The classifier's rows are this bank's.
_DEEPEST = BANKS[-1]


def unit_rows(plan: Plan) -> int:
    """Segments are multiples of so many rows: whole shards of every bank, whole bands."""
    shards = (each.frames_per_shard * bank(each.number).stride for each in plan.banks)
    return lcm(_DEEPEST.stride, plan.band_rows, *shards)


def segments_of(plan: Plan, rows: int = USUAL_ROWS) -> tuple[Segment, ...]:
    """The picture cut into segments of about `rows` rows, the last one longer or shorter."""
    unit, along = unit_rows(plan), plan.rows_along
    each = max(1, round(rows / unit)) * unit
    starts = [start for start in range(0, along, each) if _has_frames(plan, start)]
    return tuple(
        _segment(plan, number, start, starts[number + 1] if number + 1 < len(starts) else along)
        for number, start in enumerate(starts)
    )


def _has_frames(plan: Plan, start: int) -> bool:
    """Whether every bank has a frame there: the last few rows may belong to frames before them."""
    return start == 0 or all(start // bank(each.number).stride < each.frames for each in plan.banks)


def _segment(plan: Plan, number: int, start: int, stop: int) -> Segment:
    along, ends = plan.rows_along, stop == plan.rows_along
    planned = {each.number: each.frames for each in plan.banks}
    frames = {}
    for each in BANKS:
        last = planned.get(each.number, -(-stop // each.stride)) if ends else stop // each.stride
        frames[each.number] = start // each.stride, last
    begin, end = start, stop
    for each in BANKS:
        begin = min(begin, start + _reach(each)[0])
        end = max(end, stop - each.stride + _reach(each)[1])
    step = lcm(_DEEPEST.stride, plan.band_rows)
    first = max(0, (begin - plan.band_rows) // step * step)
    last = min(along, -(-end // plan.band_rows) * plan.band_rows)
    return Segment(number, start, stop, first, along if ends else last, frames, ends or last == along)


def _reach(of: Bank) -> tuple[int, int]:
    """What frame 0 sees: from that row of the picture, to the one before that."""
    half = (of.field - 1) // 2
    return of.offset - half, of.offset + half + 1
