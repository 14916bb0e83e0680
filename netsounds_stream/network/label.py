"""The network's prediction of what the picture shows: five classes, the first of which names the files.

It is made from the picture at the size that the network was trained for, such as 224 x 224 of a short edge of
256. At 12 megapixels the receptive field sees texture only, and the average over the picture names nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import RangeError
from ..picture.picture import Picture, Slab, small_upright
from .compute import pixel_network
from .networks import Network
from .stream import RowStream


@dataclass(frozen=True)
class Guess:
    """A class with its probability.

    Attributes:
        category: the class's name.
        probability: 0 to 1.
    """

    category: str
    probability: float


def top5(logits: Tensor | None, names: tuple[str, ...]) -> tuple[Guess, ...]:
    """Rank the classes by the softmax of averaged logits.

    Args:
        logits: `[class]`; None if the network makes none.
        names: the classes' names.

    Returns:
        The five likeliest classes, likeliest first; empty if there are no logits or no names for them, or if
        a logit is not finite, as after an overflow in half precision.
    """
    if logits is None or len(logits) != len(names) or not bool(torch.isfinite(logits).all()):
        return ()
    values, indices = torch.softmax(logits.double(), dim=0).topk(min(5, len(names)))
    return tuple(
        Guess(names[int(index)], round(float(value), 6)) for value, index in zip(values, indices, strict=True)
    )


def label_view(picture: Picture, network: Network) -> Slab:
    """Resize and crop the picture as the weights prescribe.

    Returns:
        `[y, x, rgb]`.
    """
    return small_upright(picture, network.preprocessing.resize, network.preprocessing.crop)


def median_colour(pixels: Slab) -> tuple[int, int, int]:
    """Return the median of each channel of `[y, x, rgb]`, mostly the colour of a picture's even areas."""
    red, green, blue = (int(value) for value in np.median(pixels, axis=(0, 1)))
    return red, green, blue


def predict_label(pixels: Slab, full_scale: int, network: Network, *, normalize: bool) -> tuple[Guess, ...]:
    """Predict the classes of a preprocessed picture, in float32 on the CPU.

    Args:
        pixels: what `label_view` returns.
        full_scale: the pixel value of white, 255 or 65535.
        network: the network.
        normalize: whether the mean and deviation of its training are applied.

    Returns:
        The five likeliest classes, likeliest first; empty if the network has no names of classes.

    Raises:
        RangeError: the network overflows.
    """
    if not network.categories:
        return ()
    image = torch.from_numpy(pixels).float().permute(2, 0, 1)
    if network.module is not None:
        with torch.inference_mode():
            scaled = network.normalised(image, full_scale, normalize=normalize)
            logits: Tensor | None = network.module(scaled[None]).flatten()
    else:
        prepared = pixel_network(network, full_scale, normalize, torch.float32)
        stream = RowStream(prepared.captured, {})
        stream.push(prepared.prepare(image))
        stream.flush()
        logits = stream.logits()
    guesses = top5(logits, network.categories)
    if not guesses:
        raise RangeError("the network overflows on this picture; give other --weights")
    return guesses
