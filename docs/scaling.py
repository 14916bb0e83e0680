"""Writes scaling.md, what more workers bring: `python docs/scaling.py [--check]`.

What was measured is `benchmarks/results/scaling.json`'s. Past that is a model of a picture that nobody has
run, out of those figures and of the planner's bytes, by assumptions that the page names. By `--check` nothing
is written; the exit status says whether the page is as it would be.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from expect import BASELINE_BYTES, GIB, duration_words, results, table

from netsounds_stream.cluster.segments import segments_of
from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.planning.options import options_from_words
from netsounds_stream.planning.plan import Limits, Plan, Source
from netsounds_stream.planning.planner import make_plan
from netsounds_stream.planning.sound_options import SoundOptions
from netsounds_stream.planning.sound_plan import default_duration_s

PAGE = Path(__file__).parent / "scaling.md"
SIDE, WORKERS, ROWS = 316_228, (1, 16, 256), (512, 1024, 2048, 4096)
MEMORY_BYTES = 8 * GIB
# A pixel as decoded: written once by the command, read once by a worker.
_PIXEL_BYTES = 3


@dataclass(frozen=True)
class Store:
    """What workers write to and read from: bytes a second, for all of them, or for each."""

    name: str
    bytes_per_second: float
    each: bool

    def seconds(self, count: float, workers: int) -> float:
        return count / (self.bytes_per_second * (workers if self.each else 1))


STORES = (
    Store("one file server, 10 Gbit/s", 1.25e9, each=False),
    Store("an object store, 100 MB/s for each worker", 100e6, each=True),
)


@dataclass(frozen=True)
class Spent:
    """A projected run in seconds; the network's stage takes as long as the slowest of its three."""

    rows: int
    segments: int
    decode: float
    compute: float
    store: float
    merge: float
    rest: float

    @property
    def network(self) -> float:
        return max(self.compute, self.store, self.merge)

    @property
    def whole(self) -> float:
        return self.decode + self.network + self.rest

    @property
    def limit(self) -> str:
        """What takes most of it."""
        names = {self.compute: "the workers", self.store: "the store", self.merge: "merging the sums"}
        parts = {names[self.network]: self.network, "decoding": self.decode, "the rest": self.rest}
        return max(parts, key=lambda name: parts[name])


@cache
def case(name: str) -> dict[str, Any]:
    """What one of the benchmark's cases found."""
    return next(each for each in results("scaling")["cases"] if each["name"] == name)


def middle(name: str, *keys: str) -> float:
    """The median over a case's rounds of one of its figures."""
    found = []
    for value in case(name)["rounds"]:
        for key in keys:
            value = value[key]
        found.append(float(value))
    return median(found)


def of_cluster(name: str, key: str) -> float:
    """Of what the record says of the cluster."""
    return middle(name, "cluster", key)


def whole_seconds(name: str) -> float:
    """Of the command from start to end, on a cluster that is there."""
    return middle(name, "command_seconds")


def stage(name: str, prefix: str) -> float:
    """The median of seconds in all stages whose names begin so."""
    sums = [
        sum(seconds for at, seconds in each["seconds"].items() if at.startswith(prefix))
        for each in case(name)["rounds"]
    ]
    return median(sums)


def warm_up() -> float:
    """CPU seconds beyond those of one segment, as a share of them."""
    return of_cluster("sum, segments", "cpu_seconds") / cpu_seconds() - 1


def cpu_seconds() -> float:
    """Of all pixels in one segment."""
    return of_cluster("sum, one segment", "cpu_seconds")


@cache
def plan_of(width: int, height: int, memory: int = MEMORY_BYTES, scheme: str = "sum") -> Plan:
    options = options_from_words(scheme=tuple(scheme.split()))
    return make_plan(
        Source(height=height, width=width),
        options,
        Limits(baseline_bytes=BASELINE_BYTES, budget_bytes=memory, threads=2),
        shared=True,
    )


def overlap_rows(plan: Plan, rows: int) -> int:
    """What a segment in the middle reads beyond its own rows."""
    each = segments_of(plan, rows)[1]
    return (each.last - each.first) - (each.stop - each.start)


def measured_overlap() -> int:
    """The same when it was measured; results of older code, which read a band less, do not say it."""
    return int(results("scaling").get("overlap_rows", 192))


