"""Pictures on the notes of a scale, in finished sound files: real runs, listened to by long FFTs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import soundfile

from netsounds_stream import Run, plan, render, resume, sonify
from netsounds_stream.base.progress import Progress, Stop
from netsounds_stream.cli.text import long_plan
from netsounds_stream.errors import Stopped
from netsounds_stream.planning.scales import notes_of
from netsounds_stream.run.record import recorded_options, recorded_plan
from netsounds_stream.sound.dsp.equal_loudness import gains
from tests.helpers.forks import forked
from tests.helpers.plain_sound import Array, read
from tests.helpers.reference import TRAINED
from tests.helpers.runs import contents

pytestmark = pytest.mark.slow

WORDS: dict[str, Any] = {
    "duration": 3.0,
    "sample_rate": 16000,
    "label": "a",
    "activations": False,
    "report": False,
    "scheme": "none",
}
#: Peaks further below the highest are not looked at.
AUDIBLE_DB = 40
#: Peaks further below the highest one near the same note are sidebands of its changing level.
SIDEBANDS_DB = 20
IN_TUNE_CENTS = 10
STRIPES = 6


@pytest.fixture(scope="module")
def striped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """White stripes from left to right, evenly spaced from the bottom to the top."""
    pixels = np.zeros((180, 300, 3), np.uint8)
    for number in range(STRIPES):
        pixels[15 + 30 * number : 19 + 30 * number] = 255
    path = tmp_path_factory.mktemp("pictures") / "striped.png"
    pyvips.Image.new_from_array(pixels).pngsave(str(path))
    return path


def peaks(samples: Array, rate_hz: int) -> tuple[Array, Array]:
    """Frequencies of a sound's spectral peaks, by parabolic interpolation, and levels in dB."""
    mono = samples.mean(1)
    size = 4 << (len(mono) - 1).bit_length()
    level = 20 * np.log10(np.abs(np.fft.rfft(mono * np.hanning(len(mono)), size)) + 1e-12)
    at = np.flatnonzero((level[1:-1] > level[:-2]) & (level[1:-1] >= level[2:])) + 1
    at = at[level[at] > level.max() - AUDIBLE_DB]
    before, here, after = level[at - 1], level[at], level[at + 1]
    places = at + (before - after) / (2 * (before - 2 * here + after))
    return places * rate_hz / size, here - level.max()


def in_tune(peaks: tuple[Array, Array], notes_hz: tuple[float, ...]) -> list[int]:
    """Check that peaks lie on notes, and return the numbers of the notes that sound."""
    hz, level = peaks
    cents = 1200 * np.log2(hz[:, None] / np.array(notes_hz))
    nearest = np.abs(cents).argmin(1)
    for note in np.unique(nearest):
        near = nearest == note
        off, loudness = np.abs(cents[near, note]), level[near]
        assert off[loudness.argmax()] <= 0.1
        assert off[loudness > loudness.max() - SIDEBANDS_DB].max() <= IN_TUNE_CENTS
    return [int(note) for note in np.unique(nearest)]


def mix_peaks(run: Run) -> tuple[Array, Array]:
    samples, rate = soundfile.read(run.folder / "mix.wav", always_2d=True)
    return peaks(samples, rate)


@pytest.mark.parametrize(
    ("words", "notes_hz"),
    [
        ({"scale_notes": "minor-pentatonic"}, notes_of("minor-pentatonic", 110, 110, 4200).hz),
        ({"scale_notes": "chromatic", "fmin": 55.0}, notes_of("chromatic", 440, 55, 4200).hz),
        ({"scale_notes": "cents:386.31,701.96,1901.955", "root": 100}, ()),
        (
            {
                "scale_notes": "major",
                "root": "Eb3",
                "frequency": "mel",
                "fmax": 7000.0,
                "equal_loudness": True,
            },
            (),
        ),
        ({"scale_notes": "whole-tone", "fft_size": 2048, "resample": 22050, "stereo": True}, ()),
    ],
    ids=str,
)
def test_stripes_sound_in_tune(
    tmp_path: Path, striped: Path, weights_file: Path, words: dict[str, Any], notes_hz: tuple[float, ...]
) -> None:
    """At 110 Hz a semitone is 6.5 Hz: far less than the 21.5 between bins of the usual FFT."""
    run = sonify(striped, tmp_path / "run", weights=str(weights_file), **{**WORDS, **words})
    scale = recorded_plan(run.record).scale
    assert scale is not None
    if notes_hz:
        assert scale.hz == pytest.approx(notes_hz)
    assert len(in_tune(mix_peaks(run), scale.hz)) >= STRIPES
    assert run.record["levels"]["mix.wav"]["loudness_lufs"] == pytest.approx(-16, abs=0.3)


