"""Writes expect.md, sizes and times to expect: `python docs/expect.py [--check]`.

Bytes are the planner's own. Seconds are what `benchmarks/results/` has, and for machines that nobody has
measured estimates out of them, by a formula and assumptions that the page states. By `--check` nothing is
written; the exit status says whether the page is as it would be.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from netsounds_stream.base.units import format_bytes
from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.planning.options import SonifyOptions, options_from_words
from netsounds_stream.planning.plan import MIB, Limits, Plan, Source
from netsounds_stream.planning.planner import make_plan
from netsounds_stream.planning.sound_options import SoundOptions
from netsounds_stream.planning.sound_plan import default_duration_s

ROOT = Path(__file__).parent.parent
PAGE = Path(__file__).parent / "expect.md"
sys.path.insert(0, str(ROOT / "benchmarks"))
from workload import operations  # noqa: E402

GIB = 1 << 30
#: Width and height; of some there are measurements.
SIZES = (
    (1224, 816),
    (4032, 3024),
    (8192, 6144),
    (8192, 8192),
    (11648, 8736),
    (16384, 16384),
    (32768, 32768),
)
WAYS: dict[str, SonifyOptions] = {
    "defaults": SonifyOptions(),
    "concat": options_from_words(scheme=("sum", "concat")),
    "sum": options_from_words(scheme="sum", activations=False),
}
BUDGET_BYTES, THREADS = GIB, 4
#: Python with its libraries when a run is planned, as seen on x86-64 Linux, with torch's CPU build.
BASELINE_BYTES = 256 * MIB
#: The same with torch 2.13.0+cu130, where no GPU is used: 532 MiB with Python 3.12, 589 with 3.13.
CUDA_BASELINE_BYTES = 532 * MIB
# Measured pictures count as of a size up to this factor.
_SAME = 1.06


@dataclass(frozen=True)
class Machine:
    """A machine that was not measured, by what is assumed of it."""

    name: str
    flop_per_second: float
    copy_bytes_per_second: float
    disk_bytes_per_second: float
    memory_bytes: int
    why: str


MACHINES = (
    Machine(
        "laptop, 8 GB",
        200e9,
        20e9,
        400e6,
        8 * GIB,
        "four cores with AVX2 at 2.4 GHz, 307 GFLOP/s at their peak, of which 65 % are reached; DDR4 in two "
        "channels; a SATA SSD",
    ),
    Machine(
        "Raspberry Pi 5, 8 GB",
        90e9,
        10e9,
        50e6,
        8 * GIB,
        "four Cortex-A76 at 2.4 GHz, 154 GFLOP/s at their peak, of which 60 % are reached; LPDDR4X; a memory "
        "card",
    ),
    Machine("Raspberry Pi 5, 4 GB", 90e9, 10e9, 50e6, 4 * GIB, "the same with less memory"),
)


@cache
def results(name: str) -> dict[str, Any]:
    """What one of the benchmarks found."""
    found: dict[str, Any] = json.loads((ROOT / f"benchmarks/results/{name}.json").read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True)
class Measured:
    """A whole run: its picture's pixels, seconds from the command's start to its end, and those by stage."""

    pixels: int
    seconds: float
    stages: dict[str, float]

    @property
    def work(self) -> float:
        """Seconds that grow with the pixels: all stages but the mix, whose length is bounded."""
        return sum(self.stages.values()) - self.stages.get("mix", 0.0)

    @property
    def start(self) -> float:
        """Seconds of start-up, and of what no stage counts."""
        return self.seconds - sum(self.stages.values())


@cache
def measured(way: str) -> tuple[Measured, ...]:
    """Whole runs on the machine of the benchmarks, smallest first."""
    cases = [*results("memory")["cases"], *results("end_to_end")["cases"]]
    runs = (
        Measured(case["facts"]["pixels"], case["wall_seconds"]["median"], case["stages"])
        for case in cases
        if case["facts"].get("way") == way and case["wall_seconds"] is not None and "pixels" in case["facts"]
    )
    return tuple(sorted(runs, key=lambda run: run.pixels))


def nearest(way: str, pixels: int) -> Measured:
    """The measured run whose size is nearest, by their ratio."""
    return min(measured(way), key=lambda run: max(run.pixels, pixels) / min(run.pixels, pixels))


def plan_of(
    size: tuple[int, int], way: str, budget: int = BUDGET_BYTES, baseline: int = BASELINE_BYTES
) -> Plan:
    width, height = size
    limits = Limits(baseline_bytes=baseline, budget_bytes=budget, threads=THREADS)
    return make_plan(Source(height=height, width=width), WAYS[way], limits)


def estimate(machine: Machine, size: tuple[int, int], way: str) -> float:
    """Seconds, by the formula that the page states."""
    width, height = size
    pixels, run, plan = width * height, nearest(way, width * height), plan_of(size, way)
    ceilings = results("forward")["ceilings"]
    slower = ceilings["copy_bytes_per_second"] / machine.copy_bytes_per_second
    flop = operations(height, width)
    rest = run.work / run.pixels * pixels * _slowed(way, run, pixels)
    rest -= flop / ceilings["fp32_flop_per_second"]
    processor = flop / machine.flop_per_second + slower * (run.start + rest + mix_seconds(size, way))
    stored = sum(bank.stored_bytes_estimate for bank in plan.banks)
    written = plan.disk_bytes + (stored if stored > machine.memory_bytes / 2 else 0)
    return max(processor, written / machine.disk_bytes_per_second)


def _slowed(way: str, run: Measured, pixels: int) -> float:
    """How much longer a pixel takes at that size than in a measured run, if it does: by the runs of 'sum',
    which go further."""
    here, there = nearest("sum", pixels), nearest("sum", run.pixels)
    return max(1.0, here.work / here.pixels / (there.work / there.pixels)) if way != "sum" else 1.0


def mix_seconds(size: tuple[int, int], way: str) -> float:
    """On the benchmarks' machine, by the sound's length."""
    if not WAYS[way].sound.mix:
        return 0.0
    run = nearest(way, SIZES[1][0] * SIZES[1][1])
    return run.stages["mix"] * duration_s(size) / duration_s(SIZES[1])


def duration_s(size: tuple[int, int]) -> float:
    return default_duration_s(usual_banks().length(1, "y", max(size)), SoundOptions())


def page() -> str:
    """All of expect.md."""
    found, ceilings = results("end_to_end"), results("forward")["ceilings"]
    cpus, memory = found["machine"]["cpus"], found["machine"]["memory"]
    machine = f"{found['machine']['processor']}, {cpus} cores, {memory}"
    rates = [
        (
            f"measured: {machine}",
            f"{ceilings['fp32_flop_per_second'] / 1e9:.0f} GFLOP/s",
            f"{ceilings['copy_bytes_per_second'] / 1e9:.0f} GB/s",
            "",
            "`benchmarks/workers/ceilings.py`",
        )
    ]
    rates += [
        (
            f"assumed: {each.name}",
            f"{each.flop_per_second / 1e9:.0f} GFLOP/s",
            f"{each.copy_bytes_per_second / 1e9:.0f} GB/s",
            f"{each.disk_bytes_per_second / 1e6:.0f} MB/s",
            each.why,
        )
        for each in MACHINES
    ]
    banks = plan_of(SIZES[1], "defaults").banks
    first = banks[0].stored_bytes_estimate / sum(bank.stored_bytes_estimate for bank in banks)
    dates = sorted({found["date"][:10], results("memory")["date"][:10]})
    width, height = SIZES[1]
    return _PAGE.format(
        threads=THREADS,
        budget=format_bytes(BUDGET_BYTES),
        baseline=f"{BASELINE_BYTES / MIB:.0f} MiB",
        cuda=f"{CUDA_BASELINE_BYTES / MIB:.0f} MiB",
        sizes_defaults=_sizes("defaults"),
        sizes_concat=_sizes("concat"),
        sizes_sum=_sizes("sum"),
        first=f"{first:.0%}",
        times_defaults=_times("defaults", machine),
        times_sum=_times("sum", machine),
        dates=" and ".join(dates),
        operations=f"{operations(height, width) / (height * width) / 1e3:.0f} kFLOP",
        near=f"{_SAME - 1:.0%}",
        rates=table(("machine", "matrix rate", "copy rate", "disk rate", "from"), rates),
    )


_PAGE = """# Sizes and times to expect

