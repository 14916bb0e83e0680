"""A run's folder with a report page, by hand: tiny sounds and pictures, the real template, style and script.

What a run gives the page is laid down in these variables; the page's tests need no run.
"""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import soundfile
from PIL import Image

import netsounds_stream
from netsounds_stream.report.byte_scripts import write_byte_script
from netsounds_stream.report.firing_data import packed
from netsounds_stream.report.page import SCRIPTS

PAGE = Path(netsounds_stream.__file__).parent / "report" / "assets"
RATE_HZ = 8000
FULL = (400, 300)
MIX_SECONDS = 8.0
FILTER_SECONDS = 0.5
CHANNELS = {1: 12, 2: 20}
COLUMNS = 64
STEPS = 40  # of the filters' levels over time
CELLS = 10  # across time, in which they fire


def environment() -> jinja2.Environment:
    """The page's templates, everything escaped, nothing missing."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE), autoescape=True, undefined=jinja2.StrictUndefined
    )


def render(folder: Path, variables: dict[str, Any]) -> Path:
    """Writes index.html and what it loads into `folder`."""
    for name in ("report.css", *SCRIPTS):
        shutil.copyfile(PAGE / name, folder / "report" / name)
    page = folder / "index.html"
    page.write_text(environment().get_template("report.html").render(**variables), encoding="utf-8")
    return page


def make_run(
    folder: Path,
    *,
    time_axis: str = "x",
    mix: bool = True,
    schemes: Sequence[str] = ("sum", "concat"),
    a_file_each: bool = False,
    parts: bool = True,
    stems: bool = False,
    firing: bool = True,
    title: str = "a bowl",
) -> dict[str, Any]:
    """Makes the files of a run but its page, and gives the variables of that.

    Args:
        a_file_each: Whether a `concat` plays from files of its filters, as one too long for browsers does.
        parts: Whether banks have their parts of the mix, which every run has that has one.
        stems: Whether these are files of the run, too.
        firing: Whether the filters' levels over time were measured: see `levels_and_places`.
    """
    for name in ("report", "pictures"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    along, cross = FULL if time_axis == "x" else FULL[::-1]
    _picture(folder / "report/picture.jpg", along, cross)
    data: dict[str, Any] = {
        "format": 1,
        "title": title,
        "picture": {
            "name": "a bowl.jpg",
            "src": "report/picture.jpg",
            "width": along // 2,
            "height": cross // 2,
            "full_width": along,
            "full_height": cross,
        },
        "time_axis": time_axis,
        "sounds": [],
        "banks": [_bank(folder, number, channels) for number, channels in CHANNELS.items()],
        "parts_gain_db": 0.0,
        "firing": "report/firing-bytes.js" if firing else None,
    }
    if firing:
        _firing(folder, data)
    if mix:
        data["sounds"].append(_whole(folder, "mix", None, "mix", "Mix of all banks", "mix.wav", 2))
    for number, channels in CHANNELS.items():
        if mix and parts:
            data["sounds"].append(_part(folder, number, stems=stems))
        for scheme in schemes:
            if scheme == "sum":
                name, label = f"activations-{number}_sum.wav", f"Bank {number}, sum"
                data["sounds"].append(_whole(folder, f"{number}-sum", number, "sum", label, name, 1))
            else:
                data["sounds"].append(_parted(folder, number, scheme, channels, a_file_each))
    for sound in data["sounds"]:
        sound |= {"bytes_script": None}
        if sound["scheme"] == "part":
            sound["bytes_script"] = f"report/part-{sound['bank']}.js"
            with (folder / sound["play"]).open("rb") as content:
                write_byte_script(folder / sound["bytes_script"], sound["bytes_script"], content)
        sound |= _described(sound["scheme"], time_axis, cross if time_axis == "x" else along)
    return _facts(title) | {"data": data, "scripts": SCRIPTS}


def levels_and_places(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Levels and places of a bank's filters, `[step, channel]`.

    They fire in turn, the lower numbers earlier and louder; filter n in cell n, counted from 0 again after
    the last cell.
    """
    channels = CHANNELS[number]
    turns = np.arange(STEPS)[:, None] * channels // STEPS == np.arange(channels)
    levels = turns * (1 - np.arange(channels) / (2 * channels))
    return levels.astype(np.float32), np.broadcast_to(np.arange(channels) % CELLS, turns.shape).astype(
        np.uint8
    )


def _firing(folder: Path, data: dict[str, Any]) -> None:
    along, cross = FULL
    for bank in data["banks"]:
        bank["firing"] = {
            "filters": None,
            "steps": STEPS,
            "start_px": 0.0,
            "step_px": along / STEPS,
            "across_px": 0.0,
            "cell_px": cross / CELLS,
        }
    content = packed([levels_and_places(number) for number in CHANNELS])
    write_byte_script(folder / data["firing"], data["firing"], io.BytesIO(content))


