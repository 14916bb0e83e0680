"""Colour profiles: found in a picture's header, compared with sRGB, and applied by libvips as pixels stream.

A profile is the file's own ICC profile, or one made here from what the file says of its colours in numbers:
PNG's cICP, gAMA and cHRM chunks, or the `nclx` of AVIF and HEIF (ITU-T H.273).
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyvips
from numpy.typing import NDArray

# Steps of each channel in the grid of colours that tells whether a profile is sRGB's.
_GRID_STEPS = 9
# A profile that moves no colour of the grid further, in levels of 255, is sRGB's: they differ by rounding.
_SAME_LEVELS = 1

#: ICC's signature of a colour space -> Pillow's mode.
_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
_SPACE_NAMES = {b"RGB ": "RGB", b"GRAY": "grey", b"CMYK": "CMYK", b"Lab ": "L*a*b*"}
_FIELD = "icc-profile-data"

# ITU-T H.273: colour primaries -> x and y of red, green, blue and white.
_PRIMARIES = {
    1: (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290),  # BT.709, sRGB
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, 0.3127, 0.3290),  # BT.601, 625 lines
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, 0.3127, 0.3290),  # BT.601, 525 lines
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290),  # BT.2020
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),  # DCI P3
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290),  # Display P3
}
# Transfer characteristics -> ICC's parametric curve: its type, then g, a, b, c, d.
_SRGB_CURVE = (3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
# Those of video (1, 6, 14, 15) are left out: browsers show a still picture that names them by sRGB's.
_CURVES = {4: (0, 2.2), 5: (0, 2.8), 8: (0, 1.0)}
_HDR_NAMES = {16: "PQ", 18: "HLG"}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A picture's colour profile.

    Attributes:
        name: its description.
        state: 'srgb': its colours are sRGB's already. 'applied': they are converted. 'left': they are not,
            because the user said so, or because it cannot be used.
        content: the ICC profile; empty where none is applied.
        note: a line for the user; None where there is nothing to say.
    """

    name: str
    state: Literal["srgb", "applied", "left"]
    content: bytes = field(default=b"", repr=False)
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class ColourNumbers:
    """A file's colours in numbers.

    Attributes:
        primaries: x and y of red, green, blue and white; None: those of sRGB.
        curve: ICC's parametric curve from numbers to light; None: sRGB's.
        hdr: name of a transfer that holds more than the range from black to white, such as 'PQ'.
    """

    primaries: tuple[float, ...] | None = None
    curve: tuple[float, ...] | None = None
    hdr: str = ""


def numbers_of_code_points(primaries: int, transfer: int) -> ColourNumbers:
    """Return the colours that code points of ITU-T H.273 stand for; unknown ones stand for sRGB's."""
    return ColourNumbers(
        primaries=_PRIMARIES.get(primaries), curve=_CURVES.get(transfer), hdr=_HDR_NAMES.get(transfer, "")
    )


def colour_profile(name: str, content: bytes, channels: int, *, cmyk: bool, wanted: bool) -> Profile:
    """Examine an ICC profile.

    Args:
        name: the picture's name, for the note.
        content: the profile.
        channels: channels of colour that are read.
        cmyk: whether they are inks.
        wanted: whether the user lets it be applied.

    Returns:
        The profile, and whether it is applied.
    """
    from PIL import ImageCms

    space = b"CMYK" if cmyk else b"GRAY" if channels == 1 else b"RGB "
    found = content[16:20]
    note = f"{name}: its colour profile is damaged and was not applied"
    if content[36:40] == b"acsp" and found != space:
        other = _SPACE_NAMES.get(found, "other")
        note = f"{name}: its colour profile is for {other} colours and was not applied"
        return Profile(name=f"a profile of {other} colours", state="left", note=note)
    colours = _grid(_MODES[space])
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(content))
        title = " ".join(ImageCms.getProfileDescription(opened).split())
        srgb = ImageCms.createProfile("sRGB")
        shown = ImageCms.profileToProfile(
            colours, opened, srgb, ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB"
        )
    except (OSError, ImageCms.PyCMSError):
        return Profile(name="a damaged profile", state="left", note=note)
    assert shown is not None
    before = np.asarray(colours.convert("RGB"), np.int16)
    if not cmyk and np.abs(np.asarray(shown, np.int16) - before).max() <= _SAME_LEVELS:
        return Profile(name=title, state="srgb")
    if not wanted:
        return Profile(name=title, state="left")
    return Profile(name=title, state="applied", content=content)


