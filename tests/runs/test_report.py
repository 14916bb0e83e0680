"""The report of real runs: what the page is told is so, every link leads somewhere, and it is small.

The page in a browser is `test_page`'s; runs that are killed and gone on with are `test_resume`'s.
"""

from __future__ import annotations

import math
from base64 import b64decode
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import soundfile
import zarr
from numpy.typing import NDArray
from PIL import Image

from netsounds_stream import Run, check, sonify
from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.planning.plan import FILTER_CELLS, cells_of
from netsounds_stream.report.images import brightness
from tests.helpers.reference import page_data
from tests.helpers.reports import (
    HEIGHT,
    SHORT,
    WIDTH,
    assert_links_lead_somewhere,
    assert_tiles,
    cell_means,
    peaks_of,
    references,
    samples_of,
    script_of,
)

CASES: dict[str, dict[str, Any]] = {
    "usual": {"scheme": ("sum", "concat"), "banks": (1, 4)},
    "time along y, every scheme": {"time_axis": "y", "scheme": ("sum", "concat", "filters"), "banks": (2,)},
    "filters": {"scheme": "filters", "filters": "3,5,90", "banks": (1, 3), "mix": False, "balance": "filter"},
    "top, windowed": {"scheme": ("sum", "concat", "filters"), "top": 3, "method": "istft", "banks": (2,)},
    "one pass": {"scheme": "sum", "activations": False, "stereo": True, "banks": (1, 2)},
    "the mix alone": {"scheme": "none", "activations": False, "banks": (2,)},
    "resampled, stems": {
        "scheme": ("sum", "concat"), "stems": True, "resample": 11025, "format": "flac", "banks": (4,),
    },
    "ogg, windowed": {
        "scheme": ("sum", "concat"), "filters": "7,1", "method": "istft", "format": "ogg", "banks": (3,),
    },
    "preview": {"scheme": ("sum", "concat"), "preview": 0.4, "banks": (3,)},
    "preview, windowed": {
        "scheme": ("concat", "filters"), "method": "istft", "filters": "1,2", "preview": 0.3, "banks": (1,),
        "duration": 6.0,
    },
    "floats": {"scheme": ("sum", "concat", "filters"), "filters": "3,90", "subtype": "FLOAT", "banks": (2,)},
    "floats past full scale": {
        "scheme": ("sum", "concat"), "filters": "3,5", "subtype": "FLOAT", "scale": "none", "banks": (4,),
        "mix": False,
    },
}  # fmt: skip


#: The cases of `make test-fast`: between them every kind of sound and of picture.
QUICK = ("usual", "one pass")


@pytest.fixture(
    scope="module",
    params=[name if name in QUICK else pytest.param(name, marks=pytest.mark.slow, id=name) for name in CASES],
)
def made(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    small_picture: Path,
    weights_file: Path,
) -> tuple[Run, dict[str, Any]]:
    """A run, and what its page is told."""
    words: dict[str, Any] = {"weights": str(weights_file), **SHORT, **CASES[request.param]}
    run = sonify(small_picture, tmp_path_factory.mktemp("report") / "run", **words)
    return run, page_data(run.folder)


def test_every_link_leads_somewhere(made: tuple[Run, dict[str, Any]]) -> None:
    run, _ = made
    assert_links_lead_somewhere(run.folder)
    check(run.folder).require_whole()
    assert check(run.folder).unknown == ()
    linked = {unquote(link).rstrip("/") for link in references(run.folder)}
    assert {*run.record["files"]} - {"index.html", "report"} <= linked
    assert run.page == run.folder / "index.html"
    assert not any(name.startswith("temporary") for name in linked)


