"""Sound against a plain double-precision reference, and against the sounds that netsounds recorded.

Tolerances: FLOAT files within 1e-5 of full scale (float32 transform, sums of up to 512 filters); PCM within
1 step of the reference's rounding.
"""

from __future__ import annotations

import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from netsounds_stream.base.journal import Journal
from netsounds_stream.base.pipeline import Pipeline
from netsounds_stream.base.progress import Stages
from netsounds_stream.errors import OptionError, OutputError, StoreError
from netsounds_stream.planning.sound_options import SUBTYPES, SoundOptions
from netsounds_stream.planning.sound_plan import audio_plan
from netsounds_stream.rendering.render import render
from netsounds_stream.sound.bank import BankSound, BankSums
from netsounds_stream.sound.context import StageContext
from netsounds_stream.sound.levels import LevelMeter, extremes
from netsounds_stream.sound.raw import RawSound
from netsounds_stream.sound.tags import Tags
from netsounds_stream.sound.wav import LaidOutWav, to_samples
from netsounds_stream.store.arrays import Activations, open_activations
from tests.helpers.plain_sound import (
    plain_sound,
)


def tags(scheme: str) -> Tags:
    return Tags(
        title="title", picture="picture", label="label", scheme=scheme, method="ifft", software="software"
    )


def activations(seed: int = 0) -> np.ndarray:
    """Relu-like `[channel=7, y=23, x=31]` with one dead filter and one loud one."""
    array = np.maximum(np.random.default_rng(seed).normal(size=(7, 23, 31)), 0).astype(np.float16)
    array[2] = 0
    array[5] *= 40
    return array


@pytest.mark.parametrize("time_axis", ["x", "y"])
@pytest.mark.parametrize("scale", ["peak", "minmax"])
@pytest.mark.parametrize("balance", ["bank", "filter"])
@pytest.mark.parametrize("scheme", ["sum", "concat", "filters"])
@pytest.mark.parametrize("block_values", [1, 500, 1 << 20])
def test_every_scheme_in_any_blocks(
    tmp_path: Path, scheme: str, balance: str, scale: str, time_axis: str, block_values: int
) -> None:
    array = activations()
    source = Activations(array, time_axis, 5, {})
    options = SoundOptions(schemes=(scheme,), mix=False, balance=balance, scale=scale, subtype="FLOAT")
    audio = audio_plan(scheme, 7, source.frames, source.frequencies, options)
    paths = [tmp_path / f"{number}.wav" for number in range(audio.files)]
    context = StageContext(
        options=options,
        journal=Journal.nowhere(),
        pipeline=Pipeline(3),
        temporary=tmp_path,
        tags=lambda bank, scheme: tags(scheme),
    )
    raw = RawSound(context=context, number=1, stage="sound", stored=source, block_values=block_values)
    bank = BankSound(raw=raw, windowing=None, whole_frames=source.frames)
    bank.write([(audio, paths)], Stages(), BankSums(spectra={}))
    sound = np.stack([soundfile.read(path)[0] for path in paths])
    expected = plain_sound(array, scheme, balance, scale, time_axis)
    assert sound.size == expected.size
    np.testing.assert_allclose(sound.reshape(expected.shape), expected, atol=1e-5)
    assert np.abs(sound).max() <= 1


@pytest.mark.parametrize("scheme", ["sum", "concat"])
def test_negative_values_too(tmp_path: Path, scheme: str) -> None:
    # not what the network gives, but an array may hold them: the loudest sample is then no mean
    array = np.random.default_rng(1).normal(size=(3, 20, 16)).astype(np.float32)
    np.save(tmp_path / "a.npy", array)
    render(tmp_path / "a.npy", tmp_path / "a.wav", scheme=scheme, time_axis="y", subtype="FLOAT")
    expected = plain_sound(array, scheme, "bank", "peak", "y")
    np.testing.assert_allclose(soundfile.read(tmp_path / "a.wav")[0], expected, atol=1e-5)


@pytest.mark.parametrize(("subtype", "step"), [("PCM_16", 2**-15), ("PCM_24", 2**-23)])
def test_integer_samples(tmp_path: Path, subtype: str, step: float) -> None:
    array = activations(3)
    np.save(tmp_path / "a.npy", array)
    render(tmp_path / "a.npy", tmp_path / "a.wav", scheme="concat", time_axis="x", subtype=subtype)
    sound, rate = soundfile.read(tmp_path / "a.wav")
    expected = plain_sound(array, "concat", "bank", "peak", "x") * (1 - step)  # full scale is 2^n - 1
    assert rate == 44100
    # float32 holds 24 bits, so that a PCM_24 sample may come out a step or two aside
    np.testing.assert_allclose(sound, expected, atol=1.01 * step if subtype == "PCM_16" else 4 * step)


def test_silence_stays_silent(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 8, 9), np.float32))
    for scale, level in (("peak", 0), ("minmax", -1)):
        for balance in ("bank", "filter"):
            for scheme in ("sum", "concat"):
                options = {"scheme": scheme, "balance": balance, "scale": scale}
                render(tmp_path / "a.npy", tmp_path / "a.wav", overwrite=True, **options)
                sound, _ = soundfile.read(tmp_path / "a.wav")
                np.testing.assert_allclose(sound, level, atol=1e-4)


