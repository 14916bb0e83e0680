"""Directories of a TIFF file: the pictures in it, as their tags describe them.

TIFF 6.0, BigTIFF and the technical notes on SubIFDs. Nothing is decoded and nothing trusted: counts and
lengths are bounded, a chain that loops ends, and what cannot be parsed is left to libvips to refuse.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeAlias

_Tags: TypeAlias = dict[int, tuple[int, ...] | bytes]

# Tags
_SUBFILE_TYPE = 254
_WIDTH = 256
_HEIGHT = 257
_BITS = 258
_COMPRESSION = 259
_PHOTOMETRIC = 262
_SAMPLES = 277
_ROWS_PER_STRIP = 278
_PLANES = 284
_TILE_WIDTH = 322
_TILE_HEIGHT = 323
_SUB_DIRECTORIES = 330
_EXTRA_SAMPLES = 338
_SAMPLE_FORMAT = 339
_NO_DATA = 42113
_DNG_VERSION = 50706
_READ = {
    _SUBFILE_TYPE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _ROWS_PER_STRIP, _PLANES,
    _TILE_WIDTH, _TILE_HEIGHT, _SUB_DIRECTORIES, _EXTRA_SAMPLES, _SAMPLE_FORMAT, _NO_DATA, _DNG_VERSION,
}  # fmt: skip

# A tag's type -> its size in bytes, and its code in `struct`; types that no tag above has are left out.
_TYPES = {1: (1, "B"), 2: (1, "s"), 3: (2, "H"), 4: (4, "I"), 7: (1, "B")}
_TYPES |= {13: (4, "I"), 16: (8, "Q"), 18: (8, "Q")}  # directories, and BigTIFF's
_MOST_VALUES = 4096  # of a tag
_MOST_TAGS = 4096  # of a directory
_MOST_DIRECTORIES = 4096  # of a file

# Bits of the subfile type.
_REDUCED = 1
_MASK = 4

# Photometric interpretations.
WHITE_IS_ZERO = 0
BLACK_IS_ZERO = 1
RGB = 2
PALETTE = 3
SEPARATED = 5
YCBCR = 6
CIELAB = 8
ICCLAB = 9
MOSAIC = 32803
LINEAR_RAW = 34892

# Sample formats.
UNSIGNED = 1
SIGNED = 2
FLOAT = 3

# Meanings of extra samples.
ALPHA = (1, 2)  # transparency; libvips divides by the first kind, which is multiplied in

_JPEG = 7
_SEPARATE_PLANES = 2


@dataclass(frozen=True, kw_only=True)
class Directory:
    """One picture of a TIFF file, as its tags describe it.

    Attributes:
        index: its place in the file's chain of directories, counted from 0; that of its parent for one in
            a `SubIFDs` tag.
        sub_index: its place in its parent's `SubIFDs`, counted from 0; None for one of the chain.
        tags: values by tag: integers, or bytes of text.
        places: places of the tags' values in the file, or of what points to them, in bytes.
    """

    index: int
    sub_index: int | None = None
    tags: _Tags = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)

    def _number(self, tag: int, default: int) -> int:
        values = self.tags.get(tag)
        return values[0] if values and not isinstance(values, bytes) else default

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return a tag's integers; none where it has none."""
        values = self.tags.get(tag, ())
        return () if isinstance(values, bytes) else values

    @property
    def width(self) -> int:
        """Pixels of a row."""
        return self._number(_WIDTH, 0)

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self._number(_HEIGHT, 0)

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    @property
    def channels(self) -> int:
        """Values of a pixel."""
        return self._number(_SAMPLES, 1)

    @property
    def bits(self) -> int:
        """Bits of a value; those of the first channel."""
        return self._number(_BITS, 1)

    @property
    def sample_format(self) -> int:
        """Kind of the values, such as `FLOAT`; that of the first channel."""
        return self._number(_SAMPLE_FORMAT, UNSIGNED)

    @property
    def uniform(self) -> bool:
        """True if all channels have the same bits and sample format."""
        return len(set(self.numbers(_BITS))) < 2 and len(set(self.numbers(_SAMPLE_FORMAT))) < 2

    @property
    def photometric(self) -> int | None:
        """Meaning of the values, such as `RGB`; None where the file does not say."""
        value = self._number(_PHOTOMETRIC, -1)
        return None if value < 0 else value

    def as_rgb(self, little_endian: bool) -> tuple[int, bytes]:
        """Return the change of the file that calls its colours RGB: a place, and bytes for it."""
        return self.places[_PHOTOMETRIC], RGB.to_bytes(2, "little" if little_endian else "big")

    @property
    def compression(self) -> int:
        """Number of the compression; 1 is none."""
        return self._number(_COMPRESSION, 1)

    @property
    def extra_samples(self) -> tuple[int, ...]:
        """Meanings of the channels after the colours, such as one of `ALPHA`."""
        return self.numbers(_EXTRA_SAMPLES)

    @property
    def no_data(self) -> float | None:
        """Value of pixels without data, by GDAL's tag; None where there is none."""
        text = self.tags.get(_NO_DATA)
        try:
            return float(text.split(b"\0")[0]) if isinstance(text, bytes) else None
        except ValueError:
            return None

    @property
    def reduced(self) -> bool:
        """True if it calls itself a smaller version of another picture of the file, or a mask."""
        return bool(self._number(_SUBFILE_TYPE, 0) & (_REDUCED | _MASK))

    @property
    def tile(self) -> tuple[int, int] | None:
        """Width and height of a tile; None where it is stored in strips."""
        width = self._number(_TILE_WIDTH, 0)
        height = self._number(_TILE_HEIGHT, 0)
        return (width, height) if width and height else None

    @property
    def is_sensor(self) -> bool:
        """True if it holds what a camera's sensor measured."""
        return self.photometric in (MOSAIC, LINEAR_RAW)

    @property
    def is_raw(self) -> bool:
        """True if it belongs to a camera's raw file."""
        return self.is_sensor or _DNG_VERSION in self.tags

    @property
    def whole_strip_rows(self) -> int:
        """Rows of a strip where libvips decodes strips whole; 0 where it decodes row by row."""
        decoded_whole = self.compression == _JPEG or self._number(_PLANES, 1) == _SEPARATE_PLANES
        return self._number(_ROWS_PER_STRIP, 1 << 32) if decoded_whole else 0


