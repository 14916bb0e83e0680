"""SqueezeNet 1.0 as integers: its layers, its four banks, and where their values lie on the picture.

Everything here is arithmetic on one image axis at a time (the network treats both alike) and needs neither
torch nor a disk. The layer table follows Iandola et al., "SqueezeNet" (arXiv:1602.07360), table 1, in the
form and with the layer names of torchvision's `squeezenet1_0`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, kw_only=True)
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


LayerSpec = Conv | Pool | Fire

LAYERS: tuple[LayerSpec, ...] = (
    Conv(name="features.0", activation_name="features.1", in_channels=3, out_channels=96, kernel=7, stride=2),
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
_BANK_LAYERS = ("features.1", "features.5", "features.10", "features.12")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of the network, whose output rows `RowStream` can give to a hook.

    Value `i` along an axis is centred on picture pixel `offset + stride * i` (0-based) and depends on
    `receptive_field` pixels around it.

    Attributes:
        name: torchvision's name, such as `features.3.squeeze`: the key of the hook.
        what: what the values are, such as 'convolution, before its ReLU'.
        channels: number of channels.
        stride: distance between the centres of neighbouring values, in pixels.
        offset: centre of the first value, in pixels.
        receptive_field: length of the stretch that a value depends on, in pixels.
    """

    name: str
    what: str
    channels: int
    stride: int
    offset: int
    receptive_field: int


@dataclass(frozen=True, kw_only=True)
class Bank:
    """One filter bank: the output of a layer.

    Value `i` along an axis is centred on picture pixel `offset + stride * i` (0-based) and sees
    `field` pixels around it. The `border` values at either end of an axis see zero padding, at most.
    """

    number: int
    layer: str
    channels: int
    stride: int
    offset: int
    field: int
    border: int


def length_after(layer: LayerSpec, length: int) -> int:
    """Return the rows that `layer` gives for `length` rows of input; 0 where it gives none."""
    match layer:
        case Conv(kernel=kernel, stride=stride):
            return max(0, (length - kernel) // stride + 1)
        case Pool():
            # ceil((n - 3) / 2) + 1, which for 3 rows at stride 2 is n // 2: an even length ends in a
            # window of two rows, an odd one in a full window.
            return length // 2
        case Fire():
            return length


@cache
def layers() -> tuple[Layer, ...]:
    """List every layer whose rows `RowStream` can give to a hook, in the network's order.

    Returns:
        One `Layer` for each, with torchvision's name, what its values are and where they lie on the picture.

    Example:
        >>> from netsounds_stream import layers
        >>> for layer in layers()[:3]:
        ...     print(layer.name, layer.channels, layer.stride, layer.what)
        features.0 96 2 convolution, before its ReLU
        features.1 96 2 convolution, after its ReLU
        features.2 96 4 max pooling
    """
    found: list[Layer] = []
    stride, offset, field, channels = 1, 0, 1, 3

    def add(name: str, what: str, channels: int, field: int) -> None:
        found.append(
            Layer(
                name=name, what=what, channels=channels, stride=stride, offset=offset, receptive_field=field
            )
        )

    def add_convolution(names: tuple[str, ...], what: str, channels: int, field: int) -> None:
        for name, when in zip(names, ("before", "after"), strict=True):
            add(name, f"{what}, {when} its ReLU", channels, field)

    for layer in LAYERS:
        if isinstance(layer, Fire):
            inner, channels = layers_of(layer), layer.out_channels
            add_convolution(inner[0:2], "1x1 convolution (squeeze)", layer.squeeze, field)
            add_convolution(inner[2:4], "1x1 convolution (expansion)", layer.expand, field)
            field += 2 * stride
            add_convolution(inner[4:6], "3x3 convolution (expansion)", layer.expand, field)
            add(layer.name, "both expansions, after their ReLU", channels, field)
            continue
        offset += (layer.kernel - 1) // 2 * stride
        field += (layer.kernel - 1) * stride
        stride *= layer.stride
        if isinstance(layer, Conv):
            channels = layer.out_channels
            add_convolution((layer.name, layer.activation_name), "convolution", channels, field)
        else:
            add(layer.name, "max pooling", channels, field)
    classifier = CLASSIFIER_NAME, CLASSIFIER_ACTIVATION_NAME
    add_convolution(classifier, "1x1 convolution (classes)", CLASSES, field)
    return tuple(found)


def layers_of(layer: LayerSpec) -> tuple[str, ...]:
    """Return the names of the layers that one entry of `LAYERS` stands for, its output last."""
    match layer:
        case Conv():
            return layer.name, layer.activation_name
        case Pool():
            return (layer.name,)
        case Fire():
            parts = ("squeeze", "expand1x1", "expand3x3")
            inner = (f"{layer.name}.{part}{kind}" for part in parts for kind in ("", "_activation"))
            return (*inner, layer.name)


def _banks() -> tuple[Bank, ...]:
    by_name = {layer.name: layer for layer in layers()}
    found = enumerate((by_name[name] for name in _BANK_LAYERS), start=1)
    return tuple(
        Bank(
            number=number,
            layer=each.name,
            channels=each.channels,
            stride=each.stride,
            offset=each.offset,
            field=each.receptive_field,
            border=_border(each.name),
        )
        for number, each in found
    )


def _border(name: str) -> int:
    """Count the values at an end of an axis on which zero padding has a part in that layer."""
    border = 0
    for layer in LAYERS:
        if isinstance(layer, Fire):
            border += 1
        elif isinstance(layer, Pool):
            # Output j sees inputs 2j to 2j + 2: at the beginning ceil(border / 2) of them see the border, at
            # the end, depending on the length, one more at most where `border` is even.
            border = border // 2 + 1 if border else 0
        if (layer.activation_name if isinstance(layer, Conv) else layer.name) == name:
            break
    return border


BANKS: tuple[Bank, ...] = _banks()


def inside(length: int, border: int) -> slice:
    """Return the values of an axis that do not see its ends; the middle half where more of them do."""
    border = min(border, length // 4)
    return slice(border, length - border)


def bank(number: int) -> Bank:
    """Return the bank of that number, 1 to 4."""
    return BANKS[number - 1]


@cache
def bank_length(number: int, length: int) -> int:
    """Return the number of values of a bank along an axis of `length` pixels; 0 where that is too short."""
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
    """Return the names of `layers`, in the network's order."""
    return tuple(layer.name for layer in layers())


@cache
def layer_strides() -> dict[str, int]:
    """Return the picture's rows for a row of each layer, by the names of `layer_names`."""
    return {layer.name: layer.stride for layer in layers()}
