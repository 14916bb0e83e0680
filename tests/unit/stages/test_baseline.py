"""What is no content makes no sound: even pictures, the zero padding at the border, what is nearly even.

By plain ways: the network on whole pictures, and rows prepared by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from netsounds_stream import RowStream, Run, sonify
from netsounds_stream.graph.geometry import inside
from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.network.networks import Network
from netsounds_stream.network.tracing.capture import capture
from netsounds_stream.planning.plan import Stft
from netsounds_stream.planning.sound_options import SoundOptions
from netsounds_stream.sound.background import Background, Baseline
from netsounds_stream.sound.spectra import SpectraMap
from netsounds_stream.stages.baseline import baselines

SOUND = SoundOptions(sample_rate_hz=8000, fft_size=64, hop=16, contrast=2.0)
STFT = Stft(64, 16, 2000)
MIX = {"duration": 1.5, "scheme": (), "activations": False, "report": False}


def activations(weights: Network, picture: Tensor) -> dict[int, Tensor]:
    """Each bank's, `[filter, y, x]`, of pixels `[rgb, y, x]` at once."""
    found: dict[str, list[Tensor]] = {each.layer: [] for each in usual_banks().banks}
    hooks = dict.fromkeys(found, lambda block: found[block.layer].append(block.tensor().float()))
    captured = weights.for_pixels(255, normalize=True)
    assert captured is not None
    stream = RowStream(captured, hooks)
    stream.push(picture)
    stream.flush()
    return {each.number: torch.cat(found[each.layer], dim=1) for each in usual_banks().banks}


def even(colour: tuple[int, int, int], height: int, width: int) -> Tensor:
    return torch.tensor(colour, dtype=torch.float32)[:, None, None].expand(3, height, width).contiguous()