def begins_as_tiff(path: Path) -> bool:
    """Return whether a file's first bytes are those of a TIFF."""
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def directories_of(path: Path) -> tuple[Directory, ...]:
    """Read the directories of a TIFF file.

    Args:
        path: the file.

    Returns:
        The directories of the file's chain in order, then those that `SubIFDs` tags name, some thousands at
        most; those before the first that cannot be parsed. Empty where the file is no TIFF.
    """
    chain: list[Directory] = []
    below: list[Directory] = []
    with path.open("rb") as file:
        try:
            reader = _Reader(file)
            for tags, places in reader.chain(reader.first):
                chain.append(Directory(index=len(chain), tags=tags, places=places))
        except _UNREADABLE:
            pass
        try:
            for parent in chain:
                for place, offset in enumerate(parent.numbers(_SUB_DIRECTORIES)):
                    if len(below) < _MOST_DIRECTORIES:
                        tags, places, _ = reader.directory(offset)
                        below.append(Directory(index=parent.index, sub_index=place, tags=tags, places=places))
        except _UNREADABLE:
            pass
    return (*chain, *below)


# What a file that is no TIFF, or is cut short, leads to.
_UNREADABLE = (OSError, KeyError, ValueError, OverflowError, struct.error)


class _Reader:
    """A reader of a TIFF's directories.

    Args:
        file: the file, opened.

    Attributes:
        first: place of the first directory in the file, in bytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._order = {b"II": "<", b"MM": ">"}[file.read(2)]
        (version,) = self._read("H")
        self._big = {42: False, 43: True}[version]
        if self._big:
            self._read("HH")
        (self.first,) = self._read("Q" if self._big else "I")

    def chain(self, offset: int) -> Iterator[tuple[_Tags, dict[int, int]]]:
        """Follow the chain of directories from `offset`, and yield each one's tags and their places."""
        seen: set[int] = set()
        while offset and offset not in seen and len(seen) < _MOST_DIRECTORIES:
            seen.add(offset)
            tags, places, offset = self.directory(offset)
            yield tags, places

    def directory(self, offset: int) -> tuple[_Tags, dict[int, int], int]:
        """Read the directory at `offset`.

        Returns:
            Its tags, their places in the file, and the place of the next directory; 0 for none.
        """
        self._file.seek(offset)
        (count,) = self._read("Q" if self._big else "H")
        entry_bytes = 20 if self._big else 12
        first = self._file.tell()
        entries = self._file.read(min(count, _MOST_TAGS) * entry_bytes)
        (following,) = self._read("Q" if self._big else "I") if count <= _MOST_TAGS else (0,)
        tags: _Tags = {}
        places: dict[int, int] = {}
        for at in range(0, len(entries) - entry_bytes + 1, entry_bytes):
            entry = entries[at : at + entry_bytes]
            tag, kind = struct.unpack_from(f"{self._order}HH", entry)
            if tag in _READ and kind in _TYPES:
                tags[tag] = self._values(kind, entry)
                places[tag] = first + at + (12 if self._big else 8)
        return tags, places, following

    def _values(self, kind: int, entry: bytes) -> tuple[int, ...] | bytes:
        value_bytes, code = _TYPES[kind]
        (count,) = struct.unpack_from(f"{self._order}{'Q' if self._big else 'I'}", entry, 4)
        count = min(count, _MOST_VALUES)
        content = entry[12:] if self._big else entry[8:]
        if count * value_bytes > len(content):
            self._file.seek(struct.unpack(f"{self._order}{'Q' if self._big else 'I'}", content)[0])
            content = self._file.read(count * value_bytes)
        if code == "s":
            return content[:count]
        return struct.unpack_from(f"{self._order}{count}{code}", content)

    def _read(self, codes: str) -> tuple[int, ...]:
        form = self._order + codes
        return struct.unpack(form, self._file.read(struct.calcsize(form)))
