"""The report page in a real browser, from the file system: what plays, what follows, what is chosen and how."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from .browser import Tab, bytes_read, started, tab
from .report_sample import FILTER_SECONDS, FULL, MIX_SECONDS, make_run, render

DESK = {"width": 1440, "height": 900}
PHONE = {"width": 360, "height": 740}
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started() as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A name of the kind that people have: with what an address cannot hold as it is."""
    return tmp_path / "a bowl #1, 100 %"


@pytest.fixture
def opened(browser: Any, folder: Path) -> Iterator[Open]:
    """Makes a run, opens its page, and afterwards nothing may have gone wrong in it."""
    tabs: list[Any] = []

    def open_run(
        change: Callable[[dict[str, Any]], None] | None = None,
        options: dict[str, Any] | None = None,
        script: str = "",
        **run: Any,
    ) -> Any:
        variables = make_run(folder, **run)
        if change:
            change(variables)
        manager = tab(browser, **{"viewport": DESK} | (options or {}))
        found: Tab = manager.__enter__()
        tabs.append((manager, found))
        if script:
            found.page.add_init_script(script)
        return found.open(render(folder, variables))

    yield open_run
    for manager, found in tabs:
        problems = list(found.problems)
        manager.__exit__(None, None, None)
        assert problems == []


def time(page: Any) -> float:
    return page.evaluate("document.getElementById('audio').currentTime")


def paused(page: Any) -> bool:
    return page.evaluate("document.getElementById('audio').paused")


def play_until(page: Any, seconds: float) -> None:
    page.get_by_role("button", name="Play", exact=True).click()
    reach(page, seconds)


def reach(page: Any, seconds: float) -> None:
    page.wait_for_function("t => document.getElementById('audio').currentTime >= t", arg=seconds)


def source(page: Any) -> str:
    return page.evaluate("document.getElementById('audio').getAttribute('src')")


def readout(page: Any) -> str:
    return page.locator("#readout").inner_text()


def chosen(page: Any) -> list[str]:
    """The filters that are marked in the contact sheet."""
    tiles = page.locator("[role=option][aria-selected=true]")
    return [tile.get_attribute("data-filter") for tile in tiles.all()]


def test_it_opens_with_nothing_from_elsewhere(browser: Any, folder: Path) -> None:
    page = render_at(folder)
    with tab(browser, viewport=DESK) as found:
        found.open(page)
        found.page.wait_for_function("document.getElementById('audio').readyState >= 1")
        assert found.problems == []
        here = folder.resolve().as_uri()
        assert len(found.requests) > 6
        assert [each for each in found.requests if not each.startswith((here, "data:"))] == []
        assert found.page.title() == "a bowl · netsounds-stream"
        assert source(found.page) == "mix.wav"


def render_at(folder: Path, **run: Any) -> Path:
    return render(folder, make_run(folder, **run))


def test_a_missing_file_would_be_noticed(browser: Any, folder: Path) -> None:
    page = render_at(folder)
    (folder / "report/picture.webp").unlink()
    with tab(browser) as found:
        found.open(page)
        assert any("picture.webp" in each for each in found.problems)


def test_it_plays_and_pauses(opened: Open) -> None:
    page = opened()
    assert paused(page)
    play_until(page, 0.3)
    page.get_by_role("button", name="Pause", exact=True).click()
    assert paused(page)
    page.locator("#picture").press(" ")
    assert not paused(page)
    page.locator("#picture").press(" ")
    assert paused(page)


COUNT_FRAMES = """
window.frames_asked = 0;
const original = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (act) => { window.frames_asked += 1; return original(act); };
"""


def test_frames_are_asked_for_only_while_it_plays(opened: Open) -> None:
    page = opened(script=COUNT_FRAMES)
    two_frames = "new Promise(done => setTimeout(() => setTimeout(done, 50), 50))"
    page.evaluate(two_frames)
    assert page.evaluate("window.frames_asked") == 0
    play_until(page, 0.3)
    page.get_by_role("button", name="Pause", exact=True).click()
    page.evaluate(two_frames)
    asked = page.evaluate("window.frames_asked")
    assert asked > 3
    page.evaluate(two_frames)
    assert page.evaluate("window.frames_asked") == asked


