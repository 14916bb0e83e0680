"""The laws of a stream, over networks drawn by chance and over torchvision's: any split gives the whole.

Tolerance: 1e-5 of a layer's largest value. A value is a chain of sums of up to some thousand float32
products, which different kernels add in different orders: 1e-6 to 4e-6 in all, measured over torchvision's.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import lcm

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from netsounds_stream.graph.geometry import period, places, smallest_side
from netsounds_stream.graph.values import Graph
from netsounds_stream.network.model_zoo import build
from netsounds_stream.network.stream import RowBlock, RowStream
from netsounds_stream.network.tracing.capture import Captured, capture, whole_layers
from tests.helpers.graphs import graphs, state_of, whole_graph
from tests.helpers.streams import streamed

TOLERANCE = 1e-5

NETWORKS = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_v2_s", "googlenet", "inception_v3", "mnasnet0_5",
    "mobilenet_v2", "mobilenet_v3_large", "regnet_x_400mf", "resnet18", "resnet50", "resnext50_32x4d",
    "shufflenet_v2_x0_5", "squeezenet1_0", "squeezenet1_1", "vgg11_bn", "wide_resnet50_2",
)  # fmt: skip


def assert_near(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    for name, reference in theirs.items():
        if reference.numel() == 0:
            assert name not in mine or mine[name].numel() == 0
            continue
        assert mine[name].shape == reference.shape, name
        there = reference.isfinite()  # a maximum over padding alone is minus infinity
        assert torch.equal(mine[name][~there], reference[~there]), name
        if bool(there.any()):
            largest = float(reference[there].abs().max())
            off = float((mine[name][there] - reference[there]).abs().max())
            assert off <= TOLERANCE * max(largest, 1e-3), name


sizes = st.integers(1, 60)


@settings(max_examples=200, deadline=None)
@given(
    graphs(),
    sizes,
    sizes,
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
    st.booleans(),
    st.integers(0, 9),
)
def test_any_split_of_any_graph_gives_the_whole(
    graph: Graph, extra_y: int, extra_x: int, bands: list[int], transposed: bool, seed: int
) -> None:
    names = [node.name for node in graph.nodes]
    side = smallest_side(graph, tuple(names)) - 1
    generator = torch.Generator().manual_seed(seed)
    picture = torch.randn(3, side + extra_y, side + extra_x, generator=generator)
    network = Captured(graph=graph, state=state_of(graph, seed))
    theirs = whole_graph(graph, network.state, picture)
    mine, _ = streamed(network, picture, names, bands, transposed=transposed)
    assert_near(mine, theirs)
    # without hooks in between, layers are folded, fused and work in place
    last, mean = streamed(network, picture, names[-1:], bands, transposed=transposed)
    assert_near(last, {names[-1]: theirs[names[-1]]})
    assert mean is not None
    torch.testing.assert_close(
        mean, theirs[names[-1]].double().mean(dim=(1, 2)), rtol=1e-4, atol=1e-4 * float(1 + mean.abs().max())
    )


@settings(max_examples=100, deadline=None)
@given(graphs(), st.integers(0, 39), st.lists(st.integers(1, 30), min_size=1, max_size=2))
def test_nothing_outside_the_field_leaks_in(graph: Graph, spoilt: int, bands: list[int]) -> None:
    names = [node.name for node in graph.nodes]
    side = smallest_side(graph, tuple(names)) + 40
    clean = torch.randn(3, side, side, generator=torch.Generator().manual_seed(1))
    dirty = clean.clone()
    dirty[:, spoilt] = torch.nan
    network = Captured(graph=graph, state=state_of(graph, 2))
    of_clean, _ = streamed(network, clean, names, bands)
    of_dirty, _ = streamed(network, dirty, names, bands)
    for name, lie in places(graph, "y").items():
        for row in range(of_clean[name].shape[1]) if name in of_clean else ():
            first = lie.start + lie.stride * row
            if not first <= spoilt < first + lie.field:
                assert torch.equal(of_dirty[name][:, row], of_clean[name][:, row]), name


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(1, 20), st.integers(0, 5))
def test_a_stream_resumes_where_another_was(graph: Graph, band: int, at: int) -> None:
    """The same bits, and the same state at the end."""
    names = [node.name for node in graph.nodes]
    side = smallest_side(graph, tuple(names)) + 50
    picture = torch.randn(3, side, side, generator=torch.Generator().manual_seed(3))
    network = Captured(graph=graph, state=state_of(graph, 4))
    whole: list[tuple[str, int, Tensor]] = []
    parts: list[tuple[str, int, Tensor]] = []
    stream = RowStream(network, dict.fromkeys(names, lambda b: whole.append((b.layer, b.start, b.tensor()))))
    first = RowStream(network, dict.fromkeys(names, lambda b: parts.append((b.layer, b.start, b.tensor()))))
    second = RowStream(network, dict.fromkeys(names, lambda b: parts.append((b.layer, b.start, b.tensor()))))
    current = first
    for number, rows in enumerate(picture.split(band, dim=1)):
        if number == at:
            kept: dict[str, dict[str, Tensor]] = {}
            barrier = first.keeping(
                lambda name, _, state, kept=kept: kept.__setitem__(
                    name, {key: value.clone() for key, value in state.items()}
                )
            )
            for stage in first.stages:
                barrier = stage(barrier)
            second.restore(kept)
            current = second
        stream.push(rows)
        current.push(rows)
    stream.flush()
    current.flush()
    assert [each[:2] for each in whole] == [each[:2] for each in parts]
    assert all(torch.equal(one[2], other[2]) for one, other in zip(whole, parts, strict=True))
    assert stream.logits() is not None and torch.equal(stream.logits(), current.logits())  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(graphs(), st.integers(1, 6), st.integers(0, 200))
def test_a_later_stream_gives_the_same_bits(graph: Graph, bands: int, beginning: int) -> None:
    """As a segment's: one band more is read than its first rows see, and the pushes are the whole's."""
    network = Captured(graph=graph, state=state_of(graph, 5))
    name = graph.nodes[-1].name
    lie = places(graph, "y")[name]
    band = 4 * bands
    step = lcm(period(graph), band)
    start = -(-beginning // lie.stride) * lie.stride
    first = max(0, (min(start, start + lie.start) - band) // step * step)
    side = smallest_side(graph, (name,)) + start + 60
    picture = torch.randn(
        3, side, 20 + smallest_side(graph, (name,)), generator=torch.Generator().manual_seed(6)
    )

    def rows_from(first_row: int) -> dict[int, Tensor]:
        rows: dict[int, Tensor] = {}

        def keep(block: RowBlock) -> None:
            for number, row in enumerate(block.tensor().unbind(1), start=block.start):
                rows[number] = row

        stream = RowStream(network, {name: keep}, first_row=first_row)
        for piece in picture[:, first_row:].split(band, dim=1):
            stream.push(piece)
        stream.flush()
        return rows

    whole, later = rows_from(0), rows_from(first)
    for number in range(start // lie.stride, len(whole)):
        assert torch.equal(whole[number], later[number]), (number, first)


def at_work(module: nn.Module) -> nn.Module:
    """Give batch normalisation statistics that change values, as training does."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for each in module.modules():
            if isinstance(each, nn.BatchNorm2d):
                assert each.running_mean is not None and each.running_var is not None
                each.running_mean.normal_(0, 0.2, generator=generator)
                each.running_var.uniform_(0.5, 1.5, generator=generator)
                each.weight.uniform_(0.7, 1.3, generator=generator)
                each.bias.normal_(0, 0.2, generator=generator)
        for name, value in module.named_parameters():
            if name.endswith("layer_scale"):  # ConvNeXt's, so small at first that a block does nothing
                value.fill_(0.5)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_of_torchvisions_networks(name: str) -> None:
    """Along both axes, at odd sizes, in ragged bands; and near the smallest size that the network takes."""
    module = at_work(build(name, pretrained=False))
    network = capture(module, name)
    names = [node.name for node in network.graph.nodes]
    smallest = smallest_side(network.graph, tuple(names))
    # torch's own inception takes no less than 75, at which its last pooling has one value
    for height, width, bands in ((243, 171, [1, 7, 64, 32]), (smallest, smallest + 3, [5])):
        picture = torch.randn(3, height, width, generator=torch.Generator().manual_seed(3))
        theirs, output = whole_layers(module, picture[None], names)
        for transposed in (False, True):
            mine, logits = streamed(network, picture, names, bands, transposed=transposed)
            assert_near(mine, theirs)
            folded, _ = streamed(network, picture, names[-1:], bands, transposed=transposed)
            assert_near(folded, {names[-1]: theirs[names[-1]]})
            if logits is not None:
                assert_near({"logits": logits.float()}, {"logits": output[0]})
