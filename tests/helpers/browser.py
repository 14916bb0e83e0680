"""A real browser, without a window: the system's Chromium, driven by playwright; what tests ask of it.

playwright's own browsers are a download of their own; the system's package does, and is what people have.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

DESK = {"width": 1440, "height": 900}
PHONE = {"width": 360, "height": 740}
Open = Callable[..., Any]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str | None:
    """The path of a Chromium on this machine: NETSOUNDS_BROWSER, or what the PATH has."""
    named = os.environ.get("NETSOUNDS_BROWSER")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def started() -> Iterator[Any]:
    """A running browser (playwright's `Browser`); skips where there is none, saying so."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no browser")
    path = find_browser()
    if path is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)} is on the PATH")
    # Chromium's sandbox refuses to run as root, as in a container.
    flags = [
        "--mute-audio",
        "--disable-gpu",
        *(["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []),
    ]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@dataclass
class Tab:
    """A page, and what went wrong in it."""

    page: Any
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, path: Path) -> Any:
        """Opens a file, and gives playwright's page when it has loaded."""
        self.page.goto(path.resolve().as_uri())
        return self.page


@contextmanager
def tab(browser: Any, **options: Any) -> Iterator[Tab]:
    """A page of a fresh context (`options` are playwright's `new_context`'s), listened to from its start."""
    context = browser.new_context(**options)
    context.set_default_timeout(15_000)
    opened = Tab(context.new_page())

    def failed(request: Any) -> None:
        # A media element ends its requests itself, once it has read enough of a file.
        if not (request.resource_type == "media" and request.failure == "net::ERR_ABORTED"):
            opened.problems.append(f"{request.url}: {request.failure}")

    opened.page.on("request", lambda request: opened.requests.append(request.url))
    opened.page.on("requestfailed", failed)
    opened.page.on("pageerror", lambda error: opened.problems.append(str(error)))
    opened.page.on("console", lambda said: opened.problems.append(said.text))
    opened.page.on("dialog", lambda asked: (opened.problems.append(asked.message), asked.dismiss()))
    yield opened
    context.close()


def bytes_read() -> int:
    """What all browser processes under this one have read so far, of files and pipes."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        try:
            if "chrom" in process.name():
                total += process.io_counters().read_chars
        except psutil.NoSuchProcess:
            continue
    return total


def time(page: Any) -> float:
    """Where the sound is, in seconds."""
    return page.evaluate("document.getElementById('audio').currentTime")


def paused(page: Any) -> bool:
    return page.evaluate("document.getElementById('audio').paused")


def source(page: Any) -> str:
    """What <audio> plays."""
    return page.evaluate("document.getElementById('audio').getAttribute('src')")


def readout(page: Any) -> str:
    """The line under the picture."""
    return page.locator("#readout").inner_text()


def chosen(page: Any) -> list[str]:
    """The filters that are marked in the contact sheet."""
    tiles = page.locator("[role=option][aria-selected=true]")
    return [tile.get_attribute("data-filter") for tile in tiles.all()]


def reach(page: Any, seconds: float) -> None:
    """Waits until the sound is there."""
    page.wait_for_function("t => document.getElementById('audio').currentTime >= t", arg=seconds)


def play_until(page: Any, seconds: float) -> None:
    page.get_by_role("button", name="Play", exact=True).click()
    reach(page, seconds)


def choose_filter(page: Any, bank: int, filter_name: int) -> None:
    page.get_by_label(f"Bank {bank}", exact=True).check()
    page.locator(f"[data-filter='{filter_name}']").click()
