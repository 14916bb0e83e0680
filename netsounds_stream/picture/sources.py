"""Bytes that Python gives to libvips on demand: files with a few bytes changed, and rows that are computed.

Rows are handed over as an uncompressed TIFF that exists nowhere: its header is made beforehand, and what
follows is computed when libvips asks for it. So libvips streams them as it streams any file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from ..errors import PictureError

_STRIP_BYTES = 1 << 18
_TIFF_KINDS = {"u": 1, "i": 2, "f": 3}

# libvips reads from a source as long as any image made from it lives, and does not tell when that ends. So
# they are kept as long as the process; each is a few hundred bytes.
_SOURCES: list[pyvips.SourceCustom] = []
# What went wrong in them, since no exception can pass through libvips.
_FAILURES: list[Exception] = []


def image_of_bytes(length: int, read_at: Callable[[int, int], bytes], access: str, **options: Any) -> Any:
    """Open a picture whose bytes are given on demand.

    Args:
        length: number of bytes.
        read_at: returns some bytes, from a place and of a number at most; called by libvips' threads, one
            at a time.
        access: libvips' access hint.
        options: further options of the loader.

    Returns:
        A `pyvips.Image`.
    """
    place = 0

    def read(count: int) -> bytes:
        nonlocal place
        try:
            content = read_at(place, min(count, length - place)) if place < length else b""
        except Exception as error:  # noqa: BLE001  (raised again by `failure_in`)
            _FAILURES.append(error)
            return b""
        place += len(content)
        return content

    def seek(offset: int, whence: int) -> int:
        nonlocal place
        place = offset + (0, place, length)[whence]
        return place

    source = pyvips.SourceCustom()
    source.on_read(read)
    source.on_seek(seek)
    _SOURCES.append(source)
    return pyvips.Image.new_from_source(source, "", access=access, fail_on="error", **options)


def failure_in(path: Path) -> PictureError | None:
    """Return the error for what went wrong while bytes were given; None where nothing did."""
    if not _FAILURES:
        return None
    failure = _FAILURES[0]
    _FAILURES.clear()
    return PictureError(f"{path} cannot be read ({failure}); get a complete copy")


def changed_file(path: Path, changes: dict[int, bytes], access: str, **options: Any) -> Any:
    """Open a picture file as if some of its bytes were others.

    Args:
        path: the file.
        changes: the other bytes, by their place.
        access: libvips' access hint.
        options: further options of the loader.

    Returns:
        A `pyvips.Image`.
    """

    def read_at(place: int, count: int) -> bytes:
        with path.open("rb") as file:
            file.seek(place)
            content = bytearray(file.read(count))
        for at, changed in changes.items():
            for offset, byte in enumerate(changed, at - place):
                if 0 <= offset < len(content):
                    content[offset] = byte
        return bytes(content)

    return image_of_bytes(path.stat().st_size, read_at, access, **options)


def image_of_rows(
    width: int,
    height: int,
    bands: int,
    dtype: np.dtype[Any],
    read_rows: Callable[[int, int], NDArray[Any]],
    access: str,
) -> Any:
    """Open a picture whose rows are computed on demand.

    Args:
        width: values of a row, in each band.
        height: rows.
        bands: bands.
        dtype: number format of the values, 8 to 32 bits.
        read_rows: returns rows `[y, x]` or `[y, x, band]` of this format, from a row and of a number.
        access: libvips' access hint.

    Returns:
        A `pyvips.Image`; 'multiband' where it has several bands.
    """
    row_bytes = width * bands * dtype.itemsize
    strip_rows = max(1, min(height, _STRIP_BYTES // row_bytes))
    header = _tiff_header(width, height, bands, dtype, strip_rows)

    def read_at(place: int, count: int) -> bytes:
        if place < len(header):
            return header[place : place + count]
        place -= len(header)
        first = place // row_bytes
        last = min(height, max(first + 1, -(-(place + count) // row_bytes)))
        content = np.ascontiguousarray(read_rows(first, last - first), dtype.newbyteorder("<")).tobytes()
        return content[place - first * row_bytes :][:count]

    return image_of_bytes(len(header) + height * row_bytes, read_at, access)


def _tiff_header(width: int, height: int, bands: int, dtype: np.dtype[Any], strip_rows: int) -> bytes:
    """Make the header of a BigTIFF, little-endian, whose strips follow one another behind it."""
    strips = -(-height // strip_rows)
    row_bytes = width * bands * dtype.itemsize
    sizes = [min(strip_rows, height - strip * strip_rows) * row_bytes for strip in range(strips)]
    tags: dict[int, tuple[str, list[int]]] = {
        256: ("Q", [width]),
        257: ("Q", [height]),
        258: ("H", [8 * dtype.itemsize] * bands),
        259: ("H", [1]),
        262: ("H", [1]),
        273: ("Q", [0] * strips),
        277: ("H", [bands]),
        278: ("Q", [strip_rows]),
        279: ("Q", sizes),
        284: ("H", [1]),
        338: ("H", [0] * (bands - 1)),
        339: ("H", [_TIFF_KINDS[dtype.kind]] * bands),
    }
    if bands == 1:
        del tags[338]
    directory_bytes = 8 + 20 * len(tags) + 8
    beside = sum(_beside_bytes(code, values) for code, values in tags.values())
    first = 16 + directory_bytes + beside
    tags[273] = ("Q", [first + strip * strip_rows * row_bytes for strip in range(strips)])
    entries = b""
    more = b""
    for tag, (code, values) in tags.items():
        content = struct.pack(f"<{len(values)}{code}", *values)
        entries += struct.pack("<HHQ", tag, {"H": 3, "Q": 16}[code], len(values))
        if len(content) > 8:
            entries += struct.pack("<Q", 16 + directory_bytes + len(more))
            more += content + bytes(-len(content) % 8)
        else:
            entries += content.ljust(8, b"\0")
    return struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, len(tags)) + entries + bytes(8) + more


def _beside_bytes(code: str, values: list[int]) -> int:
    """Return the bytes that a tag's values take beside the directory, filled up to a multiple of 8."""
    size = struct.calcsize(f"<{len(values)}{code}")
    return -(-size // 8) * 8 if size > 8 else 0