def projected(workers: int, rows: int, store: Store) -> Spent:
    """The formula that the page states."""
    pixels, plan, measured = SIDE * SIDE, plan_of(SIDE, SIDE), case("sum, segments")["facts"]["pixels"]
    each_overlap = warm_up() / measured_overlap()
    segments = segments_of(plan, rows)
    own = segments[0].stop - segments[0].start
    share = each_overlap * results("scaling")["segment_rows"] * overlap_rows(plan, rows) / own
    wide = of_cluster("sum, wide", "cpu_seconds") / case("sum, wide")["facts"]["pixels"]
    one = pixels / len(segments) * wide * (1 + share)
    stored = sum(bank.stored_bytes_estimate for bank in plan.banks)
    busy = min(workers, len(segments))
    here = stage("sum, segments", "decode") / measured * pixels
    sound = stage("sum, segments", "sound") / measured * pixels
    constant = stage("sum, segments", "mix") * mix_ratio() + stage("sum, segments", "report")
    return Spent(
        rows=own,
        segments=len(segments),
        decode=max(here, store.seconds(_PIXEL_BYTES * pixels, 1)),
        compute=one * math.ceil(len(segments) / workers),
        store=store.seconds(stored + _PIXEL_BYTES * pixels, busy),
        merge=of_cluster("sum, segments", "merge_seconds") / measured * pixels,
        rest=sound + constant,
    )


def mix_ratio() -> float:
    """How much longer the mix is than that which was measured."""
    long, short = (
        default_duration_s(usual_banks().length(1, "y", each), SoundOptions())
        for each in (SIDE, max(results("scaling")["size"]))
    )
    return long / short


def best(workers: int, store: Store) -> Spent:
    """By the rows of a segment that it is fastest with."""
    return min((projected(workers, rows, store) for rows in ROWS), key=lambda each: each.whole)


def page() -> str:
    """All of scaling.md."""
    found = results("scaling")
    plan, each_filter = plan_of(SIDE, SIDE), plan_of(SIDE, SIDE, scheme="sum concat")
    width, height = found["size"]
    across = found["wide"][0]
    size, wide = case("one worker"), case("sum, wide")
    stored = sum(bank.stored_bytes_estimate for bank in plan.banks)
    narrow = cpu_seconds() / size["facts"]["pixels"]
    slow = of_cluster("sum, wide", "cpu_seconds") / wide["facts"]["pixels"]
    words: Mapping[str, object] = {
        "date": found["date"][:10],
        "machine": f"{found['machine']['processor']}, {found['machine']['cpus']} cores",
        "size": f"{width:,} x {height:,} pixels, {width * height / 1e6:.0f} megapixels",
        "rows": f"{found['segment_rows']:,}",
        "rounds": f"medians of {count} runs each, in turn"
        if (count := len(size["rounds"])) > 1
        else "one run each",
        "segments": int(of_cluster("one worker", "segments")),
        "measured": _measured(),
        "gain": f"{stage('one worker', 'network') / stage('two workers', 'network'):.2f}",
        "gain_whole": f"{whole_seconds('one worker') / whole_seconds('two workers'):.2f}",
        "warm_up": f"{warm_up():.1%}",
        "overlap": overlap_rows(plan_of(width, height), found["segment_rows"]),
        "measured_overlap": measured_overlap(),
        "merge": f"{of_cluster('one worker', 'merge_seconds') / of_cluster('one worker', 'cpu_seconds'):.1%}",
        "written": f"{found['written_per_second'] / 1e6:.0f} MB/s",
        "cost": _cost(narrow),
        "cost_wide": _cost(slow),
        "band": size["band_rows"],
        "band_wide": wide["band_rows"],
        "wide": f"{across:,}",
        "side": f"{SIDE:,}",
        "memory": f"{plan.peak_memory_bytes / GIB:.1f} GiB",
        "bands": plan.band_rows,
        "stored": _terabytes(stored),
        "disk": _terabytes(plan.disk_bytes),
        "spool": _terabytes(_PIXEL_BYTES * SIDE * SIDE),
        "each_filter": _terabytes(each_filter.disk_bytes),
        "longest": len(segments_of(plan, ROWS[-2])),
        "projection": _projection(),
        "even": (alone := projected(1, ROWS[-2], STORES[0])).compute / alone.merge,
    }
    return _PAGE.format(**words)


