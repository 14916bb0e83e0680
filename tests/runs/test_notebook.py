"""What a run shows in notebooks, by IPython's own display; arrays that are read where they are indexed."""

from __future__ import annotations

import io
import pickle
import re
import shutil
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import zarr
from IPython.core.formatters import DisplayFormatter
from PIL import Image

from netsounds_stream import Run, open_run, sonify
from netsounds_stream.errors import OptionError, OutputError, StoreError
from netsounds_stream.run import notebook
from netsounds_stream.run.notebook import Sound
from netsounds_stream.run.result import as_run

pytestmark = pytest.mark.slow

TITLE = '<i>"a" & b_sum'


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, small_picture: Path, weights_file: Path) -> Run:
    words: dict[str, Any] = {"banks": (1, 3), "scheme": ("sum", "concat"), "label": TITLE, "duration": 2}
    return sonify(
        small_picture, tmp_path_factory.mktemp("shown") / "a #1", weights=str(weights_file), **words
    )


def shown(what: object) -> dict[str, str]:
    """What IPython would send to a notebook for it, by media type."""
    return DisplayFormatter().format(what)[0]


def played(html: str) -> tuple[str, bytes]:
    """The type and content of the one player."""
    (found,) = re.findall(r'<audio controls [^>]*src="data:([^;]+);base64,([^"]+)"', html)
    return found[0], b64decode(found[1])


def test_the_mix_is_a_player_of_the_file(run: Run) -> None:
    html = shown(run.mix)["text/html"]
    assert played(html) == ("audio/wav", (run.folder / "mix.wav").read_bytes())
    assert "<small>" not in html
    assert run.mix.rate_hz == 44100
    np.testing.assert_array_equal(run.mix.read(), soundfile.read(run.mix.path, dtype="float32")[0])


def test_a_run_shows_its_name_its_mix_and_its_page(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run.page is not None
    bundle = shown(run)
    assert len(bundle["text/plain"]) < 2000  # its record is not for reading
    assert played(bundle["text/html"])[0] == "audio/wav"
    assert f'<a href="{run.page.as_uri()}">' in bundle["text/html"]
    monkeypatch.chdir(run.folder.parent)  # where the notebook lies
    assert '<a href="a%20%231/index.html">' in shown(run)["text/html"]


def test_a_run_without_mix_and_page_shows_its_name(
    tmp_path: Path, small_picture: Path, weights_file: Path
) -> None:
    words: dict[str, Any] = {"banks": (4,), "scheme": "sum", "mix": False, "report": False, "label": "bare"}
    bare = sonify(small_picture, tmp_path / "bare", weights=str(weights_file), **words)
    html = shown(bare)["text/html"]
    assert "bare" in html and "<a " not in html and "<audio" not in html
    with pytest.raises(StoreError, match=r"has no mix: its sounds are sum of bank 4; .*mix"):
        _ = bare.mix
    with pytest.raises(StoreError, match=r"netsounds-stream plot"):
        bare.mosaic(4)
    with pytest.raises(StoreError, match="--scheme concat"):
        bare.sound(4, "concat")
    with pytest.raises(StoreError, match="--banks 1,4"):
        bare.array(1)
    with pytest.raises(OptionError, match="bank 7"):
        bare.sound(7)


def test_a_run_without_arrays(tmp_path: Path, run: Run) -> None:
    record = {**run.record, "files": [name for name in run.record["files"] if ".zarr" not in name]}
    with pytest.raises(StoreError, match="--activations"):
        as_run(run.folder, record).array(3)
    with pytest.raises(StoreError, match=r"cannot be opened .* make the run again"):
        as_run(tmp_path, run.record).array(3)


def test_samples_are_read_as_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = soundfile.read(run.mix.path, dtype="float32", always_2d=True)[0]
    sound = run.sound("mix")
    assert (len(sound), sound.channels, sound.seconds, sound.samples.dtype) == (88200, 2, 2.0, np.float32)
    np.testing.assert_array_equal(sound.samples, whole)
    np.testing.assert_array_equal(sound.read(1000, 50), whole[1000:1050])
    part = Sound(sound.path, start=500, count=100)
    np.testing.assert_array_equal(part.read(90, 50), whole[590:600])
    assert part.read(200).shape == (0, 2)
    with pytest.raises(OptionError, match="use 0 or more"):
        part.read(-1)
    monkeypatch.setattr(notebook, "SAMPLES_BYTES", whole.nbytes - 1)
    with pytest.raises(OptionError, match="as an array; read a part"):
        _ = sound.samples
    assert len(part.samples) == 100 and len(sound.read()) == 88200


def test_titles_are_text(run: Run) -> None:
    for what in (run, run.mix, run.sound(1, "sum"), run.mosaic(1), run.sound(3, "concat"), run.filter(3, 0)):
        html = shown(what)["text/html"]
        assert "<i>" not in html
        assert "&lt;i&gt;&quot;a&quot; &amp; b_sum" in html


def test_a_label_that_ends_like_a_scheme_names_no_other_file(run: Run) -> None:
    assert run.folder / run.record["files"][1] == run.mix.path
    assert {run.sound(1, "sum").path.name, run.sound(1, "concat").path.name} == {
        path.name for path in run.files if path.name.startswith("activations-1") and path.suffix == ".wav"
    }
    assert run.sound(1, "sum").path.name.endswith("_sum_sum.wav")


def test_a_sheet_is_a_picture(run: Run) -> None:
    for reduce in ("mean", "max"):
        bundle = shown(run.mosaic(3, reduce))
        (content,) = re.findall(r'<img [^>]*src="data:image/jpeg;base64,([^"]+)"', bundle["text/html"])
        assert b64decode(content) == (run.folder / "pictures" / f"bank-3_{reduce}.jpg").read_bytes()
        assert bundle["text/plain"] == f"{TITLE}, bank 3: the {reduce} of each filter"


def test_a_sheet_of_version_0_1_is_shown_as_what_it_is(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.folder, tmp_path / "run")
    sheet = tmp_path / "run/pictures/bank-3_mean.jpg"
    with Image.open(sheet) as image:
        image.save(sheet.with_suffix(".webp"))
    sheet.unlink()
    mosaic = open_run(tmp_path / "run").mosaic(3)
    assert mosaic.path == sheet.with_suffix(".webp")
    assert "data:image/webp;base64," in shown(mosaic)["text/html"]


def test_of_a_large_file_the_beginning_is_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "EMBEDDED_BYTES", 2 * 2 * 44100)
    html = shown(run.mix)["text/html"]
    kind, content = played(html)
    assert kind == "audio/flac"
    assert "<small>the first 1 s of 2 s</small>" in html
    beginning, rate = soundfile.read(io.BytesIO(content), dtype="int16")
    assert (beginning.shape, rate) == ((44100, 2), 44100)
    whole = soundfile.read(run.mix.path, dtype="int16")[0]
    assert np.abs(beginning.astype(int) - whole[:44100]).max() <= 1  # through float, and rounded again


