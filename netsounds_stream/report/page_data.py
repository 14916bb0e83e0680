"""What the report's page is told, JSON-ready: where a sound lies on the picture, what is seen of it.

Pure functions of a run's record, its plan and its views. Hypertext references are relative to the page.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from ..planning.geometry import bank
from ..planning.plan import AudioPlan, BankPlan, Plan
from ..planning.sound_options import SoundOptions
from .images import Sheet

Floats = NDArray[np.float32]
_TYPES = {"WAV": "audio/wav", "RF64": "audio/wav", "FLAC": "audio/flac", "OGG": "audio/ogg"}


@dataclass(frozen=True)
class Played:
    """One sound as the page plays it.

    Attributes:
        files: names in the run's folder: one; by scheme `filters` one a filter; of a bank's `part` of the mix
            its stem, where there are stems.
        forms: names of what is played in their place, where a browser does not play them; one, or for
            `concat` one a filter.
        filters: that sound one by one, in order; none in a sum.
    """

    number: int
    audio: AudioPlan
    files: tuple[str, ...]
    forms: tuple[str, ...]
    filters: tuple[int, ...]


def href(name: str) -> str:
    """A name in the run's folder as a reference."""
    return quote(name, safe="/", errors="surrogateescape")


def peaks(extremes: Floats) -> dict[str, Any]:
    """Extremes `[..., column, 2]` for the page: int8, 127 being each part's own largest (`peak`)."""
    filled = _filled(extremes)
    largest = np.abs(filled).max(axis=(-2, -1), keepdims=True, initial=0)
    scaled = np.round(127 * filled / np.where(largest > 0, largest, 1)).astype(np.int8)
    peak = [float(f"{value:.4g}") for value in largest.reshape(-1)]
    return {
        "columns": int(extremes.shape[-2]),
        "data": b64encode(scaled.tobytes()).decode(),
        "peak": peak if extremes.ndim > 2 else peak[0],
    }


def _filled(extremes: Floats) -> Floats:
    """Where there are more columns than samples, those without one are as those before them; what is
    missing at the end of a part that is cut short is 0."""
    values = extremes.reshape(-1, extremes.shape[-2], 2).copy()
    for part in values:
        known = np.flatnonzero(np.isfinite(part[:, 0]))
        apart = int(np.diff(known).max(initial=1)) if known.size != 1 else len(part)
        last = known[-1] + apart if known.size else 0
        before = known[np.searchsorted(known, np.arange(len(part))[:last], side="right") - 1]
        part[:last], part[last:] = part[before], 0
    return values.reshape(extremes.shape)


def sheet(name: str, of: Sheet) -> dict[str, Any]:
    """A sheet of tiles, by the name of its file."""
    return {
        "src": href(name),
        "columns": of.columns,
        "rows": of.rows,
        "tile_width": of.tile_width,
        "tile_height": of.tile_height,
        "cell_width": of.cell_width,
        "cell_height": of.cell_height,
    }


def place_of(
    planned: Plan, each: BankPlan | None, audio: AudioPlan, sound: SoundOptions
) -> tuple[float, float]:
    """Where on the time axis a sound, or each filter's part of it, begins and ends: in pixels.

    A frame is as long as the bank's stride, and lies around the middle of the pixel it is centred on, which
    goes from its number to the next. The mix lies over the picture's whole length.
    """
    along = planned.width if planned.time_axis == "x" else planned.height
    rate = (sound.resample_hz or sound.sample_rate_hz) / sound.sample_rate_hz
    windowed = each is None or sound.windowed
    if each is None:
        start, length = 0.0, float(along)
    else:
        about = bank(each.number)
        start = about.offset + (1 - about.stride) / 2
        length = float(about.stride * (each.whole_frames if windowed else each.frames))
    assert planned.stft is not None or not windowed
    if windowed and planned.stft is not None:
        whole = planned.stft.samples
    else:
        assert each is not None
        whole = each.frames * each.frequencies
    heard = audio.samples / rate
    return start, start + length * min(1.0, heard / whole)


def pitch_of(planned: Plan, each: BankPlan | None, sound: SoundOptions, *, windowed: bool) -> dict[str, Any]:
    """Return where on the picture, across time, a sound's frequencies lie: from pixel `low_px` to `high_px`.

    Windowed sound spreads the rows by the scale asked for. Raw sound is the inversion of a frame into real
    samples, so that value k and value N - k of N sound alike (`transform`): the scale is `folded`, the last
    pixel being as low as the first, and the middle highest.
    """
    across = planned.height if planned.time_axis == "x" else planned.width
    start, end = 0.0, float(across)
    if each is not None:
        about = bank(each.number)
        start = about.offset + (1 - about.stride) / 2
        end = start + about.stride * each.frequencies
    if not windowed:
        scale, low, high = "linear", 0.0, sound.sample_rate_hz / 2
    else:
        scale, (low, high) = sound.frequency, sound.frequencies_hz
        if (planned.time_axis == "x") != sound.flip_frequency:  # a picture's top is high
            start, end = end, start
    return {
        "scale": scale,
        "low_hz": low,
        "high_hz": high,
        "low_px": start,
        "high_px": end,
        "folded": not windowed,
    }