@pytest.mark.parametrize(
    ("recorded", "scheme"),
    [
        ("3_mixing-bowl", "sum"),
        ("3_wine-bottle", "sum"),
        ("4_mixing-bowl", "sum"),
        ("4_mixing-bowl", "concat"),
        ("4_wine-bottle", "sum"),
        ("4_wine-bottle", "concat"),
    ],
)
def test_the_sounds_that_netsounds_recorded(data: Path, tmp_path: Path, recorded: str, scheme: str) -> None:
    golden = data / "golden" / f"activations-{recorded}_{scheme}.wav"
    wav = tmp_path / "a.wav"
    array = data / "golden" / f"activations-{recorded}.npy"
    words = {"balance": "filter", "scale": "minmax", "subtype": "FLOAT", "time_axis": "x"}
    render(array, wav, scheme=scheme, **words)
    expected, rate = soundfile.read(golden)
    sound, _ = soundfile.read(wav)
    assert rate == 44100
    assert sound.shape == expected.shape
    np.testing.assert_allclose(sound, expected, atol=1e-5)


def test_means_are_the_loudest_samples() -> None:
    block = torch.from_numpy(activations()).float()
    measured, by_means = LevelMeter(7), LevelMeter(7)
    measured.add(0, *extremes(block, lowest=True))
    by_means.add_means(0, block.mean(dim=2).T)
    np.testing.assert_allclose(by_means.levels().peak, measured.levels().peak, rtol=1e-5)


def test_a_file_past_4_gib_is_rf64(tmp_path: Path) -> None:
    samples = (1 << 31) + 1000
    audio = audio_plan("concat", 1, samples, 1, SoundOptions())
    assert audio.container == "RF64"
    assert audio_plan("concat", 1, (1 << 31) - 40000, 1, SoundOptions()).container == "WAV"
    wav = tmp_path / "long.wav"
    with LaidOutWav(wav, audio, SoundOptions()) as sound:  # sparse: it takes no disk until filled
        sound.write(samples - 3, np.array([1, 2, 3], np.int16))
        sound.write(5, np.array([7], np.int16))
    info = soundfile.info(wav)
    assert (info.frames, info.format) == (samples, "RF64")
    with soundfile.SoundFile(wav) as read:
        assert read.read(6, dtype="int16").tolist() == [0, 0, 0, 0, 0, 7]
        read.seek(samples - 3)
        assert read.read(dtype="int16").tolist() == [1, 2, 3]


def test_a_laid_out_file_is_right_before_it_is_filled(tmp_path: Path) -> None:
    audio = audio_plan("sum", 1, 100, 10, SoundOptions())
    with LaidOutWav(tmp_path / "a.wav", audio, SoundOptions()):
        assert soundfile.info(tmp_path / "a.wav").frames == 1000


@pytest.mark.parametrize("container", ["WAV", "RF64"])
@pytest.mark.parametrize("subtype", SUBTYPES)
@pytest.mark.parametrize("samples", [1, 2, 7, 1000])
def test_every_header_as_libsndfile_reads_it(
    tmp_path: Path, subtype: str, container: str, samples: int
) -> None:
    audio = replace(audio_plan("sum", 1, samples, 1, SoundOptions(subtype=subtype)), container=container)
    options = SoundOptions(schemes=("sum",), mix=False, sample_rate_hz=12345, subtype=subtype)
    values = torch.linspace(-1, 1, samples)
    with LaidOutWav(tmp_path / "a.wav", audio, options) as wav:
        for start in reversed(range(0, samples, 3)):
            wav.write(start, to_samples(values[start : start + 3].clone(), subtype).numpy())
    info = soundfile.info(tmp_path / "a.wav")
    assert (info.frames, info.samplerate, info.channels) == (samples, 12345, 1)
    assert (info.format, info.subtype) == (container, subtype)
    sound, _ = soundfile.read(tmp_path / "a.wav", dtype="float64")
    step = {"PCM_16": 2**-15, "PCM_24": 2**-23, "FLOAT": 0.0}[subtype]
    np.testing.assert_allclose(sound, values.double().numpy(), atol=1.5 * step)
    if container == "WAV":  # also by the standard library's own reader, where it knows the format
        assert (tmp_path / "a.wav").stat().st_size <= audio.bytes_per_file
        if subtype != "FLOAT":
            with wave.open(str(tmp_path / "a.wav")) as plain:
                assert (plain.getnframes(), plain.getframerate()) == (samples, 12345)


def test_render_refuses_what_it_cannot_use(tmp_path: Path) -> None:
    good, wav = tmp_path / "a.npy", tmp_path / "a.wav"
    np.save(good, np.zeros((2, 4, 4), np.float32))
    wav.write_bytes(b"mine")
    with pytest.raises(OutputError, match="--overwrite"):
        render(good, wav)
    assert wav.read_bytes() == b"mine"
    with pytest.raises(OptionError, match="filters"):
        render(good, tmp_path / "b.wav", scheme="filters")
    np.save(tmp_path / "flat.npy", np.zeros((4, 4), np.float32))
    with pytest.raises(StoreError, match="channel, y, x"):
        render(tmp_path / "flat.npy", tmp_path / "b.wav")
    np.save(tmp_path / "words.npy", np.array(["a"]))
    with pytest.raises(StoreError):
        render(tmp_path / "words.npy", tmp_path / "b.wav")
    (tmp_path / "junk.npy").write_bytes(b"junk")
    with pytest.raises(StoreError, match=r"\.npy"):
        render(tmp_path / "junk.npy", tmp_path / "b.wav")
    np.save(tmp_path / "nan.npy", np.full((2, 4, 4), np.nan, np.float32))
    for scheme in ("sum", "concat"):
        with pytest.raises(StoreError, match="NaN"):
            render(tmp_path / "nan.npy", tmp_path / "b.wav", scheme=scheme)
    np.savez(tmp_path / "several.npz", np.zeros(3))
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    with pytest.raises(StoreError, match="archive"):
        render(tmp_path / "several.npy", tmp_path / "b.wav")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(StoreError, match="zarr"):
        open_activations(tmp_path / "empty.zarr")
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".wav") == ["a.wav"]
