"""How far work is and how long it takes yet, by a made-up clock; and how that is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from netsounds_stream.base.journal import Journal
from netsounds_stream.base.pipeline import Pipeline
from netsounds_stream.base.progress import Progress, Stages
from netsounds_stream.batches import pool
from netsounds_stream.batches.worker import ProgressReporter
from netsounds_stream.cli.display import BarDisplay, LineDisplay, describe
from netsounds_stream.cli.text import clock_text, duration_text, rate_text
from netsounds_stream.network.compute import Compute, pixel_network
from netsounds_stream.network.networks import load_network
from netsounds_stream.planning.options import SonifyOptions
from netsounds_stream.planning.plan import Limits, Source
from netsounds_stream.planning.planner import make_plan
from netsounds_stream.stages.forward import run_forward
from netsounds_stream.stages.sinks import NetworkSinks

#: Seconds of a run's stages as expected; one takes much less than the last.
EXPECTED = {"label": 0.1, "network": 10.0, "sound 1": 0.2, "mix": 2.0, "report": 4.0, "sync": 0.05}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def reports(takes: dict[str, float], expected: dict[str, float]) -> list[tuple[float, Progress]]:
    """A run's reports, each with the seconds that were really left when it came."""
    clock, said, steps = Clock(), list[tuple[float, Progress]](), 40
    stages = Stages(lambda progress: said.append((clock.now, progress)), clock=clock)
    stages.expect(expected)
    for name, seconds in takes.items():
        with stages.stage(name, steps, "px") as advance:
            for _ in range(steps):
                clock.now += seconds / steps
                advance(1)
    return [(clock.now - at, progress) for at, progress in said]


@pytest.mark.parametrize("slower", [0.5, 1.0, 3.0, 10.0])
def test_the_time_left_is_that_of_the_whole_run(slower: float) -> None:
    """Whatever the machine's pace: known within a tenth or so, once a tenth of the network is through."""
    takes = {name: slower * seconds for name, seconds in EXPECTED.items()}
    told = reports(takes, EXPECTED)
    whole = sum(takes.values())
    for really, progress in told:
        if really < 0.9 * whole - takes["label"]:
            assert progress.run_seconds_left is not None
            assert progress.run_seconds_left == pytest.approx(really, rel=0.2)


def test_a_stage_that_takes_longer_than_expected_is_not_nearly_over() -> None:
    """What follows is told while a stage ends: never almost nothing, seconds before the end."""
    takes = {**EXPECTED, "mix": 8.0, "report": 6.0}
    for really, progress in reports(takes, EXPECTED):
        if really > 3:
            assert progress.run_seconds_left is not None and progress.run_seconds_left > really / 3
    last = reports(takes, EXPECTED)[-1][1]
    assert last.finished and last.run_seconds_left == 0


def test_work_done_before_a_stop_does_not_count_for_the_pace() -> None:
    clock, said = Clock(), list[Progress]()
    stages = Stages(said.append, clock=clock)
    stages.expect({"network": 10.0, "report": 5.0})
    with stages.stage("network", 100, "px") as advance:
        advance.skip(50)
        clock.now += 5
        advance(25)
    assert said[2].seconds_left == 5
    assert said[2].run_seconds_left == pytest.approx(5 + 10, rel=0.2)  # half as fast as expected


def test_where_nothing_is_expected_a_stage_tells_its_own() -> None:
    clock, said = Clock(), list[Progress]()
    with Stages(said.append, clock=clock).stage("check", 100, "B") as advance:
        clock.now += 1
        advance(20)
    assert [each.run_seconds_left for each in said] == [None] * 3
    assert describe(said[1], lambda: 1 << 20) == " 20%, 20.0 B/s, 4.0 s left, memory 1 MiB"


def test_a_part_of_a_stage_counts_as_the_stage() -> None:
    told = reports({"sound 1: levels": 0.2}, EXPECTED)
    assert told[-1][1].run_seconds_left == pytest.approx(6.05, rel=0.2)


