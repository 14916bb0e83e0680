"""The report page in a real browser, from the file system: playing, seeking, following, choosing."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.browser import (
    DESK,
    Open,
    bytes_read,
    choose_filter,
    chosen,
    paused,
    play_until,
    reach,
    readout,
    source,
    tab,
    time,
)
from tests.helpers.report_sample import FILTER_SECONDS, FULL, MIX_SECONDS, make_run, render

pytestmark = pytest.mark.browser


def test_it_opens_with_nothing_from_elsewhere(browser: Any, run_folder: Path) -> None:
    page = render(run_folder, make_run(run_folder))
    with tab(browser, viewport=DESK) as found:
        found.open(page)
        found.page.wait_for_function("document.getElementById('audio').readyState >= 1")
        assert found.problems == []
        here = run_folder.resolve().as_uri()
        assert len(found.requests) > 6
        assert [each for each in found.requests if not each.startswith((here, "data:"))] == []
        assert found.page.title() == "a bowl · netsounds-stream"
        assert source(found.page) == "mix.wav"


def test_a_missing_file_would_be_noticed(browser: Any, run_folder: Path) -> None:
    page = render(run_folder, make_run(run_folder))
    (run_folder / "report/picture.jpg").unlink()
    with tab(browser) as found:
        found.open(page)
        assert any("picture.jpg" in each for each in found.problems)


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


# In each of 20 frames: the audio's time, the share of each view before its playhead, as the screen has them,
# the time since the frame before, and how long after the frame's begin it was looked: on a busy machine the
# sound goes on meanwhile.
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
    const lines = [picture, share("wave", axis), share("spectrogram", axis)];
    seen.push({ time, lines, frame: (now - last) / 1000, late: (performance.now() - now) / 1000 });
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
            near = max(each["frame"], 1 / 60) + each["late"] + pixel
            assert abs(line * MIX_SECONDS - each["time"]) <= near


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
    slider = page.get_by_role("slider", name="Position in the sound")
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
    assert source(page) == "report/part-2.flac"  # from the mix, what the bank gives to it
    page.get_by_role("radio", name="Sum", exact=True).check()
    assert source(page) == "activations-2_sum.wav"
    assert time(page) == pytest.approx(5 / 8 * MIX_SECONDS / 2, abs=0.01)  # the place in the picture is kept
    page.get_by_label("Bank 1", exact=True).check()
    assert source(page) == "activations-1_sum.wav"  # of another bank, the same
    page.get_by_label("Bank 2", exact=True).check()
    assert page.locator("[role=option]").count() == 20
    page.get_by_role("radio", name="Concat").check()
    assert source(page) == "activations-2_concat.wav"
    page.get_by_role("option", name="filter 17, −25.5 dB").click()
    assert chosen(page) == ["17"]
    assert "filter 17, −25.5 dB" in readout(page)
    reach(page, 17 * FILTER_SECONDS)
    assert not paused(page)
    page.get_by_role("radio", name="Mix", exact=True).check()
    assert source(page) == "mix.wav"
    assert "filter 17" not in readout(page)


def test_a_filter_chosen_while_the_sum_plays_sounds_alone(opened: Open) -> None:
    page = opened()
    page.get_by_role("button", name="Bank 1 12 filters").click()
    assert source(page) == "report/part-1.flac"
    page.get_by_role("option", name="filter 3, ").click()
    assert source(page) == "activations-1_concat.wav"
    assert page.get_by_role("radio", name="Concat").is_checked()
    assert chosen(page) == ["3"]


def test_bank_scheme_and_filter_by_keyboard(opened: Open) -> None:
    page = opened()
    page.get_by_role("radio", name="Mix", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert source(page) == "report/part-1.flac"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
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
    assert page.locator("[role=option][tabindex='0']").get_attribute("data-filter") == "2"
    page.keyboard.press("Enter")
    assert chosen(page) == ["2"]
    assert page.locator("[role=option][tabindex='0']").count() == 1
    reach(page, 2 * FILTER_SECONDS)


def test_the_selection_follows_the_sound(opened: Open) -> None:
    page = opened()
    choose_filter(page, 1, 4)
    page.wait_for_function("document.querySelector('[aria-selected=true]').dataset.filter === '6'")
    assert time(page) >= 6 * FILTER_SECONDS - 0.002


def test_a_loop_stays_with_the_filter(opened: Open) -> None:
    page = opened()
    page.get_by_role("button", name="Loop").click()
    page.evaluate("""() => {
      const audio = document.getElementById("audio");
      const own = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "currentTime");
      window.times = [];
      Object.defineProperty(audio, "currentTime", {
        get() { return own.get.call(audio); },
        set(to) { window.times.push(to); own.set.call(audio, to); },
      });
    }""")
    choose_filter(page, 1, 4)
    page.wait_for_function("window.times.length >= 4")
    for each in page.evaluate("window.times")[1:]:  # the first may be of where the page began
        assert 4 * FILTER_SECONDS <= each < 4.5 * FILTER_SECONDS  # where it jumps to, however late that is
    assert chosen(page) == ["4"]


@pytest.mark.parametrize("run", [{"a_file_each": True}, {"schemes": ["filters"]}])
def test_a_file_a_filter(opened: Open, run: dict[str, Any]) -> None:
    page = opened(**run)
    choose_filter(page, 1, 3)
    assert source(page) == "activations-1_filter-3.wav"
    page.wait_for_function(  # which stops there, however late the next line is
        """document.querySelector('[aria-selected=true]').dataset.filter === '5'
        && (document.getElementById('audio').pause(), true)"""
    )
    assert source(page) == "activations-1_filter-5.wav"
    page.get_by_role("button", name="Previous filter").click()
    assert chosen(page) == ["4"]
    noted = "is RF64: its filters play one by one."
    assert (noted in page.locator("#sound-note").inner_text()) == ("a_file_each" in run)


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
    assert page.get_by_role("radio", name="Mix", exact=True).count() == 0
    assert page.get_by_label("Bank 1", exact=True).is_checked()
    assert chosen(page) == ["0"]
    play_until(page, 0.1)


def test_a_sound_of_four_hours_is_not_read_whole(opened: Open, run_folder: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("what processes have read is counted on Linux only")
    seconds, rate = 4 * 3600, 8000

    def change(variables: dict[str, Any]) -> None:
        size = seconds * rate * 2
        head = struct.pack(
            "<4sI8sIHHIIHH4sI",
            b"RIFF",
            36 + size,
            b"WAVEfmt ",
            16,
            1,
            1,
            rate,
            rate * 2,
            2,
            16,
            b"data",
            size,
        )
        with (run_folder / "mix.wav").open("wb") as file:
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
