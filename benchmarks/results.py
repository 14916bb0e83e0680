"""Results as files, and the page made of them: `python benchmarks/results.py` writes RESULTS.md.

Each benchmark leaves `results/NAME.json`, with the machine and the versions it ran on. Nothing on the page
is typed by hand.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from netsounds_stream.machine import describe
from netsounds_stream.record import versions

HERE = Path(__file__).parent
NOT_MEASURED = "Not measured.\n"


def write_result(name: str, result: dict[str, Any]) -> None:
    (HERE / "results").mkdir(exist_ok=True)
    whole = {"machine": describe(), "versions": versions(), **result}
    (HERE / "results" / f"{name}.json").write_text(json.dumps(whole, indent=1) + "\n")


def read_result(name: str) -> dict[str, Any] | None:
    path = HERE / "results" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def table(heads: list[str], rows: list[list[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def where(result: dict[str, Any]) -> str:
    machine, parts = result["machine"], result["versions"]
    named = ", ".join(f"{name} {parts[name]}" for name in ("torch", "zarr", "zarrs", "soundfile", "pyvips"))
    size = f"{machine['cpus']} cores, {machine['memory']}"
    return f"{machine['processor']}, {machine['system']}, {size}; {named}.\n"


def mib(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"


def end_to_end() -> str:
    result = read_result("end_to_end")
    if result is None:
        return NOT_MEASURED
    rows = []
    for name in ("netsounds-stream", "whole image"):
        seconds = sorted(result[name]["seconds"])
        peak = mib(result[name]["peak_memory_bytes"])
        rows.append(
            [name, f"{statistics.median(seconds):.1f}", f"{seconds[0]:.1f} to {seconds[-1]:.1f}", peak]
        )
    faster, smaller = result["times_faster"], result["times_smaller"]
    return (
        f"`benchmarks/end_to_end.py`, {result['picture']} at its own size: the whole process, imports "
        "included, both in turn. netsounds-stream stores four banks and writes `sum` and `concat` of each; "
        "the plain script (`benchmarks/whole_image.py`) saves four banks and writes `concat`.\n\n"
        + table(["", "seconds, median", "range", "peak memory"], rows)
        + f"\n**{faster:.1f} times as fast, at 1/{smaller:.1f} of the memory.**\n\n{where(result)}"
    )


def large() -> str:
    result = read_result("large")
    if result is None:
        return NOT_MEASURED
    rows = [
        [
            row["run"],
            f"{row['side']} x {row['side']}",
            row["seconds"],
            mib(row["peak_memory_bytes"]),
            mib(row["planned_memory_bytes"]),
            "yes" if row["exact"] else "NO",
        ]
        for row in result["rows"]
    ]
    heads = ["run", "pixels", "seconds", "peak memory", "planned", "exact on windows"]
    return f"`benchmarks/large.py`\n\n{table(heads, rows)}\n{where(result)}"


def codecs() -> str:
    result = read_result("codecs")
    if result is None:
        return NOT_MEASURED
    rows = [
        [row["codec"], *(f"{row['shares'][bank]:.2f}" for bank in "1234"), row["network_s"], row["sound_s"]]
        for row in result["rows"]
    ]
    heads = ["codec", "bank 1", "bank 2", "bank 3", "bank 4", "network, s", "sound, s"]
    return (
        f"`benchmarks/codecs.py`, {result['picture']}: bytes stored for a raw byte, and the stages that "
        f"encode and decode.\n\n{table(heads, rows)}\n{where(result)}"
    )


def fft() -> str:
    result = read_result("fft")
    if result is None:
        return NOT_MEASURED
    rows = [[row["length"], row["fft"], row["matrix"], row["chosen"]] for row in result["rows"]]
    heads = ["length", "FFT, Msamples/s", "matrix, Msamples/s", "chosen"]
    return f"`benchmarks/fft.py`\n\n{table(heads, rows)}\n{where(result)}"


def main() -> None:
    parts = {
        "A photograph, end to end": end_to_end(),
        "Large pictures": large(),
        "Codecs": codecs(),
        "Inverting frames": fft(),
        "GPU": NOT_MEASURED,
    }
    page = "# Results\n\nWritten by `python benchmarks/results.py` out of `benchmarks/results/`.\n"
    page += "".join(f"\n## {title}\n\n{text}" for title, text in parts.items())
    (HERE / "RESULTS.md").write_text(page)


if __name__ == "__main__":
    main()
