"""Presets: their options, what wins over them, and netsounds' against its recorded sounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import zarr

from netsounds_stream import render, resume, sonify
from netsounds_stream.cli.commands import cli
from netsounds_stream.cli.options import chosen_options
from netsounds_stream.cli.sections import given_options
from netsounds_stream.errors import OptionError
from netsounds_stream.planning.keywords import RenderKeywords
from netsounds_stream.planning.options import SonifyOptions, options_from_words
from netsounds_stream.planning.presets import PRESET_NAMES, PRESETS
from tests.helpers.runs import contents, stopped_run


def asked(*words: str) -> SonifyOptions:
    """The options of a command line, as `plan` takes them."""
    with cli.commands["plan"].make_context("plan", ["a.png", *words]) as context:
        others = ("image", "dpath", "image_name", "out", "work", "as_json")
        assert {"preset"} <= given_options()
        return chosen_options({name: value for name, value in context.params.items() if name not in others})


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_a_preset_is_its_options(name: str) -> None:
    preset = next(each for known, each in PRESETS.items() if known == name)
    by_name, by_words = options_from_words(preset=name), options_from_words(**preset.words)
    assert by_name.preset == name and by_name.sound == by_words.sound
    assert by_words != SonifyOptions()
    command = ("--preset", name)
    assert asked(*command) == by_name
    assert asked(*command, *preset.options.split()) == by_name  # as its help spells them


def test_single_options_win() -> None:
    assert options_from_words(preset="netsounds", scale="peak", scheme=None).sound.scale == "peak"
    made = asked("--preset", "netsounds", "--scheme", "filters", "--mix", "--balance", "bank")
    assert (made.sound.schemes, made.sound.mix, made.sound.balance) == (("filters",), True, "bank")
    assert (made.sound.scale, made.normalize, made.report) == ("minmax", False, False)
    kept = asked("--preset", "listen", "--activations", "--scheme", "sum")
    assert kept.activations and kept.sound.schemes == ("sum",)


def test_no_such_preset() -> None:
    with pytest.raises(OptionError, match="netsounds, features, listen"):
        options_from_words(preset="loud")


@pytest.mark.parametrize(
    ("recorded", "scheme"), [("3_wine-bottle", "sum"), ("4_mixing-bowl", "sum"), ("4_mixing-bowl", "concat")]
)
def test_the_sounds_that_netsounds_recorded(data: Path, tmp_path: Path, recorded: str, scheme: Any) -> None:
    """Out of its recorded activations: to within 32-bit rounding."""
    words: Any = PRESETS["netsounds"].words
    assert scheme in words["scheme"]
    of_sound: Any = {name: words[name] for name in words if name in RenderKeywords.__annotations__}
    array = data / "golden" / f"activations-{recorded}.npy"
    render(array, tmp_path / "a.wav", scheme=scheme, time_axis="x", **of_sound)
    expected, rate = soundfile.read(data / "golden" / f"activations-{recorded}_{scheme}.wav")
    found, found_rate = soundfile.read(tmp_path / "a.wav")
    assert found_rate == rate
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_run_as_netsounds_made_it(tmp_path: Path, small_picture: Path, weights_file: Path) -> None:
    """By netsounds' formula, out of the activations that the run stored."""
    words: dict[str, Any] = {"weights": str(weights_file), "label": "a", "banks": (4,), "preset": "netsounds"}
    run = sonify(small_picture, tmp_path / "run", **words)
    assert [path.name for path in run.files] == [
        f"activations-4_a{ending}" for ending in (".zarr", "_concat.wav", "_sum.wav")
    ]
    assert run.record["options"]["preset"] == "netsounds"
    array = np.asarray(zarr.open_array(str(run.folder / "activations-4_a.zarr"), mode="r")[:], np.float64)
    frames = np.fft.ifft(array, axis=1).real.transpose(0, 2, 1).reshape(len(array), -1)

    def stretched(values: Any) -> Any:
        low, high = values.min(-1, keepdims=True), values.max(-1, keepdims=True)
        spread = np.where(high > low, high - low, 1)
        return np.where(high > low, 2 * (values - low) / spread - 1, -1)

    filters = stretched(frames)
    for name, expected in (("concat", filters.reshape(-1)), ("sum", stretched(filters.sum(0)))):
        found, _ = soundfile.read(run.folder / f"activations-4_a_{name}.wav")
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_stopped_run_of_a_preset_resumes(tmp_path: Path, small_picture: Path, weights_file: Path) -> None:
    """Also where its options are given one by one: only the name is another."""
    words: dict[str, Any] = {"banks": (2,), "label": "a", "weights": str(weights_file)}
    sonify(small_picture, tmp_path / "whole", preset="features", **words)
    stopped_run(tmp_path, small_picture, weights_file, "network", preset="features", banks=(2,))
    run = resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    assert run.record["options"]["preset"] == "features"
    assert [path.name for path in run.files] == ["activations-2_a.zarr"]
    (tmp_path / "again").mkdir()
    stopped_run(tmp_path / "again", small_picture, weights_file, "network", preset="features", banks=(2,))
    by_words: Any = PRESETS["features"].words
    sonify(small_picture, tmp_path / "again/run", resume=True, **words, **by_words)
    assert contents(tmp_path / "again/run") == contents(tmp_path / "whole")
