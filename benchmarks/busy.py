"""What does a busy machine do to each stage of a run: alone, and beside two processes that want a core each?

    python benchmarks/busy.py --weights WEIGHTS [--picture PHOTO] [--before CHECKOUT] [--rounds 3]

`--before` names another checkout or commit of this repository, whose package is measured in turn with this
one.
"""

from __future__ import annotations

from pathlib import Path

from harness import OUT, Case, measure
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

PHOTOGRAPH, SMOKE_PHOTOGRAPH = (4032, 3024), (96, 64)
BUSY = 2


def main() -> None:
    made = parser(__doc__, rounds=3)
    made.add_argument("--picture", type=Path, help="a photograph, instead of a drawn picture")
    made.add_argument("--before", help="another checkout or commit, to be measured beside this one")
    given = parse(made)
    cases = []
    with folder_for(None) as folder, versions_of(given.before) as checkouts:
        picture = given.picture or drawn(folder, *(SMOKE_PHOTOGRAPH if given.smoke else PHOTOGRAPH))
        for version, checkout in checkouts.items():
            # what both do by default: the scheme's default changed between versions
            less = ("--banks", "4", "--duration", "1", "--no-report") if given.smoke else ()
            words = sonify(picture, given.weights, OUT, "--scheme", "sum", *less)
            code, environment = of_version(words, checkout)
            for busy in (0, BUSY):
                facts = {"version": version, "busy": busy, "pixels": pixels_of(picture)}
                beside = "alone" if not busy else f"beside {busy} busy processes"
                ran = worker("beside", busy, *code)
                cases.append(Case(f"{version}, {beside}", ran, facts, environment))
        found = measure(cases, given.rounds)
    write_result(given, "busy", {"processes": BUSY, "cases": [run_json(each) for each in found]})


if __name__ == "__main__":
    main()
