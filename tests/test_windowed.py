"""Windowed sound, stereo, choice of filters, the mix: whole runs against plain sums over their arrays.

Tolerances: FLOAT files within 2e-5 of full scale (float32 sums of up to 96 filters, and their third power);
PCM_16 within a step and a half, of dither two more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import zarr
from numpy.typing import NDArray

from netsounds_stream import load_weights, render, sonify
from netsounds_stream.planning.geometry import inside
from netsounds_stream.planning.plan import Stft
from netsounds_stream.sound.dsp.spectrum import FrequencyMap, FrequencyScale, interval_weights
from netsounds_stream.stages.baseline import baselines

Array = NDArray[np.float64]
STFT = {"duration": 1.2, "fft_size": 256, "sample_rate": 8000}
ATOL = 2e-5


def array_of(run: Path, bank: int) -> Array:
    """A run's whole array in order of time: `[filter, frame, frequency]`; time along x."""
    array = np.asarray(zarr.open_array(str(run / f"activations-{bank}_a.zarr"), mode="r")[:], np.float64)
    return array.transpose(0, 2, 1)


def read(path: Path) -> Array:
    return np.asarray(soundfile.read(path, always_2d=True)[0])


def to_peak(samples: Array) -> Array:
    return samples / np.abs(samples).max()


def inverted(frames: Array) -> Array:
    """Raw sound, `[..., sample]`."""
    sound = np.fft.ifft(frames, axis=-1).real
    return np.asarray(sound.reshape(*frames.shape[:-2], -1))


def faded(samples: Array, rate: int = 8000) -> Array:
    """`[sample, channel]`, by 10 ms at both ends."""
    count = rate // 100
    fade = (1 - np.cos(np.pi * (np.arange(count) + 0.5) / count)) / 2
    made = samples.copy()
    made[:count] *= fade[:, None]
    made[-count:] *= fade[::-1, None]
    return made


