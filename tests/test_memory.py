"""Memory as a promise kept: near its budget a run does with less; over thousands of bands nothing creeps."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .memory_grid import Case, chosen, measure
from .reference import command, large_picture
from .test_resume import contents

# Something else in the process takes memory that nobody planned, for a moment in the middle of the network's
# stage: as much as brings the whole past 95 % of the budget. (What another worker takes meanwhile is far less
# than the 4.5 % that are left, 92 MiB.)
TAKEN = """
import json, sys
import numpy as np
from netsounds_stream import sonify
from netsounds_stream.base.machine import resident_bytes
budget, (picture, out, weights) = int(sys.argv[1]), sys.argv[2:]
held, taken = [], []
def listen(progress):
    if progress.stage == "network" and progress.done > progress.total / 3 and not taken:
        while resident_bytes() < budget * 955 // 1000:  # what others give back meanwhile must not count
            held.append(np.ones(4 << 20, np.uint8))
        taken.append(len(held))
        held.clear()
words = {"weights": weights, "label": "a", "scheme": "sum", "mix": False}
run = sonify(picture, out, memory=budget, on_progress=listen, **words)
print(json.dumps({name: run.record[name] for name in ("notes", "peak_memory_bytes")}))
"""
# Resident memory after every band.
BANDS = """
import json, sys
from netsounds_stream import sonify
from netsounds_stream.base.machine import resident_bytes
held = []
def listen(progress):
    if progress.stage == "network":
        held.append(resident_bytes())
picture, out, weights = sys.argv[1:]
run = sonify(picture, out, weights=weights, label="a", scheme="sum", banks=(4,), mix=False, report=False,
    on_progress=listen)
print(json.dumps({"held": held, "notes": run.record["notes"]}))
"""


def in_a_process(script: str, *words: object) -> dict[str, Any]:
    words_of = [sys.executable, "-c", script, *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}  # the plan's workers, on any machine
    done = subprocess.run(words_of, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("case", chosen(12, seed=1), ids=str)
def test_a_grid_of_runs_keeps_its_budget(tmp_path: Path, weights_file: Path, case: Case) -> None:
    found = measure(case, tmp_path, weights_file)
    assert found.measured <= found.planned <= found.budget


def test_near_its_budget_a_run_does_with_less(tmp_path: Path, weights_file: Path) -> None:
    picture, budget = tmp_path / "a.jpg", 2 << 30
    large_picture(3000, 2000, picture)
    found = in_a_process(TAKEN, budget, picture, tmp_path / "run", weights_file)
    assert found["notes"] == ["memory came near the budget; 1 of 2 workers continued"]
    assert budget * 95 // 100 < found["peak_memory_bytes"] <= budget
    plain = ("--weights", weights_file, "--label", "a", "--memory", budget, "--scheme", "sum", "--no-mix")
    assert command("sonify", picture, "--out", tmp_path / "whole", *plain).returncode == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_memory_is_flat_over_two_thousand_bands(tmp_path: Path, weights_file: Path) -> None:
    picture = tmp_path / "a.png"
    large_picture(64, 2100 * 64, picture)
    found = in_a_process(BANDS, picture, tmp_path / "run", weights_file)
    held = found["held"][300:]  # after the first ones, which fill every buffer
    assert len(held) > 1800
    early, late = held[: len(held) // 3], held[-len(held) // 3 :]
    # Noise: how far samples of one third lie apart. A creep of 1 kB a band were 1.2 MB from one to the other.
    noise = max(statistics.pstdev(early), statistics.pstdev(late), 384 << 10)
    assert abs(statistics.median(late) - statistics.median(early)) <= 2 * noise
    assert found["notes"] == []
