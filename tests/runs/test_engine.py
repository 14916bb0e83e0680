"""Whole runs against the plain whole-image way, and what a run promises about its folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import pyvips
import soundfile
import torch
import zarr

from netsounds_stream import plan, render, sonify, verify
from netsounds_stream.base.device import Transfers
from netsounds_stream.errors import BudgetError, OptionError, OutputError, PictureError, RangeError
from netsounds_stream.network.networks import Network
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.planning.options import SonifyOptions
from netsounds_stream.run.layout import file_label, outputs
from tests.helpers.plain_sound import plain_sound
from tests.helpers.reference import TIMED, TRAINED, normalised, whole_image


@pytest.mark.parametrize(("width", "height", "time_axis"), [
    pytest.param(250, 170, "x", marks=pytest.mark.slow),
    pytest.param(170, 250, "y", marks=pytest.mark.slow),
    (150, 99, "y"),
])  # fmt: skip
def test_a_run_is_the_whole_image_way(
    tmp_path: Path, weights: Network, weights_file: Path, width: int, height: int, time_axis: str
) -> None:
    pixels = draw(width, height)
    pyvips.Image.new_from_array(pixels).pngsave(str(tmp_path / "a.png"))
    chosen = "auto" if time_axis == ("x" if width >= height else "y") else time_axis
    run = sonify(
        tmp_path / "a.png",
        tmp_path / "out",
        weights=str(weights_file),
        report=False,
        time_axis=chosen,
        label="a/b: c",
        scheme=("sum", "concat", "filters"),
        subtype="FLOAT",
        duration=1,
    )
    banks, _ = whole_image(weights, normalised(pixels))
    for number, reference in banks.items():
        stem = f"activations-{number}_a_b_-c"
        array = zarr.open_array(str(run.folder / f"{stem}.zarr"), mode="r")
        largest = float(reference.abs().max())
        # float16 rounding, half a unit in the 11th bit, on top of the stream's 1e-5
        np.testing.assert_allclose(array[:], reference.numpy(), rtol=2**-11, atol=2e-5 * largest)
        assert array.attrs["stride_pixels"] == 2**number
        assert array.attrs["picture"]["sha256"] == run.record["picture"]["sha256"]
        for scheme in ("sum", "concat"):
            sound, _ = soundfile.read(run.folder / f"{stem}_{scheme}.wav")
            expected = plain_sound(array[:], scheme, "bank", "peak", time_axis)
            np.testing.assert_allclose(sound, expected, atol=1e-5)
        files = sorted((run.folder / f"{stem}_filters").iterdir())
        assert len(files) == array.shape[0]
        expected = plain_sound(array[:], "filters", "bank", "peak", time_axis)
        for filter_number in (0, 41, 95):
            sound, _ = soundfile.read(files[filter_number])
            np.testing.assert_allclose(sound, expected[filter_number], atol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "out"]
    record = json.loads((run.folder / "run.json").read_text())
    assert record == run.record
    assert record["files"] == outputs(run.folder)
    assert not list(run.folder.rglob("*spool*"))


def test_without_activations_the_sound_is_the_same(
    tmp_path: Path, picture_file: Path, weights_file: Path
) -> None:
    words = {"weights": str(weights_file), "report": False, "label": "same", "banks": (1, 3), "duration": 3}
    kept = sonify(picture_file, tmp_path / "kept", **words)
    one_pass = sonify(picture_file, tmp_path / "sum", scheme="sum", activations=False, **words)
    two_passes = sonify(picture_file, tmp_path / "both", activations=False, **words)
    for run in (one_pass, two_passes):
        wavs = [path for path in run.files if path.suffix == ".wav"]
        assert {path.name for path in run.files} - {path.name for path in wavs} == {
            "sums-1_same.zarr",
            "sums-3_same.zarr",
        }
        for wav in wavs:
            assert wav.read_bytes() == (kept.folder / wav.name).read_bytes()


@pytest.mark.parametrize("scheme", ["sum", "concat"])
def test_render_repeats_the_run(tmp_path: Path, picture_file: Path, weights_file: Path, scheme: str) -> None:
    for balance, scale in (("bank", "peak"), ("filter", "peak"), ("filter", "minmax")):
        words = {"balance": balance, "scale": scale}
        run = sonify(
            picture_file, tmp_path / "run", weights=str(weights_file), banks=(3,), label="a", scheme=scheme,
            mix=False, report=False, overwrite=True, **words,
        )  # fmt: skip
        array, wav = run.files
        render(array, tmp_path / "again.wav", scheme=scheme, overwrite=True, **words)
        first, _ = soundfile.read(wav, dtype="int16")
        again, _ = soundfile.read(tmp_path / "again.wav", dtype="int16")
        # sums and peaks are added up in another order, which may turn a rounding
        assert int(np.abs(first.astype(int) - again).max()) <= 1


@pytest.mark.parametrize(
    ("name", "label", "shape"),
    [("mixing_bowl", "mixing bowl", (512, 15, 21)), ("wine_bottle", "wine bottle", (512, 21, 15))],
)
def test_real_photographs_are_named(
    data: Path, tmp_path: Path, name: str, label: str, shape: tuple[int, ...]
) -> None:
    run = sonify(
        data / "images" / f"{name}.jpg",
        tmp_path / "run",
        weights=str(data / TRAINED),
        size=256,
        banks=(4,),
        duration=1,
    )
    assert run.label == label
    stem = f"activations-4_{file_label(label)}"
    assert [path.name for path in run.files] == [
        "mix.wav", f"{stem}.zarr", f"{stem}_sum.wav", f"sums-4_{file_label(label)}.zarr"
    ]  # fmt: skip
    assert zarr.open_array(str(run.files[1]), mode="r").shape == shape


def test_netsounds_own_activations(data: Path, tmp_path: Path) -> None:
    """The array that netsounds recorded: the same photograph and size, other weights.

    They are not torchvision's, so that values differ; the shape must not.
    """
    golden = np.load(data / "golden" / "activations-4_mixing-bowl.npy")
    picture = data / "images" / "mixing_bowl.jpg"
    planned = plan(picture, tmp_path, size=256, weights=str(data / TRAINED))
    assert planned.banks[3].shape == golden.shape


def test_verify_agrees(picture_file: Path, weights_file: Path) -> None:
    result = verify(picture_file, weights=str(weights_file))
    assert result.agreed
    assert (result.width, result.height) == (331, 230)
    assert all(0 < each.relative <= 1e-5 for each in result.banks)
    with pytest.raises(BudgetError, match="whole-image"):
        verify(picture_file, weights=str(weights_file), size=20000)


def test_verify_notices_a_difference(
    picture_file: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netsounds_stream.network.operators import PoolDown

    whole = PoolDown.__call__
    monkeypatch.setattr(PoolDown, "__call__", lambda *given: tuple(part * 1.0001 for part in whole(*given)))
    assert not verify(picture_file, weights=str(weights_file)).agreed


def test_an_existing_run_is_kept(tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    words = {"weights": str(weights_file), "report": False, "banks": (4,), "scheme": "sum", "duration": 1}
    first = sonify(picture_file, tmp_path / "run", label="one", **words)
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    with pytest.raises(OutputError, match="--overwrite"):
        sonify(picture_file, tmp_path / "run", label="two", **words)
    assert before == {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    sonify(picture_file, tmp_path / "run", label="two", overwrite=True, **words)
    of_the_label = [name for name in outputs(first.folder) if name.startswith("activations")]
    assert of_the_label and all("two" in name for name in of_the_label)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]

    foreign = tmp_path / "letters"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="no run"):
        sonify(picture_file, foreign, overwrite=True, **words)
    with pytest.raises(OutputError, match="is a file"):
        sonify(picture_file, foreign / "letter.txt", overwrite=True, **words)
    assert (foreign / "letter.txt").read_text() == "dear"


def test_a_failing_run_leaves_nothing(tmp_path: Path, weights: Network, weights_file: Path) -> None:
    pyvips.Image.new_from_array(draw(400, 900)).jpegsave(str(tmp_path / "a.jpg"))
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) * 3 // 4])
    with pytest.raises(PictureError, match=r"cut\.jpg"):
        sonify(tmp_path / "cut.jpg", tmp_path / "out", weights=str(weights_file), report=False)

    first = "features.0.weight"
    loud = {**weights.state, first: weights.state[first] * 3e5}
    torch.save(loud, tmp_path / "loud.pth")
    with pytest.raises(RangeError, match=r"bank 1 .* 65504"):
        sonify(tmp_path / "a.jpg", tmp_path / "out", weights=str(tmp_path / "loud.pth"))
    left = {"a.jpg", "cut.jpg", "loud.pth"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_options_by_words() -> None:
    with pytest.raises(OptionError, match="colour"):
        sonify("a.png", "out", colour="red")  # type: ignore[call-arg]
    with pytest.raises(OptionError, match="not both"):
        sonify("a.png", "out", SonifyOptions(), size=3)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("mixing bowl", "mixing-bowl"),
        ("jack-o'-lantern", "jack-o'-lantern"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("a\nb\tc:d*?", "a-b-c_d__"),
        ("Grüße", "Grüße"),
        ("x" * 500, "x" * 80),
    ],
)
def test_labels_in_file_names(label: str, name: str) -> None:
    assert file_label(label) == name


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_takes_white_in_16_bits(tmp_path: Path, weights_file: Path, precision: str) -> None:
    deep = draw(90, 70).astype(np.uint16) * 257
    deep[:20] = 65535  # past float16's range, as pixels
    pyvips.Image.new_from_array(deep).copy(interpretation="rgb16").pngsave(
        str(tmp_path / "a.png"), bitdepth=16
    )
    words = {"weights": str(weights_file), "report": False, "label": "a", "scheme": "sum", "mix": False}
    exact = sonify(tmp_path / "a.png", tmp_path / "fp32", **words)
    half = sonify(tmp_path / "a.png", tmp_path / precision, precision=precision, **words)
    for mine, theirs in zip(half.files, exact.files, strict=True):
        if mine.suffix == ".zarr":
            a, b = (zarr.open_array(str(path), mode="r")[:].astype(np.float32) for path in (mine, theirs))
            # 11 and 8 significant bits through up to 26 layers
            assert np.abs(a - b).max() <= {"fp16": 1e-2, "bf16": 5e-2}[precision] * b.max()
    assert verify(tmp_path / "a.png", weights=str(weights_file), precision=precision).agreed


def test_only_runs_of_ours_are_replaced(tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    words = {
        "weights": str(weights_file),
        "report": False,
        "banks": (4,),
        "scheme": "sum",
        "mix": False,
        "overwrite": True,
    }
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "run.json").write_text('{"speed": "5 km/h"}')
    with pytest.raises(OutputError, match="no run"):
        sonify(picture_file, theirs, **words)
    run = sonify(picture_file, tmp_path / "run", **words)
    (run.folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        sonify(picture_file, run.folder, **words)
    assert (run.folder / "notes.txt").read_text() == "mine"


def test_out_may_be_a_link(tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for _ in range(2):
        sonify(
            picture_file,
            tmp_path / "link",
            weights=str(weights_file),
            report=False,
            banks="4",
            scheme="sum",
            mix=False,
            overwrite=True,
        )
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "run.json").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"real", "link"}


def test_an_overflowing_classifier_is_no_name(picture_file: Path) -> None:
    from netsounds_stream.network.label import top5

    assert top5(torch.full((3,), torch.nan), ("a", "b", "c")) == ()


def test_stopping_the_decoder(tmp_path: Path) -> None:
    from netsounds_stream.picture.picture import open_picture, write_spool

    pyvips.Image.new_from_array(draw(1500, 1200)).jpegsave(str(tmp_path / "a.jpg"))

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_spool(open_picture(tmp_path / "a.jpg"), tmp_path / "spool.tif", stop)


def test_results_that_arrive_later_are_taken_in_order(
    picture_file: Path, weights_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where hooks leave before their copies are there; here all copies are there at once."""
    words = {"weights": str(weights_file), "report": False, "banks": (1, 4), "label": "a", "duration": 1}
    usual = sonify(picture_file, tmp_path / "usual", **words)
    monkeypatch.setattr(Transfers, "overlapped", property(lambda self: True))
    later = sonify(picture_file, tmp_path / "later", **words)
    assert later.record["files"] == usual.record["files"]
    for path in (tmp_path / "usual").rglob("*"):
        if path.is_file() and path.name not in (*TIMED, "zarr.json"):
            assert (
                path.read_bytes() == (tmp_path / "later" / path.relative_to(tmp_path / "usual")).read_bytes()
            )
