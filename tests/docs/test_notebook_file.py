"""docs/notebook.ipynb runs from first cell to last; the README's figures and sound can be made."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
import pyvips
import soundfile
from nbclient import NotebookClient

from tests.helpers.browser import find_browser
from tests.helpers.reference import ROOT

pytestmark = pytest.mark.docs

DOCS = ROOT / "docs"
NOTEBOOK = DOCS / "notebook.ipynb"
FIGURES = ("picture-and-sound.png", "report.png")


def test_the_notebook_is_stored_without_results() -> None:
    stored = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(stored)
    cells = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert len(cells) > 8
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    assert [cell.metadata.get("tags") for cell in cells].count(["parameters"]) == 1


def shown(cell: Any) -> str:
    """Everything that a cell shows, as JSON."""
    return json.dumps([out.get("data", out.get("text")) for out in cell.outputs])


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a kernel of this interpreter, on a small picture."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))  # no kernel that somebody has installed here
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (given,) = (cell for cell in notebook.cells if cell.metadata.get("tags") == ["parameters"])
    given.source = 'WIDTH, HEIGHT, WEIGHTS, FOLDER = 240, 160, "untrained", "a run"'
    notebook.cells.append(nbformat.v4.new_code_cell("import sys; print(sys.executable)"))
    NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    by_name = {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}
    assert notebook.cells[-1].outputs[0].text.strip() == sys.executable
    said = [out for cell in by_name.values() for out in cell.outputs if out.get("name") == "stderr"]
    assert not said  # no warnings
    for name in ("picture", "sum", "render"):
        assert "<audio controls" in shown(by_name[name]), name
    assert 'href=\\"a%20run/index.html\\"' in shown(by_name["picture"])
    assert "data:image/jpeg;base64," in shown(by_name["mosaic"])
    assert "xarray.DataArray" in shown(by_name["array"])
    assert re.search(r"filter \d+: [\d.]+ in the sun", shown(by_name["place"]))
    for name in ("plot", "spectrogram"):
        assert "image/png" in shown(by_name[name]), name
    assert (tmp_path / "filter.flac").exists()


def test_the_figures_are_there_and_small() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in FIGURES:
        assert f"](docs/figures/{name})" in readme
        assert (DOCS / "figures" / name).stat().st_size < 300_000


def test_the_sound_is_there_short_and_small() -> None:
    sound = DOCS / "figures/mix.ogg"
    assert "](docs/figures/mix.ogg)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert 'src="figures/mix.ogg"' in (DOCS / "index.md").read_text(encoding="utf-8")
    assert sound.stat().st_size < 150_000
    assert soundfile.info(str(sound)).duration < 15


def test_the_figures_can_be_made(tmp_path: Path) -> None:
    pytest.importorskip("playwright", reason="playwright is not installed: no browser")
    if find_browser() is None:
        pytest.skip("no browser here")
    words = [DOCS / "readme_figures.py", "--out", tmp_path, "--width", 120, "--height", 80]
    done = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    for name in FIGURES:
        image = pyvips.Image.new_from_file(str(tmp_path / name))
        assert image.width >= 1000 and image.height >= 700
        assert image.colourspace("b-w").deviate() > 10  # something is in it
    samples, _ = soundfile.read(tmp_path / "mix.ogg")
    assert samples.shape[1] == 2 and samples.std() > 0.01
