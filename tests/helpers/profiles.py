"""ICC profiles made from primaries and curves, and pictures as they are written under them."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageCms

# Red, green and blue as XYZ adapted to D50, as the profiles of these names have them.
_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
_ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
_PROPHOTO = ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491))
_SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
_D50 = (0.9642, 1.0, 0.8249)


def _fixed(values: Sequence[float]) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _curve(gamma: float | None) -> bytes:
    """A power, or sRGB's curve as a table."""
    if gamma is not None:
        return struct.pack(">4sIIHH", b"curv", 0, 1, round(gamma * 256), 0)
    x = np.linspace(0, 1, 1024)
    light = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return struct.pack(">4sII", b"curv", 0, x.size) + np.round(light * 65535).astype(">u2").tobytes()


def profile(
    name: str, colours: Sequence[Sequence[float]], gamma: float | None, space: bytes = b"RGB "
) -> bytes:
    """A display profile of ICC's version 2."""
    text = name.encode() + b"\0"
    tags = {
        b"desc": struct.pack(">4sII", b"desc", 0, len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + _fixed(_D50),
    }
    if space == b"GRAY":
        tags[b"kTRC"] = _curve(gamma)
    else:
        for letter, colour in zip((b"r", b"g", b"b"), colours, strict=True):
            tags[letter + b"XYZ"] = b"XYZ " + bytes(4) + _fixed(colour)
            tags[letter + b"TRC"] = _curve(gamma)
    at, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        table += struct.pack(">4sII", tag, at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s12x4s", at + len(body), b"", 0x02400000, b"mntr", space, b"XYZ ", b"acsp")
    return (head + bytes(28) + _fixed(_D50)).ljust(128, b"\0") + table + body


DISPLAY_P3 = profile("Display P3", _P3, None)
ADOBE_RGB = profile("Adobe RGB (1998)", _ADOBE, 2.19921875)
PROPHOTO = profile("ProPhoto RGB", _PROPHOTO, 1.8)
LINEAR = profile("linear sRGB", _SRGB, 1.0)
SRGB_BY_HAND = profile("sRGB by hand", _SRGB, None)
GREY_18 = profile("grey gamma 1.8", (), 1.8, b"GRAY")


def managed(path_or_image: Image.Image, content: bytes) -> np.ndarray:
    """What a viewer with LittleCMS shows, 8 bits `[y, x, rgb]`."""
    shown = ImageCms.profileToProfile(
        path_or_image,
        ImageCms.ImageCmsProfile(io.BytesIO(content)),
        ImageCms.createProfile("sRGB"),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
    )
    assert shown is not None
    return np.asarray(shown)
