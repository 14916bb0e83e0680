"""One case of the frame-length question: one library inverts real frames of many lengths.

Every way gives the first half of real(ifft(x)) of each frame, contiguous float32. Errors are against
numpy's ifft in float64, relative to the largest sample.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numpy as np
import torch
from report import report

from netsounds_stream.sound.dsp.half_ifft import half_frames


def by_package() -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda frames: half_frames(frames).contiguous()


def by_torch() -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda frames: torch.fft.rfft(frames, norm="forward").real.contiguous()


def by_scipy() -> Callable[[torch.Tensor], torch.Tensor]:
    import scipy.fft

    cores = len(os.sched_getaffinity(0))

    def invert(frames: torch.Tensor) -> torch.Tensor:
        spectrum = scipy.fft.rfft(frames.numpy(), norm="forward", workers=cores)
        return torch.from_numpy(np.ascontiguousarray(spectrum.real))

    return invert


def by_ducc0() -> Callable[[torch.Tensor], torch.Tensor]:
    import ducc0

    def invert(frames: torch.Tensor) -> torch.Tensor:
        # inorm 2: divided by the length; nthreads 0: all cores
        spectrum = ducc0.fft.r2c(frames.numpy(), axes=(-1,), inorm=2, nthreads=0)
        return torch.from_numpy(np.ascontiguousarray(spectrum.real))

    return invert


WAYS = {"package": by_package, "torch": by_torch, "scipy": by_scipy, "ducc0": by_ducc0}


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("way", choices=tuple(WAYS))
    parser.add_argument("lengths", type=int, nargs="+")
    parser.add_argument("--values", type=int, default=1 << 20, help="samples inverted at a time")
    parser.add_argument("--times", type=int, default=9)
    given = parser.parse_args()
    invert, rows, started = WAYS[given.way](), [], time.perf_counter()
    for length in given.lengths:
        frames = torch.rand(
            max(1, given.values // length), length, generator=torch.Generator().manual_seed(length)
        )
        exact = np.fft.ifft(frames[:8].double().numpy()).real[:, : length // 2 + 1]
        error = np.abs(invert(frames)[:8].numpy() - exact).max() / np.abs(exact).max()
        best = float("inf")
        for _ in range(given.times):
            mark = time.perf_counter()
            invert(frames)
            best = min(best, time.perf_counter() - mark)
        rate = frames.numel() / best
        rows.append({"length": length, "samples_per_second": rate, "error": float(error)})
    report(time.perf_counter() - started, lengths=rows, error=max(row["error"] for row in rows))


if __name__ == "__main__":
    main()
