"""What the machine can do at most: its matrix rate and its copy bandwidth, best of several."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from passes import DTYPES
from report import report


def best(once: Callable[[], object], settle: Callable[[], None], rounds: int) -> float:
    """Least seconds of `once`."""
    least = float("inf")
    for _ in range(rounds + 1):  # the first is never the best
        started = time.perf_counter()
        once()
        settle()
        least = min(least, time.perf_counter() - started)
    return least


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtypes", nargs="+", choices=tuple(DTYPES), default=["fp32"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int, default=4096, help="rows of the matrices")
    parser.add_argument("--copied-mib", type=int, default=1024, help="bytes of the copy, in MiB")
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    device, size = torch.device(given.device), given.size
    settle = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    started, facts = time.perf_counter(), {}
    for name in given.dtypes:
        left, right = (torch.rand(size, size, device=device).to(DTYPES[name]) for _ in range(2))
        out = torch.empty_like(left)
        ways = [lambda: torch.matmul(left, right, out=out)]  # noqa: B023
        if device.type == "cpu" and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
            # torch takes its BLAS for fp32; where that is MKL on an AMD processor, oneDNN is twice as fast
            product = torch.ops.mkldnn._linear_pointwise.default
            ways.append(lambda: product(left, right, None, "none", [], ""))  # noqa: B023
        seconds = min(best(way, settle, given.times) for way in ways)
        facts[f"{name}_flop_per_second"] = 2 * size**3 / seconds
    source = torch.ones(given.copied_mib << 18, dtype=torch.float32, device=device)
    target = torch.ones_like(source)  # written once, so that the copy meets no fresh page
    seconds = best(lambda: target.copy_(source), settle, given.times)
    facts["copy_bytes_per_second"] = 2 * source.nbytes / seconds  # read and written
    if device.type == "cuda":
        pinned = torch.ones(given.copied_mib << 18, pin_memory=True)
        for name, copy in (
            ("host_to_device", lambda: target.copy_(pinned, non_blocking=True)),
            ("device_to_host", lambda: pinned.copy_(source, non_blocking=True)),
        ):
            facts[f"{name}_bytes_per_second"] = source.nbytes / best(copy, settle, given.times)
    report(time.perf_counter() - started, **facts)


if __name__ == "__main__":
    main()
