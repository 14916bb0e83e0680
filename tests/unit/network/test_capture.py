"""What is made of modules: names, layers that cannot be streamed, code as people write it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netsounds_stream.errors import NetworkError, OptionError
from netsounds_stream.graph.layers import choose_banks, node_named, usual_layers
from netsounds_stream.graph.serial import as_text, from_json, to_json
from netsounds_stream.graph.usual import usual_graph
from netsounds_stream.graph.values import Convolution, Join, Pointwise
from netsounds_stream.network.agreement import capture_checked
from netsounds_stream.network.model_zoo import build
from netsounds_stream.network.stream import RowBlock, RowStream
from netsounds_stream.network.tracing.capture import Captured, capture


class Code(nn.Module):
    """A convolution, and then a function of its values."""

    def __init__(self, function: Callable[[Tensor], Tensor], channels: int = 8) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.function = function

    def forward(self, picture: Tensor) -> Tensor:
        return self.function(self.first(picture))


WEIGHT = torch.randn(4, 8, 3, 3, generator=torch.Generator().manual_seed(1))
SLOPES = torch.linspace(-1, 1, 8)
BY_CHANNEL = torch.linspace(0.5, 2, 8).view(8, 1, 1)


def shuffled(values: Tensor) -> Tensor:
    batch, channels, height, width = values.size()
    grouped = values.view(batch, 2, channels // 2, height, width)
    return torch.transpose(grouped, 1, 2).contiguous().view(batch, -1, height, width)


def normalised_last(values: Tensor) -> Tensor:
    last = values.permute(0, 2, 3, 1)
    return F.gelu(F.layer_norm(last, (8,))).permute(0, 3, 1, 2) + values


def halves_apart(values: Tensor) -> Tensor:
    one, other = torch.chunk(input=values, chunks=2, dim=1)
    return one - other


def mutated(values: Tensor) -> Tensor:
    other = values * 2
    F.relu(values, inplace=True)
    return other + values  # which is the clamped one now


def mutated_by_sum(values: Tensor) -> Tensor:
    before = values
    values += values.abs()
    return before - 1  # the same tensor as the sum


def mutated_by_position(values: Tensor) -> Tensor:
    other = values * 2
    F.relu(values, True)
    F.hardtanh(values, -1.0, 0.5, True)
    return other + values


def mutated_after_a_clone(values: Tensor) -> Tensor:
    before = values.clone()
    values.relu_()
    return before - values


def mutated_after_a_product(values: Tensor) -> Tensor:
    other = values.permute(0, 2, 3, 1)
    values.mul_(3)
    return other.permute(0, 3, 1, 2) + 1  # the same memory


def mutated_by_assignments(values: Tensor) -> Tensor:
    before = values
    values -= 0.5
    values *= 2
    values /= 3
    values **= 2
    return before + 1


def mutated_by_a_function_of_the_block(values: Tensor) -> Tensor:
    one = values * 2
    one.relu_()
    other = one.clamp_(0, 1)
    return one - other * 0.5


def own_size(values: Tensor) -> Tensor:
    smaller = F.max_pool2d(values, 3, 1, 1)
    _, channels, height, width = smaller.shape  # as large as what is reshaped
    return values.view(-1, 4, channels // 4, height, width).transpose(1, 2).reshape(1, 8, height, width)


def dropped_in_training_only(values: Tensor) -> Tensor:
    return F.dropout(values, 0.5, training=False, inplace=True) + F.dropout(values, 0.3, False)


STREAMED = {
    "functions": lambda values: F.hardswish(F.relu6(values) - 0.25).sigmoid().mul(3),
    "constants": lambda values: 2 - values / 4 + 1.5,
    "a constant for each channel": lambda values: values * BY_CHANNEL + BY_CHANNEL,
    "a convolution with a constant weight": lambda values: F.conv2d(
        values, WEIGHT * 2, stride=2, padding=(1, 0)
    ),
    "'same' padding": lambda values: F.conv2d(values, WEIGHT[:, :, :2, :2], padding="same"),
    "pooling": lambda values: F.max_pool2d(F.avg_pool2d(values, 2, count_include_pad=False), 3, 1, 1),
    "pad": lambda values: F.max_pool2d(F.pad(values.relu(), (0, 1, 0, 1)), 2),
    "channels": lambda values: torch.cat((values[:, 2:5], values[:, -1].unsqueeze(1)), 1),
    "chunks": halves_apart,
    "a shuffle": shuffled,
    "channels last": normalised_last,
    "values changed in place": mutated,
    "a sum in place": mutated_by_sum,
    "values changed in place by position": mutated_by_position,
    "values changed in place after a clone": mutated_after_a_clone,
    "values changed in place under another order of axes": mutated_after_a_product,
    "assignments that add, multiply, divide and raise": mutated_by_assignments,
    "values changed in place by methods": mutated_by_a_function_of_the_block,
    "a view of the size of other values": own_size,
    "a PReLU with a slope for each channel": lambda values: F.prelu(values, SLOPES),
    "grey values": lambda values: -values.mean(1, keepdim=True) + values.sum(1).unsqueeze(1),
    "dropout": dropped_in_training_only,
    "batch normalisation by a function": lambda values: F.batch_norm(
        values, torch.linspace(-1, 1, 8), torch.linspace(0.5, 2, 8)
    ),
    "numbers of axes": lambda values: values * values.ndim + values.dim(),
    "a product": lambda values: values * torch.sigmoid(values),
}


@pytest.mark.parametrize("name", STREAMED)
def test_code_as_people_write_it(name: str) -> None:
    module = Code(STREAMED[name])
    network = capture(module)
    picture = torch.randn(3, 41, 37, generator=torch.Generator().manual_seed(3))
    last = network.graph.nodes[-1].name
    with torch.inference_mode():
        expected = module(picture[None])
    kept: list[Tensor] = []

    def keep(block: RowBlock) -> None:
        kept.append(block.tensor())

    stream = RowStream(network, {last: keep})
    for rows in picture.split(7, dim=1):
        stream.push(rows)
    stream.flush()
    assert not network.graph.refused
    torch.testing.assert_close(torch.cat(kept, dim=1), expected[0], rtol=1e-4, atol=1e-5)


def changed_by_an_unknown_call(values: Tensor) -> Tensor:
    values.clamp_min_(0.1)
    return values * 2


def changed_into_out(values: Tensor) -> Tensor:
    torch.add(values, 1, out=values)
    return values * 2


def changed_by_what_cannot_be_streamed(values: Tensor) -> Tensor:
    values += values.mean((2, 3), keepdim=True)
    return values * 2


def a_view_changed(values: Tensor) -> Tensor:
    values[:, 2:4].relu_()
    return values * 2


def the_whole_of_a_view_changed(values: Tensor) -> Tensor:
    some = values[:, 2:4]
    values.relu_()
    return some * 2


def half_of_it_changed(values: Tensor) -> Tensor:
    one, _ = values.chunk(2, 1)
    one.relu_()
    return values * 2


def a_possible_copy_changed(values: Tensor) -> Tensor:
    other = values.contiguous()
    other.relu_()
    return values * 2


CHANGED = {
    changed_by_an_unknown_call: "calls clamp_min_, which no rule here knows",
    changed_into_out: "calls add as no rule here knows it",
    changed_by_what_cannot_be_streamed: "takes a mean over the whole picture",
    a_view_changed: "changes some channels in place",
    the_whole_of_a_view_changed: "changes some channels in place",
    half_of_it_changed: "changes some channels in place",
    a_possible_copy_changed: "changes what may be a copy in place",
}


@pytest.mark.parametrize("code", CHANGED)
def test_what_another_name_has_changed_is_never_streamed_unchanged(
    code: Callable[[Tensor], Tensor],
) -> None:
    graph = capture(Code(code)).graph
    product = next(each for each in graph.refused if each.name == "mul")
    assert product.reason.startswith(CHANGED[code])
    assert "mul" not in graph.by_name


REFUSED = {
    "takes a mean over the whole picture": lambda values: values * values.mean((2, 3), keepdim=True),
    "takes a mean along an axis of the picture": lambda values: values.mean(2),
    "takes the whole picture for one row of values": lambda values: values.flatten(1),
    "reduces the whole picture to 7 x 7 values": lambda values: F.adaptive_avg_pool2d(values, 7),
    "takes a maximum over the whole picture": nn.AdaptiveMaxPool2d(1),
    "normalises by the mean and the deviation of the whole picture": nn.InstanceNorm2d(8),
    "exchanges the picture's axes": lambda values: values.permute(0, 1, 3, 2),
    "puts pictures side by side": lambda values: torch.cat((values, values), 3),
    "cuts the picture": lambda values: values[:, :, 1:],
    "takes none of 8 channels": lambda values: torch.cat((values, values[:, 8:]), 1),
    "takes the picture's values for those of other axes": lambda values: values.view(
        1, 8, F.max_pool2d(values, 2).shape[2], values.shape[3]
    ),
    "pads the picture's border by 'reflect'": lambda values: F.pad(values, (1, 1, 1, 1), mode="reflect"),
    "joins values of different resolution": lambda values: torch.cat(
        (values, F.max_pool2d(values, 3, 2, 1)), 1
    ),
    "joins values that differ in number at some sizes of the picture": lambda values: (
        F.max_pool2d(values, 2) + F.max_pool2d(values, 2, ceil_mode=True)
    ),
    "calls interpolate, which no rule here knows": lambda values: F.interpolate(values, scale_factor=2),
    "computes with the picture's size": lambda values: values * (values.shape[2] // 2),
    "changes some channels in place": lambda values: values[:, :2].relu_() + values[:, 2:4],
    "drops values by chance": lambda values: F.dropout(values, 0.5),
    "takes 4 channels where 8 come": lambda values: F.conv2d(values, WEIGHT[:, :4]),
    "splits 8 channels into 3 groups": lambda values: F.channel_shuffle(values, 3),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_streamed_is_refused_by_name(reason: str) -> None:
    graph = capture(Code(REFUSED[reason])).graph
    assert graph.nodes[0].name == "first"
    refused = next(each for each in graph.refused if each.reason == reason)
    with pytest.raises(NetworkError, match=reason.split("'")[0]) as caught:
        node_named(graph, refused.name)
    assert "can be streamed" in str(caught.value) and "\n" not in str(caught.value)


def test_the_layer_in_the_way_is_named_and_the_last_before_it() -> None:
    graph = capture(build("efficientnet_b0", pretrained=False), "efficientnet_b0").graph
    with pytest.raises(NetworkError) as caught:
        node_named(graph, "features.3")
    assert str(caught.value) == (
        "efficientnet_b0: features.1.0.block.1 takes a mean over the whole picture; layers up to "
        "features.1.0.block.0.2 can be streamed"
    )
    assert usual_layers(graph) == ("features.1.0.block.0.2",)
    with pytest.raises(OptionError, match=r"no layer 'features\.99'"):
        node_named(graph, "features.99")


class Block(nn.Module):
    """Layers that work in place without handing on what they return."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, picture: Tensor) -> Tensor:
        values = self.conv(picture)
        self.relu(values)
        values += 1
        return values  # type: ignore[no-any-return]


