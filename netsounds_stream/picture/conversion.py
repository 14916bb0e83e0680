"""Pixels as a file holds them, converted to red, green and blue as they stream."""

from __future__ import annotations

from typing import Any

from .contents import Contents
from .profiles import lab_to_srgb, to_srgb
from .stretch import stretched

# Largest numbers of transparency, by the number format.
_OPAQUE = {"uchar": 255.0, "ushort": 65535.0, "uint": 2.0**32 - 1, "float": 1.0, "double": 1.0}


def read_channels(image: Any, contents: Contents) -> Any:
    """Take the channels to read out of a `pyvips.Image`, in their order."""
    channels = contents.channels
    if contents.reader == "fits":  # which hands over no others
        return image
    if channels == tuple(range(image.bands)):
        return image
    first = channels[0]
    if channels == tuple(range(first, first + len(channels))):
        return image.extract_band(first, n=len(channels))
    picked = [image.extract_band(channel) for channel in channels]
    return picked[0].bandjoin(picked[1:])


def as_rgb(image: Any, contents: Contents) -> Any:
    """Convert a picture to red, green and blue, over white where it is transparent; not yet upright.

    Args:
        image: the `pyvips.Image` as it was opened.
        contents: what it holds; measured, if its stretch needs that.

    Returns:
        A `pyvips.Image` of three bands, 8 bits, or 16 if `contents.deep`.
    """
    deep = contents.deep
    colours = read_channels(image, contents)
    if contents.stretch is not None:
        assert contents.limits is not None
        colours = stretched(
            colours, contents.stretch, contents.limits, contents.no_data, inverted=contents.inverted
        )
    colours = _in_srgb(colours, contents)
    if contents.alpha is not None:
        white = 65535 if deep else 255
        alpha = image.extract_band(contents.alpha)
        opaque = _OPAQUE.get(alpha.format, white)
        if opaque != white:
            alpha = (alpha * (white / opaque)).cast("ushort" if deep else "uchar")
        colours = colours.bandjoin(alpha).flatten(background=[white])
    return colours.cast("ushort" if deep else "uchar")


def _in_srgb(colours: Any, contents: Contents) -> Any:
    """Convert the colours from their own space to sRGB, three bands."""
    deep = contents.deep
    if contents.colour in ("cielab", "icclab"):
        return lab_to_srgb(colours, icc_encoding=contents.colour == "icclab")
    spaces = {"cmyk": "cmyk", "rgb": "rgb16" if deep else "srgb", "grey": "grey16" if deep else "b-w"}
    colours = colours.copy(interpretation=spaces[contents.colour])
    profile = contents.profile
    if profile is not None and profile.state == "applied":
        return to_srgb(colours, profile.content, deep=deep)
    if contents.colour == "cmyk":  # libvips' own idea of inks
        return colours.icc_transform("srgb", input_profile="cmyk", embedded=False, intent="relative")
    return colours.colourspace("rgb16" if deep else "srgb")
