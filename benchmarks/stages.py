"""Where does the time of one run go: wall seconds by stage, and CPU seconds by kind of work?

    python benchmarks/stages.py --weights WEIGHTS [--picture PHOTO] [--rounds 3]

Stages are the run's own record. CPU seconds by kind are counted by Linux's `perf`, from outside, over the
whole process from its first instruction (see workers/sampled.py); it sees the kernel where
kernel.perf_event_paranoid or being root allows it. Without `perf` that part is left out.
"""

from __future__ import annotations

import shutil
import statistics
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
        "work_share": statistics.median(report["work_share"] for report in reports),
        "functions": reports[-1]["functions"],
    }


def main() -> None:
    made = parser(__doc__, rounds=3)
    made.add_argument("--picture", type=Path, help="a photograph, instead of a drawn picture")
    given = parse(made)
    with folder_for(None) as folder:
        picture = given.picture or drawn(folder, *(SMOKE_PHOTOGRAPH if given.smoke else PHOTOGRAPH))
        facts = {"picture": picture.name, "pixels": pixels_of(picture)}
        cases = [Case("sonify", sonify(picture, given.weights, OUT), facts)]
        if shutil.which("perf"):
            words = worker("sampled", OUT, *sonify(picture, given.weights, f"{OUT}/run"))
            cases.append(Case("sonify, sampled", words, facts))
        found = measure(cases, given.rounds)
    sampled = kinds(found[1]) if len(found) > 1 else {"failure": "not measured: no perf on this machine"}
    write_result(given, "stages", {"cases": [run_json(each) for each in found], "cpu": sampled})


if __name__ == "__main__":
    main()
