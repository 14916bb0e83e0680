"""The demonstration picture: drawn, deterministic, of any size, with structure at many scales.

It shows a landscape: a sky with a sun of chirping rings, hills of fractal noise, a fence and falling discs.
Every pixel follows from its coordinates alone, so that a picture of any size can be drawn in strips.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]
_OCTAVES = 12
_DISCS = 24


def draw_rows(width: int, height: int, rows: int = 128) -> Iterator[NDArray[np.uint8]]:
    """Draw the picture from top to bottom, `rows` at a time.

    Yields:
        uint8 `[y, x, rgb]`; the last strip may have fewer rows.
    """
    for top in range(0, height, rows):
        yield _strip(np.arange(top, min(top + rows, height)), width, height)


def draw(width: int, height: int) -> NDArray[np.uint8]:
    """Draw the whole picture.

    Returns:
        uint8 `[y, x, rgb]`.
    """
    return np.concatenate(list(draw_rows(width, height)))


def _strip(lines: NDArray[np.int64], width: int, height: int) -> NDArray[np.uint8]:
    # Units: the short edge is 1, so that a larger picture shows the same scene in finer detail.
    unit = min(width, height)
    line = (lines + 0.5) / unit
    column = (np.arange(width) + 0.5) / unit
    y = line[:, None]
    x = column[None, :]
    right = width / unit
    bottom = height / unit
    octaves = min(_OCTAVES, max(1, int(np.log2(unit))))
    rough = _fractal_noise(line, column, octaves)

    sun = np.hypot(y - 0.3 * bottom, x - 0.68 * right)
    rings = 0.5 + 0.5 * np.cos(2 * np.pi * 60 * sun * (0.3 + sun))
    glow = np.exp(-((sun / 0.28) ** 2))
    sky = (0.35 + 0.5 * y, 0.5 + 0.25 * y, 0.85 - 0.2 * y)
    rays = (0.6 + 0.4 * rings, 0.35 + 0.5 * rings, 0.2 * rings)
    image = np.stack([far * (1 - glow) + near * glow for far, near in zip(sky, rays, strict=True)])
    image += 0.25 * (rough - 0.5)

    for index, base in enumerate((0.62, 0.74, 0.86)):
        ridge = base * bottom + 0.09 * (
            np.sin(2 * np.pi * (1.3 + index) * x / right + index)
            + _fractal_noise(np.array([3.7 * index]), 1.5 * column, octaves)
        )
        shade = (0.1 + 1.4 * rough) * (1 - 0.2 * index)
        tint = np.array([0.35 - 0.08 * index, 0.5 - 0.05 * index, 0.3 - 0.05 * index])
        _lay(image, _inside(y - ridge, unit), tint[:, None, None] * shade)

    fence = _inside(0.06 - np.abs(y - 0.9 * bottom), unit) * (np.sin(2 * np.pi * 24 * x**1.4) > 0.2)
    _lay(image, fence, np.array([0.9, 0.85, 0.75])[:, None, None])

    for index in range(_DISCS):
        radius = 0.09 * 0.84**index
        centre_y = bottom * (0.08 + 0.6 * _hash(index, 1))
        centre_x = right * _hash(index, 2)
        rows = np.abs(line - centre_y) < radius + 2 / unit
        columns = np.abs(column - centre_x) < radius + 2 / unit
        if not rows.any():
            continue
        box = np.ix_(np.arange(3), np.flatnonzero(rows), np.flatnonzero(columns))
        near_y = line[rows, None]
        near_x = column[None, columns]
        stripes = 0.5 + 0.5 * np.sin(2 * np.pi * (near_y + near_x) / (0.012 + 0.4 * radius))
        colour = np.array([_hash(index, 3), _hash(index, 4), _hash(index, 5)])[:, None, None]
        disc = _inside(radius - np.hypot(near_y - centre_y, near_x - centre_x), unit)
        piece = image[box]
        _lay(piece, disc, 0.3 * stripes + 0.7 * colour)
        image[box] = piece
    return (image.clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)


def _lay(image: Field, cover: Field, colour: Field) -> None:
    """Blend `colour` over `image` in place, with the opacity `cover` (0 to 1)."""
    image += cover * (colour - image)


def _inside(distance: Field, unit: int) -> Field:
    """Turn the signed distance from an edge into coverage: 1 inside, 0 outside, with a ramp of one pixel."""
    return np.clip(distance * unit + 0.5, 0, 1)


def _fractal_noise(line: Field, column: Field, octaves: int) -> Field:
    """Sum value noise over octaves, each twice as fine and 0.75 times as strong as the one before.

    Returns:
        `[line, column]`, 0 to 1.
    """
    total = np.zeros((line.size, column.size))
    weight = 1.0
    weights = 0.0
    for octave in range(octaves):
        total += weight * _value_noise(line * 2.0 ** (octave + 1), column * 2.0 ** (octave + 1), octave)
        weights += weight
        weight *= 0.75
    return total / weights


def _value_noise(line: Field, column: Field, seed: int) -> Field:
    """Interpolate random values of an integer lattice smoothly along lines, then along columns.

    Returns:
        `[line, column]`, 0 to 1.
    """
    first_row = int(np.floor(line[0]))
    first_column = int(np.floor(column[0]))
    rows = np.arange(first_row, int(np.floor(line[-1])) + 2)
    columns = np.arange(first_column, int(np.floor(column[-1])) + 2)
    lattice = _hash(rows[:, None], columns[None, :], seed)
    cell_y, down = _cell(line)
    cell_x, across = _cell(column)
    row = cell_y - first_row
    col = cell_x - first_column
    lines = lattice[row] + down[:, None] * (lattice[row + 1] - lattice[row])
    return lines[:, col] + across * (lines[:, col + 1] - lines[:, col])


def _cell(position: Field) -> tuple[NDArray[np.int64], Field]:
    """Find the lattice cell of each position.

    Returns:
        The cell, and the way t across it (0 to 1), eased: 3t^2 - 2t^3.
    """
    cell = np.floor(position).astype(np.int64)
    across = position - cell
    return cell, across * across * (3 - 2 * across)


def _hash(*keys: NDArray[np.int64] | int) -> Field:
    """Hash integers by the finaliser of MurmurHash3 (public domain, A. Appleby).

    Returns:
        float64 in [0, 1), broadcast over the keys.
    """
    mixed = np.asarray(np.uint64(0x9E3779B97F4A7C15))
    with np.errstate(over="ignore"):
        for key in keys:
            mixed = mixed * np.uint64(31) + np.asarray(key).astype(np.uint64)
            mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
            mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
            mixed = mixed ^ (mixed >> np.uint64(33))
        return np.asarray((mixed >> np.uint64(11)) / float(1 << 53))
