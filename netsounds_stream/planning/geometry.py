"""SqueezeNet 1.0 as integers: its layers, its four filter banks, and where their values lie on the picture.

Everything here is arithmetic on one image axis at a time (the network treats both alike) and needs neither
torch nor a disk. The table of layers follows Iandola et al., "SqueezeNet" (arXiv:1602.07360), table 1, in the
form of torchvision's `squeezenet1_0` and with its names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, kw_only=True)
class Conv:
    """Convolution without padding, followed by a ReLU: the network's first layer."""

    name: str
    activation_name: str
    in_channels: int
    out_channels: int
    kernel: int
    stride: int


@dataclass(frozen=True)
class Pool:
    """Max pooling of 3 rows at stride 2 with `ceil_mode`: the last window may extend beyond the border."""

    name: str
    kernel: int = 3
    stride: int = 2


@dataclass(frozen=True)
class Fire:
    """Fire module: a 1x1 squeeze, then a 1x1 and a zero-padded 3x3 expansion in parallel."""

    name: str
    in_channels: int
    squeeze: int
    expand: int

    @property
    def out_channels(self) -> int:
        """Number of output channels, of both expansions."""
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
CLASSIFIER_NAME = "classifier.1"
CLASSIFIER_ACTIVATION_NAME = "classifier.2"
CLASSES = 1000
_BANK_LAYERS = ("features.1", "features.5", "features.10", "features.12")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of the network, whose output rows `RowStream` can pass to a hook.

    Value `i` along an axis is centred on picture pixel `offset + stride * i` (0-based) and depends on the
    `receptive_field` pixels around it.

    Attributes:
        name: torchvision's name, such as `features.3.squeeze`: the key of the hook.
        what: kind of values, such as 'convolution, before its ReLU'.
        channels: number of channels.
        stride: distance between the centres of neighbouring values, in pixels.
        offset: centre of the first value, in pixels.
        receptive_field: number of pixels, along an axis, that a value depends on.

    Example:
        >>> from netsounds_stream import layers
        >>> pooled = layers()[2]
        >>> pooled.name, pooled.stride, pooled.offset, pooled.receptive_field
        ('features.2', 4, 5, 11)
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

    Value `i` along an axis is centred on picture pixel `offset + stride * i` (0-based) and depends on the
    `field` pixels around it. At most `border` values at either end of an axis depend on zero padding.
    """

    number: int
    layer: str
    channels: int
    stride: int
    offset: int
    field: int
    border: int


def length_after(layer: LayerSpec, length: int) -> int:
    """Compute the length of a layer's output along one axis.

    Args:
        layer: the layer.
        length: length of its input, in rows.

    Returns:
        The number of rows; 0 if the input is too short.
    """
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
    """List every layer whose rows `RowStream` can pass to a hook, in the network's order.

    Returns:
        One `Layer` for each, with torchvision's name, the kind of its values and their places on the picture.

    Example:
        >>> from netsounds_stream import layers
        >>> for layer in layers()[:3]:
        ...     print(layer.name, layer.channels, layer.stride, layer.what)
        features.0 96 2 convolution, before its ReLU
        features.1 96 2 convolution, after its ReLU
        features.2 96 4 max pooling
    """
    listed: list[Layer] = []
    # of what the next layer reads: the picture, at first
    stride = 1
    offset = 0
    field = 1
    channels = 3

    def add(name: str, what: str, channels: int, field: int) -> None:
        listed.append(
            Layer(
                name=name, what=what, channels=channels, stride=stride, offset=offset, receptive_field=field
            )
        )

    def add_convolution(names: tuple[str, ...], what: str, channels: int, field: int) -> None:
        for name, when in zip(names, ("before", "after"), strict=True):
            add(name, f"{what}, {when} its ReLU", channels, field)

    for layer in LAYERS:
        if isinstance(layer, Fire):
            inner = layers_of(layer)
            channels = layer.out_channels
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
    return tuple(listed)


def layers_of(layer: LayerSpec) -> tuple[str, ...]:
    """Return the names of the layers that an entry of `LAYERS` consists of, its output last."""
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
    numbered = enumerate((by_name[name] for name in _BANK_LAYERS), start=1)
    return tuple(
        Bank(
            number=number,
            layer=layer.name,
            channels=layer.channels,
            stride=layer.stride,
            offset=layer.offset,
            field=layer.receptive_field,
            border=_border(layer.name),
        )
        for number, layer in numbered
    )


def _border(name: str) -> int:
    """Count the values at either end of an axis that depend on zero padding, in the layer of that name."""
    border = 0
    for layer in LAYERS:
        if isinstance(layer, Fire):
            border += 1
        elif isinstance(layer, Pool):
            # Output j reads inputs 2j to 2j + 2. At the beginning ceil(border / 2) outputs read the border;
            # at the end, depending on the length, at most one more if `border` is even.
            border = border // 2 + 1 if border else 0
        if (layer.activation_name if isinstance(layer, Conv) else layer.name) == name:
            break
    return border


BANKS: tuple[Bank, ...] = _banks()


def inside(length: int, border: int) -> slice:
    """Select the values of an axis that do not depend on padding.

    Args:
        length: number of values along the axis.
        border: number of values at either end that depend on padding.

    Returns:
        The slice between the borders; the middle half of the axis if the borders are wider than that.
    """
    border = min(border, length // 4)
    return slice(border, length - border)


def bank(number: int) -> Bank:
    """Return the bank of that number, 1 to 4."""
    return BANKS[number - 1]


@cache
def bank_length(number: int, length: int) -> int:
    """Compute the length of a bank along one axis.

    Args:
        number: number of the bank.
        length: length of the picture, in pixels.

    Returns:
        The number of values; 0 if the picture is too short.
    """
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
    """Return each layer's stride, in the picture's rows, by the names of `layer_names`."""
    return {layer.name: layer.stride for layer in layers()}
