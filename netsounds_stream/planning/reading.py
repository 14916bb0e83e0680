"""Options of reading a picture's file: which picture in it, which channels, what is black and what white."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from ..base.units import SHOWN_CHARACTERS
from ..errors import OptionError

StretchKind = Literal["full", "minmax", "percentile", "asinh"]
STRETCH_KINDS: tuple[StretchKind, ...] = get_args(StretchKind)

# asinh spans this part of the values, in per cent, as `PercentileInterval(99.5)` of astropy does.
_ASINH_PERCENTILES = (0.25, 99.75)


@dataclass(frozen=True)
class Stretch:
    """A mapping of a file's numbers to the range from black to white.

    Attributes:
        kind: 'full': the range of the number format, 0 to 1 for floating point. 'minmax': from the smallest
            to the largest value. 'percentile': from one percentile to another. 'asinh': likewise, then
            asinh(x / a) / asinh(1 / a) of the share x, with a = 0.1, which lifts what is faint.
        percentiles: the lower and the upper percentile, 0 to 100, for 'percentile' and 'asinh'.
    """

    kind: StretchKind
    percentiles: tuple[float, float] = (0.0, 100.0)

    @property
    def measured(self) -> bool:
        """True if black and white follow from the picture's values."""
        return self.kind != "full"

    def __str__(self) -> str:
        """Return the stretch as the option writes it."""
        if self.kind == "percentile":
            return f"percentile:{self.percentiles[0]:g},{self.percentiles[1]:g}"
        return self.kind


def parse_stretch(text: str) -> Stretch:
    """Parse the option `stretch`.

    Args:
        text: 'full', 'minmax', 'asinh', or 'percentile:LOW,HIGH' such as 'percentile:1,99'.

    Raises:
        OptionError: `text` is none of these.
    """
    if text == "asinh":
        return Stretch("asinh", _ASINH_PERCENTILES)
    if text == "full":
        return Stretch("full")
    if text == "minmax":
        return Stretch("minmax")
    number = r"\s*([0-9]{1,3}(?:\.[0-9]{1,9})?)\s*"
    match = re.fullmatch(f"percentile:{number},{number}", text)
    if match and float(match[1]) < float(match[2]) <= 100:
        return Stretch("percentile", (float(match[1]), float(match[2])))
    raise OptionError(
        f"stretch cannot be {text[:SHOWN_CHARACTERS]!r}; use full, minmax, asinh, or percentiles such as "
        f"percentile:1,99"
    )


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Options of reading a picture's file.

    Attributes:
        channels: the channels to read as grey, or as red, green and blue, counted from 1; None: 1 to 3, or 1
            where there are fewer.
        page: the picture in a file of several, counted from 1; None: the main one.
        stretch: how numbers become brightness; None: 8 and 16 bits as they are, FITS by asinh.
        profile: whether a colour profile is applied.
    """

    channels: tuple[int, ...] | None = None
    page: int | None = None
    stretch: Stretch | None = None
    profile: bool = True
