"""Sound made again from a run's sums: its own bytes, those of a run with other options, and other paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from PIL import Image, ImageDraw

from netsounds_stream import check, render, sonify
from netsounds_stream.errors import NetsoundsError, OptionError, OutputError, StoreError
from netsounds_stream.planning.sound_options import SoundOptions
from netsounds_stream.run.result import Run
from netsounds_stream.sound.mixture import mixture_of
from tests.helpers.plain_sound import read
from tests.helpers.runs import contents, stopped_run

WORDS: dict[str, Any] = {
    "report": False,
    "label": "a",
    "banks": (1, 3),
    "scheme": "none",
    "duration": 2,
    "fft_size": 512,
    "iterations": 2,
}


@pytest.fixture(scope="module", params=["x", "y"])
def run(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    picture_file: Path,
    weights_file: Path,
) -> Run:
    """A run along either axis."""
    out = tmp_path_factory.mktemp("again") / "run"
    return sonify(picture_file, out, weights=str(weights_file), time_axis=request.param, **WORDS)


def map_of(run: Run, bank: int) -> zarr.Array[Any]:
    return zarr.open_array(str(run.folder / f"sums-{bank}_a.zarr"), mode="r")


def test_a_map_holds_the_sums_that_the_mix_is_made_of(run: Run) -> None:
    for bank in (1, 3):
        stored = map_of(run, bank)
        array = zarr.open_array(str(run.folder / f"activations-{bank}_a.zarr"), mode="r")
        activations = np.asarray(array[:], dtype=np.float64)
        weights = mixture_of(len(activations), SoundOptions()).mix_weights
        plain = np.tensordot(weights.T.astype(np.float64), activations, 1)
        # float32 sums of up to 512 products
        np.testing.assert_allclose(np.asarray(stored[:]), plain, rtol=1e-4, atol=1e-4 * plain.max())
        assert stored.metadata.dimension_names == ("side", f"y_{bank}", f"x_{bank}")
        assert stored.attrs["sides"] == ["left", "right"]
        assert len(stored.attrs["background"]["even"]) == 2
    assert check(run.folder).damaged == ()


def test_the_mix_again_is_the_mix_by_its_bytes(run: Run, tmp_path: Path) -> None:
    before = contents(run.folder)
    render(run.folder, tmp_path / "again.wav")
    assert (tmp_path / "again.wav").read_bytes() == (run.folder / "mix.wav").read_bytes()
    render(run.folder, tmp_path / "again.wav", path=run.record["plan"]["time_axis"], overwrite=True)
    assert (tmp_path / "again.wav").read_bytes() == (run.folder / "mix.wav").read_bytes()
    assert contents(run.folder) == before


OTHERS: list[dict[str, Any]] = [
    {"contrast": 1.5, "frequency": "mel", "fmin": 100.0, "flip_frequency": True},
    {"method": "istft", "phase": "zero", "duration": 1, "loudness": -20.0},
    {"scale_notes": "pentatonic", "root": "A2", "equal_loudness": True, "fft_size": 1024},
    {"sample_rate": 22050, "format": "flac", "banks": (3,), "seed": 4},
]


@pytest.mark.parametrize("words", OTHERS)
def test_other_options_give_the_sound_of_a_run_with_them(
    run: Run, tmp_path: Path, picture_file: Path, weights_file: Path, words: dict[str, Any]
) -> None:
    axis = run.record["plan"]["time_axis"]
    other = sonify(
        picture_file, tmp_path / "other", weights=str(weights_file), time_axis=axis, **{**WORDS, **words}
    )
    ending = words.get("format", "wav")
    render(run.folder, tmp_path / f"mix.{ending}", **words)
    assert (tmp_path / f"mix.{ending}").read_bytes() == (other.folder / f"mix.{ending}").read_bytes()


@pytest.mark.parametrize("words", [{"pan": "centroid"}, {"activations": False}, {"balance": "filter"}])
def test_sums_that_take_a_second_pass_or_no_arrays(
    tmp_path: Path, picture_file: Path, weights_file: Path, words: dict[str, Any]
) -> None:
    run = sonify(picture_file, tmp_path / "run", weights=str(weights_file), **{**WORDS, **words})
    render(run.folder, tmp_path / "again.wav")
    assert (tmp_path / "again.wav").read_bytes() == (run.folder / "mix.wav").read_bytes()
    assert (run.folder / "zarr.json").exists() and (run.folder / "x_1").exists()


@pytest.mark.parametrize("stage", ["network", "sums 3", "mix"])
def test_a_stopped_run_ends_with_the_same_maps(
    tmp_path: Path, picture_file: Path, weights_file: Path, stage: str
) -> None:
    stopped_run(tmp_path, picture_file, weights_file, stage, **WORDS, checkpoint_seconds=0)
    words = {"weights": str(weights_file), **WORDS}
    sonify(picture_file, tmp_path / "run", resume=True, **words)
    sonify(picture_file, tmp_path / "whole", **words)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_stems_lie_beside_and_add_up(run: Run, tmp_path: Path) -> None:
    render(run.folder, tmp_path / "mix.wav", stems=True, subtype="FLOAT", loudness=-30.0)
    stems = [read(tmp_path / f"mix-stem-{bank}.wav") for bank in (1, 3)]
    # loudness by which no limiter works; float32
    np.testing.assert_allclose(np.add(*stems), read(tmp_path / "mix.wav"), atol=2e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mix-stem-1.wav", "mix-stem-3.wav", "mix.wav"]


def drawn(path: Path, *, ring: bool) -> Path:
    image = Image.new("RGB", (400, 400), (0, 0, 0))
    draw = ImageDraw.Draw(image)
    if ring:
        draw.ellipse((100, 100, 300, 300), outline=(255, 255, 255), width=6)
    else:  # a spoke to 3 o'clock
        draw.rectangle((230, 198, 399, 202), fill=(255, 255, 255))
    image.save(path)
    return path


def level(sound: np.ndarray, moments: int) -> np.ndarray:
    return np.array([np.sqrt((part**2).mean()) for part in np.array_split(sound, moments)])


def test_a_spoke_is_a_click_and_a_ring_one_tone(tmp_path: Path, weights_file: Path) -> None:
    """From the picture to the sound, by a hand that turns about its middle."""
    words = {**WORDS, "banks": (1,), "duration": 4, "fft_size": 2048, "iterations": 8}
    for name in ("spoke", "ring"):
        picture = drawn(tmp_path / f"{name}.png", ring=name == "ring")
        sonify(picture, tmp_path / name, weights=str(weights_file), **words)
        render(tmp_path / name, tmp_path / f"{name}.wav", path="radar")
    by_time = level(read(tmp_path / "spoke.wav"), 80)
    loud = np.flatnonzero(by_time > by_time.max() / 10) / 80
    assert loud.min() > 0.2 and loud.max() < 0.3, loud  # the field of bank 1 is 7 pixels
    ring = read(tmp_path / "ring.wav").mean(axis=1)
    by_time = level(ring[4410:-4410], 40)
    assert by_time.min() > by_time.max() / 10
    peaks = [
        np.argmax(np.abs(np.fft.rfft(part[:4096] * np.hanning(4096)))) * 44100 / 4096
        for part in np.array_split(ring[4410:-4410], 30)
    ]
    # 100 of 283 pixels from the middle, and 6 of them wide: 40 Hz to 12 kHz by pitch
    expected = 40 * 300 ** (100 / 283)
    assert np.all(np.abs(np.log2(np.array(peaks) / expected)) < 0.35), peaks


def test_what_cannot_be_rendered(run: Run, tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    for words, message in (
        ({"top": 3}, "--top has no effect on a run's sums"),
        ({"scheme": "concat"}, "--scheme has no effect on a run's sums"),
        ({"banks": (2,)}, "the run has no bank 2"),
        ({"time_axis": "x"}, "a run's sound takes a path"),
        ({"path": "up"}, "no path 'up'"),
    ):
        with pytest.raises(OptionError, match=message):
            render(run.folder, tmp_path / "new.wav", **words)
    array = next(path for path in run.files if path.name.startswith("activations"))
    with pytest.raises(OptionError, match="path is for a run"):
        render(array, tmp_path / "new.wav", path="x")
    (tmp_path / "new-stem-3.wav").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        render(run.folder, tmp_path / "new.wav", stems=True)
    assert (tmp_path / "new-stem-3.wav").read_bytes() == b"mine" and not (tmp_path / "new.wav").exists()
    without = sonify(picture_file, tmp_path / "run", weights=str(weights_file), sum_maps=False, **WORDS)
    assert not list(without.folder.glob("sums-*"))
    with pytest.raises(StoreError, match="make the run again with --sum-maps"):
        render(without.folder, tmp_path / "new.wav")


def test_a_damaged_map_is_named(tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    run = sonify(picture_file, tmp_path / "run", weights=str(weights_file), **WORDS)
    shard = next(path for path in (run.folder / "sums-1_a.zarr" / "c").rglob("*") if path.is_file())
    content = bytearray(shard.read_bytes())
    content[10:200] = bytes(190)
    shard.write_bytes(content)
    assert [each.name for each in check(run.folder).damaged] == [shard.relative_to(run.folder).as_posix()]
    with pytest.raises(NetsoundsError, match=r"sums-1_a\.zarr"):
        render(run.folder, tmp_path / "new.wav")
