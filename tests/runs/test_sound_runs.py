"""Whole runs of windowed and finished sound: what is written, again by `render`, in a preview, twice; and
what is refused. What the sound is, `test_windowed` says.

Tolerance: 2e-5 of full scale where float32 sums are added in another order; none elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import soundfile
import torch

from netsounds_stream import plan, render, sonify
from netsounds_stream.errors import OptionError
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.planning.options import options_from_words
from tests.helpers.plain_sound import ATOL, STFT, array_of, numbers_of, read
from tests.helpers.runs import contents

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"method": "istft", "filters": "5,6,7,50"},
        {"method": "istft", "stereo": True, "balance": "filter", "pan": "centroid", "top": 3},
        {"method": "griffin-lim", "iterations": 3, "top": 2},
        {"stereo": True, "loudness": -30.0, "resample": 48000},
    ],
    ids=str,
)
def test_rendering_gives_what_the_run_gave(
    tmp_path: Path, small_picture: Path, weights_file: Path, words: dict[str, Any]
) -> None:
    words = {**STFT, **words, "subtype": "FLOAT"}
    out, files = tmp_path / "run", tmp_path / "run" / "activations-1_a_filters"
    schemes = ("sum", "concat", "filters") if "method" in words else ("sum", "concat")
    sonify(
        small_picture,
        out,
        weights=str(weights_file),
        report=False,
        label="a",
        banks=(1,),
        mix=False,
        scheme=schemes,
        **words,
    )
    for scheme in ("sum", "concat"):
        render(out / "activations-1_a.zarr", tmp_path / "b.wav", overwrite=True, scheme=scheme, **words)
        # sums are added in another order; filters are inverted in blocks of another size, on which on some
        # processors the last bit of a matrix product depends: float32's rounding of values up to 1, twice
        expected, found = read(out / f"activations-1_a_{scheme}.wav"), read(tmp_path / "b.wav")
        np.testing.assert_allclose(found, expected, atol=ATOL if scheme == "sum" else 2.0**-22)
    if "filters" in schemes:  # a file each: what is end to end there
        each = [read(path) for path in sorted(files.iterdir())]
        assert np.array_equal(np.concatenate(each), expected)


CASES = [
    # a method, a format with its subtype, another rate
    ("ifft", "wav", "PCM_16", 48000),
    ("ifft", "flac", "PCM_24", None),
    ("ifft", "ogg", "PCM_16", 11025),
    ("istft", "wav", "PCM_24", 11025),
    ("istft", "flac", "PCM_16", 48000),
    ("istft", "ogg", "PCM_16", None),
    ("griffin-lim", "wav", "FLOAT", None),
    ("griffin-lim", "flac", "PCM_24", 11025),
    ("griffin-lim", "ogg", "PCM_16", 48000),
]


@pytest.mark.parametrize("stereo", [False, True])
def test_runs_write_what_their_plans_say(
    tmp_path: Path, small_picture: Path, weights_file: Path, stereo: bool
) -> None:
    for method, format, subtype, rate in CASES[stereo::2]:
        words: dict[str, Any] = {
            **STFT,
            "weights": str(weights_file),
            "report": False,
            "label": "a",
            "banks": (4,),
            "scheme": ("sum", "concat", "filters"),
            "method": method,
            "iterations": 2,
            "format": format,
            "subtype": subtype,
            "top": 3,
            "stereo": stereo,
            "resample": rate,
        }
        out = tmp_path / f"{method}-{format}"
        planned = plan(small_picture, tmp_path, **words)
        run = sonify(small_picture, out, **words)
        assert planned.mix is not None
        expected = {f"mix.{format}": planned.mix}
        for bank in planned.banks:
            for audio in bank.audio:
                stem = f"activations-{bank.number}_a_{audio.scheme}"
                if audio.scheme != "filters":
                    expected[f"{stem}.{format}"] = audio
                    continue
                names = sorted(path.name for path in (out / stem).iterdir())
                array = array_of(out, bank.number)
                assert names == [f"{number:03d}.{format}" for number in numbers_of(array, {"top": 3})]
                expected |= {f"{stem}/{name}": audio for name in names}
        found = [path.relative_to(run.folder).as_posix() for path in run.files if path.suffix != ".zarr"]
        assert sorted(found) == sorted(expected) and found[0] == f"mix.{format}"
        for name, audio in expected.items():
            info = soundfile.info(run.folder / name)
            assert (info.frames, info.channels) == (audio.samples, audio.channels), name
            assert info.samplerate == (rate or 8000)
            assert info.subtype == ("VORBIS" if format == "ogg" else subtype)
            assert (run.folder / name).stat().st_size <= audio.bytes_per_file
            sound = read(run.folder / name)
            assert np.isfinite(sound).all() and np.abs(sound).max() > 0.01, name


def test_the_mix_is_there_unless_it_is_not_wanted(
    tmp_path: Path, small_picture: Path, weights_file: Path
) -> None:
    """And the raw sound is the same by its bytes, whether it is or not."""
    words: dict[str, Any] = {
        "weights": str(weights_file),
        "report": False,
        "label": "a",
        "banks": (1, 4),
        "duration": 1,
        "fft_size": 512,
    }
    words["scheme"] = ("sum", "concat")
    with_mix, without = (
        sonify(small_picture, tmp_path / str(mix), mix=mix, **words) for mix in (True, False)
    )
    first, second = contents(with_mix.folder), contents(without.folder)
    more = {name.split("/")[0] for name in first.keys() - second.keys()}
    assert more == {"mix.wav", "sums-1_a.zarr", "sums-4_a.zarr"}
    # the group's metadata name the maps
    assert all(first[name] == sums for name, sums in second.items() if name != "zarr.json")
    mix = read(with_mix.folder / "mix.wav")
    assert mix.shape == (44100, 2) and with_mix.record["levels"].keys() == {"mix.wav"}
    assert np.abs(mix[:, 0] - mix[:, 1]).max() > 0.01  # its filters lie at different places
    loudness = with_mix.record["levels"]["mix.wav"]["loudness_lufs"]
    assert abs(loudness + 16) <= 0.2 or any("more than 12 dB" in note for note in with_mix.record["notes"])


def long_picture(folder: Path, axis: str) -> Path:
    """700 x 90 pixels, in time along x or y; 'exif': along x, but stored lying on its side."""
    image, path = pyvips.Image.new_from_array(draw(700, 90)), folder / "long.tif"
    if axis != "x":
        image = image.rot90()
    if axis == "exif":
        image = image.copy()
        image.set_type(pyvips.GValue.gint_type, "orientation", 8)
    image.tiffsave(str(path))
    return path


@pytest.mark.parametrize("axis", ["x", "y", "exif"])
def test_a_preview_of_raw_sound_is_its_beginning(tmp_path: Path, weights_file: Path, axis: str) -> None:
    """Sample by sample; only part of the picture is looked at, and no arrays of a part are kept."""
    words: dict[str, Any] = {
        "weights": str(weights_file),
        "report": False,
        "label": "a",
        "banks": (1, 2),
        "mix": False,
    }
    words |= {"scheme": ("sum", "concat"), "scale": "none", "subtype": "FLOAT", "sample_rate": 8000}
    picture = long_picture(tmp_path, axis)
    whole = sonify(picture, tmp_path / "whole", **words)
    planned = plan(picture, tmp_path, preview=0.05, **words)
    assert planned.time_axis == ("y" if axis == "y" else "x")
    assert planned.preview_rows is not None and planned.preview_rows < 300
    head = sonify(picture, tmp_path / "head", preview=0.05, **words)
    assert len(head.files) == 4 and {path.suffix for path in head.files} == {".wav"}
    assert any("a preview" in note for note in head.record["notes"])
    for path in head.files:
        found = read(path)
        assert len(found) == 400
        assert np.array_equal(found, read(whole.folder / path.name)[:400])


@pytest.mark.parametrize("words", [{"method": "istft"}, {"method": "griffin-lim", "iterations": 40}], ids=str)
def test_a_preview_of_windowed_sound_is_its_beginning(
    tmp_path: Path, weights_file: Path, words: dict[str, Any]
) -> None:
    """But for the fade at its end, and for levels, of which here are none."""
    words = {
        **words,
        "weights": str(weights_file),
        "report": False,
        "label": "a",
        "banks": (1, 2),
        "mix": False,
        "stereo": True,
    }
    words |= {"scheme": ("sum", "concat"), "scale": "none", "subtype": "FLOAT", "filters": "0,9"}
    words |= {**STFT, "duration": 4.0}
    picture = long_picture(tmp_path, "x")
    whole = sonify(picture, tmp_path / "whole", **words)
    head = sonify(picture, tmp_path / "head", preview=0.5, **words)
    rows = plan(picture, tmp_path, preview=0.5, **words).preview_rows
    assert rows is not None and rows < 400
    for path in head.files:
        found, expected = read(path), read(whole.folder / path.name)[:4000]
        assert len(found) == 4000
        np.testing.assert_allclose(found[:3920], expected[:3920], atol=ATOL * np.abs(expected).max())


def test_a_preview_has_a_mix(tmp_path: Path, weights_file: Path) -> None:
    """One bank's, which is then its beginning up to a gain."""
    words: dict[str, Any] = {**STFT, "duration": 4.0, "banks": (2,), "scheme": "sum", "loudness": -60.0}
    words |= {"weights": str(weights_file), "report": False, "label": "a", "subtype": "FLOAT"}
    picture = long_picture(tmp_path, "x")
    whole = read(sonify(picture, tmp_path / "whole", **words).folder / "mix.wav")[:3920]
    head = read(sonify(picture, tmp_path / "head", preview=0.5, **words).folder / "mix.wav")
    assert head.shape == (4000, 2)
    gain = (head[:3920] * whole).sum() / (whole**2).sum()
    np.testing.assert_allclose(head[:3920], gain * whole, atol=ATOL * np.abs(head).max())


