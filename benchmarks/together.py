"""Is it worth working on two pictures at a time: by `--jobs 2`, or by two programs at once?

    python benchmarks/together.py --weights WEIGHTS [--picture PHOTO] [--rounds 3]

One run of a photograph; two such runs at once, each a process that knows nothing of the other; and a batch of
two, one after another and by `--jobs 2`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from harness import OUT, Case, measure
from question import drawn, folder_for, parse, parser, pixels_of, program, run_json, worker, write_result

PHOTOGRAPH, SMOKE_PHOTOGRAPH = (4032, 3024), (96, 64)


def main() -> None:
    made = parser(__doc__, rounds=3)
    made.add_argument("--picture", type=Path, help="a photograph, instead of a drawn picture")
    given = parse(made)
    with folder_for(None) as folder:
        picture = given.picture or drawn(folder, *(SMOKE_PHOTOGRAPH if given.smoke else PHOTOGRAPH))
        pair = folder / "pair"
        pair.mkdir()
        for name in ("a", "b"):
            shutil.copy(picture, pair / f"{name}{picture.suffix}")

        common = ("--weights", given.weights, "--quiet")
        one = program("sonify", picture, "--out", f"{OUT}/{{n}}", *common)

        def batch(*words: object) -> tuple[str, ...]:
            return program("batch", pair, "--out", OUT, *common, *words)

        ways = {
            "one run": worker("at_once", 1, *one),
            "two at once": worker("at_once", 2, *one),
            "one after another": batch("--jobs", 1),
            "by --jobs 2": batch("--jobs", 2),
        }
        facts = {"picture": picture.name, "pixels": pixels_of(picture)}
        cases = [Case(way, words, {**facts, "way": way}, reports=False) for way, words in ways.items()]
        found = measure(cases, given.rounds)
    write_result(given, "together", {"cases": [run_json(each) for each in found]})


if __name__ == "__main__":
    main()
