"""Data of the report page, ready for JSON: sounds, their place on the picture, waveforms, facts in words.

Everything here is a pure function of a run's record, plan and views. References are relative to the page.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from ..graph.usual import USUAL_NETWORK
from ..planning.plan import AudioPlan, BankPlan, Plan
from ..planning.sound_options import SoundOptions
from ..planning.sound_plan import filter_samples
from .images import Sheet

Floats = NDArray[np.float32]
_MEDIA_TYPES = {"WAV": "audio/wav", "RF64": "audio/wav", "FLAC": "audio/flac", "OGG": "audio/ogg"}


@dataclass(frozen=True, kw_only=True)
class Played:
    """One sound as the page plays it.

    Attributes:
        number: number of its bank; 0: the mix.
        audio: its plan.
        files: names of its files in the run's folder: one, or with the scheme `filters` one for each filter.
            A bank's `part` of the mix has its stem here, or nothing if the run writes no stems.
        forms: names of the browser forms, if browsers cannot play the files: one, or with the scheme `concat`
            one for each filter.
        filters: numbers of the filters that are heard one by one, in order; empty for a sum.
    """

    number: int
    audio: AudioPlan
    files: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()
    filters: tuple[int, ...] = ()


def href(name: str) -> str:
    """Return a name in the run's folder as a reference, percent-encoded."""
    return quote(name, safe="/", errors="surrogateescape")


def peaks(extremes: Floats) -> dict[str, Any]:
    """Encode waveforms for the page.

    Args:
        extremes: lowest and highest sample `[..., column, 2]`; NaN where a column has no sample.

    Returns:
        `columns`; `data`: int8 values in base64, each part scaled so that its largest magnitude is 127;
        `peak`: that magnitude, or a list of them if there are several parts.
    """
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
    """Replace NaN in `[..., column, 2]`.

    A sound with fewer samples than columns has gaps; a column in a gap repeats the one before it. The missing
    end of a part that was cut short becomes 0.
    """
    values = extremes.reshape(-1, extremes.shape[-2], 2).copy()
    for part in values:
        known = np.flatnonzero(np.isfinite(part[:, 0]))
        gap = int(np.diff(known).max(initial=1)) if known.size != 1 else len(part)
        end = known[-1] + gap if known.size else 0
        nearest = known[np.searchsorted(known, np.arange(len(part))[:end], side="right") - 1]
        part[:end] = part[nearest]
        part[end:] = 0
    return values.reshape(extremes.shape)


def sheet(name: str, layout: Sheet) -> dict[str, Any]:
    """Describe a contact sheet for the page.

    Args:
        name: the sheet's file, in the run's folder.
        layout: where its tiles lie.

    Returns:
        A reference to the file, columns and rows, and the sizes of tiles and cells in pixels.
    """
    return {
        "src": href(name),
        "columns": layout.columns,
        "rows": layout.rows,
        "tile_width": layout.tile_width,
        "tile_height": layout.tile_height,
        "cell_width": layout.cell_width,
        "cell_height": layout.cell_height,
    }


def time_span(
    plan: Plan, bank_plan: BankPlan | None, audio: AudioPlan, sound: SoundOptions
) -> tuple[float, float]:
    """Locate a sound, or each filter's part of it, on the picture's time axis.

    A frame is as long as the bank's stride. It lies around the middle of the pixel that it is centred on, and
    pixel n spans n to n + 1. The mix spans the whole picture.

    Args:
        plan: the run's plan.
        bank_plan: the sound's bank; None: the mix.
        audio: the sound's plan.
        sound: how it was made.

    Returns:
        Where the sound begins and ends, in pixels.
    """
    if bank_plan is None:
        start = 0.0
        length = float(plan.width if plan.time_axis == "x" else plan.height)
    else:
        spec = bank_plan.bank.along(plan.time_axis)
        start = spec.offset + (1 - spec.stride) / 2
        length = float(spec.stride * (bank_plan.whole_frames if sound.windowed else bank_plan.frames))
    resampled = sound.file_rate_hz / sound.sample_rate_hz
    samples = audio.samples / resampled
    return start, start + length * min(1.0, samples / filter_samples(plan, bank_plan, sound))


