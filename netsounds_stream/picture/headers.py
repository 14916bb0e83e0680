"""Facts that libvips does not tell, read from the headers of PNM, JPEG 2000, JPEG and PNG files."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .profiles import ColourNumbers, numbers_of_code_points

_PNM_HEADER_BYTES = 1 << 16
_BOXES = 256  # of a JPEG 2000 file that are looked at
_SEGMENTS = 1024  # of a JPEG file, or chunks of a PNG, likewise
_META_BYTES = 1 << 16  # of an AVIF or HEIF file, in which its properties lie
_SRGB_GAMMA = 45455  # the exponent 1 / 2.2 stands for sRGB's curve
_PICTURES = 0xB001  # tag of a multi-picture file: number of pictures


def pnm_maximum(path: Path) -> int | None:
    """Read the number that stands for white in a PGM or PPM file.

    Returns:
        The number; None for other files, which have none, or where the header is damaged.
    """
    with path.open("rb") as file:
        header = file.read(_PNM_HEADER_BYTES)
    between = rb"(?:\s|#[^\n\r]*[\n\r])+"
    match = re.match(rb"P[2356]" + between + rb"\d+" + between + rb"\d+" + between + rb"(\d{1,9})\s", header)
    return int(match[1]) if match else None


def jp2_has_alpha(path: Path) -> bool:
    """Return whether a JPEG 2000 file defines a channel as opacity (ISO 15444-1, box `cdef`)."""
    with path.open("rb") as file:
        for name, content in _boxes(file):
            if name == b"cdef":
                (count,) = struct.unpack_from(">H", content)
                kinds = [struct.unpack_from(">H", content, 4 + 6 * each) for each in range(count)]
                return any(kind in ((1,), (2,)) for kind in kinds)
    return False


def pictures_beside(path: Path, loader: str) -> int:
    """Return how many pictures a file holds of which libvips reads the first alone.

    Args:
        path: the file.
        loader: name of its format.

    Returns:
        The number in a multi-picture JPEG (CIPA DC-007), or of an animated PNG's frames; else 1.
    """
    try:
        with path.open("rb") as file:
            if loader == "jpeg":  # an Ultra HDR file's other picture is its gain map
                return _pictures_of_jpeg(file)
            if loader == "png":
                return _frames_of_png(file)
    except (OSError, struct.error):
        pass  # a damaged header; decoding will tell
    return 1


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of a JPEG 2000 file's small boxes, and of those within its header box."""
    for _ in range(_BOXES):
        head = file.read(8)
        if len(head) < 8:
            return
        length, name = struct.unpack(">I4s", head)
        if name == b"jp2h":  # its own boxes follow
            continue
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8).rjust(8, b"\0"))
            length -= 8
        if length < 8 or name == b"jp2c":  # to the end of the file; the picture itself
            return
        content = file.read(min(length - 8, 4096))
        yield name, content
        file.seek(length - 8 - len(content), 1)


def _pictures_of_jpeg(file: BinaryIO) -> int:
    file.seek(2)
    for _ in range(_SEGMENTS):
        marker, length = struct.unpack(">HH", file.read(4))
        if marker == 0xFFE2 and file.read(4) == b"MPF\0":
            return _pictures_in_index(file.read(length - 6))
        if marker == 0xFFDA or not 0xFFC0 <= marker <= 0xFFFE:
            return 1
        file.seek(length - 2 - (4 if marker == 0xFFE2 else 0), 1)
    return 1


def _pictures_in_index(index: bytes) -> int:
    """Return the number of pictures by the index of a multi-picture file, laid out as a TIFF directory."""
    order = "<" if index[:2] == b"II" else ">"
    (offset,) = struct.unpack_from(f"{order}I", index, 4)
    (count,) = struct.unpack_from(f"{order}H", index, offset)
    for entry in range(count):
        tag, kind, values, value = struct.unpack_from(f"{order}HHII", index, offset + 2 + 12 * entry)
        if (tag, kind, values) == (_PICTURES, 4, 1):
            return int(value)
    return 1


def _frames_of_png(file: BinaryIO) -> int:
    for name, content in _chunks(file):
        if name == b"acTL":
            return int(struct.unpack_from(">I", content)[0])
    return 1


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and first bytes of a PNG file's chunks before its pixels."""
    file.seek(8)
    for _ in range(_SEGMENTS):
        length, name = struct.unpack(">I4s", file.read(8))
        if name == b"IDAT":
            return
        content = file.read(min(length, 64))
        yield name, content
        file.seek(length - len(content) + 4, 1)


def colours_in_numbers(path: Path, loader: str, *, icc: bool) -> ColourNumbers | None:
    """Read what a file says of its colours in numbers, where that counts.

    Args:
        path: the file.
        loader: name of its format.
        icc: whether it has an ICC profile, too.

    Returns:
        The colours; None where an ICC profile goes before them, or where there are none, which is sRGB.
    """
    try:
        with path.open("rb") as file:
            if loader == "png":
                return _colours_of_png(file, icc=icc)
            if loader == "heif" and not icc:
                found = re.search(rb"colrnclx(.{4})", file.read(_META_BYTES), re.DOTALL)
                return numbers_of_code_points(*struct.unpack(">HH", found[1])) if found else None
    except (OSError, struct.error):
        pass  # a damaged header; decoding will tell
    return None


def _colours_of_png(file: BinaryIO, *, icc: bool) -> ColourNumbers | None:
    """Read the chunks by their precedence: cICP, iCCP, sRGB, then gAMA and cHRM (PNG, third edition, 4.3)."""
    found = dict(_chunks(file))
    if b"cICP" in found:
        primaries, transfer = struct.unpack_from(">BB", found[b"cICP"])
        return numbers_of_code_points(primaries, transfer)
    if icc or b"sRGB" in found or not found.keys() & {b"gAMA", b"cHRM"}:
        return None
    gamma = struct.unpack(">I", found[b"gAMA"])[0] if b"gAMA" in found else _SRGB_GAMMA
    primaries = None
    if b"cHRM" in found:  # white first
        numbers = [value / 100_000 for value in struct.unpack(">8I", found[b"cHRM"])]
        primaries = (*numbers[2:], *numbers[:2])
    curve = None if gamma in (0, _SRGB_GAMMA) else (0, 100_000 / gamma)
    return ColourNumbers(primaries=primaries, curve=curve)
