"""What the workers of the forward question share: the same input, the same timing, the same samples.

All of them take a picture's file and give the same 12 rows of every bank, so that any two compare. The
reference's samples are a file that the question has made first.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvips
import torch
from numpy.typing import NDArray
from report import report

from netsounds_stream.base.machine import peak_resident_bytes
from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.network.model_zoo import Preprocessing

Floats = NDArray[np.float32]

# At least so many timed passes and so long; but no further pass once `_ENOUGH_SECONDS` are over.
_PASSES, _SECONDS, _ENOUGH_SECONDS = 3, 2.0, 10.0
_SAMPLED_ROWS = 12
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Samples:
    """Some rows of each bank, `[channel, row, cross]` by bank number, and each bank's largest value."""

    rows: Mapping[int, Floats]
    largest: Mapping[int, float]

    def save(self, path: Path) -> None:
        arrays = {f"rows{number}": rows for number, rows in self.rows.items()}
        arrays |= {f"largest{number}": np.float32(value) for number, value in self.largest.items()}
        np.savez(path, **arrays)

    def error(self, reference: Path) -> float:
        """The largest difference from the samples there, relative to that bank's largest value."""
        with np.load(reference) as kept:
            return max(
                float(np.abs(rows - kept[f"rows{number}"]).max() / kept[f"largest{number}"])
                for number, rows in self.rows.items()
            )


def arguments(text: str | None) -> argparse.ArgumentParser:
    """The options of every forward worker."""
    parser = argparse.ArgumentParser(description=(text or "").splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("weights")
    parser.add_argument("--dtype", choices=tuple(DTYPES), default="fp32")
    parser.add_argument("--quick", action="store_true", help="one timed pass")
    parser.add_argument("--reference", type=Path, help="samples to compare with")
    parser.add_argument("--save", type=Path, help="where to leave this worker's samples")
    return parser


def normalised_picture(path: Path) -> torch.Tensor:
    """The picture as the weights were trained: `[rgb, y, x]`, float32, colours innermost in memory."""
    image = pyvips.Image.new_from_file(str(path), access="sequential")
    pixels = torch.from_numpy(image[0:3].numpy().astype(np.float32))
    trained = Preprocessing()
    return pixels.div_(255).sub_(torch.tensor(trained.mean)).div_(torch.tensor(trained.std)).permute(2, 0, 1)


def timed(
    prepare: Callable[[], Callable[[], object]], *, quick: bool, settle: Callable[[], None] = lambda: None
) -> float:
    """Median seconds of a pass, after one to warm up.

    `prepare` gives one pass, ready to run, and is not timed itself; `settle` waits for a device.
    """
    prepare()()
    settle()
    seconds: list[float] = []
    while not seconds or not quick:
        once = prepare()
        started = time.perf_counter()
        once()
        settle()
        seconds.append(time.perf_counter() - started)
        enough = len(seconds) >= _PASSES and sum(seconds) >= _SECONDS
        if enough or sum(seconds) >= _ENOUGH_SECONDS:
            break
    return statistics.median(seconds)


def sampled_rows(number: int, height: int) -> list[int]:
    """The rows of a bank that are compared: some, and both edges, where padding and `ceil_mode` show."""
    rows = usual_banks().length(number, "y", height)
    between = np.linspace(0, rows - 1, _SAMPLED_ROWS).round().astype(int)
    return sorted({*between.tolist(), min(1, rows - 1), max(0, rows - 2)})


def samples_of(banks: Mapping[int, torch.Tensor], height: int) -> Samples:
    """Samples out of whole banks `[channel, y, x]`."""
    return Samples(
        {
            number: bank[:, sampled_rows(number, height)].float().cpu().numpy()
            for number, bank in banks.items()
        },
        {number: float(bank.max()) for number, bank in banks.items()},
    )


def finish(
    given: argparse.Namespace, seconds: float, samples: Callable[[], Samples], **facts: object
) -> None:
    """Report; the peak is read before the samples are taken, which are none of the work."""
    peak = peak_resident_bytes()
    error = None
    if given.save or given.reference:
        taken = samples()
        assert set(taken.rows) == {bank.number for bank in usual_banks().banks}
        if given.save:
            taken.save(given.save)
        if given.reference:
            error = taken.error(given.reference)
    report(seconds, peak_memory_bytes=peak, error=error, **facts)
