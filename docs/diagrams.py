"""The figures of how-it-works.md: `python docs/diagrams.py [--out DIR] [--check]`.

Each is drawn from numbers that the code itself gives: its layers' geometry, what a stream retains, what the
planner plans. The numbers, and a checksum of this script, go into the file; by `--check` nothing is drawn,
and the exit status says whether the files hold what would go into them now. Needs matplotlib.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, Rectangle

from netsounds_stream import RowStream
from netsounds_stream.graph.geometry import completed, places
from netsounds_stream.graph.usual import usual_banks, usual_graph
from netsounds_stream.graph.values import INPUT, Graph, Pool
from netsounds_stream.network.tracing.capture import Captured
from netsounds_stream.network.weights import usual_shapes
from netsounds_stream.planning.memory import (
    OVERVIEW_BYTES,
    picture_bytes,
    store_bytes,
    stream_bytes,
    windowed_bytes,
)
from netsounds_stream.planning.network_sizes import sizes_of
from netsounds_stream.planning.options import SonifyOptions
from netsounds_stream.planning.plan import MIB, Limits, Source, Stft
from netsounds_stream.planning.planner import make_plan
from netsounds_stream.sound.dsp.half_ifft import half_frames, mirrored
from netsounds_stream.sound.dsp.stft import window_of

FIGURES = Path(__file__).parent / "figures"
KEPT, DONE, TO_COME, LINE, SECOND = "#00796b", "#b0bec5", "#ffffff", "#546e7a", "#ef6c00"
_PUSHED, _CROSS = 64, 24  # rows that the first figure pushes, and their length
_BASELINE_BYTES, _BUDGET_BYTES = 256 * MIB, 1 << 30

Facts = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """What is drawn: numbers from the code, and their drawing."""

    facts: Callable[[], Facts]
    draw: Callable[[Facts], Any]


def rows_facts() -> Facts:
    """What each layer retains of its input when a real stream has taken some rows, and its stride."""
    kept: dict[str, int] = {}

    def keep(name: str, layers: Sequence[str], values: Mapping[str, torch.Tensor]) -> None:
        buffers = [each for each in values.values() if each.ndim == 4]
        kept[name] = int(buffers[0].shape[2]) if buffers else 0

    graph = usual_graph()
    state = {name: torch.zeros(shape) for name, shape in usual_shapes(graph).items()}
    stream = RowStream(Captured(graph=graph, state=state), {})
    stream.push(torch.zeros(3, _PUSHED, _CROSS))
    band = stream.keeping(keep)
    for stage in stream.stages:
        band = stage(band)
    lie, ready = places(graph, "y"), completed(graph, "y", _PUSHED)
    layers = []
    for name in stream.stage_names[:-1]:  # without the classifier
        before = graph.by_name[_entry(graph, name)]
        seen = before.inputs[0]
        kind = "conv 7x7" if seen == INPUT else "pool 3x3" if isinstance(before.operator, Pool) else "3x3"
        layers.append(
            {
                "name": before.name.split(".")[1],
                "kind": kind,
                "rows": ready[seen],
                "kept": kept[name],
                "stride": lie[seen].stride,
                "offset": lie[seen].offset,
            }
        )
    return {"pushed": _PUSHED, "layers": layers}


def _entry(graph: Graph, name: str) -> str:
    """The name of the first layer of the stage that a name is the last one's of."""
    node = graph.by_name[name]
    while not (isinstance(node.operator, Pool) or node.inputs[0] == INPUT or node.name.endswith("squeeze")):
        node = graph.by_name[node.inputs[0]]
    return node.name


