"""A machine divided among jobs, and the plan of a whole batch: arithmetic, against what it is to mean."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsounds_stream.base import machine
from netsounds_stream.batches.plan import BatchPlan, plan_of, shares
from netsounds_stream.batches.worker import FAILING, FINISHED, NEW, UNFINISHED, Survey
from netsounds_stream.errors import BudgetError

GIB, MIB = 1 << 30, 1 << 20


@given(
    st.none() | st.integers(1, 100),
    st.none() | st.integers(1, 100 * GIB),
    st.integers(1, 64),
    st.integers(0, 256 * GIB),
    st.integers(1, 1000),
)
def test_shares_are_never_more_than_there_is(
    jobs: int | None, memory: int | None, cores: int, free: int, pictures: int
) -> None:
    found = shares(jobs, memory, cores=cores, free_bytes=free, pictures=pictures)
    assert 1 <= found.jobs <= min(pictures, cores if jobs is None else jobs)
    assert found.jobs * found.memory_bytes <= (free if memory is None else memory)
    assert found.threads == max(1, cores // found.jobs)
    if jobs is None and found.jobs > 1:
        assert found.memory_bytes >= 600 * MIB


def test_shares() -> None:
    usual = shares(None, None, cores=4, free_bytes=64 * GIB, pictures=9)
    assert (usual.jobs, usual.threads, usual.memory_bytes) == (4, 1, GIB)
    assert shares(None, None, cores=4, free_bytes=2 * GIB, pictures=9).jobs == 3
    assert shares(2, 3 * GIB, cores=4, free_bytes=64 * GIB, pictures=9).memory_bytes == 3 * GIB // 2


def planned(surveys: list[Survey], jobs: int = 2, free: int = 10**9) -> BatchPlan:
    names = [f"{at}.jpg" for at in range(len(surveys))]
    return plan_of(names, surveys, jobs=jobs, pace=2.0, budget_bytes=None, free_disk_bytes=free)


def test_disk_and_memory() -> None:
    """All at their ends, and as many as go on at a time at their largest."""
    surveys = [
        Survey(state=NEW, pixels=100, final_disk_bytes=50, disk_bytes=90, memory_bytes=7),
        Survey(state=UNFINISHED, pixels=200, final_disk_bytes=10, disk_bytes=40, memory_bytes=9),
        Survey(state=NEW, pixels=300, final_disk_bytes=5, disk_bytes=10, memory_bytes=8),
        Survey(state=FINISHED, pixels=1000, seconds=3.0),
        Survey(state=FAILING, reason="no picture"),
    ]
    plan = planned(surveys)
    assert (plan.new, plan.unfinished, plan.finished, plan.failing, plan.pictures) == (2, 1, 1, 1, 5)
    assert (plan.pixels, plan.memory_bytes) == (600, 17)
    assert (plan.final_disk_bytes, plan.disk_bytes) == (65, 65 + 40 + 30)
    assert plan.reasons == (("4.jpg", "no picture"),)
    replace(plan, free_disk_bytes=135).check()
    with pytest.raises(BudgetError):
        replace(plan, free_disk_bytes=134).check()


def test_time() -> None:
    new = [Survey(state=NEW, expected_seconds=5.0)] * 4
    assert planned(new).seconds == pytest.approx(20)  # twice as long as expected, by two
    assert planned(new[:1]).seconds == pytest.approx(10)  # which two workers do no sooner
    slow = [Survey(state=FINISHED, expected_seconds=5.0, seconds=30.0)] * 3
    assert planned(new + slow).seconds == pytest.approx(60)
    assert planned(new + slow[:2]).seconds == pytest.approx(20)
    assert planned([]).seconds == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is that of all the process has done")
def test_a_peak_is_forgotten() -> None:
    held = np.ones(64 << 20, np.uint8)
    assert machine.peak_resident_bytes() >= held.nbytes
    del held
    before = machine.peak_resident_bytes()
    machine.forget_peak()
    assert machine.peak_resident_bytes() < before - (32 << 20)
