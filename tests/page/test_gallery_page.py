"""The gallery in a real browser: runs side by side, one sound at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.helpers.browser import tab
from tests.helpers.report_sample import RATE_HZ, environment, tone

pytestmark = pytest.mark.browser

HOSTILE = "</h2><script>alert(1)</script> \"bowl\" & 'bottle'"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    runs = []
    for number, title in enumerate(("a bowl", HOSTILE, "no mix", "w" * 120)):
        Image.fromarray(np.full((30, 40, 3), 60 * number, np.uint8)).save(folder / f"{number}.webp")
        soundfile.write(folder / f"{number}.wav", tone(20, 200 + 50 * number), RATE_HZ)
        runs.append(
            {
                "title": title,
                "href": f"run%20{number}/index.html",
                "thumbnail": f"{number}.webp",
                "width": 40,
                "height": 30,
                "play": None if title == "no mix" else f"{number}.wav",
                "type": "audio/wav",
                "seconds": 20.0,
                "facts": "4032 × 3024, 4 banks",
            }
        )
    failed = [{"name": HOSTILE, "reason": HOSTILE}]
    page = folder / "index.html"
    words = (
        environment()
        .get_template("gallery.html")
        .render(title="Bowls", version="0.1.0", runs=runs, failed=failed)
    )
    page.write_text(words, encoding="utf-8")
    return page


def test_one_sound_at_a_time(browser: Any, gallery: Path) -> None:
    with tab(browser) as found:
        page = found.open(gallery)
        assert page.locator("audio").count() == 3
        assert page.evaluate("[...document.querySelectorAll('audio')].map((each) => each.readyState)") == [
            0,
            0,
            0,
        ]
        for number in (0, 1):
            page.evaluate(f"document.querySelectorAll('audio')[{number}].play()")
            page.wait_for_function(f"document.querySelectorAll('audio')[{number}].currentTime > 0.1")
        stopped = page.evaluate("[...document.querySelectorAll('audio')].map((each) => each.paused)")
        assert stopped == [True, False, True]
        assert found.problems == []
        assert all(each.startswith(("file:", "data:")) for each in found.requests)


def test_a_player_says_how_long_and_where_it_is(browser: Any, gallery: Path) -> None:
    with tab(browser) as found:
        page = found.open(gallery)
        assert page.locator(".time").all_inner_texts() == ["20.0 s"] * 3
        assert page.locator("audio[controls]").count() == 0
        page.get_by_role("slider", name="Position in the sound of a bowl").fill("15")
        page.get_by_role("button", name="Play a bowl").click()
        page.wait_for_function("document.querySelector('audio').currentTime > 15.1")
        assert page.locator(".time").first.inner_text().endswith(" of 20.0 s")
        page.get_by_role("button", name="Play a bowl").click()
        assert page.evaluate("document.querySelector('audio').paused")
        assert found.problems == []


def test_no_picture_is_cut_off_and_the_failed_are_listed(browser: Any, gallery: Path) -> None:
    with tab(browser, java_script_enabled=False) as found:
        page = found.open(gallery)
        assert page.locator("audio[controls]").count() == 3
        fits = page.locator("img").evaluate_all("all => all.map((each) => getComputedStyle(each).objectFit)")
        assert fits == ["contain"] * 4
        assert page.locator("h1").inner_text() == "Bowls 4 pictures, 1 failed"
        assert page.locator(".failed dd").inner_text() == HOSTILE


def test_each_run_has_its_words_and_its_page(browser: Any, gallery: Path) -> None:
    with tab(browser) as found:
        page = found.open(gallery)
        link = page.get_by_role("link", name=HOSTILE)
        assert link.get_attribute("href") == "run%201/index.html"
        assert page.locator("h2").nth(1).inner_text().startswith(HOSTILE)
        assert page.locator("script").count() == 1
        assert found.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    browser: Any, gallery: Path, width: int, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with tab(browser, viewport={"width": width, "height": 740}, color_scheme=scheme) as found:
        page = found.open(gallery)
        report = axe.run(page, options={"preload": False})
        assert report.violations_count == 0, report.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") == width
