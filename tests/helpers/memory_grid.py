"""Real runs over sizes, shapes, schemes, codecs, dtypes and thread counts: memory planned and measured."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.reference import PROGRAM, large_picture

# Width and height in pixels: small, usual, strips both ways, the narrowest, a narrow one, a spooled one.
SIZES = (
    *((300, 200), (1400, 900), (900, 1400), (8000, 64), (64, 8000)),
    *((21, 30000), (9000, 300), (5300, 4300)),
)
#: Of the one that is past what is kept in memory.
SPOOLED_PIXELS = 5300 * 4300
SCHEMES = (
    (),
    ("--scheme", "sum", "--no-activations"),
    ("--scheme", "filters", "--balance", "filter", "--scale", "minmax"),
    ("--scheme", "concat", "--subtype", "FLOAT"),
    (
        *("--method", "istft", "--scheme", "sum", "--scheme", "concat"),
        *("--top", "4", "--stereo", "--duration", "3"),
    ),
    (
        *("--method", "griffin-lim", "--scheme", "sum", "--pan", "centroid", "--balance", "filter"),
        *("--format", "flac", "--loudness", "-20", "--fft-size", "8192", "--duration", "4"),
    ),
    (
        *("--method", "istft", "--scheme", "sum", "--scheme", "concat", "--top", "3", "--duration", "3"),
        *("--scale-notes", "cents:12", "--fmin", "20", "--fmax", "20000", "--equal-loudness"),
    ),
)
CODECS = ("lz4", "zstd", "pcodec", "none")
PRECISIONS = ("fp32", "bf16")
THREADS = (1, 2, 4)
REPORTS = (True, True, False)


@dataclass(frozen=True)
class Case:
    """One run. `tight`: in the smallest budget that the plan takes, not in the default one."""

    width: int
    height: int
    scheme: tuple[str, ...]
    codec: str
    precision: str
    threads: int
    tight: bool
    report: bool
    network: str = "squeezenet1_0"

    def __str__(self) -> str:
        words = f"{self.width}x{self.height} {' '.join(self.scheme)} {self.codec} {self.precision}"
        more = (", tight" if self.tight else "") + ("" if self.report else ", no report")
        return f"{self.network} {words} {self.threads} threads{more}"


#: Other networks: of branches that wait, of many layers alive at once, of small kernels on many channels, of
#: values below zero, of large kernels, at the picture's own resolution.
OF_OTHER_NETWORKS = (
    Case(1400, 900, (), "lz4", "fp32", 2, False, True, "resnet18"),
    Case(1000, 1300, ("--scheme", "concat"), "zstd", "fp32", 2, True, False, "googlenet"),
    Case(1200, 800, (), "lz4", "fp32", 2, False, False, "densenet121"),
    Case(6000, 96, ("--scheme", "sum", "--no-activations"), "lz4", "fp32", 2, True, True, "mobilenet_v2"),
    Case(1100, 700, (), "lz4", "fp32", 1, False, True, "convnext_tiny"),
    Case(900, 600, (), "lz4", "fp32", 4, True, False, "vgg11_bn"),
)


@dataclass(frozen=True)
class Measured:
    """Peaks in bytes, and how the picture waited for the network (`Plan.picture_stored`)."""

    case: Case
    measured: int
    planned: int
    budget: int
    stored: str


def chosen(count: int, seed: int) -> list[Case]:
    """`count` cases out of all combinations, every single value among them."""
    everything = [SIZES, SCHEMES, CODECS, PRECISIONS, THREADS, (False, True), REPORTS]
    rng = random.Random(seed)
    # Each column by itself runs through all its values: so none is left out, and rows are not alike.
    columns = []
    for values in everything:
        column = list(itertools.islice(itertools.cycle(values), count))
        rng.shuffle(column)
        columns.append(column)
    cases = [Case(*size, *rest) for size, *rest in zip(*columns, strict=True)]
    # bf16 is emulated on most chips, at a hundredth of the speed: on small pictures only
    return [
        Case(300, 200, *row) if case.precision == "bf16" and case.width * case.height > 1e5 else case
        for case in cases
        for row in [(case.scheme, case.codec, case.precision, case.threads, case.tight, case.report)]
    ]


def measure(case: Case, folder: Path, weights: Path) -> Measured:
    """Run the command; what it was made of is removed."""
    picture = folder / "grid.jpg"
    large_picture(case.width, case.height, picture)
    words = ["sonify", picture, "--out", folder / "grid", "--json", "--quiet", "--network", case.network]
    words += ["--weights", weights if case.network == "squeezenet1_0" else "untrained"]
    words += [
        "--codec",
        case.codec,
        "--precision",
        case.precision,
        *case.scheme,
        *(() if case.report else ("--no-report",)),
    ]
    environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(case.threads))}

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        command = [str(word) for word in (PROGRAM, *words, *more)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    memory: tuple[str, ...] = ()
    if case.tight:
        needed = re.search(r"needs (\d+) MiB of memory", run("--memory", "1MiB").stderr)
        assert needed is not None
        memory = ("--memory", f"{int(needed[1]) + 8}MiB")  # what a process begins with varies
    done = run(*memory)
    assert done.returncode == 0, (str(case), done.stderr)
    record = json.loads(done.stdout)
    shutil.rmtree(folder / "grid")
    picture.unlink()
    plan = record["plan"]
    return Measured(
        case=case,
        measured=record["peak_memory_bytes"],
        planned=plan["peak_memory_bytes"],
        budget=plan["budget_bytes"],
        stored=plan["picture_stored"],
    )
