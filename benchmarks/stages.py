"""Where does the time of one run go: wall seconds by stage, and CPU seconds by kind of work?

    python benchmarks/stages.py --weights WEIGHTS [--picture PHOTO] [--before COMMIT] [--rounds 3]
                                [--pictures DIR] [--no-large]

At 1, 12 and 100 megapixels (the 12 are PHOTO's where one is given, the rest is drawn), with all defaults; the
12 also with `concat`. `--before` names another commit, or checkout, of this repository, which is measured in
turn with this one.

Stages are the run's own record. CPU seconds by kind are counted by Linux's `perf`, from outside, over the
whole process from its first instruction (see workers/sampled.py); it sees the kernel where
kernel.perf_event_paranoid or being root allows it. Without `perf` that part is left out.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from figures import DEFAULTS
from harness import OUT, Case, Measured, measure
from question import (
    drawn,
    folder_for,
    of_version,
    parse,
    parser,
    pixels_of,
    run_json,
    sonify,
    versions_of,
    worker,
    write_result,
)

SMALL, PHOTOGRAPH, LARGE = (1224, 816), (4032, 3024), (12288, 8192)
SMOKE_PHOTOGRAPH = (96, 64)
# A minute is a fair sample of a machine's noise by itself.
LARGE_ROUNDS = 1
# What a run makes, by the name in tables.
WITH_CONCAT = "with concat"
OPTIONS = {DEFAULTS: (), WITH_CONCAT: ("--scheme", "sum", "--scheme", "concat")}


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


def cases(
    group: str, picture: Path, weights: str, checkouts: Mapping[str, Path], made: tuple[str, ...]
) -> list[Case]:
    """Each version's run of one picture, by what it makes; and one under `perf`, where that may watch."""
    found = []
    watched = can_sample()
    for version, checkout in checkouts.items():
        for what in made:
            facts = {"group": group, "pixels": pixels_of(picture), "version": version, "made": what}
            name = f"{group}, {what}, {version}"
            words, environment = of_version(sonify(picture, weights, OUT, *OPTIONS[what]), checkout)
            found.append(Case(name, words, {**facts, "sampled": False}, environment))
            if watched:
                inner, _ = of_version(sonify(picture, weights, f"{OUT}/run", *OPTIONS[what]), checkout)
                words = worker("sampled", OUT, *inner)
                found.append(Case(f"{name}, sampled", words, {**facts, "sampled": True}, environment))
    return found


def main() -> None:
    made = parser(__doc__, rounds=3)
    made.add_argument("--picture", type=Path, help="a photograph, for the 12 megapixels")
    made.add_argument("--pictures", type=Path, help="folder where drawn pictures are kept")
    made.add_argument("--before", help="another commit or checkout, to be measured beside this one")
    made.add_argument("--no-large", action="store_true", help="leave the 100 megapixels out")
    given = parse(made)
    rows: list[dict[str, Any]] = []
    budgets = []
    with folder_for(given.pictures) as folder, versions_of(given.before) as checkouts:
        photograph = given.picture or drawn(folder, *(SMOKE_PHOTOGRAPH if given.smoke else PHOTOGRAPH))
        groups = [("12 Mpx", photograph, (DEFAULTS, WITH_CONCAT))]
        if not given.smoke:
            groups.insert(0, ("1 Mpx", drawn(folder, *SMALL), (DEFAULTS,)))
        if not given.smoke and not given.no_large:
            groups.append(("100 Mpx", drawn(folder, *LARGE), (DEFAULTS,)))
        for name, picture, works in groups:
            rounds = min(given.rounds, LARGE_ROUNDS) if name == "100 Mpx" else given.rounds
            for each in measure(cases(name, picture, given.weights, checkouts, works), rounds):
                if each.case.facts["sampled"]:
                    budgets.append({"facts": dict(each.case.facts), **kinds(each)})
                else:
                    rows.append(run_json(each))
            write_result(given, "stages", {"cases": rows, "budgets": budgets})


if __name__ == "__main__":
    main()
