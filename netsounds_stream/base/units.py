"""Sizes and counts as people write and read them."""

from __future__ import annotations

import re

from ..errors import OptionError

_SHOWN = 40  # characters of a word that an error repeats


_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": 1024**2, "gi": 1024**3}


class Size(int):
    """Bytes that know the unit in which they were written, as 'MB': they are shown in it."""

    unit: str

    def __new__(cls, count: int, unit: str = "") -> Size:
        """Return `count` bytes; `unit` may be empty."""
        size = super().__new__(cls, count)
        size.unit = unit
        return size


def parse_bytes(text: str) -> Size:
    """Bytes of a size such as '1GiB', '800 MB', '1.5g' (g, m, k are decimal; gi, mi, ki binary)."""
    match = re.fullmatch(r"\s*([0-9]{1,18}(?:\.[0-9]+)?)\s*([kmg]?i?)b?\s*", text.lower())
    if not match or match[2] not in _UNITS:
        raise OptionError(f"{text[:_SHOWN]!r} is not a size; write it as 1GiB, 800MiB or 1.5GB")
    prefix = match[2]
    unit = f"{prefix if prefix == 'k' else prefix.capitalize()}B" if prefix else ""
    return Size(int(float(match[1]) * _UNITS[prefix]), unit)


def parse_count(text: str) -> int:
    """Parse a number such as '1000000', '100M' or '1.5G' (k, M and G are decimal)."""
    match = re.fullmatch(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([kmg]?)\s*", text.lower())
    if not match:
        raise OptionError(f"{text[:_SHOWN]!r} is not a number of pixels; write it as 1000000, 100M or 1G")
    return int(float(match[1]) * _UNITS[match[2]]) if match[2] or "." in match[1] else int(match[1])


def format_bytes(count: float, like: int | None = None) -> str:
    """Return `count` bytes as a person reads them: in binary units, or in the unit of the `Size` `like`."""
    unit = getattr(like, "unit", "")
    if unit:
        value = count / _UNITS[unit.lower().removesuffix("b")]
        return f"{value:.0f} {unit}" if abs(value) >= 100 else f"{_shortened(value)} {unit}"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit != "GiB" else f"{_shortened(count)} {unit}"
        count /= 1024
    raise AssertionError


def _shortened(value: float) -> str:
    """Two decimals, without a fraction of nothing."""
    return f"{value:.2f}".removesuffix(".00")