def test_sounds_are_as_their_files(made: tuple[Run, dict[str, Any]]) -> None:
    run, data = made
    schemes = run.record["options"]["sound"]["schemes"]
    ids = ["mix"] * ("mix" in {sound["id"] for sound in data["sounds"]})
    kinds = ["part"] * ("mix" in ids) + schemes
    ids += [f"{number}-{scheme}" for number in run.record["options"]["banks"] for scheme in kinds]
    assert [sound["id"] for sound in data["sounds"]] == ids
    assert ("mix" in ids) == run.record["options"]["sound"]["mix"]
    for sound in data["sounds"]:
        parts = sound["parts"]
        files, part = [sound["file"] or sound["play"]], sound["scheme"] == "part"
        if part:
            stem = Path(unquote(files[0])).name.startswith(f"stem-{sound['bank']}_")
            assert (sound["file"] is not None) == stem == run.record["options"]["sound"]["stems"]
            assert sound["play"] == f"report/part-{sound['bank']}.flac"
        elif sound["file"] is None:
            (folder,) = run.folder.glob(f"activations-{sound['bank']}_*_filters")
            files = [f"{folder.name}/{path.name}" for path in sorted(folder.iterdir())]
            assert [int(Path(name).stem) for name in files] == parts["filters"]
        read = [samples_of(run.folder, name) for name in files]
        rate = soundfile.info(run.folder / files[0]).samplerate
        assert (sound["sample_rate_hz"], sound["channels"]) == (rate, read[0].shape[1])
        assert math.isclose(sound["duration_s"], sum(map(len, read)) / rate, rel_tol=1e-9)
        assert sound["bytes"] == sum((run.folder / name).stat().st_size for name in files)
        plays = [sound["play"]] if parts is None or parts["plays"] is None else parts["plays"]
        assert (sound["play"] is None) == (parts is not None and parts["plays"] is not None)
        kinds = {"wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg"}
        assert {kinds[play.rpartition(".")[2]] for play in plays} == {sound["type"]}
        floats = run.record["options"]["sound"]["subtype"] == "FLOAT"
        assert (sound["note"] is not None) == (floats and not part)
        if not floats and not part:
            assert plays == files


def test_what_is_played_is_the_file_within_16_bits(made: tuple[Run, dict[str, Any]]) -> None:
    """Forms for browsers hold what the files hold, brought within full scale where they pass it."""
    run, data = made
    sound_options = run.record["options"]["sound"]
    for sound in data["sounds"]:
        if sound["note"] is None:
            continue
        parts = sound["parts"]
        forms = [sound["play"]] if sound["play"] else parts["plays"]
        assert len(forms) == (1 if parts is None else len(parts["filters"]))
        files = [sound["file"]]
        if sound["file"] is None:
            (folder,) = run.folder.glob(f"activations-{sound['bank']}_*_filters")
            files = [f"{folder.name}/{path.name}" for path in sorted(folder.iterdir())]
        whole = np.concatenate([samples_of(run.folder, name) for name in files])
        heard = np.concatenate([samples_of(run.folder, name) for name in forms])
        assert {soundfile.info(run.folder / name).subtype for name in forms} == {"PCM_16"}
        assert {soundfile.info(run.folder / name).samplerate for name in forms} == {sound["sample_rate_hz"]}
        assert f"{sound['file'] or 'Its files'}" in sound["note"] and "FLAC" in sound["note"]
        loudest = max(1.0, float(np.abs(whole).max()))
        assert (loudest > 1) <= (sound_options["scale"] == "none")
        np.testing.assert_allclose(heard * loudest, whole, atol=loudest * 1.02 / 32768 * 1.5)


