"""The record of a run: the content of `run.json`, and the attributes of each stored array.

They suffice to repeat the run, and to know where each value lies on the picture. The engine adds the results
of the run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from ..base import machine
from ..base.locations import quoted
from ..base.versions import PACKAGE, versions
from ..errors import OutputError
from ..graph.geometry import Places, period, places
from ..graph.layers import Bank
from ..graph.usual import USUAL_NETWORK, usual_banks
from ..network.compute import Compute
from ..network.label import Guess
from ..network.networks import Network
from ..picture.picture import Picture
from ..planning.network_sizes import sizes_of
from ..planning.options import PRETRAINED, UNTRAINED, SonifyOptions, word_of
from ..planning.plan import AudioPlan, BankPlan, Plan, Stft
from ..planning.scales import Notes
from ..planning.sound_options import NO_SCHEME, SoundOptions
from ..sound.background import Background
from ..sound.tags import Tags
from ..store.group import seconds_name

# Options that change no byte of a run's files: budgets (a stopped run keeps its plan), where the weights lay,
# a preset's name.
_NO_BYTES = ("memory_bytes", "gpu_memory_bytes", "max_pixels", "weights", "preset")


def begin_record(
    picture: Picture,
    picture_sha256: str,
    network: Network,
    options: SonifyOptions,
    plan: Plan,
    compute: Compute,
    label: str,
    guesses: Iterable[Guess],
    median_colour: Sequence[int] | None,
    notes: Iterable[str],
) -> dict[str, Any]:
    """Return the part of a run's record that is known before its long work.

    Args:
        picture: the picture, opened.
        picture_sha256: SHA-256 of its file or pixels, in hexadecimal digits.
        network: the network.
        options: options of the run.
        plan: plan of the run.
        compute: device and number format of the network.
        label: text in file names.
        guesses: prediction at the network's own input size, the likeliest first.
        median_colour: median of the picture's red, green and blue; None where it is not known.
        notes: lines for the user.

    Returns:
        The record, JSON-ready.
    """
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
            **picture.contents.facts(),
            **({} if picture.pixels is None else {"in_memory": picture.pixels.facts()}),
            "median_colour": median_colour if median_colour is None else list(median_colour),
        },
        "weights": {"source": network.source, "sha256": network.sha256},
        "prediction": {"label_size": [asdict(guess) for guess in guesses]},
        "computed": asdict(compute),
        "options": asdict(options),
        "command": command_line(picture.origin, options),
        "plan": {**asdict(plan), "peak_memory_bytes": plan.peak_memory_bytes},
        "versions": versions(),
        "machine": machine.describe(),
        "notes": [*picture.contents.notes, *notes],
    }


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """List, in words, all by which the files of two recorded runs may differ in a byte.

    Args:
        then: the record of a stopped run.
        now: the record of a run that would resume it.

    Returns:
        A few words for each difference, such as 'other picture (a.png)'; empty where the bytes are the same.
    """
    differing = changes(then, now) + _changed_values(then["versions"], now["versions"])
    if then["machine"]["processor"] != now["machine"]["processor"]:
        differing.append(f"another processor ({now['machine']['processor']})")
    return differing


def changes(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """List, in words, the differences of two records in picture, weights, options, device and precision.

    Versions and processor are left out, so that a new version of torch does not make old runs anew.

    Args:
        then: the record of a run.
        now: a record, or those parts of one, of the run that is asked for.

    Returns:
        A few words for each difference, such as 'codec zstd instead of lz4'.
    """
    differing = []
    own = ":" in now["options"]["network"]
    for name in ("picture", "weights"):
        if any(then[name].get(key) != now[name].get(key) for key in ("sha256", "in_memory")):
            what = "weights or code" if name == "weights" and own else name
            differing.append(f"other {what} ({now[name].get('name') or now[name].get('source')})")
    differing += _changed_values(_with_defaults(then["options"]), now["options"])
    return differing + _changed_values(then["computed"], now["computed"])


def _with_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Add the defaults of options that did not exist yet when these were recorded."""
    defaults = asdict(SonifyOptions())
    return {**defaults, **options, "sound": {**defaults["sound"], **options["sound"]}}


