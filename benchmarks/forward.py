"""How fast is the network as a stream, beside whole images: by size, dtype and band height?

    python benchmarks/forward.py --weights WEIGHTS [--rounds 3] [--ceilings]

Only the network's passes are timed, after one to warm up; input is prepared beforehand and the four banks
are given out. Errors are against torch's whole image in fp32, on rows of every bank, relative to the bank's
largest value. The machine's matrix rate and copy bandwidth are measured in the same rounds.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from harness import Case, Measured, measure, run_once
from question import (
    TUNED_ALLOCATOR,
    drawn,
    folder_for,
    half_precision_instructions,
    installed,
    parse,
    parser,
    worker,
    write_result,
)
from workload import operations

SIZES = ((512, 512), (1024, 1024), (2048, 2048), (4096, 2730))  # width, height
BANDS = (8, 16, 32, 64, 128)
SMOKE_SIZES = ((72, 56),)
SMOKE_WAYS = ("stream, fp32", "stream, bf16", "whole image, channels_last, fp32", "ONNX Runtime, fp32")
# Without instructions for it, bf16 is computed by widening: tens of times slower, and no one's choice.
SLOW_BF16_SIZE = (512, 512)


def cases(
    picture: Path, size: tuple[int, int], bands: tuple[int, ...], weights: str, common: list[str]
) -> list[Case]:
    """Every way through the network at one size."""
    width, height = size
    facts = {
        "width": width,
        "height": height,
        "pixels": width * height,
        "operations": operations(height, width),
    }
    where = f"{width} x {height}"

    def case(name: str, script: str, *words: object, tuned: bool = False, **more: object) -> Case:
        return Case(
            f"{name}, {where}",
            worker(script, picture, weights, *words, *common),
            {**facts, "way": name, "tuned": tuned, **more},
            TUNED_ALLOCATOR if tuned else {},
        )

    made = []
    native = any("bf16" in flag for flag in half_precision_instructions())
    for dtype in ("fp32", "bf16") if native or size in (SLOW_BF16_SIZE, *SMOKE_SIZES) else ("fp32",):
        as_given = ("--dtype", dtype)
        made.append(case(f"stream, {dtype}", "forward_stream", *as_given, dtype=dtype, kind="stream"))
        for rows in bands:
            name = f"stream, {dtype}, {rows} rows"
            banded = (*as_given, "--band", rows)
            made.append(case(name, "forward_stream", *banded, dtype=dtype, kind="band", band=rows))
        for layout in ("nchw", "channels_last"):
            for tuned in (False, True):
                name = f"whole image, {layout}, {dtype}" + (", tuned allocator" if tuned else "")
                words = (*as_given, "--layout", layout)
                about = {"dtype": dtype, "kind": "torch", "layout": layout}
                made.append(case(name, "forward_torch", *words, tuned=tuned, **about))
    if installed("onnx") and installed("onnxruntime"):
        made.append(case("ONNX Runtime, fp32", "forward_onnx", dtype="fp32", kind="onnx"))
    return made


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument(
        "--ceilings", action="store_true", help="measure the machine's rates anew, and keep the rest"
    )
    given = parse(options)
    tiny = ("--size", 64, "--copied-mib", 1, "--times", 1) if given.smoke else ()
    rates = Case("ceilings", worker("ceilings", "--dtypes", "fp32", "bf16", *tiny))
    if given.ceilings:
        before = json.loads((given.results / "forward.json").read_text(encoding="utf-8"))
        kept = {name: before[name] for name in ("left_out", "cases")}
        write_result(given, "forward", {**kept, "ceilings": _rates(measure([rates], given.rounds)[0])})
        return
    with folder_for(None) as folder:
        made = []
        for size in SMOKE_SIZES if given.smoke else SIZES:
            picture = drawn(folder, *size, ".png")
            reference = folder / f"{picture.stem}.npz"
            once = run_once(
                Case(
                    "reference",
                    worker("forward_torch", picture, given.weights, "--quick", "--save", reference),
                )
            )
            if once.failure:
                sys.exit(f"the reference at {size} cannot be computed: {once.failure}")
            common = ["--reference", str(reference), *(["--quick"] if given.smoke else [])]
            bands = BANDS if size == SIZES[-1] else ()
            found = cases(picture, size, bands, given.weights, common)
            made += [case for case in found if not given.smoke or case.facts["way"] in SMOKE_WAYS]
        *found, last = measure([*made, rates], given.rounds)
    rows = [each.as_json("band_rows") for each in found]
    peers = {} if installed("onnxruntime") else {"ONNX Runtime": "not installed"}
    write_result(given, "forward", {"left_out": peers, "cases": rows, "ceilings": _rates(last)})


def _rates(found: Measured) -> dict[str, Any]:
    return found.as_json("fp32_flop_per_second", "bf16_flop_per_second", "copy_bytes_per_second")


if __name__ == "__main__":
    main()
