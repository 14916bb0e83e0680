"""A picture cut into segments: what each is, and that its stream gives what the single stream gives there."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from netsounds_stream.cluster.segments import segments_of, unit_rows
from netsounds_stream.graph.geometry import lengths
from netsounds_stream.graph.layers import choose_banks
from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.network.networks import Network
from netsounds_stream.network.stream import RowBlock, RowStream
from netsounds_stream.network.tracing.capture import capture
from netsounds_stream.planning.options import SonifyOptions
from netsounds_stream.planning.plan import Limits, Plan, Source
from netsounds_stream.planning.planner import make_plan

CLASSIFIER = "classifier.2"
LIMITS = Limits(baseline_bytes=250 << 20, budget_bytes=1 << 30, threads=2)


def plan_for(width: int, height: int, **options: object) -> Plan:
    """Time runs along the long edge."""
    return make_plan(Source(height=height, width=width), SonifyOptions(**options), LIMITS)  # type: ignore[arg-type]


@given(
    long=st.integers(2000, 40_000),
    short=st.integers(21, 3000),
    rows=st.integers(1, 9000),
    banks=st.sets(st.integers(1, 4), min_size=1),
)
@settings(max_examples=200, deadline=None)
def test_every_frame_is_some_segments(long: int, short: int, rows: int, banks: set[int]) -> None:
    plan = plan_for(max(long, short), min(long, short), banks=tuple(sorted(banks)))
    found = segments_of(plan, rows)
    for each in plan.banks:
        spans = [segment.frames[each.number] for segment in found]
        assert spans[0][0] == 0
        assert spans[-1][1] == each.frames
        for (_, stop), (start, _) in pairwise(spans):
            assert stop == start
            assert start % each.frames_per_shard == 0
    for segment in found:
        assert segment.first % 16 == segment.first % plan.band_rows == 0
        assert segment.first <= segment.start < segment.stop <= segment.last <= plan.rows_along
        assert segment.last % plan.band_rows == 0 or segment.last == plan.rows_along
        assert segment.ends == (segment.last == plan.rows_along)
        assert segment.positions is not None and plan.classified is not None
        own = [(each.bank.along(plan.time_axis), segment.frames[each.number]) for each in plan.banks]
        for lie, (start, stop) in [*own, (plan.classified, segment.positions)]:
            # all that its own frames see has come
            assert segment.first == 0 or segment.first <= lie.stride * start + lie.start
            assert segment.ends or segment.last >= lie.stride * (stop - 1) + lie.stop
        assert segment.start % unit_rows(plan) == 0


def test_the_last_segment_has_all_rows_of_the_prediction() -> None:
    """Padding may make more of them than the picture's length and the stride suggest."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    banks = choose_banks(capture(module).graph)
    plan = make_plan(Source(height=4000, width=60), SonifyOptions(banks=(1,)), LIMITS, banks)
    first, *_, last = segments_of(plan, 1000)
    assert first.positions is not None and last.positions is not None and banks.graph.mean is not None
    assert first.positions[0] == 0
    assert last.positions[1] >= lengths(banks.graph, "y", 4000)[banks.graph.mean] > 4000


Rows = dict[str, dict[int, Tensor]]


def streamed(weights: Network, picture: Tensor, band: int, first: int, last: int, ends: bool) -> Rows:
    """Every block of the banks and the classifier, by the number of its first row."""
    found: Rows = {each.layer: {} for each in usual_banks().banks} | {CLASSIFIER: {}}

    def hook(block: RowBlock) -> None:
        found[block.layer][block.start] = block.tensor()

    stream = RowStream(weights.captured, dict.fromkeys(found, hook), first_row=first)
    with torch.inference_mode():
        for start in range(first, last, band):
            stream.push(picture[:, start : min(start + band, last)])
        if ends:
            stream.flush()
    return found


def within(blocks: dict[int, Tensor], rows: tuple[int, int]) -> Tensor:
    parts = [
        block[:, max(0, rows[0] - start) : max(0, rows[1] - start)]
        for start, block in sorted(blocks.items())
        if start < rows[1] and start + block.shape[1] > rows[0]
    ]
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize(
    ("band", "long", "cut"), [(16, 1024, 256), (64, 1500, 512), (32, 1100, 336), (4, 800, 400)]
)
def test_a_segments_stream_is_the_single_streams(weights: Network, band: int, long: int, cut: int) -> None:
    """Bit for bit, blocks of the same rows: what no piece may change."""
    picture = torch.randn(3, long, 85, generator=torch.Generator().manual_seed(1))
    whole = streamed(weights, picture, band, 0, long, True)
    # with shards short enough for those cuts
    plan = plan_for(long, 85)
    banks = tuple(
        replace(each, frames_per_shard=16 // usual_banks().bank(each.number).stride) for each in plan.banks
    )
    segments = segments_of(replace(plan, band_rows=band, banks=banks), cut)
    assert len(segments) >= 2
    for segment in segments:
        found = streamed(weights, picture, band, segment.first, segment.last, segment.ends)
        for each in usual_banks().banks:
            rows = segment.frames[each.number]
            assert not segment.ends or rows[1] == usual_banks().length(each.number, "y", long)
            assert torch.equal(within(found[each.layer], rows), within(whole[each.layer], rows))
        mine = {at: values for at, values in whole[CLASSIFIER].items() if _between(at, segment.positions)}
        theirs = {at: values for at, values in found[CLASSIFIER].items() if _between(at, segment.positions)}
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[at], theirs[at]) for at in mine)


def _between(row: int, rows: tuple[int, int] | None) -> bool:
    assert rows is not None
    return rows[0] <= row < rows[1]