@pytest.mark.parametrize("size", [(200, 223), (209, 214), (331, 188)])
def test_zero_padding_is_seen_in_the_border_and_no_further(weights: Network, size: tuple[int, int]) -> None:
    """Whatever the remainder of an edge; and the border is no larger than it needs to be."""
    reached = {each.number: 0 for each in usual_banks().banks}
    for number, values in activations(weights, even((90, 120, 200), *size)).items():
        middle = values[:, values.shape[1] // 2, values.shape[2] // 2]
        off = ((values - middle[:, None, None]).abs() > 1e-3 * middle.abs().max()).any(0)
        for seen in (off[:, off.shape[1] // 2], off[off.shape[0] // 2]):
            at = torch.nonzero(seen)[:, 0]
            ends = torch.minimum(at, len(seen) - 1 - at) + 1
            reached[number] = max(reached[number], int(ends.max()) if len(ends) else 0)
    borders = {each.number: each.border for each in usual_banks().banks}
    assert all(reached[number] <= borders[number] for number in borders)
    assert all(reached[number] >= borders[number] - 1 for number in borders)


@given(st.integers(1, 200), st.integers(0, 8))
def test_at_least_half_of_an_axis_is_inside(length: int, border: int) -> None:
    part = inside(length, border)
    assert part.start <= border and length - part.stop <= border
    assert part.stop - part.start >= max(1, length / 2)


def silent_run(folder: Path, colour: tuple[int, int, int], size: tuple[int, int], weights: Path) -> Run:
    pixels = np.broadcast_to(np.array(colour, np.uint8), (size[1], size[0], 3)).copy()
    return sonify(pixels, folder / "run", weights=str(weights), overwrite=True, **MIX)


@pytest.mark.parametrize("colour", [(0, 0, 0), (128, 128, 128), (255, 255, 255), (200, 60, 30)])
def test_an_even_picture_is_silent(tmp_path: Path, weights_file: Path, colour: tuple[int, int, int]) -> None:
    for size in ((21, 21), (70, 48), (211, 180)):
        run = silent_run(tmp_path, colour, size, weights_file)
        samples, _ = soundfile.read(run.folder / "mix.wav")
        assert not samples.any(), size
        assert any("mix.wav is silent" in note for note in run.record["notes"])


def test_what_is_nearly_even_stays_faint(tmp_path: Path, weights_file: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(150, 200, 3))
    loudness = {}
    for size in (1.5, 60):
        pixels = np.clip(128 + size * noise, 0, 255).astype(np.uint8)
        run = sonify(pixels, tmp_path / str(size), weights=str(weights_file), **MIX)
        loudness[size] = run.record["levels"]["mix.wav"]["loudness_lufs"]
        assert any("nearly even" in note for note in run.record["notes"]) == (size == 1.5)
    assert loudness[60] == pytest.approx(-16, abs=0.2)
    assert loudness[1.5] < -22


def rows_of(count: int) -> Tensor:
    return torch.rand(count, 2, 12, generator=torch.Generator().manual_seed(count)) * 1000


def magnitudes(rows: Tensor, cuts: list[int], background: Background | None, whole: int) -> Tensor:
    made_by = SpectraMap(len(rows), whole, 12, STFT, SOUND, flipped=False, background=background)

    def made() -> Iterator[Tensor]:
        for piece in torch.tensor_split(rows, sorted(cuts)):
            yield from made_by(piece)

    return torch.cat(list(made()))


BACKGROUND = Background(
    even=torch.tensor([300.0, 500.0]), margin=torch.tensor([30.0, 60.0]), noise=700.0, border=3
)


@settings(max_examples=30)
@given(st.integers(2, 120), st.lists(st.integers(0, 120), max_size=5))
def test_rows_in_any_pieces(count: int, cuts: list[int]) -> None:
    """As if the rows had been prepared whole: what is even taken off, the border's values replaced."""
    rows = rows_of(count)
    found = magnitudes(rows, [min(cut, count) for cut in cuts], BACKGROUND, count)
    along, across = inside(count, 3), inside(12, 3)
    places = torch.arange(count).clamp(along.start, along.stop - 1)
    values = torch.arange(12).clamp(across.start, across.stop - 1)
    prepared = (rows[places][:, :, values] - BACKGROUND.even[:, None]).abs()
    prepared = (prepared - BACKGROUND.margin[:, None]).clamp_min(0)
    assert torch.equal(found, magnitudes(prepared, [], None, count))


def test_a_preview_has_no_border_at_its_end() -> None:
    """Its first rows are the whole's, which go on."""
    rows = rows_of(100)
    whole, head = (magnitudes(each, [], BACKGROUND, 100) for each in (rows, rows[:60]))
    assert len(head) > 60 and torch.equal(head, whole[: len(head)])


@settings(max_examples=30)
@given(st.integers(2, 120), st.integers(0, 120))
def test_it_goes_on_where_it_was(count: int, cut: int) -> None:
    rows, cut = rows_of(count), min(cut, count)
    first, then = (
        SpectraMap(count, count, 12, STFT, SOUND, flipped=False, background=BACKGROUND) for _ in range(2)
    )
    found = list(first(rows[:cut]))
    then.restore(first.state, first.retained.clone())
    found += then(rows[cut:])
    assert torch.equal(torch.cat(found), magnitudes(rows, [], BACKGROUND, count))


def test_presence_is_the_loudest_frames_share_of_noise() -> None:
    """Rows of one size have a fifth of noise's where presence is whole, and less in proportion."""
    for share in (0.05, 0.1, 0.2, 0.9):
        energy = (share * BACKGROUND.noise / 1000) ** 4 * 12  # contrast 2, twelve rows
        assert BACKGROUND.presence(energy, 12, 2.0) == pytest.approx(min(1, share / 0.2))
    assert BACKGROUND.presence(0.0, 12, 2.0) == 0


def test_a_network_of_large_pictures_has_a_baseline() -> None:
    """Of which the usual even picture and the usual noise are too small for a value."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3, dilation=200), nn.ReLU())
    network = Network(name="large", source="", sha256="", captured=capture(module))
    found = baselines(network, network.banks(), (90, 120, 200), 255, 500, 600, normalize=True)
    for values in (found[1].even, found[1].spread, found[1].noise):
        assert bool(values.isfinite().all())


def test_a_baseline_is_what_the_network_answers(weights: Network) -> None:
    """Even: at any place inside a large picture; noise: on average."""
    found = baselines(weights, usual_banks(), (90, 120, 200), 255, 1000, 2000, normalize=True)
    whole = activations(weights, even((90, 120, 200), 400, 420))
    for number, values in whole.items():
        baseline: Baseline = found[number]
        middle = values[:, values.shape[1] // 2, values.shape[2] // 2]
        torch.testing.assert_close(baseline.even, middle, rtol=2e-3, atol=2e-3)  # rounded to float16
        assert (baseline.noise >= 0).all() and baseline.noise.max() > 0