@pytest.mark.parametrize("scheme", ["sum", "concat"])
def test_evenly_spaced_rows_are_evenly_spaced_notes(tmp_path: Path, scheme: str) -> None:
    """Of activations that are drawn: 120 rows over five octaves, every 24th of them lit."""
    array = np.zeros((1, 120, 160), np.float32)
    array[0, 11::24] = 700
    np.save(tmp_path / "a.npy", array)
    words: dict[str, Any] = {"fmin": 110.0, "fmax": 3520.0, "duration": 3.0, "subtype": "FLOAT"}
    words |= {"method": "istft", "scale_notes": "chromatic", "scheme": scheme}
    render(tmp_path / "a.npy", tmp_path / "a.wav", **words)
    hz, level = peaks(read(tmp_path / "a.wav"), 44100)
    steps = 12 * np.log2(hz[level > -3] / 110)
    # row 120 - 12 - 24 n from the bottom lies at (108.5 - 24 n) / 24 octaves: half a step below a note
    np.testing.assert_allclose(np.diff(steps), 12, atol=0.01)
    assert len(steps) == 5 and abs(steps[0] - round(12 * 12.5 / 24)) < 0.01


@pytest.mark.parametrize("scheme", ["sum", "concat"])
def test_equal_loudness_raises_low_notes(tmp_path: Path, scheme: str) -> None:
    """Of activations that are drawn, as loud at 110 Hz as at 880 Hz: by what the standard's contour says."""
    array = np.zeros((1, 48, 80), np.float32)
    array[0, [11, 47]] = 700
    np.save(tmp_path / "a.npy", array)
    words: dict[str, Any] = {"fmin": 110.0, "fmax": 1760.0, "duration": 3.0, "subtype": "FLOAT"}
    words |= {"method": "istft", "scale_notes": "cents:1200", "scheme": scheme}
    found = []
    for weighted in (False, True):
        render(tmp_path / "a.npy", tmp_path / "a.wav", equal_loudness=weighted, overwrite=True, **words)
        hz, level = peaks(read(tmp_path / "a.wav"), 44100)
        found.append([level[np.abs(hz - note).argmin()] for note in (110.0, 880.0)])
    (low, high), (raised, as_before) = found
    assert low - high == pytest.approx(0, abs=0.1)
    wanted = 20 * np.log10(gains(np.array([110.0, 880.0]), 60))
    assert raised - as_before == pytest.approx(wanted[0] - wanted[1], abs=0.1)


@pytest.mark.parametrize("words", [{}, {"equal_loudness": True}], ids=str)
def test_a_photograph_on_a_pentatonic_scale_is_in_tune(
    tmp_path: Path, data: Path, words: dict[str, Any]
) -> None:
    """Every spectral peak of the mix lies on a note, and most notes sound."""
    words = {**WORDS, **words, "size": 300, "duration": 8.0, "scale_notes": "pentatonic", "root": "C3"}
    photo = data / "images" / "mixing_bowl.jpg"
    run = sonify(photo, tmp_path / "run", weights=str(data / TRAINED), **words)
    notes_hz = notes_of("pentatonic", 130.8127826502993, 110, 4200).hz
    assert len(in_tune(mix_peaks(run), notes_hz)) > len(notes_hz) / 2


def test_a_diagonal_is_a_scale_that_is_played_upwards(tmp_path: Path) -> None:
    """Each note is at its loudest when the line crosses its rows, one after another."""
    array = np.zeros((1, 240, 240), np.float32)
    array[0, np.arange(239, -1, -1), np.arange(240)] = 700
    np.save(tmp_path / "a.npy", array)
    words: dict[str, Any] = {"fmin": 220.0, "fmax": 880.0, "duration": 12.0, "sample_rate": 8000}
    render(tmp_path / "a.npy", tmp_path / "a.wav", method="istft", scale_notes="major", root="A3", **words)
    (samples,) = read(tmp_path / "a.wav").T
    notes_hz = notes_of("major", 220.0, 220.0, 880.0).hz
    assert len(notes_hz) == 15
    time = np.arange(len(samples)) / 8000
    loudest = []
    for hz in notes_hz:
        level = np.abs(np.convolve(samples * np.exp(-2j * np.pi * hz * time), np.ones(2000) / 2000, "same"))
        loudest.append(time[level.argmax()])
    crossed = [12 * math.log2(hz / 220.0) / 2 for hz in notes_hz]
    # a note's rows reach to the middle between it and its neighbours, up to a whole tone apart
    np.testing.assert_allclose(loudest[1:-1], crossed[1:-1], atol=0.55)
    assert loudest == sorted(loudest)


