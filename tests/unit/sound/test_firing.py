"""Firing: any split of the rows gives the same bits; against the plain way; left and gone on with."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from netsounds_stream.errors import StoreError
from netsounds_stream.graph.geometry import inside
from netsounds_stream.picture.overview import across_cells
from netsounds_stream.planning.plan import FIRING_STEPS, Cells, firing_rows
from netsounds_stream.sound.background import Baseline
from netsounds_stream.sound.firing import Firing, FiringGrid

# Of float32 sums of some hundred values.
RTOL = 1e-5


def values_of(grid: FiringGrid, channels: int, seed: int = 0) -> torch.Tensor:
    """Random activations, `[row, cross, channel]`: most are nothing, as after a ReLU."""
    shape = grid.cells.rows, grid.cells.cross, channels
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).clamp(min=0) * 3


def quiet_of(channels: int) -> torch.Tensor:
    return torch.linspace(0, 1, channels)


def gathered(
    path: Path, grid: FiringGrid, values: torch.Tensor, cuts: list[int]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Levels and places, the rows having come in pieces."""
    with Firing(path, grid, quiet_of(values.shape[2]), None) as firing:
        for start, stop in pairwise([0, *cuts, grid.cells.rows]):
            firing.add(across_cells(values[start:stop], grid.cells.factor)[0])
        return firing.read()


def plain(
    values: NDArray[np.float64], grid: FiringGrid, quiet: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int_], NDArray[np.float64]]:
    """The slow way: each step's cells one by one, those at the border left out.

    Returns:
        Levels and places `[step, channel]`, and how far the second largest cell lies below the largest.
    """
    rows, cross, channels = values.shape
    size, step = grid.cells.factor, grid.step_rows
    across, along = inside(cross, grid.border), inside(grid.whole_rows, grid.border)
    cells = [slice(x, min(x + size, cross)) for x in range(0, cross, size)]
    inner = [n for n, cell in enumerate(cells) if across.start <= cell.start and cell.stop <= across.stop]
    inner = inner or [(across.start + across.stop - 1) // 2 // size]
    steps = [slice(y, min(y + step, rows)) for y in range(0, rows, step)]
    stop = min(along.stop, rows)
    middle = (min(along.start, rows - 1) + stop - 1) // 2 // step
    heard = [n for n, each in enumerate(steps) if along.start <= each.start and each.stop <= stop] or [middle]
    levels, places, margins = [], [], []
    for number in range(len(steps)):
        rows_of = steps[min(max(number, heard[0]), heard[-1])]
        means = np.stack([values[rows_of, cells[n]].mean((0, 1)) for n in inner])
        ordered = np.sort(means, axis=0)
        levels.append(np.maximum(ordered[-1] - quiet, 0))
        places.append(np.array(inner)[means.argmax(0)])
        margins.append(ordered[-1] - ordered[-2] if len(inner) > 1 else np.full(channels, np.inf))
    return np.stack(levels), np.stack(places), np.stack(margins)


@st.composite
def grids(draw: st.DrawFn) -> FiringGrid:
    rows = draw(st.integers(1, 40))
    cells = Cells(rows, draw(st.integers(1, 40)), draw(st.integers(1, 12)))
    return FiringGrid(
        cells=cells,
        whole_rows=rows + draw(st.integers(0, 20)),
        step_rows=draw(st.integers(1, 9)),
        border=draw(st.integers(0, 6)),
    )


@settings(deadline=None, max_examples=100)
@given(grids(), st.sampled_from([1, 3, 16, 33]), st.lists(st.integers(1, 39), max_size=6, unique=True))
def test_any_split_is_the_whole_and_the_plain_way(grid: FiringGrid, channels: int, cuts: list[int]) -> None:
    values = values_of(grid, channels)
    cuts = sorted(cut for cut in cuts if cut < grid.cells.rows)
    with TemporaryDirectory() as folder:
        whole = gathered(Path(folder) / "whole", grid, values, [])
        split = gathered(Path(folder) / "split", grid, values, cuts)
        single = gathered(Path(folder) / "single", grid, values, list(range(1, grid.cells.rows)))
    for each in (split, single):
        assert all(np.array_equal(one, other) for one, other in zip(whole, each, strict=True))
    levels, places, margins = plain(values.double().numpy(), grid, quiet_of(channels).double().numpy())
    np.testing.assert_allclose(whole[0], levels, rtol=RTOL, atol=1e-5)
    sure = margins > 1e-5  # where two cells are as bright, rounding decides
    assert np.array_equal(whole[1][sure], places[sure])


@settings(deadline=None, max_examples=60)
@given(grids(), st.integers(0, 1000))
def test_left_anywhere_and_gone_on_with(grid: FiringGrid, place: int) -> None:
    """Also behind a step's last row, and behind all; what was written after the state was taken is undone."""
    at = place % (grid.cells.rows + 1)
    values = values_of(grid, 3, seed=1)
    sums, _ = across_cells(values, grid.cells.factor)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "left"
        whole = gathered(Path(folder) / "whole", grid, values, [])
        with Firing(path, grid, quiet_of(3), None) as firing:
            firing.add(sums[:at])
            state, waiting = firing.state(), firing.retained()["cells"].clone()
            firing.add(sums[at:] * 2)  # which the end of the process takes back
        with Firing(path, grid, quiet_of(3), state) as firing:
            firing.restore(state, {"cells": waiting})
            firing.add(sums[at:])
            assert all(np.array_equal(one, other) for one, other in zip(firing.read(), whole, strict=True))
        with Firing(path, grid, quiet_of(3), firing.state()) as firing:  # whole, as the report opens it
            assert np.array_equal(firing.read()[0], whole[0])


def test_a_state_that_its_file_does_not_hold(tmp_path: Path) -> None:
    grid = FiringGrid(cells=Cells(9, 5, 2), whole_rows=9, step_rows=2, border=0)
    gathered(tmp_path / "a", grid, values_of(grid, 2), [])
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-1])
    with pytest.raises(StoreError, match="cut short; start again"):
        Firing(tmp_path / "a", grid, quiet_of(2), {"came": 9})


@given(st.integers(1, 10**6))
def test_steps_are_the_shortest_that_are_few_enough(rows: int) -> None:
    step = firing_rows(rows)
    assert -(-rows // step) <= FIRING_STEPS
    assert step == 1 or -(-rows // (step - 1)) > FIRING_STEPS


def test_the_answer_to_an_even_picture_is_quiet(tmp_path: Path) -> None:
    """Up to the margin that the mix, too, takes for no content; of values of either sign, their size."""
    even = torch.tensor([0.0, 2.0, -2.0])
    baseline = Baseline(border=0, even=even, spread=torch.tensor([0.0, 0.1, 0.1]), noise=even)
    grid = FiringGrid(cells=Cells(4, 4, 2), whole_rows=4, step_rows=1, border=0)
    values = even.abs().expand(4, 4, 3).clone()
    values[:, :, 1] += 0.1
    values[2, 3] += 1.0
    with Firing(tmp_path / "a", grid, baseline.quiet, None) as firing:
        firing.add(across_cells(values, 2)[0])
        levels, places = firing.read()
    assert not levels[[0, 1, 3]].any()
    assert (levels[2] > 0.35).all() and (places[2] == 1).all()
