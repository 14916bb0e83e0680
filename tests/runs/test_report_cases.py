"""Reports of odd runs: none wanted, hostile names and labels, what browsers do not play; how large one is."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from netsounds_stream import check, sonify
from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.planning import sound_plan
from tests.helpers.reference import page_data
from tests.helpers.reports import HEIGHT, SHORT, WIDTH, assert_links_lead_somewhere, samples_of

pytestmark = pytest.mark.slow


def test_no_report(tmp_path: Path, small_picture: Path, weights_file: Path) -> None:
    words = {"weights": str(weights_file), **SHORT, "banks": (4,), "scheme": "sum"}
    with_it, without = (
        sonify(small_picture, tmp_path / str(each), report=each, **words) for each in (True, False)
    )
    assert without.page is None and "--no-report" in without.record["command"]
    names = {path.name for path in without.folder.iterdir()}
    assert names == {path.name for path in with_it.folder.iterdir()} - {"index.html", "pictures", "report"}
    assert without.record["files"] == [*without.record["files"]] == with_it.record["files"][1:-2]
    for path in without.folder.rglob("*"):
        if path.is_file() and path.name not in ("run.json", "zarr.json"):
            assert path.read_bytes() == (with_it.folder / path.relative_to(without.folder)).read_bytes()
    assert "report" in with_it.record["seconds"] and "report" not in without.record["seconds"]


NAMES = ["a b#c%41?&:d;e ä 漢.png", "<script>alert(1)<\u2215script> 'quoted' \"twice\".png"]


@pytest.mark.parametrize("name", NAMES)
def test_names_and_labels_that_look_like_something_else(
    tmp_path: Path, small_picture: Path, weights_file: Path, name: str
) -> None:
    odd = tmp_path / name
    odd.write_bytes(small_picture.read_bytes())
    label = f"</script><script>alert(1)</script> {name} {{{{ 7 * 7 }}}}"
    run = sonify(
        odd, tmp_path / "the run #1 50%", weights=str(weights_file), **{**SHORT, "label": label}, banks=(4,),
        scheme=("sum", "filters"), filters="1",
    )  # fmt: skip
    assert_links_lead_somewhere(run.folder)
    data = page_data(run.folder)
    assert (data["title"], data["picture"]["name"]) == (label, name)
    page = (run.folder / "index.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "alert(1)</script>" not in page and "{{ 7 * 7 }}" in page
    assert page.count("<script") == page.count("</script>") == 10
    check(run.folder).require_whole()


def test_what_browsers_do_not_play_has_forms(
    tmp_path: Path, small_picture: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if WAVs of 40 kB were past four gigabytes: RF64, and a FLAC form a filter."""
    monkeypatch.setattr(sound_plan, "_WAV_LIMIT_BYTES", 40_000)
    words = {
        "weights": str(weights_file),
        **SHORT,
        "banks": (2, 4),
        "scheme": ("sum", "concat"),
        "mix": False,
    }
    run = sonify(small_picture, tmp_path / "run", **words)
    assert soundfile.info(tmp_path / "run" / "activations-4_a_concat.wav").format == "RF64"
    data = page_data(run.folder)
    by_id = {sound["id"]: sound for sound in data["sounds"]}
    assert by_id["2-sum"]["note"] is None
    concat = by_id["4-concat"]
    assert concat["play"] is None and len(concat["parts"]["plays"]) == 512 and concat["type"] == "audio/flac"
    assert concat["note"].startswith("activations-4_a_concat.wav is RF64, which browsers do not play")
    whole = samples_of(run.folder, concat["file"])
    heard = [samples_of(run.folder, name) for name in concat["parts"]["plays"]]
    assert {len(each) for each in heard} == {len(whole) // 512}
    np.testing.assert_allclose(np.concatenate(heard), whole, atol=1.02 / 32768)
    assert_links_lead_somewhere(run.folder)
    check(run.folder).require_whole()


def test_resampled_concat_is_cut_where_filters_end(
    tmp_path: Path, small_picture: Path, weights_file: Path
) -> None:
    """Filters are some whole samples and a fraction long: the FLAC form of each begins where it does."""
    words = {"weights": str(weights_file), **SHORT, "banks": (4,), "scheme": ("concat",), "mix": False}
    run = sonify(small_picture, tmp_path / "run", **words, subtype="FLOAT", resample=11025)
    (concat,) = page_data(run.folder)["sounds"]
    each = Fraction(usual_banks().length(4, "y", WIDTH) * usual_banks().length(4, "y", HEIGHT) * 11025, 8000)
    assert each.denominator > 1 and len(concat["parts"]["plays"]) == len(concat["parts"]["filters"]) == 512
    whole = samples_of(run.folder, concat["file"])
    for at in (0, 1, 100, 511):
        heard = samples_of(run.folder, concat["parts"]["plays"][at])
        expected = whole[math.ceil(at * each) : math.ceil((at + 1) * each)]
        np.testing.assert_allclose(heard, expected, atol=1.02 / 32768)
