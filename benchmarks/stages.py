"""Where does the time of one run go: wall seconds by stage, and CPU seconds by kind of work?

    python benchmarks/stages.py --weights WEIGHTS [--picture PHOTO] [--rounds 3]

Stages are the run's own record. CPU seconds by kind are counted by Linux's `perf`, from outside, over the
whole process from its first instruction (see workers/sampled.py); it sees the kernel where
kernel.perf_event_paranoid or being root allows it. Without `perf` that part is left out.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
from pathlib import Path
from typing import Any

from harness import OUT, Case, Measured, measure
from question import drawn, folder_for, parse, parser, pixels_of, run_json, sonify, worker, write_result

PHOTOGRAPH, SMOKE_PHOTOGRAPH = (4032, 3024), (96, 64)


def kinds(sampled: Measured) -> dict[str, Any]:
    """Median CPU seconds of each kind over the rounds, the share that is the work itself, functions."""
    reports = [once.report for once in sampled.rounds if once.failure is None]
    if not reports:
        return {"failure": sampled.failure}
    names = {name for report in reports for name in report["kinds"]}
    found = {name: statistics.median(report["kinds"].get(name, 0.0) for report in reports) for name in names}
    return {
        "cpu_seconds": dict(sorted(found.items(), key=lambda item: -item[1])),
        "sees_kernel": all(report["sees_kernel"] for report in reports),
        "work_share": statistics.median(report["work_share"] for report in reports),
        "functions": reports[-1]["functions"],
    }


def can_sample() -> bool:
    """Whether `perf` is here, and may watch."""
    if shutil.which("perf") is None:
        return False
    words = ["perf", "record", "-e", "cpu-clock", "-o", os.devnull, "--", "true"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def main() -> None:
    made = parser(__doc__, rounds=3)
    made.add_argument("--picture", type=Path, help="a photograph, instead of a drawn picture")
    given = parse(made)
    with folder_for(None) as folder:
        picture = given.picture or drawn(folder, *(SMOKE_PHOTOGRAPH if given.smoke else PHOTOGRAPH))
        facts = {"picture": picture.name, "pixels": pixels_of(picture)}
        cases = [Case("sonify", sonify(picture, given.weights, OUT), facts)]
        if can_sample():
            words = worker("sampled", OUT, *sonify(picture, given.weights, f"{OUT}/run"))
            cases.append(Case("sonify, sampled", words, {**facts, "sampled": True}))
        found = measure(cases[-1:] if given.smoke else cases, given.rounds)
    sampled = {"failure": "not measured, for there is no perf here, or it may not watch"}
    if found[-1].case.facts.get("sampled"):
        sampled = kinds(found[-1])
    write_result(given, "stages", {"cases": [run_json(each) for each in found], "cpu": sampled})


if __name__ == "__main__":
    main()
