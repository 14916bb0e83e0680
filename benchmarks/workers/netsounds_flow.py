"""netsounds' own flow, our oldest peer: `python benchmarks/workers/netsounds_flow.py PICTURE WEIGHTS OUT`.

The picture at a short edge of `--size`, values in [0, 1]; torchvision's whole-image network in its own
layout with the four banks kept; the arrays saved; then, filter by filter, one `ifft` call for each frame,
the filter stretched to [-1, 1] by its own extremes, and the filters of a bank end to end in one WAV.
Written from a description of what it does, none of its code.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

started = time.perf_counter()

import numpy as np  # noqa: E402
import soundfile  # noqa: E402
import torch  # noqa: E402
from PIL import Image, ImageOps  # noqa: E402
from report import report  # noqa: E402

from netsounds_stream.network.model_zoo import torchvision  # noqa: E402
from netsounds_stream.network.networks import whole_module  # noqa: E402

LAYERS = {1: 1, 2: 5, 3: 10, 4: 12}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("weights")
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=1024, help="short edge in pixels")
    given = parser.parse_args()
    transforms = torchvision().transforms.functional
    model = whole_module("squeezenet1_0", str(given.weights))
    imports, seconds = time.perf_counter() - started, {}
    given.out.mkdir(parents=True, exist_ok=True)

    mark = time.perf_counter()
    image = ImageOps.exif_transpose(Image.open(given.picture)).convert("RGB")
    image = transforms.resize(image, given.size)
    values = transforms.to_tensor(image).unsqueeze(0)
    seconds["load"] = time.perf_counter() - mark

    mark = time.perf_counter()
    banks = {}
    with torch.no_grad():
        for index, layer in enumerate(model.features):
            values = layer(values)
            for bank, kept in LAYERS.items():
                if kept == index:
                    banks[bank] = values[0].numpy()
        model.classifier(values)
    seconds["forward"] = time.perf_counter() - mark

    mark = time.perf_counter()
    for bank, activations in banks.items():
        np.save(given.out / f"activations-{bank}.npy", activations)
    seconds["save"] = time.perf_counter() - mark

    mark = time.perf_counter()
    for bank, activations in banks.items():
        sounds = []
        for filter_ in activations:
            frames = filter_.T if image.width >= image.height else filter_
            sound = np.concatenate([np.fft.ifft(frame).real for frame in frames])
            low, high = sound.min(), sound.max()
            span = (high - low) or 1.0  # a filter that never fires stays silent
            sounds.append((sound - low) / span * 2 - 1)
        path = given.out / f"activations-{bank}_concat.wav"
        soundfile.write(path, np.concatenate(sounds), 44100, subtype="PCM_16")
    seconds["sound"] = time.perf_counter() - mark
    report(seconds, import_seconds=imports)


if __name__ == "__main__":
    main()
