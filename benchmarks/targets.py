"""What was to be reached, as data: each target's bound, the measured value out of the results, and the reason
where it is missed. Words are written here; every figure comes from `results/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Results = Mapping[str, Mapping[str, Any]]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """One line of the targets table.

    Args:
        value: the measured value, or None where it was not measured.
        shown: how a value of it is written.
        at_least: whether the value must be at least the bound, or at most.
        reason: said under a target that is missed, out of the results.
    """

    key: str
    what: str
    bound: float
    value: Callable[[Results], float | None]
    shown: Callable[[float], str]
    at_least: bool = True
    reason: Callable[[Results], str | None] = lambda results: None

    def met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


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


def end_to_end(group: str, way: str, what: str) -> Callable[[Results], float | None]:
    """A peer's seconds or peak memory over ours in one group (a name, or how it begins)."""

    def of(results: Results, wanted: str) -> float | None:
        for each in rows(results, "end_to_end", way=wanted):
            if each["facts"]["group"].startswith(group):
                return median(each) if what == "seconds" else each["peak_memory_bytes"]
        return None

    return lambda results: ratio(of(results, way), of(results, "ours"))


def size_penalty(results: Results) -> float | None:
    """Seconds of work per megapixel at 268 Mpx over those at 12; imports would flatter the larger."""

    def each(side: int) -> float | None:
        seconds = median(row(results, "memory", way="sum", side=side), "work_seconds")
        return ratio(seconds, side**2 / 1e6)

    return ratio(each(16384), each(3464))


def gigapixel_peak(results: Results) -> float | None:
    found = row(results, "memory", way="sum", side=32768)
    return found["peak_memory_bytes"] if found else None


def work_share(results: Results) -> float | None:
    return results.get("stages", {}).get("cpu", {}).get("work_share")


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


def why_end_to_end(group: str, way: str) -> Callable[[Results], str | None]:
    def one(results: Results, wanted: str) -> Row | None:
        found = rows(results, "end_to_end", way=wanted)
        return next((each for each in found if each["facts"]["group"].startswith(group)), None)

    def reason(results: Results) -> str | None:
        ours, theirs = one(results, "ours"), one(results, way)
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
    kinds = results.get("stages", {}).get("cpu", {}).get("cpu_seconds", {})
    work = ("convolution", "matrix products, FFT", "codec", "file writing")
    total = sum(kinds.values())
    rest = [(name, seconds) for name, seconds in kinds.items() if name not in work][:4]
    parts = ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in rest)
    return f"The largest of the rest: {parts}." if rest else None


def why_memory(results: Results) -> str | None:
    small = [each for each in rows(results, "memory", way="sum") if each["peak_memory_bytes"]]
    ours = row(results, "end_to_end", group="12 Mpx", way="ours")
    theirs = row(results, "end_to_end", group="12 Mpx", way="whole")
    if not small or ours is None or theirs is None:
        return None
    least = min(small, key=lambda each: each["facts"]["pixels"])
    return (
        f"{mib(theirs['peak_memory_bytes'])} beside {mib(ours['peak_memory_bytes'])}, of which Python with "
        f"its libraries and the smallest buffers are {mib(least['peak_memory_bytes'])}. Shorter shards would "
        f"do it, and take longer."
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


GRIFFIN_LIM_DB = 1.0
_DEFAULT = {"kind": "torch", "layout": "channels_last", "tuned": False}
_TUNED = {**_DEFAULT, "tuned": True}
_ONNX = {"kind": "onnx"}
_BF16 = why_forward("bf16")

TARGETS = (
    Target(
        "forward",
        "forward, 4096 x 2730, fp32: stream over whole-image torch channels_last",
        3.2,
        over_peer("fp32", dtype="fp32", **_DEFAULT),
        times,
        reason=why_forward("fp32", dtype="fp32", **_DEFAULT),
    ),
    Target(
        "forward, tuned",
        "forward, fp32: over torch with its allocator tuned",
        1.3,
        over_peer("fp32", dtype="fp32", **_TUNED),
        times,
        reason=why_forward("fp32", dtype="fp32", **_TUNED),
    ),
    Target(
        "forward, onnx",
        "forward, fp32: over ONNX Runtime fp32",
        1.1,
        over_peer("fp32", **_ONNX),
        times,
        reason=why_forward("fp32", **_ONNX),
    ),
    Target(
        "bf16",
        "forward, bf16: stream over whole-image torch bf16 channels_last",
        3.0,
        over_peer("bf16", dtype="bf16", **_DEFAULT),
        times,
        reason=_BF16,
    ),
    Target(
        "bf16, tuned",
        "forward, bf16: over torch with its allocator tuned",
        1.7,
        over_peer("bf16", dtype="bf16", **_TUNED),
        times,
        reason=_BF16,
    ),
    Target(
        "bf16, onnx",
        "forward, bf16: over ONNX Runtime fp32",
        1.9,
        over_peer("bf16", **_ONNX),
        times,
        reason=_BF16,
    ),
    Target(
        "bf16, share",
        "bf16 forward, share of the machine's measured bf16 matrix rate",
        0.75,
        lambda results: matrix_share(results, "bf16"),
        percent,
        reason=_BF16,
    ),
    Target(
        "photograph",
        "12 megapixels end to end, over the plain whole-image script",
        6.0,
        end_to_end("12 Mpx", "whole", "seconds"),
        times,
        reason=why_end_to_end("12 Mpx", "whole"),
    ),
    Target(
        "photograph, memory",
        "12 megapixels end to end, the plain script's peak memory over ours",
        12.0,
        end_to_end("12 Mpx", "whole", "memory"),
        times,
        reason=why_memory,
    ),
    Target(
        "flow",
        "short edge 1024 end to end, over netsounds' own flow",
        12.0,
        end_to_end("short edge", "flow", "seconds"),
        times,
        reason=why_end_to_end("short edge", "flow"),
    ),
    Target(
        "share",
        "share of a run's CPU time that is convolution, FFT, codec or the kernel's file writing",
        0.85,
        work_share,
        percent,
        reason=why_work_share,
    ),
    Target(
        "size",
        "seconds per megapixel at 268 Mpx over 12 Mpx",
        1.1,
        size_penalty,
        times,
        at_least=False,
        reason=why_size,
    ),
    Target(
        "gigapixel",
        "peak memory at 32,768 x 32,768, all banks, `--scheme sum --no-activations`",
        768 * 2.0**20,
        gigapixel_peak,
        mib,
        at_least=False,
        reason=why_peak,
    ),
    Target(
        "griffin-lim",
        "griffin-lim's convergence over librosa's, at as many iterations, the worst signal",
        GRIFFIN_LIM_DB,
        lambda results: max(griffin_lim_gaps(results).values(), default=None),
        decibels,
        at_least=False,
        reason=why_griffin_lim,
    ),
    Target("start-up", "`netsounds-stream --help`", 0.3, start_up, seconds, at_least=False),
)

GPU_TARGETS = (
    Target("gpu", "forward, outputs left on the device", 1000.0, gpu_rate, rate),
    Target("gpu memory", "GPU memory, at any size", 2.0**30, gpu_peak, mib, at_least=False),
)
