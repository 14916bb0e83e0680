"""The long forms of the tests: `python -m tests.soak --weights FILE [--folder DIR] [--only NAME ...]`.

What each finds goes into `docs/reliability.json` as soon as it is found, and `docs/reliability.md` is written
from that. An hour or so altogether; `--only` does some of it, the rest of the page stays.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from benchmarks.make_picture import make_picture
from netsounds_stream.base.machine import describe
from netsounds_stream.base.versions import versions
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.planning.options import SonifyOptions
from netsounds_stream.planning.plan import Limits, Source
from netsounds_stream.planning.planner import make_plan
from netsounds_stream.planning.sound_options import SoundOptions

from . import memory_grid, test_mutations
from .reference import command
from .reliability_page import RESULTS, write_page
from .test_memory import BANDS, in_a_process
from .test_resume import ALL_SCHEMES, contents, kill_until_finished

_MIB = 1 << 20
Found = dict[str, Any]

#: Name: kills, width, height, options.
KILLS = {
    "sum and concat": (50, 1600, 1200, "--scheme sum --scheme concat"),
    "time along y, the picture in its order": (25, 700, 2600, "--codec pcodec --scheme concat"),
    "every scheme, levelled": (50, 600, 500, ALL_SCHEMES),
    "sum only, no arrays, 460 MiB": (25, 1300, 900, "--scheme sum --no-activations --memory 460MiB"),
    "spooled, one bank": (25, 5200, 4300, "--banks 4 --codec none"),
    "bf16, 24 bits": (25, 200, 150, "--precision bf16 --subtype PCM_24 --balance filter"),
}
#: Budget in MiB, and the rows that are run of the largest picture in it.
BUDGETS = ((512, 4_000), (1024, 1_500), (2048, 500))


def kills(folder: Path, weights: Path) -> Found:
    """SIGKILL at random moments, in every step, until the run is through; then byte for byte."""
    rows = []
    for seed, (name, (count, width, height, options)) in enumerate(KILLS.items()):
        picture = folder / "kills.png"
        pyvips.Image.new_from_array(draw(width, height)).pngsave(str(picture))
        words = ["sonify", str(picture), "--weights", str(weights), "--label", "a", *options.split()]
        whole, out = folder / "whole", folder / "killed"
        assert command(*words, "--out", whole, timeout=900).returncode == 0
        words += ["--out", str(out), "--resume", "--checkpoint-seconds", "0"]
        steps = kill_until_finished(words, out, kills=count, seed=seed)
        same = contents(out) == contents(whole)
        rows.append(
            {
                "case": name,
                "width": width,
                "height": height,
                "kills": count,
                "same": same,
                "steps": dict(steps),
            }
        )
        for each in (whole, out):
            _remove(each)
    return {"cases": rows}


def mutations(folder: Path, weights: Path) -> Found:
    """Damaged files through the real openers."""
    test_mutations.write_sources(folder)
    found = test_mutations.outcomes(folder, "flip", 20_000)
    table: dict[str, dict[str, int]] = {}
    for (kind, outcome), count in sorted(found.counts.items()):
        table.setdefault(kind, {})[outcome] = count
    return {"count": 20_000, "table": table, "defects": found.defects, "peak_bytes": found.peak_bytes}


def memory(folder: Path, weights: Path) -> Found:
    """A grid of real runs: measured against planned and allowed."""
    rows = []
    for case in memory_grid.chosen(60, seed=2):
        found = memory_grid.measure(case, folder, weights)
        rows.append({"case": str(case), **{k: v for k, v in asdict(found).items() if k != "case"}})
    return {"cases": rows}


def bands(folder: Path, weights: Path) -> Found:
    """Resident memory over more than 2,000 bands of a wide picture."""
    picture = folder / "bands.png"
    make_picture(3000, 2100 * 32, picture)
    held = np.array(in_a_process(BANDS, picture, folder / "bands", weights)["held"][100:], float)
    picture.unlink()
    _remove(folder / "bands")
    number = np.arange(len(held))
    slope, start = np.polyfit(number, held, 1)
    noise = float(np.std(held - (slope * number + start)))
    third = len(held) // 3
    return {
        "bands": len(held) + 100,
        "width": 3000,
        "slope_bytes_a_band": float(slope),
        "noise_bytes": noise,
        "first_third_median": statistics.median(held[:third]),
        "last_third_median": statistics.median(held[-third:]),
    }


def largest(folder: Path, weights: Path) -> Found:
    """The largest square that the plan allows in a budget, and a real run at its row length."""
    rows = []
    for (budget, height), (what, options, words) in (
        (each, kind)
        for each in BUDGETS
        for kind in (
            ("all defaults", SonifyOptions(), ()),
            (
                "sum only, no arrays",
                SonifyOptions(activations=False, sound=SoundOptions(schemes=("sum",))),
                ("--scheme", "sum", "--no-activations"),
            ),
        )
    ):
        side = _largest_side(options, budget * _MIB)
        rows_run = min(side, height)
        picture = folder / "large.tif"
        make_picture(rows_run, side, picture)
        start = time.perf_counter()
        done = command(
            *("sonify", picture, "--out", folder / "large", "--weights", weights, "--json", "--quiet"),
            *("--time-axis", "x", "--memory", f"{budget}MiB", *words),  # as for a square
            timeout=3600,
        )
        seconds = time.perf_counter() - start
        picture.unlink()
        row = {"budget": budget * _MIB, "what": what, "side": side, "rows": rows_run, "seconds": seconds}
        if done.returncode == 0:
            record = json.loads(done.stdout)
            plan = record["plan"]
            row |= {"measured": record["peak_memory_bytes"], "planned": plan["peak_memory_bytes"]}
            row |= {"bands": -(-rows_run // plan["band_rows"])}
            _remove(folder / "large")
        else:
            row["error"] = done.stderr.strip().splitlines()[-1]
        rows.append(row)
    return {"cases": rows}


def checkpoints(folder: Path, weights: Path) -> Found:
    """What checkpoints cost: runs with and without, in turn."""
    picture = folder / "checkpoints.jpg"
    make_picture(9000, 9000, picture)
    seconds: dict[str, list[float]] = {"usual": [], "never": [], "sync": []}
    for _ in range(3):
        for kind, more in (("never", ("--checkpoint-seconds", "1e9")), ("usual", ())):
            start = time.perf_counter()
            done = command(
                *(
                    "sonify",
                    picture,
                    "--out",
                    folder / "run",
                    "--weights",
                    weights,
                    "--json",
                    "--quiet",
                    *more,
                ),
                timeout=900,
            )
            seconds[kind].append(time.perf_counter() - start)
            assert done.returncode == 0, done.stderr
            if kind == "usual":
                seconds["sync"].append(json.loads(done.stdout)["seconds"]["sync"])
            _remove(folder / "run")
    ratios = [one / other for one, other in zip(seconds["usual"], seconds["never"], strict=True)]
    return {"width": 9000, "height": 9000, **seconds, "ratios": ratios}


def _largest_side(options: SonifyOptions, budget: int) -> int:
    limits = Limits(baseline_bytes=_baseline_bytes(), budget_bytes=budget)
    low, high = 21, 400_000
    while high - low > 1:
        middle = (low + high) // 2
        plan = make_plan(Source(height=middle, width=middle), options, limits)
        low, high = (middle, high) if plan.peak_memory_bytes <= budget else (low, middle)
    return low


def _baseline_bytes() -> int:
    # what the command holds before its run, and a little, since it varies between starts
    script = "import json, netsounds_stream.api; from netsounds_stream.base.machine import resident_bytes; "
    script += "print(json.dumps({'held': resident_bytes()}))"
    return int(in_a_process(script)["held"]) + 24 * _MIB


def _remove(run: Path) -> None:
    shutil.rmtree(run)


SECTIONS: dict[str, Callable[[Path, Path], Found]] = {
    each.__name__: each for each in (kills, mutations, memory, bands, largest, checkpoints)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=tuple(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--folder", type=Path, help="where pictures and runs are made")
    given = parser.parse_args()
    for name in given.only:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            print(f"{name} ...", file=sys.stderr, flush=True)
            start = time.monotonic()
            found = SECTIONS[name](Path(folder), given.weights.resolve())
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        about = {"date": date.today().isoformat(), "machine": describe(), "versions": versions()}
        results[name] = {**found, "seconds": round(time.monotonic() - start), "about": about}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        write_page()


if __name__ == "__main__":
    main()