def _grid(mode: str) -> Any:
    """Return a picture of colours from all over a colour space."""
    from PIL import Image

    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = np.linspace(0, 255, _GRID_STEPS).round().astype(np.uint8)
    corners = np.meshgrid(*[steps] * len(mode), indexing="ij")
    values = np.stack(corners, axis=-1).reshape(_GRID_STEPS, -1, len(mode))
    return Image.fromarray(np.ascontiguousarray(values), mode=mode if mode == "CMYK" else None)


def to_srgb(colours: Any, content: bytes, *, deep: bool) -> Any:
    """Convert a `pyvips.Image` from a profile to sRGB, relative colorimetric.

    Args:
        colours: channels of colour, no others; one channel of grey is also taken by a profile of RGB.
        content: the ICC profile.
        deep: whether the result has 16 bits a value.

    Returns:
        A `pyvips.Image` of three bands.
    """
    if content[16:20] == b"RGB " and colours.bands == 1:  # a grey PNG whose colours are given in numbers
        colours = colours.bandjoin([colours, colours]).copy(interpretation="rgb16" if deep else "srgb")
    tagged = colours.copy()
    tagged.set_type(pyvips.GValue.blob_type, _FIELD, content)
    return tagged.icc_transform("srgb", embedded=True, intent="relative", depth=16 if deep else 8)


def lab_to_srgb(colours: Any, *, icc_encoding: bool) -> Any:
    """Convert L*a*b* of a TIFF to sRGB; its white is D50, that of ICC's connection space.

    Args:
        colours: three bands as libvips reads them.
        icc_encoding: whether a* and b* are unsigned, 128 added (photometric interpretation 9).

    Returns:
        A `pyvips.Image` of three bands, 8 or 16 bits as the file's.
    """
    deep = colours.format != "uchar"
    if colours.coding == "labq":
        lab = colours.LabQ2Lab()
        deep = False
    elif icc_encoding:
        scale = 256 if deep else 1
        lab = colours.linear([100 / (255 * scale), 1 / scale, 1 / scale], [0, -128, -128])
    elif deep:
        lab = colours.copy(interpretation="labs").LabS2Lab()
    else:
        lightness = colours.extract_band(0) * (100 / 255)
        signed = colours.extract_band(1, n=2).cast("short")
        lab = lightness.bandjoin((signed > 127).ifthenelse(signed - 256, signed))
    lab = lab.copy(interpretation="lab")
    return lab.icc_export(output_profile="srgb", intent="relative", depth=16 if deep else 8)


def made_profile(numbers: ColourNumbers) -> bytes:
    """Make an ICC profile (version 4, matrix and curve) of a file's colours in numbers.

    ICC.1:2022, 8.3 and 10.18; the white is adapted to D50 by the Bradford transformation.
    """
    to_d50 = _to_d50(numbers.primaries or _PRIMARIES[1])
    kind, *values = numbers.curve or _SRGB_CURVE
    curve = b"para" + bytes(4) + struct.pack(">HH", int(kind), 0) + b"".join(map(_fixed, values))
    tags = {
        b"desc": _text("colours in numbers"),
        b"cprt": _text("none"),
        b"wtpt": _xyz(_D50),
        **{name: _xyz(to_d50[:, place]) for place, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    at = 128 + 4 + 12 * len(tags)
    table = struct.pack(">I", len(tags))
    body = b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12x4s", at + len(body), b"", 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"acsp"
    )
    header += bytes(28) + b"".join(map(_fixed, _D50))
    return header.ljust(128, b"\0") + table + body


_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def _to_d50(primaries: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the matrix from linear RGB to XYZ under D50, `[xyz, rgb]`."""
    xy = np.array(primaries).reshape(4, 2)
    columns = np.stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(axis=1)) / xy[:, 1]])
    white = columns[:, 3]
    to_xyz = columns[:, :3] * np.linalg.solve(columns[:, :3], white)
    cones = (_BRADFORD @ np.array(_D50)) / (_BRADFORD @ white)
    adapted: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ to_xyz
    return adapted


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: Any) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(float(value)) for value in values)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(encoded), 28) + encoded
