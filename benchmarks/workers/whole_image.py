"""The plain whole-image script, our peer: `python benchmarks/workers/whole_image.py PICTURE WEIGHTS OUT`.

What one would write with torch and torchvision and no thought of memory: load, forward with the four
banks' activations kept, `torch.save` each, one `ifft` call a bank, write the `concat` sound of each.
It does less than `netsounds-stream sonify`: no `sum`, no label, no store that others read.
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
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("weights")
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, help="short edge in pixels")
    parser.add_argument("--layout", choices=("nchw", "channels_last"), default="channels_last")
    parser.add_argument("--dtype", choices=tuple(DTYPES), default="fp32")
    given = parser.parse_args()
    layout = torch.channels_last if given.layout == "channels_last" else torch.contiguous_format
    dtype, seconds = DTYPES[given.dtype], {}
    transforms = torchvision().transforms.functional
    model = whole_module("squeezenet1_0", str(given.weights)).to(dtype).to(memory_format=layout)
    imports = time.perf_counter() - started
    given.out.mkdir(parents=True, exist_ok=True)
    Image.MAX_IMAGE_PIXELS = None

    mark = time.perf_counter()
    image = ImageOps.exif_transpose(Image.open(given.picture)).convert("RGB")
    if given.size is not None:
        image = transforms.resize(image, given.size)
    values = transforms.normalize(transforms.to_tensor(image), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    values = values.unsqueeze(0).to(dtype).contiguous(memory_format=layout)
    seconds["load"] = time.perf_counter() - mark

    mark = time.perf_counter()
    banks = {}
    for index, layer in enumerate(model.features):
        values = layer(values)
        for bank, kept in LAYERS.items():
            if kept == index:
                banks[bank] = values[0]
    model.classifier(values)
    seconds["forward"] = time.perf_counter() - mark

    mark = time.perf_counter()
    for bank, activations in banks.items():
        torch.save(activations, given.out / f"activations-{bank}.pt")
    seconds["save"] = time.perf_counter() - mark

    mark = time.perf_counter()
    for bank, activations in banks.items():
        frames = activations.transpose(1, 2) if image.width >= image.height else activations
        sound = torch.fft.ifft(frames.float(), dim=-1).real.numpy()
        sound = sound / np.abs(sound).max()
        path = given.out / f"activations-{bank}_concat.wav"
        soundfile.write(path, sound.reshape(-1), 44100, subtype="PCM_16")
    seconds["sound"] = time.perf_counter() - mark
    report(seconds, import_seconds=imports)


if __name__ == "__main__":
    main()