Written by `python docs/expect.py`; not edited. Sizes are computed by the planner, like those of
`netsounds-stream plan`; times are measured or estimated, as each column says. For your own machine:

    netsounds-stream plan photo.jpg     # sizes, memory and disk, at once
    netsounds-stream bench photo.jpg    # times, from a few short runs

## Memory and disk

JPEG pictures, {threads} threads, the default budget of {budget}. This includes {baseline} for Python and its
libraries on x86-64 Linux. With torch's CUDA build they need {cuda}, also where no GPU is used: importing
torch loads CUDA's libraries. On your machine this may differ by some tens of MiB; `plan` says how much it is.
*Least* is the smallest `--memory` that the planner accepts, with narrower bands, which are slower. Where
*planned* exceeds the budget, the run is refused at once; give it a larger `--memory`. For arrays, the size is
that of photographs after `lz4`.

With all defaults (activations and `sum` of four banks, the mix, the page):

{sizes_defaults}

With `--scheme sum --scheme concat`, which adds the sound of each filter:

{sizes_concat}

With `--scheme sum --no-activations`:

{sizes_sum}

So a machine of 4 GB has enough memory for all of these. The limit of large runs is the disk. `--banks 2,3,4`
leaves out {first} of the arrays, `--codec zstd` makes them smaller, and `--scheme sum --no-activations`
writes none.

