"""CRC-32C of files that are written in any order, by several threads and processes at once.

Without its initial and final inversion a CRC is linear. The CRC of a file is then the sum (exclusive or) of
those of its stretches, each shifted by the number n of bytes that follow it: multiplied by x^(8 n) modulo the
polynomial. So a writer keeps one integer for each file, adds each stretch as it is written, and never reads a
byte again.

The values are those of RFC 3720 (iSCSI); shifting follows Mark Adler's `crc32_combine` in zlib.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

import google_crc32c
import numpy as np

_POLYNOMIAL = 0x82F63B78  # bits reversed: the highest is x^0
_Tables = tuple[list[int], list[int], list[int], list[int]]
_READ_BYTES = 1 << 20
_SEAL = "crc32c"  # the key of a sealed text's own checksum
_UNSEALED = "0" * 8  # stands in the checksum's place while it is computed


class SumJson(TypedDict):
    """A `FileSum` in JSON, with the CRC as eight hexadecimal digits."""

    bytes: int
    crc32c: str


@dataclass(frozen=True)
class FileSum:
    """Length in bytes and CRC-32C of a whole file."""

    bytes: int
    crc32c: int

    def to_json(self) -> SumJson:
        """Return the fields as a record holds them: the CRC as eight hexadecimal digits."""
        return {"bytes": self.bytes, "crc32c": f"{self.crc32c:08x}"}

    @classmethod
    def from_json(cls, value: SumJson) -> FileSum:
        """Restore a value from what `to_json` returned."""
        return cls(int(value["bytes"]), int(value["crc32c"], 16))


def crc32c(content: Any, before: int = 0) -> int:
    """Compute the CRC-32C of bytes or of a contiguous array.

    Args:
        content: the bytes, or the array.
        before: CRC-32C of the bytes that precede them.

    Returns:
        The CRC-32C of everything so far, 32 bits.
    """
    return int(google_crc32c.extend(before, content))


def file_sum(path: Path) -> FileSum:
    """Measure the length and the CRC-32C of a file, in bounded memory."""
    size = 0
    crc = 0
    piece = np.empty(_READ_BYTES, np.uint8)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(memoryview(piece)):
            size += count
            crc = crc32c(piece[:count], crc)
    return FileSum(size, crc)


def linear_part(content: Any, length: int) -> int:
    """Compute the linear part of a stretch's CRC, which can be shifted and summed.

    Args:
        content: the stretch, as bytes or a contiguous array.
        length: its length in bytes.

    Returns:
        The CRC without its inversions, 32 bits.
    """
    return crc32c(content) ^ _of_zeros(length)


def shifted(part: int, count: int) -> int:
    """Shift the linear part of a stretch past the `count` bytes that follow it.

    Returns:
        The linear part of the stretch followed by `count` zero bytes.
    """
    exponent = 0
    while count:
        if count & 1:
            part = _product(part, _tables_of_square(exponent))
        count >>= 1
        exponent += 1
    return part


def combined(parts: Sequence[int], spacing: int) -> int:
    """Sum the linear parts of stretches that end `spacing` bytes apart.

    Returns:
        Their linear part as of the end of the last stretch.
    """
    tables = _tables_of(spacing)
    total = 0
    for part in parts:
        total = _product(total, tables) ^ part
    return total


def full_crc32c(part: int, length: int) -> int:
    """Return the CRC-32C of a file of `length` bytes, given the sum of its stretches' linear parts."""
    return part ^ _of_zeros(length)


def sealed(content: Mapping[str, Any]) -> str:
    """Format `content` as JSON that ends with its own checksum.

    Returns:
        The text, whose last field is the CRC-32C of the same text with eight zeros in that field.
    """
    fields = {key: value for key, value in content.items() if key != _SEAL}
    text = json.dumps({**fields, _SEAL: _UNSEALED}, indent=1, ensure_ascii=False) + "\n"
    before, placeholder, after = text.rpartition(_UNSEALED)
    assert placeholder
    return f"{before}{crc32c(text.encode()):08x}{after}"


def is_sealed(text: str) -> bool:
    """Return whether `text` still has the checksum that `sealed` gave it."""
    before, key, after = text.rpartition(f'"{_SEAL}": "')
    crc = after[:8]
    rest = after[8:]
    return bool(key) and f"{crc32c((before + key + _UNSEALED + rest).encode()):08x}" == crc


@lru_cache(maxsize=4096)
def _of_zeros(length: int) -> int:
    return shifted(0xFFFFFFFF, length) ^ 0xFFFFFFFF


def _product(part: int, tables: _Tables) -> int:
    first, second, third, fourth = tables
    return first[part & 255] ^ second[part >> 8 & 255] ^ third[part >> 16 & 255] ^ fourth[part >> 24]


@lru_cache(maxsize=64)
def _tables_of_square(exponent: int) -> _Tables:
    """Return tables of the product with x^(8 * 2^exponent)."""
    if exponent:
        half = _tables_of_square(exponent - 1)
        return _tables(lambda bit: _product(_product(bit, half), half))

    def by_one_byte(bit: int) -> int:
        for _ in range(8):
            bit = (bit >> 1) ^ _POLYNOMIAL if bit & 1 else bit >> 1
        return bit

    return _tables(by_one_byte)


@lru_cache(maxsize=16)
def _tables_of(count: int) -> _Tables:
    """Return tables of the product with x^(8 count)."""
    return _tables(lambda bit: shifted(bit, count))


def _tables(product: Callable[[int], int]) -> _Tables:
    """Tabulate a linear product for every value of each of the four bytes, from its values on single bits."""
    tables = []
    for byte in range(4):
        table = [0]
        for bit in range(8):
            bit_product = product(1 << (8 * byte + bit))
            table += [entry ^ bit_product for entry in table]
        tables.append(table)
    first, second, third, fourth = tables
    return first, second, third, fourth
