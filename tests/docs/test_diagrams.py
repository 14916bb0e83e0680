"""The figures of docs/how-it-works.md: made from the code's own numbers, current, and small."""

from __future__ import annotations

import re
import runpy
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from netsounds_stream.graph.usual import usual_banks
from tests.helpers.reference import ROOT

pytestmark = pytest.mark.docs

SCRIPT = runpy.run_path(str(ROOT / "docs/diagrams.py"))
PAGE = (ROOT / "docs/how-it-works.md").read_text(encoding="utf-8")
NAMES = re.findall(r"\(figures/([\w-]+)\.svg\)", PAGE)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    assert SCRIPT["main"](["--out", str(folder)]) == 0
    return folder


def test_every_figure_is_made_and_shown(drawn: Path) -> None:
    assert sorted(NAMES) == sorted(path.stem for path in drawn.glob("*.svg"))
    for path in drawn.glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
        assert (ROOT / "docs/figures" / path.name).stat().st_size < 80_000


def test_the_figures_are_current() -> None:
    assert SCRIPT["main"](["--check"]) == 0


def test_a_figure_of_other_numbers_is_noticed(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in drawn.glob("*.svg"):
        shutil.copy(path, tmp_path)
    assert SCRIPT["main"](["--check", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "fields.svg").read_text(encoding="utf-8")
    (tmp_path / "fields.svg").write_text(
        text.replace(str(usual_banks().banks[2].field), "106"), encoding="utf-8"
    )
    assert SCRIPT["main"](["--check", "--out", str(tmp_path)]) == 1
    assert "code has it: fields;" in capsys.readouterr().err


def test_layers_keep_what_their_kind_does() -> None:
    most = {"conv 7x7": 6, "pool 3x3": 2, "3x3": 2}
    layers = SCRIPT["rows_facts"]()["layers"]
    assert len(layers) == 12
    for layer in layers:
        assert 0 <= layer["kept"] <= min(most[layer["kind"]], layer["rows"])


def test_the_page_has_the_banks_as_they_are() -> None:
    first, second, *_, last = usual_banks().banks
    for said in (
        f"of {first.channels} to {last.channels} **filters**",
        f"Bank 1 sees grain and edges, {first.field} pixels wide; bank 4 sees {last.field} pixels.",
        f"`{second.y.offset} + {second.stride} i`",
    ):
        assert said in " ".join(PAGE.split())
