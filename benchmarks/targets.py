"""What was to be reached, as data: each target's bound, the measured value out of the results, and the reason
where it is missed. Words are written here and in `reasons`; every figure comes from `results/`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from figures import (
    Results,
    decibels,
    end_to_end,
    gigapixel_peak,
    gpu_peak,
    gpu_rate,
    griffin_lim_gaps,
    matrix_share,
    mib,
    over_before,
    over_peer,
    percent,
    rate,
    report_seconds,
    report_share,
    seconds,
    size_penalty,
    start_up,
    strip_share,
    times,
    together,
    work_share,
)
from reasons import (
    GRIFFIN_LIM_DB,
    why_before,
    why_end_to_end,
    why_forward,
    why_griffin_lim,
    why_memory,
    why_peak,
    why_size,
    why_together,
    why_work_share,
)


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


def _forward(key: str, what: str, bound: float, ours_in: str, **peer: Any) -> Target:
    """The stream in this dtype over a whole-image peer."""
    value, reason = over_peer(ours_in, **peer), why_forward(ours_in, **peer)
    return Target(key, f"forward, {what}", bound, value, times, reason=reason)


def _over_script(key: str, what: str, bound: float, group: str, mine: str) -> Target:
    """Ours, whole processes, over the plain whole-image script."""
    value = end_to_end(group, "whole", "seconds", mine)
    what = f"{what}, over the plain whole-image script"
    return Target(key, what, bound, value, times, reason=why_end_to_end(group, "whole", mine))


_TORCH = {"kind": "torch", "layout": "channels_last", "tuned": False}
_TUNED = {**_TORCH, "tuned": True}
_OVER = "stream over whole-image torch"

TARGETS = (
    _forward("forward", f"4096 x 2730, fp32: {_OVER} channels_last", 3.2, "fp32", dtype="fp32", **_TORCH),
    _forward(
        "forward, tuned", "fp32: over torch with its allocator tuned", 1.3, "fp32", dtype="fp32", **_TUNED
    ),
    _forward("forward, onnx", "fp32: over ONNX Runtime fp32", 1.1, "fp32", kind="onnx"),
    _forward("bf16", f"bf16: {_OVER} bf16 channels_last", 3.0, "bf16", dtype="bf16", **_TORCH),
    _forward("bf16, tuned", "bf16: over torch with its allocator tuned", 1.7, "bf16", dtype="bf16", **_TUNED),
    _forward("bf16, onnx", "bf16: over ONNX Runtime fp32", 1.9, "bf16", kind="onnx"),
    Target(
        "bf16, share",
        "bf16 forward, share of the machine's measured bf16 matrix rate",
        0.75,
        lambda results: matrix_share(results, "bf16"),
        percent,
        reason=why_forward("bf16"),
    ),
    Target(
        "before",
        "12 megapixels with `concat`, the mix and the page: CPU seconds of the version before over ours",
        1.9,
        lambda results: over_before(results, "12 Mpx", "with concat"),
        times,
        reason=why_before,
    ),
    _over_script("photograph", "12 megapixels, all defaults", 4.0, "12 Mpx", "defaults"),
    _over_script("photograph, alike", "12 megapixels, the script's own work", 5.0, "12 Mpx", "alike"),
    _over_script("short edge", "short edge 1024, all defaults", 1.8, "short edge", "defaults"),
    _over_script("megapixel", "1 megapixel, all defaults", 1.8, "1 Mpx", "defaults"),
    Target(
        "flow",
        "short edge 1024, all defaults, over netsounds' own flow",
        4.0,
        end_to_end("short edge", "flow", "seconds", "defaults"),
        times,
        reason=why_end_to_end("short edge", "flow", "defaults"),
    ),
    Target(
        "photograph, memory",
        "12 megapixels, all defaults: the plain script's peak memory over ours",
        13.0,
        end_to_end("12 Mpx", "whole", "memory", "defaults"),
        times,
        reason=why_memory,
    ),
    Target(
        "report",
        "12 megapixels, all defaults: the report's share of the run",
        0.1,
        report_share,
        percent,
        at_least=False,
    ),
    Target(
        "report, megapixel",
        "1 megapixel, all defaults: the report",
        0.5,
        lambda results: report_seconds(results, "1 Mpx"),
        seconds,
        at_least=False,
    ),
    Target(
        "two at once",
        "two runs at once, over one alone",
        2.2,
        lambda results: together(results, "two at once", "one run"),
        times,
        at_least=False,
    ),
    Target(
        "jobs",
        "two pictures one after another, over `--jobs 2`",
        1.6,
        lambda results: together(results, "one after another", "by --jobs 2"),
        times,
        reason=why_together,
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
        1.0,
        size_penalty,
        times,
        at_least=False,
        reason=why_size,
    ),
    Target(
        "strip",
        "the network's stage in a strip 64 pixels wide, Mpx/s over those in a picture 2449 wide",
        0.5,
        strip_share,
        times,
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
