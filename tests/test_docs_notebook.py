"""docs/notebook.ipynb: executed from its first cell to its last, on a small picture."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "docs" / "notebook.ipynb"
SMALL = ("WIDTH, HEIGHT = 768, 512", "WIDTH, HEIGHT = 168, 112")


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert SMALL[0] in first.source
    first.source = first.source.replace(*SMALL)
    folder = tmp_path_factory.mktemp("notebook")
    client = NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(folder)}})
    return client.execute()


def results(notebook: nbformat.NotebookNode, start: str) -> dict[str, str]:
    """What the cell that begins so showed, by media type."""
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.startswith(start)]
    shown = [output.data for output in cell.outputs if "data" in output]
    return {kind: text for each in shown for kind, text in each.items()}


def test_it_is_stored_without_outputs() -> None:
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert cell.cell_type == "markdown" or (not cell.outputs and cell.execution_count is None)


def test_it_runs_and_shows_what_it_says(executed: nbformat.NotebookNode) -> None:
    for start in ("run.mix", "run.filter(1, 17)", "from netsounds_stream import render"):
        assert "<audio" in results(executed, start)["text/html"]
    assert "data:image/webp;base64," in results(executed, "run.mosaic(2)")["text/html"]
    assert "shape=(512, " in results(executed, "run.activations(3)")["text/plain"]
    assert "image/png" in results(executed, "import matplotlib")
    middle = results(executed, "bank = run.dataarray(3)")["text/plain"]
    x, y = (float(text) for text in middle.strip("()").split(",")[-2:])
    assert abs(x - 84) <= 8 and abs(y - 56) <= 8  # within a stride of the picture's middle
