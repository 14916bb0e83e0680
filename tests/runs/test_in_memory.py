"""Pictures in memory give what files of the same pixels give, are not copied, and go on by their digest."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import soundfile
from PIL import Image

from netsounds_stream import batch, plan, resume, sonify, verify
from netsounds_stream.base.progress import Stop
from netsounds_stream.errors import BudgetError, ChangedError, OptionError, OutputError, PictureError, Stopped
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.picture.in_memory import PixelSource, pixel_source
from netsounds_stream.picture.picture import open_picture, slabs, small_upright, write_spool
from netsounds_stream.planning.options import SonifyOptions
from netsounds_stream.planning.plan import STORED_MEMORY, STORED_SPOOL, STORED_STREAM
from tests.helpers.runs import contents

WORDS: dict[str, Any] = {"banks": (3, 4), "label": "a", "duration": 0.5}


def deep(pixels: np.ndarray) -> np.ndarray:
    """16 bits a value, all of them in use."""
    return (
        pixels.astype(np.uint16) * 256 + np.arange(pixels.size, dtype=np.uint16).reshape(pixels.shape) % 256
    )


LANDSCAPE, PORTRAIT = draw(161, 107), draw(90, 130)
ALPHA = np.dstack([LANDSCAPE, LANDSCAPE[::-1, :, 0]])
ARRAYS = {
    "RGB": LANDSCAPE,
    "grey": PORTRAIT[:, :, 1].copy(),
    "alpha": ALPHA,
    "16 bits": deep(PORTRAIT),
    "16 bits, grey": deep(LANDSCAPE[:, :, 0]),
    "16 bits, alpha": deep(ALPHA),
}


def saved(array: np.ndarray, path: Path) -> Path:
    pyvips.Image.new_from_array(array, interpretation="auto").pngsave(str(path))
    return path


def upright(given: Path | PixelSource, size: int | None, axis: str, stored: str, folder: Path) -> np.ndarray:
    picture, spool = open_picture(given, size), folder / "spool.tif"
    if stored == STORED_SPOOL:
        write_spool(picture, spool, lambda share: None)
    pieces = list(slabs(picture, time_axis=axis, rows=48, stored=stored, spool=spool))
    return np.concatenate(pieces)


@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize("size", [None, 50, 200])
def test_pixels_are_those_of_a_lossless_file(tmp_path: Path, kind: str, size: int | None) -> None:
    path, source = saved(ARRAYS[kind], tmp_path / "a.png"), pixel_source(ARRAYS[kind])
    assert open_picture(path).full_scale == open_picture(source).full_scale
    for axis, stored in (("y", STORED_STREAM), ("x", STORED_MEMORY), ("x", STORED_SPOOL)):
        expected = upright(path, size, axis, stored, tmp_path)
        np.testing.assert_array_equal(upright(source, size, axis, stored, tmp_path), expected)
    if size is None:  # columns need no spool
        np.testing.assert_array_equal(upright(source, size, "x", STORED_STREAM, tmp_path), expected)
    label = small_upright(open_picture(path), 64, 48)
    np.testing.assert_array_equal(small_upright(open_picture(source), 64, 48), label)


@pytest.mark.parametrize(("kind", "size"), [("RGB", None), ("16 bits", None), ("alpha", 80)])
def test_a_run_is_that_of_a_lossless_file(
    tmp_path: Path, weights_file: Path, kind: str, size: int | None
) -> None:
    """Stores and sounds, to the byte; what names the picture differs."""
    words = {**WORDS, "size": size, "weights": str(weights_file), "report": kind == "RGB"}
    by_file = sonify(saved(ARRAYS[kind], tmp_path / "a.png"), tmp_path / "file", **words)
    by_array = sonify(ARRAYS[kind], tmp_path / "array", **words)
    mine, theirs = contents(by_array.folder), contents(by_file.folder)
    assert set(mine) == set(theirs)
    differ = {name for name in mine if mine[name] != theirs[name]}
    # which name the picture; the page's scripts hold its parts' FLAC files
    differ = {name for name in differ if not (name.startswith("report/part-") and name.endswith(".js"))}
    assert [name for name in differ if not name.endswith(("zarr.json", ".wav", ".flac"))] == []
    for name in differ:
        if not name.endswith("zarr.json"):
            found, expected = (
                soundfile.read(run.folder / name, dtype="int16")[0] for run in (by_array, by_file)
            )
            np.testing.assert_array_equal(found, expected)
    for bank in WORDS["banks"]:
        np.testing.assert_array_equal(by_array.array(bank)[:], by_file.array(bank)[:])
    assert by_array.record["prediction"] == by_file.record["prediction"]


def test_what_the_record_says(tmp_path: Path, small_picture: Path, weights_file: Path) -> None:
    words = {**WORDS, "weights": str(weights_file), "report": False, "mix": False}
    record = sonify(ARRAYS["16 bits"], tmp_path / "array", **words).record
    picture = record["picture"]
    assert picture["in_memory"] == {
        "kind": "numpy array", "shape": [130, 90, 3], "dtype": "uint16", "orientation": 1
    }  # fmt: skip
    assert picture["sha256"] == hashlib.sha256(ARRAYS["16 bits"].tobytes()).hexdigest()
    assert (picture["name"], picture["path"], picture["bits_per_value"]) == ("array", None, 16)
    assert record["command"].startswith("netsounds-stream sonify PICTURE --weights ")
    with Image.open(small_picture) as image:
        by_image = sonify(image, tmp_path / "image", **words)
    by_file = sonify(small_picture, tmp_path / "file", **words)
    assert by_image.record["picture"]["name"] == small_picture.name
    assert by_image.record["picture"]["in_memory"]["kind"] == "PIL image"
    assert "in_memory" not in by_file.record["picture"]
    mine, theirs = contents(by_image.folder), contents(by_file.folder)  # of one name: the sounds are the same
    assert {name for name in mine if mine[name] != theirs[name]} == {
        name for name in mine if name.endswith(".zarr/zarr.json") or name == "zarr.json"
    }


def of_mode(mode: str) -> Image.Image:
    picture = Image.fromarray(LANDSCAPE)
    if mode.startswith("I;16"):
        return Image.fromarray(ARRAYS["16 bits, grey"])
    if mode.endswith("+"):  # one colour is transparent
        picture = picture.convert(mode[:-1])
        palette = picture.mode == "P"
        picture.info["transparency"] = 3 if palette or mode == "L+" else tuple(map(int, LANDSCAPE[5, 9]))
        return picture
    return Image.fromarray(ALPHA).convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "P+", "RGB+"])
@pytest.mark.parametrize("decoded", [True, False])
def test_modes_are_what_a_png_of_them_is(tmp_path: Path, mode: str, decoded: bool) -> None:
    of_mode(mode).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == mode.rstrip("+")
        if decoded:
            image.load()
        mine = upright(pixel_source(image), None, "x", STORED_STREAM, tmp_path)
    expected = upright(tmp_path / "a.png", None, "x", STORED_MEMORY, tmp_path)
    np.testing.assert_array_equal(mine, expected)


@pytest.mark.parametrize("mode", ["La", "RGBa", "RGBX", "PA", "I;16B", "I;16L", "I;16N"])
def test_other_modes_hold_the_same(tmp_path: Path, mode: str) -> None:
    if mode.startswith("I;16"):
        whole = ARRAYS["16 bits, grey"]
        image = Image.frombytes(
            mode, whole.shape[::-1], whole.astype(">u2" if mode[-1] == "B" else "<u2").tobytes()
        )
        np.testing.assert_array_equal(pixel_source(image).pixels, whole)
        return
    alpha, same = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}.get(mode), Image.fromarray(ALPHA)
    image = same.convert("P").convert("PA") if mode == "PA" else same.convert(alpha or "RGB").convert(mode)
    expected = np.asarray(image.convert(alpha or "RGB"))
    np.testing.assert_array_equal(pixel_source(image).pixels, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["png", "tif"])
@pytest.mark.parametrize("decoded", [True, False])
def test_orientation_is_applied_as_to_a_file(
    tmp_path: Path, orientation: int, form: str, decoded: bool
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(LANDSCAPE).save(tmp_path / f"a.{form}", exif=exif)
    expected = upright(tmp_path / f"a.{form}", None, "y", STORED_MEMORY, tmp_path)
    with Image.open(tmp_path / f"a.{form}") as image:
        if decoded:
            image.load()
        source = pixel_source(image)
        np.testing.assert_array_equal(upright(source, None, "y", STORED_STREAM, tmp_path), expected)
    assert (expected.shape[0] > expected.shape[1]) == (orientation > 4)


def test_an_array_is_not_copied() -> None:
    array = draw(300, 200).copy()
    source = pixel_source(array)
    assert source.pending_bytes == 0
    assert np.shares_memory(source.pixels, array)
    array[0, 0] = 7  # seen by libvips, too
    assert source.vips_image()(0, 0) == [7, 7, 7]


@pytest.mark.parametrize("change", ["turned", "every other", "other byte order"])
def test_what_must_be_copied_is_counted(change: str) -> None:
    given = deep(draw(300, 200))
    array = {
        "turned": given.transpose(1, 0, 2),
        "every other": given[:, ::2],
        "other byte order": given.astype(given.dtype.newbyteorder()),
    }[change]
    source = pixel_source(array)
    assert source.pending_bytes == array.nbytes
    np.testing.assert_array_equal(source.pixels, array)
    assert source.pixels.dtype.isnative and source.pending_bytes == 0


def test_a_mapped_file_is_counted(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", LANDSCAPE)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    for array in (mapped, mapped[3:]):
        assert pixel_source(array).pending_bytes == array.nbytes


def test_a_pil_image_is_copied_once(tmp_path: Path) -> None:
    Image.fromarray(draw(1200, 900)).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        source, copy = pixel_source(image), 3 * 1200 * 900
        assert source.pending_bytes == copy + 4 * 1200 * 900  # as PIL holds it
        image.load()
        assert source.pending_bytes == copy
        tracemalloc.start()
        try:
            assert source.pixels.nbytes == copy
            assert tracemalloc.get_traced_memory()[1] < copy + (9 << 20)  # with strips on their way
        finally:
            tracemalloc.stop()
        assert source.pending_bytes == 0


def test_the_plan_counts_what_will_be_copied(tmp_path: Path) -> None:
    huge = np.broadcast_to(np.uint8(7), (40_000, 30_000, 3))  # one byte of memory, 3.4 GiB as a picture
    planned = plan(huge, tmp_path, SonifyOptions(weights="untrained"))
    assert planned.peak_memory_bytes > huge.nbytes
    with pytest.raises(BudgetError, match="--memory"):
        sonify(huge, tmp_path / "run", weights="untrained")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((30, 30, 3)), r"float64 .* \(255 \* array\)"),
        (np.zeros((30, 30), bool), "bool"),
        (np.zeros((30, 30), np.int16), "int16"),
        (np.zeros((3, 30, 40), np.uint8), r"\(3, 30, 40\) .* array\.transpose\(1, 2, 0\)"),
        (np.zeros((30, 40, 1), np.uint8), r"array\.squeeze\(2\)"),
        (np.zeros((1, 30, 40), np.uint8), r"array\.squeeze\(0\)"),
        (np.zeros((30, 40, 5), np.uint8), r"\[y, x, 4\]"),
        (np.zeros(30, np.uint8), r"\[y, x\]"),
        (np.zeros((0, 30), np.uint8), "no pixels"),
        (np.zeros((20, 300), np.uint8), "21"),
        (Image.new("CMYK", (30, 30)), r"CMYK .* image\.convert\('RGB'\)"),
        (Image.new("F", (30, 30)), r"mode F .* uint16"),
        (Image.new("I", (30, 30)), "mode I "),
        (Image.new("L", (0, 30)), "no pixels"),
        ([[1, 2], [3, 4]], "list"),
        (None, "NoneType"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused_in_a_line(tmp_path: Path, given: Any, message: str) -> None:
    for call in (sonify, plan):
        with pytest.raises(PictureError, match=message) as error:
            call(given, tmp_path / "run", weights="untrained")
        assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_going_on(tmp_path: Path, weights_file: Path) -> None:
    """A stopped run goes on with the same pixels, and with no others; not without them."""
    words = {**WORDS, "weights": str(weights_file), "report": False, "mix": False}
    picture, out, stop = ARRAYS["RGB"], tmp_path / "run", Stop()
    with pytest.raises(Stopped) as stopped:
        sonify(
            picture, out, stop=stop, checkpoint_seconds=0,
            on_progress=lambda each: each.stage.startswith("sound") and stop.ask(), **words,
        )  # fmt: skip
    (note,) = stopped.value.__notes__
    assert note.endswith(f"sonify(picture, {str(out)!r}, resume=True)")
    with pytest.raises(OutputError, match="resume=True"):
        resume(out)
    with pytest.raises(PictureError) as refused:
        sonify(picture.T, out, resume=True, **words)
    assert not any("netsounds-stream resume" in note for note in getattr(refused.value, "__notes__", ()))
    other = picture.copy()
    other[50, 50, 0] ^= 1
    for changed in (other, picture.reshape(161, 107, 3), Image.fromarray(picture)):
        with pytest.raises(ChangedError, match="other picture"):
            sonify(changed, out, resume=True, **words)
    run = sonify(picture.copy(), out, resume=True, **words)
    assert run.record["starts"] == 2
    assert contents(run.folder) == contents(sonify(picture, tmp_path / "whole", **words).folder)
    assert resume(out).record == run.record  # finished: as it is


def test_where_a_picture_in_memory_cannot_go(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cluster"):
        sonify(LANDSCAPE, tmp_path / "run", weights="untrained", cluster="local:1")
    with pytest.raises(OptionError, match="batch takes paths"):
        batch([LANDSCAPE], tmp_path / "runs", weights="untrained")  # type: ignore[list-item]
    with pytest.raises(OptionError, match="batch takes paths"):
        batch(Image.fromarray(LANDSCAPE), tmp_path / "runs", weights="untrained")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_verify_takes_them() -> None:
    found = verify(Image.fromarray(LANDSCAPE), weights="untrained", size=64)
    assert found.agreed and (found.width, found.height) == (96, 64)
