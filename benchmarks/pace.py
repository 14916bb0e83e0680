"""What the estimate of a run's time is fitted to: `python benchmarks/pace.py --weights FILE`.

Whole runs over one drawn picture in several sizes and ways, each stage's seconds beside those that `forecast`
expects on the machine of the fit; and what the network alone takes for a pixel in one thread, the reference.
For a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import pyvips

from netsounds_stream import sonify
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.run.record import recorded_options, recorded_plan
from netsounds_stream.stages import forecast

RUNS: tuple[tuple[int, int, dict[str, Any]], ...] = (
    (320, 240, {}),
    (1024, 768, {}),
    (2048, 1536, {}),
    (4000, 3000, {}),
    (2048, 1536, {"scheme": "concat", "mix": False, "report": False}),
    (1024, 768, {"duration": 60.0, "report": False}),
    (1024, 768, {"method": "griffin-lim", "iterations": 8, "duration": 20.0, "report": False}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", required=True)
    given = parser.parse_args()
    print(f"the network alone: {forecast.measured_pixel_seconds():.2e} s a pixel")
    tile = pyvips.Image.new_from_array(draw(512, 512)).replicate(8, 8)
    for width, height, words in RUNS:
        with tempfile.TemporaryDirectory() as name:
            picture = Path(name, "a.jpg")
            tile.crop(0, 0, width, height).jpegsave(str(picture))
            record = sonify(picture, Path(name, "run"), weights=given.weights, **words).record
        plan = recorded_plan(record)
        expected = forecast.expected_seconds(plan, recorded_options(record))
        print(f"{width} x {height}, {words or 'all defaults'}, {plan.workers} workers")
        for stage, seconds in expected.items():
            took = record["seconds"].get(stage, 0.0)
            print(f"  {stage:<9} {took:7.2f} s, expected {seconds:6.2f} s")


if __name__ == "__main__":
    main()
