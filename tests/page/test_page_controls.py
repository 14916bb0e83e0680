"""The report page's controls in a real browser: loop, zoom, speed, keys, download; and how it is laid out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helpers.browser import (
    DESK,
    PHONE,
    Open,
    choose_filter,
    chosen,
    paused,
    play_until,
    readout,
    source,
    time,
)
from tests.helpers.report_sample import MIX_SECONDS

pytestmark = pytest.mark.browser

SMALL_DESK = {"width": 1366, "height": 650}
TABLET = {"width": 1024, "height": 768}
TURNED_TABLET, TURNED_PHONE = {"width": 768, "height": 1024}, {"width": 844, "height": 390}


def box(page: Any, name: str) -> dict[str, float]:
    found: dict[str, float] = page.locator(f"#{name}").bounding_box()
    return found


@pytest.mark.parametrize("time_axis", ["x", "y"])
def test_a_part_is_looped_between_handles(opened: Open, time_axis: str) -> None:
    page = opened(time_axis=time_axis)
    page.get_by_role("button", name="Loop").click()
    assert readout(page).endswith("loop of all: drag its handles")
    wave = box(page, "wave")
    place = {
        "x": lambda share: (wave["x"] + share * wave["width"], wave["y"] + 10),
        "y": lambda share: (wave["x"] + 10, wave["y"] + share * wave["height"]),
    }[time_axis]
    for name, share in (("from", 0.5), ("to", 0.55)):
        grip = box(page, f"loop-{name}")
        page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
        page.mouse.down()
        page.mouse.move(*place(share), steps=3)
        page.mouse.up()
    begin, end = page.get_by_role("slider", name="Loop from"), page.get_by_role("slider", name="Loop to")
    assert float(begin.get_attribute("aria-valuenow")) == pytest.approx(0.5 * MIX_SECONDS, abs=0.1)
    assert float(end.get_attribute("aria-valuenow")) == pytest.approx(0.55 * MIX_SECONDS, abs=0.1)
    end.press("ArrowRight")
    assert float(end.get_attribute("aria-valuenow")) == pytest.approx(0.55 * MIX_SECONDS + 0.1, abs=0.11)
    page.evaluate("""() => {
      window.seeks = [];
      audio.addEventListener("seeked", () => window.seeks.push(audio.currentTime));
    }""")
    page.locator("#picture").press("Home")
    page.get_by_label("Speed").select_option("2")
    page.evaluate("audio.currentTime = 3.9")
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("window.seeks.filter((each) => each > 3.95 && each < 4.1).length >= 2")
    assert not paused(page)
    page.get_by_role("button", name="Loop").click()
    assert page.locator("#loop-from").is_hidden()
    page.wait_for_function("audio.currentTime > 5")  # past the end: it goes on


def test_speed_stays_with_another_sound(opened: Open) -> None:
    page = opened()
    page.get_by_label("Speed").select_option("0.5")
    assert page.evaluate("audio.playbackRate") == 0.5
    page.get_by_label("Bank 1", exact=True).check()
    page.wait_for_function("audio.readyState >= 1")
    assert (source(page), page.evaluate("audio.playbackRate")) == ("report/part-1.flac", 0.5)


def test_what_sounds_can_be_downloaded(opened: Open) -> None:
    page = opened(schemes=["filters"])
    link = page.get_by_role("link", name="Download mix.wav")
    assert (link.get_attribute("href"), link.get_attribute("download")) == ("mix.wav", "mix.wav")
    choose_filter(page, 2, 3)
    link = page.get_by_role("link", name="Download activations-2_filter-3.wav")
    assert link.get_attribute("href") == "activations-2_filter-3.wav"


@pytest.mark.parametrize("stems", [False, True])
def test_a_banks_part_of_the_mix_is_downloaded_as_its_stem_where_there_is_one(
    opened: Open, stems: bool
) -> None:
    page = opened(stems=stems)
    page.get_by_label("Bank 2", exact=True).check()
    file = "stem-2.wav" if stems else "report/part-2.flac"
    assert page.locator("#download").get_attribute("href") == file
    assert page.locator("#sound-facts").inner_text().startswith(file.rpartition("/")[2])


@pytest.mark.parametrize("time_axis", ["x", "y"])
def test_zoom_keeps_every_view_on_one_axis_of_time(opened: Open, time_axis: str) -> None:
    page = opened(time_axis=time_axis)
    page.evaluate("audio.currentTime = 4.8")
    page.wait_for_function("document.getElementById('clock').textContent === '0:04.8'")
    zoom = page.get_by_role("button", name="Zoom in")
    zoom.click()
    zoom.click()
    assert page.locator("#zoom-times").inner_text() == "4 ×"
    share = """([name, axis]) => {
      const view = document.getElementById(name);
      const [all, line] = [view, view.querySelector(".playhead")].map((each) => each.getBoundingClientRect());
      return axis === "x" ? (line.left + 1 - all.left) / all.width : (line.top + 1 - all.top) / all.height;
    }"""
    for name in ("picture", "wave", "spectrogram"):
        assert page.evaluate(share, [name, time_axis]) == pytest.approx(0.5, abs=0.01)
    for name in ("picture", "wave", "spectrogram"):  # what is in view is from 3.8 to 5.8 s
        view = box(page, name)
        across = {"x": view["width"] / 4, "y": view["height"] / 2}
        down = {"x": view["width"] / 2, "y": view["height"] / 4}
        page.locator(f"#{name}").hover(position=across if time_axis == "x" else down)
        assert float(readout(page).split()[0]) == pytest.approx(4.3, abs=0.02)
    page.locator("#picture").hover(position={"x": 2, "y": 2})
    # a quarter of the picture is in view, its middle in the middle: of 400 x 300 pixels
    expected = ("column 190", "row 112") if time_axis == "x" else ("column 112", "row 190")
    assert all(each in readout(page) for each in expected)
    before = readout(page)
    page.mouse.wheel(0, 40)
    page.wait_for_function("before => document.getElementById('readout').textContent !== before", arg=before)
    page.locator("#picture").press("-")
    page.locator("#picture").press("-")
    assert page.get_by_role("button", name="Zoom out").count() == 0


def test_what_is_in_view_follows_the_sound(opened: Open) -> None:
    page = opened()
    for _ in range(4):
        page.locator("#picture").press("+")
    assert page.locator("#zoom-times").inner_text() == "16 ×"
    play_until(page, 1.2)  # half a second of 8 is in view
    ticks = page.locator("#time-ruler span").all_inner_texts()
    assert float(ticks[0].split()[0]) > 0.4


def test_arrows_act_without_the_pictures_focus(opened: Open) -> None:
    page = opened()
    assert page.evaluate("document.activeElement === document.body")
    page.keyboard.press("ArrowRight")
    assert time(page) == 5
    page.get_by_role("button", name="Zoom in").focus()
    page.keyboard.press("Shift+ArrowLeft")
    assert time(page) == pytest.approx(4.9, abs=0.001)
    page.keyboard.press("ArrowDown")  # that scrolls
    page.get_by_role("slider", name="Volume").focus()
    page.keyboard.press("ArrowLeft")  # that is quieter
    assert time(page) == pytest.approx(4.9, abs=0.001)
    page.get_by_role("radio", name="Mix", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert source(page) == "report/part-1.flac"


def test_what_does_nothing_yet_is_not_there_yet(opened: Open) -> None:
    page = opened()
    names = ("#schemes", "#lay", "#steps")
    assert [page.locator(each).is_visible() for each in names] == [False] * 3
    page.get_by_label("Bank 2", exact=True).check()
    assert [page.locator(each).is_visible() for each in names] == [True, False, False]
    page.locator("[data-filter='5']").click()
    assert [page.locator(each).is_visible() for each in names] == [True] * 3
    page.evaluate("audio.pause()")  # or the next filters are laid over it, as they sound
    page.locator("[data-filter='5']").click()
    page.evaluate("audio.pause()")
    assert "Filter 5 (never fires) lies over the picture" in page.locator("#lay").inner_text()
    page.get_by_role("button", name="Plain picture").click()
    assert page.locator("#lay").is_hidden()


def test_one_form_is_no_choice(opened: Open) -> None:
    page = opened(schemes=["sum"], parts=False)
    page.get_by_label("Bank 2", exact=True).check()
    assert page.locator("#schemes").is_hidden()
    assert source(page) == "activations-2_sum.wav"


def same_axis(page: Any, time_axis: str) -> dict[str, float]:
    """Holds that the three views begin and end together in time; gives the picture's box."""
    picture, wave, spectrogram = (box(page, name) for name in ("picture", "wave", "spectrogram"))
    side, long = ("x", "width") if time_axis == "x" else ("y", "height")
    for each in (wave, spectrogram):
        assert (each[side], each[long]) == pytest.approx((picture[side], picture[long]), abs=0.6)
    shape = 4 / 3 if time_axis == "x" else 3 / 4
    assert picture["width"] / picture["height"] == pytest.approx(shape, rel=0.01)
    return picture