def test_peaks_are_the_files_extremes(made: tuple[Run, dict[str, Any]]) -> None:
    """Within half a step of 255 of each part's own largest, and dither; Ogg loses more."""
    run, data = made
    rounding = 2.5 / 32767 if run.record["options"]["sound"]["format"] != "ogg" else 0.2
    for sound in data["sounds"]:
        if sound["parts"] is None:
            values = samples_of(run.folder, sound["file"] or sound["play"])
            (found,) = peaks_of(sound["peaks"], 1)
            columns = np.arange(len(values)) * len(found) // len(values)
            assert_extremes(values, columns, found, rounding)
            image = Image.open(run.folder / sound["spectrogram"]["src"])
            assert image.size == (sound["spectrogram"]["width"], sound["spectrogram"]["height"])
            continue
        (about,) = [each for each in data["banks"] if each["number"] == sound["bank"]]
        script = script_of(run.folder, about["script"])
        filters, seconds = sound["parts"]["filters"], sound["parts"]["seconds"]
        sheet = script["spectra"]
        parts = len(b64decode(script["peaks"])) // (2 * script["columns"])
        assert parts >= len(filters) and len(script["peak"]) == parts
        assert sheet["columns"] * sheet["rows"] >= parts
        with Image.open(run.folder / sheet["src"]) as image:
            assert image.size == (
                sheet["columns"] * sheet["tile_width"],
                sheet["rows"] * sheet["tile_height"],
            )
        found = peaks_of(script, parts)
        rate = sound["sample_rate_hz"]
        for at, number in enumerate(filters):
            if sound["file"] is None:
                (path,) = run.folder.glob(f"activations-{sound['bank']}_*_filters/{number:03d}.*")
                values = soundfile.read(path, always_2d=True)[0]
            else:
                length = Fraction(seconds).limit_denominator(10**7) * rate
                values = samples_of(run.folder, sound["file"] or sound["play"])[
                    math.ceil(at * length) : math.ceil((at + 1) * length)
                ]
                if len(values) < math.floor(length):  # a preview's last
                    assert at == len(filters) - 1
                    continue
            np.testing.assert_allclose(found[at].min(), values.min(), atol=rounding + 0.5 / 127)
            np.testing.assert_allclose(found[at].max(), values.max(), atol=rounding + 0.5 / 127)


def assert_extremes(
    values: NDArray[np.float64], columns: NDArray[np.int_], found: NDArray[np.float64], rounding: float
) -> None:
    step = np.abs(found).max() / 127 / 2 * 1.01 + rounding
    there = np.unique(columns)
    low = np.array([values[columns == column].min() for column in there])
    high = np.array([values[columns == column].max() for column in there])
    np.testing.assert_allclose(found[there, 0], low, atol=step)
    np.testing.assert_allclose(found[there, 1], high, atol=step)


def test_a_sound_lies_where_its_pixels_are(made: tuple[Run, dict[str, Any]]) -> None:
    """By hand: a value is centred on the middle of pixel offset + stride n, and takes a stride."""
    run, data = made
    options, plan = run.record["options"]["sound"], run.record["plan"]
    axis = data["time_axis"]
    assert axis == run.record["plan"]["time_axis"]
    along, across = (WIDTH, HEIGHT) if axis == "x" else (HEIGHT, WIDTH)
    for sound in data["sounds"]:
        of_mix = sound["scheme"] in ("mix", "part")
        windowed = of_mix or options["method"] != "ifft"
        rate = options["sample_rate_hz"]
        if of_mix:
            begins, pixels = 0.0, float(along)
        else:
            about = usual_banks().bank(sound["bank"])
            begins = about.y.offset + 0.5 - about.stride / 2
            pixels = float(about.stride * usual_banks().length(about.number, "y", along))
        seconds = options["duration_s"]
        if not windowed:
            seconds = (
                usual_banks().length(sound["bank"], "y", along)
                * usual_banks().length(sound["bank"], "y", across)
                / rate
            )
        count = sound["parts"] and len(sound["parts"]["filters"])
        heard = sound["duration_s"] / (count if sound["scheme"] == "filters" else 1)
        if sound["scheme"] == "concat":
            heard = min(heard, seconds)
            assert sound["parts"]["seconds"] == pytest.approx(heard, abs=1e-9)
            expected = options["filters"] or sounding(run, sound["bank"])
            assert sound["parts"]["filters"] == list(expected)[:count]
            assert count == min(len(expected), math.ceil(sound["duration_s"] / seconds - 0.5 / rate))
        share = min(1.0, heard / seconds)
        # what is at another rate, or is cut, ends on a sample
        assert sound["start_px"] == pytest.approx(begins)
        assert sound["end_px"] == pytest.approx(begins + pixels * share, abs=pixels / (seconds * rate))
        shown = data["picture"]["full_width" if axis == "x" else "full_height"]
        assert 0 <= sound["start_px"] < sound["end_px"] <= shown
    assert options["preview_s"] is None or plan["preview_rows"] == data["picture"]["full_width"]
    assert options["duration_s"] < 6 or plan["preview_rows"] < WIDTH


