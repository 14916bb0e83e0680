"""docs/sound.md: every command line in it is one, and its figures can be made."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import pyvips

from netsounds_stream.cli.commands import cli
from netsounds_stream.cli.options import chosen_options
from netsounds_stream.planning.options import sound_from_words
from netsounds_stream.rendering.paths import Region, parse_path, parse_region

pytestmark = pytest.mark.docs

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "sound.md").read_text(encoding="utf-8")
LINES = re.findall(r"^ {4}netsounds-stream (.+)$", PAGE, re.MULTILINE)
FIGURES = re.findall(r"\(figures/([\w-]+\.png)\)", PAGE)


def test_the_page_has_command_lines() -> None:
    assert len(LINES) > 10


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_is_taken(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("meantone.scl").write_text("a file that a user has\n 2\n 696.57843\n 2/1\n")
    name, *words = shlex.split(line)
    context = cli.commands[name].make_context(name, words)
    given = dict(context.params)
    if name == "render":
        others = ("source", "out", "time_axis", "overwrite", "quiet", "format", "banks", "path_width", "page")
        for other in others:
            given.pop(other)
        whole = Region(x=0, y=0, width=4032, height=3024)
        region = given.pop("region")
        part = whole if region is None else parse_region(region, 4032, 3024)
        parse_path(given.pop("path") or "x", whole, part)
        sound_from_words(**given)
        return
    for other in (
        "image",
        "dpath",
        "image_name",
        "out",
        "work",
        "resume",
        "checkpoint_seconds",
        "cluster",
        "segment_rows",
        "overwrite",
        "quiet",
    ):
        given.pop(other, None)
    given.pop("as_json")
    with context:
        chosen_options(given)


def test_the_figures_are_there_and_small() -> None:
    assert len(FIGURES) == 7
    for name in FIGURES:
        assert (DOCS / "figures" / name).stat().st_size < 80_000


def test_the_figures_can_be_made(tmp_path: Path) -> None:
    words = [DOCS / "figures.py", "--out", tmp_path, "--width", 120, "--height", 80]
    done = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    for name in FIGURES:
        image = pyvips.Image.new_from_file(str(tmp_path / name))
        assert image.width > 900
