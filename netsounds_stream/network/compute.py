"""Where the network runs and in what precision, and how pixels become its input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import OptionError
from .weights import Weights, for_pixels, normalised


@dataclass(frozen=True)
class Compute:
    """Where the network runs ('cpu', 'cuda', 'mps') and in what: 'fp32', 'bf16' or 'fp16'."""

    device: str
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]


def devices() -> tuple[Literal["cpu", "cuda", "mps"], ...]:
    """Return what this machine, and this build of torch, can compute on."""
    has: dict[Literal["cpu", "cuda", "mps"], bool] = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    return tuple(name for name, there in has.items() if there)


def choose_compute(device: str, precision: str) -> Compute:
    """`device` and `precision` with 'auto' decided.

    Raises:
        OptionError: the device asked for is not there.
    """
    if device == "auto":
        device = "cpu"  # what runs on a GPU has not been tried on one yet: nobody gets it unasked
    elif device not in devices():
        raise OptionError(f"this machine, or this build of torch, has no {device} device; use --device cpu")
    if precision == "auto":
        # On a CPU torch's float16 is some twenty times slower than float32 unless the chip computes in it,
        # and torch does not say whether it does.
        precision = "fp32" if device == "cpu" else "fp16"
    return Compute(device, precision)


@dataclass(frozen=True)
class PixelNetwork:
    """Parameters for a stream, and what turns float32 pixels `[rgb, y, x]` into its input."""

    state: Mapping[str, Tensor]
    prepare: Callable[[Tensor], Tensor]
    full_scale: int


def pixel_network(weights: Weights, full_scale: int, normalize: bool, dtype: torch.dtype) -> PixelNetwork:
    """The cheapest right way for `dtype`: scaling folded into the weights where float32 has room for it."""
    if dtype == torch.float32:
        return PixelNetwork(for_pixels(weights, full_scale, normalize), lambda pixels: pixels, full_scale)
    return PixelNetwork(weights.state, lambda pixels: normalised(pixels, full_scale, normalize), full_scale)


def as_values(band: NDArray[np.generic], device: str) -> Tensor:
    """Pixels for `device`. Torch takes no negative strides of numpy's; bytes go elsewhere as bytes."""
    small = band.dtype == np.uint8 and device != "cpu"
    return torch.from_numpy(band.astype("uint8" if small else "float32", order="C"))
