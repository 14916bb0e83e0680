"""Levels of notes, and weights of equal loudness, from a bank's rows: however these are cut, `==`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netsounds_stream.planning.plan import Stft
from netsounds_stream.planning.sound_options import LISTENING_PHON, SoundOptions
from netsounds_stream.sound.dsp.equal_loudness import gains
from netsounds_stream.sound.spectra import SpectraMap, SpectraSpool

RATE = 8000
NOTES = SoundOptions(sample_rate_hz=RATE, fft_size=64, fmin_hz=200, fmax_hz=3000, scale_notes="blues")


def some_rows(rows: int, channels: int = 2) -> torch.Tensor:
    return torch.rand(rows, channels, 40, generator=torch.Generator().manual_seed(rows)) * 1500


def shape(rows: int, ratio: float, sound: SoundOptions) -> Stft:
    count = 0 if sound.notes is None else len(sound.notes.hz)
    return Stft(64, 16, max(1, round(16 * rows / ratio)), notes=count)


def spooled(
    path: Path, rows: torch.Tensor, stft: Stft, sound: SoundOptions, cuts: Sequence[int]
) -> tuple[torch.Tensor, dict[str, Any]]:
    """What a spool has on disk of these rows, and its state."""
    spectra = SpectraMap(len(rows), len(rows), 40, stft, sound, flipped=True)
    with SpectraSpool(path, stft, rows.shape[1], spectra, None) as spool:
        for piece in torch.tensor_split(rows, sorted(min(cut, len(rows)) for cut in cuts)):
            spool.add(piece)
        blocks = torch.cat(list(spool.blocks()), dim=1)[:, : stft.frames]
        return blocks, dict(spool.state())


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 300),
    st.sampled_from([0.04, 0.3, 1.0, 3.7, 23.0]),
    st.booleans(),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_the_cuts_make_no_difference(
    tmp_path_factory: pytest.TempPathFactory, rows: int, ratio: float, weighted: bool, cuts: list[int]
) -> None:
    sound = replace(NOTES, equal_loudness=weighted)
    stft, values, path = shape(rows, ratio, sound), some_rows(rows), tmp_path_factory.mktemp("cuts") / "a"
    whole, state = spooled(path, values, stft, sound, [])
    found, same = spooled(path, values, stft, sound, cuts)
    assert torch.equal(found, whole)
    # one addition a block of frames, of which there are as many
    assert {**same, "energy": 0} == {**state, "energy": 0}
    assert same["energy"] == pytest.approx(state["energy"], rel=1e-12)


def test_levels_are_those_of_all_rows_at_once(tmp_path: Path) -> None:
    stft, values = shape(300, 1.0, NOTES), some_rows(300)
    found, _ = spooled(tmp_path / "a", values, stft, NOTES, [])
    sizes = (values / 1000).double()
    total = sizes.square().sum(1, keepdim=True).sqrt()
    shares = (sizes / total) ** 3
    powers = total**3 * shares / shares.square().sum(1, keepdim=True).sqrt()
    middles = 200 * 15 ** ((np.arange(40) + 0.5) / 40)
    assert NOTES.notes is not None
    notes = np.array(NOTES.notes.hz)
    nearest = np.abs(np.log(middles[:, None] / notes)).argmin(1)
    for frame in (1, 50, 200):  # a row a frame: half of the one before, half of the next
        row = (powers[frame - 1] + powers[frame]) / 2
        for note in range(len(notes)):
            rows = row[:, 39 - np.flatnonzero(nearest == note)]  # the first is the highest
            expected = rows.square().sum(1).sqrt()
            np.testing.assert_allclose(found[:, frame, note], expected, atol=1e-5 * float(powers.max()))


@pytest.mark.parametrize("scale", [None, "blues"])
def test_equal_loudness_weighs_each_value_by_its_frequency(tmp_path: Path, scale: str | None) -> None:
    words: dict[str, Any] = {"sample_rate_hz": RATE, "fft_size": 64, "fmin_hz": 200, "scale_notes": scale}
    plain, weighted = SoundOptions(**words), SoundOptions(**words, equal_loudness=True)
    stft, values = shape(200, 1.0, plain), some_rows(200)
    before, state = spooled(tmp_path / "a", values, stft, plain, [])
    after, other = spooled(tmp_path / "b", values, stft, weighted, [])
    hz = np.arange(33) * RATE / 64 if plain.notes is None else np.array(plain.notes.hz)
    expected = before * torch.from_numpy(gains(hz, LISTENING_PHON)).float()
    assert torch.equal(after, expected)
    assert float(after.double().square().sum()) == pytest.approx(other["energy"])
    # content is measured as the network sees it
    assert other["loudest"] == state["loudest"]
