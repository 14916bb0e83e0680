"""`plot` and `gallery` on real runs: the run's pictures again, one filter's, references, errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import pyvips
import zarr
from PIL import Image

from netsounds_stream import check, sonify
from netsounds_stream.base.checksums import sealed
from netsounds_stream.errors import OptionError, OutputError, StoreError
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.report.gallery import FailedPicture, gallery
from netsounds_stream.report.images import brightness, coloured
from netsounds_stream.report.plot import plot
from tests.helpers.forks import forked
from tests.helpers.reports import Links, cell_means

pytestmark = pytest.mark.slow

SHORT = {"duration": 1.0, "fft_size": 512, "sample_rate": 8000}


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    pyvips.Image.new_from_array(draw(301, 207)).pngsave(str(path))
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, picture: Path, weights_file: Path) -> Path:
    """Runs: usual, along y (with a label that ends as a sum's file name does), bare of a report, of a mix."""
    folder = tmp_path_factory.mktemp("runs")
    words: dict[str, Any] = {"weights": str(weights_file), **SHORT}
    sonify(picture, folder / "usual", **words, label="a", banks=(1, 4))
    turned = {"time_axis": "y", "scheme": ("sum", "concat", "filters"), "filters": "1,2"}
    sonify(picture, folder / "along y #2", **words, **turned, label="x_sum", banks=(2,))
    sonify(picture, folder / "bare", **words, label="c", banks=(4,), report=False, activations=False)
    sonify(picture, folder / "no mix", **words, label="<i>d</i>", banks=(4,), scheme="sum", mix=False)
    return folder


@pytest.mark.parametrize("name", ["usual", "along y #2"])
def test_plot_makes_the_runs_pictures_again(runs: Path, tmp_path: Path, name: str) -> None:
    """Pixel by pixel, but for last bits of float sums: filters are read in other groups than they came in."""
    run = runs / name
    written = plot(run, out=tmp_path)
    theirs = {path.name for path in (run / "pictures").iterdir() if "filter-" not in path.name}
    assert {path.name for path in written} == {each for each in theirs if "concat" not in each}
    assert len(written) == 2 + 4 * len(json.loads((run / "run.json").read_text())["options"]["banks"])
    for path in written:
        with Image.open(path) as mine, Image.open(run / "pictures" / path.name) as usual:
            assert mine.size == usual.size
            difference = np.abs(np.asarray(mine.convert("RGB"), int) - np.asarray(usual.convert("RGB"), int))
        if path.suffix == ".jpg":
            assert difference.max() <= 24 and (difference > 2).mean() < 1e-3, path
        else:  # of sounds: the mix was seen before it was dithered
            assert (difference > 40).mean() < 0.005, path
    assert check(run).unknown == ()


@pytest.mark.parametrize("reduce", ["mean", "max"])
def test_a_filters_picture(runs: Path, tmp_path: Path, reduce: str) -> None:
    """Against cells of the stored array, at a size that divides nothing; upright."""
    for name, number, plane in (("usual", 1, "activations-1_a"), ("along y #2", 2, "activations-2_x_sum")):
        (path,) = plot(
            runs / name, bank=number, filter=7, reduce=reduce, size=47, format="png", out=tmp_path / name
        )
        assert path.name == f"bank-{number}_filter-007{'' if reduce == 'mean' else '_max'}.png"
        values = zarr.open_array(str(runs / name / f"{plane}.zarr"), mode="r")[7:8].astype(np.float64)
        factor = -(-max(values.shape) // 47)
        cells = cell_means(values, factor)[0]
        if reduce == "max":
            starts = [np.arange(0, length, factor) for length in values.shape[1:]]
            cells = np.maximum.reduceat(np.maximum.reduceat(values[0], starts[0], 0), starts[1], 1)
        with Image.open(path) as image:
            assert max(image.size) <= 47 and image.size == cells.shape[::-1]
            shown = np.asarray(image.convert("RGB"), int)
        expected = np.asarray(coloured(brightness(cells)).convert("RGB"), int)
        assert np.abs(shown - expected).max() <= 8  # a step of the map, where a last bit turned it


def test_a_filters_picture_of_single_values(runs: Path, tmp_path: Path) -> None:
    (path,) = plot(runs / "usual", bank=4, filter=0, format="png", out=tmp_path)
    values = zarr.open_array(str(runs / "usual" / "activations-4_a.zarr"), mode="r")[0].astype(np.float32)
    with Image.open(path) as image:
        np.testing.assert_array_equal(
            np.asarray(image.convert("RGB")), np.asarray(coloured(brightness(values)).convert("RGB"))
        )


def test_what_plot_adds_is_the_runs(runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs / "usual", run)
    (path,) = plot(run, bank=4, filter=300, size=10)
    assert path.parent == run / "pictures" and path.suffix == ".jpg"
    plot(run, bank=1)
    found = check(run)
    found.require_whole()
    assert found.unknown == ()
    plain = tmp_path / "plain"
    shutil.copytree(runs / "no mix", plain)
    shutil.rmtree(plain / "pictures")
    assert len(check(plain).damaged) > 3
    plot(plain)
    assert {each.name for each in check(plain).damaged} == {
        name for name in json.loads((plain / "run.json").read_text())["checksums"] if "filter-" in name
    }


@pytest.mark.process
def test_errors_of_plot_are_one_line(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    old = tmp_path / "old"
    old.mkdir()
    record = json.loads((runs / "usual" / "run.json").read_text())
    del record["plan"]["report_workers"]
    (old / "run.json").write_text(sealed(record))
    usual = str(runs / "usual")
    cases: list[tuple[int, str, tuple[object, ...]]] = [
        (2, "no bank 3; use one of 1, 4", (usual, "--bank", 3)),
        (2, "no filter 96", (usual, "--bank", 1, "--filter", 96)),
        (2, "no filter -1", (usual, "--bank", 1, "--filter", -1)),
        (2, "--bank", (usual, "--filter", 1)),
        (2, "size cannot be 0", (usual, "--bank", 1, "--filter", 1, "--size", 0)),
        (2, "'mean', 'max'", (usual, "--reduce", "median")),
        (2, "'jpg', 'png'", (usual, "--format", "bmp")),
        (1, "no finished run", (tmp_path,)),
        (1, "no finished run", (tmp_path / "absent",)),
        (1, "has no array of bank 4", (runs / "bare",)),
        (1, "another version", (old,)),
        (1, "choose another --out", (usual, "--out", tmp_path / "file")),
        (1, "choose another --out", (usual, "--out", tmp_path / "file" / "below")),
    ]
    before = sorted(path.name for path in tmp_path.iterdir())
    for status, says, words in cases:
        done = forked("plot", *words, "--quiet")
        assert (done.returncode, len(done.stderr.splitlines())) == (status, 1), (words, done.stderr)
        assert says in done.stderr and done.stdout == "", done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert not (runs / "bare" / "pictures").exists()


def test_a_gallery(runs: Path, tmp_path: Path) -> None:
    names = ["usual", "along y #2", "bare", "no mix"]
    page = gallery([runs / name for name in names], tmp_path / "g #1" / "out", title="all & <sundry>")
    text = page.read_text(encoding="utf-8")
    assert page == tmp_path / "g #1" / "out" / "index.html"
    assert "all &amp; &lt;sundry&gt;" in text and "&lt;i&gt;d&lt;/i&gt;" in text and "<i>" not in text
    links = [link for link in Links(text).found if not link.startswith("data:")]
    for link in links:
        assert ":" not in link and not link.startswith("/"), link
        assert (page.parent / unquote(link)).exists(), link
    targets = {(page.parent / unquote(link)).resolve() for link in links}
    for name in names:
        run = (runs / name).resolve()
        assert (run if name == "bare" else run / "index.html") in targets
        assert (run / "mix.wav" in targets) == (name != "no mix")
    assert text.count("<audio") == 3 and text.count("<img") == 3
    for name in names:  # four runs of one picture can be told apart
        assert f">a.png ({name})</a>" in text
    assert "x_sum, 301 × 207 px" in text
    thumbnails = [Image.open(path) for path in sorted((page.parent / "thumbnails").iterdir())]
    assert [image.size for image in thumbnails] == [(301, 207)] * 3
    assert gallery([runs / "bare"], page.parent) == page  # again, with others
    assert ">a.png</a>" in page.read_text(encoding="utf-8")
    failed = [FailedPicture("<b>.jpg", "it is cut short & cannot be read")]
    gallery([runs / "bare"], page.parent, failed=failed)
    text = page.read_text(encoding="utf-8")
    assert "1 picture, 1 failed" in text and "&lt;b&gt;.jpg" in text and "cut short &amp; cannot" in text
    gallery([], page.parent, failed=failed)
    assert "0 pictures, 1 failed" in page.read_text(encoding="utf-8")
    both = tmp_path / "together"
    shutil.copytree(runs / "usual", both / "usual")
    gallery([both / "usual"], both / "page")
    shutil.move(both, tmp_path / "moved")  # runs and gallery together
    moved = tmp_path / "moved" / "page" / "index.html"
    for link in Links(moved.read_text(encoding="utf-8")).found:
        assert link.startswith("data:") or (moved.parent / unquote(link)).exists()


@pytest.mark.process
def test_what_no_gallery_can_be(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no run was given"):
        gallery([], tmp_path / "out")
    with pytest.raises(OutputError, match="no finished run"):
        gallery([runs / "usual", tmp_path], tmp_path / "out")
    with pytest.raises(OutputError, match="--out"):
        gallery([runs / "usual"], runs / "bare")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="--out"):
        gallery([runs / "usual"], tmp_path / "file")
    theirs = tmp_path / "site"
    theirs.mkdir()
    (theirs / "index.html").write_text("<title>my home page</title>")
    with pytest.raises(OutputError, match="--out"):
        gallery([runs / "usual"], theirs)
    assert (theirs / "index.html").read_text() == "<title>my home page</title>"
    shutil.copytree(runs / "no mix", tmp_path / "run")
    (tmp_path / "run" / "report" / "picture.jpg").write_bytes(b"RIFF")
    with pytest.raises(StoreError, match="make the run again"):
        gallery([tmp_path / "run"], tmp_path / "out")
    done = forked("gallery", runs / "usual", runs / "bare", "--out", runs / "no mix")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    done = forked("gallery", runs / "usual", runs / "bare", "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'out' / 'index.html'}\n")