@pytest.mark.parametrize("size", [PHONE, TURNED_PHONE, TURNED_TABLET], ids=lambda each: str(each["width"]))
@pytest.mark.parametrize("time_axis", ["x", "y"])
def test_the_views_are_on_one_axis_of_time(opened: Open, size: dict[str, int], time_axis: str) -> None:
    same_axis(opened(options={"viewport": size}, time_axis=time_axis), time_axis)


@pytest.mark.parametrize("size", [DESK, SMALL_DESK, TABLET], ids=lambda each: str(each["width"]))
@pytest.mark.parametrize("time_axis", ["x", "y"])
def test_the_views_fill_a_desk_on_one_axis_of_time(
    opened: Open, size: dict[str, int], time_axis: str
) -> None:
    page = opened(options={"viewport": size}, time_axis=time_axis)
    picture = same_axis(page, time_axis)
    assert picture["width"] * picture["height"] > 0.09 * size["width"] * size["height"]
    assert picture["y"] + picture["height"] <= size["height"]
    play = page.get_by_role("button", name="Play", exact=True).bounding_box()
    assert play["y"] + play["height"] < picture["y"]
    tops = {page.get_by_text(f"Bank {number}", exact=True).first.bounding_box()["y"] for number in (1, 2)}
    assert len(tops) == 1
    page.get_by_label("Bank 2", exact=True).check()
    page.locator("[data-filter='5']").click()
    panel, lay = box(page, "panel"), box(page, "lay")
    assert lay["y"] + lay["height"] <= panel["y"] + panel["height"] + 1


