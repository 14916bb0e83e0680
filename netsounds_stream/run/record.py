"""What a run writes down about itself: `run.json`, and the attributes of each stored array.

Enough to repeat the run and to know where each value lies on the picture.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ..base import machine
from ..base.versions import PACKAGE, versions
from ..errors import OutputError
from ..network.compute import Compute
from ..network.label import Guess
from ..network.weights import PRETRAINED, UNTRAINED, Weights
from ..picture.picture import Picture
from ..planning.geometry import bank
from ..planning.options import SonifyOptions, word_of
from ..planning.plan import AudioPlan, BankPlan, Plan, Stft
from ..planning.sound_options import NO_SCHEME, SoundOptions
from ..sound.tags import Tags

# What changes no byte of a run's files: budgets (the plan is kept), where the weights lay, a preset's name.
_NO_BYTES = ("memory_bytes", "gpu_memory_bytes", "max_pixels", "weights", "preset")


def begin_record(
    picture: Picture,
    picture_sha256: str,
    weights: Weights,
    options: SonifyOptions,
    plan: Plan,
    compute: Compute,
    label: str,
    guesses: Iterable[Guess],
    median_colour: Sequence[int] | None,
    notes: Iterable[str],
) -> dict[str, Any]:
    """Return what is known of a run before its long work, JSON-ready."""
    return {
        "label": label,
        "picture": {
            "name": picture.path.name,
            "path": picture.origin,
            "sha256": picture_sha256,
            "format": picture.format,
            "width": picture.source_width,
            "height": picture.source_height,
            "resized_width": picture.width,
            "resized_height": picture.height,
            "bits_per_value": 8 * picture.bytes_per_value,
            "alpha_over_white": picture.has_alpha,
            **({} if picture.pixels is None else {"in_memory": picture.pixels.facts()}),
            "median_colour": median_colour if median_colour is None else list(median_colour),
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


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """List, in words, what makes the files of two recorded runs differ by a byte."""
    found = changes(then, now) + _changed_values(then["versions"], now["versions"])
    if then["machine"]["processor"] != now["machine"]["processor"]:
        found.append(f"another processor ({now['machine']['processor']})")
    return found


def changes(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """List, in words, what two records differ in: picture, weights, options, device and precision.

    Versions and processor are left out: a run is not made anew because torch is.
    """
    found = []
    for name in ("picture", "weights"):
        if any(then[name].get(key) != now[name].get(key) for key in ("sha256", "in_memory")):
            found.append(f"other {name} ({now[name].get('name') or now[name].get('source')})")
    found += _changed_values(_complete(then["options"]), now["options"])
    return found + _changed_values(then["computed"], now["computed"])


def _complete(options: Mapping[str, Any]) -> dict[str, Any]:
    """Recorded options, with the defaults of those that were not there yet when they were recorded."""
    usual = asdict(SonifyOptions())
    return {**usual, **options, "sound": {**usual["sound"], **options["sound"]}}


def _changed_values(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    before, after = _flat(then), _flat(now)
    return [
        f"{name.replace('_', ' ')} {after.get(name)} instead of {before.get(name)}"
        for name in sorted({*before, *after} - set(_NO_BYTES))
        if before.get(name) != after.get(name)
    ]


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    flat = {name: value for name, value in values.items() if not isinstance(value, dict)}
    for value in values.values():
        if isinstance(value, dict):
            flat |= _flat(value)
    return json.loads(json.dumps(flat))  # type: ignore[no-any-return]  # tuples are lists, as once written


def recorded_place(record: dict[str, Any], folder: str) -> str:
    """Return the path or URL of the picture of the run that was stopped at `folder`.

    Raises:
        OutputError: the picture was in memory: an array or a PIL image.
    """
    place: str | None = record["picture"]["path"]
    if place is None:
        kind = record["picture"]["in_memory"]["kind"]
        raise OutputError(
            f"the picture of this run was a {kind}, which no longer exists; resume it from Python with "
            f"sonify(picture, {folder!r}, resume=True) and the same options"
        )
    return place


def recorded_options(record: dict[str, Any]) -> SonifyOptions:
    """Return the options of a recorded run."""
    words = dict(record["options"])
    sound = dict(words.pop("sound"))
    words["banks"], sound["schemes"] = tuple(words["banks"]), tuple(sound["schemes"])
    sound["filters"] = None if sound["filters"] is None else tuple(sound["filters"])
    return SonifyOptions(**words, sound=SoundOptions(**sound))


def recorded_plan(record: dict[str, Any]) -> Plan:
    """Return the plan of a recorded run."""
    said = record["plan"]  # of an older version it may say less
    words = {each.name: said[each.name] for each in fields(Plan) if each.name in said}
    words["stft"] = None if words["stft"] is None else Stft(**words["stft"])
    for name in ("mix", "stems", "parts"):
        words[name] = None if words.get(name) is None else AudioPlan(**words[name])
    banks = [
        {**each, "shape": tuple(each["shape"]), "audio": tuple(AudioPlan(**audio) for audio in each["audio"])}
        for each in words.pop("banks")
    ]
    return Plan(**words, banks=tuple(BankPlan(**each) for each in banks))


def array_attributes(planned: BankPlan, record: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a bank's array. Value i is centred on pixel `offset + stride * i`."""
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


def tags_of(record: Mapping[str, Any], bank: str, scheme: str) -> Tags:
    """Return what a sound file of a run says about itself."""
    label, sound = record["label"], record["options"]["sound"]
    part = ", preview" if sound["preview_s"] is not None else ""
    of_mix = scheme in ("mix", "stem", "part")
    method = "griffin-lim" if of_mix and sound["method"] == "ifft" else sound["method"]
    said = "part of the mix" if scheme in ("stem", "part") else scheme
    return Tags(
        title=(f"{label}, mix" if scheme == "mix" else f"{label}, bank {bank}, {said}") + part,
        picture=record["picture"]["name"],
        bank=bank,
        label=label,
        scheme=scheme,
        method=method,
        software=f"{PACKAGE} {record['versions'][PACKAGE]}",
    )


def command_line(picture: Picture, options: SonifyOptions) -> str:
    """Return the command that repeats a run, without its output folder."""
    default, sound = SonifyOptions(), options.sound
    words = [PACKAGE, "sonify", picture.origin or "PICTURE"]  # of one in memory, a file of the same pixels

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
        for scheme in sound.schemes or (NO_SCHEME,):
            words.extend(("--scheme", scheme))
    for each in fields(SoundOptions):
        value, name = getattr(sound, each.name), f"--{word_of(each.name).replace('_', '-')}"
        if each.name == "schemes" or value == getattr(default.sound, each.name):
            continue
        if isinstance(value, bool):
            words.append(name if value else f"--no-{name[2:]}")
        else:
            words.extend((name, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)))
    if not options.activations:
        words.append("--no-activations")
    if not options.report:
        words.append("--no-report")
    if options.single_file:
        words.append("--single-file")
    say("--memory", options.memory_bytes, None)
    say("--gpu-memory", options.gpu_memory_bytes, None)
    say("--max-pixels", options.max_pixels, None)
    say("--label", options.label, None)
    return shlex.join(words)
