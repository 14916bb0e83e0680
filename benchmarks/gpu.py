"""How fast on a GPU, and what bounds it there?

    python benchmarks/gpu.py --weights WEIGHTS [--picture PHOTO] [--rounds 3]

The network's passes with the output left on the device, by dtype and band height, beside the whole image on
the same device and beside the CPU; the device's two ceilings (matrix rate, copies) and the copies between it
and the host; and `sonify` end to end on both devices. Without CUDA it says so and writes nothing.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness import OUT, Case, measure, run_once
from question import drawn, folder_for, parse, parser, pixels_of, run_json, sonify, worker, write_result
from workload import bank_values, operations, pass_bytes

PHOTOGRAPH, SMOKE_PHOTOGRAPH = (4032, 3024), (96, 64)
SMALL, SIZE, SMOKE_SIZE = (4096, 2730), (8192, 8192), (72, 56)
BANDS, SMOKE_BANDS = (64, 256, 1024), (16,)


def has_cuda() -> bool:
    """Asked in a process of its own: nothing here imports torch."""
    words = [sys.executable, "-c", "import torch; print(torch.cuda.is_available())"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() == "True"


def cases(
    picture: Path, size: tuple[int, int], bands: tuple[int, ...], weights: str, common: list[str]
) -> list[Case]:
    """The passes at one size: on the device by dtype, the whole image there, the CPU's stream.

    In bands of several heights in fp16 alone, which is what a run on a GPU computes in by default. Without
    bands: one pass, in fp16, to be compared with a larger picture's.
    """
    width, height = size
    facts = {"width": width, "height": height, "pixels": width * height}
    facts |= {"operations": operations(height, width), "bank_values": bank_values(height, width)}
    made = []
    for dtype, value_bytes in (("fp16", 2), ("bf16", 2), ("fp32", 4)):
        about = {**facts, "dtype": dtype, "bytes": pass_bytes(height, width, value_bytes)}
        as_given = (picture, weights, "--dtype", dtype, "--device", "cuda", *common)
        for band in (None, *bands) if dtype == "fp16" else (None,):
            words = as_given if band is None else (*as_given, "--band", band)
            name = f"stream, {dtype}, {band or 'planned'} rows, {width} x {height}"
            made.append(
                Case(name, worker("forward_stream", *words), {**about, "way": "stream", "band": band})
            )
        if not bands:
            return made
        words = (*as_given, "--layout", "channels_last")
        name = f"whole image, {dtype}, {width} x {height}"
        made.append(Case(name, worker("forward_torch", *words), {**about, "way": "whole"}))
    words = worker("forward_stream", picture, weights, *common)
    made.append(Case(f"CPU stream, fp32, {width} x {height}", words, {**facts, "way": "cpu"}))
    return made


def main() -> None:
    made = parser(__doc__, rounds=3)
    made.add_argument("--picture", type=Path, help="a photograph, instead of a drawn picture")
    given = parse(made)
    if not has_cuda():
        print("no CUDA device: not measured")
        return
    with folder_for(None) as folder:
        passes = []
        heights = {SMOKE_SIZE: SMOKE_BANDS} if given.smoke else {SMALL: (), SIZE: BANDS}
        for size, bands in heights.items():
            picture = drawn(folder, *size, ".png")
            reference = folder / f"{picture.stem}.npz"
            # The CPU's stream in fp32: a whole image of the larger size does not fit every machine.
            words = worker("forward_stream", picture, given.weights, "--quick", "--save", reference)
            once = run_once(Case("reference", words))
            if once.failure:
                sys.exit(f"the reference at {size} cannot be computed: {once.failure}")
            common = ["--reference", str(reference), *(["--quick"] if given.smoke else [])]
            passes += cases(picture, size, bands, given.weights, common)
        tiny = ("--size", 64, "--copied-mib", 1, "--times", 1) if given.smoke else ("--size", 8192)
        dtypes = ("--dtypes", "fp16", "bf16", "fp32")
        passes.append(Case("ceilings", worker("ceilings", "--device", "cuda", *dtypes, *tiny)))
        photograph = given.picture or drawn(folder, *(SMOKE_PHOTOGRAPH if given.smoke else PHOTOGRAPH))
        few = ("--scheme", "sum", "--no-activations", "--no-mix", "--no-report")
        runs = [
            Case(
                f"sonify, {device}, {pixels_of(each) / 1e6:.1f} Mpx{kind}",
                sonify(each, given.weights, OUT, "--device", device, *options),
                {"picture": each.name, "pixels": pixels_of(each), "device": device},
            )
            # the last picture read is the largest: GPU memory must not follow the picture
            for each, kind, options in ((photograph, "", ()), (picture, ", sum only", few))
            for device in ("cuda", "cpu")
        ]
        rates = [f"{name}_flop_per_second" for name in ("fp16", "bf16", "fp32")]
        rates += [f"{name}_bytes_per_second" for name in ("copy", "host_to_device", "device_to_host")]
        measured = [each.as_json("band_rows", *rates) for each in measure(passes, given.rounds)]
        ends = [run_json(each) for each in measure(runs, given.rounds)]
    result = {"device": device_name(), "passes": measured[:-1], "ceilings": measured[-1], "runs": ends}
    write_result(given, "gpu", result)


def device_name() -> str:
    """The GPU's name and memory, as torch says them."""
    facts = "torch.cuda.get_device_properties(0)"
    code = f"import torch; p = {facts}; print(f'{{p.name}}, {{p.total_memory >> 30}} GiB')"
    words = [sys.executable, "-c", code]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