# In each of 20 frames: the audio's time, the time that each view's playhead stands at, the time between frames. A
# line's place is read off the screen: the share of its view that lies before it.
FOLLOW = """
([axis, begin, end]) => new Promise((done) => {
  const audio = document.getElementById("audio");
  const seen = [];
  let last = performance.now();
  const share = (id, along) => {
    const view = document.getElementById(id);
    const [box, line] = [view, view.querySelector(".playhead")].map((each) => each.getBoundingClientRect());
    return along === "x" ? (line.left + 1 - box.left) / box.width : (line.top + 1 - box.top) / box.height;
  };
  const look = (now) => {
    const picture = (share("picture", axis) - begin) / (end - begin);
    const time = audio.currentTime;
    seen.push({ time, lines: [picture, share("wave", "x"), share("spectrogram", "x")], frame: (now - last) / 1000 });
    last = now;
    if (seen.length < 20) requestAnimationFrame(look); else done(seen);
  };
  requestAnimationFrame(look);
})
"""


@pytest.mark.parametrize("time_axis", ["x", "y"])
def test_the_playheads_follow_the_sound_within_a_frame(opened: Open, time_axis: str) -> None:
    def cut_short(variables: dict[str, Any]) -> None:
        variables["data"]["sounds"][0] |= {"start_px": 40, "end_px": 300}

    page = opened(cut_short, time_axis=time_axis)
    play_until(page, 0.2)
    seen = page.evaluate(FOLLOW, [time_axis, 40 / FULL[0], 300 / FULL[0]])
    assert seen[-1]["time"] > seen[0]["time"]
    pixel = MIX_SECONDS / 300  # of the picture as shown: lines stand on the screen's grid
    for each in seen:
        for line in each["lines"]:
            assert abs(line * MIX_SECONDS - each["time"]) <= max(each["frame"], 1 / 60) + pixel


@pytest.mark.parametrize("time_axis", ["x", "y"])
def test_a_click_and_a_drag_on_the_picture_seek(opened: Open, time_axis: str) -> None:
    page = opened(time_axis=time_axis)
    box = page.locator("#picture").bounding_box()

    def at(share: float) -> tuple[float, float]:
        along, cross = (share, 0.4) if time_axis == "x" else (0.4, share)
        return box["x"] + along * box["width"], box["y"] + cross * box["height"]

    near = 2 * MIX_SECONDS / min(box["width"], box["height"])
    page.mouse.click(*at(0.25))
    assert time(page) == pytest.approx(0.25 * MIX_SECONDS, abs=near)
    assert page.evaluate("document.activeElement.id") == "picture"
    page.mouse.move(*at(0.5))
    assert time(page) == pytest.approx(0.25 * MIX_SECONDS, abs=near)
    page.mouse.down()
    page.mouse.move(*at(0.6), steps=4)
    assert time(page) == pytest.approx(0.6 * MIX_SECONDS, abs=near)
    page.mouse.move(*at(0.75), steps=4)
    page.mouse.up()
    assert time(page) == pytest.approx(0.75 * MIX_SECONDS, abs=near)
    page.mouse.move(*at(0.1))
    assert time(page) == pytest.approx(0.75 * MIX_SECONDS, abs=near)


def test_the_picture_is_a_slider_for_keys_and_readers(opened: Open) -> None:
    page = opened()
    slider = page.get_by_role("slider", name="Place in the sound")
    slider.focus()
    slider.press("ArrowRight")
    assert time(page) == 5
    assert slider.get_attribute("aria-valuetext") == "5 s of 8 s, column 250"
    assert slider.get_attribute("aria-valuenow") == "5.0"
    assert slider.get_attribute("aria-valuemax") == "8.0"
    slider.press("Shift+ArrowLeft")
    assert time(page) == pytest.approx(4.9, abs=0.001)
    slider.press("ArrowDown")
    assert time(page) == 0
    slider.press("End")
    assert time(page) == MIX_SECONDS
    slider.press("PageDown")
    assert time(page) == pytest.approx(0.9 * MIX_SECONDS, abs=0.001)
    slider.press("Home")
    assert time(page) == 0


def test_bank_scheme_and_filter_by_mouse(opened: Open) -> None:
    page = opened()
    page.locator("#picture").press("ArrowRight")
    page.get_by_label("Bank 2", exact=True).check()
    assert source(page) == "activations-2_sum.wav"
    assert time(page) == pytest.approx(5 / 8 * MIX_SECONDS / 2, abs=0.01)  # the place in the picture is kept
    assert page.locator("[role=option]").count() == 20
    page.get_by_role("radio", name="Concat").check()
    assert source(page) == "activations-2_concat.wav"
    page.get_by_role("option", name="filter 17, −25.5 dB").click()
    assert chosen(page) == ["17"]
    assert "filter 17, −25.5 dB" in readout(page)
    reach(page, 17 * FILTER_SECONDS)
    assert not paused(page)
    page.get_by_role("radio", name="Mix").check()
    assert source(page) == "mix.wav"
    assert "filter" not in readout(page)


