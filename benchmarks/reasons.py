"""Why a target is missed, in words out of the results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from figures import (
    Results,
    Row,
    budget,
    decibels,
    forward_rate,
    forward_size,
    griffin_lim_gaps,
    matrix_share,
    median,
    mib,
    row,
    rows,
)

#: By how much ours may fit worse than librosa's.
GRIFFIN_LIM_DB = 1.0


def why_forward(ours_in: str, **peer: Any) -> Callable[[Results], str | None]:
    def reason(results: Results) -> str | None:
        if ours_in == "bf16" and not results["forward"]["half_precision"]:
            return (
                "This CPU has no instructions for bf16: it is computed by widening, in every peer alike, "
                "and was measured at the smallest size only."
            )
        pixels = forward_size(results, ours_in)
        found = row(results, "forward", pixels=pixels, kind="stream", dtype=ours_in)
        ceiling = results.get("forward", {}).get("ceilings", {}).get(f"{ours_in}_flop_per_second")
        theirs, share = forward_rate(results, pixels, **peer), matrix_share(results, ours_in)
        if found is None or ceiling is None or theirs is None or share is None:
            return None
        most = ceiling / (found["facts"]["operations"] / pixels) / 1e6
        held = next(rows(results, "forward", pixels=pixels, **peer))["peak_memory_bytes"]
        return (
            f"The peer does {theirs:.1f} Mpx/s here, in {mib(held)} (ours {mib(found['peak_memory_bytes'])})."
            f" At the machine's whole measured matrix rate, {ceiling / 1e9:.0f} GFLOP/s, the network cannot "
            f"pass {most:.1f} Mpx/s, {most / theirs:.1f} x the peer; the stream is at {share:.0%} of it, the "
            f"rest being pooling, ReLU and line buffers, each a pass of its own in torch."
        )

    return reason


def why_end_to_end(group: str, way: str, mine: str = "ours") -> Callable[[Results], str | None]:
    def one(results: Results, wanted: str) -> Row | None:
        found = rows(results, "end_to_end", way=wanted)
        return next((each for each in found if each["facts"]["group"].startswith(group)), None)

    def reason(results: Results) -> str | None:
        ours, theirs = one(results, mine), one(results, way)
        wall, cpu, other = median(ours), median(ours, "cpu_seconds"), median(theirs)
        if ours is None or wall is None or cpu is None or other is None:
            return None
        stages = ours.get("stages") or {}
        longest = sorted(stages.items(), key=lambda stage: -stage[1])[:3]
        parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in longest)
        outside = max(0.0, wall - sum(stages.values()))
        cores = results["end_to_end"]["machine"]["cpus"]
        return (
            f"The peer takes {other:.1f} s here. Of our {wall:.1f} s: {parts}; imports and what no stage "
            f"counts {outside:.1f} s. In all {cpu:.1f} CPU seconds: {cores} cores without a gap would "
            f"take {cpu / cores:.1f} s, {other / (cpu / cores):.1f} x."
        )

    return reason


def why_work_share(results: Results) -> str | None:
    kinds = budget(results).get("cpu_seconds", {})
    work = ("convolution", "matrix products, FFT", "codec", "file writing")
    total = sum(kinds.values())
    rest = [(name, seconds) for name, seconds in kinds.items() if name not in work][:4]
    parts = ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in rest)
    return f"The largest of the rest: {parts}." if rest else None


def why_before(results: Results) -> str | None:
    """What still takes most of the CPU time, beside what it took before."""
    now, before = (
        budget(results, made="with concat", version=version).get("cpu_seconds")
        for version in ("now", "before")
    )
    if not now or not before:
        return None
    parts = [f"{name} {before.get(name, 0.0):.1f} to {seconds:.1f}" for name, seconds in now.items()]
    return f"CPU seconds by kind, before to now: {', '.join(parts[:8])}."


def why_together(results: Results) -> str | None:
    """One run already keeps the cores busy for most of its time."""
    run = row(results, "together", way="one run")
    wall, cpu = median(run), median(run, "cpu_seconds")
    if wall is None or cpu is None:
        return None
    cores = results["together"]["machine"]["cpus"]
    return (
        f"One run takes {wall:.1f} s and {cpu:.1f} CPU seconds, {cpu / wall / cores:.0%} of {cores} cores: "
        f"two of them without a gap take {2 * cpu / cores:.1f} s, so one after another can take "
        f"{wall / (cpu / cores):.2f} x as long at most."
    )


def why_memory(results: Results) -> str | None:
    small = [each for each in rows(results, "memory", way="sum") if each["peak_memory_bytes"]]
    ours = row(results, "end_to_end", group="12 Mpx", way="defaults")
    theirs = row(results, "end_to_end", group="12 Mpx", way="whole")
    if not small or ours is None or theirs is None:
        return None
    least = min(small, key=lambda each: each["facts"]["pixels"])
    return (
        f"{mib(theirs['peak_memory_bytes'])} beside {mib(ours['peak_memory_bytes'])}, of which Python with "
        f"its libraries and the smallest buffers are {mib(least['peak_memory_bytes'])}."
    )


def why_size(results: Results) -> str | None:
    parts = []
    for each in sorted(rows(results, "memory", way="sum"), key=lambda each: each["facts"]["side"]):
        work = median(each, "work_seconds")
        if work:
            parts.append(f"{each['facts']['side']} {1e6 * work / each['facts']['pixels']:.3f}")
    return f"Seconds of work a megapixel by side: {', '.join(parts)}." if parts else None


def why_peak(results: Results) -> str | None:
    found = row(results, "memory", way="sum", side=32768)
    if found is None or not found.get("planned_memory_bytes"):
        return None
    return f"The plan for it is {found['planned_memory_bytes'] / 2**20:.0f} MiB, the default budget 1 GiB."


def why_griffin_lim(results: Results) -> str | None:
    gaps = sorted(griffin_lim_gaps(results).items(), key=lambda item: -item[1])
    worse = [f"{name} {decibels(gap)}" for name, gap in gaps if gap > GRIFFIN_LIM_DB]
    ways = (each["ways"] for each in rows(results, "phases") if "librosa" in each["ways"])
    same = [
        found["griffin-lim from random"]["convergence_db"] - found["librosa"]["convergence_db"]
        for found in ways
    ]
    return (
        f"Worse by more: {', '.join(worse)}; {len(gaps)} signals in all. From random phases, as librosa's "
        f"begin, ours are within {decibels(max(map(abs, same)))} of it."
    )
