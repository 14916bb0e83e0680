"""Memory as a promise kept: near its budget a run does with less; over thousands of bands nothing creeps."""

from __future__ import annotations

import itertools
import statistics
from pathlib import Path

import pytest

from netsounds_stream.planning.plan import STORED_SPOOL
from tests.helpers.bands import BANDS, TAKEN, in_a_process
from tests.helpers.forks import forked
from tests.helpers.memory_grid import OF_OTHER_NETWORKS, SPOOLED_PIXELS, Case, chosen, measure
from tests.helpers.reference import large_picture
from tests.helpers.runs import contents

pytestmark = pytest.mark.process


# By this seed all strips, the narrowest too, are run as they are, and a spooled picture in a tight budget.
@pytest.mark.parametrize("case", chosen(9, seed=990), ids=str)
def test_a_grid_of_runs_keeps_its_budget(tmp_path: Path, weights_file: Path, case: Case) -> None:
    found = measure(case, tmp_path, weights_file)
    assert found.measured <= found.planned <= found.budget
    assert found.planned <= 1.5 * found.measured  # a plan that promised anything at all would be no plan
    assert found.stored == STORED_SPOOL or case.width * case.height < SPOOLED_PIXELS


@pytest.mark.parametrize("case", OF_OTHER_NETWORKS, ids=str)
def test_other_networks_keep_their_budget(tmp_path: Path, weights_file: Path, case: Case) -> None:
    found = measure(case, tmp_path, weights_file)
    assert found.measured <= found.planned <= found.budget
    assert found.planned <= 1.7 * found.measured


def test_near_its_budget_a_run_does_with_less(tmp_path: Path, weights_file: Path) -> None:
    picture, budget = tmp_path / "a.jpg", 3 << 29
    large_picture(3000, 2000, picture)
    found = in_a_process(TAKEN, budget, picture, tmp_path / "run", weights_file)
    assert found["notes"] == ["memory came near the budget; 1 of 2 workers continued"]
    assert budget * 95 // 100 < found["peak_memory_bytes"] <= budget
    plain = ("--weights", weights_file, "--label", "a", "--memory", budget, "--scheme", "sum")
    plain = (*plain, "--banks", 1, "--no-mix", "--no-report")
    assert forked("sonify", picture, "--out", tmp_path / "whole", *plain).returncode == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_memory_is_flat_over_six_thousand_bands(tmp_path: Path, weights_file: Path) -> None:
    picture = tmp_path / "a.png"
    large_picture(64, 6300 * 64, picture)
    found = in_a_process(BANDS, picture, tmp_path / "run", weights_file)
    held = found["held"][300:]  # after the first ones, which fill every buffer
    assert len(held) > 5900
    # On a busy machine the heap may grow late, a few times by some 300 KiB each: so there are many bands.
    # A creep is in all of them.
    sixths = [statistics.median(held[len(held) * at // 6 : len(held) * (at + 1) // 6]) for at in range(6)]
    steps = [abs(later - earlier) for earlier, later in itertools.pairwise(sixths)]
    assert statistics.median(steps) <= 512 * len(held) / 6, steps  # bytes: half of a kilobyte a band
    assert found["notes"] == []
