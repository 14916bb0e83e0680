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
    over_peer,
    percent,
    rate,
    seconds,
    size_penalty,
    start_up,
    strip_share,
    times,
    work_share,
)
from reasons import (
    GRIFFIN_LIM_DB,
    why_end_to_end,
    why_forward,
    why_griffin_lim,
    why_memory,
    why_peak,
    why_size,
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
