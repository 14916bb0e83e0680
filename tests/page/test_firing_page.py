"""What fires, in a real browser: lit tiles, the loudest named and ringed, and a filter heard as a sketch."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.helpers.browser import PHONE, Open, paused, play_until, readout, tab
from tests.helpers.report_sample import (
    CELLS,
    CHANNELS,
    MIX_SECONDS,
    STEPS,
    levels_and_places,
    make_run,
    render,
)

pytestmark = pytest.mark.browser


def seek(page: Any, seconds: float) -> None:
    """Puts the sound there, as it stands still, and waits until the page shows it."""
    page.wait_for_function("document.body.classList.contains('has-firing')")
    page.evaluate("seconds => { audio.currentTime = seconds; }", seconds)
    page.wait_for_function(
        "at => !audio.seeking && document.getElementById('clock').textContent.endsWith(at.toFixed(1))",
        arg=seconds,
    )


def firing_at(number: int, seconds: float) -> int:
    """The filter whose turn it is."""
    levels, _ = levels_and_places(number)
    return int(levels[int(seconds / MIX_SECONDS * STEPS)].argmax())


def veils(page: Any, number: int) -> list[float]:
    """The opacity over each tile of a bank's small sheet."""
    found = page.evaluate(
        """(number) => {
          const canvas = document.querySelector(`canvas[data-bank="${number}"]`);
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return Array.from({ length: data.length / 4 }, (_, tile) => data[4 * tile + 3] / 255);
        }""",
        number,
    )
    return list(found)


# Half a second is chosen from, of 8: turns of bank 1 last two thirds of one, those of bank 2 two fifths.
MOMENTS = [1.0, 3.0, 6.3]


@pytest.mark.parametrize("seconds", MOMENTS)
def test_the_filters_that_fire_are_lit(opened: Open, seconds: float) -> None:
    page = opened()
    page.wait_for_function("document.body.classList.contains('has-firing')")
    assert not any(veils(page, 1))  # before it plays, all are seen
    seek(page, seconds)
    for number, channels in CHANNELS.items():
        opacity = veils(page, number)[:channels]
        assert opacity[firing_at(number, seconds)] == 0
        assert sorted(opacity)[1] > 0.5
    page.get_by_label("Bank 2", exact=True).check()
    seek(page, seconds)
    lit = page.evaluate("Array.from(sheet.children, (tile) => Number(tile.dataset.lit))")
    assert lit == [float(index == firing_at(2, seconds)) for index in range(CHANNELS[2])]


@pytest.mark.parametrize("time_axis", ["x", "y"])
def test_the_loudest_are_named_and_ringed(opened: Open, time_axis: str) -> None:
    page = opened(time_axis=time_axis)
    assert page.locator("#now button").filter(visible=True).count() == 0
    seek(page, 1.0)
    names = page.locator("#now button b").all_inner_texts()
    for number in CHANNELS:
        assert f"Filter {firing_at(number, 1.0)}" in names
    picture = page.locator("#picture").bounding_box()
    found = []
    for mark in page.locator(".mark").filter(visible=True).all():
        box = mark.bounding_box()
        edge, length = ("y", "height") if time_axis == "x" else ("x", "width")
        found.append((box[edge] - picture[edge]) / picture[length])
    expected = [(firing_at(number, 1.0) % CELLS + 0.5) / CELLS for number in CHANNELS]
    for share in expected:
        assert min(abs(share - each) for each in found) < 0.01
    first = firing_at(1, 1.0)
    assert readout(page).startswith(f"Loudest: filter {first} of bank 1, at the top left, about ")
    seek(page, 6.3)
    assert "right" in readout(page) if time_axis == "x" else "bottom" in readout(page)


def test_only_what_is_heard_is_named(opened: Open) -> None:
    def some(variables: dict[str, Any]) -> None:
        variables["data"]["banks"][1]["firing"]["filters"] = [0, 1, 2]

    page = opened(some)
    page.get_by_label("Bank 2", exact=True).check()
    seek(page, 1.0)
    shown = page.locator("#now button").filter(visible=True).all_inner_texts()
    assert shown and all(text.split()[1] in "012" for text in shown)
    seek(page, 7.0)
    assert page.locator("#now button").filter(visible=True).count() == 0
    assert readout(page) == "Hardly any filter fires here"


def test_names_stay_while_they_are_pointed_at(opened: Open) -> None:
    page = opened()
    play_until(page, 0.3)
    page.wait_for_selector("#now button:visible")
    page.locator("#now button").first.hover()
    page.wait_for_function("document.querySelector('.mark.pointed')")
    before = page.locator("#now b").all_inner_texts()
    page.wait_for_function("audio.currentTime > 2")
    assert page.locator("#now b").all_inner_texts() == before
    page.mouse.move(5, 5)
    page.wait_for_function("before => document.querySelector('#now b').textContent !== before", arg=before[0])


def test_less_motion_where_that_is_wished(opened: Open) -> None:
    page = opened(options={"reduced_motion": "reduce"})
    play_until(page, 1.0)
    assert not any(veils(page, 1))
    page.get_by_role("button", name="Pause", exact=True).click()
    page.wait_for_function("""() => {
      const canvas = document.querySelector("canvas");
      return canvas.getContext("2d").getImageData(0, 0, 1, 1).data[3] > 0;
    }""")


