"""How people call the package, for the type checker (`make check`); a test runs it, too.

An `ignore` that nothing needs is an error in mypy's strict mode: so each of them says that a mistake is seen.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netsounds_stream import (
    Layer,
    Plan,
    Run,
    SonifyKeywords,
    SonifyOptions,
    SoundOptions,
    layers,
    plan,
    plan_batch,
    render,
    sonify,
    verify,
)


def planned(picture: Path, out: Path) -> tuple[Plan, Plan]:
    """Options by keyword and as a value."""
    words: SonifyKeywords = {"size": 64, "weights": "untrained", "banks": (2, 3), "fmin": 60}
    by_value = SonifyOptions(size=64, weights="untrained", sound=SoundOptions(fmin_hz=60))
    return plan(picture, out, **words), plan(str(picture), str(out), by_value)


def made(picture: Path, out: Path) -> Run:
    """A run, and sound again out of one of its arrays."""
    run = sonify(picture, out, size="native", weights="untrained", banks=4, scheme=("sum",), memory="2GiB")
    array = next(path for path in map(Path, run.files) if path.suffix == ".zarr")
    render(array, out / "again.flac", method="istft", phase="zero", filters=(3, 17), duration=0.5)
    return run


def in_memory(out: Path) -> tuple[Plan, Run]:
    """Pictures that are in memory: PIL's and numpy's."""
    pixels: NDArray[np.uint8] = np.zeros((40, 60, 3), np.uint8)
    made = sonify(pixels, out, weights="untrained", banks=4, scheme=(), mix=False, report=False)
    return plan(Image.new("L", (60, 40)), out, weights="untrained"), made


def tapped() -> dict[str, Layer]:
    """The network's layers by name."""
    return {layer.name: layer for layer in layers() if layer.nonnegative}


def mistaken(picture: Path, out: Path) -> None:
    """What a type checker marks; never called."""
    sonify(picture, out, szie=512)  # type: ignore[call-arg]
    sonify(picture, out, codec="gzip")  # type: ignore[arg-type]
    sonify(picture, out, banks="all")  # type: ignore[arg-type]
    plan_batch([picture], out, balance="filters")  # type: ignore[arg-type]
    verify(picture, hop=512)  # type: ignore[call-arg]
    render(out, out / "a.wav", scheme="filters")  # type: ignore[arg-type]
    SonifyOptions(device="gpu")  # type: ignore[arg-type]
    SoundOptions(phase="griffin-lim")  # type: ignore[arg-type]