def test_a_runs_sum_is_that_of_its_array(tmp_path: Path, small_picture: Path, weights_file: Path) -> None:
    """By `sonify` while the network runs, and by `render` from the array: float16 apart, below -60 dB."""
    words: dict[str, Any] = {
        "method": "istft",
        "scale_notes": "dorian",
        "root": 100.0,
        "equal_loudness": True,
    }
    words |= {"duration": 2.0, "sample_rate": 16000, "subtype": "FLOAT"}
    of_run: dict[str, Any] = {"banks": 3, "mix": False, "report": False, "label": "a"}
    run = sonify(small_picture, tmp_path / "run", weights=str(weights_file), **of_run, **words)
    render(run.folder / "activations-3_a.zarr", tmp_path / "a.wav", **words)
    expected = read(run.folder / "activations-3_a_sum.wav")
    np.testing.assert_allclose(read(tmp_path / "a.wav"), expected, atol=1e-3)


def test_banks_have_notes_in_phase_and_stems_add_up(
    tmp_path: Path, striped: Path, weights_file: Path
) -> None:
    words: dict[str, Any] = {
        **WORDS,
        "scale_notes": "blues",
        "stems": True,
        "subtype": "FLOAT",
        "loudness": -40.0,
    }
    run = sonify(striped, tmp_path / "run", weights=str(weights_file), **words)
    mix = read(run.folder / "mix.wav")
    stems = [read(run.folder / f"stem-{number}_a.wav") for number in (1, 2, 3, 4)]
    np.testing.assert_allclose(sum(stems), mix, atol=1e-6 * np.abs(mix).max())
    # at a note, levels of the banks add up as amplitudes do: none takes another away
    time = np.arange(len(mix)) / 16000
    for hz in notes_of("blues", 110, 110, 1000).hz:
        wave = np.exp(-2j * np.pi * hz * time) * np.hanning(len(mix))
        whole, *parts = (abs(each.mean(1) @ wave) for each in (mix, *stems))
        assert whole > 0.9 * sum(parts), hz


@pytest.mark.process
def test_a_run_says_what_its_notes_are(tmp_path: Path, striped: Path, weights_file: Path) -> None:
    """Plan, record and command; a Scala file is needed once."""
    file = tmp_path / "fifths.scl"
    file.write_text("fifths\n 2\n! one\n 3/2\n 2/1\n")
    words: dict[str, Any] = {**WORDS, "scale_notes": str(file), "root": "A2", "equal_loudness": True}
    planned = plan(striped, weights=str(weights_file), **words)
    assert planned.scale is not None and planned.equal_loudness
    assert planned.stft is not None and planned.stft.values == len(planned.scale.hz) == 11
    lines = long_plan(planned, 16000, None).splitlines()
    (notes,) = (line for line in lines if line.startswith("notes "))
    assert "11, 2 to 1200 cents on A2: A2 (110 Hz) to A7 (3520 Hz); levels in frames of 0.5 s" in notes
    (loudness,) = (line for line in lines if line.startswith("loudness "))
    assert loudness.endswith("low and high are equally loud at 60 phon")
    stop = Stop()

    def listen(progress: Progress) -> None:
        if progress.stage == "mix":
            stop.ask()

    with pytest.raises(Stopped):
        sonify(striped, tmp_path / "run", weights=str(weights_file), stop=stop, on_progress=listen, **words)
    file.unlink()
    run = resume(tmp_path / "run")
    sound = run.record["options"]["sound"]
    assert sound["scale_notes"].startswith("cents:701.95") and sound["root_hz"] == 110.0
    assert recorded_options(run.record).sound.notes == recorded_plan(run.record).scale == planned.scale
    assert soundfile.SoundFile(run.folder / "mix.wav").comment.count("notes") >= 1
    again = [*_words_of(run.record["command"]), "--out", str(tmp_path / "again"), "--quiet"]
    done = forked(*again)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "again") == contents(tmp_path / "run")


def _words_of(command: str) -> list[str]:
    return command.split()[1:]  # none of these words has a space
