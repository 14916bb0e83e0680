"""The page's pictures: memory and time against pixels, and time by stage. `plots/*.png` out of `results/`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import matplotlib.ticker
from figures import Results, Row, budget, median, row, rows
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by every kind of sight; a marker each besides.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, GREY = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442"),
    "#999999",
)
STACK = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, GREY, "#666666", "#CCCCCC")
WAYS = {
    "sum": ("ours: sum only", BLUE, "o"),
    "defaults": ("ours: all defaults", GREEN, "s"),
    "whole": ("whole image (torch)", VERMILION, "^"),
}
# Eight inches at this many dots come out at 1,400 pixels: sharp where a page shows 700.
_INCHES, _DOTS = (8.0, 4.6), 175


def draw_all(results: Results, folder: Path) -> list[Path]:
    """Every plot whose question was measured; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    if "memory" in results:
        made += [memory(results, folder / "memory.png"), time(results, folder / "time.png")]
    if "stages" in results or "end_to_end" in results:
        made.append(stages(results, folder / "stages.png"))
    return made


def memory(results: Results, path: Path) -> Path:
    """Peak memory against pixels; the plan's as a dashed line."""
    figure, axes = _axes("peak memory of the whole process, MiB")
    for way, (name, colour, marker) in WAYS.items():
        good = list(_good(rows(results, "memory", way=way)))
        peaks = [(_megapixels(each), each["peak_memory_bytes"] / 2**20) for each in good]
        _line(axes, peaks, label=name, color=colour, marker=marker)
        planned = [
            (_megapixels(each), each["planned_memory_bytes"] / 2**20)
            for each in good
            if each.get("planned_memory_bytes")
        ]
        _line(axes, planned, label=f"{name}, planned", color=colour, linestyle="--", linewidth=1)
    return _save(figure, axes, path)


def time(results: Results, path: Path) -> Path:
    """Seconds of the whole process against pixels."""
    figure, axes = _axes("seconds, whole process")
    for way, (name, colour, marker) in WAYS.items():
        points = [(_megapixels(each), median(each)) for each in _good(rows(results, "memory", way=way))]
        _line(axes, points, label=name, color=colour, marker=marker)
    return _save(figure, axes, path)


def stages(results: Results, path: Path) -> Path:
    """Wall seconds by stage, ours and the peer's; and ours in CPU seconds by kind."""
    bars: list[tuple[str, dict[str, float]]] = []
    for name, way in (("netsounds-stream", "ours"), ("whole image", "whole")):
        found = row(results, "end_to_end", group="12 Mpx", way=way)
        if found and found.get("stages"):
            bars.append((f"{name},\nwall seconds", _stages(found)))
    kinds = budget(results).get("cpu_seconds")
    if kinds:
        bars.append(("netsounds-stream,\nCPU seconds", kinds))
    figure, axes = plt.subplots(figsize=(_INCHES[0], 1.3 + 1.5 * len(bars)), dpi=_DOTS, facecolor="white")
    longest = max((sum(parts.values()) for _, parts in bars), default=1.0)
    for place, (_, parts) in enumerate(bars):
        left = 0.0
        for index, (part, seconds) in enumerate(parts.items()):
            axes.barh(
                -place, seconds, left=left, height=0.42, color=STACK[index % len(STACK)], edgecolor="white"
            )
            if seconds > 0.035 * longest:
                # above and below by turns: neighbours' names would meet
                side, anchor = ((0.26, "bottom"), (-0.26, "top"))[index % 2]
                label = f"{part}\n{seconds:.1f}"
                axes.text(left + seconds / 2, -place + side, label, ha="center", va=anchor, fontsize=8)
            left += seconds
    axes.set_yticks([-place for place in range(len(bars))], [name for name, _ in bars], fontsize=9)
    axes.set_ylim(-len(bars) + 0.35, 0.65)
    axes.set_xlim(0, longest * 1.03)
    axes.set_xlabel("seconds, a 12-megapixel picture; parts below 3.5 % have no name")
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
    return path


def _stages(found: Row) -> dict[str, float]:
    """A run's stages with the banks' sound as one, and what no stage counts before them."""
    known = found["stages"]
    merged: dict[str, float] = {"start-up": max(0.0, (median(found) or 0.0) - sum(known.values()))}
    for name, seconds in known.items():
        first = "sound" if name.startswith("sound") else name
        merged[first] = merged.get(first, 0.0) + seconds
    return merged


def _good(found: Iterable[Row]) -> Iterable[Row]:
    return sorted((each for each in found if not each["failure"]), key=lambda each: each["facts"]["pixels"])


def _megapixels(found: Row) -> float:
    return found["facts"]["pixels"] / 1e6


def _axes(label: str) -> tuple[Figure, Axes]:
    figure, axes = plt.subplots(figsize=_INCHES, dpi=_DOTS, facecolor="white")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("picture, megapixels")
    axes.set_ylabel(label)
    axes.grid(visible=True, which="major", color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _line(axes: Axes, points: list[tuple[float, float | None]], **how: Any) -> None:
    if points:
        axes.plot(*zip(*points, strict=True), markersize=6, **{"linewidth": 2, **how})


def _save(figure: Figure, axes: Axes, path: Path) -> Path:
    # plain numbers at 1, 2 and 5, in place of powers of ten
    axes.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.legend(frameon=False, fontsize=9)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
    return path
