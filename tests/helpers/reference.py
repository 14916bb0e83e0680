"""The plain ways that fast ones are compared with, large pictures, the real command in its own process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
import torch

from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.network.model_zoo import build
from netsounds_stream.network.networks import Network
from netsounds_stream.picture.demo_picture import draw

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).parent / "netsounds-stream"
TRAINED = "weights/squeezenet1_0-deep-compression.pth"
#: What of a run's folder holds times: two runs that are alike differ in them.
TIMED = ("run.json", "index.html", "share.html")


def reference_module(weights: Network) -> torch.nn.Module:
    """Torchvision's whole-image SqueezeNet with these weights."""
    module = build("squeezenet1_0", pretrained=False)
    module.load_state_dict(dict(weights.state))
    return module


@torch.inference_mode()
def whole_image(weights: Network, pixels: torch.Tensor) -> tuple[dict[int, torch.Tensor], torch.Tensor]:
    """The plain way: torchvision's network on normalised `[rgb, y, x]`; banks by number, and the logits."""
    module = reference_module(weights)
    kept: dict[int, torch.Tensor] = {}
    values = pixels.unsqueeze(0)
    for index, layer in enumerate(module.features):
        values = layer(values)
        for bank in usual_banks().banks:
            if bank.layer == f"features.{index}":
                kept[bank.number] = values[0].clone()
    return kept, module.classifier(values).flatten()


def normalised(pixels: np.ndarray) -> torch.Tensor:
    """8-bit `[y, x, rgb]` as the network was trained on: `[rgb, y, x]`."""
    values = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1) / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (values - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def large_picture(width: int, height: int, path: Path) -> None:
    """A picture for what follows from its size: the demonstration's beginning, again and again.

    To draw one as a whole takes longer than the network over it.
    """
    tile = pyvips.Image.new_from_array(draw(256, 256))
    tiles = tile.replicate(-(-width // 256), -(-height // 256))
    tiles.crop(0, 0, width, height).write_to_file(str(path))


def command(
    *words: object, cwd: Path | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own."""
    return subprocess.run(
        [PROGRAM, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=timeout,
        check=False,
    )


def page_data(run: Path) -> dict[str, Any]:
    """What the script of a run's page is told."""
    page = (run / "index.html").read_text(encoding="utf-8", errors="surrogateescape")
    (found,) = re.findall(
        r'<script type="application/json" id="netsounds-data">(.*?)</script>', page, re.DOTALL
    )
    data: dict[str, Any] = json.loads(found)
    return data
