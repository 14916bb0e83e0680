"""Overviews: any split of the rows gives the same bits; against the plain way; left and gone on with."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netsounds_stream.errors import StoreError
from netsounds_stream.picture.overview import Overview, across_cells
from netsounds_stream.planning.plan import Cells, cells_of

# Of float32 sums of some hundred values, kept in float16, half a unit of whose 11th bit is lost.
RTOL = 2**-11 + 1e-5


def rows_of(cells: Cells, channels: int, seed: int = 0) -> torch.Tensor:
    """Random activations, `[row, cross, channel]`: most are nothing, as after a ReLU."""
    drawn = torch.randn(cells.rows, cells.cross, channels, generator=torch.Generator().manual_seed(seed))
    return drawn.clamp(min=0) * 3


def gathered(
    path: Path, cells: Cells, values: torch.Tensor, cuts: list[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and maxima, the rows having come in pieces."""
    with Overview(path, cells, values.shape[2], None) as overview:
        for start, stop in pairwise([0, *cuts, cells.rows]):
            overview.add(*across_cells(values[start:stop], cells.factor))
        return overview.read(0), overview.read(1)


def plain(values: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """The slow way, in float64: every cell by itself."""
    rows, cross, channels = values.shape
    along, across = -(-rows // factor), -(-cross // factor)
    means, maxima = np.zeros((2, along, across, channels))
    for y in range(along):
        for x in range(across):
            cell = values[y * factor : (y + 1) * factor, x * factor : (x + 1) * factor].astype(np.float64)
            means[y, x], maxima[y, x] = cell.mean((0, 1)), cell.max((0, 1))
    return means, maxima


@st.composite
def shapes(draw: st.DrawFn) -> tuple[Cells, int, list[int]]:
    rows, cross = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    cells = Cells(rows, cross, draw(st.integers(1, 12)))
    cuts = draw(st.lists(st.integers(1, rows), max_size=6, unique=True))
    return cells, draw(st.sampled_from([1, 3, 16, 33])), sorted(cut for cut in cuts if cut < rows)


@settings(deadline=None, max_examples=60)
@given(shapes())
def test_any_split_is_the_whole_and_the_plain_way(shape: tuple[Cells, int, list[int]]) -> None:
    cells, channels, cuts = shape
    values = rows_of(cells, channels)
    with TemporaryDirectory() as folder:
        whole = gathered(Path(folder) / "whole", cells, values, [])
        split = gathered(Path(folder) / "split", cells, values, cuts)
        single = gathered(Path(folder) / "single", cells, values, list(range(1, cells.rows)))
    for plane, expected in enumerate(plain(values.numpy(), cells.factor)):
        assert whole[plane].dtype == torch.float16
        assert whole[plane].shape == (cells.along, cells.across, channels)
        assert torch.equal(whole[plane], split[plane]) and torch.equal(whole[plane], single[plane])
        np.testing.assert_allclose(whole[plane].float().numpy(), expected, rtol=RTOL, atol=2**-24)


@settings(deadline=None, max_examples=40)
@given(shapes(), st.integers(0, 1000))
def test_left_anywhere_and_gone_on_with(shape: tuple[Cells, int, list[int]], place: int) -> None:
    """Also behind a cell's last row, and behind all; what was written after the state was taken is undone."""
    cells, channels, _ = shape
    at = place % (cells.rows + 1)
    values = rows_of(cells, channels, seed=1)
    sums, highest = across_cells(values, cells.factor)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "left"
        whole = gathered(Path(folder) / "whole", cells, values, [])
        with Overview(path, cells, channels, None) as overview:
            overview.add(sums[:at], highest[:at])
            state, waiting = overview.state(), overview.retained()["cells"].clone()
            overview.add(sums[at:], highest[at:] * 2)  # which the end of the process takes back
        with Overview(path, cells, channels, state) as overview:
            overview.restore(state, {"cells": waiting})
            overview.add(sums[at:], highest[at:])
            assert torch.equal(overview.read(0), whole[0]) and torch.equal(overview.read(1), whole[1])
        with Overview(path, cells, channels, overview.state()) as overview:  # whole, as the report opens it
            part = slice(0, 1)
            assert torch.equal(overview.read(1, part), whole[1][..., part])
            assert path.stat().st_size == whole[0].numel() * 2 * 2


def test_a_state_that_its_file_does_not_hold(tmp_path: Path) -> None:
    cells = Cells(9, 5, 2)
    gathered(tmp_path / "a", cells, rows_of(cells, 2), [])
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-1])
    with pytest.raises(StoreError, match="cut short; start again"):
        Overview(tmp_path / "a", cells, 2, {"came": 9})
    with pytest.raises(StoreError, match="is missing; start again"):
        Overview(tmp_path / "b", cells, 2, {"came": 4})


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 2000))
def test_cells_are_the_smallest_that_are_few_enough(rows: int, cross: int, most: int) -> None:
    cells = cells_of(rows, cross, most)
    assert max(cells.along, cells.across) <= most
    assert cells.factor * (cells.along - 1) < rows <= cells.factor * cells.along
    assert cells.factor * (cells.across - 1) < cross <= cells.factor * cells.across
    if cells.factor > 1:
        finer = Cells(rows, cross, cells.factor - 1)
        assert max(finer.along, finer.across) > most


def test_a_cell_may_be_nan_and_no_other(tmp_path: Path) -> None:
    cells = Cells(7, 8, 3)
    values = rows_of(cells, 2)
    values[4, 5, 1] = torch.nan
    for plane in gathered(tmp_path / "a", cells, values, [4]):
        spoilt = torch.zeros_like(plane, dtype=torch.bool)
        spoilt[1, 1, 1] = True
        assert torch.equal(plane.isnan(), spoilt)
