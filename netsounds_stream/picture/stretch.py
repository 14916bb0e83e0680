"""Numbers of any kind stretched to the range from black to white: measured in one pass, mapped by libvips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from ..planning.reading import Stretch

# Rows that the measuring pass reads at a time hold about this many values.
_STRIP_VALUES = 1 << 20
# Values in each buffer of the quantile sketch. The rank of what it returns is wrong by log2(n / k) / k at
# most: by 0.02 % of the values at a gigapixel.
_BUFFER_VALUES = 1 << 16
# asinh(x / a) / asinh(1 / a): below a it is near a straight line, above near a logarithm (astropy's default).
_ASINH_A = 0.1
_WHITE = 65535


class Quantiles:
    """Percentiles of a stream of values, in memory that hardly depends on their number.

    Full buffers of sorted values are merged in pairs, of which every other value is kept, which then stands
    for twice as many: Manku, Rajagopalan and Lindsay, SIGMOD 1998. No choice is random, so that equal values
    in equal order give equal percentiles.
    """

    def __init__(self, buffer_values: int = _BUFFER_VALUES) -> None:
        self._size = buffer_values
        self._levels: list[list[NDArray[Any]]] = []
        self._waiting: list[NDArray[Any]] = []
        self._waiting_values = 0
        self._odd = False

    def add(self, values: NDArray[Any]) -> None:
        """Take in values `[value]`, none of them NaN."""
        while values.size:
            piece = values[: self._size - self._waiting_values]
            values = values[piece.size :]
            self._waiting.append(piece)
            self._waiting_values += piece.size
            if self._waiting_values == self._size:
                self._put(0, np.sort(np.concatenate(self._waiting)))
                self._waiting = []
                self._waiting_values = 0

    def _put(self, level: int, values: NDArray[Any]) -> None:
        if level == len(self._levels):
            self._levels.append([])
        self._levels[level].append(values)
        if len(self._levels[level]) == 2:
            both = np.sort(np.concatenate(self._levels[level]), kind="stable")
            self._levels[level] = []
            self._odd = not self._odd  # errors of one merger and the next cancel
            self._put(level + 1, both[int(self._odd) :: 2])

    def at(self, percentiles: tuple[float, ...]) -> tuple[float, ...]:
        """Return the percentiles, 0 to 100, of all values so far; there must be one."""
        kept = [(values, 1 << level) for level, buffers in enumerate(self._levels) for values in buffers]
        kept += [(values, 1) for values in self._waiting]
        values = np.concatenate([each for each, _ in kept])
        weights = np.concatenate([np.full(each.size, weight) for each, weight in kept])
        order = np.argsort(values, kind="stable")
        ranks = np.cumsum(weights[order]) - 0.5 * weights[order]
        wanted = np.array(percentiles) / 100 * weights.sum()
        return tuple(float(each) for each in np.interp(wanted, ranks, values[order].astype(np.float64)))


def measured_limits(
    image: Any, stretch: Stretch, no_data: float | None, on_rows: Callable[[int], None]
) -> tuple[float, float] | None:
    """Read a picture once and find the numbers that become black and white.

    Args:
        image: a `pyvips.Image` of the channels that are read, opened for sequential access.
        stretch: the stretch.
        no_data: number of pixels without data; these, NaN and infinities are left out.
        on_rows: called with the number of rows that were just read.

    Returns:
        The two numbers, of all channels together; None where no value is left.
    """
    smallest = np.inf
    largest = -np.inf
    quantiles = Quantiles() if stretch.kind != "minmax" else None
    region = pyvips.Region.new(image)
    rows = max(1, _STRIP_VALUES // (image.width * image.bands))
    dtype = _DTYPES[image.format]
    for top in range(0, image.height, rows):
        count = min(rows, image.height - top)
        values = np.frombuffer(region.fetch(0, top, image.width, count), dtype)
        if values.dtype.kind == "f":
            values = values[np.isfinite(values)]
        if no_data is not None:
            values = values[values != no_data]
        if values.size:
            smallest = min(smallest, float(values.min()))
            largest = max(largest, float(values.max()))
            if quantiles is not None:
                quantiles.add(values)
        on_rows(count)
    if smallest > largest:
        return None
    if quantiles is None:
        return smallest, largest
    low, high = quantiles.at(stretch.percentiles)
    return max(smallest, low), min(largest, high)


_DTYPES: dict[str, Any] = {
    "uchar": np.uint8,
    "char": np.int8,
    "ushort": np.uint16,
    "short": np.int16,
    "uint": np.uint32,
    "int": np.int32,
    "float": np.float32,
    "double": np.float64,
}


def stretched(
    image: Any, stretch: Stretch, limits: tuple[float, float], no_data: float | None, *, inverted: bool
) -> Any:
    """Map numbers to 16-bit brightness, row by row as they are read.

    Args:
        image: a `pyvips.Image` of the channels that are read, of any number format.
        stretch: the stretch.
        limits: the numbers that become black and white; equal ones make all black.
        no_data: number of pixels without data; these and NaN become 0.
        inverted: whether small numbers are bright.

    Returns:
        A `pyvips.Image` of 16-bit integers, and as many channels.
    """
    low, high = limits
    scale = 1 / (high - low) if high > low else 0.0
    numbers = image.cast("double" if image.format in ("int", "uint", "double") else "float")
    # the difference first: low * scale would lose what is small beside a large offset
    share = (numbers - low) * scale
    if inverted:
        share = 1 - share
    if stretch.kind == "asinh":
        share = (share * (1 / _ASINH_A)).asinh() * (1 / float(np.arcsinh(1 / _ASINH_A)))
    brightness = (share * _WHITE + 0.5).cast("ushort")  # cut at both ends
    if no_data is not None:
        brightness = (image == no_data).ifthenelse(0, brightness)
    if numbers.format in ("float", "double"):
        brightness = (numbers == numbers).ifthenelse(brightness, 0)  # NaN equals nothing
    return brightness
