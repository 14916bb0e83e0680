"""Sections of the page on what a person notices: how mixes are heard, and how a busy machine fares."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from figures import Results, Row, row
from tables import table, where

_WORTH_A_ROW = 0.1  # seconds: shorter stages say nothing


def busy(results: Results) -> str:
    """Seconds of each stage alone and beside busy processes, and the ratio, for each version measured."""
    result = results["busy"]
    text = (
        f"`benchmarks/busy.py`: stages of a run alone and beside {result['processes']} processes that want a "
        "core each; the last round. On as many cores as there are busy processes, a program that shares "
        "fairly takes twice its time.\n"
    )
    for version in dict.fromkeys(each["facts"]["version"] for each in result["cases"]):
        pair = [row(results, "busy", version=version, busy=count) for count in (0, result["processes"])]
        alone, beside = ((each or {}).get("stages") or {} for each in pair)
        lines = [
            [name, f"{seconds:.2f}", f"{beside[name]:.2f}", f"{beside[name] / seconds:.1f}"]
            for name, seconds in alone.items()
            if name in beside and seconds >= _WORTH_A_ROW
        ]
        ends = [sum(stages.values()) for stages in (alone, beside)]
        if all(ends):
            lines.append(["all stages", *(f"{each:.2f}" for each in ends), f"{ends[1] / ends[0]:.1f}"])
        text += f"\n### {version}\n\n{table(['stage', 'alone', 'beside', 'times'], lines)}"
    return text + where(result)


_HEARD: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("versions found", lambda each: f"{each['found']} of {each['asked']}"),
    ("mirrored found backwards", lambda each: f"{each['found_backwards']} of {each['asked_backwards']}"),
    ("a version nearer than another picture (AUC)", lambda each: f"{each['auc']:.4f}"),
    ("correlation with versions", lambda each: f"{each['within']:.2f}"),
    ("correlation with other pictures", lambda each: f"{each['between']:.2f}"),
    ("correlation of mean spectra of different pictures", lambda each: f"{each['spectra']:.2f}"),
    ("line at the frames' rate, dB, 0.3-1, 1-3, 3-10 kHz: median", lambda each: _list(each["buzz_db"])),
    ("the same, highest", lambda each: _list(each["most_buzz_db"])),
    ("ends over inside, dB, median of the louder end", lambda each: f"{each['swell_db']:.1f}"),
    ("loudness, LUFS, lowest and highest", lambda each: _list(each["lufs"])),
    ("range of the level, dB (5th to 95th percentile)", lambda each: f"{each['range_db']:.1f}"),
    ("audible share of the time (above -60 dB)", lambda each: f"{1 - each['silent_share']:.0%}"),
    ("crest, dB", lambda each: f"{each['crest_db']:.1f}"),
    ("difference of the channels under their mean, dB", lambda each: f"{each['side_db']:.1f}"),
    ("largest sample of black, grey and white", lambda each: f"{each['even_peak']:.2g}"),
)


def _list(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in values)


def heard(results: Results) -> str:
    """Return the table of how mixes are heard, each version of the package a column."""
    versions = {name: row for name, row in results["listening"]["compared"].items() if row["failure"] is None}
    order = [name for name in ("before", "now") if name in versions]
    lines = [[what, *(shown(versions[name]) for name in order)] for what, shown in _HEARD]
    return table(["", *order], lines)


def listening(results: Results) -> str:
    result = results["listening"]
    text = (
        f"`benchmarks/listening.py`: mixes of {len(result['pictures'])} pictures and six versions of each; "
        "[docs/sound.md](../docs/sound.md) says what is what.\n\n"
    )
    return text + heard(results) + where(result)
