"""What does each codec make of real activations: how small, how fast in, how fast out?

    python benchmarks/codecs.py --weights WEIGHTS [--picture PHOTO] [--rounds 3]

The banks of one picture are made once; then every codec takes every bank through the package's own store.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness import OUT, Case, measure, run_once
from question import drawn, folder_for, parse, parser, pixels_of, sonify, worker, write_result

from netsounds_stream.planning.options import CODECS

PHOTOGRAPH, SMOKE_PHOTOGRAPH = (4032, 3024), (96, 64)
BANKS, SMOKE_BANKS = (1, 2, 3, 4), (4,)
SMOKE_CODECS = ("lz4",)


def main() -> None:
    made = parser(__doc__, rounds=3)
    made.add_argument("--picture", type=Path, help="a photograph, instead of a drawn picture")
    given = parse(made)
    banks, codecs = (SMOKE_BANKS, SMOKE_CODECS) if given.smoke else (BANKS, CODECS)
    with folder_for(None) as folder:
        picture = given.picture or drawn(folder, *(SMOKE_PHOTOGRAPH if given.smoke else PHOTOGRAPH))
        run = folder / "run"
        words = sonify(
            picture, given.weights, run, "--codec", "none", "--scheme", "sum", "--label", "a", "--banks"
        )
        once = run_once(Case("activations", (*words, ",".join(map(str, banks)))))
        if once.failure:
            sys.exit(f"the activations cannot be made: {once.failure}")
        cases = [
            Case(
                f"{codec}, bank {number}",
                worker("store_codec", picture, run / f"activations-{number}_a.zarr", number, codec, OUT),
                {"codec": codec, "bank": number},
            )
            for number in banks
            for codec in codecs
        ]
        details = ("raw_bytes", "stored_share", "encode_bytes_per_second", "decode_bytes_per_second")
        rows = []
        for each in measure(cases, given.rounds):
            # rates are the best round's: what disturbs a machine only slows it
            good = [once.report for once in each.rounds if once.failure is None]
            best = {name: max(report[name] for report in good) for name in details[2:]} if good else {}
            rows.append({**each.as_json(*details), **best})
        about = {"picture": picture.name, "pixels": pixels_of(picture)}
    write_result(given, "codecs", {**about, "cases": rows})


if __name__ == "__main__":
    main()
