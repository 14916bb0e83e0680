"""Make the mixes of many pictures in one process, each to OUT/STEM.wav: `mixes.py WEIGHTS OUT PICTURE ...`

`--options` are further options of `sonify`, as JSON. Reports the seconds of the mix's stage, by picture.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from report import report

from netsounds_stream import sonify


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("weights")
    parser.add_argument("out", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, help="of each mix; by default as long as it comes")
    parser.add_argument("--options", type=json.loads, default={})
    given = parser.parse_args()
    seconds = {}
    given.out.mkdir(parents=True, exist_ok=True)
    for picture in given.pictures:
        with tempfile.TemporaryDirectory() as folder:
            run = sonify(
                picture,
                Path(folder) / "run",
                weights=given.weights,
                scheme="sum",
                activations=False,
                report=False,
                duration=given.seconds,
                **given.options,
            )
            shutil.copy(run.folder / "mix.wav", given.out / f"{picture.stem}.wav")
            seconds[picture.stem] = run.record["seconds"]["mix"]
    report(seconds)


if __name__ == "__main__":
    main()
