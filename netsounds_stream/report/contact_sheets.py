"""Images of a bank's filters: contact sheets from an overview, single filters from stored activations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..picture.overview import Overview, across_cells
from ..planning.plan import cells_of
from ..run.layout import contact_sheet, page_sheet
from ..sound.dsp.spectrum import interval_weights
from ..store.arrays import Activations
from .images import (
    Sheet,
    blank_sheet,
    brightness,
    coloured,
    decibels,
    draw_numbers,
    draw_tile,
    halved,
    save,
    sheet_of,
)

#: Planes of an overview: the mean, and the maximum, of the activations in a cell.
MEANS = 0
MAXIMA = 1
#: Names of the planes, as the images' file names end.
PLANES = {MEANS: "mean", MAXIMA: "max"}
#: The longest edge of a single filter's image, in pixels.
SINGLE_PIXELS = 1024
_SMALL_QUALITY = 60
_FILTERS_AT_ONCE = 64
# Spectrograms of filters on the page: size in pixels, dynamic range in dB.
_TILE_COLUMNS = 64
_TILE_ROWS = 32
_TILE_DB = 50.0


@dataclass(frozen=True)
class BankPictures:
    """Contact sheets of one bank, and its filters' means and spectra, from its overview.

    Attributes:
        number: the bank's number.
        overview: the bank's overview, with all its rows.
        channels: number of filters.
        time_axis: axis of the picture that became time, 'x' or 'y'; images are upright in either case.
    """

    number: int
    overview: Overview
    channels: int
    time_axis: str

    @property
    def sheet(self) -> Sheet:
        """Layout of the contact sheets: a tile for each filter, with its number."""
        return sheet_of(self.channels, *self._tile_size, numbered=True)

    @property
    def small(self) -> Sheet:
        """Layout of the page's contact sheet: tiles half as large, rounded up, without numbers."""
        full = sheet_of(self.channels, *self._tile_size)
        return Sheet(
            tiles=full.tiles,
            columns=full.columns,
            tile_width=-(-full.tile_width // 2),
            tile_height=-(-full.tile_height // 2),
        )

    def name(self, plane: int) -> str:
        """Return the file name of a plane's contact sheet."""
        return contact_sheet(self.number, PLANES[plane])

    def write_sheet(self, plane: int, pictures: Path, report: Path | None = None) -> None:
        """Write the contact sheet of a plane.

        Args:
            plane: `MEANS` or `MAXIMA`.
            pictures: folder for the contact sheet.
            report: folder for the page's contact sheet of small tiles; None: none is written.

        Raises:
            OutputError: a file cannot be written.
        """
        large = blank_sheet(self.sheet)
        small = blank_sheet(self.small)
        for part, values in self._parts(plane):
            tiles = brightness(values.numpy())  # of [filter, along, across]
            upright = tiles.transpose(0, 2, 1) if self.time_axis == "x" else tiles
            for number, tile in enumerate(upright, part.start):
                draw_tile(large, self.sheet, number, tile)
                if report is not None:
                    draw_tile(small, self.small, number, halved(tile))
        draw_numbers(large, self.sheet)
        save(coloured(large), pictures / self.name(plane))
        if report is not None:
            save(coloured(small), report / page_sheet(self.number), _SMALL_QUALITY)

    def means(self) -> list[float]:
        """Return each filter's mean activation: the mean of its cells' means."""
        return [float(mean) for _, values in self._parts(MEANS) for mean in values.mean(dim=(1, 2))]

    def spectra(self, filters: tuple[int, ...]) -> NDArray[np.float32]:
        """Estimate the spectrograms of filters' raw sounds from the overview.

        The inverse transform of a frame of N values is real, so bin k of its sound has the mean of values k
        and N - k (`sound.dsp.half_ifft`). Here these are the cells that hold them.

        Args:
            filters: numbers of the filters.

        Returns:
            Power, float32 `[filter, column, row]`, the lowest frequency first.
        """
        cells = self.overview.cells
        power = np.zeros((len(filters), _TILE_COLUMNS, _TILE_ROWS), np.float32)
        across = -(-cells.across // 2)
        to_columns = _area_weights(_TILE_COLUMNS, cells.along)
        to_rows = _area_weights(_TILE_ROWS, across)
        indices = {number: index for index, number in enumerate(filters)}
        for part, values in self._parts(MEANS):
            folded = ((values + values.flip(2)) / 2)[..., :across]
            amplitudes = to_columns @ folded @ to_rows.T
            for number, amplitude in enumerate(amplitudes, part.start):
                if number in indices:
                    power[indices[number]] = amplitude.square().numpy()
        return power

    @property
    def _tile_size(self) -> tuple[int, int]:
        """Width and height of a tile in pixels."""
        along, across = self.overview.cells.along, self.overview.cells.across
        return (along, across) if self.time_axis == "x" else (across, along)

    def _parts(self, plane: int) -> Iterator[tuple[slice, Tensor]]:
        """Read a plane of the overview, and yield it some filters at a time.

        Yields:
            The filters, and their cells, float32 `[filter, along, across]`.
        """
        values = self.overview.read(plane)
        along, across, channels = values.shape
        # torch copies by blocks into a contiguous tensor of the same dtype; `.t().contiguous()` does not
        by_filter = values.new_empty(channels, along * across).copy_(values.view(-1, channels).t())
        for start in range(0, channels, _FILTERS_AT_ONCE):
            part = slice(start, min(start + _FILTERS_AT_ONCE, channels))
            yield part, by_filter[part].float().view(-1, along, across)


def spectra_tiles(power: NDArray[np.float32]) -> tuple[Image.Image, Sheet]:
    """Draw spectrograms as the tiles of one image, each relative to its own loudest.

    Args:
        power: `[part, column, row]`, the lowest frequency first.

    Returns:
        The image, and the layout of its tiles.
    """
    layout = sheet_of(len(power), power.shape[1], power.shape[2])
    tiles = np.round(255 * decibels(power, _TILE_DB)).astype(np.uint8)
    image = blank_sheet(layout)
    for number, tile in enumerate(tiles):
        draw_tile(image, layout, number, tile.T[::-1])
    return coloured(image), layout


def filter_picture(
    source: Activations, number: int, plane: int = MEANS, most: int = SINGLE_PIXELS
) -> Image.Image:
    """Draw one filter's stored activations.

    Args:
        source: the bank's activations.
        number: the filter.
        plane: `MEANS` or `MAXIMA` of the activations in a pixel.
        most: the longest edge of the image in pixels, at most.

    Returns:
        The image, upright.
    """
    cells = cells_of(source.frames, source.frequencies, most)
    rows = []
    step = max(1, source.frames_per_block // cells.factor) * cells.factor
    for start in range(0, source.frames, step):
        frames = slice(start, min(start + step, source.frames))
        values = source.read(slice(number, number + 1), frames)[0].float()
        reduced = across_cells(values[..., None], cells.factor)[plane][..., 0]
        whole = len(reduced) - len(reduced) % cells.factor
        for block in (reduced[:whole].view(-1, cells.factor, cells.across), reduced[None, whole:]):
            if block.numel():
                rows.append(block.amax(1) if plane == MAXIMA else _means(block, cells.factor, cells.cross))
    values_of_cells = torch.cat(rows).numpy()
    upright = values_of_cells.T if source.time_axis == "x" else values_of_cells
    return coloured(brightness(upright))


def filter_picture_name(bank: int, number: int, plane: int = MEANS, extension: str = "jpg") -> str:
    """Return the file name of one filter's image."""
    ending = "" if plane == MEANS else f"_{PLANES[plane]}"
    return f"bank-{bank}_filter-{number:03d}{ending}.{extension}"


def _means(sums: Tensor, factor: int, cross: int) -> Tensor:
    """Return the means of rows of cells, whose last cell may hold fewer values.

    Args:
        sums: sums over each frame's values in a cell, `[row of cells, frame, cell]`.
        factor: edge of a full cell, in values.
        cross: values of a frame.

    Returns:
        The means `[row of cells, cell]`.
    """
    _, frames, across = sums.shape
    values = torch.full((across,), float(factor * frames))
    values[-1] = frames * (cross - (across - 1) * factor)
    return sums.sum(1) / values


def _area_weights(outputs: int, length: int) -> torch.Tensor:
    """Return the matrix `[output, cell]` that averages `length` cells over `outputs` equal intervals."""
    edges = np.linspace(0, length, outputs + 1)
    first, weights = interval_weights(edges[:-1], edges[1:], length)
    matrix = np.zeros((outputs, length), np.float32)
    matrix[:, first : first + weights.shape[1]] = weights
    return torch.from_numpy(matrix)
