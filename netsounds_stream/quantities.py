"""Rates and times in words, for a person."""

from __future__ import annotations

# From these rates on, a prefix shows them.
_PREFIXES = (("M", 1e6, 1e5), ("k", 1e3, 1e3))


def rate_text(per_second: float, unit: str) -> str:
    """Return `per_second` of a unit ('px', 'samples', 'B') with the prefix that shows it: '1.2 Mpx/s'."""
    for prefix, size, least in _PREFIXES:
        if per_second >= least:
            return f"{per_second / size:.1f} {prefix}{unit}/s"
    return f"{per_second:.1f} {unit}/s"


def clock_text(seconds: float) -> str:
    """Return a time that has passed, or is left, as a clock shows it."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d} min"


def duration_text(seconds: float) -> str:
    """Return a time roughly, as one waits for it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def length_text(seconds: float) -> str:
    """Return the length of a sound."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 0.1 else f"{1000 * seconds:.0f} ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"
