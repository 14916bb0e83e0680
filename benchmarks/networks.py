"""Is the stream of other networks exact, in little memory and fast, beside tiles and the whole picture?

    python benchmarks/networks.py [--rounds 3]

One layer of a network over a picture, untrained weights: ours, with the layer gathered in memory as the peers
have it and with each row given on; torch over the whole picture; lightstream, which computes exact tiles and
joins them. Then a picture that no peer takes in the memory, stored by `activations`.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness import OUT, Case, measure
from question import drawn, folder_for, parse, parser, pixels_of, worker, write_result

#: Sides of the picture. SqueezeNet's pools round up (`ceil_mode`), which tiles are right with only where they
#: and the picture have odd lengths before each: so its picture is 4 pixels larger.
SIDES = {"resnet18": 4096, "squeezenet1_0": 4100}
SMOKE_SIDE = 516
LARGE, SMOKE_LARGE = 16_384, 300
LAYERS = {"resnet18": "layer2", "squeezenet1_0": "features.12"}
#: Sides of lightstream's tiles: as its authors advise, and so small that a layer's values stay in a cache.
#: Other sides give wrong values (0.2 of the largest, resnet18 by tiles of 516) or none.
TILES = {"resnet18": {"large": 1920, "small": 512}, "squeezenet1_0": {"large": 1924, "small": 516}}
SMOKE_TILE = 516
#: Each way: its kind and its options.
WAYS: dict[str, tuple[str, ...]] = {
    "ours, gathered": ("ours", "--gather"),
    "ours, given on": ("ours",),
    "whole picture": ("whole",),
    "whole picture, channels_last": ("whole", "--layout", "channels_last"),
    "lightstream, large tiles": ("lightstream", "--tile"),
    "lightstream, small tiles": ("lightstream", "--tile"),
}
MEMORY = "1GiB"


def main() -> None:
    given = parse(parser(__doc__, rounds=3, weights=False))
    large = SMOKE_LARGE if given.smoke else LARGE
    left_out = {} if find_spec("lightstream") else {"lightstream": "not installed"}
    ways = [way for way, (kind, *_) in WAYS.items() if kind not in left_out]
    rows: list[dict[str, Any]] = []
    with folder_for(None) as folder:
        for network in LAYERS:
            side = SMOKE_SIDE if given.smoke else SIDES[network]
            picture = drawn(folder, side, side, ".png")
            cases = [
                _case(way, picture, network, folder / f"{network}.npy", smoke=given.smoke) for way in ways
            ]
            (reference,) = measure([_saving(cases[ways.index("whole picture")])], 1)
            if reference.failure:
                sys.exit(f"there is no reference of {network}: {reference.failure}")
            rows += [each.as_json("computed_per_pixel") for each in measure(cases, given.rounds)]
        big = drawn(folder, large, large, ".jpg")
        words = (big, OUT, "--network", "resnet18", "--layer", LAYERS["resnet18"], "--memory", MEMORY)
        stored = Case("stored", worker("network_stored", *words), {"side": large, "pixels": pixels_of(big)})
        (found,) = measure([stored], 1)
    about = {"layers": LAYERS, "left_out": left_out}
    details = ("stages", "planned_memory_bytes", "stored_bytes")
    write_result(given, "networks", {**about, "cases": rows, "large": found.as_json(*details)})


def _case(way: str, picture: Path, network: str, reference: Path, *, smoke: bool) -> Case:
    kind, *options = WAYS[way]
    if kind == "lightstream":
        tile = TILES[network]["large" if "large" in way else "small"]
        options.append(str(SMOKE_TILE if smoke else tile))
        way = way.replace(" tiles", f" tiles ({tile})")
    if smoke:
        options.append("--quick")
    words = ("--network", network, "--layer", LAYERS[network], "--reference", reference)
    facts = {"network": network, "way": way, "pixels": pixels_of(picture)}
    return Case(f"{network}, {way}", worker("network_way", kind, picture, *words, *options), facts)


def _saving(case: Case) -> Case:
    """The same case, which leaves its samples in place of comparing them."""
    words = tuple("--save" if word == "--reference" else word for word in case.words)
    return Case(case.name, words, case.facts)


if __name__ == "__main__":
    main()
