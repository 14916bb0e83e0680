"""A run's arrays as one zarr group, opened as it lies by xarray, zarr, tensorstore and OME-NGFF's readers."""

from __future__ import annotations

import asyncio
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import zarr

from netsounds_stream import check, open_run, sonify
from netsounds_stream.base.journal import read_journal
from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.run.layout import work_path
from netsounds_stream.store.group import METADATA
from tests.helpers.runs import contents, stopped_run

xarray = pytest.importorskip("xarray")

ALONE: dict[str, Any] = {"mix": False, "report": False, "label": "a"}


@pytest.fixture(scope="module", params=["x", "y"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with time along x or y."""
    picture = request.getfixturevalue("picture_file")
    weights = str(request.getfixturevalue("weights_file"))
    out = tmp_path_factory.mktemp("group") / "run"
    sonify(picture, out, weights=weights, time_axis=request.param, scheme="sum", **ALONE)
    return out


def test_xarray_opens_a_run_as_it_lies(run: Path) -> None:
    """Without a warning, and with values, pixels and seconds where they belong."""
    time_axis = open_run(run).record["plan"]["time_axis"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = xarray.open_zarr(run, chunks=None)
    assert found.attrs["Conventions"].startswith("CF-") and "landscape" in found.attrs["title"]
    for bank in usual_banks().banks:
        values = found[f"activations-{bank.number}_a.zarr"]
        plain = zarr.open_array(run / f"activations-{bank.number}_a.zarr", mode="r")
        assert values.dims == (f"channel_{bank.number}", f"y_{bank.number}", f"x_{bank.number}")
        np.testing.assert_array_equal(values.values, np.asarray(plain[:]))
        assert values.attrs["units"] == "1" and bank.layer in values.attrs["long_name"]
        for axis, length in zip("yx", plain.shape[1:], strict=True):
            pixels = found[f"{axis}_{bank.number}"]
            np.testing.assert_array_equal(pixels, bank.y.offset + bank.stride * np.arange(length))
            assert pixels.attrs["axis"] == axis.upper() and pixels.attrs["units"] == "pixels"
        seconds = values.coords[f"seconds_{bank.number}"]
        assert seconds.dims == (f"{time_axis}_{bank.number}",) and seconds.attrs["units"] == "s"
        heard = soundfile.info(run / f"activations-{bank.number}_a_sum.wav").duration
        frame = heard / seconds.size
        np.testing.assert_allclose(seconds, (np.arange(seconds.size) + 0.5) * frame, rtol=1e-9)
        assert {f"seconds_{bank.number}", f"y_{bank.number}", f"x_{bank.number}"} <= set(values.coords)


def test_it_is_the_run_that_notebooks_see(run: Path) -> None:
    found = xarray.open_zarr(run, chunks=None)
    for bank in usual_banks().banks:
        mine = open_run(run).dataarray(bank.number)
        theirs = found[f"activations-{bank.number}_a.zarr"]
        np.testing.assert_array_equal(mine, theirs)
        for axis in "yx":
            np.testing.assert_array_equal(mine[axis], theirs[f"{axis}_{bank.number}"])


def test_windowed_sound_has_its_own_seconds(tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    words: dict[str, Any] = {"method": "istft", "scheme": "sum", "duration": 2, "banks": (2,), **ALONE}
    sonify(picture_file, tmp_path / "run", weights=str(weights_file), **words)
    seconds = xarray.open_zarr(tmp_path / "run", chunks=None)["seconds_2"]
    assert float(seconds[0] + seconds[-1]) == pytest.approx(2, abs=1e-3)  # even, about the middle


def test_zarr_and_tensorstore_open_it(run: Path) -> None:
    group = zarr.open_group(run, mode="r")
    names = {name for name, _ in group.members()}
    assert {"x_1", "y_4", "seconds_2", "activations-3_a.zarr"} <= names
    assert {name for name in names if not (run / name / METADATA).is_file()} == set()
    tensorstore = pytest.importorskip("tensorstore")

    async def read(name: str) -> Any:
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{run / name}/"}}
        opened = await tensorstore.open(spec)
        return await opened.read()

    for name in ("activations-2_a.zarr", "seconds_2"):
        member = group[name]
        assert isinstance(member, zarr.Array)
        np.testing.assert_array_equal(asyncio.run(read(name)), np.asarray(member[:]))


def test_the_group_says_what_the_arrays_say(run: Path) -> None:
    """The metadata in the group is a copy of each member's; a reader may take either."""
    content = json.loads((run / METADATA).read_text())
    for name, metadata in content["consolidated_metadata"]["metadata"].items():
        assert metadata == json.loads((run / name / METADATA).read_text())


def test_ome_ngff(run: Path) -> None:
    """By the specification's rules for `multiscales`, version 0.5."""
    content = json.loads((run / METADATA).read_text())
    ome = content["attributes"]["ome"]
    assert ome["version"] == "0.5" and len(ome["multiscales"]) == 4
    for bank, image in zip(usual_banks().banks, ome["multiscales"], strict=True):
        (level,) = image["datasets"]
        array = json.loads((run / level["path"] / METADATA).read_text())
        assert [axis["name"] for axis in image["axes"]] == array["dimension_names"]
        assert [axis["type"] for axis in image["axes"]] == ["channel", "space", "space"]
        scale, translation = level["coordinateTransformations"]
        assert scale == {"type": "scale", "scale": [1, bank.stride, bank.stride]}
        assert translation == {"type": "translation", "translation": [0, bank.y.offset, bank.y.offset]}


def test_it_is_checked_and_not_listed(run: Path, tmp_path: Path) -> None:
    """Its files have checksums; what a run prints are the files that people open."""
    finished = open_run(run)
    assert METADATA in finished.record["checksums"] and "x_1/c/0" in finished.record["checksums"]
    assert not [path for path in finished.files if path.name in (METADATA, "x_1")]
    assert not check(run).unknown
    (run / "x_1" / "c" / "0").rename(tmp_path / "kept")
    try:
        assert [each.name for each in check(run).damaged] == ["x_1/c/0"]
    finally:
        (tmp_path / "kept").rename(run / "x_1" / "c" / "0")


def test_without_arrays_there_is_none(tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    words: dict[str, Any] = {"activations": False, "scheme": "concat", **ALONE}
    sonify(picture_file, tmp_path / "run", weights=str(weights_file), **words)
    assert not (tmp_path / "run" / METADATA).exists() and not (tmp_path / "run" / "x_1").exists()


def test_a_run_stopped_after_it_ends_the_same(tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    words: dict[str, Any] = {**ALONE, "scheme": "concat", "mix": True, "duration": 1}
    stopped_run(tmp_path, picture_file, weights_file, "mix", **words)
    work = work_path(tmp_path / "run")
    assert (work / METADATA).exists()
    left = read_journal(work)
    assert left is not None
    sonify(picture_file, tmp_path / "run", weights=str(weights_file), resume=True, **words)
    sonify(picture_file, tmp_path / "whole", weights=str(weights_file), **words)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    assert METADATA in contents(tmp_path / "run")
