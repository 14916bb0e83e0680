"""Numbers as pictures: contact sheets, spectrograms, waveforms; as arrays of pixels and as files.

Brightness is robust: what lies above the 99.5th percentile is full, so that a few outliers flatten nothing.

The colour map of every picture made here: dark is nothing, light is much, evenly to the eye.

256 steps in Oklab (Ottosson, "A perceptual color space for image processing", 2020): lightness rises by the
same amount from step to step, hue turns from violet over red to yellow, chroma is what sRGB has room for.
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
#: Of spectrograms: what lies so far below the loudest is dark in any case.
RANGE_DB = 70.0
_LEAST_SPAN = 0.6  # from dark to light at least, in tenfold powers: an even picture is no noise
_QUALITY = 75
# Of tiles' numbers: of three digits, set in Pillow's own font, which is the same on every machine.
_LABEL_WIDTH, _LABEL_HEIGHT, _LABEL_LIGHT = 22, 13, 235


@dataclass(frozen=True)
class Sheet:
    """Tiles side by side: tile n is in column n % columns, row n // columns, of an image. In pixels.

    A cell has its tile at its top left; `label_height` is that of the strip below it, which holds the tile's
    number and makes the cell as wide as that.
    """

    tiles: int
    columns: int
    tile_width: int
    tile_height: int
    label_height: int = 0

    @property
    def cell_width(self) -> int:
        return max(self.tile_width, _LABEL_WIDTH) if self.label_height else self.tile_width

    @property
    def cell_height(self) -> int:
        return self.tile_height + self.label_height

    @property
    def rows(self) -> int:
        return -(-self.tiles // self.columns)


def sheet_of(tiles: int, tile_width: int, tile_height: int, *, numbered: bool = False) -> Sheet:
    """Return the sheet that is about a square; `numbered`: with room for each tile's number."""
    cell = Sheet(1, 1, tile_width, tile_height, _LABEL_HEIGHT if numbered else 0)
    columns = max(1, min(tiles, ceil(sqrt(tiles * cell.cell_height / cell.cell_width))))
    return replace(cell, tiles=tiles, columns=columns)


def brightness(values: NDArray[Any]) -> Pixels:
    """Of pictures `[..., y, x]` of numbers from 0 on, each by itself: 0 where there is nothing, 255 from the
    percentile on."""
    values = np.maximum(np.nan_to_num(np.asarray(values, np.float32)), 0)
    flat = values.reshape(*values.shape[:-2], -1)
    return np.round(np.minimum(values / _full(flat, _PERCENTILE), 1) * 255).astype(np.uint8)


def decibels(power: NDArray[Any], range_db: float = RANGE_DB) -> NDArray[np.float32]:
    """Of pictures `[..., y, x]` of power, each by itself, 0 to 1: from the quietest (the 5th percentile, or
    `range_db` below the loudest if that is more) to the loudest (the 99.9th percentile, if there is anything
    there); 0 where there is none."""
    power = np.maximum(np.nan_to_num(np.asarray(power, np.float32)), 0)
    flat = power.reshape(*power.shape[:-2], -1)
    loudest, quietest = _full(flat, 99.9), _ranked(flat, 5)[..., None, None]
    floor = np.maximum(quietest / loudest, 10 ** (-range_db / 10))
    span = np.maximum(-np.log10(np.minimum(floor, 1)), _LEAST_SPAN)
    share = np.maximum(np.minimum(power, loudest) / loudest, floor)
    shown: NDArray[np.float32] = np.clip(np.log10(share / floor) / span, 0, 1).astype(np.float32)
    return shown


def _full(values: NDArray[np.float32], percentile: float) -> NDArray[np.float32]:
    """Of pictures `[..., pixel]`, as `[..., 1, 1]`: the value at that percentile, the next one down; the
    largest where that is 0, and 1 where there is nothing."""
    ranked, most = _ranked(values, percentile), values.max(-1)
    full: NDArray[np.float32] = np.where(ranked > 0, ranked, np.where(most > 0, most, 1))
    return full[..., None, None]


