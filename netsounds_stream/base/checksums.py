"""CRC-32C of files whose stretches are written in any order, several at a time, and over several processes.

A CRC without its first and last inversion is linear: a file's is the sum (exclusive or) of its stretches',
each moved on by the bytes that come after it, which is a product with x^(8 n) modulo the polynomial. So a
writer keeps one integer a file, adds a stretch whenever it is written, and no byte is read again.

The values are those of RFC 3720 (iSCSI); the moving on is after Mark Adler's `crc32_combine` in zlib.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

_POLYNOMIAL = 0x82F63B78  # bits reversed: the highest is x^0
_Tables = tuple[list[int], list[int], list[int], list[int]]
_READ_BYTES = 1 << 20
_SEAL, _UNSEALED = "crc32c", "0" * 8


@dataclass(frozen=True)
class FileSum:
    """A whole file's length in bytes and CRC-32C."""

    bytes: int
    crc32c: int

    def to_json(self) -> dict[str, Any]:
        return {"bytes": self.bytes, "crc32c": f"{self.crc32c:08x}"}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> FileSum:
        return cls(int(value["bytes"]), int(value["crc32c"], 16))


def crc32c(content: Any, before: int = 0) -> int:
    """CRC-32C of bytes or of a contiguous array, going on from `before`."""
    return int(google_crc32c.extend(before, content))


def file_sum(path: Path) -> FileSum:
    """Of a file as it is now, read a piece at a time."""
    size, crc = 0, 0
    piece = np.empty(_READ_BYTES, np.uint8)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(memoryview(piece)):
            size += count
            crc = crc32c(piece[:count], crc)
    return FileSum(size, crc)


def linear_part(content: Any, length: int) -> int:
    """The linear part of the CRC of a stretch of `length` bytes: what can be moved and summed."""
    return crc32c(content) ^ _of_zeros(length)


def shifted(part: int, count: int) -> int:
    """The linear part of a stretch, followed by `count` zero bytes."""
    place = 0
    while count:
        if count & 1:
            part = _product(part, _tables_of_square(place))
        count >>= 1
        place += 1
    return part


def combined(parts: Sequence[int], spacing: int) -> int:
    """The linear parts of stretches whose ends lie `spacing` bytes apart, summed at the last one's end."""
    tables, total = _tables_of(spacing), 0
    for part in parts:
        total = _product(total, tables) ^ part
    return total


def full_crc32c(part: int, length: int) -> int:
    """The CRC-32C of a file of `length` bytes from the sum of its stretches' linear parts."""
    return part ^ _of_zeros(length)


def sealed(content: Mapping[str, Any]) -> str:
    """`content` as JSON, its own CRC-32C last: of this text with zeros in its place."""
    inside = {key: value for key, value in content.items() if key != _SEAL}
    text = json.dumps({**inside, _SEAL: _UNSEALED}, indent=1, ensure_ascii=False) + "\n"
    before, found, after = text.rpartition(_UNSEALED)
    assert found
    return f"{before}{crc32c(text.encode()):08x}{after}"


def is_sealed(text: str) -> bool:
    """Whether a text is as `sealed` wrote it."""
    before, key, after = text.rpartition(f'"{_SEAL}": "')
    crc, rest = after[:8], after[8:]
    return bool(key) and f"{crc32c((before + key + _UNSEALED + rest).encode()):08x}" == crc


@lru_cache(maxsize=4096)
def _of_zeros(length: int) -> int:
    return shifted(0xFFFFFFFF, length) ^ 0xFFFFFFFF


def _product(part: int, tables: _Tables) -> int:
    first, second, third, fourth = tables
    return first[part & 255] ^ second[part >> 8 & 255] ^ third[part >> 16 & 255] ^ fourth[part >> 24]


@lru_cache(maxsize=64)
def _tables_of_square(place: int) -> _Tables:
    """For the product with x^(8 * 2^place)."""
    if place:
        half = _tables_of_square(place - 1)
        return _tables(lambda bit: _product(_product(bit, half), half))

    def by_one_byte(bit: int) -> int:
        for _ in range(8):
            bit = (bit >> 1) ^ _POLYNOMIAL if bit & 1 else bit >> 1
        return bit

    return _tables(by_one_byte)


@lru_cache(maxsize=16)
def _tables_of(count: int) -> _Tables:
    """For the product with x^(8 count)."""
    return _tables(lambda bit: shifted(bit, count))


def _tables(product: Callable[[int], int]) -> _Tables:
    """The products of all values of each of the four bytes, from those of their bits."""
    tables = []
    for byte in range(4):
        table = [0]
        for bit in range(8):
            of_bit = product(1 << (8 * byte + bit))
            table += [each ^ of_bit for each in table]
        tables.append(table)
    first, second, third, fourth = tables
    return first, second, third, fourth