def test_a_panorama_leaves_its_room_to_the_spectrogram(opened: Open) -> None:
    def panorama(variables: dict[str, Any]) -> None:
        variables["data"]["picture"] |= {"height": 33, "full_height": 66}

    page = opened(panorama, {"viewport": SMALL_DESK})
    picture, spectrogram = box(page, "picture"), box(page, "spectrogram")
    assert picture["height"] < 150 and spectrogram["height"] > 200
    assert spectrogram["y"] + spectrogram["height"] < SMALL_DESK["height"]


def ticks(page: Any, name: str, side: str) -> dict[str, float]:
    """A ruler's texts, and where each stands, as a share."""
    found: dict[str, float] = page.evaluate(
        """([name, side]) => Object.fromEntries([...document.querySelectorAll(`#${name} span`)].map(
             (each) => [each.textContent.replace(" Hz", ""), parseFloat(each.style[side]) / 100]))""",
        [name, side],
    )
    return found


@pytest.mark.parametrize("time_axis", ["x", "y"])
def test_the_picture_has_a_scale_of_frequency(opened: Open, time_axis: str) -> None:
    page = opened(time_axis=time_axis)
    found = ticks(page, "pitch-ruler", "top" if time_axis == "x" else "left")
    assert {"100", "1k"} <= {*found}
    for text, share in (("100", 0.199), ("1k", 0.699)):  # from 40 to 4000 Hz by log
        assert found[text] == pytest.approx(1 - share if time_axis == "x" else share, abs=0.002)
    page.get_by_label("Bank 1", exact=True).check()
    page.get_by_role("radio", name="Sum", exact=True).check()
    spans = page.locator("#pitch-ruler span").all_inner_texts()
    assert spans.count("2k") == 2  # raw sound is lowest at both edges, and highest in the middle
    place = box(page, "picture")
    cross = "height" if time_axis == "x" else "width"
    for share in (0.25, 0.75):
        at = {"x": place["width"] / 2, "y": place["height"] / 2} | {
            "y" if cross == "height" else "x": share * place[cross]
        }
        page.locator("#picture").hover(position=at)
        assert float(readout(page).split(" · ")[1].split()[0]) == pytest.approx(2, abs=0.02)


@pytest.mark.parametrize(("time_axis", "sweep", "pitch"), [
    ("x", "left to right in 8.0 s", "Higher up is higher in pitch"),
    ("y", "top to bottom in 8.0 s", "Further right is higher in pitch"),
])  # fmt: skip
def test_a_visitor_is_told_how_to_read_it(opened: Open, time_axis: str, sweep: str, pitch: str) -> None:
    page = opened(time_axis=time_axis)
    lead = page.locator(".lead").inner_text()
    assert lead.startswith("Press Play") and sweep in lead and pitch in lead
    assert "Point at the picture" in readout(page)
    shown = page.locator("main").inner_text()
    for each in (
        "how loud it is (waveform)",
        "which pitches, bright if loud",
        "hertz",
        "A filter looks for one pattern",
    ):
        assert each in shown


@pytest.mark.parametrize("time_axis", ["x", "y"])
def test_a_filter_tapped_on_a_telephone_is_seen_on_the_picture(opened: Open, time_axis: str) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
    page = opened(options=phone, time_axis=time_axis)
    page.get_by_label("Bank 2", exact=True).check()
    tile = page.locator("[data-filter='13']")
    tile.scroll_into_view_if_needed()
    tile.tap()
    assert chosen(page) == ["13"]
    picture, play = box(page, "picture"), box(page, "play")
    assert picture["y"] >= 0 and picture["y"] + picture["height"] < play["y"]
    assert play["y"] + play["height"] <= 844
    page.locator("#picture").tap(position={"x": picture["width"] / 2, "y": picture["height"] / 2})
    assert "Hz · column" in readout(page)  # it stays to be read
    assert page.locator(".zoom button").filter(visible=True).count() == 0  # fingers do it
    page.locator("#picture").dblclick()
    page.get_by_role("button", name="Zoom out").tap()
    assert page.locator("#zoom-times").inner_text() == "1 ×"


def test_buttons_fit_beside_one_another_on_a_telephone(opened: Open) -> None:
    page = opened(options={"viewport": PHONE, "is_mobile": True, "has_touch": True})
    choose_filter(page, 2, 3)
    boxes = [
        page.locator(f"#{name}").bounding_box()
        for name in ("play", "previous", "next", "loop", "speed", "download")
    ]
    assert len({round(each["y"] + each["height"] / 2) for each in boxes}) == 1
    assert all(each["x"] >= 0 and each["x"] + each["width"] <= PHONE["width"] for each in boxes)
