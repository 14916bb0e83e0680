"""Files damaged at random: small valid ones of every format, and what became of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from netsounds_stream.api import sonify
from netsounds_stream.graph.usual import usual_graph
from netsounds_stream.network.weights import usual_shapes
from tests.helpers.hostile_files import rf64, write_pictures
from tests.helpers.mutation_worker import PLACES, sources

ROOT = Path(__file__).parents[2]


COUNT = int(os.environ.get("NETSOUNDS_MUTATIONS", "1000"))


_OF_THE_FILE = {"PictureError", "WeightsError", "StoreError", "NotOursError", "OutputError"}


@dataclass
class Outcomes:
    """What became of damaged files: how many of a kind ended how, and those that must not."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)
    answers: list[dict[str, str]] = field(default_factory=list)
    peak_bytes: int = 0

    def by_outcome(self) -> Counter[str]:
        """Over all kinds."""
        total: Counter[str] = Counter()
        for (_, outcome), count in self.counts.items():
            total[outcome] += count
        return total


def write_sources(folder: Path) -> None:
    """Small valid files of everything that is opened: pictures, weights, arrays of every codec, sounds."""
    pictures = write_pictures(folder)
    state = {name: torch.full(shape, 0.005) for name, shape in usual_shapes(usual_graph()).items()}
    torch.save(state, folder / "zip.pth")
    torch.save(state, folder / "old.pth", _use_new_zipfile_serialization=False)
    from safetensors.torch import save_file

    save_file(state, folder / "plain.safetensors")
    with tempfile.TemporaryDirectory() as elsewhere:
        for codec in ("lz4", "zstd", "pcodec", "none"):
            words = {"weights": str(folder / "zip.pth"), "banks": (4,), "scheme": "sum", "label": "x"}
            words |= {"mix": False, "report": False}
            run = sonify(pictures[4], Path(elsewhere) / codec, codec=codec, **words)
            (run.folder / "activations-4_x.zarr").rename(folder / f"{codec}.zarr")
            (run.folder / "activations-4_x_sum.wav").rename(folder / "plain.wav")
    np.save(folder / "plain.npy", np.ones((3, 9, 9), np.float16))
    (folder / "long.wav").write_bytes(rf64(500, 500))


def outcomes(folder: Path, how: str, count: int) -> Outcomes:
    """Have `count` damaged files opened, by as many workers, one after another, as their crashes ask for."""
    found, number = Outcomes(), 0
    files = sources(folder)
    while number < count:
        worker = subprocess.run(
            [sys.executable, "-m", "tests.helpers.mutation_worker", folder, how, str(number), str(count)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
        for line in map(json.loads, worker.stdout.splitlines()):
            if "peak_bytes" in line:
                found.peak_bytes = max(found.peak_bytes, line["peak_bytes"])
                continue
            number = line["number"] + 1
            found.answers.append(line)
            _count(found, line)
        said = worker.stderr.strip()
        if worker.returncode != 0:  # it ended on `number`
            name = files[number // PLACES] if how == "cut" else files[number % len(files)]
            found.counts[name.suffix or name.parts[0], "crash"] += 1
            found.defects.append(f"{how} {number}, {name}: ended with {worker.returncode}: {said[-300:]}")
            number += 1
        elif said:
            found.defects.append(f"{how}: said beside the errors: {said[-2000:]}")
    return found


def _count(found: Outcomes, line: dict[str, str]) -> None:
    name, outcome, text = Path(line["file"]), line["outcome"], line["text"]
    kind = name.parts[0] if len(name.parts) > 1 else name.suffix
    found.counts[kind, outcome] += 1
    where = f"{line['number']}, {name}: {text}"
    if outcome == "defect":
        found.defects.append(where)
    elif outcome in _OF_THE_FILE and (name.parts[0] not in text or not any(mark in text for mark in ";,")):
        found.defects.append(f"names no file or no mend: {where}")
