"""How do memory and time follow the picture's size, up to a gigapixel?

    python benchmarks/memory.py --weights WEIGHTS [--rounds 3] [--largest 32768] [--check] [--pictures DIR]

Square drawn pictures. `sonify --scheme sum --no-activations` at every side, all defaults up to 8,192, and
the plain whole-image script up to there, with 80 % of the memory that is available: where that is not
enough, how it ended is the result. Planned memory stands beside the measured.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness import OUT, Case, measure
from question import (
    check_of,
    drawn,
    folder_for,
    parse,
    parser,
    run_json,
    sonify,
    worker,
    write_result,
)

from netsounds_stream.base.machine import available_bytes

# 3464 x 3464 are 12 megapixels, 16384 x 16384 are 268.
SIDES = (512, 1024, 2048, 3464, 4096, 8192, 16384, 32768)
SMOKE_SIDES = (48,)
DEFAULTS_UP_TO, CHECKED_FROM = 8192, 8192
# Sides beyond are run once, after the rest: they take many minutes.
ROUNDS_UP_TO = 16384


def cases(picture: Path, side: int, weights: str, *, check: bool) -> list[Case]:
    """What runs at one side."""
    facts = {"side": side, "pixels": side * side}
    checked = check_of(weights) if check else ()
    only_sum = sonify(picture, weights, OUT, "--scheme", "sum", "--no-activations")
    made = [Case(f"sum only, {side}", only_sum, {**facts, "way": "sum"}, check=checked)]
    if side <= DEFAULTS_UP_TO:
        words = sonify(picture, weights, OUT)
        made.append(Case(f"all defaults, {side}", words, {**facts, "way": "defaults"}, check=checked))
        words = worker("whole_image", picture, weights, OUT)
        limit = int(0.8 * available_bytes())
        made.append(Case(f"whole image, {side}", words, {**facts, "way": "whole"}, memory_limit_bytes=limit))
    return made


def main() -> None:
    made = parser(__doc__, rounds=3)
    made.add_argument("--largest", type=int, default=SIDES[-1], help="longest side in pixels")
    made.add_argument(
        "--sides", type=int, nargs="+", help="measure these anew, and keep the rest of the result"
    )
    made.add_argument("--check", action="store_true", help="compare large runs with the whole-image network")
    made.add_argument("--pictures", type=Path, help="folder where drawn pictures are kept")
    given = parse(made)
    sides = SMOKE_SIDES if given.smoke else tuple(side for side in SIDES if side <= given.largest)
    rows: list[dict[str, Any]] = []
    if given.sides:
        sides = tuple(given.sides)
        before = json.loads((given.results / "memory.json").read_text(encoding="utf-8"))["cases"]
        rows = [row for row in before if row["facts"]["side"] not in sides]
    with folder_for(given.pictures) as folder:
        by_side = {
            side: cases(
                drawn(folder, side, side),
                side,
                given.weights,
                check=given.check and (given.smoke or side >= CHECKED_FROM),
            )
            for side in sides
        }
        if given.smoke:
            by_side = {side: found[:2] for side, found in by_side.items()}
        usual = [case for side, found in by_side.items() if side <= ROUNDS_UP_TO for case in found]
        longest = [case for side, found in by_side.items() if side > ROUNDS_UP_TO for case in found]
        for group, rounds in ((usual, given.rounds), (longest, 1)):
            rows += [run_json(each) for each in measure(group, rounds)]
            # after each group: the longest runs may be stopped without the loss of the rest
            write_result(given, "memory", {"cases": rows})


if __name__ == "__main__":
    main()
