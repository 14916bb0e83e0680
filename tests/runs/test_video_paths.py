"""Videos of sound that goes another way across the picture: its line is where the path is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

pytest.importorskip("av")

from netsounds_stream import render, sonify, video
from netsounds_stream.errors import OptionError, StoreError
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.rendering.runs import open_sums, way_of
from netsounds_stream.videos.layout import layout_for
from tests.helpers.videos import assert_sounds_like, decoded

pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {"size": "640x360", "fps": 20}
LAYOUT = layout_for(640, 360, 4 / 3, None)
PATHS: dict[str, dict[str, Any]] = {
    "radar": {"path": "radar"},
    "a spiral": {"path": "spiral:2"},
    "a line": {"path": "line:20,280,390,30"},
    "another axis": {"path": "y"},
    "radar in a region": {"path": "radar", "region": "100,60,200,150"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, weights_file: Path) -> Path:
    """A run, and one that keeps no sums."""
    folder = tmp_path_factory.mktemp("runs")
    pyvips.Image.new_from_array(draw(400, 300)).pngsave(str(folder / "wide.png"))
    words: dict[str, Any] = {"duration": 2.0, "fft_size": 512, "sample_rate": 16000, "activations": False}
    words |= {"weights": str(weights_file), "banks": (4,)}
    sonify(folder / "wide.png", folder / "x", **words)
    sonify(folder / "wide.png", folder / "no mix", **words, mix=False, report=False)
    return folder


def distances(low: np.ndarray, high: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distances of points `[point, x or y]` from the line between two."""
    along = high - low
    shares = np.clip((points - low) @ along / max(along @ along, 1e-9), 0, 1)
    found: np.ndarray = np.hypot(*(points - low - shares[:, None] * along).T)
    return found


@pytest.mark.parametrize("name", PATHS)
def test_the_line_is_where_the_path_is(runs: Path, tmp_path: Path, name: str) -> None:
    words = PATHS[name]
    made = video(runs / "x", tmp_path / "a.mp4", **words, **SMALL)
    frames, times, _ = decoded(made.path)
    box = (layout_for(640, 360, 4 / 3, "y") if words["path"] == "y" else LAYOUT).picture
    shown = frames[:, box.top : box.bottom, box.left : box.right].astype(np.float64)
    brighter = np.maximum(shown - np.median(shown, axis=0), 0)
    sums = open_sums(runs / "x")
    way, heard = way_of(sums, words["path"], words.get("region"), None)
    rows, columns = np.indices(shown.shape[1:])
    points = np.stack((columns, rows), axis=-1).reshape(-1, 2) + 0.5
    scale = np.array((box.width / 400, box.height / 300))
    checked = 0
    for frame in np.linspace(2, len(frames) - 3, 10).astype(int):
        (low,), (high,) = way.segments(np.array([times[frame] / made.seconds]))
        near = distances(low * scale, high * scale, points).reshape(rows.shape)
        inside = near < 1
        if inside.sum() < 20:
            continue  # what is on the picture of a turn's corner
        lit = brighter[frame]
        across, down = (points / scale).T.reshape(2, *rows.shape)
        if heard != sums.picture:
            inside &= (across > heard.x) & (across < heard.x + heard.width)
            inside &= (down > heard.y) & (down < heard.y + heard.height)
        assert lit[inside].mean() > 40, frame
        beyond = (across < heard.x - 4) | (across > heard.x + heard.width + 4)
        assert not (lit > 0.6 * lit.max())[beyond].any()  # no line where nothing is heard
        bright = lit > 0.6 * lit.max()
        assert near[bright].max() < 4, (frame, near[bright].max())  # a line, and what encoding blurs
        checked += 1
    assert checked >= 6


@pytest.mark.parametrize("name", ["radar", "radar in a region"])
def test_it_sounds_as_the_path_is_rendered(runs: Path, tmp_path: Path, name: str) -> None:
    made = video(runs / "x", tmp_path / "a.mp4", banks="4", **PATHS[name], **SMALL)
    audio = render(runs / "x", tmp_path / "a.wav", banks="4", **PATHS[name])
    assert made.seconds == audio.samples / 16000
    assert_sounds_like(made.path, tmp_path / "a.wav")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "a.wav"]


def test_what_is_not_heard_is_dark(runs: Path, tmp_path: Path) -> None:
    whole = video(runs / "x", tmp_path / "whole.mp4", path="radar", **SMALL)
    part = video(runs / "x", tmp_path / "part.mp4", **PATHS["radar in a region"], **SMALL)
    box = LAYOUT.picture
    bright, dark = (
        np.median(decoded(each.path)[0], axis=0)[box.top : box.bottom, box.left : box.right].astype(float)
        for each in (whole, part)
    )
    scale = box.width / 400
    heard = np.zeros(bright.shape, dtype=bool)
    heard[round(60 * scale) + 2 : round(210 * scale) - 2, round(100 * scale) + 2 : round(300 * scale) - 2] = (
        True
    )
    np.testing.assert_allclose(dark[heard].mean(), bright[heard].mean(), rtol=0.05)
    assert dark[: round(60 * scale) - 2].mean() < 0.6 * bright[: round(60 * scale) - 2].mean()


def test_what_cannot_be_shown_is_said(runs: Path, tmp_path: Path) -> None:
    def refused(error: type[Exception], words: str, run: str = "x", **more: Any) -> None:
        with pytest.raises(error, match=words) as caught:
            video(runs / run, tmp_path / "a.mp4", **more, **SMALL)
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    refused(OptionError, "--sound bank-4 is a file of the run", path="radar", sound="bank-4")
    refused(OptionError, "path", path="circle")
    refused(OptionError, "region", region="1000,0,50,50")
    refused(OptionError, "no bank 3", banks="3")
    refused(StoreError, "keeps no sums", run="no mix", path="radar")
