"""Arrays of numbers as images: brightness, contact sheets, the colour map, and image files.

Brightness is robust: values above the 99.5th percentile are drawn at full brightness, so that a few outliers
do not darken the rest.

Every image of activations and spectra uses one colour map, from dark (zero) to light (full scale) in 256
steps that look even. It is defined in Oklab (Ottosson, "A perceptual color space for image processing",
2020): lightness rises by the same amount at each step, hue turns from violet through red to yellow, and
chroma is chosen so that every colour lies within sRGB.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..errors import cannot_write

Pixels = NDArray[np.uint8]
_PERCENTILE = 99.5
#: Dynamic range of a spectrogram: power this far below the loudest is always dark.
RANGE_DB = 70.0
#: The smallest range from dark to light, in powers of ten: it keeps an even spectrum from looking like noise.
_LEAST_SPAN = 0.6
_QUALITY = 75
_PNG_LEVEL = 3  # half the time of the usual 6, for files a twentieth larger
# The label below a tile: three digits in Pillow's built-in font, which is the same on every machine.
_LABEL_WIDTH = 22
_LABEL_HEIGHT = 13
_LABEL_BRIGHTNESS = 235


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Layout of a contact sheet: tile n lies in row n // columns, column n % columns.

    A tile lies at the top left of its cell. A cell with a label is at least as wide as the label.

    Attributes:
        tiles: number of tiles.
        columns: cells in a row.
        tile_width: width of a tile in pixels.
        tile_height: height of a tile in pixels.
        label_height: height in pixels of the strip below each tile that holds its number; 0: no label.
    """

    tiles: int
    columns: int
    tile_width: int
    tile_height: int
    label_height: int = 0

    @property
    def cell_width(self) -> int:
        """Width of a cell in pixels."""
        return max(self.tile_width, _LABEL_WIDTH) if self.label_height else self.tile_width

    @property
    def cell_height(self) -> int:
        """Height of a cell in pixels, label included."""
        return self.tile_height + self.label_height

    @property
    def rows(self) -> int:
        """Number of rows, the last one perhaps not full."""
        return -(-self.tiles // self.columns)


def sheet_of(tiles: int, tile_width: int, tile_height: int, *, numbered: bool = False) -> Sheet:
    """Return the layout of a sheet that is about square.

    Args:
        tiles: number of tiles.
        tile_width: width of a tile in pixels.
        tile_height: height of a tile in pixels.
        numbered: leave room below each tile for its number.

    Returns:
        The layout, with as many columns as make width and height about equal.
    """
    label_height = _LABEL_HEIGHT if numbered else 0
    cell = Sheet(
        tiles=1, columns=1, tile_width=tile_width, tile_height=tile_height, label_height=label_height
    )
    columns = max(1, min(tiles, ceil(sqrt(tiles * cell.cell_height / cell.cell_width))))
    return replace(cell, tiles=tiles, columns=columns)


def brightness(values: NDArray[Any]) -> Pixels:
    """Convert images of values from 0 to brightness, each image by itself.

    Args:
        values: `[..., y, x]`; negative values and NaN count as 0.

    Returns:
        uint8 `[..., y, x]`: 0 for a value of 0, 255 for values from the image's 99.5th percentile on.
    """
    values = np.fmax(np.asarray(values, np.float32), 0)  # the number, where the other is NaN
    flat = values.reshape(*values.shape[:-2], -1)
    values *= 255 / _full_scale(flat, _PERCENTILE)
    np.minimum(values, 255, out=values)
    shown: Pixels = np.rint(values, out=values).astype(np.uint8)
    return shown


def decibels(power: NDArray[Any], range_db: float = RANGE_DB) -> NDArray[np.float32]:
    """Convert images of power to logarithmic brightness, each image by itself.

    Args:
        power: `[..., y, x]`; negative values and NaN count as 0.
        range_db: dynamic range in dB.

    Returns:
        float32 `[..., y, x]` from 0 to 1. 1 is the loudest: the 99.9th percentile, or the maximum where that
        percentile is 0. 0 is the quietest: the 5th percentile, or `range_db` below the loudest where that is
        higher. An image without power is 0 throughout.
    """
    power = np.maximum(np.nan_to_num(np.asarray(power, np.float32)), 0)
    flat = power.reshape(*power.shape[:-2], -1)
    loudest = _full_scale(flat, 99.9)
    quietest = _percentile(flat, 5)[..., None, None]
    floor = np.maximum(quietest / loudest, 10 ** (-range_db / 10))
    span = np.maximum(-np.log10(np.minimum(floor, 1)), _LEAST_SPAN)
    share = np.maximum(np.minimum(power, loudest) / loudest, floor)
    shown: NDArray[np.float32] = np.clip(np.log10(share / floor) / span, 0, 1).astype(np.float32)
    return shown


def _full_scale(values: NDArray[np.float32], percentile: float) -> NDArray[np.float32]:
    """Find the value of each image that is drawn at full brightness.

    Args:
        values: images `[..., pixel]`.
        percentile: the percentile that full brightness stands for.

    Returns:
        That percentile `[..., 1, 1]`; the maximum where it is 0, and 1 for an image of zeros.
    """
    ranked = _percentile(values, percentile)
    highest = values.max(-1)
    full: NDArray[np.float32] = np.where(ranked > 0, ranked, np.where(highest > 0, highest, 1))
    return full[..., None, None]


def _percentile(values: NDArray[np.float32], percentile: float) -> NDArray[np.float32]:
    """Return the value at a percentile of the last axis, rounded down to one that occurs."""
    rank = int(percentile / 100 * (values.shape[-1] - 1))
    ranked: NDArray[np.float32] = np.partition(values, rank, axis=-1)[..., rank]
    return ranked


def blank_sheet(sheet: Sheet) -> Pixels:
    """Return the pixels `[y, x]` of a sheet, all 0; cells without a tile stay so."""
    return np.zeros((sheet.rows * sheet.cell_height, sheet.columns * sheet.cell_width), np.uint8)


def draw_tile(image: Pixels, sheet: Sheet, number: int, tile: Pixels) -> None:
    """Copy a tile `[y, x]` to its place on the sheet's pixels."""
    row, column = divmod(number, sheet.columns)
    top = row * sheet.cell_height
    left = column * sheet.cell_width
    image[top : top + sheet.tile_height, left : left + sheet.tile_width] = tile


def draw_numbers(image: Pixels, sheet: Sheet) -> None:
    """Write each tile's number into the strip below it."""
    for number in range(sheet.tiles):
        row, column = divmod(number, sheet.columns)
        left = column * sheet.cell_width
        bottom = (row + 1) * sheet.cell_height
        image[bottom - _LABEL_HEIGHT : bottom, left : left + _LABEL_WIDTH] = _label(number)


@cache
def _label(number: int) -> Pixels:
    """Draw the label of a tile, `[y, x]`; every sheet has the same ones."""
    image = Image.new("L", (_LABEL_WIDTH, _LABEL_HEIGHT))
    font = ImageFont.load_default(_LABEL_HEIGHT - 2)
    position = (1, _LABEL_HEIGHT - 2)
    ImageDraw.Draw(image).text(position, str(number), fill=_LABEL_BRIGHTNESS, font=font, anchor="ls")
    return np.asarray(image)


def halved(image: Pixels) -> Pixels:
    """Return an image `[y, x]` at half the size, rounded up.

    Each pixel is the mean of 2 x 2 pixels, or of fewer at an odd edge.
    """
    height, width = image.shape
    padded = np.pad(image, ((0, height % 2), (0, width % 2)), mode="edge").astype(np.uint16)
    quarters = padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]
    return ((quarters + 2) // 4).astype(np.uint8)


def coloured(image: Pixels) -> Image.Image:
    """Apply the colour map to brightness `[y, x]`; the result is an image with a palette."""
    palette_image = Image.fromarray(image)
    palette_image.putpalette(colour_map().tobytes())
    return palette_image


def save(image: Image.Image, path: Path, quality: int = _QUALITY) -> None:
    """Write an image as JPEG or PNG, by the file's extension.

    JPEG rather than WebP: at about the same size it is written ten times as fast.

    Args:
        image: the image.
        path: the file, `*.jpg` or `*.png`.
        quality: JPEG quality, 0 to 100.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        if path.suffix == ".jpg":
            image.convert("RGB").save(path, "JPEG", quality=quality)
        else:
            image.save(path, "PNG", compress_level=_PNG_LEVEL)
    except OSError as error:
        raise cannot_write(path, error) from error


Floats = NDArray[np.float64]

_LIGHTNESS = (0.12, 0.97)
_HUES_DEGREES = (295, 465)  # violet, through red, to yellow
_CHROMA = 0.155  # at the middle of the map
_CHROMA_AT_END = 0.05  # added towards the light end

# Ottosson's matrices: from Oklab to the cube roots of cone responses, and from cone responses to linear sRGB.
_TO_ROOTS = np.array(
    [
        [1, 0.3963377774, 0.2158037573],
        [1, -0.1055613458, -0.0638541728],
        [1, -0.0894841775, -1.2914855480],
    ]
)
_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


@cache
def colour_map() -> NDArray[np.uint8]:
    """Return the colour map: uint8 sRGB `[step, rgb]`, 256 steps from zero to full scale."""
    return np.round(255 * _srgb(_oklab_map())).astype(np.uint8)


def _oklab_map() -> Floats:
    """Return the colour map in Oklab, `[step, Lab]`."""
    share = np.linspace(0, 1, 256)
    lightness = _LIGHTNESS[0] + (_LIGHTNESS[1] - _LIGHTNESS[0]) * share
    hue = np.deg2rad(_HUES_DEGREES[0] + (_HUES_DEGREES[1] - _HUES_DEGREES[0]) * share)
    chroma = _CHROMA * np.sin(np.pi * (0.1 + 0.8 * share)) + _CHROMA_AT_END * share**2
    return np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1)


def _srgb(lab: Floats) -> Floats:
    """Convert Oklab `[step, Lab]` to sRGB `[step, rgb]` from 0 to 1, clipped where sRGB lacks the colour."""
    linear = (lab @ _TO_ROOTS.T) ** 3 @ _TO_RGB.T
    inside = np.clip(linear, 0, 1)
    curved: Floats = np.where(inside <= 0.0031308, 12.92 * inside, 1.055 * inside ** (1 / 2.4) - 0.055)
    return curved