_PAGE = """# What more workers bring

Written by `python docs/scaling.py`; not edited. The first part is measured on one machine with two cores.
The second is a model: **no picture of 100 gigapixels has been run, and no more than two workers have been
measured.**

## Measured

{date}, {machine}:
a drawn picture of {size} on a Dask cluster of that machine, with all
defaults and {segments} segments of {rows} rows; {rounds}
(`benchmarks/scaling.py`). The command shares the same two cores with the workers.

{measured}

- The network's stage takes {gain} times as long with one worker as with two, the whole command {gain_whole}
  times: the command itself makes the mix, the report and all sound except single filters.
- Warm-up: a segment of {rows} rows reads {overlap} more rows, in whole bands, for the receptive field of the
  deepest bank and a band more. With {measured_overlap} rows more, this took {warm_up} more CPU seconds than
  one segment of the whole picture.
- Merging the segments' sums costs the command {merge} of the workers' CPU seconds.
- A worker computes {cost} megapixels in a CPU second with bands of {band} rows, and {cost_wide} with bands of
  {band_wide}, the height that fits for a picture {wide} pixels wide across its time axis.
- One process writes 16 MiB files, each synced, at {written} on this machine.

## A model: 100 gigapixels

{side} x {side} pixels, with all defaults: {stored} of arrays, and {disk} of disk in all. With
`--scheme concat` it would be {each_filter}, since every filter becomes sound. A worker needs {memory},
with bands of {bands} rows.

{projection}

    decoding  = the larger of  pixels x decoding measured  and  {spool} to the store
    workers   = pixels of a segment x CPU seconds at low bands x (1 + warm-up) x rounds
    rounds    = segments / workers, rounded up
    store     = arrays and decoded pixels / the store's rate
    sums      = pixels x merging measured
    rest      = pixels x sound measured, the mix by its length, the report as measured
    the whole = decoding + the largest of (workers, store, sums) + rest

The model assumes:

- every worker is a core like the measured one, and a machine's cores do not take memory bandwidth from one
  another;
- a pixel of that picture costs as much as one of a picture {wide} pixels wide: bands are equally low, but
  rows ten times as long;
- warm-up grows with the ratio of the rows that a segment reads in addition to its own rows;
- decoding is as fast as that of the measured JPEG. No JPEG has this size, and TIFFs may be faster or slower;
- nobody else uses the store, its rates hold for hours, and the work hides its latency;
- the scheduler, which handles a segment every few seconds at most, costs nothing; nothing fails.

Limits: the command merges the segments' sums in the picture's order, on one thread. With some {even:.0f}
workers this takes as long as their work, and more workers bring nothing. The next limit is a single file
server; an object store grows with the workers. The last limit is the number of segments, {longest} of 2,048
rows: shorter ones, for more workers, need more warm-up.
"""


def _measured() -> str:
    rows = []
    for name, shown in (("no cluster", "no cluster, two threads"), ("one worker",) * 2, ("two workers",) * 2):
        clustered = name != "no cluster"
        whole = middle(name, "command_seconds") if clustered else case(name)["wall_seconds"]["median"]
        cpu = f"{of_cluster(name, 'cpu_seconds'):.1f} s" if clustered else ""
        peak = of_cluster(name, "peak_worker_memory_bytes") if clustered else case(name)["peak_memory_bytes"]
        stages = (stage(name, each) for each in ("decode", "network", "sound", "mix", "report"))
        planned = case(name)["planned_memory_bytes"]
        rows.append(
            (
                shown,
                f"{whole:.1f} s",
                *(f"{each:.1f} s" for each in stages),
                cpu,
                f"{peak / 2**20:.0f} of {planned / 2**20:.0f} MiB",
            )
        )
    heads = (
        "",
        "command",
        "decoding",
        "network",
        "sound",
        "mix",
        "report",
        "workers' CPU",
        "peak of one, planned",
    )
    return table(heads, rows)


def _projection() -> str:
    rows = []
    for store in STORES:
        for workers in WORKERS:
            each = best(workers, store)
            parts = (each.decode, each.compute, each.store, each.merge, each.rest, each.whole)
            rows.append(
                (
                    f"{workers}",
                    store.name,
                    f"{each.segments} of {each.rows:,}",
                    *(duration_words(part) for part in parts),
                    each.limit,
                )
            )
    heads = (
        "workers",
        "store",
        "segments, rows",
        "decoding",
        "workers",
        "store",
        "sums",
        "rest",
        "the whole",
        "limit",
    )
    return table(heads, rows)


def _cost(seconds: float) -> str:
    return f"{1 / seconds / 1e6:.2f}"


def _terabytes(count: float) -> str:
    return f"{count / 1e12:.1f} TB"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the page is current")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == page():
        return 0
    print(f"{PAGE.name} is not what the planner and the results say: python docs/scaling.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
