"""CRC-32C of files whose stretches are written in any order, several at a time, and over several processes.

A CRC without its first and last inversion is linear: a file's is the sum (exclusive or) of its stretches',
each moved on by the bytes that come after it, which is a product with x^(8 n) modulo the polynomial. So a
writer keeps one integer a file, adds a stretch whenever it is written, and no byte is read again.

The values are those of RFC 3720 (iSCSI); the moving on is after Mark Adler's `crc32_combine` in zlib.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

_POLYNOMIAL = 0x82F63B78  # bits reversed: the highest is x^0
_ONE = 1 << 31
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


def linear(content: Any, length: int) -> int:
    """The linear part of the CRC of a stretch of `length` bytes: what can be moved and summed."""
    return crc32c(content) ^ _of_zeros(length)


def moved(part: int, count: int) -> int:
    """The linear part of a stretch, followed by `count` zero bytes."""
    return _times(part, _power(count))


def joined(parts: Sequence[int], spacing: int) -> int:
    """The linear parts of stretches whose ends lie `spacing` bytes apart, summed at the last one's end."""
    step, total = _power(spacing), 0
    for part in parts:
        total = _times(total, step) ^ part
    return total


def whole(part: int, length: int) -> int:
    """The CRC-32C of a file of `length` bytes from the sum of its stretches' linear parts."""
    return part ^ _of_zeros(length)


def sealed(content: Mapping[str, Any]) -> str:
    """`content` as JSON, its own CRC-32C last: of this text with zeros in its place."""
    text = json.dumps({**content, _SEAL: _UNSEALED}, indent=1, ensure_ascii=False) + "\n"
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
    return _times(0xFFFFFFFF, _power(length)) ^ 0xFFFFFFFF


def _times(a: int, b: int) -> int:
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ _POLYNOMIAL if b & 1 else b >> 1
    return product


@lru_cache(maxsize=4096)
def _power(count: int) -> int:
    """x^(8 count)."""
    power, square = _ONE, _ONE >> 8
    while count:
        if count & 1:
            power = _times(power, square)
        square = _times(square, square)
        count >>= 1
    return power
