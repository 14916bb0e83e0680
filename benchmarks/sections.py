"""The page's sections, one a question: a result in, Markdown out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from figures import DEFAULTS, Results, Row, budget, matrix_share, over_before, row, rows, width_rate
from heard import busy, listening
from tables import failed, memory_of, number, spread, table, where
from targets import GPU_TARGETS, Target

NOT_MEASURED = "Not measured.\n"


def target_table(results: Results, wanted: Sequence[Target]) -> str:
    """The targets table, and the reason under each that is missed."""
    lines, reasons = [], []
    for target in wanted:
        value = target.value(results)
        bound = f"{'at least' if target.at_least else 'at most'} {target.shown(target.bound)}"
        if value is None:
            lines.append([target.what, bound, "not measured", None])
            continue
        lines.append([target.what, bound, target.shown(value), "met" if target.met(value) else "**missed**"])
        if not target.met(value):
            reason = target.reason(results) or "No reason has been measured."
            reasons.append(f"- *{target.what}*, {target.shown(value)}: {reason}\n")
    text = table(["what", "target", "measured", ""], lines)
    return text + ("\nMissed:\n\n" + "".join(reasons) if reasons else "")


def forward(results: Results) -> str:
    result = results["forward"]
    text = (
        "`benchmarks/forward.py`: the network's passes only, on input prepared beforehand, four banks given "
        "out. Errors are against torch's whole image in fp32, relative to each bank's largest value.\n"
    )
    if not result["half_precision"]:
        text += "This CPU has no instructions for bf16, which is measured at the smallest size only.\n"
    for name, why in result["left_out"].items():
        text += f"{name}: {why}.\n"
    sizes = sorted({(each["facts"]["pixels"], each["facts"]["width"]) for each in result["cases"]})
    for pixels, width in sizes:
        lines = []
        for each in rows(results, "forward", pixels=pixels):
            name = each["facts"]["way"]
            if each["failure"]:
                lines.append([name, *failed(each, 6)])
                continue
            speed = number(each["megapixels_per_second"], ".2f")
            error = number(each["error"], ".0e")
            band = each.get("band_rows")
            lines.append([name, spread(each["work_seconds"], 3), speed, memory_of(each), error, band])
        heads = ["", "seconds a pass", "Mpx/s", "peak memory", "largest error", "rows a band"]
        text += f"\n### {width} x {pixels // width}\n\n{table(heads, lines)}"
    ceilings = result["ceilings"]
    if not ceilings["failure"]:
        parts = [
            f"{dtype} {ceilings[f'{dtype}_flop_per_second'] / 1e9:.0f} GFLOP/s"
            + (f" (the stream reaches {share:.0%} of it)" if (share := matrix_share(results, dtype)) else "")
            for dtype in ("fp32", "bf16")
        ]
        copied = ceilings["copy_bytes_per_second"] / 1e9
        text += (
            f"\nThe machine's measured rates: matrix products {' and '.join(parts)}; copies "
            f"{copied:.1f} GB/s, read and written. The shares count convolutions only, the classifier's "
            "included.\n"
        )
    return text + where(result)


def end_to_end(results: Results) -> str:
    lines = []
    for each in results["end_to_end"]["cases"]:
        if each["failure"]:
            lines.append([each["name"], *failed(each, 6)])
            continue
        written = f"{each['bytes_written'] / 1e6:.0f} MB"
        cpu, planned = spread(each["cpu_seconds"]), memory_of(each, "planned_memory_bytes")
        lines.append([each["name"], spread(each["wall_seconds"], 2), cpu, memory_of(each), planned, written])
    heads = ["", "seconds", "CPU seconds", "peak memory", "planned", "written"]
    return (
        "`benchmarks/end_to_end.py`: whole processes, imports included, all of a group in turn. "
        "netsounds-stream stores four banks and writes `sum` and `concat` of each, the mix and the report; "
        "by its defaults it leaves `concat` out. The peers store four banks and write `concat` only, as ours "
        "does in the script's work. Peers may use 80 % of the memory that is available.\n\n"
        + table(heads, lines)
        + "\n![Wall seconds by stage and CPU seconds by kind, stacked](plots/stages.png)\n"
        + sound_shares(results)
        + checks(results["end_to_end"])
        + where(results["end_to_end"])
    )


def sound_shares(results: Results) -> str:
    """Which share of our own runs is sound: the raw schemes, and the mix."""
    lines = []
    for each in rows(results, "end_to_end", way="ours"):
        stages = each.get("stages")
        if each["failure"] or not stages:
            continue
        total = sum(stages.values())
        raw = sum(seconds for name, seconds in stages.items() if name.startswith("sound "))
        mix = stages.get("mix")
        shares = [f"{raw:.2f}", f"{raw / total:.0%}"]
        shares += [None, None] if mix is None else [f"{mix:.2f}", f"{mix / total:.0%}"]
        lines.append([each["facts"]["group"], f"{total:.2f}", f"{stages['network']:.2f}", *shares])
    if not lines:
        return ""
    heads = ["", "seconds in stages", "network", "raw sound", "share", "mix", "share"]
    return (
        "\nHow much of netsounds-stream's own run is sound; the last round's stages, out of `run.json`. Raw "
        "sound is `sum` and `concat` by IFFT. The mix's magnitudes are made in the network's stage; its own "
        "is phases, overlap-add, loudness and the file.\n\n" + table(heads, lines)
    )


def memory(results: Results) -> str:
    lines = []
    for each in sorted(
        results["memory"]["cases"], key=lambda each: (each["facts"]["way"], each["facts"]["side"])
    ):
        if each["failure"]:
            lines.append([each["name"], *failed(each, 6)])
            continue
        rate = each["facts"]["pixels"] / each["wall_seconds"]["median"] / 1e6
        planned, seconds = memory_of(each, "planned_memory_bytes"), spread(each["wall_seconds"])
        work = spread(each["work_seconds"])
        lines.append([each["name"], seconds, work, number(rate, ".2f"), memory_of(each), planned])
    heads = ["", "seconds", "of them work", "Mpx/s", "peak memory", "planned"]
    return (
        "`benchmarks/memory.py`: square pictures by their side; 'sum only' is `--scheme sum "
        "--no-activations` over all banks; those of all defaults were measured when these had `concat`. "
        "Mpx/s are of the whole process.\n\n"
        + table(heads, lines)
        + "\n![Peak memory against pixels](plots/memory.png)\n\n![Seconds against pixels](plots/time.png)\n"
        + checks(results["memory"])
        + where(results["memory"])
    )


def checks(result: Row) -> str:
    """What comparing finished runs with the whole-image network gave."""
    found = [each for each in result["cases"] if each.get("checked")]
    lines = [
        [each["name"], "yes" if each["checked"]["exact"] else "**NO**", f"{each['checked']['error']:.0e}"]
        for each in found
    ]
    text = "\nCompared with the whole-image network on windows (`benchmarks/check_run.py`):\n\n"
    return text + table(["run", "within bounds", "largest error"], lines) if lines else ""


def widths(results: Results) -> str:
    result, lines = results["widths"], []
    for each in result["cases"]:
        if each["failure"]:
            lines.append([each["name"], *failed(each, 3)])
            continue
        rate = width_rate(results, each["facts"]["width"])
        lines.append([each["name"], number(rate, ".2f"), spread(each["wall_seconds"], 1), memory_of(each)])
    heads = ["width x length", "network's stage, Mpx/s", "seconds in all", "peak memory"]
    return (
        "`benchmarks/widths.py`: as many pixels in strips; all defaults but the mix, whose cost follows the "
        f"length.\n\n{table(heads, lines)}{where(result)}"
    )


def stages(results: Results) -> str:
    result = results["stages"]
    text = (
        "`benchmarks/stages.py`: wall seconds by stage, and CPU seconds by kind of work, counted by `perf` "
        "499 times per CPU second over the whole process, imports included. FFT includes the matrix product "
        "that stands for it, convolution what oneDNN does around its own; kinds are told by function and "
        "library (`benchmarks/workers/sampled.py`).\n"
    )
    works = dict.fromkeys((each["facts"]["group"], each["facts"]["made"]) for each in result["cases"])
    for group, made in works:
        text += f"\n### {group}, {made}\n\n{_by_version(results, group, made)}"
    shares = [
        f"{group} {share:.0%}"
        for group, made in works
        if made == DEFAULTS and (share := budget(results, group).get("work_share")) is not None
    ]
    if shares:
        text += (
            f"\nShare of CPU time that is convolution, FFT, codec and file writing: {', '.join(shares)}.\n"
        )
    if any(each.get("sees_kernel") is False for each in result["budgets"]):
        text += "\n`perf` was not allowed to see the kernel here: its time is missing.\n"
    return text + where(result)


def _by_version(results: Results, group: str, made: str) -> str:
    """A run's seconds by stage and by kind, this version's and, where it was measured, the one before."""
    versions = [
        version
        for version in ("before", "now")
        if row(results, "stages", group=group, made=made, version=version)
    ]
    runs = {version: row(results, "stages", group=group, made=made, version=version) for version in versions}
    lines = [
        [name, *(spread(run[what], 2) if run else None for run in runs.values())]
        for name, what in (("wall", "wall_seconds"), ("CPU", "cpu_seconds"))
    ]
    lines.append(["peak memory", *(memory_of(run) if run else None for run in runs.values())])
    stages_of = {version: (run or {}).get("stages") or {} for version, run in runs.items()}
    for name in dict.fromkeys(name for stages in stages_of.values() for name in stages):
        lines.append([f"wall, {name}", *(number(stages.get(name), ".2f") for stages in stages_of.values())])
    kinds = {version: budget(results, group, made, version).get("cpu_seconds", {}) for version in versions}
    for name in dict.fromkeys(name for found in kinds.values() for name in found):
        lines.append([f"CPU, {name}", *(number(found.get(name), ".2f") for found in kinds.values())])
    text = table(["seconds", *versions], lines)
    over = over_before(results, group, made)
    if over is not None:
        wall = over_before(results, group, made, "wall_seconds")
        text += f"\nBefore over now: {over:.2f} x the CPU seconds, {wall:.2f} x the wall seconds.\n"
    return text


def two_pictures(results: Results) -> str:
    lines = [
        [each["name"], *failed(each, 2)]
        if each["failure"]
        else [each["name"], spread(each["wall_seconds"], 2), spread(each["cpu_seconds"])]
        for each in results["together"]["cases"]
    ]
    return (
        "`benchmarks/together.py`: a 12-megapixel photograph, once; twice at once, by two programs; and a "
        "batch of two.\n\n" + table(["", "seconds", "CPU seconds"], lines) + where(results["together"])
    )


def codecs(results: Results) -> str:
    result, lines = results["codecs"], []
    for each in result["cases"]:
        if each["failure"]:
            lines.append([each["name"], *failed(each, 5)])
            continue
        share, kept = each["stored_share"], 1 / each["stored_share"]
        rates = [f"{each[f'{way}_bytes_per_second'] / 1e9:.2f}" for way in ("encode", "decode")]
        lines.append([each["name"], f"{share:.3f}", f"{kept:.2f}", *rates])
    heads = ["", "bytes stored a raw byte", "ratio", "encode, GB/s", "decode, GB/s"]
    return (
        f"`benchmarks/codecs.py`, {result['picture']}: raw float16 bytes a second through the package's own "
        f"store, on all cores, best round.\n\n{table(heads, lines)}{where(result)}"
    )


def networks(results: Results) -> str:
    result, lines = results["networks"], []
    for each in result["cases"]:
        if each["failure"]:
            lines.append([each["name"], *failed(each, 6)])
            continue
        rate = number(each["megapixels_per_second"], ".2f")
        computed, error = number(each["computed_per_pixel"], ".2f"), f"{each['error']:.0e}"
        seconds = spread(each["work_seconds"], 2)
        lines.append([each["name"], seconds, rate, computed, memory_of(each), error])
    heads = ["", "seconds a pass", "Mpx/s", "pixels computed for each", "peak memory", "largest error"]
    layers = ", ".join(f"{network} up to {layer}" for network, layer in result["layers"].items())
    left_out = "".join(f" {name}: {why}." for name, why in result["left_out"].items())
    return (
        f"`benchmarks/networks.py`: {layers}; untrained weights. 'Gathered' puts the layer together in "
        "memory, as the other ways do; 'given on' passes its rows to a function. Errors are against torch "
        f"over the whole picture, as a share of the layer's largest value.{left_out}\n\n"
        f"{table(heads, lines)}\n{_large(result)}{where(result)}"
    )


def _large(result: Row) -> str:
    """A layer of a picture that no peer takes in the memory."""
    large, layer = result["large"], result["layers"]["resnet18"]
    side = large["facts"]["side"]
    text = f"resnet18's {layer} of {side:,} x {side:,} pixels, by `activations`, in a budget of 1 GiB: "
    if large["failure"]:
        return f"{text}failed: {large['failure']}.\n"
    return (
        f"{text}{large['work_seconds']['median']:.0f} s, peak memory {memory_of(large)} of "
        f"{memory_of(large, 'planned_memory_bytes')} planned, {memory_of(large, 'stored_bytes')} on disk.\n"
    )


def by_hand(results: Results) -> str:
    result, lines = results["by_hand"], []
    for width in dict.fromkeys(each["facts"]["width"] for each in result["cases"]):
        found = {
            version: row(results, "by_hand", width=width, version=version) for version in ("before", "now")
        }
        if any(each is None or each["failure"] for each in found.values()):
            continue
        before, now = (found[version] for version in ("before", "now"))
        assert before is not None and now is not None
        name = f"{now['facts']['pixels'] / 1e6:.1f} Mpx"
        ratio = now["work_seconds"]["median"] / before["work_seconds"]["median"]
        seconds = [spread(each["work_seconds"], 3) for each in (before, now)]
        memory = [memory_of(each) for each in (before, now)]
        lines.append([name, *seconds, f"{ratio:.3f}", *memory])
    heads = [
        "",
        "by hand, s a pass",
        "as a graph, s a pass",
        "ratio",
        "memory, by hand",
        "memory, as a graph",
    ]
    return (
        "`benchmarks/by_hand.py`: SqueezeNet 1.0's passes by the layers that were written by hand "
        f"({result['before']}), and by its graph.\n\n{table(heads, lines)}{where(result)}"
    )


def videos(results: Results) -> str:
    result, lines = results["videos"], []
    for each in result["cases"]:
        if each["failure"]:
            continue
        seconds = each["work_seconds"]
        plays = each["plays_seconds"]
        lines.append(
            [
                " along ".join(filter(None, (each["facts"]["codec"], each["facts"]["path"]))),
                f"{plays:.0f}",
                spread(seconds, 1),
                f"{plays / seconds['median']:.1f}",
                f"{each['video_bytes'] / plays * 60 / 1e6:.0f} MB",
                memory_of(each),
            ]
        )
    heads = ["", "plays, s", "takes, s", "times real time", "a minute", "peak memory"]
    size = result["cases"][0]["facts"]["size"].replace("x", " x ")
    return (
        f"`benchmarks/videos.py`: {size}, 30 frames a second, of a run of a photograph; a path's mix is made "
        f"anew.\n\n{table(heads, lines)}{where(result)}"
    )


def fft(results: Results) -> str:
    result = results["fft"]
    good = [each for each in result["cases"] if not each["failure"]]
    by_way = {each["facts"]["way"]: {at["length"]: at for at in each["lengths"]} for each in good}
    lengths = sorted({length for found in by_way.values() for length in found})
    lines = [
        [length, *(f"{found[length]['samples_per_second'] / 1e6:.0f}" for found in by_way.values())]
        for length in lengths
    ]
    errors = ", ".join(f"{each['facts']['way']} {each['error']:.0e}" for each in good)
    left_out = "".join(f" {name}: {why}." for name, why in result["left_out"].items())
    return (
        "`benchmarks/fft.py`: million samples a second by frame length, best of several; 'package' is what "
        f"netsounds-stream chooses.{left_out}\n\n{table(['length', *by_way], lines)}\n"
        f"Largest error against numpy in float64, relative to the largest sample: {errors}.\n{where(result)}"
    )


def phases(results: Results) -> str:
    result, lines = results["phases"], []
    ways: dict[str, list[float]] = {}
    for each in result["cases"]:
        if each["failure"]:
            lines.append([each["name"], *failed(each, 6)])
            continue
        for at, (way, found) in enumerate(each["ways"].items()):
            cost = number(found["cost"], ".2f")
            fit, seconds = f"{found['convergence_db']:.1f}", f"{found['seconds']:.2f}"
            signal = f"{each['name']}, {each['sound_seconds']:.0f} s" if at == 0 else ""
            lines.append([signal, way, fit, seconds, cost])
            if found["cost"] is not None:
                ways.setdefault(way, []).append(found["cost"])
    left_out = "".join(f" {name}: {why}." for name, why in result["left_out"].items())
    iterations = next((each["iterations"] for each in result["cases"] if not each["failure"]), "some")
    text = (
        "`benchmarks/phases.py`: how far the STFT's magnitudes of the sound are from those that were asked "
        "for, 20 log10(‖abs(STFT) - M‖ / ‖M‖) over all frames, in dB: lower is better, and 0 is silence. M "
        "is a bank's sum over its filters, by the package's default maps and contrast. Ours go through the "
        "package's stream, block by block; librosa's `griffinlim` (random phases at first, momentum 0.99) "
        f"has all frames in memory. Both take {iterations} iterations, `griffin-lim` from phases by `pghi` "
        f"unless it says otherwise. One thread each, in turn; median seconds.{left_out}\n\n"
    )
    text += table(["signal", "phases", "convergence, dB", "seconds", "of librosa's time"], lines)
    if ways:
        median_costs = [[way, f"{median(costs):.2f}"] for way, costs in ways.items()]
        text += f"\n{table(['over all signals', 'median of the cost'], median_costs)}"
    return text + where(result)


def stores(results: Results) -> str:
    result, lines = results["stores"], []
    for each in result["cases"]:
        rates = [f"{each[f'{way}_bytes_per_second'] / 1e6:.0f}" for way in ("put", "get")]
        spent = [f"{each[f'{way}_cpu_seconds_per_gigabyte']:.2f}" for way in ("put", "get")]
        lines.append([f"{each['library']}, {each['bytes'] / 2**20:.0f} MiB", *rates, *spent])
    heads = ["", "put, MB/s", "ranges got, MB/s", "CPU s a GB put", "CPU s a GB got"]
    return (
        "`benchmarks/stores.py`: objects put whole, and ranges of at most 1 MiB got, "
        f"{result['at_once']} at a time, best round. The server is one of Python's on the same machine, and "
        "bounds the rates; the CPU seconds are the client's own."
        f"\n\n{table(heads, lines)}{where(result)}"
    )


def gpu(results: Results) -> str:
    result, lines = results["gpu"], []
    ceilings = result["ceilings"]
    for each in result["passes"]:
        if each["failure"]:
            lines.append([each["name"], *failed(each, 6)])
            continue
        facts, seconds = each["facts"], each["work_seconds"]["median"]
        dtype = facts.get("dtype")
        rate = ceilings.get(f"{dtype}_flop_per_second") if dtype else None
        share = f"{facts['operations'] / seconds / rate:.0%}" if rate else None
        cuda, error = memory_of(each, "cuda_peak_bytes"), number(each["error"], ".0e")
        lines.append(
            [
                each["name"],
                number(each["megapixels_per_second"], ".0f"),
                share,
                cuda,
                error,
                each["band_rows"],
            ]
        )
    heads = ["", "Mpx/s", "of the matrix rate", "GPU memory", "largest error", "rows a band"]
    text = f"`benchmarks/gpu.py`, {result['device']}.\n\n"
    text += f"{target_table(results, GPU_TARGETS)}\n{table(heads, lines)}"
    text += cost_model(result)
    if not ceilings["failure"]:
        found = [(name, each) for name, each in ceilings.items() if name.endswith("_per_second") and each]
        shown = [
            [name.removesuffix("_per_second").replace("_", " "), f"{each / 1e9:.0f} G a second"]
            for name, each in found
        ]
        text += f"\n{table(['ceiling', 'measured'], shown)}"
    ends = [
        [each["name"], spread(each["wall_seconds"], 2), memory_of(each), each["failure"]]
        for each in result["runs"]
    ]
    return text + f"\n{table(['', 'seconds', 'peak memory', 'failed'], ends)}" + where(result)


def cost_model(result: Row) -> str:
    """Each dtype's two ceilings in Mpx/s, by operations and by bytes, and what the fastest stream reaches."""
    lines, ceilings = [], result["ceilings"]
    for dtype in ("fp16", "bf16", "fp32"):
        found = [
            each for each in result["passes"] if each["facts"].get("dtype") == dtype and not each["failure"]
        ]
        found = [each for each in found if each["facts"]["way"] == "stream"]
        if not found or ceilings["failure"]:
            continue
        best = max(found, key=lambda each: each["megapixels_per_second"])
        pixels = best["facts"]["pixels"]
        operations, moved = best["facts"]["operations"] / pixels, best["facts"]["bytes"] / pixels
        by_matrix = ceilings[f"{dtype}_flop_per_second"] / operations / 1e6
        by_memory = ceilings["copy_bytes_per_second"] / moved / 1e6
        reached = best["megapixels_per_second"]
        share = f"{reached / min(by_matrix, by_memory):.0%}"
        rates = [f"{each:.0f}" for each in (by_matrix, by_memory, reached)]
        lines.append([dtype, f"{operations / 1e3:.1f}", f"{moved:.0f}", *rates, share])
    heads = ["dtype", "kFLOP a pixel", "bytes a pixel", "by matrix rate, Mpx/s", "by memory, Mpx/s"]
    heads += ["reached, Mpx/s", "of the lower"]
    note = "Bytes count every layer's input and output once each through memory, ReLU in place.\n"
    return f"\n{table(heads, lines)}\n{note}" if lines else ""


SECTIONS: dict[str, tuple[str, Callable[[Results], str]]] = {
    "forward": ("The network's passes", forward),
    "end_to_end": ("End to end", end_to_end),
    "memory": ("Memory and time against pixels", memory),
    "widths": ("Narrow pictures", widths),
    "stages": ("Where the time goes", stages),
    "together": ("Two pictures", two_pictures),
    "busy": ("A busy machine", busy),
    "networks": ("Other networks", networks),
    "by_hand": ("What the graph costs", by_hand),
    "codecs": ("Codecs", codecs),
    "fft": ("Inverting frames", fft),
    "phases": ("Phases", phases),
    "listening": ("Listening", listening),
    "videos": ("Videos", videos),
    "stores": ("Object stores", stores),
    "gpu": ("GPU", gpu),
}
