"""Damaged files through the real openers, in a process of its own: what a run does with them, file by file.

Run as `python -m tests.helpers.mutation_worker FOLDER HOW FIRST LAST`: for each number from FIRST to before
LAST, a file of FOLDER is damaged, written to FOLDER/damaged under its own name, and opened. A line of JSON
a number on stdout. HOW is 'flip' (bits, bytes and stretches changed, seeded by the number) or 'cut' (number
a file's twenty places, one after another). A loader that hangs is ended by an alarm, one that crashes ends
this process: either way the number that is missing says on what.
"""

from __future__ import annotations

import hashlib
import json
import random
import resource
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from netsounds_stream.base import machine
from netsounds_stream.base.progress import Stages
from netsounds_stream.errors import NetsoundsError
from netsounds_stream.network.networks import load_network
from netsounds_stream.picture.picture import measured, open_picture, slabs, small_upright, write_spool
from netsounds_stream.planning.options import SonifyOptions
from netsounds_stream.planning.plan import STORED_SPOOL, Limits
from netsounds_stream.planning.planner import make_plan, sound_block_channels
from netsounds_stream.run.inspect import inspect
from netsounds_stream.store.arrays import open_activations

PLACES = 20
LIMIT_SECONDS = 20
LIMIT_BYTES = 2 << 30  # of addresses, beyond what the imports take
_ROOM_BYTES = 700 << 20  # beyond what the process holds
_READ_VALUES = 1 << 22


def sources(folder: Path) -> list[Path]:
    """The files that are damaged: those in `folder`, and those of its arrays."""
    found = (path for path in folder.rglob("*") if path.is_file() and "damaged" not in path.parts)
    return sorted(path.relative_to(folder) for path in found)


def flipped(content: bytes, generator: random.Random) -> bytes:
    """Some bits and bytes changed, a stretch overwritten, left out or repeated; mostly near the start."""
    changed = bytearray(content)
    for _ in range(generator.choice((1, 1, 1, 2, 4, 16))):
        near = generator.random() < 0.5
        place = generator.randrange(min(len(changed), 600) if near else len(changed))
        match generator.choice(("bit", "bit", "byte", "extreme", "stretch", "left out", "repeated")):
            case "bit":
                changed[place] ^= 1 << generator.randrange(8)
            case "byte":
                changed[place] = generator.randrange(256)
            case "extreme":
                changed[place : place + 4] = generator.choice(
                    (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff")
                )
            case "stretch":
                changed[place : place + 16] = generator.randbytes(16)
            case "left out":
                del changed[place : place + generator.randrange(1, 64)]
            case "repeated":
                changed[place:place] = changed[place : place + generator.randrange(1, 64)]
        if not changed:
            break
    return bytes(changed)


def opened(path: Path) -> str:
    """What a run does with the file before and while the network sees it; a digest of all that it gave."""
    digest = hashlib.sha256()
    array = next((parent for parent in (path, *path.parents) if parent.suffix in (".zarr", ".npy")), None)
    if path.suffix in (".pth", ".safetensors"):
        digest.update(load_network(weights=str(path)).sha256.encode())
    elif path.suffix == ".wav":
        digest.update(json.dumps(inspect(path)).encode())
    elif array is not None:
        inspect(array)
        _read_array(array, digest)
    else:
        _read_picture(path, digest)
    return digest.hexdigest()


def _read_array(path: Path, digest: Any) -> None:
    source = open_activations(path)
    block = sound_block_channels(1 << 20, source.frames_per_block, source.frequencies, source.channels)
    read = 0
    for first in range(0, source.channels, block):
        for start in range(0, source.frames, source.frames_per_block):
            values = source.read(slice(first, first + block), slice(start, start + source.frames_per_block))
            digest.update(np.ascontiguousarray(values.numpy()).tobytes())
            read += values.numel()
            if read > _READ_VALUES:  # a shape may be made larger than any patience
                return


def _read_picture(path: Path, digest: Any) -> None:
    stretch = "minmax" if path.name.startswith("float") else None
    picture = measured(open_picture(path, None, SonifyOptions(stretch=stretch).reading), Stages())
    held = machine.resident_bytes()
    limits = Limits(
        baseline_bytes=held, budget_bytes=held + _ROOM_BYTES, free_disk_bytes=machine.free_disk_bytes(path)
    )
    plan = make_plan(picture.source, SonifyOptions(banks=(4,), max_pixels=10_000_000), limits)
    plan.check()
    digest.update(small_upright(picture, 256, 224).tobytes())
    spool = path.with_name("spool.tif.tmp")
    if plan.picture_stored == STORED_SPOOL:
        write_spool(picture, spool, lambda share: None)
    for stored, axis in ((plan.picture_stored, plan.time_axis), ("stream", "y")):
        if stored != "stream" or picture.orientation == 1:
            for slab in slabs(picture, time_axis=axis, rows=plan.slab_rows, stored=stored, spool=spool):
                digest.update(slab.tobytes())
    spool.unlink(missing_ok=True)


def answer(folder: Path, how: str, number: int) -> dict[str, Any]:
    """What became of one damaged file: 'ok' with a digest, an error of ours, or a defect."""
    files = sources(folder)
    name = files[number // PLACES] if how == "cut" else files[number % len(files)]
    content = (folder / name).read_bytes()
    if how == "cut":
        content = content[: len(content) * (number % PLACES) // PLACES]
    else:
        content = flipped(content, random.Random(number))
    top = folder / "damaged" / name.parts[0]
    if top.is_dir():
        shutil.rmtree(top)
    if (folder / name.parts[0]).is_dir():
        shutil.copytree(folder / name.parts[0], top)
    path = folder / "damaged" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    result = {"number": number, "file": str(name), "outcome": "ok", "text": ""}
    signal.alarm(LIMIT_SECONDS)
    try:
        result["text"] = opened(path)
    except NetsoundsError as error:
        result |= {"outcome": type(error).__name__, "text": str(error)}
    except BaseException:  # noqa: BLE001  (what the command would show as a traceback)
        result |= {"outcome": "defect", "text": traceback.format_exc()}
    signal.alarm(0)
    return result


def main() -> None:
    folder, how, first, last = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + LIMIT_BYTES, taken + LIMIT_BYTES))
    for number in range(first, last):
        print(json.dumps(answer(folder, how, number)), flush=True)
    print(json.dumps({"peak_bytes": machine.peak_resident_bytes()}), flush=True)


if __name__ == "__main__":
    main()
