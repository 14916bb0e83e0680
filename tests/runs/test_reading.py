"""Runs of files that hold channels, pages and numbers of other kinds: from the option to the record."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

from netsounds_stream import batch, plan, resume, sonify, verify
from netsounds_stream.base.progress import Progress
from netsounds_stream.errors import PictureError
from netsounds_stream.picture.demo_picture import draw
from tests.helpers.runs import contents, stopped_run
from tests.helpers.tiffs import Page, tiff

PIXELS = draw(160, 90)
FLOATS = (PIXELS.astype(np.float32) - 40) / 3
WORDS: dict[str, Any] = {"banks": (1, 4), "report": False, "duration": 1, "label": "a"}


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("floats") / "floats.tif"
    path.write_bytes(tiff(Page(FLOATS, 2)))
    return path


def test_a_stretched_run_is_that_of_16_bits(tmp_path: Path, weights_file: Path, floats: Path) -> None:
    low, high = float(FLOATS.min()), float(FLOATS.max())
    share = (FLOATS.astype(np.float64) - low) / (high - low)
    deep = np.floor(share * 65535 + 0.5).astype(np.uint16)
    pyvips.Image.new_from_array(deep, interpretation="rgb16").pngsave(str(tmp_path / "a.png"))
    words = {**WORDS, "weights": str(weights_file)}
    stages: list[str] = []

    def listen(progress: Progress) -> None:
        stages.append(progress.stage)

    run = sonify(floats, tmp_path / "run", stretch="minmax", on_progress=listen, **words)
    expected = sonify(tmp_path / "a.png", tmp_path / "expected", **words)
    for bank in WORDS["banks"]:
        # levels differ by one of 65,535 at most, where float32 rounds
        np.testing.assert_allclose(
            run.array(bank)[:].astype(float), expected.array(bank)[:].astype(float), rtol=0.01, atol=0.1
        )
    assert list(dict.fromkeys(stages))[0:2] == ["weights", "range"]
    picture = run.record["picture"]
    assert picture["stretch"] == {"kind": "minmax", "limits": [low, high]}
    assert (picture["bits_per_value"], picture["channels"], picture["pages"]) == (16, [1, 2, 3], 1)
    assert "--stretch minmax" in run.record["command"]
    from_memory = sonify(FLOATS, tmp_path / "memory", stretch="minmax", **words)
    for bank in WORDS["banks"]:
        np.testing.assert_array_equal(from_memory.array(bank)[:], run.array(bank)[:])
    assert verify(floats, stretch="minmax", size=90, weights=str(weights_file)).agreed


def test_a_stretched_run_resumes_with_its_numbers(tmp_path: Path, weights_file: Path, floats: Path) -> None:
    words = {**WORDS, "stretch": "percentile:1,99"}
    sonify(floats, tmp_path / "whole", weights=str(weights_file), **words)
    words.pop("label")
    stopped_run(tmp_path, floats, weights_file, "network", **{**words, "report": False})
    stages: set[str] = set()

    def listen(progress: Progress) -> None:
        stages.add(progress.stage)

    resume(tmp_path / "run", on_progress=listen)
    assert "range" not in stages
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_the_plan_counts_the_pass(floats: Path, tmp_path: Path) -> None:
    planned = plan(floats, tmp_path, weights="untrained", stretch="asinh", banks=(4,))
    assert planned.measured_pixels == 160 * 90
    assert plan(floats, tmp_path, weights="untrained", stretch="full", banks=(4,)).measured_pixels == 0
    with pytest.raises(PictureError, match="--stretch"):
        plan(floats, tmp_path, weights="untrained")


def test_notes_and_options_of_a_run(tmp_path: Path, weights_file: Path) -> None:
    spare = np.dstack([PIXELS, 255 - PIXELS[..., 0]])
    (tmp_path / "a.tif").write_bytes(tiff(Page(spare, 2, [0]), Page(PIXELS[::-1], 2)))
    words = {**WORDS, "weights": str(weights_file), "mix": False}
    run = sonify(tmp_path / "a.tif", tmp_path / "default", **words)
    assert [note for note in run.record["notes"] if "--page" in note]
    assert [note for note in run.record["notes"] if "--channels" in note]
    assert any("--page" in note for note in plan(tmp_path / "a.tif", tmp_path, **words).notes)
    chosen = sonify(tmp_path / "a.tif", tmp_path / "chosen", channels="4,2,1", page=1, **words)
    assert chosen.record["picture"]["channels"] == [4, 2, 1]
    assert not [note for note in chosen.record["notes"] if "--channels" in note]
    command = shlex.split(chosen.record["command"])
    assert command[command.index("--channels") + 1] == "4,2,1" and command[command.index("--page") + 1] == "1"
    second = sonify(tmp_path / "a.tif", tmp_path / "second", page=2, **words)
    flipped = sonify(np.ascontiguousarray(PIXELS[::-1]), tmp_path / "flipped", **words)
    np.testing.assert_array_equal(second.array(4)[:], flipped.array(4)[:])


@pytest.mark.process
def test_a_batch_reads_as_it_is_told(tmp_path: Path, weights_file: Path, floats: Path) -> None:
    words = {**WORDS, "weights": str(weights_file), "mix": False, "banks": (4,)}
    failed = batch([floats], tmp_path / "b", **words)
    (result,) = failed.results
    assert result.status == "failed" and "--stretch" in (result.error or "")
    made = batch([floats], tmp_path / "b", stretch="minmax", **words)
    assert [each.status for each in made.results] == ["done"]
    again = batch([floats], tmp_path / "b", stretch="minmax", **words)
    assert [each.status for each in again.results] == ["skipped"]
