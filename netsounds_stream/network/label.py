"""What the network says the picture shows: top-5 classes, and the word that names the files.

The word comes from the picture at the size the network was trained for, 224 x 224 out of a short edge of
256. At 12 megapixels its receptive field sees texture only, and the average over the picture is no name.
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

_RESIZE, _CROP = 256, 224


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
    """The five likeliest classes for averaged logits `[class=1000]`, likeliest first (softmax).

    None where a logit is no number, which an overflow in half precision makes.
    """
    if not bool(torch.isfinite(logits).all()):
        return ()
    names = categories()
    values, indices = torch.softmax(logits.double(), dim=0).topk(5)
    return tuple(
        Guess(names[int(index)], round(float(value), 6)) for value, index in zip(values, indices, strict=True)
    )


def label_view(picture: Picture) -> Slab:
    """Return the picture by the weights' own preprocessing (resize 256, crop 224): `[y, x, rgb]`."""
    return small_upright(picture, _RESIZE, _CROP)


def median_colour(pixels: Slab) -> tuple[int, int, int]:
    """Return the median of each channel of `[y, x, rgb]`: the colour of what is even in a picture, mostly."""
    red, green, blue = (int(value) for value in np.median(pixels, axis=(0, 1)))
    return red, green, blue


def predict_label(pixels: Slab, full_scale: int, weights: Weights, *, normalize: bool) -> tuple[Guess, ...]:
    """Return the top-5 classes of what `label_view` gave, computed in float32 on the CPU."""
    stream = RowStream(for_pixels(weights, full_scale, normalize), {})
    stream.push(torch.from_numpy(pixels).float().permute(2, 0, 1))
    stream.flush()
    guesses = top5(stream.logits())
    if not guesses:
        raise RangeError("the network overflows on this picture; give other --weights")
    return guesses
