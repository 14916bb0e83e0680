"""How well does each way to phases fit the magnitudes, and what does it cost, beside librosa's Griffin-Lim?

    python benchmarks/phases.py [--arrays ARRAY ...] [--weights WEIGHTS --pictures PHOTO ...] [--rounds 3]

The signals: each array's sum over its filters, and each bank's of each picture; with neither, those of a
drawn picture, by untrained weights where none are given. One process a signal, one thread, the ways in turn.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

from harness import Case, Measured, measure, run_once
from question import drawn, folder_for, installed, parse, parser, sonify, worker, write_result

PICTURE, SMOKE_PICTURE = (1536, 1024), (96, 64)
BANKS, SMOKE_BANKS = (1, 2, 3, 4), (3,)
SMOKE_SECONDS = 0.5
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def arrays_of(picture: Path, weights: str, folder: Path, banks: tuple[int, ...]) -> list[tuple[str, Path]]:
    """The picture's banks, stored in `folder`, each with the name of its signal."""
    run = folder / f"{picture.stem}-run"
    words = sonify(picture, weights, run, "--codec", "none", "--scheme", "sum", "--no-mix", "--label", "a")
    once = run_once(Case("activations", (*words, "--banks", ",".join(map(str, banks)))))
    if once.failure:
        sys.exit(f"the activations of {picture.name} cannot be made: {once.failure}")
    return [(f"{picture.name}, bank {number}", run / f"activations-{number}_a.zarr") for number in banks]


def ways_of(found: Measured) -> dict[str, dict[str, Any]]:
    """Each way's median seconds over the rounds, how well it fits, and its cost against librosa's."""
    reports = [once.report["ways"] for once in found.rounds if once.failure is None]
    if not reports:
        return {}
    medians = {way: statistics.median(each[way]["seconds"] for each in reports) for way in reports[0]}
    theirs = medians.get("librosa")
    return {
        way: {
            "seconds": seconds,
            "convergence_db": reports[0][way]["convergence_db"],
            "cost": seconds / theirs if theirs else None,
        }
        for way, seconds in medians.items()
    }


def main() -> None:
    made = parser(__doc__, rounds=3, weights=False)
    made.add_argument("--weights", default="untrained", help="a squeezenet1_0 state_dict, for the pictures")
    made.add_argument("--arrays", type=Path, nargs="+", default=[], help="stored activations, .npy or .zarr")
    made.add_argument("--pictures", "--picture", type=Path, nargs="+", default=[], help="photographs")
    given = parse(made)
    with_librosa = ("--librosa",) if installed("librosa") else ()
    less = ("--seconds", SMOKE_SECONDS) if given.smoke else ()
    with folder_for(None) as folder:
        signals = [(path.stem, path) for path in given.arrays]
        pictures = given.pictures
        if not signals and not pictures:
            pictures = [drawn(folder, *(SMOKE_PICTURE if given.smoke else PICTURE))]
        for picture in pictures:
            signals += arrays_of(picture, given.weights, folder, SMOKE_BANKS if given.smoke else BANKS)
        cases = [
            Case(name, worker("phase_ways", path, *with_librosa, *less), {"signal": name}, ONE_THREAD)
            for name, path in signals
        ]
        found = measure(cases, given.rounds)
    details = ("frames", "sound_seconds", "iterations")
    rows = [{**each.as_json(*details), "ways": ways_of(each)} for each in found]
    left_out = {} if with_librosa else {"librosa": "not installed"}
    write_result(given, "phases", {"weights": Path(given.weights).name, "left_out": left_out, "cases": rows})


if __name__ == "__main__":
    main()