def pitch_span(
    plan: Plan, bank_plan: BankPlan | None, sound: SoundOptions, *, windowed: bool
) -> dict[str, Any]:
    """Locate a sound's frequencies on the picture, across the time axis.

    Windowed sound spreads the rows by the scale that was chosen. A raw sound is the inverse transform of a
    frame into real samples, so that values k and N - k of N sound alike (`sound.dsp.half_ifft`): its scale is
    `folded`, the first and the last pixel being lowest and the middle highest.

    Args:
        plan: the run's plan.
        bank_plan: the sound's bank; None: the whole picture, as for the mix.
        sound: how it was made.
        windowed: the sound is windowed.

    Returns:
        The scale, its ends in Hz, and the pixels `low_px` and `high_px` where these ends lie.
    """
    start = 0.0
    end = float(plan.height if plan.time_axis == "x" else plan.width)
    if bank_plan is not None:
        spec = bank_plan.bank.along("y" if plan.time_axis == "x" else "x")
        start = spec.offset + (1 - spec.stride) / 2
        end = start + spec.stride * bank_plan.frequencies
    scale: str = "linear"
    low = 0.0
    high = sound.sample_rate_hz / 2
    if windowed:
        scale = sound.frequency
        low, high = sound.frequencies_hz
        if (plan.time_axis == "x") != sound.flip_frequency:  # high frequencies lie at the picture's top
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
    plan: Plan, bank_plan: BankPlan | None, played: Played, sound: SoundOptions, size_bytes: int
) -> dict[str, Any]:
    """Describe a sound for the page, without its waveform and spectrogram.

    Args:
        plan: the run's plan.
        bank_plan: the sound's bank; None: the mix.
        played: the sound.
        sound: how it was made.
        size_bytes: size of its files.

    Returns:
        The sound's entry in the page's data; `peaks` and `spectrogram` are None.
    """
    audio = played.audio
    rate = sound.file_rate_hz
    is_part = audio.scheme == "part"
    windowed = bank_plan is None or sound.windowed or is_part
    choice, sentence = (_WINDOWED_TEXTS if windowed else _RAW_TEXTS)[audio.scheme]
    label = choice
    if bank_plan is not None:
        label = f"Bank {bank_plan.number}, {choice[0].lower()}{choice[1:]}"
    placed = None if is_part else bank_plan  # a part lies where the mix does
    start, end = time_span(plan, placed, audio, sound)
    many = audio.scheme == "filters"
    files = [href(name) for name in played.forms or played.files]
    parts = None
    if played.filters:
        seconds = audio.samples / rate
        if not many:
            seconds = min(seconds, filter_samples(plan, bank_plan, sound) / sound.sample_rate_hz)
        plays = files if many or played.forms else None
        parts = {"filters": list(played.filters), "seconds": seconds, "plays": plays}
    return {
        "id": "mix" if bank_plan is None else f"{bank_plan.number}-{audio.scheme}",
        "bank": None if bank_plan is None else bank_plan.number,
        "scheme": audio.scheme,
        "label": label,
        "choice": choice,
        "about": f"{sentence} {_bank_sentence(bank_plan)}",
        "file": None if many or not played.files else href(played.files[0]),
        "play": files[0] if parts is None or parts["plays"] is None else None,
        "type": "audio/flac" if played.forms else _MEDIA_TYPES[audio.container],
        "note": None if is_part else _note(played),
        "duration_s": audio.samples / rate * (len(played.filters) if many else 1),
        "sample_rate_hz": rate,
        "channels": audio.channels,
        "bytes": size_bytes,
        "start_px": start,
        "end_px": end,
        "pitch": pitch_span(plan, placed, sound, windowed=windowed),
        "parts": parts,
        "peaks": None,
        "spectrogram": None,
    }


