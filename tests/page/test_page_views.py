"""The report page in a real browser: what it shows and says, to whom, on which screen."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers.browser import DESK, PHONE, Open, choose_filter, paused, play_until, readout, source, tab
from tests.helpers.report_sample import make_run, render

pytestmark = pytest.mark.browser


def test_with_sums_alone_a_filter_is_shown_only(opened: Open) -> None:
    page = opened(schemes=["sum"], parts=False, firing=False)
    choose_filter(page, 2, 7)
    assert source(page) == "activations-2_sum.wav"
    assert paused(page)
    assert page.get_by_role("option", name="filter 7, −10.5 dB", exact=True).count() == 1
    assert "alone" not in page.locator("#sheet-words").inner_text()
    assert page.locator("#overlay").is_visible()


def grey(page: Any) -> float:
    """The mean grey of the middle of the picture, as the screen shows it."""
    shot = np.asarray(Image.open(io.BytesIO(page.locator("#picture").screenshot())).convert("L"), float)
    rows, columns = (np.arange(size // 3, 2 * size // 3) for size in shot.shape)
    return float(np.median(shot[np.ix_(rows, columns)]))


def test_the_chosen_filter_lies_over_the_picture(opened: Open) -> None:
    page = opened(schemes=["sum"], firing=False)
    choose_filter(page, 2, 13)
    page.get_by_label("Opacity").fill("1")
    shade = np.linspace(40, 250, 20)[13]
    page.wait_for_function("document.getElementById('overlay').style.opacity === '1'")
    page.evaluate("""() => new Promise((done) => {
      const sprite = new Image();
      sprite.onload = () => requestAnimationFrame(() => requestAnimationFrame(done));
      sprite.src = "pictures/bank-2_mean.jpg";
    })""")
    assert grey(page) == pytest.approx(shade, abs=3)
    page.get_by_label("Max").check()
    assert "bank-2_max.jpg" in page.evaluate("document.getElementById('overlay').style.backgroundImage")
    page.get_by_role("button", name="Plain picture").click()
    assert not page.locator("#overlay").is_visible()


def test_a_prediction_that_looks_broken_is_folded_away_with_its_reason(opened: Open) -> None:
    page = opened()
    assert page.get_by_text("mixing bowl").is_visible()
    assert page.get_by_text("honeycomb").is_hidden()
    page.get_by_text("Prediction (average over the full picture)").click()
    assert page.get_by_text("honeycomb").is_visible()
    assert page.get_by_text("the network sees patches").is_visible()


def test_hovering_says_time_place_filter_and_frequency(opened: Open) -> None:
    page = opened(firing=False)
    picture = page.locator("#picture").bounding_box()
    middle = {"x": picture["width"] / 2 + 1, "y": picture["height"] / 4 + 1}
    page.locator("#picture").hover(position=middle)
    high = 4000 * 0.01 ** (middle["y"] / picture["height"])  # log: from 4000 to 40
    assert readout(page) == f"4.01 s · {high / 1000:.3g} kHz · column 200, row 75"
    choose_filter(page, 1, 2)
    page.locator("#play").click()
    page.locator("#play").click()
    choose_filter(page, 1, 2)  # again, now that it stands still: a slow machine has played on to the next one
    page.locator("#picture").hover(position=middle)
    assert readout(page).endswith("column 200, row 75 · filter 2, −3 dB")
    page.get_by_role("radio", name="Mix", exact=True).check()
    spectrogram = page.locator("#spectrogram").bounding_box()
    page.locator("#spectrogram").hover(
        position={"x": spectrogram["width"] / 2 + 1, "y": spectrogram["height"] / 2}
    )
    assert readout(page) == "4.01 s · 400 Hz · column 200"  # log: the middle of 40 and 4000
    page.mouse.move(5, 5)
    assert readout(page).startswith("0 s of 8 s") or " of 8 s, column" in readout(page)


def test_hovering_where_time_runs_down(opened: Open) -> None:
    page = opened(time_axis="y")
    picture = page.locator("#picture").bounding_box()
    page.locator("#picture").hover(position={"x": picture["width"] / 4 + 1, "y": picture["height"] / 2 + 1})
    right = 40 * 100 ** (1 / 4 + 1 / picture["width"])  # the right is high
    assert readout(page) == f"4.01 s · {right:.0f} Hz · column 75, row 200"
    box = page.locator("#spectrogram").bounding_box()
    page.locator("#spectrogram").hover(position={"x": box["width"] / 2, "y": box["height"] / 4 + 1})
    assert readout(page) == "2.01 s · 400 Hz · row 100"


@pytest.mark.parametrize(
    ("scale", "low", "high", "expected"),
    [("linear", 0, 4000, "3 kHz"), ("log", 100, 1600, "800 Hz"), ("mel", 0, 4000, "2.22 kHz")],
)
def test_scales_of_frequency(opened: Open, scale: str, low: float, high: float, expected: str) -> None:
    def change(variables: dict[str, Any]) -> None:
        variables["data"]["sounds"][0]["spectrogram"] |= {"scale": scale, "low_hz": low, "high_hz": high}

    page = opened(change)
    box = page.locator("#spectrogram").bounding_box()
    page.locator("#spectrogram").hover(position={"x": 20, "y": box["height"] / 4})
    assert f" · {expected} · " in readout(page)
    labels = page.locator("#hertz-ruler span").all_inner_texts()
    assert labels[0].endswith(" Hz")
    assert len(labels) >= 3


HOSTILE = "</script><script>alert(1)</script> \"bowl\" 'n' <img src=x onerror=alert(2)> & {{ 7 * 7 }} ☃"


def test_text_of_strangers_is_text(opened: Open) -> None:
    def change(variables: dict[str, Any]) -> None:
        variables["notes"] = [HOSTILE]
        variables["command"] = HOSTILE
        variables["facts"].append({"name": HOSTILE, "value": HOSTILE})
        variables["predictions"][0]["guesses"][0]["category"] = HOSTILE
        variables["files"].append({"name": HOSTILE, "href": "x%22%3E.wav", "size": "1 B", "what": HOSTILE})
        data = variables["data"]
        data["picture"]["name"] = HOSTILE
        for sound in data["sounds"]:
            sound |= {"label": HOSTILE, "note": HOSTILE, "about": HOSTILE}
        for bank in data["banks"]:
            bank["layer"] = HOSTILE

    page = opened(change, title=HOSTILE)
    assert page.title() == f"{HOSTILE} · netsounds-stream"
    assert page.locator(".head h1").inner_text() == HOSTILE
    assert page.locator("#command").inner_text() == HOSTILE
    assert page.locator("#picture img").get_attribute("alt") == HOSTILE
    choose_filter(page, 1, 2)
    assert page.locator("#sound-name").inner_text() == HOSTILE
    assert page.locator("#sound-note").inner_text() == HOSTILE
    assert page.locator("#choice-words").inner_text() == HOSTILE
    assert page.locator(".about").inner_text().count(HOSTILE) >= 7
    assert page.locator("script").count() == 11  # the page's own ten, and the bank's
    assert page.locator("img").count() == 3


LONG = "a" * 90 + "_" + "b" * 90


def test_nothing_scrolls_sideways_on_a_phone(opened: Open) -> None:
    def change(variables: dict[str, Any]) -> None:
        variables["command"] = f"netsounds-stream sonify {LONG}.jpg"
        variables["files"].append({"name": LONG, "href": LONG, "size": "1023 MiB", "what": LONG})
        variables["facts"].append({"name": "Weights", "value": LONG})
        variables["notes"] = [LONG]
        variables["data"]["picture"]["name"] = LONG
        variables["data"]["sounds"][0] |= {"file": LONG, "note": LONG}

    page = opened(change, {"viewport": PHONE, "is_mobile": True, "has_touch": True}, title=LONG)
    widths = "[document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth, outerWidth]"
    assert page.evaluate(widths) == [360] * 4
    page.get_by_label("Bank 2", exact=True).check()
    assert page.evaluate(widths) == [360] * 4


SHIFTS = """
window.shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_nothing_moves_about(opened: Open, viewport: dict[str, int]) -> None:
    page = opened(options={"viewport": viewport}, script=SHIFTS)
    play_until(page, 0.5)
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    # `hadRecentInput` is counted, too: playing moves nothing.
    assert page.evaluate("window.shift") < 0.002
    # From a disk, pictures come before the first frame is drawn. Elsewhere the sizes given keep room.
    for each in page.locator("img").all():
        width, height = (int(each.get_attribute(name)) for name in ("width", "height"))
        assert width / height == pytest.approx(
            each.evaluate("each => each.naturalWidth / each.naturalHeight")
        )


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(opened: Open, viewport: dict[str, int], scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    axis = "x" if scheme == "light" else "y"  # both layouts, at no more time
    page = opened(options={"viewport": viewport, "color_scheme": scheme}, time_axis=axis)
    loop = page.get_by_role("button", name="Loop")
    for act in (lambda: None, lambda: (choose_filter(page, 2, 5), loop.click())):
        act()
        found = axe.run(page, options={"preload": False})  # what it would fetch, a file may not
        assert found.violations_count == 0, found.generate_report()
    unnamed = page.evaluate("""() => [...document.querySelectorAll("button, input, select, [role]")].filter(
      (each) => each.checkVisibility({ visibilityProperty: true })
      && !each.ariaLabel && !each.textContent.trim()
      && !(each.labels && each.labels[0].textContent.trim())
      && !each.hasAttribute("aria-labelledby")).map((each) => each.outerHTML)""")
    assert unnamed == []


def test_light_and_dark(opened: Open) -> None:
    page = opened(options={"color_scheme": "light"})
    colours = (
        "[getComputedStyle(document.documentElement).backgroundColor, getComputedStyle(document.body).color]"
    )
    light = page.evaluate(colours)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(colours)
    brightness = [sum(map(int, each[4:-1].split(","))) for each in (*light, *dark)]
    assert brightness[0] > 650 > 200 > brightness[1]
    assert brightness[2] < 200 < 600 < brightness[3]


KEEP_SCROLLS = """
window.scrolls = [];
const scroll = Element.prototype.scrollTo;
Element.prototype.scrollTo = function (how) {
  window.scrolls.push(how.behavior);
  return scroll.call(this, how);
};
"""


@pytest.mark.parametrize(("motion", "behavior"), [("reduce", "auto"), ("no-preference", "smooth")])
def test_less_motion_where_that_is_wished(opened: Open, motion: str, behavior: str) -> None:
    small = {"width": 1440, "height": 400}
    page = opened(options={"reduced_motion": motion, "viewport": small}, script=KEEP_SCROLLS)
    page.add_style_tag(
        content=".sheet { height: 5rem !important; min-height: 0 !important; flex: none !important; }"
    )
    choose_filter(page, 2, 0)
    page.evaluate("document.querySelector('audio').pause()")  # or it plays into the next filters by itself
    page.locator("#picture").hover()
    for _ in range(19):
        page.get_by_role("button", name="Next filter").click()
    assert set(page.evaluate("window.scrolls")) == {behavior}
    if motion == "reduce":
        assert page.locator("[data-filter='19']").is_visible()
        moving = page.evaluate("""() => [...document.querySelectorAll("*")].filter((each) => {
          const style = getComputedStyle(each);
          const still = style.transitionDuration === "0s" && style.animationName === "none";
          return each.checkVisibility() && !still;
        }).map((each) => each.outerHTML)""")
        assert moving == []


def said_of_the_sound(page: Any, words: str) -> None:
    page.wait_for_function(
        "words => document.getElementById('sound-note').textContent.includes(words)", arg=words
    )
    assert page.locator("#sound-note").is_visible()


def test_what_a_browser_does_not_play_is_said(opened: Open, run_folder: Path) -> None:
    page = opened(lambda _: (run_folder / "mix.wav").write_bytes(b"not a sound"))
    said_of_the_sound(page, "cannot play mix.wav")
    page.get_by_label("Bank 1", exact=True).check()
    page.locator("#sound-note").wait_for(state="hidden")  # that is the mix's


def test_a_sound_that_is_missing_is_told_apart(browser: Any, run_folder: Path) -> None:
    page = render(run_folder, make_run(run_folder))
    (run_folder / "mix.wav").unlink()
    with tab(browser) as found:
        said_of_the_sound(found.open(page), "mix.wav is missing")


def test_the_page_mailed_alone_says_what_it_lacks(browser: Any, run_folder: Path, tmp_path: Path) -> None:
    page = render(run_folder, make_run(run_folder))
    alone = tmp_path / "index.html"
    alone.write_bytes(page.read_bytes())
    for path, lacks in ((alone, True), (page, False)):
        with tab(browser) as found:
            opened = found.open(path)
            shown = opened.locator("body").inner_text()
            assert ("the folder report is not beside it" in shown) == lacks
            assert (opened.get_by_role("button", name="Play", exact=True).count() > 0) != lacks
            assert opened.get_by_text("mix.wav: all banks over one another").is_visible() == lacks


def test_of_use_without_script(opened: Open) -> None:
    page = opened(options={"java_script_enabled": False})
    assert page.locator("audio[controls]").is_visible()
    assert page.locator("#play").is_hidden()
    assert page.locator("#sources").is_hidden()
    assert page.locator(".unheard").first.is_hidden()
    widths = [page.locator(each).bounding_box()["width"] for each in ("#picture", "#spectrogram")]
    assert widths[0] == pytest.approx(widths[1], abs=1)
    assert page.locator("#picture img").is_visible()
    assert page.get_by_text("566 MiB").is_visible()
    assert page.get_by_role("link", name="run.json").get_attribute("href") == "run.json"


def test_the_command_can_be_copied(opened: Open) -> None:
    page = opened(options={"permissions": ["clipboard-read", "clipboard-write"]})
    page.get_by_role("button", name="Copy").click()
    page.wait_for_function("document.getElementById('copy').textContent === 'Copied'")
    command = page.locator("#command").inner_text()
    assert page.evaluate("navigator.clipboard.readText()") == command
