"""Does a mix sound like its picture: near for changed versions of it, far from others? And what is heard?

    python benchmarks/listening.py --weights WEIGHTS [--pictures PHOTO ...] [--before COMMIT]

Some 20 pictures: drawn ones, scikit-image's photographs where it is installed, and those given. Of each six
changed versions: half the size, JPEG at quality 40, brighter, blurred, mirrored, turned. `--before` names
another checkout of this repository, whose mixes are compared with this one's; `--options` are options of
the mixes, as JSON, such as '{"equal_loudness": true}', whose figures belong into other `--results` than the
usual ones. Needs librosa.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hearing
import numpy as np
from harness import Case, Measured, run_once
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps
from question import drawn, folder_for, installed, parse, parser, versions_of, worker, write_result

HOP = 512
SIZE, SMOKE_SIZE = (800, 600), (96, 64)
PHOTOGRAPH_EDGE = 600
SECONDS, SMOKE_SECONDS = 5, 2
#: Versions that keep where things are; of these the nearest mix must be the same picture's.
KEPT = ("half", "jpeg", "brighter", "blurred")
#: Without content: silent.
EVEN = {"black": 0, "grey": 128, "white": 255}
_PHOTOGRAPHS = (
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png"),
    *("hubble_deep_field.jpg", "ihc.png", "moon.png", "page.png", "retina.jpg", "rocket.jpg"),
    "motorcycle_left.png",
)


def drawings(size: tuple[int, int]) -> dict[str, Image.Image]:
    """Return pictures of which it is plain what should be heard."""
    width, height = size

    def on(colour: tuple[int, int, int]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        image = Image.new("RGB", size, colour)
        return image, ImageDraw.Draw(image)

    bars, draw = on((0, 0, 0))
    for left in range(width // 16, width, width // 8):
        draw.rectangle((left, 0, left + width // 40, height), fill=(255, 255, 255))
    rings, draw = on((30, 40, 60))
    for radius in range(height // 15, height // 2, height // 13):
        box = (width // 2 - radius, height // 2 - radius, width // 2 + radius, height // 2 + radius)
        draw.ellipse(box, outline=(255, 220, 0), width=max(1, height // 180))
    diagonal, draw = on((0, 0, 0))
    draw.line((0, height - 1, width - 1, 0), fill=(255, 255, 255), width=max(1, height // 150))
    gradient = Image.fromarray(np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1)))
    return {"bars": bars, "rings": rings, "diagonal": diagonal, "gradient": gradient.convert("RGB")}


def photographs(given: list[Path]) -> dict[str, Image.Image]:
    """Return the photographs by name, upright, none with a longer short edge than `PHOTOGRAPH_EDGE`."""
    paths = list(given)
    spec = find_spec("skimage")
    if spec is not None and spec.submodule_search_locations:
        paths += [Path(spec.submodule_search_locations[0]) / "data" / name for name in _PHOTOGRAPHS]
    found = {}
    for path in paths:
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        scale = min(1.0, PHOTOGRAPH_EDGE / min(image.size))
        size = tuple(round(scale * edge) for edge in image.size)
        found[path.stem] = image.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    return found


def versions(image: Image.Image) -> dict[str, Image.Image]:
    """Return the changed versions by name; 'jpeg' is changed by how it is saved."""
    width, height = image.size
    return {
        "half": image.resize((width // 2, height // 2), Image.Resampling.LANCZOS),
        "jpeg": image,
        "brighter": ImageEnhance.Brightness(image).enhance(1.15),
        "blurred": image.filter(ImageFilter.GaussianBlur(1.2)),
        "mirrored": ImageOps.mirror(image),
        "turned": image.transpose(Image.Transpose.ROTATE_90),
    }


def likeness(mels: Mapping[str, NDArray[np.float64]], sideways: Mapping[str, bool]) -> dict[str, Any]:
    """Return how near versions of a picture are, how far other pictures, and which is found to be whose.

    Args:
        mels: of each picture by its name, and of its versions by NAME@VERSION.
        sideways: whether a picture's time runs along x, so that a mirrored one is heard backwards.
    """
    names = list(sideways)
    within, between, found, asked, backwards = [], [], 0, 0, []
    for name in names:
        for version in KEPT:
            near = {other: hearing.alike(mels[other], mels[f"{name}@{version}"]) for other in names}
            asked, found = asked + 1, found + (max(near, key=lambda other: near[other]) == name)
            within.append(near.pop(name))
            between += near.values()
        if sideways[name]:
            reverse = mels[f"{name}@mirrored"][:, ::-1]
            near = {other: hearing.alike(mels[other], reverse) for other in names}
            backwards.append(max(near, key=lambda other: near[other]) == name)
    spectra = np.corrcoef([mels[name].mean(1) for name in names])
    far = np.asarray(between)
    return {
        "found": found,
        "asked": asked,
        "found_backwards": sum(backwards),
        "asked_backwards": len(backwards),
        "within": float(np.mean(within)),
        "between": float(far.mean()),
        # the chance that a version is nearer than another picture is
        "auc": float(np.mean([(each > far).mean() for each in within])),
        "spectra": float(spectra[np.triu_indices(len(names), 1)].mean()),
    }


def heard(folder: Path, names: list[str]) -> dict[str, Any]:
    """Return what the mixes of these pictures are like: each figure's median, and the worst of some."""
    buzz, swell, found, loud = [], [], [], []
    for name in names:
        samples, rate = hearing.read(folder / f"{name}.wav")
        mono = samples.mean(1)
        buzz.append(hearing.buzz_db(mono, rate, HOP))
        swell.append(max(hearing.swell_db(mono, rate)))
        found.append(hearing.levels(samples, rate))
        loud.append(loudness(samples, rate))
    silent = [float(np.abs(hearing.read(folder / f"{name}.wav")[0]).max()) for name in EVEN]
    return {
        "buzz_db": [float(value) for value in np.median(buzz, axis=0)],
        "most_buzz_db": [float(value) for value in np.max(buzz, axis=0)],
        "swell_db": float(np.median(swell)),
        "lufs": [float(min(loud)), float(max(loud))],
        "even_peak": max(silent),
        **{key: float(np.median([each[key] for each in found])) for key in found[0]},
    }