def test_a_block_that_works_in_place_has_its_last_values() -> None:
    module = nn.Sequential(Block(), nn.Conv2d(8, 2, 1))
    graph = capture(module).graph
    assert [node.name for node in graph.nodes] == ["0.conv", "0.relu", "0", "1"]
    assert graph.by_name["0"] is graph.by_name["0.add"]
    capture_checked(module)


class Named(nn.Module):
    """Parameters named as constants would be that are made of a layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.norm = nn.BatchNorm2d(3)
        self.norm.scale = nn.Parameter(torch.full((3, 3, 1, 1), 0.25))
        self.norm.running_var.fill_(4)

    def forward(self, picture: Tensor) -> Tensor:
        return F.conv2d(self.norm(picture), self.norm.scale)


def test_parameters_with_the_names_of_other_constants() -> None:
    module = Named()
    network = capture_checked(module)
    assert network.state["norm.scale"].shape == (3, 3, 1, 1)
    assert network.state["norm.scale_"].shape == (3,)


class AsksForTypes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, picture: Tensor) -> Tensor:
        values = self.conv(picture)
        return values * 2 if type(values) is Tensor else values


class ChangesWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.conv.bias = nn.Parameter(torch.zeros(4))

    def forward(self, picture: Tensor) -> Tensor:
        with torch.no_grad():
            self.conv.bias.fill_(picture.shape[0])
        return self.conv(picture)


def hooked() -> nn.Module:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    module[0].register_forward_hook(lambda module, arguments, output: output * 2)
    return module


@pytest.mark.parametrize("make", [AsksForTypes, ChangesWeights, hooked])
def test_code_that_computes_something_else_than_was_traced_is_refused(make: Callable[[], nn.Module]) -> None:
    """Tracing alone shows nothing of it."""
    torch.manual_seed(5)
    assert capture(make()).graph.nodes
    with pytest.raises(NetworkError, match="has other values when its code runs than as it was traced"):
        RowStream(make(), {})


def test_the_checked_code_may_have_other_channels_and_may_need_larger_pictures() -> None:
    large = nn.Sequential(nn.Conv2d(1, 4, 9, stride=8), nn.Conv2d(4, 4, 12))
    for module in (nn.Conv2d(4, 2, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(5, 2, 3)), large.double().half()):
        capture_checked(module)
    with pytest.raises(NetworkError, match="fails on a picture of 224 x 224 pixels"):
        capture_checked(nn.Conv2d(3, 2, 300))


class Branching(nn.Module):
    def forward(self, picture: Tensor) -> Tensor:
        return picture * 2 if picture.shape[2] > 10 else picture


class TakesTwo(nn.Module):
    def forward(self, picture: Tensor, other: Tensor) -> Tensor:
        return picture + other


def test_what_cannot_be_traced_is_refused_in_a_line() -> None:
    with pytest.raises(NetworkError, match="branch on a picture's size"):
        capture(Branching())
    with pytest.raises(NetworkError, match="more than a picture: other"):
        capture(TakesTwo())
    with pytest.raises(NetworkError, match="cannot be traced"):
        capture(Code(lambda values: nn.ReLU()(values)))


def test_names_are_those_of_the_code() -> None:
    """A module's first call by its own name, its next ones by the block that they end; or the function's."""
    graph = capture(build("resnet18", pretrained=False)).graph
    names = [node.name for node in graph.nodes]
    assert names[4:13] == [
        "layer1.0.conv1", "layer1.0.bn1", "layer1.0.relu", "layer1.0.conv2", "layer1.0.bn2", "layer1.0.add",
        "layer1.0", "layer1.1.conv1", "layer1.1.bn1",
    ]  # fmt: skip
    assert graph.by_name["layer1"] is graph.by_name["layer1.1"]
    assert graph.by_name["layer1.1.relu_1"] is graph.by_name["layer1.1"]
    assert graph.mean == "layer4.1" and not graph.scores
    assert [bank.layer for bank in choose_banks(graph).banks] == ["relu", "layer1.1", "layer2.1", "layer3.1"]


def test_the_usual_graph_is_what_is_captured_of_torchvisions() -> None:
    graph = capture(build("squeezenet1_0", pretrained=False), "squeezenet1_0").graph
    assert replace(graph, refused=()) == usual_graph()  # which says nothing of what takes the mean
    assert from_json(to_json(usual_graph())) == usual_graph()
    assert as_text(graph).count("\n") == len(graph.nodes) + 2


def test_a_module_is_left_as_it_was() -> None:
    module = Code(F.relu_)
    module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    network = capture(module)
    assert module.training
    module.first.weight.data.zero_()
    assert torch.equal(network.state["first.weight"], before["first.weight"])


def test_layers_that_nobody_wants_are_not_computed() -> None:
    network = capture(build("resnet18", pretrained=False))
    seen: list[str] = []
    stream = RowStream(network, {"layer1": lambda block: seen.append(block.layer)}, prediction=False)
    assert stream.stage_names[-1] == "layer1.1"
    stream.push(torch.randn(3, 64, 40))
    stream.flush()
    assert set(seen) == {"layer1"}
    assert stream.logits() is None
    assert RowStream(network, {"layer1": print}).stage_names[-1] == "layer4.1"


def test_a_prediction_is_the_networks_own() -> None:
    for name in ("resnet18", "convnext_tiny", "squeezenet1_1"):
        module = build(name, pretrained=False)
        stream = RowStream(module, {})
        picture = torch.randn(3, 70, 90, generator=torch.Generator().manual_seed(4))
        stream.push(picture)
        stream.flush()
        with torch.inference_mode():
            expected = module(picture[None])[0]
        logits = stream.logits()
        assert logits is not None
        torch.testing.assert_close(logits.float(), expected, rtol=1e-3, atol=1e-4)


def doubled(mean: Tensor) -> Tensor:
    return mean.flatten(1) * 2


def reduced_twice(values: Tensor) -> Tensor:
    return values.mean((2, 3)) + F.adaptive_avg_pool2d(values, 1).flatten(1) * 0.5


def changed_mean(values: Tensor) -> Tensor:
    mean = values.mean((2, 3), keepdim=True)
    again = values.mean((2, 3), keepdim=True)
    mean += 1
    return (again + mean).view(values.size(0), -1)


CLASSIFIERS: dict[str, Callable[[Tensor], Tensor]] = {
    "multiplied": lambda values: doubled(F.adaptive_avg_pool2d(values, 1)),
    "two means": reduced_twice,
    "a mean changed in place": changed_mean,
    "one that is the prediction": lambda values: values.mean((2, 3)),
    "squeezed": lambda values: F.adaptive_avg_pool2d(values, (1, 1)).squeeze(-1).squeeze(-1),
    "picked": lambda values: F.adaptive_avg_pool2d(values, 1)[:, :4].flatten(1).softmax(1),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_as_people_write_it(name: str) -> None:
    module = Code(CLASSIFIERS[name])
    network = capture_checked(module)
    picture = torch.randn(3, 40, 30, generator=torch.Generator().manual_seed(4))
    stream = RowStream(network, {})
    stream.push(picture)
    stream.flush()
    logits = stream.logits()
    assert logits is not None
    with torch.inference_mode():
        torch.testing.assert_close(logits.float(), module(picture[None])[0], rtol=1e-4, atol=1e-5)
    with pytest.raises(NetworkError, match="takes a mean over the whole picture"):
        node_named(network.graph, network.graph.refused[-1].name)


def test_what_is_folded_is_exact_but_for_rounding() -> None:
    network = capture(build("resnet18", pretrained=False))
    assert isinstance(network.graph.by_name["conv1"].operator, Convolution)
    assert isinstance(network.graph.by_name["relu"].operator, Pointwise)
    assert isinstance(network.graph.by_name["layer1.0.add"].operator, Join)
    assert isinstance(network, Captured)
