"""Banks muted and soloed in a real browser, from the file system; and the keys, and parts that are looped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.helpers.browser import Open, play_until, tab
from tests.helpers.report_sample import MIX_SECONDS, RATE_HZ, make_run, render

pytestmark = pytest.mark.browser

# What the page's own graph makes of the parts, all begun by one call, `gain` times as loud: both channels.
RENDERED = """
async ([gain, audible]) => {
  const { deck } = netsounds.mixer.inspect();
  const [first] = deck.buffers;
  const context = new OfflineAudioContext(2, first.length, first.sampleRate);
  const { gains } = netsounds.mixer.graph(context, deck.buffers.length);
  gains.forEach((each, index) => { each.gain.value = audible[index] ? gain : 0; });
  netsounds.mixer.startAll(context, gains, deck.buffers);
  const made = await context.startRendering();
  return [0, 1].map((channel) => Array.from(made.getChannelData(channel)));
}
"""


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def mixing(page: Any) -> bool:
    return bool(page.evaluate("audio.muted"))


def loaded(page: Any) -> None:
    """Waits until the banks' parts sound in place of the mix."""
    page.wait_for_function("audio.muted && netsounds.mixer.inspect().sources.length === 2")


def test_banks_are_muted_and_soloed(opened: Open) -> None:
    page = opened()
    gains = "netsounds.mixer.inspect().deck.gains.map((each) => Math.round(each.gain.value * 100) / 100)"
    play_until(page, 0.2)
    press(page, "Mute bank 1")
    loaded(page)
    page.wait_for_function(f"JSON.stringify({gains}) === '[0,1]'")
    assert page.locator("#sound-name").inner_text() == "Of the mix: bank 2"
    press(page, "Solo bank 1")
    page.wait_for_function(f"JSON.stringify({gains}) === '[1,0]'")  # a solo is stronger
    assert page.get_by_role("button", name="Solo bank 1").get_attribute("aria-pressed") == "true"
    press(page, "Solo bank 1")
    press(page, "Mute bank 2")
    assert page.locator("#sound-name").inner_text() == "All banks are muted"
    press(page, "Mute bank 1")
    press(page, "Mute bank 2")
    page.wait_for_function("!audio.muted && !netsounds.mixer.inspect().sources.length")
    assert page.locator("#sound-name").inner_text() == "Mix of all banks"


def test_a_bank_by_itself_is_not_mixed(opened: Open) -> None:
    page = opened()
    play_until(page, 0.2)
    press(page, "Mute bank 1")
    loaded(page)
    page.get_by_label("Bank 1", exact=True).check()
    assert not mixing(page)
    page.get_by_role("radio", name="Mix", exact=True).check()
    loaded(page)


CLOCKS = """() => {
  const { deck, begun } = netsounds.mixer.inspect();
  return begun && begun.offset + (deck.context.currentTime - begun.when) * begun.rate - audio.currentTime;
}"""


def test_the_parts_follow_the_clock(opened: Open) -> None:
    """Through a seek, a pause and another speed, within what is heard as one."""
    page = opened()
    play_until(page, 0.2)
    press(page, "Mute bank 2")
    loaded(page)
    in_step = f"Math.abs(({CLOCKS})() ?? 1) < 0.08"
    page.wait_for_function(in_step)
    page.evaluate("audio.currentTime = 5")
    page.wait_for_function(f"audio.currentTime > 5.1 && {in_step}")
    page.get_by_role("button", name="Pause", exact=True).click()
    page.wait_for_function("!netsounds.mixer.inspect().sources.length")
    page.get_by_label("Speed").select_option("0.5")
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function(f"netsounds.mixer.inspect().begun?.rate === 0.5 && {in_step}")
    assert "pitch follows the speed" in page.locator("#sound-name").inner_text()


def samples(folder: Path, number: int) -> np.ndarray:
    return soundfile.read(folder / f"report/part-{number}.flac")[0]


