"""What does a captured graph cost SqueezeNet against the layers that were written by hand before?

    python benchmarks/by_hand.py --weights WEIGHTS [--before 950ef76] [--rounds 5]

The network's passes alone, by the worker of the forward question, each version with its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness import Case, measure
from question import drawn, folder_for, parse, parser, pixels_of, versions_of, write_result

#: The last commit whose layers were written by hand.
BY_HAND = "950ef76"
SIDES, SMOKE_SIDES = ((1024, 768), (4032, 3024)), ((96, 64),)


def main() -> None:
    made = parser(__doc__, rounds=5)
    made.add_argument("--before", default=BY_HAND, help="another commit, or a checkout")
    given = parse(made)
    with folder_for(None) as folder, versions_of(given.before) as checkouts:
        cases = []
        for width, height in SMOKE_SIDES if given.smoke else SIDES:
            picture = drawn(folder, width, height, ".png")
            for version, checkout in checkouts.items():
                worker = checkout / "benchmarks/workers/forward_stream.py"
                words = (sys.executable, "-P", str(worker), str(picture), given.weights)
                # its neighbours are modules that it imports
                path = f"{checkout}:{worker.parent}"
                facts = {"version": version, "width": width, "pixels": pixels_of(picture)}
                quick = ("--quick",) if given.smoke else ()
                name = f"{width} x {height}, {version}"
                cases.append(Case(name, (*words, *quick), facts, environment={"PYTHONPATH": path}))
        rows = [each.as_json() for each in measure(cases, given.rounds)]
    # a folder's path says nothing to others
    before = "a checkout" if Path(given.before).is_dir() else given.before
    write_result(given, "by_hand", {"before": before, "cases": rows})


if __name__ == "__main__":
    main()
