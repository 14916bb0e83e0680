"""How fast a machine makes runs, and how large a picture fits in it: the command `bench`.

The speed is measured: whole runs, all defaults, of the demo's picture with untrained weights, which are as
fast as trained ones. The size comes from the plan: the largest square within memory and disk.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import pyvips
import torch

from ..api import sonify
from ..base import machine
from ..errors import BudgetError, NetsoundsError
from ..graph.layers import Banks, choose_banks
from ..network.compute import devices
from ..network.networks import graph_of
from ..picture.demo_picture import draw
from ..picture.picture import open_picture
from ..planning.keywords import SonifyKeywords
from ..planning.options import UNTRAINED, Device, SonifyOptions, resolve_options
from ..planning.plan import Limits, Plan, Source
from ..planning.planner import make_plan
from ..planning.sound_options import SoundOptions

#: Width, height and runs of the measured picture, and of that with `quick`.
USUAL = ((2048, 1536), 3)
QUICK = ((1024, 768), 1)
WARM_UP = (256, 192)
#: Pictures whose time is predicted, in pixels.
FORETOLD = (12_000_000, 100_000_000, 1_000_000_000)
_LARGEST_SIDE = 1 << 19


@dataclass(frozen=True, kw_only=True)
class Speed:
    """The measured speed of one device: medians over the runs.

    Attributes:
        device: 'cpu', 'cuda' or 'mps'.
        precision: number format that the network computed in.
        pixels: pixels of the measured picture.
        network_seconds: time of the network's stage, with decoding and storing.
        sound_seconds: time of all raw sound files of a run.
        cuda_peak_bytes: largest memory that torch held on the GPU; None on other devices.
    """

    device: str
    precision: str
    pixels: int
    network_seconds: float
    sound_seconds: float
    cuda_peak_bytes: int | None

    @property
    def megapixels_per_second(self) -> float:
        """Megapixels a second, network and sound together."""
        return self.pixels / (self.network_seconds + self.sound_seconds) / 1e6

    def seconds_for(self, pixels: int) -> float:
        """Return the time for a larger or smaller picture, in proportion to the measured one.

        Args:
            pixels: number of pixels.

        Returns:
            Seconds, without the start of the process.
        """
        return pixels / self.megapixels_per_second / 1e6


@dataclass(frozen=True)
class Room:
    """The largest square picture that a run may have.

    Attributes:
        what: the run's options, in words.
        side: edge of the picture in pixels.
        limit: the budget that a larger one exceeds: 'memory' or 'disk'.
    """

    what: str
    side: int
    limit: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """Speed and room of a machine, as `bench` found them.

    Attributes:
        start_seconds: time that a process takes to start.
        speeds: one for each device that was measured.
        failed: devices that could not be measured, with the reason.
        foretold: pictures whose time is predicted: name and pixels.
        rooms: the largest pictures, for some options each.
        budget_bytes: the memory budget.
        free_disk_bytes: what is free on the disk.
    """

    start_seconds: float
    speeds: tuple[Speed, ...]
    failed: tuple[str, ...]
    foretold: tuple[tuple[str, int], ...]
    rooms: tuple[Room, ...]
    budget_bytes: int
    free_disk_bytes: int


def bench(
    options: SonifyOptions | None = None,
    *,
    image: str | Path | None = None,
    quick: bool = False,
    start_seconds: float = 0.0,
    on_note: Callable[[str], None] = lambda text: None,
    **words: Unpack[SonifyKeywords],
) -> Report:
    """Measure how fast this machine is, and how large a picture it can take.

    Makes whole runs of a drawn picture with untrained weights, in a temporary folder.

    Args:
        options: the run's options; device 'auto' measures every device that there is.
        image: file of a picture whose time is predicted too. It is not decoded.
        quick: one run of a small picture, some seconds in all.
        start_seconds: time that a process takes to start, which predictions add.
        on_note: called with a line about what is being measured.
        words: options by keyword, in place of `options`; see `SonifyKeywords`.

    Returns:
        The measured speeds, and the largest square picture within memory and disk.

    Raises:
        NetsoundsError: the device does not exist here, or the image is not a picture.

    Example:
        >>> from netsounds_stream import bench
        >>> if __name__ == "__main__":
        ...     print(bench(quick=True).speeds[0].megapixels_per_second)
    """
    options = resolve_options(options, words)
    predicted = [(f"{pixels / 1e6:.0f} megapixels", pixels) for pixels in FORETOLD]
    if image is not None:
        picture = open_picture(Path(image), options.size, options.reading)
        predicted.insert(0, (picture.path.name, picture.width * picture.height))
    (width, height), runs = QUICK if quick else USUAL
    budget = options.memory_bytes or machine.default_budget_bytes()
    with tempfile.TemporaryDirectory(prefix="netsounds-bench-") as name:
        folder = Path(name)
        disk = machine.free_disk_bytes(Path.cwd())
        limits = Limits(
            baseline_bytes=machine.resident_bytes(),
            budget_bytes=budget,
            free_disk_bytes=disk,
            threads=torch.get_num_threads(),
        )
        speeds = []
        failed = []
        for device in _devices(options.device):
            measured = replace(options, device=device, weights=UNTRAINED, label="bench", size=None)
            # the mix takes a second or a few, whatever the picture's size
            measured = replace(measured, sound=replace(options.sound, mix=False))
            if device != "cuda" and options.device == "auto":
                measured = replace(measured, gpu_memory_bytes=None)
            on_note(f"measuring {device}: {runs} x {width} x {height} pixels")
            try:
                _run(folder, WARM_UP, measured)
                speeds.append(_speed([_run(folder, (width, height), measured) for _ in range(runs)]))
            except (NetsoundsError, RuntimeError) as error:
                if device == "cpu" or options.device != "auto":
                    raise
                failed.append(f"{device}: {str(error).splitlines()[0]}")  # the others are still measured
    banks = choose_banks(graph_of(options.network), options.layers)
    usual = SonifyOptions(network=options.network, layers=options.layers).with_banks(banks)
    smaller = replace(usual, activations=False, sound=SoundOptions(schemes=("sum",)))
    rooms = tuple(
        _room(what, wanted, limits, banks)
        for what, wanted in (("all defaults", usual), ("sum only, no arrays", smaller))
    )
    return Report(
        start_seconds=start_seconds,
        speeds=tuple(speeds),
        failed=tuple(failed),
        foretold=tuple(predicted),
        rooms=rooms,
        budget_bytes=budget,
        free_disk_bytes=disk,
    )


def _devices(device: Device) -> tuple[Device, ...]:
    return devices() if device == "auto" else (device,)


def _run(folder: Path, size: tuple[int, int], options: SonifyOptions) -> Speed:
    """Make one run of a picture of `size`, width and height, and return its speed."""
    path = folder / f"{size[0]}x{size[1]}.jpg"
    if not path.exists():
        pyvips.Image.new_from_array(draw(*size)).jpegsave(str(path), Q=90)
    record = sonify(path, folder / "run", options, overwrite=True).record
    seconds = record["seconds"]
    sound = sum(took for stage, took in seconds.items() if stage.startswith("sound"))
    return Speed(
        device=record["computed"]["device"],
        precision=record["computed"]["precision"],
        pixels=size[0] * size[1],
        network_seconds=seconds["network"] + seconds.get("decode", 0.0),
        sound_seconds=sound,
        cuda_peak_bytes=record["cuda_peak_bytes"],
    )


def _speed(runs: list[Speed]) -> Speed:
    """Return the median speed of several runs."""
    return replace(
        runs[-1],
        network_seconds=statistics.median(run.network_seconds for run in runs),
        sound_seconds=statistics.median(run.sound_seconds for run in runs),
    )


def _room(what: str, options: SonifyOptions, limits: Limits, banks: Banks) -> Room:
    """Search for the largest square whose plan is within the limits, by halving.

    Args:
        what: the options in words.
        options: options of the run.
        limits: memory and disk of the machine.
        banks: the network's banks.

    Returns:
        The largest square, and the budget that a larger one exceeds.
    """

    def planned(side: int) -> Plan:
        return make_plan(Source(height=side, width=side), options, limits, banks)

    def fits(side: int) -> bool:
        try:
            planned(side).check()
        except BudgetError:
            return False
        return True

    largest_fitting = banks.smallest_side - 1
    smallest_beyond = _LARGEST_SIDE
    while smallest_beyond - largest_fitting > 1:
        middle = (largest_fitting + smallest_beyond) // 2
        if fits(middle):
            largest_fitting = middle
        else:
            smallest_beyond = middle
    beyond = planned(smallest_beyond)
    limit = "memory" if beyond.peak_memory_bytes > beyond.budget_bytes else "disk"
    return Room(what, largest_fitting, limit)