def sound_entry(
    planned: Plan, each: BankPlan | None, played: Played, sound: SoundOptions, size_bytes: int
) -> dict[str, Any]:
    """One of the page's sounds, without what is seen of it; `size_bytes` is that of its files."""
    audio, rate = played.audio, sound.resample_hz or sound.sample_rate_hz
    bank_name = None if each is None else each.number
    part = audio.scheme == "part"  # of the mix, and placed as that is
    windowed = each is None or sound.windowed or part
    choice, what = (_CHOICES if windowed else _RAW)[audio.scheme]
    name = choice if each is None else f"Bank {each.number}, {choice[0].lower()}{choice[1:]}"
    placed = None if part else each
    begins, ends = place_of(planned, placed, audio, sound)
    many, parts = audio.scheme == "filters", None
    container, channels = audio.container, audio.channels
    plays = played.forms or played.files
    if played.filters:
        seconds = audio.samples / rate
        if not many:
            assert each is not None
            whole = (
                planned.stft.samples if sound.windowed and planned.stft else each.frames * each.frequencies
            )
            seconds = min(seconds, whole / sound.sample_rate_hz)
        parts = {
            "filters": list(played.filters),
            "seconds": seconds,
            "plays": [href(name) for name in plays] if many or played.forms else None,
        }
    return {
        "id": "mix" if each is None else f"{each.number}-{audio.scheme}",
        "bank": bank_name,
        "scheme": audio.scheme,
        "label": name,
        "choice": choice,
        "about": f"{what} {_whose(each)}",
        "file": None if many or not played.files else href(played.files[0]),
        "play": href(plays[0]) if parts is None or parts["plays"] is None else None,
        "type": "audio/flac" if played.forms else _TYPES[container],
        "note": None if part else _note(played),
        "duration_s": audio.samples / rate * (len(played.filters) if many else 1),
        "sample_rate_hz": rate,
        "channels": channels,
        "bytes": size_bytes,
        "start_px": begins,
        "end_px": ends,
        "pitch": pitch_of(planned, placed, sound, windowed=windowed),
        "parts": parts,
        "peaks": None,
        "spectrogram": None,
    }


# What the page calls a way to sound, and says of it in a sentence: of windowed sound, and of raw.
_CHOICES = {
    "mix": ("Mix of all banks", "All banks at once, in stereo."),
    "part": ("Part of the mix", "What this bank gives to the mix."),
    "sum": ("Sum", "All filters of the bank added."),
    "concat": ("One by one", "The filters one after another."),
    "filters": ("A file each", "The filters one after another, from a file each."),
}
_RAW = {
    "sum": ("Raw sum", "All filters added, in netsounds' way: a buzz at the frame rate."),
    "concat": (
        "Raw, one by one",
        "The filters one after another, in netsounds' way: a buzz at the frame rate.",
    ),
    "filters": (
        "Raw, a file each",
        "The filters from a file each, in netsounds' way: a buzz at the frame rate.",
    ),
}


def _whose(each: BankPlan | None) -> str:
    """What a bank is, in a sentence."""
    if each is None:
        return "A bank is one layer of the network: many filters."
    about = bank(each.number)
    return (
        f"Bank {about.number} is layer {about.layer}: {each.channels} filters, each looking for one pattern "
        f"in patches of {about.field} × {about.field} pixels."
    )


def _note(played: Played) -> str | None:
    if not played.forms:
        return None
    what = "larger than browsers play"
    if played.audio.container == "RF64":
        what = "RF64, which browsers do not play"
    elif played.audio.bytes_per_file < 1 << 31:
        what = "of floating-point samples, which not every browser plays"
    many = len(played.files) > 1
    whose = "Its files are" if many else f"{played.files[0]} is"
    form = "FLAC forms play" if len(played.forms) > 1 else "a FLAC form plays"
    return f"{whose} {what}: {form} here, in 16 bits and at full scale at most."


def facts(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """What is told of a run in words, by name."""
    picture, weights, machine = record["picture"], record["weights"], record["machine"]
    size = f"{picture['width']} × {picture['height']} px"
    resized = f"{picture['resized_width']} × {picture['resized_height']} px"
    plan, sound = record["plan"], record["options"]["sound"]
    computed = record["computed"]
    found = [
        ("Picture", f"{picture['name']}, {size}, {picture['format']}"),
        ("Resized to", resized),
        ("Weights", str(weights["source"])),
        ("Weights' SHA-256", str(weights["sha256"])),
        ("Time", f"along {plan['time_axis']}, {plan['band_rows']} rows a band, {plan['workers']} workers"),
        ("Computed", f"{computed['precision']} on {computed['device']}"),
        ("Sound", ", ".join((sound["method"], *sound["schemes"], f"{sound['sample_rate_hz']} Hz"))),
        (
            "Machine",
            f"{machine['processor']}, {machine['cpus']} CPUs, {machine['memory']}, {machine['system']}",
        ),
        ("Version", f"netsounds-stream {record['versions']['netsounds-stream']}"),
    ]
    if resized == size:
        found.pop(1)
    return [{"name": name, "value": value} for name, value in found]


def predictions(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return both top-5 lists, as far as there are any.

    `folded` is what tells why a list is folded away on the page; empty: it is shown.
    """
    titles = {
        "label_size": ("Prediction (network's own input size)", ""),
        "full_picture": (
            "Prediction (average over the full picture)",
            "At this size the network sees patches of the picture, not whole objects, and its answers at all "
            "places are averaged: expect other words than above.",
        ),
    }
    return [
        {
            "title": title,
            "folded": why,
            "guesses": [
                {"category": each["category"], "share": each["probability"]}
                for each in record["prediction"][name]
            ],
        }
        for name, (title, why) in titles.items()
        if record["prediction"].get(name)
    ]


def stages(seconds: Mapping[str, float]) -> list[dict[str, Any]]:
    """Seconds by stage, and each one's share of all."""
    total = sum(seconds.values()) or 1.0
    return [{"name": name, "seconds": each, "share": each / total} for name, each in seconds.items()]


def levels_db(means: Sequence[float]) -> list[float | None]:
    """Each filter's mean activation against the loudest's; None where it never fires."""
    loudest = max(means, default=0.0)
    return [round(20 * float(np.log10(each / loudest)), 1) if each > 0 else None for each in means]