def draw_rows(facts: Facts) -> Any:
    made, at = plt.subplots(figsize=(9.0, 4.2), layout="constrained")
    for column, layer in enumerate(facts["layers"]):
        stride, offset = layer["stride"], layer["offset"]
        for row in range((facts["pushed"] - offset - 1) // stride + 1):
            past = row < layer["rows"] - layer["kept"]
            colour = DONE if past else KEPT if row < layer["rows"] else TO_COME
            top = offset + row * stride - (stride - 1) / 2
            at.add_patch(Rectangle((column + 0.1, top), 0.8, stride, fc=colour, ec=LINE, lw=0.4))
        at.text(column + 0.5, facts["pushed"] + 7, f"{layer['kept']}", ha="center", color=KEPT, weight="bold")
    names = [f"{layer['name']}\n{layer['kind']}" for layer in facts["layers"]]
    at.set_xticks([column + 0.5 for column in range(len(names))], names, fontsize=8)
    at.set(xlim=(0, len(names)), ylim=(facts["pushed"] + 9, -1), ylabel="picture row")
    at.tick_params(length=0)
    at.set_title("input rows of each layer: done with (grey), kept (green, and how many), to come (white)")
    return made


def fields_facts() -> Facts:
    return {
        "banks": [
            {"number": each.number, "field": each.field, "stride": each.stride, "offset": each.y.offset}
            for each in usual_banks().banks
        ]
    }


def draw_fields(facts: Facts) -> Any:
    made, at = plt.subplots(figsize=(9.0, 2.6), layout="constrained")
    widest = max(bank["field"] for bank in facts["banks"])
    for row, bank in enumerate(facts["banks"]):
        half, stride = bank["field"] / 2, bank["stride"]
        at.add_patch(Rectangle((-half, row - 0.32), bank["field"], 0.64, fc=DONE, ec=LINE, lw=0.8))
        neighbours = np.arange(-(widest // stride), widest // stride + 1) * stride
        at.plot(neighbours, np.full(len(neighbours), row), ".", color=LINE, ms=3)
        at.plot([0], [row], "o", color=KEPT, ms=7)
        said = f"sees {bank['field']} px, one every {stride} px"
        at.text(widest * 0.66, row - 0.42, said, ha="center", va="bottom", fontsize=8, color=LINE)
    at.set_yticks(range(len(facts["banks"])), [f"bank {bank['number']}" for bank in facts["banks"]])
    at.set(xlim=(-widest * 0.95, widest * 0.95), ylim=(len(facts["banks"]) - 0.4, -0.8))
    at.set_xlabel("picture pixels from the value's centre")
    at.set_title("what one value of a bank sees (grey), and where its neighbours' centres lie (dots)")
    return made


def frame_facts() -> Facts:
    """A frame of 24 made-up activations, and its samples."""
    places = torch.arange(24, dtype=torch.float32)
    values = torch.relu(torch.sin(places / 2.2) + 0.6 * torch.cos(places * 1.7) - 0.1)
    samples = mirrored(half_frames(values[None]).numpy(), len(values))[0]
    return {
        "values": [round(float(each), 3) for each in values],
        "samples": [round(float(each), 3) for each in samples],
        "mean": round(float(values.mean()), 3),
    }


def draw_frame(facts: Facts) -> Any:
    made, (left, right) = plt.subplots(1, 2, figsize=(9.0, 2.6), layout="constrained")
    count = len(facts["values"])
    left.bar(range(count), facts["values"], color=DONE, ec=LINE, lw=0.6)
    left.axhline(facts["mean"], color=SECOND, lw=1.2, ls="--")
    left.set(title="a frame: one filter's activations at one time", xlabel="place across the picture, x[k]")
    right.axhline(0, color=LINE, lw=0.6)
    right.vlines(range(count), 0, facts["samples"], color=LINE, lw=1)
    right.plot(range(count), facts["samples"], "o", color=KEPT, ms=4)
    right.plot([0], facts["samples"][:1], "o", color=SECOND, ms=7)
    right.axvline(count / 2, color=SECOND, lw=1.2, ls=":")
    right.text(0.8, facts["samples"][0], "y[0], the mean", va="center", color=SECOND, fontsize=9)
    right.text(count / 2 + 0.3, facts["samples"][0] * 0.6, "mirror", color=SECOND, fontsize=9)
    right.set(title="its sound: the real part of the inverse FFT", xlabel="sample, y[n]")
    return made


def store_facts() -> Facts:
    """Bank 1 of a photograph of 12 megapixels, as planned."""
    limits = Limits(baseline_bytes=_BASELINE_BYTES, budget_bytes=_BUDGET_BYTES, threads=4)
    bank = make_plan(Source(height=3024, width=4032), SonifyOptions(), limits).banks[0]
    return {
        "filters": bank.channels,
        "frames": bank.frames,
        "frequencies": bank.frequencies,
        "a_shard": bank.frames_per_shard,
        "shards": -(-bank.frames // bank.frames_per_shard),
    }


def draw_store(facts: Facts) -> Any:
    made, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.0), layout="constrained", sharey=True)
    frames, filters = facts["frames"], facts["filters"]
    for at, title in ((left, "written: shard after shard"), (right, "read: filter after filter")):
        for start in range(0, frames, facts["a_shard"]):
            width = min(facts["a_shard"], frames - start)
            at.add_patch(Rectangle((start, 0), width, filters, fc=TO_COME, ec=LINE, lw=0.5))
        at.set(xlim=(-20, frames + 20), ylim=(filters + 2, -2), title=title, xlabel="frame")
    for start in range(0, 12 * facts["a_shard"], facts["a_shard"]):
        left.add_patch(Rectangle((start, 0), facts["a_shard"], filters, fc=DONE, ec=LINE, lw=0.5))
    fills = 12 * facts["a_shard"]
    left.add_patch(Rectangle((fills, 0), facts["a_shard"] * 0.6, filters, fc=KEPT, ec=LINE, lw=0.5))
    left.set_ylabel("filter")
    for number in range(0, filters, 8):
        right.axhline(number, color=LINE, lw=0.2)
    right.add_patch(Rectangle((0, 40), frames, 4, fc=KEPT, ec=LINE, lw=0.5))
    right.add_patch(FancyArrowPatch((0, 42), (frames, 42), arrowstyle="->", mutation_scale=14, color=SECOND))
    left.add_patch(
        FancyArrowPatch(
            (0, filters / 2), (fills, filters / 2), arrowstyle="->", mutation_scale=14, color=SECOND
        )
    )
    made.suptitle(
        f"bank 1 of 4032 x 3024 pixels: {filters} filters, {frames} frames of {facts['frequencies']} values, "
        f"{facts['shards']} shards of {facts['a_shard']} frames",
        fontsize=9,
    )
    return made


_MEMORY_SIZES = ((1224, 816), (4032, 3024), (8192, 8192), (16384, 16384), (32768, 32768))


def memory_facts() -> Facts:
    """The network's stage of runs by all defaults, in MiB by part, as planned."""
    rows, sizes = [], sizes_of(usual_banks(), "x")
    for width, height in _MEMORY_SIZES:
        source, options = Source(height=height, width=width), SonifyOptions()
        plan = make_plan(
            source, options, Limits(baseline_bytes=_BASELINE_BYTES, budget_bytes=_BUDGET_BYTES, threads=4)
        )
        assert plan.stft is not None
        slab = min(plan.slab_rows, plan.rows_along)
        parts = {
            "Python, libraries": _BASELINE_BYTES,
            "bands, line buffers": stream_bytes(sizes, plan.band_rows, height, 4, plan.workers),
            "picture": picture_bytes(source, slab, height, plan.picture_stored),
            "shards": store_bytes(sizes, plan.banks, plan.workers, plan.band_rows * height),
            "windowed sums, overviews": windowed_bytes(
                plan.stft, plan.banks, options.sound.griffin_lim_iterations
            )
            + OVERVIEW_BYTES,
        }
        assert sum(parts.values()) == plan.forward_memory_bytes
        rows.append(
            {
                "megapixels": round(width * height / 1e6),
                "band_rows": plan.band_rows,
                "parts": {name: round(count / MIB, 1) for name, count in parts.items()},
            }
        )
    return {"budget": _BUDGET_BYTES // MIB, "sizes": rows}


def draw_memory(facts: Facts) -> Any:
    made, at = plt.subplots(figsize=(9.0, 3.0), layout="constrained")
    names = list(facts["sizes"][0]["parts"])
    colours = (DONE, KEPT, "#80cbc4", SECOND, "#ffcc80")
    begin = np.zeros(len(facts["sizes"]))
    for name, colour in zip(names, colours, strict=True):
        widths = np.array([size["parts"][name] for size in facts["sizes"]])
        at.barh(range(len(widths)), widths, left=begin, color=colour, ec=LINE, lw=0.5, label=name)
        begin += widths
    for row, total in enumerate(begin):
        at.text(total + 8, row, f"{total:.0f} MiB", va="center", fontsize=9)
    labels = [f"{size['megapixels']:,} Mpx,\n{size['band_rows']} rows a band" for size in facts["sizes"]]
    at.set_yticks(range(len(labels)), labels)
    at.invert_yaxis()
    at.axvline(facts["budget"], color=LINE, lw=1, ls="--")
    at.set(xlim=(0, begin.max() * 1.12), xlabel="MiB (dashed: the default budget)")
    at.set_title("the network's stage by all defaults, as planned")
    at.legend(fontsize=8, ncols=5, loc="upper center", bbox_to_anchor=(0.45, -0.2), frameon=False)
    return made


def windows_facts() -> Facts:
    stft = Stft(2048, 512, 512 * 10)
    return {"fft_size": stft.fft_size, "hop": stft.hop, "frames": stft.frames, "overlap": stft.overlap}


def draw_windows(facts: Facts) -> Any:
    made, at = plt.subplots(figsize=(9.0, 2.4), layout="constrained")
    size, hop = facts["fft_size"], facts["hop"]
    squares = window_of(Stft(size, hop, size)).numpy() ** 2
    total = np.zeros(size + hop * (facts["frames"] - 1))
    for number in range(facts["frames"]):
        start = number * hop
        total[start : start + size] += squares
        at.plot(np.arange(0, size, 16) + start - size // 2, squares[::16], color=KEPT, lw=1)
    shown = np.arange(0, len(total), 16)
    at.plot(shown - size // 2, total[shown], color=SECOND, lw=1.5)
    at.set(xlim=(-size / 2, hop * (facts["frames"] - 1) + size / 2), ylim=(0, 1.75), xlabel="sample")
    at.set_title(
        f"frames of {size} samples, one every {hop}: their squared windows, and the sum to divide by"
    )
    return made


ALL: dict[str, Figure] = {
    "rows": Figure(rows_facts, draw_rows),
    "fields": Figure(fields_facts, draw_fields),
    "frame": Figure(frame_facts, draw_frame),
    "store": Figure(store_facts, draw_store),
    "memory": Figure(memory_facts, draw_memory),
    "windows": Figure(windows_facts, draw_windows),
}


def held(name: str) -> Facts:
    """What a figure is to hold: its numbers, and which script drew it."""
    script = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return {"numbers": ALL[name].facts(), "script": script}


def found(path: Path) -> Facts | None:
    """What a figure holds."""
    said = re.search(r"<dc:description>(.*?)</dc:description>", path.read_text(encoding="utf-8"), re.DOTALL)
    facts: Facts | None = json.loads(unescape(said[1])) if said else None
    return facts


def save(name: str, folder: Path) -> None:
    facts = held(name)
    style = {
        "svg.fonttype": "none",
        "svg.hashsalt": "netsounds-stream",
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.titlesize": 9,
    }
    with matplotlib.rc_context(style):
        made = ALL[name].draw(facts["numbers"])
        about = {"Date": None, "Creator": "docs/diagrams.py", "Description": json.dumps(facts)}
        made.savefig(folder / f"{name}.svg", metadata=about)
        plt.close(made)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=FIGURES)
    parser.add_argument(
        "--check", action="store_true", help="draw nothing; say whether the files are current"
    )
    given = parser.parse_args(words)
    if not given.check:
        given.out.mkdir(parents=True, exist_ok=True)
        for name in ALL:
            save(name, given.out)
        return 0
    stale = [name for name in ALL if found(given.out / f"{name}.svg") != held(name)]
    if stale:
        print(f"not as the code has it: {', '.join(stale)}; python docs/diagrams.py", file=sys.stderr)
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