# The page's name of a scheme, and a sentence about it: for windowed sound, and for raw sound.
_WINDOWED_TEXTS = {
    "mix": ("Mix of all banks", "All banks at once, in stereo."),
    "part": ("Part of the mix", "What this bank contributes to the mix."),
    "sum": ("Sum", "All filters of the bank added."),
    "concat": ("One by one", "The filters one after another."),
    "filters": ("One file each", "The filters one after another, each from its own file."),
}
_RAW_TEXTS = {
    "sum": ("Raw sum", "All filters added, as netsounds does it: it buzzes at the frame rate."),
    "concat": (
        "Raw, one by one",
        "The filters one after another, as netsounds does it: they buzz at the frame rate.",
    ),
    "filters": (
        "Raw, one file each",
        "The filters, each from its own file, as netsounds does it: they buzz at the frame rate.",
    ),
}


def _bank_sentence(bank_plan: BankPlan | None) -> str:
    """Explain a bank, or banks in general (None), in a sentence."""
    if bank_plan is None:
        return "A bank is one layer of the network: many filters."
    spec = bank_plan.bank
    return (
        f"Bank {spec.number} is layer {spec.layer}: {bank_plan.channels} filters, each looking for one "
        f"pattern in patches of {spec.x.field} × {spec.y.field} pixels."
    )


def _note(played: Played) -> str | None:
    """Explain why a browser form is played instead of the file; None where the file is."""
    if not played.forms:
        return None
    reason = "larger than browsers play"
    if played.audio.container == "RF64":
        reason = "RF64, which browsers do not play"
    elif played.audio.bytes_per_file < 1 << 31:
        reason = "of floating-point samples, which not every browser plays"
    subject = "Its files are" if len(played.files) > 1 else f"{played.files[0]} is"
    form = "FLAC forms play" if len(played.forms) > 1 else "a FLAC form plays"
    return f"{subject} {reason}: {form} here, in 16 bits and at full scale at most."


def facts(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """Describe a run in words.

    Returns:
        `name` and `value` of each fact, in the page's order.
    """
    picture = record["picture"]
    weights = record["weights"]
    machine = record["machine"]
    plan = record["plan"]
    sound = record["options"]["sound"]
    computed = record["computed"]
    size = f"{picture['width']} × {picture['height']} px"
    resized = f"{picture['resized_width']} × {picture['resized_height']} px"
    hardware = (machine["processor"], f"{machine['cpus']} CPUs", machine["memory"], machine["system"])
    texts = {
        "Picture": f"{picture['name']}, {size}, {picture['format']}",
        "Resized to": resized,
        "Network": str(plan.get("network", USUAL_NETWORK)),
        "Weights": str(weights["source"]),
        "Weights' SHA-256": str(weights["sha256"]),
        "Time": f"along {plan['time_axis']}, {plan['band_rows']} rows a band, {plan['workers']} workers",
        "Computed": f"{computed['precision']} on {computed['device']}",
        "Sound": ", ".join((sound["method"], *sound["schemes"], f"{sound['sample_rate_hz']} Hz")),
        "Machine": ", ".join(map(str, hardware)),
        "Version": f"netsounds-stream {record['versions']['netsounds-stream']}",
    }
    if resized == size:
        del texts["Resized to"]
    if texts["Network"] == USUAL_NETWORK:
        del texts["Network"]
    return [{"name": name, "value": value} for name, value in texts.items()]


def predictions(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Describe the network's predictions for the page.

    Returns:
        The lists of categories that the run has, each with its `title`. `folded` explains a list that the
        page shows only on demand; empty: the list is shown at once.
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
            "folded": folded,
            "guesses": [
                {"category": guess["category"], "share": guess["probability"]}
                for guess in record["prediction"][name]
            ],
        }
        for name, (title, folded) in titles.items()
        if record["prediction"].get(name)
    ]


def stages(seconds: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return each stage's seconds, and its share of the total."""
    total = sum(seconds.values()) or 1.0
    return [{"name": name, "seconds": spent, "share": spent / total} for name, spent in seconds.items()]


def levels_db(means: Sequence[float]) -> list[float | None]:
    """Compare filters by their mean activation.

    Args:
        means: each filter's mean activation.

    Returns:
        Each mean in dB relative to the highest; None for a filter that never fires.
    """
    loudest = max(means, default=0.0)
    return [round(20 * float(np.log10(mean / loudest)), 1) if mean > 0 else None for mean in means]
