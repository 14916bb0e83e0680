"""What a listener would notice in the mix, as figures: no buzz, even ends, the loudness asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hearing
import numpy as np
import pyloudnorm
import pytest
from numpy.typing import NDArray

from netsounds_stream import sonify
from netsounds_stream.picture.demo_picture import draw

pytestmark = pytest.mark.slow

ONLY_MIX = {"scheme": (), "activations": False, "report": False, "duration": 5.0}


def mix_of(picture: Path | NDArray[np.uint8], out: Path, weights: Path, **words: Any) -> NDArray[np.float64]:
    run = sonify(picture, out, weights=str(weights), **ONLY_MIX, **words)
    samples, rate = hearing.read(run.folder / "mix.wav")
    assert rate == 44100
    return samples


def most_buzz_db(samples: NDArray[np.float64]) -> float:
    return max(hearing.buzz_db(samples.mean(1), 44100, 512))


def test_the_drawn_picture_does_not_buzz(tmp_path: Path, weights_file: Path) -> None:
    picture = draw(600, 400)
    assert most_buzz_db(mix_of(picture, tmp_path / "a", weights_file)) < 6
    # the measure sees what there was: one pass by phase gradient, frames that pulse together
    before = mix_of(picture, tmp_path / "b", weights_file, method="istft", scale="peak")
    assert most_buzz_db(before) > 10


@pytest.mark.parametrize("name", ["mixing_bowl.jpg", "wine_bottle.jpg"])
def test_photographs_do_not_buzz(tmp_path: Path, data: Path, name: str) -> None:
    (weights,) = (data / "weights").glob("*.pth")
    samples = mix_of(data / "images" / name, tmp_path / "a", weights, size=600)
    assert most_buzz_db(samples) < 6
    assert max(hearing.swell_db(samples.mean(1), 44100)) < 4
    assert hearing.levels(samples, 44100)["side_db"] > -10


def test_loudness_is_met_where_peaks_stand_out(tmp_path: Path, weights_file: Path) -> None:
    """Bars of noise: bursts out of silence, which the limiter turns down; by another meter."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    picture = np.where((np.arange(400) % 100 < 15)[:, None], noise, np.uint8(0))
    for wanted in (-18.0, -15.0):
        samples = mix_of(picture, tmp_path / str(wanted), weights_file, loudness=wanted)
        found = pyloudnorm.Meter(44100).integrated_loudness(samples)
        assert found == pytest.approx(wanted, abs=0.25)  # two meters differ by 0.05 LU