def windowed(rows: Array, stft: Stft, sound: dict[str, Any], *, flipped: bool = True) -> Array:
    """Rows `[frame, frequency]` by 'istft' with phase 'zero', not levelled: all in memory, float64."""
    a_frame = len(rows) * stft.hop / stft.samples
    centres = np.arange(stft.frames) * a_frame
    first, weights = interval_weights(centres - a_frame / 2, centres + a_frame / 2, len(rows))
    powers = (rows / 1000) ** sound.get("contrast", 3.0)
    in_time = weights.astype(np.float64) @ powers[first : first + weights.shape[1]]
    scale = FrequencyScale(sound.get("frequency", "log"), sound.get("fmin", 40.0), sound.get("fmax", 4000.0))
    spread = FrequencyMap(rows.shape[1], stft.fft_size, 8000, scale, reversed_rows=flipped)
    magnitudes = spread(torch.from_numpy(in_time).float()).double().numpy()
    window = np.sin(np.pi * np.arange(stft.fft_size) / stft.fft_size) ** 2
    total, norm = np.zeros((2, stft.frames * stft.hop + stft.fft_size))
    for number, frame in enumerate(np.fft.irfft(magnitudes, axis=1)):
        here = slice(number * stft.hop, number * stft.hop + stft.fft_size)
        total[here] += np.fft.fftshift(frame) * window  # a pulse at its middle
        norm[here] += window**2
    middle = slice(stft.fft_size // 2, stft.fft_size // 2 + stft.samples)
    return np.asarray(total[middle] / norm[middle])


SELECTIONS: list[dict[str, Any]] = [{}, {"top": 7}, {"filters": (3, 17, 40)}, {"filters": "40"}]


RAISED = {"contrast": 1.0}  # of rows that are raised already


def raised(summed: Array) -> Array:
    """By the usual contrast, `[channel, ...]`: the whole, and what each channel has of it, to whole power."""
    whole = np.sqrt((summed**2).sum(0)) / 1000
    shares = np.divide(summed / 1000, whole, out=np.zeros_like(summed), where=whole > 0) ** 3
    of_all = np.sqrt((shares**2).sum(0))
    return 1000 * whole**3 * np.divide(shares, of_all, out=np.zeros_like(shares), where=of_all > 0)


def numbers_of(array: Array, words: dict[str, Any]) -> list[int]:
    """The filters that sound."""
    if "top" in words:
        return sorted(np.argsort(-(array**2).sum((1, 2)), kind="stable")[: words["top"]].tolist())
    if "filters" in words:
        given = words["filters"]
        return [int(each) for each in (given.split(",") if isinstance(given, str) else given)]
    return list(range(len(array)))


def panned(array: Array, words: dict[str, Any]) -> Array:
    """Weights `[filter, channel]`, all filters'."""
    if not words.get("stereo"):
        return np.ones((len(array), 1))
    places = (np.arange(len(array)) + 0.5) / len(array)
    if words.get("pan") == "centroid":
        energy, across = (array**2).sum(1), (np.arange(array.shape[2]) + 0.5) / array.shape[2]
        total = energy.sum(1)
        places = np.where(total > 0, energy @ across / np.where(total > 0, total, 1), 0.5)
    return np.stack((np.cos(places * np.pi / 2), np.sin(places * np.pi / 2)), axis=1)


@pytest.mark.parametrize("pan", [{}, {"stereo": True}, {"stereo": True, "pan": "centroid"}])
@pytest.mark.parametrize("balance", ["bank", "filter"])
@pytest.mark.parametrize("choice", SELECTIONS, ids=str)
def test_sums_are_those_of_the_arrays(
    tmp_path: Path, stored: Path, choice: dict[str, Any], balance: str, pan: dict[str, Any]
) -> None:
    """Constant-power panning of the filters chosen, raw and windowed, against the plain sums."""
    array, words, out = array_of(stored, 1), {**choice, **pan}, tmp_path / "a.wav"
    numbers = numbers_of(array, words)
    weights = panned(array, words)[numbers]
    if balance == "filter":
        peak = array[numbers].mean(2).max(1)
        weights = weights / peak[:, None]
    summed = np.einsum("ftq,fc->ctq", array[numbers], weights)
    words |= {"balance": balance, "subtype": "FLOAT", "overwrite": True}
    source = stored / "activations-1_a.zarr"
    render(source, out, scheme="sum", **words)
    np.testing.assert_allclose(read(out), to_peak(inverted(summed)).T, atol=ATOL)
    render(source, out, scheme="sum", method="istft", phase="zero", **STFT, **words)
    sound = np.stack([windowed(each, Stft(256, 64, 9600), RAISED) for each in raised(summed)], axis=1)
    np.testing.assert_allclose(read(out), faded(to_peak(sound)), atol=ATOL)


@pytest.mark.parametrize("balance", ["bank", "filter"])
@pytest.mark.parametrize("choice", [{"top": 7}, {"filters": (3, 17, 40)}], ids=str)
def test_filters_are_those_of_the_arrays(
    tmp_path: Path, stored: Path, choice: dict[str, Any], balance: str
) -> None:
    array, out = array_of(stored, 1), tmp_path / "a.wav"
    numbers = numbers_of(array, choice)
    words = {**choice, "balance": balance, "subtype": "FLOAT", "overwrite": True, "scheme": "concat"}

    def levelled(sounds: list[Array]) -> list[Array]:
        together = max(np.abs(sound).max() for sound in sounds)
        return [sound / (np.abs(sound).max() if balance == "filter" else together) for sound in sounds]

    render(stored / "activations-1_a.zarr", out, **words)
    raw = np.concatenate(levelled([inverted(array[number]) for number in numbers]))
    np.testing.assert_allclose(read(out)[:, 0], raw, atol=ATOL)
    render(stored / "activations-1_a.zarr", out, method="istft", phase="zero", **STFT, **words)
    sounds = levelled([windowed(array[number], Stft(256, 64, 9600), {}) for number in numbers])
    each = [faded(sound[:, None]) for sound in sounds]
    np.testing.assert_allclose(read(out), np.concatenate(each), atol=ATOL)


@pytest.mark.parametrize(
    "words",
    [
        {"frequency": "linear", "fmin": 0.0, "fmax": 4000.0, "contrast": 1.0},
        {"frequency": "mel", "fmin": 300.0, "fmax": 2500.0, "contrast": 0.7, "flip_frequency": True},
        {"hop": 100, "contrast": 2.0},
        {"hop": 128, "duration": 0.05},
    ],
    ids=str,
)
def test_windowed_sound_of_other_maps(tmp_path: Path, stored: Path, words: dict[str, Any]) -> None:
    array = array_of(stored, 3)
    asked = {**STFT, **words, "method": "istft", "phase": "zero", "subtype": "FLOAT"}
    render(stored / "activations-3_a.zarr", tmp_path / "a.wav", **asked)
    stft = Stft(256, words.get("hop", 64), round(8000 * asked["duration"]))
    expected = windowed(array.sum(0), stft, words, flipped="flip_frequency" not in words)
    np.testing.assert_allclose(read(tmp_path / "a.wav"), faded(to_peak(expected)[:, None]), atol=ATOL)


@pytest.mark.parametrize("words", [{}, {"method": "istft", "phase": "zero", **STFT}], ids=str)
def test_scale_none_leaves_the_samples(tmp_path: Path, stored: Path, words: dict[str, Any]) -> None:
    """Past full scale, too: the plain sum of 96 filters peaks far above."""
    array, out = array_of(stored, 1), tmp_path / "a.wav"
    words = {**words, "scale": "none", "subtype": "FLOAT", "balance": "filter", "overwrite": True}
    source, largest = stored / "activations-1_a.zarr", 0.0
    for scheme, frames in (("sum", array.sum(0, keepdims=True)), ("concat", array[:3])):
        chosen = {} if scheme == "sum" else {"filters": "0,1,2"}
        render(source, out, scheme=scheme, **chosen, **words)
        raw = "method" not in words
        sounds = [inverted(each) if raw else windowed(each, Stft(256, 64, 9600), {}) for each in frames]
        expected = np.concatenate([each[:, None] if raw else faded(each[:, None]) for each in sounds])
        np.testing.assert_allclose(read(out), expected, atol=ATOL * max(1e-9, np.abs(expected).max()))
        largest = max(largest, np.abs(expected).max())
    assert largest > 1 or "method" in words


@pytest.mark.parametrize("pan", ["index", "centroid"])
@pytest.mark.parametrize("number", [0, 20, 95])
def test_a_panned_filter_keeps_its_power(tmp_path: Path, stored: Path, number: int, pan: str) -> None:
    source = stored / "activations-1_a.zarr"
    words = {"filters": (number,), "scale": "none", "subtype": "FLOAT", "overwrite": True}
    for method in ("ifft", "istft"):
        render(source, tmp_path / "mono.wav", method=method, **STFT, **words)
        render(
            source,
            tmp_path / "stereo.wav",
            method=method,
            stereo=True,
            pan=pan,
            contrast=3.0,
            **STFT,
            **words,
        )
        mono, stereo = read(tmp_path / "mono.wav"), read(tmp_path / "stereo.wav")
        left, right = panned(array_of(stored, 1), {"stereo": True, "pan": pan})[number]
        if method == "istft":  # the contrast moves what lies aside further there
            left, right = np.array((left, right)) ** 3 / np.hypot(left**3, right**3)
        # the powers are rounded in float32, thrice
        np.testing.assert_allclose(stereo, mono * (left, right), atol=10 * ATOL * np.abs(mono).max())
        np.testing.assert_allclose((stereo**2).sum(1), mono[:, 0] ** 2, atol=10 * ATOL * (mono**2).max())


def test_the_mix_is_the_banks_sums_at_one_level(
    tmp_path: Path, small_picture: Path, weights_file: Path
) -> None:
    """Panned sums without what is even and the border, windowed, each divided by its magnitudes' level, set
    aside and added: up to the loudness's gain."""
    words: dict[str, Any] = {**STFT, "phase": "zero", "iterations": 0, "subtype": "FLOAT", "banks": (1, 3)}
    out = tmp_path / "run"
    run = sonify(
        small_picture, out, weights=str(weights_file), report=False, label="a", loudness=-50.0, **words
    )
    about, weights = run.record["picture"], load_weights(str(weights_file))
    size = about["height"], about["width"]
    found_even = baselines(weights, about["median_colour"], 255, *size, normalize=True)
    total = np.zeros((9600, 2))
    for bank, left in ((1, 0.65), (3, 1.35)):
        array = array_of(run.folder, bank)
        places = panned(array, {"stereo": True})
        summed = np.einsum("ftq,fc->ctq", array, places)
        answer = found_even[bank]
        even, spread = (
            np.einsum("f,fc->c", each.double().numpy(), places) for each in (answer.even, answer.spread)
        )
        kept = [inside(count, {1: 0, 3: 6}[bank]) for count in summed.shape[1:]]
        rows, values = (
            np.arange(count).clip(part.start, part.stop - 1)
            for count, part in zip(summed.shape[1:], kept, strict=True)
        )
        content = np.abs(summed[:, rows][:, :, values] - even[:, None, None])
        powers = raised(np.maximum(content - (spread + even / 128)[:, None, None], 0))
        sounds = np.stack([windowed(each, Stft(256, 64, 9600), RAISED) for each in powers], axis=1)
        aside = np.sqrt(2) * np.array([np.cos(left * np.pi / 4), np.sin(left * np.pi / 4)])
        total += sounds / level_of(powers) * aside
    expected, found = faded(total), read(run.folder / "mix.wav")
    gain = (found * expected).sum() / (expected**2).sum()
    np.testing.assert_allclose(found, gain * expected, atol=ATOL * np.abs(found).max())


def level_of(summed: Array) -> float:
    """The root of the mean over frames of the magnitudes' energies; of all channels `[channel, ...]`."""
    stft, energy = Stft(256, 64, 9600), 0.0
    for rows in summed:
        a_frame = len(rows) * stft.hop / stft.samples
        centres = np.arange(stft.frames) * a_frame
        first, weights = interval_weights(centres - a_frame / 2, centres + a_frame / 2, len(rows))
        in_time = weights @ (rows / 1000)[first : first + weights.shape[1]]
        scale = FrequencyScale("log", 40.0, 4000.0)
        spread = FrequencyMap(rows.shape[1], 256, 8000, scale, reversed_rows=True)
        energy += float(spread(torch.from_numpy(in_time).float()).double().square().sum())
    return float(np.sqrt(energy / stft.frames))
