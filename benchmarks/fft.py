"""Which way to invert a frame is faster at which length: `python benchmarks/fft.py`.

torch's half-spectrum FFT and the product with a cosine matrix, in turn, best of several; million samples a
second (whole frames counted). `transform` chooses by what this prints.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from results import write_result

from netsounds_stream.transform import _cosines, _folded, _matrix_is_faster

LENGTHS = (188, 251, 254, 377, 502, 512, 754, 755, 1006, 1021, 1509, 1597, 2013, 2045, 2048, 4093)
VALUES, ROUNDS = 1 << 20, 9


def main() -> None:
    rows = []
    for length in LENGTHS:
        frames = torch.rand(VALUES // length, length)
        matrix = _cosines(length, frames.device)
        ways: dict[str, Callable[[], object]] = {
            "fft": lambda frames=frames: torch.fft.rfft(frames, norm="forward").real.contiguous(),
            "matrix": lambda frames=frames, matrix=matrix: _folded(frames) @ matrix,
        }
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(ROUNDS):
            for name, way in ways.items():
                started = time.perf_counter()
                way()
                best[name] = min(best[name], time.perf_counter() - started)
        rate = {name: round(frames.numel() / seconds / 1e6) for name, seconds in best.items()}
        chosen = "matrix" if _matrix_is_faster(length) else "fft"
        rows.append({"length": length, **rate, "chosen": chosen})
        print(rows[-1])
    write_result("fft", {"unit": "Msamples/s", "rows": rows})


if __name__ == "__main__":
    main()
