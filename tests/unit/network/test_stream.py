"""The main law: however the rows are split, the stream gives what the whole image gives.

Tolerance: 1e-5 of a bank's largest value. A value is a chain of up to 26 sums of up to 4,600 float32
products, which different kernels add in different orders: some 1e-6 in all (measured: 1e-6 to 4e-6).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netsounds_stream.errors import OptionError
from netsounds_stream.graph.usual import usual_banks, usual_graph
from netsounds_stream.network.networks import Network, load_network
from netsounds_stream.network.stream import RowStream
from netsounds_stream.picture.demo_picture import draw
from tests.helpers.reference import TRAINED, normalised, reference_module, whole_image
from tests.helpers.streams import streamed

TOLERANCE = 1e-5


def banks_of(
    weights: Network, pixels: torch.Tensor, splits: list[int], transposed: bool = False
) -> tuple[dict[int, torch.Tensor], torch.Tensor]:
    """Banks `[channel, y, x]` and logits of `[rgb, y, x]`, in pieces of the given heights, repeated."""
    names = {bank.layer: bank.number for bank in usual_banks().banks}
    layers, logits = streamed(weights.captured, pixels, list(names), splits, transposed=transposed)
    assert logits is not None
    return {names[name]: values for name, values in layers.items()}, logits


def usual_names() -> list[str]:
    return [node.name for node in usual_graph().nodes]


def assert_same(mine: dict[int, torch.Tensor], theirs: dict[int, torch.Tensor]) -> None:
    for number, reference in theirs.items():
        assert mine[number].shape == reference.shape
        assert float((mine[number] - reference).abs().max()) <= TOLERANCE * float(reference.abs().max())


sides = st.integers(usual_banks().smallest_side, 120)


@settings(max_examples=40, deadline=None)
@given(sides, sides, st.lists(st.integers(1, 70), min_size=1, max_size=4), st.booleans(), st.integers(0, 99))
@example(usual_banks().smallest_side, usual_banks().smallest_side, [1], False, 0)
@example(usual_banks().smallest_side, 119, [7], True, 1)
@example(97, 43, [154], False, 2)  # one row less, as many, one more than a field
@example(97, 43, [155], False, 3)
@example(300, 22, [156, 1], True, 4)
@example(64, 64, [16], False, 5)
def test_any_split_gives_the_whole(
    weights: Network, height: int, width: int, splits: list[int], transposed: bool, seed: int
) -> None:
    pixels = torch.randn(3, height, width, generator=torch.Generator().manual_seed(seed))
    mine, logits = banks_of(weights, pixels, splits, transposed)
    theirs, their_logits = whole_image(weights, pixels)
    assert_same(mine, theirs)
    torch.testing.assert_close(logits, their_logits.double(), rtol=1e-4, atol=1e-4)
    assert set(logits.topk(5).indices.tolist()) == set(their_logits.topk(5).indices.tolist())


@pytest.mark.parametrize("transposed", [False, True])
def test_trained_weights_on_a_strip(data: Path, transposed: bool) -> None:
    trained = load_network(weights=str(data / TRAINED))
    pixels = normalised(draw(1201, 67))
    mine, logits = banks_of(trained, pixels, [32], transposed)
    theirs, their_logits = whole_image(trained, pixels)
    assert_same(mine, theirs)
    assert logits.topk(5).indices.tolist() == their_logits.topk(5).indices.tolist()


@pytest.mark.parametrize("spoilt", [0, 61, 130])
def test_nothing_outside_the_field_leaks_in(weights: Network, spoilt: int) -> None:
    clean = torch.randn(3, 131, 40, generator=torch.Generator().manual_seed(1))
    dirty = clean.clone()
    dirty[:, spoilt] = torch.nan
    of_clean, _ = banks_of(weights, clean, [16])
    of_dirty, _ = banks_of(weights, dirty, [16])
    for bank in usual_banks().banks:
        for row in range(of_clean[bank.number].shape[1]):
            sees = abs(bank.y.offset + bank.stride * row - spoilt) <= (bank.field - 1) // 2
            values = of_dirty[bank.number][:, row]
            if sees:
                assert bool(values.isnan().any())  # the 1x1 expansion sees less
            else:
                assert torch.equal(values, of_clean[bank.number][:, row])


def test_every_layer_can_be_tapped(weights: Network) -> None:
    pixels = torch.randn(3, 75, 64, generator=torch.Generator().manual_seed(2))
    taken: dict[str, list[torch.Tensor]] = {name: [] for name in usual_names()}
    stream = RowStream(
        weights.captured, {name: lambda block: taken[block.layer].append(block.tensor()) for name in taken}
    )
    for start in range(0, 75, 16):
        stream.push(pixels[:, start : start + 16])
    stream.flush()

    module, seen = reference_module(weights), dict[str, torch.Tensor]()
    for name in taken:
        # clone: torchvision's ReLUs then work in place on what the hook saw
        hook = lambda _m, _i, out, name=name: seen.__setitem__(name, out[0].clone())  # noqa: E731
        module.get_submodule(name).register_forward_hook(hook)
    with torch.inference_mode():
        module(pixels[None])
    for name, pieces in taken.items():
        mine, theirs = torch.cat(pieces, dim=1), seen[name]
        assert mine.shape == theirs.shape, name
        assert float((mine - theirs).abs().max()) <= TOLERANCE * float(theirs.abs().max()), name


def test_what_no_stream_can_take_is_said(weights: Network) -> None:
    with pytest.raises(OptionError, match="a str is no network"):
        RowStream("squeezenet1_0", {})  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"first_row is 8; give a multiple of the network's stride, 16"):
        RowStream(weights, {"features.12": print}, first_row=8)
    stream = RowStream(weights, {})
    with pytest.raises(OptionError, match=r"shape \(40, 50, 3\); give \(3, rows, cross\)"):
        stream.push(torch.zeros(40, 50, 3))
    stream.push(torch.zeros(3, 40, 50))
    with pytest.raises(OptionError, match="rows have 51 values where those before them have 50"):
        stream.push(torch.zeros(3, 40, 51))
    stream.push(torch.zeros(3, 40, 50))
    stream.flush()
    for late in (stream.flush, lambda: stream.push(torch.zeros(3, 40, 50))):
        with pytest.raises(OptionError, match="ended with flush"):
            late()


def test_an_unknown_layer_is_refused(weights: Network) -> None:
    with pytest.raises(OptionError, match=r"features\.99"):
        RowStream(weights.captured, {"features.99": print})


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 5e-2), (torch.float16, 1e-2)])
def test_half_precisions_stay_near(weights: Network, dtype: torch.dtype, tolerance: float) -> None:
    # 8 and 11 significant bits, their rounding carried through 26 layers
    pixels = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(3))
    theirs, _ = whole_image(weights, pixels)
    kept = []
    stream = RowStream(
        weights.captured,
        {usual_banks().banks[3].layer: lambda b: kept.append(b.tensor().float())},
        dtype=dtype,
    )
    stream.push(pixels)
    stream.flush()
    worst = float((torch.cat(kept, dim=1) - theirs[4]).abs().max())
    assert worst <= tolerance * float(theirs[4].max())


@pytest.mark.parametrize("full_scale", [255, 65535])
@pytest.mark.parametrize("normalize", [True, False])
def test_scaling_folded_into_the_first_layer(weights: Network, full_scale: int, normalize: bool) -> None:
    pixels = draw(60, 50)
    expected = normalised(pixels) if normalize else torch.from_numpy(pixels).permute(2, 0, 1) / 255
    theirs, _ = whole_image(weights, expected)
    captured = weights.for_pixels(full_scale, normalize=normalize)
    assert captured is not None
    folded = replace(weights, captured=captured)
    raw = torch.from_numpy(pixels.astype("float32") * (full_scale / 255)).permute(2, 0, 1)
    assert_same(banks_of(folded, raw, [32])[0], theirs)
