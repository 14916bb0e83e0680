"""One case of the forward question, ours: a RowStream over bands prepared beforehand; pushes and flush timed.

Hooks sit on the four banks and do nothing, so that their rows are really given out. The band height is
`--band`, or the one that `plan` chooses for this picture streamed along y; the heap is set as in a run.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from passes import DTYPES, Samples, arguments, finish, normalised_picture, sampled_rows, timed

from netsounds_stream import Plan, RowBlock, RowStream, load_network, plan
from netsounds_stream.base.machine import tune_heap
from netsounds_stream.base.pipeline import Pipeline
from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.network.stream import Band


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--band", type=int)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    planned = planned_run(given)
    rows = given.band or planned.band_rows
    tune_heap()
    device, dtype = torch.device(given.device), DTYPES[given.dtype]
    network = load_network(weights=given.weights).captured
    picture = normalised_picture(given.picture).to(device, dtype)
    height = picture.shape[1]
    # Bands as a decoder gives them, colours innermost, each in memory of its own.
    bands = [band.clone() for band in picture.split(rows, dim=1)]
    del picture

    def ready(hooks: Mapping[str, Callable[[RowBlock], None]]) -> Callable[[], None]:
        """One pass over a new stream with these hooks."""
        stream = RowStream(network, hooks, dtype=dtype, device=device)
        pipeline = Pipeline(planned.workers, partial(torch.set_num_threads, planned.threads_each))

        def enter(band: torch.Tensor | None) -> Band:
            return stream.ending() if band is None else stream.enter(band)

        return lambda: pipeline.run([*bands, None], enter, stream.stages)

    given_out: dict[str, Callable[[RowBlock], None]] = {
        bank.layer: lambda block: None for bank in usual_banks().banks
    }

    settle = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = timed(lambda: ready(given_out), quick=given.quick, settle=settle)
    cuda_peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else None

    def samples() -> Samples:
        gathered = {bank.number: Gathered(sampled_rows(bank.number, height)) for bank in usual_banks().banks}
        ready({bank.layer: gathered[bank.number].take for bank in usual_banks().banks})()
        return Samples(
            {number: np.concatenate(each.rows, axis=1) for number, each in gathered.items()},
            {number: each.largest for number, each in gathered.items()},
        )

    finish(given, seconds, samples, band_rows=rows, cuda_peak_bytes=cuda_peak)


class Gathered:
    """A hook that keeps the wanted rows of a bank, and its largest value."""

    def __init__(self, wanted: list[int]) -> None:
        self._wanted = wanted
        self.rows: list[np.ndarray] = []
        self.largest = 0.0

    def take(self, block: RowBlock) -> None:
        self.largest = max(self.largest, *(float(part.max()) for part in block.parts))
        inside = [row - block.start for row in self._wanted if 0 <= row - block.start < block.rows]
        if inside:
            self.rows.append(block.tensor()[:, inside].float().cpu().numpy())


def planned_run(given: argparse.Namespace) -> Plan:
    """The plan of a run over this picture, time along y, on the same device."""
    words = {"time_axis": "y", "weights": given.weights, "precision": given.dtype, "device": given.device}
    with tempfile.TemporaryDirectory(prefix="netsounds-") as folder:
        return plan(given.picture, folder, **words)


if __name__ == "__main__":
    main()
