"""How much faster and smaller is a run than the plain whole-image script, on one picture?

    python benchmarks/end_to_end.py PICTURE WEIGHTS [--size N] [--repeat 3]

Both do the job in fresh processes, in turn, so that a noisy machine is fair to both. Time is the whole
process's, imports included; memory its peak resident set.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results import write_result

HERE = Path(__file__).parent


def timed(words: list[str]) -> tuple[float, dict[str, Any]]:
    started = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return time.perf_counter() - started, json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture")
    parser.add_argument("weights")
    parser.add_argument("--size", type=int)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    sizes = [] if given.size is None else [str(given.size)]
    with tempfile.TemporaryDirectory(prefix="netsounds-") as folder:
        out = str(Path(folder) / "out")
        stream = [str(Path(sys.executable).parent / "netsounds-stream"), "sonify", given.picture]
        stream += ["--weights", given.weights, "--out", out, "--quiet", "--json"]
        stream += ["--size", *sizes] if sizes else []
        whole = [sys.executable, str(HERE / "whole_image.py"), given.picture, given.weights, out, *sizes]
        rows: dict[str, list[tuple[float, dict[str, Any]]]] = {"netsounds-stream": [], "whole image": []}
        for _ in range(given.repeat):
            for name, words in (("netsounds-stream", stream), ("whole image", whole)):
                rows[name].append(timed(words))
                shutil.rmtree(out)
    result: dict[str, Any] = {
        "picture": Path(given.picture).name,
    }
    print(f"{'':<17} {'seconds (median, all)':<34} {'peak MiB':>8}")
    for name, runs in rows.items():
        seconds = [each for each, _ in runs]
        peak = max(record["peak_memory_bytes"] for _, record in runs)
        result[name] = {"seconds": seconds, "peak_memory_bytes": peak, "stages": runs[0][1]["seconds"]}
        spread = ", ".join(f"{each:.1f}" for each in seconds)
        print(f"{name:<17} {statistics.median(seconds):6.1f}  ({spread})".ljust(53) + f"{peak / 2**20:8.0f}")
    ours, theirs = result["netsounds-stream"], result["whole image"]
    result["times_faster"] = statistics.median(theirs["seconds"]) / statistics.median(ours["seconds"])
    result["times_smaller"] = theirs["peak_memory_bytes"] / ours["peak_memory_bytes"]
    print(f"{result['times_faster']:.2f} times faster, at 1/{result['times_smaller']:.1f} of the memory")
    write_result("end_to_end", result)


if __name__ == "__main__":
    main()
