"""SqueezeNet 1.0 as integers: its layers, its four banks, and where their values lie on the picture.

Everything here is arithmetic on one image axis at a time (the network treats both alike) and needs neither
torch nor a disk. The layer table follows Iandola et al., "SqueezeNet" (arXiv:1602.07360), table 1, in the
form and with the layer names of torchvision's `squeezenet1_0`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Conv:
    """The first convolution: `kernel` rows, every `stride`-th position, no padding."""

    name: str
    activation_name: str
    in_channels: int
    out_channels: int
    kernel: int
    stride: int


@dataclass(frozen=True)
class Pool:
    """Max pooling, 3 rows at stride 2, `ceil_mode`: a last window may hang over the border."""

    name: str
    kernel: int = 3
    stride: int = 2


@dataclass(frozen=True)
class Fire:
    """A 1x1 squeeze, then 1x1 and zero-padded 3x3 expansions side by side."""

    name: str
    in_channels: int
    squeeze: int
    expand: int

    @property
    def out_channels(self) -> int:
        return 2 * self.expand


Layer = Conv | Pool | Fire

LAYERS: tuple[Layer, ...] = (
    Conv("features.0", "features.1", 3, 96, kernel=7, stride=2),
    Pool("features.2"),
    Fire("features.3", 96, 16, 64),
    Fire("features.4", 128, 16, 64),
    Fire("features.5", 128, 32, 128),
    Pool("features.6"),
    Fire("features.7", 256, 32, 128),
    Fire("features.8", 256, 48, 192),
    Fire("features.9", 384, 48, 192),
    Fire("features.10", 384, 64, 256),
    Pool("features.11"),
    Fire("features.12", 512, 64, 256),
)
CLASSIFIER_NAME, CLASSIFIER_ACTIVATION_NAME = "classifier.1", "classifier.2"
CLASSES = 1000


@dataclass(frozen=True)
class Bank:
    """One filter bank: the output of a layer.

    Value `i` along an axis is centred on picture pixel `offset + stride * i` (0-based) and sees
    `field` pixels around it.
    """

    number: int
    layer: str
    channels: int
    stride: int
    offset: int
    field: int


def length_after(layer: Layer, length: int) -> int:
    """Rows that `layer` gives for `length` rows of input; 0 where it gives none."""
    match layer:
        case Conv(kernel=kernel, stride=stride):
            return max(0, (length - kernel) // stride + 1)
        case Pool():
            # ceil((n - 3) / 2) + 1, which for 3 rows at stride 2 is n // 2: an even length ends in a
            # window of two rows, an odd one in a full window.
            return length // 2
        case Fire():
            return length


def _banks() -> tuple[Bank, ...]:
    layer_of = {1: "features.1", 2: "features.5", 3: "features.10", 4: "features.12"}
    found: list[Bank] = []
    stride, offset, field, channels = 1, 0, 1, 3
    for layer in LAYERS:
        if isinstance(layer, Fire):
            field += 2 * stride
            channels = layer.out_channels
            name = layer.name
        else:
            offset += (layer.kernel - 1) // 2 * stride
            field += (layer.kernel - 1) * stride
            stride *= layer.stride
            channels = layer.out_channels if isinstance(layer, Conv) else channels
            name = layer.activation_name if isinstance(layer, Conv) else layer.name
        number = len(found) + 1
        if name == layer_of.get(number):
            found.append(Bank(number, name, channels, stride, offset, field))
    return tuple(found)


BANKS: tuple[Bank, ...] = _banks()


def bank(number: int) -> Bank:
    """The bank of that number, 1 to 4."""
    return BANKS[number - 1]


@cache
def bank_length(number: int, length: int) -> int:
    """Values of bank `number` along an axis of `length` pixels; 0 where the axis is too short."""
    for layer in LAYERS:
        length = length_after(layer, length)
        if (layer.activation_name if isinstance(layer, Conv) else layer.name) == bank(number).layer:
            break
    return length


def _smallest_side() -> int:
    length = 1
    while bank_length(BANKS[-1].number, length) < 1:
        length += 1
    return length


#: The shortest axis, in pixels, on which every bank has a value.
SMALLEST_SIDE: int = _smallest_side()


def layer_names() -> tuple[str, ...]:
    """Every layer whose output rows can be tapped, by torchvision's names, in the network's order."""
    names = [name for layer in LAYERS for name in layers_of(layer)]
    return (*names, CLASSIFIER_NAME, CLASSIFIER_ACTIVATION_NAME)


@cache
def layer_strides() -> dict[str, int]:
    """Rows of the picture for a row of each layer, by the names of `layer_names`."""
    found, stride = {}, 1
    for layer in LAYERS:
        stride *= 1 if isinstance(layer, Fire) else layer.stride
        found.update(dict.fromkeys(layers_of(layer), stride))
    return {**found, CLASSIFIER_NAME: stride, CLASSIFIER_ACTIVATION_NAME: stride}


def layers_of(layer: Layer) -> tuple[str, ...]:
    """The layers that one entry of `LAYERS` stands for, its output last."""
    match layer:
        case Conv():
            return layer.name, layer.activation_name
        case Pool():
            return (layer.name,)
        case Fire():
            parts = ("squeeze", "expand1x1", "expand3x3")
            inner = (f"{layer.name}.{part}{kind}" for part in parts for kind in ("", "_activation"))
            return (*inner, layer.name)
