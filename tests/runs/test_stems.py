"""The banks' parts of the mix: they add up to it, and share one gain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from netsounds_stream import Run, check, sonify
from netsounds_stream.errors import OptionError
from netsounds_stream.planning.options import options_from_words
from netsounds_stream.sound.dsp.loudness import LoudnessMeter
from netsounds_stream.sound.finishing import decoded_loudness

pytestmark = pytest.mark.slow

BANKS = (1, 3, 4)
WORDS: dict[str, Any] = {
    "duration": 1.0,
    "fft_size": 512,
    "sample_rate": 8000,
    "label": "a b",
    "banks": BANKS,
}


def made(out: Path, picture: Path, weights: Path, **words: Any) -> Run:
    return sonify(picture, out, weights=str(weights), stems=True, **{**WORDS, "report": False, **words})


def read(path: Path) -> NDArray[np.float64]:
    """`[sample, channel]`."""
    samples: NDArray[np.float64] = soundfile.read(path, always_2d=True)[0]
    return samples


def stems(run: Run) -> list[NDArray[np.float64]]:
    return [read(run.folder / f"stem-{number}_a-b.wav") for number in BANKS]


def decibels(gain: float) -> float:
    return float(20 * np.log10(gain))


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory, small_picture: Path, weights_file: Path) -> Run:
    """So far down that no limiter has anything to do."""
    out = tmp_path_factory.mktemp("stems") / "quiet"
    return made(out, small_picture, weights_file, subtype="FLOAT", loudness=-40.0, report=True)


@pytest.mark.parametrize("words", [{}, {"scale": "minmax"}, {"resample": 11025}], ids=str)
def test_stems_add_up_to_the_mix(
    tmp_path: Path, small_picture: Path, weights_file: Path, quiet: Run, words: dict[str, Any]
) -> None:
    run = quiet
    if words:
        run = made(
            tmp_path / "run", small_picture, weights_file, subtype="FLOAT", loudness=-40.0, scheme=(), **words
        )
    mix, parts = read(run.folder / "mix.wav"), stems(run)
    assert run.record["stems"] == {"gain_db": 0.0}
    assert all(np.abs(part).max() > 0 for part in parts)
    np.testing.assert_allclose(sum(parts), mix, atol=1e-6 * np.abs(mix).max())


def test_one_that_would_pass_the_ceiling_turns_all_down(
    tmp_path: Path, small_picture: Path, weights_file: Path, quiet: Run
) -> None:
    """Against the same stems far below the ceiling: one factor for all, and the loudest ends at -1 dBTP."""
    run = made(tmp_path / "run", small_picture, weights_file, subtype="FLOAT", loudness=-2.0, scheme=())
    loud, low = stems(run), stems(quiet)
    factors = [
        float((one * other).sum() / np.square(other).sum()) for one, other in zip(loud, low, strict=True)
    ]
    for one, other in zip(loud, low, strict=True):
        np.testing.assert_allclose(one, other * factors[0], atol=1e-5 * np.abs(one).max())
    peaks = []
    for part in loud:
        meter = LoudnessMeter(8000, 2)
        meter.add(part.astype(np.float32))
        peaks.append(meter.finish().true_peak)
    assert decibels(max(peaks)) == pytest.approx(-1, abs=0.01)
    said = run.record["stems"]["gain_db"]
    assert said < 0
    assert any(f"stems are {-said:.2f} dB quieter" in note for note in run.record["notes"])


def test_in_ogg_they_stay_below_the_ceiling_too(
    tmp_path: Path, small_picture: Path, weights_file: Path
) -> None:
    """Decoded, mix and stems; and the stems have one gain still."""
    words: dict[str, Any] = {"format": "ogg", "sample_rate": 44100, "loudness": -2.0, "scheme": ()}
    run = made(tmp_path / "run", small_picture, weights_file, **words)
    names = ["mix.ogg", *(f"stem-{number}_a-b.ogg" for number in BANKS)]
    peaks = [decoded_loudness(run.folder / name).true_peak for name in names]
    assert decibels(max(peaks)) <= -1
    assert decibels(max(peaks[1:])) >= -1.5  # turned down by what it takes
    assert run.record["levels"]["mix.ogg"]["true_peak_dbtp"] == pytest.approx(decibels(peaks[0]), abs=0.006)


def test_what_the_page_plays_is_the_stem(quiet: Run) -> None:
    """In 16 bits, and with dither of one step each way."""
    for number, stem in zip(BANKS, stems(quiet), strict=True):
        np.testing.assert_allclose(read(quiet.folder / f"report/part-{number}.flac"), stem, atol=2.01 / 32768)


def test_mix_and_stems_are_broadcast_wave_files(quiet: Run) -> None:
    for name in ("mix.wav", *(f"stem-{number}_a-b.wav" for number in BANKS)):
        header = (quiet.folder / name).read_bytes()[:2000]
        at = header.index(b"bext") + 8
        assert header[at : at + 256].rstrip(b"\0").startswith(b"a b, ")
        assert header[at + 338 : at + 346] == bytes(8)  # all begin at once


def test_stems_are_files_of_the_run(quiet: Run) -> None:
    names = [f"stem-{number}_a-b.wav" for number in BANKS]
    assert [path.name for path in quiet.files if path.name.startswith("stem-")] == names
    found = check(quiet.folder)
    found.require_whole()
    assert not found.unknown and {*names} <= {*quiet.record["checksums"]}
    sizes = sum(path.stat().st_size for path in quiet.folder.rglob("*") if path.is_file())
    assert sizes <= quiet.record["plan"]["final_disk_bytes"]
    assert quiet.sound(3, "stem").path == quiet.folder / names[1]
    with soundfile.SoundFile(quiet.folder / names[1]) as file:
        assert file.title == "a b, bank 3, part of the mix"
        assert "scheme=stem; method=griffin-lim" in file.comment


def test_no_stems_without_a_mix() -> None:
    with pytest.raises(OptionError, match="parts of the mix"):
        options_from_words(stems=True, mix=False)
