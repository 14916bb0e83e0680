"""A photograph at its own size, with every default, by the real command: memory, sound and report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile

from netsounds_stream.planning.memory import REPORT_DISK_BYTES
from tests.helpers.reference import TRAINED, command, page_data

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def photograph(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The run's folder and its record."""
    out = tmp_path_factory.mktemp("photograph") / "run"
    words = ("--weights", data / TRAINED, "--out", out, "--json", "--quiet")
    run = command("sonify", data / "images" / "mixing_bowl.jpg", *words)
    assert run.returncode == 0, run.stderr
    return out, json.loads(run.stdout)


def test_it_is_named_and_sounds_as_planned_in_600_mib(photograph: tuple[Path, dict[str, Any]]) -> None:
    out, record = photograph
    assert record["label"] == "mixing bowl"
    assert record["peak_memory_bytes"] <= min(600 << 20, record["plan"]["peak_memory_bytes"])
    for bank in record["plan"]["banks"]:
        for audio in bank["audio"]:
            wav = out / f"activations-{bank['number']}_mixing-bowl_{audio['scheme']}.wav"
            assert soundfile.info(wav).frames == audio["samples"]


def test_its_report_is_small(photograph: tuple[Path, dict[str, Any]]) -> None:
    """All of it is bounded by cells and columns: larger pictures' are no larger."""
    out, _ = photograph
    beside = [path for path in (out / "report").rglob("*") if path.is_file()]
    parts = [path for path in beside if path.suffix == ".flac"]
    assert sorted(path.name for path in parts) == [f"part-{number}.flac" for number in (1, 2, 3, 4)]
    # A part is stored as a file, and as text that a page opened from disk may load.
    beside = [path for path in beside if not path.match("part-?.*")]
    assert sum(path.stat().st_size for path in (out / "index.html", *beside)) < 3e6
    beside += (out / "pictures").iterdir()
    assert sum(path.stat().st_size for path in (out / "index.html", *beside)) <= REPORT_DISK_BYTES
    written = page_data(out)
    assert written["title"] == "mixing bowl" and len(written["banks"]) == 4
    largest = max(written["picture"]["width"], written["picture"]["height"])
    assert 640 <= largest <= 1280
    for about in written["banks"][:2]:
        assert 64 < max(about["mean"]["tile_width"], about["mean"]["tile_height"]) <= 128
