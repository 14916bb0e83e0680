"""docs/pictures.md: its table is what opening a picture of each kind gives."""

from __future__ import annotations

import importlib.util
import json
from types import ModuleType

import pytest

from tests.helpers.reference import ROOT

pytestmark = pytest.mark.docs


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pictures_table", ROOT / "docs" / "pictures.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_that_of_the_results(pictures: ModuleType) -> None:
    results = json.loads(pictures.RESULTS.read_text(encoding="utf-8"))
    assert pictures.page(results) == pictures.PAGE.read_text(encoding="utf-8")


def test_the_results_are_those_of_opening_each(pictures: ModuleType) -> None:
    """For the column of this libvips; the other column stays as it was committed."""
    results = json.loads(pictures.RESULTS.read_text(encoding="utf-8"))
    columns = [each for each in results.values() if each["libvips"] == pictures.libvips()]
    if not columns:
        pytest.skip(f"no column of docs/pictures.md is of libvips {pictures.libvips()}")
    assert pictures.everything() == columns[0]["kinds"]
