"""The network's prediction of what the picture shows: five classes, the first of which names the files.

It is made from the picture at the size that the network was trained for, 224 x 224 of a short edge of 256. At
12 megapixels the receptive field sees texture only, and the average over the picture names nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import RangeError
from ..picture.picture import Picture, Slab, small_upright
from .stream import RowStream
from .weights import Weights, categories, for_pixels

_RESIZE = 256
_CROP = 224


@dataclass(frozen=True)
class Guess:
    """A class of ImageNet with its probability.

    Attributes:
        category: the class's name.
        probability: 0 to 1.
    """

    category: str
    probability: float


def top5(logits: Tensor) -> tuple[Guess, ...]:
    """Rank the classes by the softmax of averaged logits.

    Args:
        logits: `[class=1000]`.

    Returns:
        The five likeliest classes, likeliest first; empty if a logit is not finite, as after an overflow in
        half precision.
    """
    if not bool(torch.isfinite(logits).all()):
        return ()
    names = categories()
    values, indices = torch.softmax(logits.double(), dim=0).topk(5)
    return tuple(
        Guess(names[int(index)], round(float(value), 6)) for value, index in zip(values, indices, strict=True)
    )


def label_view(picture: Picture) -> Slab:
    """Preprocess the picture as the weights prescribe: short edge 256, centre crop 224.

    Returns:
        `[y, x, rgb]`.
    """
    return small_upright(picture, _RESIZE, _CROP)


def median_colour(pixels: Slab) -> tuple[int, int, int]:
    """Return the median of each channel of `[y, x, rgb]`, mostly the colour of a picture's even areas."""
    red, green, blue = (int(value) for value in np.median(pixels, axis=(0, 1)))
    return red, green, blue


def predict_label(pixels: Slab, full_scale: int, weights: Weights, *, normalize: bool) -> tuple[Guess, ...]:
    """Predict the classes of a preprocessed picture, in float32 on the CPU.

    Args:
        pixels: what `label_view` returns.
        full_scale: the pixel value of white, 255 or 65535.
        weights: the network's weights.
        normalize: whether ImageNet's mean and deviation are applied.

    Returns:
        The five likeliest classes, likeliest first.

    Raises:
        RangeError: the network overflows.
    """
    stream = RowStream(for_pixels(weights, full_scale, normalize), {})
    stream.push(torch.from_numpy(pixels).float().permute(2, 0, 1))
    stream.flush()
    guesses = top5(stream.logits())
    if not guesses:
        raise RangeError("the network overflows on this picture; give other --weights")
    return guesses
