"""Is a finished run exact? `python benchmarks/check_run.py RUN WEIGHTS [--windows 4]`

Compares stored activations, and samples of the sounds, with torchvision's whole-image network on windows of
the picture: strips across the whole frequency axis, at random times, wide enough that nothing beyond them
is seen. A picture of any size is checked so in bounded memory. One window as long as the picture is the
whole image itself (`--windows 0`). The last line is JSON: whether all is within bounds, the largest error
(`error`) and each file's.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pyvips
import soundfile
import torch
import zarr

from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.network.model_zoo import Preprocessing
from netsounds_stream.network.networks import whole_module
from netsounds_stream.picture.picture import open_picture

# Frames of the coarsest bank in a window, and pixels at each side of it that are only seen from inside.
_TRAINED = Preprocessing()
FRAMES, MARGIN = 4, 96
SAMPLED_FILTERS = (0, 1, 17, 50, 95)


@torch.inference_mode()
def banks_of(model: torch.nn.Module, pixels: np.ndarray) -> dict[int, torch.Tensor]:
    """Each bank `[channel, y, x]` of `[y, x, rgb]` 8-bit pixels, by torchvision's network."""
    values = (torch.from_numpy(pixels).permute(2, 0, 1).float() / 255).unsqueeze(0)
    values = (values - torch.tensor(_TRAINED.mean).view(3, 1, 1)) / torch.tensor(_TRAINED.std).view(3, 1, 1)
    values = values.contiguous(memory_format=torch.channels_last)
    kept = {}
    for index, layer in enumerate(model.get_submodule("features").children()):
        values = layer(values)
        kept.update(
            {bank.number: values[0] for bank in usual_banks().banks if bank.layer == f"features.{index}"}
        )
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("weights")
    parser.add_argument("--windows", type=int, default=4)
    given = parser.parse_args()
    record = json.loads((given.run / "run.json").read_text())
    picture = open_picture(Path(record["picture"]["path"]))
    assert picture.orientation == 1, "an upright file, so that a window is a plain crop"
    assert picture.width == record["picture"]["resized_width"], "a run at the picture's own size"
    axis, numbers = record["plan"]["time_axis"], record["options"]["banks"]
    along = picture.width if axis == "x" else picture.height
    model = whole_module("squeezenet1_0", str(given.weights))
    image = pyvips.Image.new_from_file(str(picture.path), memory=True)
    random = np.random.default_rng(0)
    length = 16 * FRAMES + 2 * MARGIN
    if given.windows and length + 16 <= along:
        starts = [0, *(16 * random.integers(0, (along - length) // 16, given.windows - 1))]
    else:
        length, starts = along, [0]
    worst: dict[str, float] = {}
    limits: dict[str, float] = {}
    spectra: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for start in starts:
        box = (start, 0, length, picture.height) if axis == "x" else (0, start, picture.width, length)
        reference = banks_of(model, image.crop(*box)[0:3].numpy())
        for number in numbers:
            about = usual_banks().banks[number - 1]
            first = 0 if start == 0 else MARGIN // about.stride
            last = usual_banks().length(number, "y", length)
            last -= 0 if start + length == along else MARGIN // about.stride
            at = start // about.stride
            values = reference[number].transpose(1, 2) if axis == "x" else reference[number]
            values = values[:, first:last].numpy()  # [channel, frame, frequency]
            stem = f"activations-{number}_{record['label'].replace(' ', '-')}"
            store = given.run / f"{stem}.zarr"
            if store.exists():
                array = zarr.open_array(str(store), mode="r")
                frames = slice(at + first, at + last)
                stored = array[:, :, frames].swapaxes(1, 2) if axis == "x" else array[:, frames]
                # what rounding to float16's 11 bits cannot explain
                beyond = np.abs(stored.astype(np.float32) - values) - 2**-11 * values
                error = max(0.0, float(beyond.max() / values.max()))
                worst[f"bank {number}"] = max(worst.get(f"bank {number}", 0.0), error)
                limits[f"bank {number}"] = 1e-5  # the stream's own tolerance
            _, frames, frequencies = values.shape
            total = usual_banks().length(number, "y", along)
            for scheme in record["options"]["sound"]["schemes"]:
                wav = given.run / f"{stem}_{scheme}.wav"
                # half a 16-bit step; and rounded activations, whose errors average over a frame
                limits[wav.name] = 2**-16 + max(2**-14, 2**-11 / frequencies**0.5)
                chosen = [slice(None)] if scheme == "sum" else [slice(f, f + 1) for f in SAMPLED_FILTERS]
                for filters in chosen:
                    spectrum = values[filters].astype(np.float64).sum(axis=0)
                    expected = np.fft.ifft(spectrum, axis=-1).real.reshape(-1)
                    place = 0 if scheme == "sum" else filters.start
                    offset = (place * total + at + first) * frequencies
                    sound, _ = soundfile.read(wav, frames=frames * frequencies, start=offset)
                    spectra.setdefault(wav.name, []).append((sound, expected))
    for name, pairs in spectra.items():
        # The file's one scale is not known here: it is the one that fits all its windows best.
        sound, expected = (np.concatenate(each) for each in zip(*pairs, strict=True))
        scale = float(sound @ expected / (expected @ expected))
        worst[name] = float(np.abs(sound - scale * expected).max())
    failed = False
    for name, error in worst.items():
        limit = limits[name]
        failed |= error > limit
        print(f"{name:<45} largest error {error:.1e} of the largest (allowed {limit:.1e})")
    print(json.dumps({"exact": not failed, "error": max(worst.values()), "errors": worst}))
    sys.exit(failed)


if __name__ == "__main__":
    main()