def test_samples_that_browsers_do_not_play_are_shown_as_flac(tmp_path: Path) -> None:
    signal = np.linspace(-1.5, 1.5, 5000, dtype=np.float32)
    soundfile.write(tmp_path / "float.wav", signal, 8000, "FLOAT")
    html = shown(Sound(tmp_path / "float.wav", "loud"))["text/html"]
    kind, content = played(html)
    assert (kind, "<small>" in html) == ("audio/flac", False)
    np.testing.assert_allclose(soundfile.read(io.BytesIO(content))[0], signal.clip(-1, 1), atol=2**-14)


@pytest.mark.parametrize("number", [0, 17, 95])
def test_a_filter_of_concat_is_its_stretch(run: Run, number: int) -> None:
    whole = soundfile.read(run.sound(1, "concat").path, dtype="float32", always_2d=True)[0]
    one = whole.reshape(96, -1, 1)[number]
    filter_sound = run.filter(1, number)
    np.testing.assert_array_equal(filter_sound.read(), one)
    kind, content = played(shown(filter_sound)["text/html"])
    assert kind == "audio/flac"
    np.testing.assert_allclose(soundfile.read(io.BytesIO(content))[0], one[:, 0], atol=2**-14)


def test_a_filter_that_does_not_sound(run: Run) -> None:
    with pytest.raises(OptionError, match="filter 96"):
        run.filter(1, 96)