def _changed_values(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    before = _flat(then)
    after = _flat(now)
    return [
        f"{name.replace('_', ' ')} {after.get(name)} instead of {before.get(name)}"
        for name in sorted({*before, *after} - set(_NO_BYTES))
        if before.get(name) != after.get(name)
    ]


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of nested dictionaries by their own names, as JSON would give them back."""
    flat = {name: value for name, value in values.items() if not isinstance(value, dict)}
    for value in values.values():
        if isinstance(value, dict):
            flat |= _flat(value)
    return json.loads(json.dumps(flat))  # type: ignore[no-any-return]  # tuples are lists, as once written


def recorded_place(record: dict[str, Any], folder: str) -> str:
    """Return the path or URL of a stopped run's picture.

    Args:
        record: the run's record.
        folder: where the run was to be, for the error.

    Returns:
        What `sonify` takes as the picture.

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


def with_recorded_limits(picture: Picture, record: dict[str, Any]) -> Picture:
    """Return a stopped run's picture with the numbers of black and white that were measured then."""
    stretch = record["picture"].get("stretch")  # missing where an older version began the run
    if stretch is None or not picture.contents.unmeasured:
        return picture
    low, high = stretch["limits"]
    return replace(picture, contents=replace(picture.contents, limits=(low, high)))


def recorded_options(record: dict[str, Any]) -> SonifyOptions:
    """Return the options of a recorded run."""
    words = dict(record["options"])
    words["banks"] = tuple(words["banks"])
    words["layers"] = None if words.get("layers") is None else tuple(words["layers"])
    words.setdefault("sum_maps", False)  # an older version kept none
    words["channels"] = None if words.get("channels") is None else tuple(words["channels"])
    sound = dict(words.pop("sound"))
    sound["schemes"] = tuple(sound["schemes"])
    sound["filters"] = None if sound["filters"] is None else tuple(sound["filters"])
    sound.setdefault("bank_fall_db", 0.0)  # in older versions all banks had the same level
    return SonifyOptions(**words, sound=SoundOptions(**sound))


def recorded_plan(record: dict[str, Any]) -> Plan:
    """Return the plan of a recorded run."""
    recorded = record["plan"]  # an older version may have recorded less
    words = {field.name: recorded[field.name] for field in fields(Plan) if field.name in recorded}
    words["notes"] = tuple(words.get("notes", ()))
    words["stft"] = None if words["stft"] is None else Stft(**words["stft"])
    if (scale := words.get("scale")) is not None:
        words["scale"] = Notes(**{**scale, "hz": tuple(scale["hz"])})
    for name in ("mix", "stems", "parts"):
        words[name] = None if words.get(name) is None else AudioPlan(**words[name])
    banks = [
        {
            **bank,
            "shape": tuple(bank["shape"]),
            "audio": tuple(AudioPlan(**audio) for audio in bank["audio"]),
            "bank": _recorded_bank(bank),
        }
        for bank in words.pop("banks")
    ]
    usual = usual_banks().graph  # of which an older version's runs are
    words.setdefault("network", usual.name)
    words.setdefault("multiplications", sizes_of(usual_banks(), "y").multiplications)
    words.setdefault("network_stride", period(usual))
    classified = words.pop("classified", asdict(places(usual, "y")[str(usual.mean)]))
    return Plan(
        **words,
        banks=tuple(BankPlan(**bank) for bank in banks),
        classified=None if classified is None else Places(**classified),
    )


def _recorded_bank(planned: Mapping[str, Any]) -> Bank:
    """Return the layer of a bank's recorded plan; an older version recorded it by its number alone."""
    recorded = planned.get("bank")
    if recorded is None:
        return usual_banks().bank(planned["number"])
    return Bank(**{**recorded, "y": Places(**recorded["y"]), "x": Places(**recorded["x"])})


def array_attributes(planned: BankPlan, record: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a bank's stored array.

    Args:
        planned: plan of the bank.
        record: record of the run.

    Returns:
        The attributes, JSON-ready. Value i of an axis is centred on pixel `offset_pixels + stride_pixels * i`
        of the resized picture.
    """
    names = ("name", "sha256", "width", "height", "resized_width", "resized_height")
    spec = planned.bank
    return {
        "bank": spec.number,
        "layer": spec.layer,
        "label": record["label"],
        "picture": {name: record["picture"][name] for name in names},
        "weights": record["weights"],
        "stride_pixels": spec.stride,
        "offset_pixels": _either(spec.y.offset, spec.x.offset),
        "receptive_field_pixels": _either(spec.y.field, spec.x.field),
        "normalized": record["options"]["normalize"],
        "precision": record["computed"]["precision"],
        "versions": record["versions"],
        "long_name": f"activations of {spec.layer}, bank {spec.number}",
        "units": "1",
        "coordinates": seconds_name(spec.number),
    }


def sum_map_attributes(planned: BankPlan, record: dict[str, Any], background: Background) -> dict[str, Any]:
    """Return the attributes of a bank's sum map.

    Args:
        planned: plan of the bank.
        record: record of the run.
        background: what is no content in it.

    Returns:
        The attributes, JSON-ready: those of the stored array, and the background, from which the mix's
        magnitudes follow.
    """
    return {
        **array_attributes(planned, record),
        "background": {
            "even": background.even.tolist(),
            "margin": background.margin.tolist(),
            "noise": background.noise,
            "border": background.border,
        },
        "long_name": f"sums of {planned.bank.layer}, bank {planned.number}, for the mix",
    }


def _either(y: float, x: float) -> float | list[float]:
    """Return what is the same along both axes once, else that along y and that along x."""
    return y if y == x else [y, x]


def group_attributes(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the attributes of the group of a run's arrays, by the CF conventions."""
    picture = record["picture"]["name"]
    return {
        "Conventions": "CF-1.12",
        "title": f"{_title(record['options'].get('network', USUAL_NETWORK))}'s activations of {picture} "
        f"({record['label']})",
        "source": f"netsounds-stream {record['versions']['netsounds-stream']}",
    }


def _title(network: str) -> str:
    """Return a network's name for a reader; of code in a file without the folder."""
    return "SqueezeNet 1.0" if network == USUAL_NETWORK else re.split(r"[/\\]", network)[-1]


def tags_of(record: Mapping[str, Any], bank: str, scheme: str) -> Tags:
    """Return the tags of a run's sound file.

    Args:
        record: record of the run.
        bank: number of the bank, as text; empty for the mix.
        scheme: 'sum', 'concat', 'filters', 'mix', 'stem' or 'part'.

    Returns:
        Title, picture, label and how the sound was made, for the file's header.
    """
    label = record["label"]
    sound = record["options"]["sound"]
    part = ", preview" if sound["preview_s"] is not None else ""
    of_mix = scheme in ("mix", "stem", "part")
    method = "griffin-lim" if of_mix and sound["method"] == "ifft" else sound["method"]
    if sound.get("scale_notes") is not None and method != "ifft":
        method = "notes"
    kind = "part of the mix" if scheme in ("stem", "part") else scheme
    return Tags(
        title=(f"{label}, mix" if scheme == "mix" else f"{label}, bank {bank}, {kind}") + part,
        picture=record["picture"]["name"],
        bank=bank,
        label=label,
        scheme=scheme,
        method=method,
        software=f"{PACKAGE} {record['versions'][PACKAGE]}",
    )


def _all_banks(options: SonifyOptions) -> str:
    """Return the numbers of the banks that a run has without `--banks`, in that option's form."""
    if options.layers is not None:
        count = len(options.layers)
    elif options.network == USUAL_NETWORK:
        count = len(usual_banks().banks)
    else:
        count = 0  # unknown here: the command always names the banks
    return ",".join(str(number) for number in range(1, count + 1))


def command_line(place: str | None, options: SonifyOptions) -> str:
    """Return the command that repeats a run, without its output folder.

    Args:
        place: path or URL of the picture. None: it is in memory, and called PICTURE, for a file of the same
            pixels.
        options: options of the run.

    Returns:
        A command for a shell, which names only options that differ from their defaults.
    """
    default = SonifyOptions()
    sound = options.sound
    words = [PACKAGE, "sonify", place or "PICTURE"]

    def add(name: str, value: object, usual: object) -> None:
        if value != usual:
            words.extend((name, str(value)))

    add("--size", options.size, default.size)
    add("--channels", options.channels and ",".join(map(str, options.channels)), None)
    add("--page", options.page, None)
    add("--stretch", options.stretch, None)
    if not options.profile:
        words.append("--no-profile")
    add("--network", options.network, default.network)
    add("--layers", options.layers and ",".join(options.layers), None)
    weights = options.weights
    named = weights in (PRETRAINED, UNTRAINED)
    add("--weights", weights if named else Path(weights).absolute(), default.weights)
    if not options.normalize:
        words.append("--no-normalize")
    add("--time-axis", options.time_axis, default.time_axis)
    add("--precision", options.precision, default.precision)
    add("--device", options.device, default.device)
    add("--banks", ",".join(map(str, options.banks)), _all_banks(options))
    add("--codec", options.codec, default.codec)
    if sound.schemes != default.sound.schemes:
        for scheme in sound.schemes or (NO_SCHEME,):
            words.extend(("--scheme", scheme))
    for field in fields(SoundOptions):
        value = getattr(sound, field.name)
        name = f"--{word_of(field.name).replace('_', '-')}"
        if field.name == "schemes" or value == getattr(default.sound, field.name):
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
    add("--memory", options.memory_bytes, None)
    add("--gpu-memory", options.gpu_memory_bytes, None)
    add("--max-pixels", options.max_pixels, None)
    add("--label", options.label, None)
    return " ".join(map(quoted, words))
