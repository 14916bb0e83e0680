"""The device and precision that the network runs in, and how pixels become its input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import OptionError
from .networks import Network
from .tracing.capture import Captured


@dataclass(frozen=True)
class Compute:
    """A device and a precision for the network.

    Attributes:
        device: 'cpu', 'cuda' or 'mps'.
        precision: 'fp32', 'bf16' or 'fp16'.
    """

    device: str
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        """The precision as torch's dtype."""
        return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]


def devices() -> tuple[Literal["cpu", "cuda", "mps"], ...]:
    """Return the devices that this machine, and this build of torch, can compute on."""
    available: dict[Literal["cpu", "cuda", "mps"], bool] = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    return tuple(name for name, usable in available.items() if usable)


def choose_compute(device: str, precision: str) -> Compute:
    """Decide on a device and a precision where 'auto' is asked for.

    Raises:
        OptionError: the device is not available.
    """
    if device == "auto":
        device = "cpu"  # with arrays a run takes longer on a GPU: the host encodes them (DESIGN.md, On a GPU)
    elif device not in devices():
        raise OptionError(f"this machine, or this build of torch, has no {device} device; use --device cpu")
    if precision == "auto":
        # On a CPU torch's float16 is some twenty times slower than float32 unless the chip computes in it,
        # and torch does not say whether it does.
        precision = "fp32" if device == "cpu" else "fp16"
    return Compute(device, precision)


@dataclass(frozen=True)
class PixelNetwork:
    """A network for a `RowStream`, and the preparation of pixels that belongs to it.

    Attributes:
        captured: the network.
        prepare: turns float32 pixels `[rgb, y, x]` into the stream's input.
        full_scale: the pixel value of white, 255 or 65535.
    """

    captured: Captured
    prepare: Callable[[Tensor], Tensor]
    full_scale: int


def pixel_network(network: Network, full_scale: int, normalize: bool, dtype: torch.dtype) -> PixelNetwork:
    """Choose how pixels are scaled: folded into the weights where that is exact, else pixel by pixel.

    Half precision has no room for the folded weights (`Network.for_pixels`).
    """
    folded = network.for_pixels(full_scale, normalize=normalize) if dtype == torch.float32 else None
    if folded is not None:
        return PixelNetwork(folded, lambda pixels: pixels, full_scale)
    return PixelNetwork(
        network.captured,
        lambda pixels: network.normalised(pixels, full_scale, normalize=normalize),
        full_scale,
    )


def as_values(band: NDArray[np.generic], device: str) -> Tensor:
    """Copy a band of pixels to a tensor that can be sent to `device`.

    Returns:
        uint8 where 8-bit pixels go to another device, which quarters the transfer; else float32.
    """
    # The copy also removes negative strides, which torch does not support.
    small = band.dtype == np.uint8 and device != "cpu"
    return torch.from_numpy(band.astype("uint8" if small else "float32", order="C"))