def test_chosen_filters_files_and_previews(tmp_path: Path, small_picture: Path, weights_file: Path) -> None:
    """What is heard of a filter is what a file of its own holds, at another rate and in a preview, too."""
    given: dict[str, Any] = {
        "banks": (1,), "filters": (3, 7, 90), "report": False, "mix": False, "weights": str(weights_file),
        "method": "istft", "duration": 1, "label": "a", "phase": "zero",
    }  # fmt: skip
    both = sonify(small_picture, tmp_path / "both", scheme=("concat", "filters"), **given)
    assert both.filter(1, 7).path.name == "007.wav"
    each = 44100
    whole = both.sound(1, "concat").read()
    one = sonify(small_picture, tmp_path / "one", scheme="concat", **given)
    np.testing.assert_array_equal(one.filter(1, 90).read(), whole[2 * each :])
    with pytest.raises(OptionError, match="does not sound"):
        one.filter(1, 4)
    early = sonify(small_picture, tmp_path / "early", scheme="concat", preview=1.5, **given)
    assert len(early.filter(1, 7).read()) == each // 2
    with pytest.raises(OptionError, match="filter 90"):
        early.filter(1, 90)
    given["duration"] = 0.7333  # 32339 samples, which at this rate do not end with a sample
    other = sonify(small_picture, tmp_path / "other", scheme="concat", resample=16001, **given)
    stretches = [other.filter(1, number) for number in (3, 7, 90)]
    assert [each.start for each in stretches] == [0, 11734, 23468]
    last = len(other.sound(1, "concat")) - 23468
    assert [len(each.read()) for each in stretches] == [11734, 11734, last]


def test_open_run_is_the_run(run: Run, tmp_path: Path) -> None:
    assert open_run(run.folder) == run
    with pytest.raises(OutputError, match="holds no finished run"):
        open_run(tmp_path)


def test_coordinates_are_pixels_of_the_picture(run: Run) -> None:
    for number, offset, stride in ((1, 3, 2), (3, 9, 8)):
        stored, found = run.array(number), run.dataarray(number)
        assert found.dims == ("channel", "y", "x") and found.shape == stored.shape
        assert (stored.attrs["offset_pixels"], stored.attrs["stride_pixels"]) == (offset, stride)
        for axis, length in zip(("y", "x"), stored.shape[1:], strict=True):
            np.testing.assert_array_equal(found[axis], offset + stride * np.arange(length))
            assert found[axis].attrs["units"] == "pixels"
        assert found.attrs["bank"] == number


def test_indexing_is_that_of_the_array(run: Run) -> None:
    values, found = run.array(1)[:], run.dataarray(1)
    np.testing.assert_array_equal(found, values)
    np.testing.assert_array_equal(found[5, ::-2, 3], values[5, ::-2, 3])
    np.testing.assert_array_equal(found[[7, 2, -1], -4:, 5:6], values[[7, 2, -1], -4:, 5:6])
    np.testing.assert_array_equal(found.isel(channel=[1, 2], y=[4, 9], x=slice(8, 2, -3)),
                                  values[1:3][:, [4, 9]][:, :, 8:2:-3])  # fmt: skip
    np.testing.assert_array_equal(found[:0], values[:0])
    np.testing.assert_array_equal(found.sel(y=11, x=23)[:9], values[:9, 4, 10])
    np.testing.assert_array_equal(found.sel(y=11.9, x=22.2, method="nearest"), values[:, 4, 10])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found))[3], values[3])


def test_only_what_is_indexed_is_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    get = zarr.storage.LocalStore.get

    async def counted(self: Any, *given: Any, **words: Any) -> Any:
        found = await get(self, *given, **words)
        read.append(0 if found is None else len(found))
        return found

    monkeypatch.setattr(zarr.storage.LocalStore, "get", counted)
    found = run.dataarray(1)
    repr(found), found._repr_html_(), found[3:9], found.sel(x=slice(10, 50))
    described = sum(read)
    assert 0 < described < 20_000  # its metadata alone
    read.clear()
    np.asarray(found[0, 5])
    row = sum(read)
    read.clear()
    np.asarray(found[0])
    assert 0 < row <= sum(read) < found.nbytes // 20
    read.clear()
    np.asarray(found)
    assert sum(read) > found.nbytes // 4


def test_without_xarray_it_is_said_what_to_do(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "netsounds_stream.run.xarray_view", raising=False)
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(OptionError, match=r"netsounds-stream\[notebook\], or use array") as error:
        run.dataarray(1)
    assert "\n" not in str(error.value)
    assert run.array(1).shape[0] == 96


def test_a_filter_of_the_loudest(tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    """The record says which they are."""
    run = sonify(
        picture_file, tmp_path / "run", weights=str(weights_file), banks=(4,), scheme="concat", top=3,
        mix=False, report=False,
    )  # fmt: skip
    whole, sounding = run.sound(4, "concat").read(), run.record["sounding"]["4"]
    each = len(whole) // 3
    for at, number in enumerate(sounding):
        assert np.array_equal(run.filter(4, number).read(), whole[at * each : (at + 1) * each])
    with pytest.raises(OptionError, match="does not sound"):
        run.filter(4, next(number for number in range(512) if number not in sounding))
