"""The colour map of every picture made here: dark is nothing, light is much, evenly to the eye.

256 steps in Oklab (Ottosson, "A perceptual color space for image processing", 2020): lightness rises by the
same amount from step to step, hue turns from violet over red to yellow, chroma is what sRGB has room for.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LIGHTNESS = (0.12, 0.97)
_HUES_DEGREES = (295, 465)  # violet, and once round to yellow
# Chroma in the middle of the map, and what is added to its light end; all of it lies within sRGB.
_CHROMA, _CHROMA_AT_END = 0.155, 0.05

# From Oklab to the cube roots of cone responses, and from those responses to linear sRGB; Ottosson's.
_TO_ROOTS = np.array(
    [
        [1, 0.3963377774, 0.2158037573],
        [1, -0.1055613458, -0.0638541728],
        [1, -0.0894841775, -1.2914855480],
    ]
)
_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


@cache
def colour_map() -> NDArray[np.uint8]:
    """sRGB `[step, rgb]` for 256 steps from nothing to full scale."""
    return np.round(255 * _srgb(_path())).astype(np.uint8)


def _path() -> Floats:
    """The map in Oklab, `[step, Lab]`."""
    at = np.linspace(0, 1, 256)
    lightness = _LIGHTNESS[0] + (_LIGHTNESS[1] - _LIGHTNESS[0]) * at
    hue = np.deg2rad(_HUES_DEGREES[0] + (_HUES_DEGREES[1] - _HUES_DEGREES[0]) * at)
    chroma = _CHROMA * np.sin(np.pi * (0.1 + 0.8 * at)) + _CHROMA_AT_END * at**2
    return np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1)


def _srgb(lab: Floats) -> Floats:
    """Within [0, 1] where sRGB holds the colour."""
    linear = (lab @ _TO_ROOTS.T) ** 3 @ _TO_RGB.T
    inside = np.clip(linear, 0, 1)
    curved: Floats = np.where(inside <= 0.0031308, 12.92 * inside, 1.055 * inside ** (1 / 2.4) - 0.055)
    return curved
