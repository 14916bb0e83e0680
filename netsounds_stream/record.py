"""What a run writes down about itself: `run.json`, and the attributes of each stored array.

Enough to repeat the run and to know where each value lies on the picture.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from . import machine
from .forward import Compute
from .geometry import bank
from .options import SonifyOptions
from .picture import Picture
from .planning import BankPlan, Plan
from .predict import Guess
from .weights import PRETRAINED, UNTRAINED, Weights

PACKAGE = "netsounds-stream"
_PARTS = ("torch", "torchvision", "zarr", "numcodecs", "soundfile", "numpy", "pyvips")


def versions() -> dict[str, str]:
    """Versions of this package and of what decides the bytes it writes."""
    return {name: version(name) for name in (PACKAGE, *_PARTS)}


def begin_record(
    picture: Picture,
    picture_sha256: str,
    weights: Weights,
    options: SonifyOptions,
    plan: Plan,
    compute: Compute,
    label: str,
    guesses: Iterable[Guess],
    notes: Iterable[str],
) -> dict[str, Any]:
    """What is known of a run before its long work: JSON-ready."""
    return {
        "label": label,
        "picture": {
            "name": picture.path.name,
            "path": str(picture.path.absolute()),
            "sha256": picture_sha256,
            "format": picture.format,
            "width": picture.source_width,
            "height": picture.source_height,
            "resized_width": picture.width,
            "resized_height": picture.height,
            "bits_per_value": 8 * picture.bytes_per_value,
            "alpha_over_white": picture.has_alpha,
        },
        "weights": {"source": weights.source, "sha256": weights.sha256},
        "prediction": {"label_size": [asdict(guess) for guess in guesses]},
        "computed": asdict(compute),
        "options": asdict(options),
        "command": command_line(picture, options),
        "plan": {**asdict(plan), "peak_memory_bytes": plan.peak_memory_bytes},
        "versions": versions(),
        "machine": machine.describe(),
        "notes": list(notes),
    }


def array_attributes(planned: BankPlan, record: dict[str, Any]) -> dict[str, Any]:
    """Attributes of one bank's array. Value i of an axis is centred on pixel `offset + stride * i`."""
    kept = ("name", "sha256", "width", "height", "resized_width", "resized_height")
    about = bank(planned.number)
    return {
        "bank": about.number,
        "layer": about.layer,
        "label": record["label"],
        "picture": {key: record["picture"][key] for key in kept},
        "weights": record["weights"],
        "stride_pixels": about.stride,
        "offset_pixels": about.offset,
        "receptive_field_pixels": about.field,
        "normalized": record["options"]["normalize"],
        "precision": record["computed"]["precision"],
        "versions": record["versions"],
    }


def command_line(picture: Picture, options: SonifyOptions) -> str:
    """The command that repeats a run, without its output folder."""
    default, sound = SonifyOptions(), options.sound
    words = [PACKAGE, "sonify", str(picture.path.absolute())]

    def say(name: str, value: object, usual: object) -> None:
        if value != usual:
            words.extend((name, str(value)))

    say("--size", options.size, default.size)
    weights = options.weights
    named = weights in (PRETRAINED, UNTRAINED)
    say("--weights", weights if named else Path(weights).absolute(), default.weights)
    if not options.normalize:
        words.append("--no-normalize")
    say("--time-axis", options.time_axis, default.time_axis)
    say("--precision", options.precision, default.precision)
    say("--device", options.device, default.device)
    say("--banks", ",".join(map(str, options.banks)), "1,2,3,4")
    say("--codec", options.codec, default.codec)
    if sound.schemes != default.sound.schemes:
        for scheme in sound.schemes:
            words.extend(("--scheme", scheme))
    say("--balance", sound.balance, default.sound.balance)
    say("--scale", sound.scale, default.sound.scale)
    say("--sample-rate", sound.sample_rate_hz, default.sound.sample_rate_hz)
    say("--subtype", sound.subtype, default.sound.subtype)
    if not options.activations:
        words.append("--no-activations")
    say("--memory", options.memory_bytes, None)
    say("--gpu-memory", options.gpu_memory_bytes, None)
    say("--max-pixels", options.max_pixels, None)
    say("--label", options.label, None)
    return shlex.join(words)
