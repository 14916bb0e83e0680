"""How fast are frames inverted, by length and library?

    python benchmarks/fft.py [--rounds 3]

The package's own choice beside torch, scipy and ducc0 (where that is installed), on all cores.
Million samples a second, whole frames counted, best of several.
"""

from __future__ import annotations

from harness import Case, measure
from question import installed, parse, parser, worker, write_result

# Lengths of the four banks' frames for short edges of 1,024, 3,024 (12 megapixels), 4,096 and 8,192 pixels;
# powers of two beside them, and some with a large prime factor.
LENGTHS = (
    *(63, 127, 188, 251, 254, 255, 377, 502, 509, 512, 754, 755),
    *(1006, 1021, 1023, 1509, 1597, 2013, 2045, 2048, 4093),
)
SMOKE_LENGTHS = (64, 75)
NEEDS = {"package": "torch", "torch": "torch", "scipy": "scipy", "ducc0": "ducc0"}


def main() -> None:
    given = parse(parser(__doc__, rounds=3, weights=False))
    lengths = SMOKE_LENGTHS if given.smoke else LENGTHS
    tiny = ("--values", 4096, "--times", 1) if given.smoke else ()
    ways = [way for way, part in NEEDS.items() if installed(part)]
    cases = [Case(way, worker("inversion", way, *lengths, *tiny), {"way": way}) for way in ways]
    rows = []
    for each in measure(cases, given.rounds):
        good = [once.report["lengths"] for once in each.rounds if once.failure is None]
        by_length = [
            {
                "length": length,
                "samples_per_second": max(report[index]["samples_per_second"] for report in good),
                "error": max(report[index]["error"] for report in good),
            }
            for index, length in enumerate(lengths if good else ())
        ]
        rows.append({**each.as_json(), "lengths": by_length})
    missing = {way: "not installed" for way in NEEDS if way not in ways}
    write_result(given, "fft", {"left_out": missing, "cases": rows})


if __name__ == "__main__":
    main()