def _described(scheme: str, time_axis: str, cross: int) -> dict[str, Any]:
    """What the page says of a sound, and where its frequencies lie across the picture."""
    folded = scheme not in ("mix", "part")
    ends = {"low_px": 0, "high_px": cross}
    if time_axis == "x" and not folded:
        ends = {"low_px": cross, "high_px": 0}
    scale = ("linear", 0.0, RATE_HZ / 2) if folded else ("log", 40.0, 4000.0)
    return {
        "choice": {"mix": "Mix", "part": "Part of the mix", "sum": "Sum", "concat": "Concat"}.get(
            scheme, "Filters"
        ),
        "about": f"What {scheme} is.",
        "pitch": {"scale": scale[0], "low_hz": scale[1], "high_hz": scale[2], "folded": folded} | ends,
    }


def _facts(title: str) -> dict[str, Any]:
    return {
        "title": title,
        "version": "0.1.0",
        "facts": [
            {"name": "Weights", "value": "squeezenet1_0.pth"},
            {"name": "Processor", "value": "two cores"},
        ],
        "predictions": [
            {
                "title": "Prediction (network's own input size)",
                "folded": "",
                "guesses": [
                    {"category": "mixing bowl", "share": 0.649},
                    {"category": "Dutch oven", "share": 0.137},
                    {"category": "soup bowl", "share": 0.104},
                    {"category": "caldron", "share": 0.096},
                    {"category": "wok", "share": 0.006},
                ],
            },
            {
                "title": "Prediction (average over the full picture)",
                "folded": "At this size the network sees patches.",
                "guesses": [{"category": "honeycomb", "share": 0.2}],
            },
        ],
        "memory": {
            "planned_bytes": 681961200,
            "measured_bytes": 593817600,
            "budget_bytes": 1073741824,
            "planned": "650 MiB",
            "measured": "566 MiB",
            "budget": "1 GiB",
        },
        "stages": [
            {"name": "network", "seconds": 9.192, "share": 0.66},
            {"name": "mix", "seconds": 4.8, "share": 0.34},
        ],
        "seconds": 13.99,
        "command": "netsounds-stream sonify 'a bowl.jpg' --weights squeezenet1_0.pth --memory 1GiB",
        "notes": [],
        "files": [
            {"name": "mix.wav", "href": "mix.wav", "size": "250 KiB", "what": "all banks over one another"},
            {"name": "run.json", "href": "run.json", "size": "4 KiB", "what": "everything about the run"},
        ],
    }


def _picture(path: Path, width: int, height: int) -> None:
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    Image.fromarray(np.stack([across, down, 255 - across], axis=-1).astype(np.uint8)).save(path)


def tone(seconds: float, hertz: float, channels: int = 1) -> np.ndarray:
    """A sine that fades out: int16 [sample, channel]."""
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    wave = np.sin(2 * np.pi * hertz * times) * np.linspace(0.9, 0.1, times.size)
    return np.repeat((wave * 32767).astype(np.int16)[:, None], channels, axis=1)