## Times

With all defaults:

{times_defaults}

With `--scheme sum --no-activations`:

{times_sum}

Measured times are of whole commands from start to end, {dates}, on pictures within {near} of that size; see
[Benchmarks](../benchmarks/RESULTS.md). **Nothing has been run on a laptop or a Raspberry Pi.** Those columns
are estimates, which may be off by a factor of two. All runs so far were on x86-64 Linux.

### How times are estimated

    seconds = the larger of  processor  and  disk
    processor = operations / matrix rate + (start + rest + mix) x (copy rate measured / copy rate assumed)
    disk      = bytes written / disk rate; the arrays' twice where they are more than half the memory

*Operations* are those of the network, {operations} for each pixel. *Rest* is the time for each pixel of the
measured run nearest in size, less its operations at the measured matrix rate: pooling, conversion,
compression and inverse FFTs, which are mostly passes through memory. Beyond the largest measured run with
all defaults, it is assumed to grow like that of `sum`, where bands get narrow. *Start* and *mix* are as
measured, the mix in proportion to its length (10 to 120 s of sound). The rates:

{rates}
"""


def _sizes(way: str) -> str:
    rows = []
    for size in SIZES:
        plan = plan_of(size, way)
        rows.append(
            (
                _megapixels(size),
                f"{size[0]} x {size[1]}",
                f"{plan.peak_memory_bytes / MIB:,.0f} MiB",
                f"{plan_of(size, way, budget=0).peak_memory_bytes / MIB:,.0f} MiB",
                f"{plan_of(size, way, baseline=CUDA_BASELINE_BYTES).peak_memory_bytes / MIB:,.0f} MiB",
                f"{plan_of(size, way, 0, CUDA_BASELINE_BYTES).peak_memory_bytes / MIB:,.0f} MiB",
                _bytes(plan.final_disk_bytes),
                _bytes(plan.disk_bytes),
            )
        )
    heads = (
        *("megapixels", "pixels", "memory, planned", "least", "planned, CUDA build", "least, CUDA build"),
        *("disk, in the end", "while it runs"),
    )
    return table(heads, rows)


def _times(way: str, machine: str) -> str:
    rows = []
    for size in SIZES:
        run = nearest(way, size[0] * size[1])
        exact = max(run.pixels, size[0] * size[1]) / min(run.pixels, size[0] * size[1]) < _SAME
        seen = duration_words(run.seconds) if exact else "not measured"
        rows.append(
            (_megapixels(size), seen, *(duration_words(estimate(each, size, way)) for each in MACHINES))
        )
    heads = ("megapixels", f"measured: {machine}", *(f"estimate: {each.name}" for each in MACHINES))
    return table(heads, rows)


def _megapixels(size: tuple[int, int]) -> str:
    return f"{size[0] * size[1] / 1e6:,.0f}"


def _bytes(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / MIB:.0f} MiB"


def duration_words(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    return "\n".join((line(heads), line("---:" for _ in heads), *map(line, rows)))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the page is current")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == page():
        return 0
    print(f"{PAGE.name} is not what the planner and the results say: python docs/expect.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
