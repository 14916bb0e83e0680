"""Does a pixel cost as much in a strip as in a wide picture?

    python benchmarks/widths.py --weights WEIGHTS [--rounds 3]

Pictures of as many pixels and different widths; time runs along their length. The network's stage tells: how
long the sound is, and so what it costs, follows the length.
"""

from __future__ import annotations

from harness import OUT, Case, measure
from question import drawn, folder_for, parse, parser, run_json, sonify, write_result

PIXELS, SMOKE_PIXELS = 6_000_000, 60_000
WIDTHS, SMOKE_WIDTHS = (21, 32, 64, 128, 256, 512, 1024, 2449), (21, 64)


def main() -> None:
    given = parse(parser(__doc__, rounds=3))
    pixels = SMOKE_PIXELS if given.smoke else PIXELS
    with folder_for(None) as folder:
        cases = [
            Case(
                f"{width} x {pixels // width}",
                sonify(drawn(folder, width, pixels // width, ".png"), given.weights, OUT, "--no-mix"),
                {"width": width, "pixels": width * (pixels // width)},
            )
            for width in (SMOKE_WIDTHS if given.smoke else WIDTHS)
        ]
        write_result(given, "widths", {"cases": [run_json(each) for each in measure(cases, given.rounds)]})


if __name__ == "__main__":
    main()