@pytest.mark.usefixtures("one_thread")  # which puts back how many there were
def test_runs_repeat(tmp_path: Path, small_picture: Path, weights_file: Path) -> None:
    """By their bytes, with one worker or two; but not with another seed."""
    words: dict[str, Any] = {
        **STFT,
        "method": "griffin-lim",
        "iterations": 2,
        "stereo": True,
        "top": 3,
        "format": "ogg",
    }
    words["phase"] = "random"  # of 'pghi' only what is faint is drawn
    words |= {"weights": str(weights_file), "report": False, "label": "a", "banks": (4,)}
    sums = []
    for name, threads, seed in (("a", 2, 0), ("b", 2, 0), ("c", 1, 0), ("d", 2, 1)):
        torch.set_num_threads(threads)
        sums.append(contents(sonify(small_picture, tmp_path / name, seed=seed, **words).folder))
    assert sums[0] == sums[1] == sums[2]
    for name, each in sums[3].items():
        assert (each != sums[0][name]) is name.endswith(".ogg")


def test_a_render_has_no_mix(tmp_path: Path, stored: Path) -> None:
    for words in ({"scheme": "mix"}, {"scheme": "filters"}, {"method": "fft"}, {"filters": "96"}, {"top": 0}):
        with pytest.raises(OptionError) as error:
            render(stored / "activations-1_a.zarr", tmp_path / "a.wav", **words)  # type: ignore[arg-type]
        assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"fft_size": 512, "hop": 257}, "hop"),
        ({"hop": 0}, "hop"),
        ({"fft_size": 15}, "FFT size"),
        ({"fft_size": 257}, "FFT size"),
        ({"fmin": 500.0, "fmax": 500.0}, "frequencies"),
        ({"fmin": 0.0}, "frequencies"),
        ({"fmin": float("nan")}, "frequencies"),
        ({"fmax": 22051.0}, "fmax"),
        ({"fmax": float("inf")}, "fmax"),
        ({"filters": "3,64", "banks": "1,2,3,4", "top": 2}, "not both"),
        ({"filters": "96", "banks": "1,2"}, "bank 1 has no filter 96"),
        ({"filters": "3,3"}, "twice"),
        ({"filters": "-1"}, "counted from 0"),
        ({"filters": ()}, "counted from 0"),
        ({"top": 0}, "top"),
        ({"scale": "none"}, "FLOAT"),
        ({"format": "flac", "subtype": "FLOAT"}, "FLAC"),
        ({"format": "ogg", "sample_rate": 200_001, "mix": False}, "200001"),
        ({"format": "ogg", "sample_rate": 200_001}, "200001"),
        ({"sample_rate": 7999}, "7999"),
        ({"resample": 192_001}, "192001"),
        ({"loudness": 0.1}, "loudness"),
        ({"loudness": -70.0}, "loudness"),
        ({"loudness": float("nan")}, "loudness"),
        ({"duration": 0.0}, "duration"),
        ({"duration": float("nan")}, "duration"),
        ({"duration": float("inf")}, "duration"),
        ({"preview": -1.0}, "preview"),
        ({"preview": float("nan")}, "preview"),
        ({"contrast": float("nan")}, "contrast"),
        ({"iterations": -1}, "iterations"),
        ({"seed": -1}, "seed"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(
    small_picture: Path, tmp_path: Path, words: dict[str, Any], says: str
) -> None:
    with pytest.raises(OptionError, match=says) as error:
        plan(small_picture, tmp_path, options_from_words(**words))
    assert "\n" not in str(error.value)