def test_lines_and_bars_tell_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(stage="network", done=3e4, total=1e5, unit="px", seconds=10.0, run_seconds_left=42.0)
    stands, left = " 30%, 3.0 kpx/s", "about 42 s left in all, memory 5 B"
    lines = LineDisplay(lambda: 5)
    lines._last -= 10
    lines(progress)
    assert capsys.readouterr().err == f"network: {stands}, {left}\n"
    bars = BarDisplay(lambda: 5)
    bars(
        Progress(
            stage="label", done=1, total=1, unit="share", seconds=0.5, finished=True, run_seconds_left=50.0
        )
    )
    bars(progress)
    assert [task.fields["standing"] for task in bars._bars.tasks] == ["100%, in 0.5 s", stands]
    assert str(list(bars._bars.get_renderables())[-1]) == left  # once: no stage keeps an old one


def test_a_batch_counts_a_runs_time_and_not_its_networks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker says: pixels in proportion, up to all of them with the last stage's end."""
    slot = SimpleNamespace(value=0.0)
    monkeypatch.setattr(pool, "_progress", slot)
    plan = make_plan(
        Source(height=100, width=200), SonifyOptions(), Limits(baseline_bytes=300 << 20, budget_bytes=1 << 30)
    )
    reporter = ProgressReporter()
    reporter.start(plan)
    reporter(
        Progress(stage="network", done=20_000, total=20_000, unit="px", seconds=5.0, run_seconds_left=1e6)
    )
    assert 0 < slot.value < 1  # all through the network, and hardly begun
    reporter(
        Progress(
            stage="sync", done=1, total=1, unit="share", seconds=0.1, finished=True, run_seconds_left=0.0
        )
    )
    assert slot.value == plan.pixels == 20_000


def test_units_that_show_the_number() -> None:
    told = [rate_text(each, "px") for each in (0, 42, 104, 9_000, 99_999, 100_000, 2.5e9)]
    shown = ["0.0 px/s", "42.0 px/s", "104.0 px/s", "9.0 kpx/s", "100.0 kpx/s", "0.1 Mpx/s", "2500.0 Mpx/s"]
    assert told == shown
    assert [clock_text(each) for each in (0.24, 59, 61, 3661)] == ["0.2 s", "59 s", "1:01 min", "1:01:01"]
    assert [duration_text(each) for each in (7.4, 150, 9000)] == ["7 s", "2 min", "2.5 h"]


class Watched(Pipeline):
    """A pipeline that counts the bands that are past the last layer."""

    through = 0

    def run(self, items: Iterable[Any], first: Any, stages: Sequence[Any]) -> None:
        """Count what comes out of the last stage but one, behind which nothing is computed."""

        def counted(value: Any) -> Any:
            self.through += 1
            return value

        super().run(items, first, (*stages[:-1], counted, stages[-1]))


@pytest.mark.parametrize("workers", [1, 3])
def test_a_band_counts_when_it_is_through_the_network(tmp_path: Path, workers: int) -> None:
    rows, cross, bands = 32, 40, 6
    plan = make_plan(
        Source(height=rows * bands, width=cross),
        SonifyOptions(),
        Limits(baseline_bytes=300 << 20, budget_bytes=1 << 30),
    )
    plan = replace(plan, time_axis="y", band_rows=rows)
    pipeline, seen = Watched(workers), list[tuple[int, int]]()

    def advance(pixels: int) -> None:
        seen.append((pixels, pipeline.through))

    run_forward(
        [np.zeros((rows, cross, 3), np.uint8)] * bands,
        plan,
        pixel_network(load_network(weights="untrained"), 255, normalize=True, dtype=torch.float32),
        NetworkSinks(banks={}),
        compute=Compute("cpu", "fp32"),
        pipeline=pipeline,
        advance=advance,
        journal=Journal.nowhere(),
        folder=tmp_path,
    )
    assert [pixels for pixels, _ in seen] == [rows * cross] * bands
    assert all(through > at for at, (_, through) in enumerate(seen))