def loudness(samples: NDArray[np.float64], rate: int) -> float:
    """Return the integrated loudness, by another meter than the package's own."""
    import pyloudnorm

    return float(pyloudnorm.Meter(rate).integrated_loudness(samples))


def measured(folder: Path, once: Measured, sideways: dict[str, bool]) -> dict[str, Any]:
    """Return all figures of one version's mixes, in `folder`."""
    if once.failure:
        return {"failure": once.failure}
    names = [*sideways, *(f"{name}@{version}" for name in sideways for version in (*KEPT, "mirrored"))]
    mels = {}
    for name in names:
        samples, rate = hearing.read(folder / f"{name}.wav")
        mels[name] = hearing.mel_levels(samples.mean(1), rate)
    return {"failure": None, **likeness(mels, sideways), **heard(folder, list(sideways))}


def main() -> None:
    made = parser(__doc__, rounds=1)
    made.add_argument("--pictures", type=Path, nargs="+", default=[], help="photographs of your own")
    made.add_argument("--before", help="another commit or checkout, to be compared with this one")
    made.add_argument("--options", default="{}", help="further options of the mixes, as JSON")
    given = parse(made)
    if not installed("librosa"):
        made.error("it needs librosa; install it by: pip install '.[bench]'")
    rows = {}
    with folder_for(None) as folder, versions_of(given.before) as checkouts:
        size = SMOKE_SIZE if given.smoke else SIZE
        pictures = {"demo": Image.open(drawn(folder, *size, ".png")).convert("RGB"), **drawings(size)}
        if given.smoke:
            pictures = {name: pictures[name] for name in ("demo", "bars")}
        else:
            pictures |= photographs(given.pictures)
        paths = []
        for name, image in pictures.items():
            for version, changed in {"": image, **versions(image)}.items():
                suffix = ".jpg" if version == "jpeg" else ".png"
                paths.append(folder / (f"{name}@{version}{suffix}" if version else f"{name}.png"))
                changed.save(paths[-1], **({"quality": 40} if version == "jpeg" else {}))
        for name, grey in EVEN.items():
            paths.append(folder / f"{name}.png")
            Image.new("RGB", size, (grey, grey, grey)).save(paths[-1])
        sideways = {name: image.size[0] >= image.size[1] for name, image in pictures.items()}
        for version, checkout in checkouts.items():
            mixes = folder / f"mixes-{version}"
            seconds = SMOKE_SECONDS if given.smoke else SECONDS
            options = ("--options", given.options)
            words = worker("mixes", given.weights, mixes, *paths, "--seconds", seconds, *options)
            case = Case(version, words, {}, {"PYTHONPATH": str(checkout.resolve())})
            once = Measured(case, (run_once(case),))
            rows[version] = measured(mixes, once, sideways)
    write_result(
        given, "listening", {"pictures": sorted(pictures), "options": given.options, "compared": rows}
    )


if __name__ == "__main__":
    main()
