"""The layer table's arithmetic against brute force and against torchvision's own network."""

from __future__ import annotations

import pytest
import torch

from netsounds_stream.network.weights import (
    Weights,
    expected_shapes,
    load_weights,
    reference_module,
    torchvision,
)
from netsounds_stream.planning.geometry import BANKS, LAYERS, SMALLEST_SIDE, Conv, Fire, bank_length, layers
from tests.helpers.reference import whole_image


def fields_by_brute_force(length: int) -> dict[int, list[set[int]]]:
    """For each bank, the set of input pixels that each output value sees, walked window by window."""
    rows: list[set[int]] = [{index} for index in range(length)]
    found = {}
    for layer in LAYERS:
        name = layer.name
        if isinstance(layer, Fire):
            reach = range(-1, 2)
            rows = [
                set().union(*(rows[i + d] for d in reach if 0 <= i + d < len(rows))) for i in range(len(rows))
            ]
        else:
            windows, start = [], 0
            name = layer.activation_name if isinstance(layer, Conv) else layer.name
            while start < len(rows):
                window = rows[start : start + layer.kernel]
                whole = len(window) == layer.kernel
                # A window that hangs over counts in ceil_mode, if it brings in a row no window had.
                if whole or (not isinstance(layer, Conv) and start + 1 < len(rows)):
                    windows.append(set().union(*window))
                start += layer.stride
            rows = windows
        for bank in BANKS:
            if bank.layer == name:
                found[bank.number] = rows
    return found


@pytest.mark.parametrize("length", [*range(1, 90), 331, 332, 333, 334])
def test_lengths_and_fields_agree_with_brute_force(length: int) -> None:
    found = fields_by_brute_force(length)
    used = 2 * bank_length(1, length) + 5  # the first convolution, unpadded, may leave the last pixel out
    for bank in BANKS:
        assert bank_length(bank.number, length) == len(found[bank.number])
        for index, seen in enumerate(found[bank.number]):
            centre, reach = bank.offset + bank.stride * index, (bank.field - 1) // 2
            assert seen == set(range(max(0, centre - reach), min(used, centre + reach + 1)))


@pytest.mark.parametrize("size", [(21, 21), (22, 40), (64, 37), (101, 103), (130, 21)])
def test_lengths_agree_with_torchvision(weights: Weights, size: tuple[int, int]) -> None:
    banks, _ = whole_image(weights, torch.zeros(3, *size))
    for bank in BANKS:
        expected = (bank.channels, bank_length(bank.number, size[0]), bank_length(bank.number, size[1]))
        assert tuple(banks[bank.number].shape) == expected


def test_smallest_side_is_the_smallest(weights: Weights) -> None:
    assert bank_length(4, SMALLEST_SIDE) == 1
    assert bank_length(4, SMALLEST_SIDE - 1) == 0
    with pytest.raises(RuntimeError):
        whole_image(weights, torch.zeros(3, SMALLEST_SIDE - 1, SMALLEST_SIDE - 1))


def outputs(weights: Weights, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    """What every module of torchvision's network gives, containers apart: `[channel, y, x]` by name."""
    module, seen = reference_module(weights), dict[str, torch.Tensor]()
    for name, each in module.named_modules():
        if name and not isinstance(each, torch.nn.Sequential):
            # clone: torchvision's ReLUs then work in place on what the hook saw
            hook = lambda _m, _i, out, name=name: seen.__setitem__(name, out[0].clone())  # noqa: E731
            each.register_forward_hook(hook)
    with torch.inference_mode():
        module(pixels[None])
    return seen


def test_layers_and_parameters_are_torchvisions(weights: Weights) -> None:
    module = reference_module(weights)
    others = {"classifier.0", "classifier.3"}  # dropout, and the average over all positions
    pixels = torch.randn(3, 40, 50, generator=torch.Generator().manual_seed(1))
    seen = outputs(weights, pixels)
    assert [layer.name for layer in layers()] == [name for name in seen if name not in others]
    assert expected_shapes() == {name: tuple(value.shape) for name, value in module.state_dict().items()}


def test_untrained_weights_are_those_of_a_new_network() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = torchvision().models.squeezenet1_0(weights=None).state_dict()
    made = load_weights("untrained").state
    assert list(made) == list(drawn)
    assert all(torch.equal(made[name], value) for name, value in drawn.items())


def test_what_a_layer_is_said_to_be(weights: Weights) -> None:
    """Channels, the kind of module, and whether its values are from before or after its ReLU."""
    module = reference_module(weights)
    seen = outputs(weights, torch.randn(3, 40, 50, generator=torch.Generator().manual_seed(1)))
    for layer in layers():
        values, kind = seen[layer.name], type(module.get_submodule(layer.name)).__name__
        assert values.shape[0] == layer.channels, layer
        said = {"Conv2d": "before its ReLU", "ReLU": "after its ReLU", "MaxPool2d": "max pooling"}
        assert said.get(kind, "both expansions, after their ReLU") in layer.what, layer
        assert bool((values < 0).any()) == ("before" in layer.what), layer


def test_where_a_layers_values_lie(weights: Weights) -> None:
    """A pixel that is no number spoils the values whose fields hold it, and no others."""
    pixels, spoilt = torch.zeros(3, 21, 331), 160
    pixels[:, :, spoilt] = torch.nan
    seen = outputs(weights, pixels)
    for layer in layers():
        values = seen[layer.name]
        centres = layer.offset + layer.stride * torch.arange(values.shape[2])
        expected = (centres - spoilt).abs() <= (layer.receptive_field - 1) // 2
        assert torch.equal(values.isnan().any(dim=(0, 1)), expected), layer