def heard(page: Any) -> np.ndarray:
    """The samples of the sketch that plays."""
    content = page.evaluate(
        "fetch(audio.src).then((got) => got.arrayBuffer()).then((b) => [...new Uint8Array(b)])"
    )
    samples, rate = soundfile.read(io.BytesIO(bytes(content)))
    assert rate == 32000 and len(samples) == MIX_SECONDS * rate
    return np.asarray(samples)


def test_a_filter_without_a_sound_of_its_own_is_sketched(opened: Open) -> None:
    page = opened(schemes=["sum"])
    seek(page, 1.0)
    wanted = firing_at(1, 1.0)
    page.locator("#now button", has_text=f"Filter {wanted}").first.click()
    assert page.locator("#sound-name").inner_text() == f"Bank 1, filter {wanted}: a sketch"
    assert "no sound of the filter alone" in page.locator("#choice-words").inner_text()
    page.wait_for_function("!audio.paused && audio.currentTime > 1.1")  # it goes on from where it was
    assert page.locator("#overlay").is_visible() and page.locator("#now").is_hidden()
    samples = heard(page)
    # The pitch of the cell where it fires; from 40 to 4000 Hz by log, high at the top. Silence elsewhere.
    level = np.abs(samples).reshape(STEPS, -1).max(1)
    levels, _ = levels_and_places(1)
    fires = levels[:, wanted] > 0
    assert (level[fires] > 0.3).all()
    quiet = ~fires & ~np.roll(fires, 1) & ~np.roll(fires, -1)
    assert (level[quiet] < 0.01).all()
    middle = int((np.flatnonzero(fires).mean() + 0.5) * len(samples) / STEPS)
    window = samples[middle - 2048 : middle + 2048] * np.hanning(4096)
    hertz = np.abs(np.fft.rfft(window, 1 << 16)).argmax() * 32000 / (1 << 16)
    share = 1 - (wanted % CELLS + 0.5) / CELLS
    assert hertz == pytest.approx(40 * 100**share, rel=0.02)
    page.get_by_role("button", name="Back").click()
    assert page.evaluate("audio.getAttribute('src')") == "mix.wav"
    assert page.locator("#overlay").is_hidden()


def test_a_filter_with_a_sound_of_its_own_plays_that(opened: Open) -> None:
    page = opened()
    seek(page, 1.0)
    wanted = firing_at(2, 1.0)
    page.locator("#now button", has_text=f"Filter {wanted} bank 2").click()
    assert page.evaluate("audio.getAttribute('src')") == "activations-2_concat.wav"
    assert page.locator("[aria-selected=true]").get_attribute("data-filter") == str(wanted)
    assert not paused(page)


def test_levels_that_are_missing_are_told(browser: Any, run_folder: Path) -> None:
    page = render(run_folder, make_run(run_folder))
    (run_folder / "report" / "firing-bytes.js").unlink()
    with tab(browser) as found:
        opened = found.open(page)
        opened.wait_for_function("document.getElementById('sound-note').textContent.includes('is missing')")
        assert opened.locator("#now").is_hidden()
        play_until(opened, 0.2)


def test_a_run_without_levels(opened: Open) -> None:
    page = opened(firing=False)
    assert page.locator("#now").count() == page.locator("canvas").count() == 0
    play_until(page, 0.5)
    assert "of 8 s, column" in readout(page)


def test_no_name_is_cut_beside_the_views(opened: Open) -> None:
    """The longest that there are, at every width that the place for names has on a desk."""
    page = opened()
    seek(page, 3.0)
    cut = page.evaluate(
        """() => {
          const now = document.getElementById("now");
          for (const chip of now.querySelectorAll("button")) {
            chip.style.visibility = "visible";
            chip.querySelector("b").textContent = "Filter 457";
            chip.querySelector("small").textContent = "bottom right, 7.64 kHz";
          }
          const texts = Array.from(now.querySelectorAll("span, small"));
          const widths = Array.from({length: 70}, (_, number) => 386 + 10 * number);
          return widths.filter((width) => {
            now.style.width = `${width}px`;
            return texts.some((text) => text.scrollWidth > text.clientWidth);
          });
        }"""
    )
    assert cut == []


def test_a_browser_without_inflation_plays_without_lights(opened: Open) -> None:
    page = opened(script="delete window.DecompressionStream;")
    page.wait_for_selector("#now", state="hidden")
    play_until(page, 0.5)
    assert "of 8 s, column" in readout(page)


def test_no_name_is_cut_on_a_phone(opened: Open) -> None:
    page = opened(options={"viewport": PHONE})
    for seconds in (1.0, 3.0, 6.3):
        seek(page, seconds)
        shown = page.locator("#now button").filter(visible=True)
        assert shown.count()
        for part in ("span", "small"):
            assert shown.locator(part).evaluate_all(
                "parts => parts.every((each) => each.scrollWidth <= each.clientWidth)"
            ), shown.all_inner_texts()
