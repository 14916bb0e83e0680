"""Windowed sound, stereo, choice of filters, the mix: whole runs against plain sums over their arrays.

Tolerances: FLOAT files within 2e-5 of full scale (float32 sums of up to 96 filters, and their third power);
PCM_16 within a step and a half, of dither two more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netsounds_stream import load_network, render, sonify
from netsounds_stream.graph.geometry import inside
from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.planning.plan import Stft
from netsounds_stream.stages.baseline import baselines
from tests.helpers.plain_sound import (
    ATOL,
    RAISED,
    STFT,
    Array,
    array_of,
    faded,
    inverted,
    level_of,
    numbers_of,
    panned,
    raised,
    read,
    to_peak,
    windowed,
)

SELECTIONS: list[dict[str, Any]] = [{}, {"top": 7}, {"filters": (3, 17, 40)}, {"filters": "40"}]


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


def test_the_mix_is_the_banks_sums_each_at_its_level(
    tmp_path: Path, small_picture: Path, weights_file: Path
) -> None:
    """Panned sums without what is even and the border, windowed, each divided by its magnitudes' level, bank
    3 made 8 dB quieter for its resolution, set aside and added: up to the loudness's gain."""
    words: dict[str, Any] = {**STFT, "phase": "zero", "iterations": 0, "subtype": "FLOAT", "banks": (1, 3)}
    out = tmp_path / "run"
    run = sonify(
        small_picture, out, weights=str(weights_file), report=False, label="a", loudness=-50.0, **words
    )
    about, weights = run.record["picture"], load_network(weights=str(weights_file))
    size = about["height"], about["width"]
    found_even = baselines(weights, usual_banks(), about["median_colour"], 255, *size, normalize=True)
    total = np.zeros((9600, 2))
    quieter = 10 ** (-8 / 20)
    balance = 2 / np.pi * np.arcsin(quieter**2 * np.sin(0.7 * np.pi / 2))
    for bank, level, left in ((1, 1, 1 - balance), (3, quieter, 1.7)):
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
        total += level * sounds / level_of(powers) * aside
    expected, found = faded(total), read(run.folder / "mix.wav")
    gain = (found * expected).sum() / (expected**2).sum()
    np.testing.assert_allclose(found, gain * expected, atol=ATOL * np.abs(found).max())
