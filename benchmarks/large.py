"""A 16,384 x 16,384 picture, twice: `python benchmarks/large.py WEIGHTS [--side 16384]`.

All banks by `--scheme sum --no-activations`, and bank 3 with its activations kept. Records peak memory
against the plan, and checks both runs against the whole-image network on windows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from make_picture import make_picture
from results import write_result

RUNS = {
    "all banks, sum, no activations": ("--scheme", "sum", "--no-activations"),
    "bank 3, sum and concat, activations kept": ("--banks", "3"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights")
    parser.add_argument("--side", type=int, default=16384)
    given = parser.parse_args()
    here, rows = Path(__file__).parent, []
    program = str(Path(sys.executable).parent / "netsounds-stream")
    with tempfile.TemporaryDirectory(prefix="netsounds-") as folder:
        picture, out = Path(folder) / "large.jpg", Path(folder) / "out"
        make_picture(given.side, given.side, picture)
        for name, options in RUNS.items():
            words = ["sonify", str(picture), "--weights", given.weights, "--out", str(out), "--overwrite"]
            done = subprocess.run(
                [program, *words, "--json", *options], stdout=subprocess.PIPE, text=True, check=True
            )
            record = json.loads(done.stdout)
            check = [sys.executable, str(here / "check_run.py"), str(out), given.weights]
            exact = subprocess.run(check, capture_output=True, text=True, check=False)
            print(exact.stdout)
            rows.append(
                {
                    "run": name,
                    "side": given.side,
                    "seconds": round(sum(record["seconds"].values()), 1),
                    "peak_memory_bytes": record["peak_memory_bytes"],
                    "planned_memory_bytes": record["plan"]["peak_memory_bytes"],
                    "exact": exact.returncode == 0,
                }
            )
            print(rows[-1])
    write_result("large", {"rows": rows})


if __name__ == "__main__":
    main()
