"""Levels of filters over time in real runs: what the page gets follows from the stored activations."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from netsounds_stream import Run, sonify
from netsounds_stream.graph.geometry import inside
from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.network.networks import Network
from netsounds_stream.planning.plan import FILTER_CELLS, FIRING_STEPS
from netsounds_stream.report.byte_scripts import bytes_of_script
from netsounds_stream.stages.baseline import baselines
from tests.helpers.reference import page_data
from tests.helpers.reports import HEIGHT, SHORT, WIDTH

CASES: dict[str, dict[str, Any]] = {
    "usual": {"banks": (1, 2, 3, 4)},
    "no mix, time along y": {"banks": (1, 4), "mix": False, "time_axis": "y"},
    "a preview of some filters": {"banks": (2,), "preview": 0.5, "activations": False, "filters": "3,5,90"},
}


def unpacked(run: Run) -> dict[int, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """The page's levels and places by bank, `[channel, step]`."""
    data = page_data(run.folder)
    content = zlib.decompress(bytes_of_script(run.folder / data["firing"]))
    found = {}
    for bank in data["banks"]:
        shape = bank["channels"], bank["firing"]["steps"]
        parts = [
            np.frombuffer(content[at * shape[0] * shape[1] :], np.uint8)[: shape[0] * shape[1]]
            for at in (0, 1)
        ]
        content = content[2 * shape[0] * shape[1] :]
        found[bank["number"]] = parts[0].reshape(shape), parts[1].reshape(shape)
    assert not content
    return found


@pytest.fixture(scope="module", params=list(CASES))
def made(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    small_picture: Path,
    weights_file: Path,
) -> Run:
    words: dict[str, Any] = {"weights": str(weights_file), **SHORT, **CASES[request.param]}
    return sonify(small_picture, tmp_path_factory.mktemp("firing") / "run", **words)


@pytest.mark.parametrize("made", [name for name in CASES if "preview" not in CASES[name]], indirect=True)
def test_levels_follow_from_the_stored_activations(made: Run, weights: Network) -> None:
    """The plain way, on whole arrays: a value a cell, so small is the picture, but a row a step at most."""
    colour = made.record["picture"]["median_colour"]
    quiet = baselines(weights, usual_banks(), colour, 255, HEIGHT, WIDTH, normalize=True)
    data = page_data(made.folder)
    for number, (codes, places) in unpacked(made).items():
        (path,) = made.folder.glob(f"activations-{number}_*.zarr")
        values = np.asarray(zarr.open_array(path)[:]).astype(np.float64)  # [channel, y, x]
        values = values if data["time_axis"] == "y" else values.transpose(0, 2, 1)  # [channel, step, cell]
        _, steps, cross = values.shape
        assert max(steps, cross) <= min(FIRING_STEPS, FILTER_CELLS)
        border = quiet[number].border
        rows, cells = inside(steps, border), inside(cross, border)
        held = values[:, np.arange(steps).clip(rows.start, rows.stop - 1), cells]
        even = (quiet[number].even + quiet[number].spread + quiet[number].even / 128).double().numpy()
        levels = np.maximum(held.max(2) - even[:, None], 0)
        expected = 255 * np.sqrt(levels / levels.max())
        # half a code, and the rounding of float32 near half a code and where a level is a small difference
        np.testing.assert_allclose(codes, expected, atol=0.51)
        fires = codes > 0
        assert fires.any()
        ordered = np.sort(held, axis=2)
        sure = fires & (ordered[..., -1] > ordered[..., -2])  # the first of two that are as bright is as good
        assert np.array_equal(places[sure], held.argmax(2)[sure] + cells.start)


def test_where_the_steps_lie(made: Run) -> None:
    """From the picture's begin to its end, within a value of the bank; a preview's end before."""
    data = page_data(made.folder)
    along, cross = ("width", "height") if data["time_axis"] == "x" else ("height", "width")
    whole = data["picture"][f"full_{along}"]
    for bank in data["banks"]:
        firing = bank["firing"]
        assert firing["steps"] <= FIRING_STEPS
        end = firing["start_px"] + firing["steps"] * firing["step_px"]
        assert abs(firing["start_px"]) <= bank["field_px"] and abs(end - whole) <= bank["field_px"]
        assert firing["step_px"] == firing["cell_px"] == bank["stride_px"]  # so small is the picture
        cells = bank[cross]
        end = firing["across_px"] + cells * firing["cell_px"]
        assert abs(end - data["picture"][f"full_{cross}"]) <= bank["field_px"]
        chosen = made.record["options"]["sound"]["filters"]
        assert firing["filters"] == (None if chosen is None else sorted(chosen))


def test_an_even_picture_is_quiet(tmp_path: Path, weights_file: Path) -> None:
    picture = np.full((107, 161, 3), (90, 120, 200), np.uint8)
    run = sonify(picture, tmp_path / "run", weights=str(weights_file), **SHORT)
    assert not any(codes.any() for codes, _ in unpacked(run).values())


@pytest.mark.slow
def test_a_large_pictures_levels_are_a_small_file(tmp_path: Path, weights_file: Path) -> None:
    """Noise, which packs worst, in as many steps as there can be: 1,376 filters. Photographs take 0.7 MB."""
    picture = np.random.default_rng(0).integers(0, 256, (300, 1700, 3)).astype(np.uint8)
    words: dict[str, Any] = {**SHORT, "scheme": "none", "activations": False}
    run = sonify(picture, tmp_path / "run", weights=str(weights_file), **words)
    assert max(codes.shape[1] for codes, _ in unpacked(run).values()) > FIRING_STEPS / 2
    assert (run.folder / "report" / "firing-bytes.js").stat().st_size < 1e6
