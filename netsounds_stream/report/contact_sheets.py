"""A bank's pictures: contact sheets of all filters, and single filters; out of overviews or of the store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..picture.overview import Overview, across_cells
from ..planning.plan import cells_of
from ..sound.dsp.spectrum import interval_weights
from ..store.arrays import Activations
from .images import (
    Pixels,
    Sheet,
    brightness,
    coloured,
    decibels,
    empty,
    halved,
    put,
    put_numbers,
    save,
    sheet_of,
)

MEANS, MAXIMA = 0, 1
#: How the pictures' names end.
PLANES = {MEANS: "mean", MAXIMA: "max"}
#: Along the long edge of a single filter's picture, in pixels, at most.
SINGLE_PIXELS = 1024
_SMALL_QUALITY = 60
_FILTERS_AT_ONCE = 64
# Of filters' spectrograms on the page.
_TILE_COLUMNS, _TILE_ROWS, _TILE_DB = 64, 32, 50.0


@dataclass(frozen=True)
class BankPictures:
    """Makes one bank's pictures of its overview.

    Attributes:
        number: the bank's.
        overview: with all its rows.
        channels: how many filters there are.
        time_axis: 'x' or 'y'; the pictures are upright.
    """

    number: int
    overview: Overview
    channels: int
    time_axis: str

    @property
    def sheet(self) -> Sheet:
        """Of tiles with their numbers."""
        return sheet_of(self.channels, *self._tile_size, numbered=True)

    @property
    def small(self) -> Sheet:
        """Of tiles half as large, rounded up, without numbers."""
        of = sheet_of(self.channels, *self._tile_size)
        return Sheet(of.tiles, of.columns, -(-of.tile_width // 2), -(-of.tile_height // 2))

    def name(self, plane: int) -> str:
        return f"bank-{self.number}_{PLANES[plane]}.webp"

    def write_sheet(self, plane: int, pictures: Path, report: Path | None = None) -> None:
        """Write the contact sheet of means or maxima into `pictures`, with small tiles into `report`, too."""
        whole, small = empty(self.sheet), empty(self.small)
        for part in self._parts():
            for number, tile in enumerate(self._tiles(plane, part), part.start):
                put(whole, self.sheet, number, tile)
                if report is not None:
                    put(small, self.small, number, halved(tile))
        put_numbers(whole, self.sheet)
        save(coloured(whole), pictures / self.name(plane))
        if report is not None:
            save(coloured(small), report / f"bank-{self.number}.webp", _SMALL_QUALITY)

    def means(self) -> list[float]:
        """Each filter's mean activation, as its cells have it."""
        found: list[float] = []
        for part in self._parts():
            values = self.overview.read(MEANS, part).float()
            found.extend(values.mean(dim=(0, 1)).tolist())
        return found

    def spectra(self, filters: tuple[int, ...]) -> NDArray[np.float32]:
        """What a raw filter's sound consists of: `[filter, column, row]` power, the lowest frequency first.

        A frame's inversion is real, so bin k of its sound has the mean of values k and N - k (`transform`);
        here of the cells that hold them.
        """
        cells, found = self.overview.cells, np.zeros((len(filters), _TILE_COLUMNS, _TILE_ROWS), np.float32)
        across = -(-cells.across // 2)
        along, up = _weights(_TILE_COLUMNS, cells.along), _weights(_TILE_ROWS, across)
        place = {number: at for at, number in enumerate(filters)}
        for part in self._parts():
            values = self.overview.read(MEANS, part).float()
            folded = ((values + values.flip(1)) / 2)[:, :across]
            for at, number in enumerate(range(part.start, part.stop)):
                if number in place:
                    found[place[number]] = (along @ folded[..., at] @ up.T).square().numpy()
        return found

    @property
    def _tile_size(self) -> tuple[int, int]:
        """Width and height, in pixels."""
        along, across = self.overview.cells.along, self.overview.cells.across
        return (along, across) if self.time_axis == "x" else (across, along)

    def _tiles(self, plane: int, part: slice) -> Pixels:
        values = self.overview.read(plane, part).float().numpy()  # [along, across, filter]
        upright = values.transpose(2, 1, 0) if self.time_axis == "x" else values.transpose(2, 0, 1)
        return brightness(upright)

    def _parts(self) -> list[slice]:
        starts = range(0, self.channels, _FILTERS_AT_ONCE)
        return [slice(start, min(start + _FILTERS_AT_ONCE, self.channels)) for start in starts]


def spectra_tiles(power: NDArray[np.float32]) -> tuple[Image.Image, Sheet]:
    """Spectrograms `[part, column, row]` as tiles, each against its own loudest."""
    of = sheet_of(len(power), power.shape[1], power.shape[2])
    shown = np.round(255 * decibels(power, _TILE_DB)).astype(np.uint8)
    image = empty(of)
    for number, each in enumerate(shown):
        put(image, of, number, each.T[::-1])
    return coloured(image), of


def filter_picture(
    source: Activations, number: int, plane: int = MEANS, most: int = SINGLE_PIXELS
) -> Image.Image:
    """One filter of stored activations, upright, its long edge `most` pixels at most."""
    cells, rows = cells_of(source.frames, source.frequencies, most), []
    step = max(1, source.frames_per_block // cells.factor) * cells.factor
    for start in range(0, source.frames, step):
        frames = slice(start, min(start + step, source.frames))
        values = source.read(slice(number, number + 1), frames)[0].float()
        found = across_cells(values[..., None], cells.factor)[plane][..., 0]
        for first in range(0, len(found), cells.factor):
            of_cells = found[first : first + cells.factor]
            rows.append(of_cells.amax(0) if plane == MAXIMA else _mean(of_cells, cells.factor, cells.cross))
    shown = torch.stack(rows).numpy()
    return coloured(brightness(shown.T if source.time_axis == "x" else shown))


def _mean(sums: torch.Tensor, factor: int, cross: int) -> torch.Tensor:
    values = torch.full((sums.shape[1],), float(factor * len(sums)))
    values[-1] = len(sums) * (cross - (sums.shape[1] - 1) * factor)
    return sums.sum(0) / values


def _weights(outputs: int, length: int) -> torch.Tensor:
    """Area means, as a product: `[output, cell]`."""
    edges = np.linspace(0, length, outputs + 1)
    first, weights = interval_weights(edges[:-1], edges[1:], length)
    whole = np.zeros((outputs, length), np.float32)
    whole[:, first : first + weights.shape[1]] = weights
    return torch.from_numpy(whole)
