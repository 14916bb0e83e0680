"""docs/readme_figures.py: the README's figures can be made, and are as large as is good for a page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from .browser import find_browser
from .reference import ROOT

NAMES = ("report.png", "picture-and-sound.png")


def test_they_are_shown_and_small() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\(docs/figures/([\w-]+\.png)\)", readme) == list(NAMES)
    for name in NAMES:
        assert (ROOT / "docs" / "figures" / name).stat().st_size < 300_000


def test_they_can_be_made(tmp_path: Path) -> None:
    if find_browser() is None:
        pytest.skip("no browser here, in which the report is shown")
    words = [ROOT / "docs" / "readme_figures.py", "--out", tmp_path, "--width", 240, "--height", 160]
    done = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        with Image.open(tmp_path / name) as image:
            assert image.width > 800
