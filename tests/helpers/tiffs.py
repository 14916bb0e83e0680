"""TIFF files of any tags, for what libraries do not write: made byte by byte, uncompressed."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4}
_CODES = {1: "B", 3: "H", 4: "I"}
_SUB_DIRECTORIES = 330


class Page:
    """A picture of a TIFF: its pixels `[y, x]` or `[y, x, channel]`, and tags.

    Args:
        pixels: the pixels; their dtype gives bits and sample format.
        photometric: the photometric interpretation.
        extra: meanings of the channels after the colours; None leaves the tag out.
        tags: further tags, or other values of these: {tag: (type, values)}.
        tile: whether the pixels are stored as one tile; width and height are then multiples of 16.
        below: pictures in its SubIFDs tag.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        photometric: int,
        extra: Sequence[int] | None = None,
        tags: dict[int, tuple[int, Any]] | None = None,
        below: Sequence[Page] = (),
        *,
        tile: bool = False,
    ) -> None:
        height, width = pixels.shape[:2]
        channels = pixels.shape[2] if pixels.ndim == 3 else 1
        kind = {"u": 1, "i": 2, "f": 3, "c": 6}[pixels.dtype.kind]
        self.pixels = pixels
        self.below = below
        self.offsets = 324 if tile else 273
        self.tags: dict[int, tuple[int, Any]] = {
            256: (4, [width]),
            257: (4, [height]),
            258: (3, [8 * pixels.dtype.itemsize] * channels),
            259: (3, [1]),
            262: (3, [photometric]),
            277: (3, [channels]),
            284: (3, [1]),
            339: (3, [kind] * channels),
        }
        if tile:
            self.tags |= {322: (4, [width]), 323: (4, [height]), 325: (4, [pixels.nbytes])}
        else:
            self.tags |= {278: (4, [height]), 279: (4, [pixels.nbytes])}
        if extra is not None:
            self.tags[338] = (3, extra)
        self.tags |= tags or {}


def tiff(*pages: Page, order: str = "<", big: bool = False) -> bytes:
    """Lay out pages one after another; `order` '<' or '>', `big` for BigTIFF."""
    word, form = (8, "Q") if big else (4, "I")
    written = bytearray(b"II" if order == "<" else b"MM")
    written += struct.pack(f"{order}HHH", 43, 8, 0) if big else struct.pack(f"{order}H", 42)
    link = len(written)
    written += bytes(word)

    def point(at: int, to: int) -> None:
        struct.pack_into(order + form, written, at, to)

    def put(page: Page) -> tuple[int, int]:
        """Append a page; return the places of its directory and of the link to the next."""
        below = [put(each)[0] for each in page.below]
        pixels = len(written)
        written.extend(page.pixels.astype(page.pixels.dtype.newbyteorder(order)).tobytes())
        tags = {**page.tags, page.offsets: (4, [pixels])}
        if below:
            tags[_SUB_DIRECTORIES] = (4, below)
        entries = b""
        for tag, (kind, values) in sorted(tags.items()):
            if kind == 2:
                content = bytes(values)
            else:
                content = struct.pack(f"{order}{len(values)}{_CODES[kind]}", *values)
            entries += struct.pack(f"{order}HH{form}", tag, kind, len(content) // _SIZES[kind])
            if len(content) > word:
                entries += struct.pack(order + form, len(written))
                written.extend(content)
            else:
                entries += content.ljust(word, b"\0")
        directory = len(written)
        written.extend(struct.pack(order + ("Q" if big else "H"), len(tags)) + entries)
        written.extend(bytes(word))
        return directory, len(written) - word

    for page in pages:
        directory, following = put(page)
        point(link, directory)
        link = following
    return bytes(written)
