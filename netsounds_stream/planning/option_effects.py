"""Which of the options that were given have no effect, because of the others: a table of conditions."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from .options import SonifyOptions


@dataclass(frozen=True)
class Request:
    """What a command was asked for: the options, and how the run is made.

    Attributes:
        options: all options, those that were not given at their defaults.
        cluster: whether a cluster works on it.
        url: whether the run goes to a URL.
    """

    options: SonifyOptions
    cluster: bool = False
    url: bool = False


@dataclass(frozen=True)
class Condition:
    """Options, by their names without dashes, that have an effect only where `holds`; `need` says when."""

    names: tuple[str, ...]
    need: str
    holds: Callable[[Request], bool]


def _windowed(asked: Request) -> bool:
    return (asked.options.sound.windowed and bool(asked.options.sound.schemes)) or asked.options.sound.mix


def _stereo_sum(asked: Request) -> bool:
    return asked.options.sound.stereo and "sum" in asked.options.sound.schemes


CONDITIONS = (
    Condition(
        ("method", "balance", "scale", "top", "filters", "loudness", "sample_rate", "resample", "format"),
        "sound (the mix, or a --scheme other than none)",
        lambda asked: asked.options.sound.mix or bool(asked.options.sound.schemes),
    ),
    Condition(
        ("iterations",),
        "Griffin-Lim (the mix, or --method griffin-lim; --method istft has none)",
        lambda asked: _windowed(asked) and asked.options.sound.method != "istft",
    ),
    Condition(
        (
            "duration",
            "frequency",
            "fmin",
            "fmax",
            "flip_frequency",
            "contrast",
            "phase",
            "fft_size",
            "hop",
            "seed",
        ),
        "windowed sound (the mix, or --method istft or griffin-lim)",
        _windowed,
    ),
    Condition(
        ("pan",),
        "stereo (the mix, or --stereo with --scheme sum)",
        lambda asked: asked.options.sound.mix or _stereo_sum(asked),
    ),
    Condition(("stereo",), "--scheme sum", lambda asked: "sum" in asked.options.sound.schemes),
    Condition(("subtype",), "--format wav or flac", lambda asked: asked.options.sound.format != "ogg"),
    Condition(("codec",), "stored activations", lambda asked: asked.options.stored),
    Condition(
        ("activations",),
        "the whole picture (no --preview)",
        lambda asked: asked.options.sound.preview_s is None,
    ),
    Condition(("gpu_memory",), "--device cuda", lambda asked: asked.options.device.startswith("cuda")),
    Condition(("segment_rows",), "--cluster", lambda asked: asked.cluster),
    Condition(("work",), "an --out that is a URL", lambda asked: asked.url),
)


def without_effect(asked: Request, given: Collection[str]) -> tuple[str, ...]:
    """Return a note for each condition that some of the `given` options do not meet.

    Args:
        given: names of options, as in `Condition`; others are left out.
    """
    notes = []
    for condition in CONDITIONS:
        idle = [f"--{name.replace('_', '-')}" for name in condition.names if name in given]
        if idle and not condition.holds(asked):
            verb = "has" if len(idle) == 1 else "have"
            notes.append(f"{_listed(idle)} {verb} no effect without {condition.need}")
    return tuple(notes)


def _listed(names: list[str]) -> str:
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]
