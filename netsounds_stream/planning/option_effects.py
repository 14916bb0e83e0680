"""Options without effect: a table of the conditions under which each option matters."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from .options import SonifyOptions


@dataclass(frozen=True)
class Request:
    """A command's request: the options of a run, and how it is made.

    Attributes:
        options: all options, with defaults for those that were not given.
        cluster: whether a cluster does the work.
        url: whether the run goes to a URL.
    """

    options: SonifyOptions
    cluster: bool = False
    url: bool = False


@dataclass(frozen=True)
class Condition:
    """A condition under which some options have an effect.

    Attributes:
        names: names of the options, with underscores.
        need: the condition in words, after "without".
        holds: returns whether a request meets it.
    """

    names: tuple[str, ...]
    need: str
    holds: Callable[[Request], bool]


def _windowed(request: Request) -> bool:
    return (
        request.options.sound.windowed and bool(request.options.sound.schemes)
    ) or request.options.sound.mix


def _stereo_sum(request: Request) -> bool:
    return request.options.sound.stereo and "sum" in request.options.sound.schemes


CONDITIONS = (
    Condition(
        ("method", "balance", "scale", "top", "filters", "loudness", "sample_rate", "resample", "format"),
        "sound (the mix, or a --scheme other than none)",
        lambda request: request.options.sound.mix or bool(request.options.sound.schemes),
    ),
    Condition(
        ("iterations",),
        "Griffin-Lim (the mix, or --method griffin-lim; --method istft and --scale-notes have none)",
        lambda request: (
            _windowed(request)
            and request.options.sound.method != "istft"
            and request.options.sound.scale_notes is None
        ),
    ),
    Condition(
        (
            "duration",
            "frequency",
            "fmin",
            "fmax",
            "flip_frequency",
            "scale_notes",
            "equal_loudness",
            "contrast",
            "fft_size",
            "hop",
            "seed",
        ),
        "windowed sound (the mix, or --method istft or griffin-lim)",
        _windowed,
    ),
    Condition(
        ("phase",),
        "windowed sound of all frequencies (the mix, or --method istft or griffin-lim; not --scale-notes)",
        lambda request: _windowed(request) and request.options.sound.scale_notes is None,
    ),
    Condition(
        ("root",),
        "--scale-notes in windowed sound",
        lambda request: _windowed(request) and request.options.sound.scale_notes is not None,
    ),
    Condition(
        ("pan",),
        "stereo (the mix, or --stereo with --scheme sum)",
        lambda request: request.options.sound.mix or _stereo_sum(request),
    ),
    Condition(("bank_fall",), "the mix", lambda request: request.options.sound.mix),
    Condition(("stereo",), "--scheme sum", lambda request: "sum" in request.options.sound.schemes),
    Condition(("subtype",), "--format wav or flac", lambda request: request.options.sound.format != "ogg"),
    Condition(("codec",), "stored activations", lambda request: request.options.stored),
    Condition(
        ("sum_maps",),
        "a mix of the whole picture (no --no-mix, no --preview)",
        lambda request: request.options.sound.mix and request.options.sound.preview_s is None,
    ),
    Condition(
        ("activations",),
        "the whole picture (no --preview)",
        lambda request: request.options.sound.preview_s is None,
    ),
    Condition(("gpu_memory",), "--device cuda", lambda request: request.options.device.startswith("cuda")),
    Condition(("segment_rows",), "--cluster", lambda request: request.cluster),
    Condition(("work",), "an --out that is a URL", lambda request: request.url),
)


def without_effect(request: Request, given: Collection[str]) -> tuple[str, ...]:
    """Explain which of the given options have no effect.

    Args:
        request: the whole request.
        given: names of the options that the user gave, as in `Condition`; unknown names are ignored.

    Returns:
        One sentence for each condition that is not met and that some given option needs.
    """
    notes = []
    for condition in CONDITIONS:
        idle = [f"--{name.replace('_', '-')}" for name in condition.names if name in given]
        if idle and not condition.holds(request):
            verb = "has" if len(idle) == 1 else "have"
            notes.append(f"{_listed(idle)} {verb} no effect without {condition.need}")
    return tuple(notes)


def _listed(names: list[str]) -> str:
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]