def peaks(samples: np.ndarray) -> np.ndarray:
    """Lowest and highest of each column: int8 [column, 2], full scale 127."""
    cut = samples[: len(samples) // COLUMNS * COLUMNS, 0].reshape(COLUMNS, -1) / 32767
    return np.round(127 * np.stack([cut.min(axis=1), cut.max(axis=1)], axis=1)).astype(np.int8)


def in_base64(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")


def _whole(
    folder: Path, identity: str, bank: int | None, scheme: str, label: str, name: str, channels: int
) -> dict[str, Any]:
    seconds = MIX_SECONDS if bank is None else MIX_SECONDS / bank
    samples = tone(seconds, 220 * (bank or 0.5), channels)
    soundfile.write(folder / name, samples, RATE_HZ, subtype="PCM_16")
    Image.effect_noise((COLUMNS, 32), 80).save(folder / f"report/{identity}.jpg")
    return {
        "id": identity,
        "bank": bank,
        "scheme": scheme,
        "label": label,
        "file": name,
        "play": name,
        "type": "audio/wav",
        "note": None,
        "duration_s": seconds,
        "sample_rate_hz": RATE_HZ,
        "channels": channels,
        "bytes": (folder / name).stat().st_size,
        "start_px": 0,
        "end_px": FULL[0],
        "parts": None,
        "peaks": {"columns": COLUMNS, "data": in_base64(peaks(samples))},
        "spectrogram": {
            "src": f"report/{identity}.jpg",
            "width": COLUMNS,
            "height": 32,
            "scale": "linear" if scheme == "sum" else "log",
            "low_hz": 0 if scheme == "sum" else 40.0,
            "high_hz": 4000.0,
        },
    }


def _part(folder: Path, number: int, *, stems: bool) -> dict[str, Any]:
    """A bank's part of the mix: as long as that, and placed alike."""
    name, label = f"report/part-{number}.flac", f"Bank {number}, its part of the mix"
    samples = tone(MIX_SECONDS, 110 * number, 2)
    soundfile.write(folder / name, samples, RATE_HZ, subtype="PCM_16")
    part = _whole(folder, f"{number}-part", number, "part", label, f"stem-{number}.wav", 2)
    part |= {"play": name, "type": "audio/flac", "duration_s": MIX_SECONDS}
    part["peaks"]["data"] = in_base64(peaks(samples))
    part["spectrogram"] |= {"scale": "log", "low_hz": 40.0}
    if stems:
        soundfile.write(folder / part["file"], samples, RATE_HZ, subtype="PCM_16")
    else:
        (folder / part["file"]).unlink()
        part |= {"file": None, "bytes": (folder / name).stat().st_size}
    return part


def _parted(folder: Path, number: int, scheme: str, channels: int, a_file_each: bool) -> dict[str, Any]:
    each = [tone(FILTER_SECONDS, 200 + 40 * index) for index in range(channels)]
    name = f"activations-{number}_concat.wav"
    plays = None
    if scheme == "filters" or a_file_each:
        plays = [f"activations-{number}_filter-{index}.wav" for index in range(channels)]
        for href, samples in zip(plays, each, strict=True):
            soundfile.write(folder / href, samples, RATE_HZ, subtype="PCM_16")
    if scheme == "concat":
        soundfile.write(folder / name, np.concatenate(each), RATE_HZ, subtype="PCM_16")
    return {
        "id": f"{number}-{scheme}",
        "bank": number,
        "scheme": scheme,
        "label": f"Bank {number}, {scheme}",
        "file": None if scheme == "filters" else name,
        "play": None if plays else name,
        "type": "audio/wav",
        "note": f"{name} is RF64: its filters play one by one." if a_file_each else None,
        "duration_s": FILTER_SECONDS * channels,
        "sample_rate_hz": RATE_HZ,
        "channels": 1,
        "bytes": sum(2 * len(samples) for samples in each),
        "start_px": 3.0,
        "end_px": FULL[0] - 4.0,
        "parts": {"filters": list(range(channels)), "seconds": FILTER_SECONDS, "plays": plays},
        "peaks": None,
        "spectrogram": None,
    }


def _bank(folder: Path, number: int, channels: int) -> dict[str, Any]:
    columns, rows = 4, -(-channels // 4)
    sheets = {}
    for kind, path, width, height in (
        ("sheet", f"report/bank-{number}.jpg", 64, 48),
        ("mean", f"pictures/bank-{number}_mean.jpg", 100, 75),
        ("max", f"pictures/bank-{number}_max.jpg", 100, 75),
    ):
        label = 0 if kind == "sheet" else 13
        _sprite(folder / path, columns, rows, width, height, label)
        sheets[kind] = {
            "src": path,
            "columns": columns,
            "rows": rows,
            "tile_width": width,
            "tile_height": height,
            "cell_width": width,
            "cell_height": height + label,
        }
    spectra = f"report/bank-{number}_spectra.jpg"
    _sprite(folder / spectra, columns, rows, 96, 40)
    values = np.stack([peaks(tone(FILTER_SECONDS, 200 + 40 * index)) for index in range(channels)])
    payload = {
        "columns": COLUMNS,
        "peaks": in_base64(values),
        "spectra": {
            "src": spectra,
            "columns": columns,
            "rows": rows,
            "tile_width": 96,
            "tile_height": 40,
            "scale": "linear",
            "low_hz": 0,
            "high_hz": RATE_HZ / 2,
        },
    }
    written = jinja2.utils.htmlsafe_json_dumps(payload)
    (folder / f"report/bank-{number}.js").write_text(f"netsoundsBank({number}, {written});\n")
    return {
        "number": number,
        "layer": f"features.{5 * number - 4}",
        "channels": channels,
        "stride_px": 2 * number,
        "offset_px": 3.0,
        "field_px": 7,
        "height": 149,
        "width": 199,
        "script": f"report/bank-{number}.js",
        "levels_db": [None if index == 5 else -1.5 * index for index in range(channels)],
        "firing": None,
    } | sheets


def _sprite(path: Path, columns: int, rows: int, width: int, height: int, label: int = 0) -> None:
    """Tiles that can be told apart: each a grey of its own, above a black strip for its number."""
    greys = np.linspace(40, 250, columns * rows).reshape(rows, columns)
    cell = np.ones((height + label, width))
    cell[height:] = 0
    Image.fromarray(np.kron(greys, cell).astype(np.uint8)).save(path, lossless=True)
