"""The two constants of a batch's estimate: `python benchmarks/pace.py --weights FILE [--jobs 2]`.

Runs with all defaults over one drawn picture in several sizes, each a batch of as many copies as there are
jobs; a line through their seconds over what the network alone takes for their pixels, as `batch` measures it.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyvips

from netsounds_stream import batch
from netsounds_stream.batch_hands import Asked, hands
from netsounds_stream.batch_work import prepare
from netsounds_stream.drawing import draw
from netsounds_stream.options import SonifyOptions
from netsounds_stream.stopping import Stop

SIDES = ((320, 240), (1024, 768), (2048, 1536), (4000, 3000))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    network, seconds = [], []
    with tempfile.TemporaryDirectory() as name:
        for width, height in SIDES:
            folder = Path(name, f"{width}x{height}")
            folder.mkdir()
            tile = pyvips.Image.new_from_array(draw(512, 512)).replicate(8, 8)
            for at in range(given.jobs):
                tile.crop(0, 0, width, height).jpegsave(str(folder / f"{at}.jpg"))
            pace = measured(folder, given.weights, given.jobs)
            made = batch(folder, folder / "out", jobs=given.jobs, weights=given.weights)
            network += [pace * width * height] * given.jobs
            seconds += [each.seconds for each in made.results]
            print(f"{width} x {height}: network alone {network[-1]:.2f} s, runs {seconds[-given.jobs :]}")
            shutil.rmtree(folder)
    slope, start = np.polyfit(network, seconds, 1)
    print(f"seconds = {start:.1f} + {slope:.2f} times the network's")


def measured(folder: Path, weights: str, jobs: int) -> float:
    """Seconds for a pixel, as a batch's plan takes them."""
    options = SonifyOptions(weights=weights)
    with hands(Asked((str(folder),), folder / "out", options, jobs, None, False, None)) as working:
        tasks = working.tasks[:1] * jobs
        return max(
            found
            for _, found in working.workers.each(prepare, tasks, name="prepare", stop=Stop())
            if isinstance(found, float)
        )


if __name__ == "__main__":
    main()