def test_parts_are_in_step_to_the_sample_and_within_full_scale(opened: Open, run_folder: Path) -> None:
    page = opened()
    press(page, "Mute bank 1")
    page.wait_for_function("netsounds.mixer.inspect().deck")
    whole = samples(run_folder, 1) + samples(run_folder, 2)
    quiet = np.array(page.evaluate(RENDERED, [0.1, [1, 1]])).T
    assert len(quiet) == MIX_SECONDS * RATE_HZ
    # The compressor looks 6 ms ahead; below its threshold it changes nothing.
    late = int(np.argmax([np.dot(quiet[at : at + 20000, 0], whole[:20000, 0]) for at in range(100)]))
    assert late < 0.01 * RATE_HZ
    settled = RATE_HZ // 2  # it fades in once, when it begins to measure
    expected = {"both": [quiet, whole], "one": [None, samples(run_folder, 2)]}
    expected["one"][0] = np.array(page.evaluate(RENDERED, [0.1, [0, 1]])).T
    for made, wanted in expected.values():
        np.testing.assert_allclose(made[settled + late :], 0.1 * wanted[settled : -late or None], atol=2e-4)
    loud = np.array(page.evaluate(RENDERED, [4.0, [1, 1]]))
    assert np.abs(4 * whole).max() > 5
    assert 0.5 < np.abs(loud).max() < 0.99


def test_a_part_that_is_missing_is_told(browser: Any, run_folder: Path) -> None:
    page = render(run_folder, make_run(run_folder))
    (run_folder / "report" / "part-2.js").unlink()
    with tab(browser) as found:
        opened = found.open(page)
        press(opened, "Mute bank 1")
        opened.wait_for_function(
            "document.getElementById('sound-note').textContent.includes('part-2.js is missing')"
        )
        assert not mixing(opened)
        assert opened.get_by_role("button", name="Mute bank 1").get_attribute("aria-pressed") == "false"


def test_without_parts_there_is_nothing_to_mute(opened: Open) -> None:
    page = opened(parts=False)
    assert page.get_by_role("button", name="Mute bank 1").count() == 0


def test_a_part_is_looped_by_dragging_with_shift(opened: Open) -> None:
    page = opened()
    for name in ("picture", "wave"):
        box = page.locator(f"#{name}").bounding_box()
        page.keyboard.down("Shift")
        page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + box["height"] / 2, steps=3)
        page.mouse.up()
        page.keyboard.up("Shift")
        loop = page.evaluate("netsounds.player.state.loop")
        assert [loop["from"], loop["to"]] == pytest.approx([0.4, 0.6], abs=0.01)
        assert page.evaluate("audio.currentTime") == pytest.approx(0.4 * MIX_SECONDS, abs=0.1)
        page.keyboard.press("l")
        assert page.evaluate("netsounds.player.state.loop") is None


def test_the_keys_do_what_the_help_says(opened: Open) -> None:
    page = opened()
    page.keyboard.press("?")
    help_box = page.get_by_role("dialog", name="Keys")
    assert help_box.is_visible()
    page.keyboard.press("l")  # the dialog has the keys
    assert page.evaluate("netsounds.player.state.loop") is None
    page.keyboard.press("Escape")
    assert help_box.is_hidden()
    page.evaluate("audio.currentTime = 2")
    page.keyboard.press("[")
    page.evaluate("audio.currentTime = 4")
    page.keyboard.press("]")
    loop = page.evaluate("netsounds.player.state.loop")
    assert [loop["from"], loop["to"]] == pytest.approx([2 / MIX_SECONDS, 4 / MIX_SECONDS])
    page.keyboard.press(">")
    assert page.evaluate("audio.playbackRate") == 1.5
    page.keyboard.press("<")
    page.keyboard.press("<")
    assert page.evaluate("audio.playbackRate") == 0.75
    assert page.get_by_label("Speed").input_value() == "0.75"
    page.keyboard.press("2")
    assert page.get_by_label("Bank 2", exact=True).is_checked()
    page.keyboard.press("0")  # also from the choice that has the focus now
    assert page.get_by_role("radio", name="Mix", exact=True).is_checked()
    page.keyboard.press("9")  # there is no such bank
    assert page.get_by_role("radio", name="Mix", exact=True).is_checked()
    page.get_by_role("button", name="Keys", exact=True).click()
    assert help_box.is_visible()
    page.get_by_role("button", name="Close").click()
    assert help_box.is_hidden()