def test_a_filter_chosen_while_the_sum_plays_sounds_alone(opened: Open) -> None:
    page = opened()
    page.get_by_role("button", name="Bank 1").click()
    assert source(page) == "activations-1_sum.wav"
    page.get_by_role("option", name="filter 3, ").click()
    assert source(page) == "activations-1_concat.wav"
    assert page.get_by_role("radio", name="Concat").is_checked()
    assert chosen(page) == ["3"]


def test_bank_scheme_and_filter_by_keyboard(opened: Open) -> None:
    page = opened()
    page.get_by_role("radio", name="Mix").focus()
    page.keyboard.press("ArrowRight")
    assert source(page) == "activations-1_sum.wav"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert source(page) == "activations-1_concat.wav"
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('role')") == "option":
            break
    focused = "document.activeElement.getAttribute('data-filter')"
    assert page.evaluate(focused) == "0"
    columns = page.evaluate("getComputedStyle(sheet).gridTemplateColumns.split(' ').length")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == str(1 + columns)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("End")
    assert page.evaluate(focused) == "11"
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == "11"
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert chosen(page) == ["0"]
    page.keyboard.press("Enter")
    assert chosen(page) == ["2"]
    assert page.locator("[role=option][tabindex='0']").count() == 1
    reach(page, 2 * FILTER_SECONDS)


def choose_filter(page: Any, bank: int, filter_name: int) -> None:
    page.get_by_label(f"Bank {bank}", exact=True).check()
    page.locator(f"[data-filter='{filter_name}']").click()


def test_the_selection_follows_the_sound(opened: Open) -> None:
    page = opened()
    choose_filter(page, 1, 4)
    page.wait_for_function("document.querySelector('[aria-selected=true]').dataset.filter === '6'")
    assert time(page) >= 6 * FILTER_SECONDS - 0.002


def test_repeat_stays_with_the_filter(opened: Open) -> None:
    page = opened()
    page.get_by_role("button", name="Repeat").click()
    page.evaluate("""() => {
      const audio = document.getElementById("audio");
      window.times = [];
      audio.addEventListener("seeked", () => window.times.push(audio.currentTime));
    }""")
    choose_filter(page, 1, 4)
    page.wait_for_function("window.times.length >= 3")
    for each in page.evaluate("window.times"):
        assert 4 * FILTER_SECONDS <= each < 4.5 * FILTER_SECONDS
    assert chosen(page) == ["4"]


@pytest.mark.parametrize("run", [{"a_file_each": True}, {"schemes": ["filters"]}])
def test_a_file_a_filter(opened: Open, run: dict[str, Any]) -> None:
    page = opened(**run)
    choose_filter(page, 1, 3)
    assert source(page) == "activations-1_filter-3.wav"
    page.wait_for_function("document.querySelector('[aria-selected=true]').dataset.filter === '5'")
    assert source(page) == "activations-1_filter-5.wav"
    page.get_by_role("button", name="Previous filter").click()
    assert chosen(page) == ["4"]
    noted = "is RF64: its filters play one by one."
    assert (noted in page.locator(".playing").inner_text()) == ("a_file_each" in run)


def test_the_last_filter_of_all_ends(opened: Open) -> None:
    page = opened()
    choose_filter(page, 1, 11)
    page.wait_for_function("document.getElementById('audio').ended")
    page.wait_for_selector("button[aria-label=Play]")
    assert chosen(page) == ["11"]
    assert page.get_by_role("button", name="Next filter").is_disabled()


def test_without_a_mix(opened: Open) -> None:
    page = opened(mix=False, schemes=["concat"])
    assert source(page) == "activations-1_concat.wav"
    assert page.get_by_role("radio", name="Mix").count() == 0
    assert page.get_by_label("Bank 1", exact=True).is_checked()
    assert chosen(page) == ["0"]
    play_until(page, 0.1)


def test_with_sums_alone_a_filter_is_shown_only(opened: Open) -> None:
    page = opened(schemes=["sum"])
    choose_filter(page, 2, 7)
    assert source(page) == "activations-2_sum.wav"
    assert paused(page)
    assert page.get_by_role("option", name="filter 7, −10.5 dB, no sound of its own").count() == 1
    assert page.locator("#overlay").is_visible()


