"""How long does a picture take from file to sound, and in how much memory, beside plain scripts?

    python benchmarks/end_to_end.py --weights WEIGHTS [--picture PHOTO] [--rounds 3] [--check]

At 1, 12 and 100 megapixels (the 12 are PHOTO's where one is given, the rest is drawn) `sonify` with `sum`
and `concat` against the plain whole-image script; at a short edge of 1024 also against netsounds' own flow.
Ours stores four banks, writes `sum` and `concat` of each, the mix, and the report; by its defaults it
leaves `concat` out. The peers store four banks and write `concat` only, as ours does in the script's work.
Times are of the whole process, imports included. Peers may use 80 % of the memory that is available.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import OUT, Case, measure
from question import (
    TUNED_ALLOCATOR,
    check_of,
    drawn,
    folder_for,
    parse,
    parser,
    pixels_of,
    program,
    run_json,
    sonify,
    worker,
    write_result,
)

from netsounds_stream.base.machine import available_bytes

SMALL, PHOTOGRAPH, LARGE = (1224, 816), (4032, 3024), (12288, 8192)
SHORT_EDGE = 1024
SMOKE_PHOTOGRAPH, SMOKE_SHORT_EDGE = (96, 64), 48
# The largest group takes minutes a case, and a minute is a fair sample of a machine's noise by itself.
LARGE_ROUNDS = 1
# All defaults, and each filter's sound.
ALL = ("--scheme", "sum", "--scheme", "concat")
# What the whole-image script does, and no more.
ALIKE = ("--scheme", "concat", "--no-mix", "--no-report")


def group(
    name: str, picture: Path, weights: str, check: tuple[str, ...], short_edge: int | None = None
) -> list[Case]:
    """Ours, all of it and the script's work, and the whole-image script, plain and tuned, on one picture."""
    facts: dict[str, Any] = {"group": name, "picture": picture.name}
    facts |= {"short_edge": short_edge} if short_edge else {"pixels": pixels_of(picture)}
    size = () if short_edge is None else ("--size", short_edge)
    limit = int(0.8 * available_bytes())
    whole = worker("whole_image", picture, weights, OUT, *size)
    return [
        Case(
            f"netsounds-stream, {name}",
            sonify(picture, weights, OUT, *size, *ALL),
            {**facts, "way": "ours"},
            check=check,
        ),
        Case(
            f"netsounds-stream, all defaults, {name}",
            sonify(picture, weights, OUT, *size),
            {**facts, "way": "defaults"},
            check=check,
        ),
        Case(
            f"netsounds-stream, the script's work, {name}",
            sonify(picture, weights, OUT, *size, *ALIKE),
            {**facts, "way": "alike"},
            check=check,
        ),
        Case(f"whole image, {name}", whole, {**facts, "way": "whole"}, {}, limit),
        Case(
            f"whole image, tuned allocator, {name}",
            whole,
            {**facts, "way": "whole, tuned"},
            TUNED_ALLOCATOR,
            limit,
        ),
    ]


def main() -> None:
    made = parser(__doc__, rounds=3)
    made.add_argument("--picture", type=Path, help="a photograph, for the 12 megapixels")
    made.add_argument("--pictures", type=Path, help="folder where drawn pictures are kept")
    made.add_argument("--check", action="store_true", help="compare each run with the whole-image network")
    made.add_argument("--no-large", action="store_true", help="leave the 100 megapixels out")
    given = parse(made)
    check = check_of(given.weights) if given.check else ()
    rows = []
    with folder_for(given.pictures) as folder:
        photograph = given.picture or drawn(folder, *(SMOKE_PHOTOGRAPH if given.smoke else PHOTOGRAPH))
        edge = SMOKE_SHORT_EDGE if given.smoke else SHORT_EDGE
        flow = Case(
            f"netsounds' own flow, short edge {edge}",
            worker("netsounds_flow", photograph, given.weights, OUT, "--size", edge),
            {"group": f"short edge {edge}", "picture": photograph.name, "short_edge": edge, "way": "flow"},
            memory_limit_bytes=int(0.8 * available_bytes()),
        )
        start = Case("netsounds-stream --help", program("--help"), {"group": "start-up"}, reports=False)
        # a resized run cannot be compared on windows of the file
        groups = [[start, *group(f"short edge {edge}", photograph, given.weights, (), edge), flow]]
        if given.smoke:
            groups[0] = [start, groups[0][2], flow]
            groups.append(group("12 Mpx", photograph, given.weights, check)[:4])
        else:
            sizes = (("1 Mpx", SMALL), ("12 Mpx", None), ("100 Mpx", LARGE))
            for name, size in sizes[: 2 if given.no_large else 3]:
                picture = photograph if size is None else drawn(folder, *size)
                groups.append(group(name, picture, given.weights, check))
        for cases in groups:
            rounds = min(given.rounds, LARGE_ROUNDS) if cases[0].name.endswith("100 Mpx") else given.rounds
            rows += [run_json(each) for each in measure(cases, rounds)]
            write_result(given, "end_to_end", {"cases": rows})


if __name__ == "__main__":
    main()
