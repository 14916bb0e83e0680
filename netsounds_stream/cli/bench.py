"""A user's two questions about their machine: how fast will my picture go, and how large a picture fits?

The first is measured: whole runs, all defaults, on the demonstration picture with untrained weights, whose
speed is that of trained ones. The second is the plan's: the largest square within memory and disk.
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
from ..network.compute import devices
from ..network.weights import UNTRAINED
from ..picture.demo_picture import draw
from ..picture.picture import open_picture
from ..planning.geometry import SMALLEST_SIDE
from ..planning.keywords import SonifyKeywords
from ..planning.options import Device, SonifyOptions, resolve_options
from ..planning.plan import Limits, Plan, Source
from ..planning.planner import make_plan
from ..planning.sound_options import SoundOptions

#: Width, height and runs of the measured picture, and of the quick form.
USUAL, QUICK = ((2048, 1536), 3), ((1024, 768), 1)
WARM_UP = (256, 192)
#: Pictures whose time is foretold, in pixels.
FORETOLD = (12_000_000, 100_000_000, 1_000_000_000)
_LARGEST_SIDE = 1 << 19


@dataclass(frozen=True)
class Speed:
    """The measured speed of one device: medians over the runs.

    Attributes:
        device: 'cpu', 'cuda' or 'mps'.
        precision: what was computed in.
        pixels: of the measured picture.
        network_seconds: time of the network's stage, with decoding and storing.
        sound_seconds: time of all raw sound files of a run.
        cuda_peak_bytes: what torch held on the GPU at most; None on other devices.
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
        what: the options that are meant, in words.
        side: its edge in pixels.
        limit: which budget ends it: 'memory' or 'disk'.
    """

    what: str
    side: int
    limit: str


@dataclass(frozen=True)
class Report:
    """What `bench` found.

    Attributes:
        start_seconds: time that a process takes to start.
        speeds: one for each device that was measured.
        failed: devices that could not be measured, with the reason.
        foretold: pictures whose time is predicted: name and pixels.
        rooms: the largest pictures.
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
    foretold = [(f"{pixels / 1e6:.0f} megapixels", pixels) for pixels in FORETOLD]
    if image is not None:
        picture = open_picture(Path(image), options.size)
        foretold.insert(0, (picture.path.name, picture.width * picture.height))
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
        speeds, failed = [], []
        for device in _devices(options.device):
            asked = replace(options, device=device, weights=UNTRAINED, label="bench", size=None)
            # the mix takes a second or a few, whatever the picture's size
            asked = replace(asked, sound=replace(options.sound, mix=False))
            if device != "cuda" and options.device == "auto":
                asked = replace(asked, gpu_memory_bytes=None)
            on_note(f"measuring {device}: {runs} x {width} x {height} pixels")
            try:
                _run(folder, WARM_UP, asked)
                speeds.append(_speed([_run(folder, (width, height), asked) for _ in range(runs)]))
            except (NetsoundsError, RuntimeError) as error:
                if device == "cpu" or options.device != "auto":
                    raise
                failed.append(f"{device}: {str(error).splitlines()[0]}")  # the rest is not lost for it
    rooms = tuple(
        _room(what, each, limits)
        for what, each in (
            ("all defaults", SonifyOptions()),
            ("sum only, no arrays", SonifyOptions(activations=False, sound=SoundOptions(schemes=("sum",)))),
        )
    )
    return Report(start_seconds, tuple(speeds), tuple(failed), tuple(foretold), rooms, budget, disk)


def _devices(asked: Device) -> tuple[Device, ...]:
    return devices() if asked == "auto" else (asked,)


def _run(folder: Path, size: tuple[int, int], options: SonifyOptions) -> Speed:
    path = folder / f"{size[0]}x{size[1]}.jpg"
    if not path.exists():
        pyvips.Image.new_from_array(draw(*size)).jpegsave(str(path), Q=90)
    record = sonify(path, folder / "run", options, overwrite=True).record
    seconds = record["seconds"]
    sound = sum(each for stage, each in seconds.items() if stage.startswith("sound"))
    return Speed(
        device=record["computed"]["device"],
        precision=record["computed"]["precision"],
        pixels=size[0] * size[1],
        network_seconds=seconds["network"] + seconds.get("decode", 0.0),
        sound_seconds=sound,
        cuda_peak_bytes=record["cuda_peak_bytes"],
    )


def _speed(runs: list[Speed]) -> Speed:
    network, sound = (
        statistics.median(each)
        for each in zip(*((r.network_seconds, r.sound_seconds) for r in runs), strict=True)
    )
    return replace(runs[-1], network_seconds=network, sound_seconds=sound)


def _room(what: str, options: SonifyOptions, limits: Limits) -> Room:
    def planned(side: int) -> Plan:
        return make_plan(Source(height=side, width=side), options, limits)

    def fits(side: int) -> bool:
        try:
            planned(side).check()
        except BudgetError:
            return False
        return True

    low, high = SMALLEST_SIDE - 1, _LARGEST_SIDE
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    over = planned(high)
    return Room(what, low, "memory" if over.peak_memory_bytes > over.budget_bytes else "disk")