def test_pitch_lies_where_its_rows_are(made: tuple[Run, dict[str, Any]]) -> None:
    """By hand: windowed sound has a picture's bottom low, or its left; raw sound both edges."""
    run, data = made
    options = run.record["options"]["sound"]
    across = HEIGHT if data["time_axis"] == "x" else WIDTH
    for sound in data["sounds"]:
        pitch = sound["pitch"]
        raw = sound["scheme"] in ("sum", "concat", "filters") and options["method"] == "ifft"
        assert pitch["folded"] == raw
        begins, ends = 0.0, float(across)
        if sound["scheme"] not in ("mix", "part"):
            about = usual_banks().bank(sound["bank"])
            begins = about.y.offset + 0.5 - about.stride / 2
            ends = begins + about.stride * usual_banks().length(about.number, "y", across)
        if data["time_axis"] == "x" and not raw:
            begins, ends = ends, begins
        assert (pitch["low_px"], pitch["high_px"]) == pytest.approx((begins, ends))
        scale = ("linear", 0.0, 4000.0) if raw else ("log", 40.0, 4000.0)  # at 8000 Hz
        assert (pitch["scale"], pitch["low_hz"], pitch["high_hz"]) == scale


def sounding(run: Run, number: int) -> list[int]:
    """All filters; or those with most energy, by the stored array."""
    top = run.record["options"]["sound"]["top"]
    assert ("sounding" in run.record) == (top is not None)
    if top is None:
        return list(range(usual_banks().bank(number).channels))
    (path,) = run.folder.glob(f"activations-{number}_*.zarr")
    energy = np.square(zarr.open_array(str(path), mode="r")[:].astype(np.float64)).sum((1, 2))
    loudest = sorted(np.argsort(-energy)[:top].tolist())
    assert run.record["sounding"][str(number)] == loudest
    return loudest


def test_pictures_are_upright_and_of_their_size(
    made: tuple[Run, dict[str, Any]], small_picture: Path
) -> None:
    run, data = made
    about = data["picture"]
    with Image.open(run.folder / about["src"]) as image, Image.open(small_picture) as original:
        assert image.size == (about["width"], about["height"])
        assert (about["full_width"], about["full_height"])[
            1 if data["time_axis"] == "x" else 0
        ] in original.size
        shown = original.convert("RGB").crop((0, 0, about["full_width"], about["full_height"]))
        difference = np.abs(np.asarray(image).astype(int) - np.asarray(shown)).mean()
        assert difference < 8, difference  # WebP's loss: a picture turned or mirrored is some 60 away


def test_tiles_are_means_and_maxima_of_the_stored_array(made: tuple[Run, dict[str, Any]]) -> None:
    run, data = made
    for about in data["banks"]:
        number = about["number"]
        arrays = list(run.folder.glob(f"activations-{number}_*.zarr"))
        assert len(arrays) == (run.record["options"]["activations"] and run.record["plan"]["stored"])
        for kind in ("sheet", "mean", "max"):
            sheet = about[kind]
            with Image.open(run.folder / sheet["src"]) as image:
                assert image.size == (
                    sheet["columns"] * sheet["cell_width"],
                    sheet["rows"] * sheet["cell_height"],
                )
            numbered = sheet["cell_height"] > sheet["tile_height"] and sheet["cell_width"] > 20
            assert numbered == (kind != "sheet")
            assert (
                sheet["columns"] * (sheet["rows"] - 1) < about["channels"] <= sheet["columns"] * sheet["rows"]
            )
        if not arrays:
            continue
        values = zarr.open_array(str(arrays[0]), mode="r")[:].astype(np.float64)
        assert values.shape == (about["channels"], about["height"], about["width"])
        factor = cells_of(about["height"], about["width"], FILTER_CELLS).factor
        means = cell_means(values, factor)
        loudest = means.mean((1, 2)).max()
        for level, each in zip(about["levels_db"], means.mean((1, 2)), strict=True):
            assert (level is None) == (each == 0)
            assert level is None or level == pytest.approx(20 * math.log10(each / loudest), abs=0.11)
        assert_tiles(run.folder / about["mean"]["src"], about["mean"], brightness(means))