def grey(page: Any) -> float:
    """The mean grey of the middle of the picture, as the screen shows it."""
    shot = np.asarray(Image.open(io.BytesIO(page.locator("#picture").screenshot())).convert("L"), float)
    rows, columns = (np.arange(size // 3, 2 * size // 3) for size in shot.shape)
    return float(np.median(shot[np.ix_(rows, columns)]))


def test_the_chosen_filter_lies_over_the_picture(opened: Open) -> None:
    page = opened(schemes=["sum"])
    choose_filter(page, 2, 13)
    page.get_by_label("Opacity").fill("1")
    shade = np.linspace(40, 250, 20)[13]
    page.wait_for_function("document.getElementById('overlay').style.opacity === '1'")
    page.evaluate("""() => new Promise((done) => {
      const sprite = new Image();
      sprite.onload = () => requestAnimationFrame(() => requestAnimationFrame(done));
      sprite.src = "pictures/bank-2_mean.webp";
    })""")
    assert grey(page) == pytest.approx(shade, abs=3)
    page.get_by_label("Max").check()
    assert "bank-2_max.webp" in page.evaluate("document.getElementById('overlay').style.backgroundImage")
    page.get_by_role("button", name="Plain picture").click()
    assert not page.locator("#overlay").is_visible()


def test_hovering_says_time_place_filter_and_frequency(opened: Open) -> None:
    page = opened()
    picture = page.locator("#picture").bounding_box()
    middle = {"x": picture["width"] / 2 + 1, "y": picture["height"] / 4 + 1}
    page.locator("#picture").hover(position=middle)
    assert readout(page) == "4.01 s · column 200, row 75"
    choose_filter(page, 1, 2)
    page.locator("#play").click()
    page.locator("#picture").hover(position=middle)
    assert readout(page).endswith("column 200, row 75 · filter 2, −3 dB")
    page.get_by_role("radio", name="Mix").check()
    spectrogram = page.locator("#spectrogram").bounding_box()
    page.locator("#spectrogram").hover(
        position={"x": spectrogram["width"] / 2 + 1, "y": spectrogram["height"] / 2}
    )
    assert readout(page) == "4.01 s · column 200 · 400 Hz"  # log: the middle of 40 and 4000
    page.mouse.move(5, 5)
    assert readout(page).startswith("0 s of 8 s") or " of 8 s, column" in readout(page)


def test_hovering_where_time_runs_down(opened: Open) -> None:
    page = opened(time_axis="y")
    picture = page.locator("#picture").bounding_box()
    page.locator("#picture").hover(position={"x": picture["width"] / 4 + 1, "y": picture["height"] / 2 + 1})
    assert readout(page) == "4.02 s · column 75, row 200"


@pytest.mark.parametrize(
    ("scale", "low", "high", "expected"),
    [("linear", 0, 4000, "2 kHz"), ("log", 100, 1600, "400 Hz"), ("mel", 0, 4000, "1.11 kHz")],
)
def test_scales_of_frequency(opened: Open, scale: str, low: float, high: float, expected: str) -> None:
    def change(variables: dict[str, Any]) -> None:
        variables["data"]["sounds"][0]["spectrogram"] |= {"scale": scale, "low_hz": low, "high_hz": high}

    page = opened(change)
    box = page.locator("#spectrogram").bounding_box()
    page.locator("#spectrogram").hover(position={"x": 20, "y": box["height"] / 2})
    assert readout(page).endswith(expected)
    labels = page.locator("#hertz-ruler span").all_inner_texts()
    assert labels[-1].endswith(" Hz")
    assert len(labels) >= 3


def test_a_sound_of_four_hours_is_not_read_whole(opened: Open, folder: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("what processes have read is counted on Linux only")
    seconds, rate = 4 * 3600, 8000

    def change(variables: dict[str, Any]) -> None:
        size = seconds * rate * 2
        head = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVEfmt ", 16, 1, 1, rate, rate * 2, 2, 16, b"data", size)
        with (folder / "mix.wav").open("wb") as file:
            file.write(head)
            file.truncate(len(head) + size)
        variables["data"]["sounds"][0] |= {"duration_s": seconds, "bytes": size, "channels": 1}

    before = bytes_read()
    page = opened(change)
    page.locator("#picture").click()
    middle = time(page)
    assert middle == pytest.approx(seconds / 2, rel=0.01)
    play_until(page, middle + 1)
    assert bytes_read() - before < 60e6  # of 230 MB; 12 MB are read, what a new page costs included


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
            sound |= {"label": HOSTILE, "note": HOSTILE}
        for bank in data["banks"]:
            bank["layer"] = HOSTILE

    page = opened(change, title=HOSTILE)
    assert page.title() == f"{HOSTILE} · netsounds-stream"
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.locator("#command").inner_text() == HOSTILE
    assert page.locator("#picture img").get_attribute("alt") == HOSTILE
    choose_filter(page, 1, 2)
    assert page.locator("#sound-name").inner_text() == HOSTILE
    assert page.locator("#sound-note").inner_text() == HOSTILE
    assert HOSTILE in page.locator("#sheet-head").inner_text()
    assert page.locator(".about").inner_text().count(HOSTILE) >= 7
    assert page.locator("script").count() == 4  # the page's own three, and the bank's
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


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(opened: Open, viewport: dict[str, int], scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = opened(options={"viewport": viewport, "color_scheme": scheme})
    for act in (lambda: None, lambda: choose_filter(page, 2, 5)):
        act()
        found = axe.run(page, options={"preload": False})  # what it would fetch, a file may not
        assert found.violations_count == 0, found.generate_report()
    unnamed = page.evaluate("""() => [...document.querySelectorAll("button, input, [role]")].filter((each) =>
      !each.ariaLabel && !each.textContent.trim() && !(each.labels && each.labels[0].textContent.trim())
      && !each.hasAttribute("aria-labelledby")).map((each) => each.outerHTML)""")
    assert unnamed == []


def test_light_and_dark(opened: Open) -> None:
    page = opened(options={"color_scheme": "light"})
    colours = "[getComputedStyle(document.documentElement).backgroundColor, getComputedStyle(document.body).color]"
    light = page.evaluate(colours)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(colours)
    brightness = [sum(map(int, each[4:-1].split(","))) for each in (*light, *dark)]
    assert brightness[0] > 650 > 200 > brightness[1]
    assert brightness[2] < 200 < 600 < brightness[3]


KEEP_SCROLLS = """
window.scrolls = [];
const scroll = Element.prototype.scrollTo;
Element.prototype.scrollTo = function (how) { window.scrolls.push(how.behavior); return scroll.call(this, how); };
"""


@pytest.mark.parametrize(("motion", "behavior"), [("reduce", "auto"), ("no-preference", "smooth")])
def test_less_motion_where_that_is_wished(opened: Open, motion: str, behavior: str) -> None:
    small = {"width": 1440, "height": 400}
    page = opened(options={"reduced_motion": motion, "viewport": small}, script=KEEP_SCROLLS)
    page.add_style_tag(content=".sheet { height: 5rem !important; min-height: 0 !important; flex: none !important; }")
    choose_filter(page, 2, 0)
    page.locator("#picture").hover()
    for _ in range(19):
        page.get_by_role("button", name="Next filter").click()
    assert set(page.evaluate("window.scrolls")) == {behavior}
    if motion == "reduce":
        assert page.locator("[data-filter='19']").is_visible()
        moving = page.evaluate("""() => [...document.querySelectorAll("*")].filter((each) => {
          const style = getComputedStyle(each);
          return each.checkVisibility() && (style.transitionDuration !== "0s" || style.animationName !== "none");
        }).map((each) => each.outerHTML)""")
        assert moving == []


def test_what_a_browser_does_not_play_is_said(opened: Open, folder: Path) -> None:
    page = opened(lambda _: (folder / "mix.wav").write_bytes(b"not a sound"))
    page.wait_for_function("document.getElementById('sound-note').textContent.includes('does not play mix.wav')")


def test_of_use_without_script(opened: Open) -> None:
    page = opened(options={"java_script_enabled": False})
    assert page.locator("audio[controls]").is_visible()
    assert page.locator("#play").is_hidden()
    assert page.locator("#sources").is_hidden()
    assert page.locator(".unheard").first.is_hidden()
    assert page.locator("#picture img").is_visible()
    assert page.get_by_text("566 MiB").is_visible()
    assert page.get_by_role("link", name="run.json").get_attribute("href") == "run.json"


def test_the_command_can_be_copied(opened: Open) -> None:
    page = opened(options={"permissions": ["clipboard-read", "clipboard-write"]})
    page.get_by_role("button", name="Copy").click()
    page.wait_for_function("document.getElementById('copy').textContent === 'Copied'")
    command = page.locator("#command").inner_text()
    assert page.evaluate("navigator.clipboard.readText()") == command
