"""The documentation's site: it builds without a warning, needs no network, and says what the code says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import netsounds_stream
from netsounds_stream import errors
from tests.helpers.reference import ROOT

pytestmark = pytest.mark.docs

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it, without any network."""
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    pytest.importorskip("mkdocstrings", reason="mkdocstrings is not installed")
    folder = tmp_path_factory.mktemp("site")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"},
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


class _Fetched(HTMLParser):
    """What a browser fetches by itself for a page, and the page's anchors."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {given["id"] or ""} if "id" in given else set()
        wanted = given.get("src") if tag != "link" else given.get("href")
        relations = {"canonical", "next", "prev", "alternate"}
        if wanted and given.get("rel") not in relations:
            self.fetched.append(wanted)


def test_a_page_fetches_what_lies_beside_it(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 8
    for page in pages:
        fetched = _Fetched(page).fetched
        assert fetched
        for each in fetched:
            if page.name == "404.html" or each.startswith("data:"):
                continue  # 404 is for servers, which know where the site begins
            assert (page.parent / each.split("?")[0]).is_file(), (page.name, each)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_every_page_is_reached(site: Path) -> None:
    front = (site / "index.html").read_text(encoding="utf-8")
    for page in DOCS.glob("*.md"):
        assert f'href="{page.stem}.html"' in front or page.stem == "index", page.name


def test_everything_that_is_exported_is_in_the_reference(site: Path) -> None:
    anchors = _Fetched(site / "reference.html").anchors
    for name in netsounds_stream.__all__:
        home = getattr(netsounds_stream, name).__module__
        assert f"{home}.{name}" in anchors
    for name, each in vars(errors).items():
        if isinstance(each, type) and issubclass(each, errors.NetsoundsError):
            assert f"netsounds_stream.errors.{name}" in anchors


def test_the_commands_are_as_the_page_says() -> None:
    assert _run("docs/commands.py", "--check") == (0, "")


def _run(*words: str) -> tuple[int, str]:
    """A script of the documentation's: its exit status and what it says of errors."""
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, cwd=ROOT, check=False, timeout=120
    )
    return done.returncode, done.stderr


def test_sizes_and_times_are_as_the_planner_and_the_results_have_them() -> None:
    assert _run("docs/expect.py", "--check") == (0, "")
    assert _run("docs/scaling.py", "--check") == (0, "")
