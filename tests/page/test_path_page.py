"""The page of a sound along a path: its line is where the path is, at any time of the sound."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from netsounds_stream import path_page, render, sonify
from netsounds_stream.errors import OptionError, OutputError, StoreError
from netsounds_stream.rendering.runs import open_sums, way_of
from tests.helpers.browser import DESK, PHONE, paused, reach, tab, time
from tests.helpers.forks import forked

pytestmark = pytest.mark.slow

PATHS: dict[str, dict[str, Any]] = {
    "radar": {"path": "radar"},
    "a spiral in a region": {"path": "spiral:2", "region": "20,10,60,50"},
    "a line": {"path": "line:5,50,80,10"},
    "down": {"path": "y"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, small_picture: Path, weights_file: Path) -> Path:
    out = tmp_path_factory.mktemp("path page") / "run"
    words: dict[str, Any] = {"weights": str(weights_file), "banks": (4,), "scheme": "none", "label": "a <b>"}
    sonify(small_picture, out, duration=2.0, fft_size=512, **words)
    return out


@pytest.mark.parametrize("name", PATHS)
def test_the_line_is_where_the_path_is(browser: Any, run: Path, tmp_path: Path, name: str) -> None:
    words = PATHS[name]
    sound = tmp_path / "a sound.wav"
    render(run, sound, **words)
    (tmp_path / "pages").mkdir()
    out = path_page(run, sound, tmp_path / "pages" / "a page.html", **words)
    way, heard = way_of(open_sums(run), words["path"], words.get("region"), None)
    seconds = soundfile.info(str(sound)).duration
    with tab(browser, viewport=PHONE if "region" in words else DESK) as opened:
        page = opened.open(out)
        assert page.locator("h1").inner_text() == "a <b>"
        page.wait_for_function("document.getElementById('audio').readyState >= 1")
        for share in (0.0, 0.13, 0.5, 0.77, 0.999):
            page.evaluate(
                """time => new Promise((done) => {
                  audio.addEventListener("seeked", () => requestAnimationFrame(done), {once: true});
                  audio.currentTime = time;
                })""",
                share * seconds,
            )
            line = page.locator("#line")
            found = [float(line.get_attribute(end)) for end in ("x1", "y1", "x2", "y2")]
            (low,), (high,) = way.segments(np.array([time(page) / seconds]))
            np.testing.assert_allclose(found, [*low, *high], atol=0.2)  # of a pixel, on straight ways between
        assert (page.locator("#unheard").count() == 1) == ("region" in words)
        assert heard.width == (60 if "region" in words else open_sums(run).plan.width)
        assert not opened.problems


def test_space_and_a_click_play_and_pause(browser: Any, run: Path, tmp_path: Path) -> None:
    render(run, tmp_path / "a.wav", path="radar")
    out = path_page(run, tmp_path / "a.wav", tmp_path / "a.html", path="radar")
    with tab(browser, viewport=DESK) as opened:
        page = opened.open(out)
        page.wait_for_function("document.getElementById('audio').readyState >= 1")
        before = page.locator("#line").get_attribute("x2")
        page.keyboard.press("Space")
        reach(page, 0.3)
        page.locator("#picture").click()
        page.wait_for_function("audio.paused")
        assert page.locator("#line").get_attribute("x2") != before
        page.keyboard.press("Space")
        page.wait_for_function("!audio.paused")
        assert not paused(page) and not opened.problems


@pytest.mark.process
def test_the_command_writes_both(run: Path, tmp_path: Path) -> None:
    words = ("render", run, "a.flac", "--path", "radar", "--page", "a.html")
    done = forked(*words, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "a.html"
    assert 'src="a.flac"' in (tmp_path / "a.html").read_text()
    again = forked(*words, cwd=tmp_path)
    assert again.returncode == 1 and "a.html exists already; use --overwrite" in again.stderr
    assert forked(*words, "--overwrite", cwd=tmp_path).returncode == 0


def test_what_cannot_be_written_is_said(run: Path, tmp_path: Path, weights_file: Path) -> None:
    render(run, tmp_path / "a.wav", path="radar")
    bare = tmp_path / "bare"
    shutil.copytree(run, bare)
    shutil.rmtree(bare / "report")
    for error, words, source, sound, name in (
        (OptionError, "a page cannot be 'a.txt'", run, "a.wav", "a.txt"),
        (OutputError, "there is no folder", run, "a.wav", "none/a.html"),
        (StoreError, "cannot be read", run, "none.wav", "a.html"),
        (StoreError, "has no picture to show", bare, "a.wav", "a.html"),
    ):
        with pytest.raises(error, match=words):
            path_page(source, tmp_path / sound, tmp_path / name, path="radar")
        assert not (tmp_path / name).exists()
