"""Damaged files: every format cut at twenty places, and a thousand mutations of small valid files.

None may crash the interpreter, hang, take memory beyond its limit or show a traceback; the worker that opens
them is a process of its own. `NETSOUNDS_MUTATIONS=20000` makes a longer soak of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.helpers.mutation_worker import LIMIT_BYTES, PLACES, opened, sources
from tests.helpers.mutations import COUNT, outcomes, write_sources

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="limits and /proc as Linux has them"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mutations")
    write_sources(folder)
    return folder


def test_every_format_cut_at_twenty_places(folder: Path) -> None:
    """Refused, or, where what is lost is no pixel, the same to the last byte."""
    files = sources(folder)
    assert len(files) >= 30
    found = outcomes(folder, "cut", PLACES * len(files))
    assert not found.defects, "\n".join(found.defects)
    whole = {str(name): opened(folder / name) for name in files}
    for line in found.answers:
        if line["outcome"] == "ok":
            assert line["text"] == whole[line["file"]], line
    assert found.by_outcome()["ok"] < len(files)  # of twenty times as many


def test_a_thousand_mutations(folder: Path) -> None:
    found = outcomes(folder, "flip", COUNT)
    assert not found.defects, "\n".join(found.defects)
    assert found.by_outcome().total() == COUNT
    assert found.by_outcome()["ok"] > COUNT // 20  # they are small enough to leave some files readable
    assert found.peak_bytes < LIMIT_BYTES
    print(dict(found.by_outcome()))
