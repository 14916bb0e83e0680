"""The page as one file: in a real browser, with nothing beside it; and as a file of its run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from netsounds_stream import Run, check, share, sonify
from netsounds_stream.errors import OptionError, OutputError
from netsounds_stream.planning.options import options_from_words
from netsounds_stream.report.page import page_data_of
from netsounds_stream.report.single_file import embedded_sounds
from tests.helpers.browser import DESK, choose_filter, play_until, reach, readout, source, tab, time

pytestmark = pytest.mark.browser

WORDS: dict[str, Any] = {"duration": 4.0, "fft_size": 512, "sample_rate": 16000, "label": "a <b>"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, small_picture: Path, weights_file: Path) -> Run:
    out = tmp_path_factory.mktemp("single") / "run"
    words = {**WORDS, "weights": str(weights_file), "banks": (1, 4), "scheme": ("sum", "concat")}
    return sonify(small_picture, out, single_file=True, **words)


def test_it_plays_with_nothing_beside_it(browser: Any, tmp_path: Path, run: Run) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copyfile(run.folder / "share.html", alone / "a picture.html")
    with tab(browser, viewport=DESK) as opened:
        page = opened.open(alone / "a picture.html")
        assert page.locator("h1:visible").all_inner_texts() == ["a <b>"]
        page.wait_for_function("Math.abs(document.getElementById('audio').duration - 4) < 0.1")
        play_until(page, 0.3)
        page.wait_for_function(
            "Array.from(document.images).every((each) => each.complete && each.naturalWidth)"
        )
        mix = source(page)
        choose_filter(page, 4, 17)
        assert source(page) != mix and source(page).startswith("blob:")
        assert "filter 17" in readout(page)
        assert page.locator("#download").get_attribute("download") == "bank-4_filter-17_sketch.wav"
        assert "blob" not in page.locator("#sound-facts").inner_text()
        before = time(page)
        reach(page, before + 0.2)
        overlaid = page.locator("#overlay").evaluate("(each) => getComputedStyle(each).backgroundImage")
        assert overlaid.startswith('url("blob:')
        page.get_by_role("button", name="Back").click()
        page.get_by_role("radio", name="Mix", exact=True).check()
        page.get_by_role("button", name="Mute bank 1").click()
        page.wait_for_function("audio.muted && netsounds.mixer.inspect().deck.buffers.length === 2")
        page.locator("#picture").press("Home")
        page.locator("#picture").press("ArrowRight")
        page.locator("#now button").first.wait_for()
        assert page.locator("a[href^=activations], .files").count() == 0
        assert [each for each in opened.requests if not each.startswith(("blob:", "data:"))] == [page.url]
        assert not opened.problems


def test_it_is_a_file_of_the_run(run: Run) -> None:
    found = check(run.folder)
    found.require_whole()
    assert not found.unknown and "share.html" in run.record["files"]
    assert run.folder / "share.html" in run.files
    assert "share.html" in (run.folder / "index.html").read_text()
    assert (run.folder / "share.html").stat().st_size < 2e6
    size = sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file())
    assert size <= run.record["plan"]["final_disk_bytes"]


def test_of_a_finished_run(tmp_path: Path, small_picture: Path, weights_file: Path) -> None:
    """Without a mix it has the sums. In the run's folder it is one of its files, elsewhere it is not."""
    words = {**WORDS, "weights": str(weights_file), "banks": (4,), "mix": False}
    run = sonify(small_picture, tmp_path / "run", **words)
    assert share(run.folder, tmp_path / "elsewhere.html") == tmp_path / "elsewhere.html"
    data = page_data_of(tmp_path / "elsewhere.html")
    assert data is not None and [each["id"] for each in data["sounds"]] == ["4-sum"]
    assert not (run.folder / "share.html").exists()
    assert share(run.folder) == run.folder / "share.html"
    found = check(run.folder)
    found.require_whole()
    assert not found.unknown and found.files == check(share(run.folder).parent).files
    (run.folder / "report" / "picture.jpg").unlink()
    with pytest.raises(OutputError, match=r"picture\.jpg"):
        share(run.folder)


def test_no_page_to_share(tmp_path: Path, small_picture: Path, weights_file: Path) -> None:
    with pytest.raises(OutputError, match="no run with a page"):
        share(tmp_path)
    run = sonify(small_picture, tmp_path / "run", weights=str(weights_file), label="a", preset="features")
    with pytest.raises(OutputError, match="no run with a page"):
        share(run.folder)
    with pytest.raises(OptionError, match="single file holds the page"):
        options_from_words(single_file=True, report=False)
    with pytest.raises(OptionError, match="a page needs a sound"):
        options_from_words(scheme=(), mix=False)


@pytest.mark.parametrize(
    ("seconds", "ids", "kbps"),
    [
        (10, ["mix", "1-part", "2-part"], 112),
        (120, ["mix", "1-part", "2-part"], 93.2),
        (200, ["mix"], 112),
        (600, ["mix"], 55.9),
        (7200, ["mix"], 32),
    ],
)
def test_long_sounds_keep_it_small(seconds: float, ids: list[str], kbps: float) -> None:
    """4 MiB for all sounds, as long as that is 32 kbit/s or more; parts only where all get 64."""
    schemes = [("mix", "mix"), ("1-part", "part"), ("1-sum", "sum"), ("2-part", "part"), ("2-sum", "sum")]
    sounds = [{"id": name, "scheme": scheme, "duration_s": seconds} for name, scheme in schemes]
    held, rate = embedded_sounds(sounds)
    assert [each["id"] for each in held] == ids
    assert rate == pytest.approx(kbps, abs=0.1)
