"""One case of the forward question, a peer: torchvision's network over the whole image, four banks kept."""

from __future__ import annotations

import torch
from passes import DTYPES, arguments, finish, normalised_picture, samples_of, timed

from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.network.networks import whole_module

LAYERS = {f"features.{index}": index for index in range(13)}


@torch.inference_mode()
def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--layout", choices=("nchw", "channels_last"), default="nchw")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    layout = torch.channels_last if given.layout == "channels_last" else torch.contiguous_format
    dtype, device = DTYPES[given.dtype], torch.device(given.device)
    model = whole_module("squeezenet1_0", str(given.weights)).to(device, dtype).to(memory_format=layout)
    picture = (
        normalised_picture(given.picture).unsqueeze(0).to(device, dtype).contiguous(memory_format=layout)
    )
    kept_after = {LAYERS[bank.layer]: bank.number for bank in usual_banks().banks}
    banks: dict[int, torch.Tensor] = {}

    def once() -> None:
        banks.clear()
        values = picture
        for index, layer in enumerate(model.features):
            values = layer(values)
            if index in kept_after:
                banks[kept_after[index]] = values[0]
        model.classifier(values)

    settle = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = timed(lambda: once, quick=given.quick, settle=settle)
    cuda_peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else None
    finish(given, seconds, lambda: samples_of(banks, picture.shape[2]), cuda_peak_bytes=cuda_peak)


if __name__ == "__main__":
    main()