def _ranked(values: NDArray[np.float32], percentile: float) -> NDArray[np.float32]:
    """Along the last axis: the value at that percentile, the next one down."""
    rank = int(percentile / 100 * (values.shape[-1] - 1))
    ranked: NDArray[np.float32] = np.partition(values, rank, axis=-1)[..., rank]
    return ranked


def empty(sheet: Sheet) -> Pixels:
    """A sheet without its tiles; the places that are left over stay so."""
    return np.zeros((sheet.rows * sheet.cell_height, sheet.columns * sheet.cell_width), np.uint8)


def put(image: Pixels, sheet: Sheet, number: int, tile: Pixels) -> None:
    """Put a tile `[y, x]` in its place."""
    row, column = divmod(number, sheet.columns)
    top, left = row * sheet.cell_height, column * sheet.cell_width
    image[top : top + sheet.tile_height, left : left + sheet.tile_width] = tile


def put_numbers(image: Pixels, sheet: Sheet) -> None:
    """Write each tile's number into the strip below it."""
    drawn = Image.fromarray(image)
    draw, font = ImageDraw.Draw(drawn), ImageFont.load_default(_LABEL_HEIGHT - 2)
    for number in range(sheet.tiles):
        row, column = divmod(number, sheet.columns)
        place = column * sheet.cell_width + 1, (row + 1) * sheet.cell_height - 2
        draw.text(place, str(number), fill=_LABEL_LIGHT, font=font, anchor="ls")
    image[:] = np.asarray(drawn)


def halved(image: Pixels) -> Pixels:
    """Every 2 x 2 pixels' mean; at odd edges of what is left."""
    height, width = image.shape
    padded = np.pad(image, ((0, height % 2), (0, width % 2)), mode="edge").astype(np.uint16)
    quarters = padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]
    return ((quarters + 2) // 4).astype(np.uint8)


def coloured(image: Pixels) -> Image.Image:
    """Brightness `[y, x]` by the colour map, as a picture with a palette."""
    made = Image.fromarray(image)
    made.putpalette(colour_map().tobytes())
    return made


def save(image: Image.Image, path: Path, quality: int = _QUALITY) -> None:
    """As WebP or PNG, by the path's end.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        if path.suffix == ".webp":
            image.convert("RGB").save(path, "WEBP", quality=quality, method=0)
        else:
            image.save(path, "PNG")
    except OSError as error:
        raise cannot_write(path, error) from error


Floats = NDArray[np.float64]

_LIGHTNESS = (0.12, 0.97)
_HUES_DEGREES = (295, 465)  # violet, and once round to yellow
# Chroma in the middle of the map, and what is added to its light end; all of it lies within sRGB.
_CHROMA, _CHROMA_AT_END = 0.155, 0.05

# From Oklab to the cube roots of cone responses, and from those responses to linear sRGB; Ottosson's.
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
    """sRGB `[step, rgb]` for 256 steps from nothing to full scale."""
    return np.round(255 * _srgb(_path())).astype(np.uint8)


def _path() -> Floats:
    """The map in Oklab, `[step, Lab]`."""
    at = np.linspace(0, 1, 256)
    lightness = _LIGHTNESS[0] + (_LIGHTNESS[1] - _LIGHTNESS[0]) * at
    hue = np.deg2rad(_HUES_DEGREES[0] + (_HUES_DEGREES[1] - _HUES_DEGREES[0]) * at)
    chroma = _CHROMA * np.sin(np.pi * (0.1 + 0.8 * at)) + _CHROMA_AT_END * at**2
    return np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1)


def _srgb(lab: Floats) -> Floats:
    """Within [0, 1] where sRGB holds the colour."""
    linear = (lab @ _TO_ROOTS.T) ** 3 @ _TO_RGB.T
    inside = np.clip(linear, 0, 1)
    curved: Floats = np.where(inside <= 0.0031308, 12.92 * inside, 1.055 * inside ** (1 / 2.4) - 0.055)
    return curved
