"""Measured values out of `results/`, and how they are written: for the page, its targets and its plots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

#: What a run makes by itself, as `stages.py` names it.
DEFAULTS = "all defaults"
Results = Mapping[str, Mapping[str, Any]]
Row = Mapping[str, Any]


def rows(results: Results, question: str, part: str = "cases", **facts: Any) -> Iterator[Row]:
    """The cases of a question with these facts, failed ones too."""
    for row in results.get(question, {}).get(part, ()):
        if all(row["facts"].get(name) == wanted for name, wanted in facts.items()):
            yield row


def row(results: Results, question: str, part: str = "cases", **facts: Any) -> Row | None:
    """The first such case, or None."""
    return next(rows(results, question, part, **facts), None)


def median(case: Row | None, what: str = "wall_seconds") -> float | None:
    """Its median seconds; None where there is no such case, or it failed."""
    return case[what]["median"] if case and case[what] else None


def ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def forward_size(results: Results, dtype: str) -> int:
    """Pixels of the largest picture that the forward question measured in this dtype."""
    return max((each["facts"]["pixels"] for each in rows(results, "forward", dtype=dtype)), default=0)


def forward_rate(results: Results, pixels: int, **facts: Any) -> float | None:
    """Mpx/s of a way through the network."""
    found = row(results, "forward", pixels=pixels, **facts)
    return found["megapixels_per_second"] if found else None


def over_peer(ours_in: str, **peer: Any) -> Callable[[Results], float | None]:
    """The stream's rate over a whole-image peer's, at the largest size measured in that dtype."""

    def value(results: Results) -> float | None:
        pixels = forward_size(results, ours_in)
        ours = forward_rate(results, pixels, kind="stream", dtype=ours_in)
        return ratio(ours, forward_rate(results, pixels, **peer))

    return value


def matrix_share(results: Results, dtype: str) -> float | None:
    """The stream's share of the matrix rate measured in the same rounds."""
    pixels = forward_size(results, dtype)
    found = row(results, "forward", pixels=pixels, kind="stream", dtype=dtype)
    ceiling = results.get("forward", {}).get("ceilings", {}).get(f"{dtype}_flop_per_second")
    seconds = median(found, "work_seconds")
    return ratio(ratio(found["facts"]["operations"] if found else None, seconds), ceiling)


def end_to_end(group: str, way: str, what: str, mine: str = "ours") -> Callable[[Results], float | None]:
    """A peer's seconds or peak memory over ours in one group (a name, or how it begins)."""

    def of(results: Results, wanted: str) -> float | None:
        for each in rows(results, "end_to_end", way=wanted):
            if each["facts"]["group"].startswith(group):
                return median(each) if what == "seconds" else each["peak_memory_bytes"]
        return None

    return lambda results: ratio(of(results, way), of(results, mine))


def size_penalty(results: Results) -> float | None:
    """Seconds of work per megapixel at 268 Mpx over those at 12; imports would flatter the larger."""

    def each(side: int) -> float | None:
        seconds = median(row(results, "memory", way="sum", side=side), "work_seconds")
        return ratio(seconds, side**2 / 1e6)

    return ratio(each(16384), each(3464))


def width_rate(results: Results, width: int) -> float | None:
    """Mpx/s of the network's stage, in a picture of this width."""
    found = row(results, "widths", width=width)
    stages = found.get("stages") if found else None
    return found["facts"]["pixels"] / stages["network"] / 1e6 if found and stages else None


def strip_share(results: Results) -> float | None:
    """The rate of a strip 64 pixels wide over that of the widest picture."""
    widest = max((each["facts"]["width"] for each in rows(results, "widths")), default=0)
    return ratio(width_rate(results, 64), width_rate(results, widest))


def gigapixel_peak(results: Results) -> float | None:
    found = row(results, "memory", way="sum", side=32768)
    return found["peak_memory_bytes"] if found else None


def budget(results: Results, group: str = "12 Mpx", made: str = DEFAULTS, version: str = "now") -> Row:
    """CPU seconds of one run by kind of work, and the share that is the work itself; perhaps empty."""
    found = row(results, "stages", "budgets", group=group, made=made, version=version) or {}
    return found if "cpu_seconds" in found else {}


def work_share(results: Results) -> float | None:
    return budget(results).get("work_share")


def over_before(results: Results, group: str, made: str, what: str = "cpu_seconds") -> float | None:
    """Seconds of the version before over those of this one."""
    before, now = (
        median(row(results, "stages", group=group, made=made, version=version), what)
        for version in ("before", "now")
    )
    return ratio(before, now)


def report_seconds(results: Results, group: str) -> float | None:
    """Wall seconds of the report's stage in a run with all defaults."""
    found = row(results, "stages", group=group, made=DEFAULTS, version="now")
    return found["stages"].get("report") if found and found.get("stages") else None


def report_share(results: Results) -> float | None:
    """The report's share of a 12-megapixel run with all defaults, start-up included."""
    run = row(results, "stages", group="12 Mpx", made=DEFAULTS, version="now")
    return ratio(report_seconds(results, "12 Mpx"), median(run))


def together(results: Results, above: str, below: str) -> float | None:
    """Seconds of one way of working on two pictures over those of another."""
    return ratio(*(median(row(results, "together", way=way)) for way in (above, below)))


def start_up(results: Results) -> float | None:
    return median(row(results, "end_to_end", group="start-up"))


def griffin_lim_gaps(results: Results) -> dict[str, float]:
    """By how many decibels our Griffin-Lim fits worse than librosa's, a signal each."""
    ways = {each["name"]: each["ways"] for each in rows(results, "phases")}
    return {
        name: found["griffin-lim"]["convergence_db"] - found["librosa"]["convergence_db"]
        for name, found in ways.items()
        if "librosa" in found
    }


def gpu_rate(results: Results) -> float | None:
    """The fastest stream on the device, in Mpx/s."""
    found = [each["megapixels_per_second"] or 0 for each in rows(results, "gpu", "passes", way="stream")]
    return max(found, default=None)


def gpu_peak(results: Results) -> float | None:
    """The largest GPU memory of a whole run; in the passes alone all input lies on the device beforehand."""
    found = rows(results, "gpu", "runs", device="cuda")
    return max((each["cuda_peak_bytes"] for each in found if each["cuda_peak_bytes"]), default=None)


def decibels(value: float) -> str:
    return f"{value:+.2f} dB"


def times(value: float) -> str:
    return f"{value:.2f} x"


def percent(value: float) -> str:
    return f"{value:.0%}"


def mib(value: float) -> str:
    return f"{value / 2**20:.0f} MiB"


def seconds(value: float) -> str:
    return f"{value:.2f} s"


def rate(value: float) -> str:
    return f"{value:.0f} Mpx/s"
