"""The plain whole-image script, our peer: `python benchmarks/whole_image.py PICTURE WEIGHTS OUT [SIZE]`.

What one would write with torch and torchvision and no thought of memory: load, forward with the four
banks' activations kept, `torch.save` each, one `ifft` call a bank, write the `concat` sound of each.
It does less than `netsounds-stream sonify`: no `sum`, no normalised store. Prints JSON: seconds by part
(imports apart), and peak resident memory.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

started = time.perf_counter()

import numpy as np  # noqa: E402
import soundfile  # noqa: E402
import torch  # noqa: E402
from PIL import Image, ImageOps  # noqa: E402

from netsounds_stream.machine import peak_resident_bytes  # noqa: E402
from netsounds_stream.weights import load_weights, reference_module, torchvision  # noqa: E402

LAYERS = {1: 1, 2: 5, 3: 10, 4: 12}


@torch.inference_mode()
def main(picture: Path, weights: str, out: Path, size: int | None) -> None:
    seconds = {}
    transforms = torchvision().transforms.functional
    model = reference_module(load_weights(weights)).to(memory_format=torch.channels_last)
    seconds["imports"] = time.perf_counter() - started
    out.mkdir(parents=True, exist_ok=True)

    mark = time.perf_counter()
    image = ImageOps.exif_transpose(Image.open(picture)).convert("RGB")
    if size is not None:
        image = transforms.resize(image, size)
    values = transforms.normalize(transforms.to_tensor(image), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    values = values.unsqueeze(0).contiguous(memory_format=torch.channels_last)
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
        torch.save(activations, out / f"activations-{bank}.pt")
    seconds["save"] = time.perf_counter() - mark

    mark = time.perf_counter()
    for bank, activations in banks.items():
        frames = activations.transpose(1, 2) if image.width >= image.height else activations
        sound = torch.fft.ifft(frames, dim=-1).real.numpy()
        sound = sound / np.abs(sound).max()
        soundfile.write(out / f"activations-{bank}_concat.wav", sound.reshape(-1), 44100, subtype="PCM_16")
    seconds["sound"] = time.perf_counter() - mark
    print(json.dumps({"seconds": seconds, "peak_memory_bytes": peak_resident_bytes()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else None)
