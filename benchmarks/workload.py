"""What the network costs for a picture of a size, by its layer table: floating-point operations and bytes.

Counts every convolution, the classifier's included (a multiplication and an addition each); pooling, ReLU
and the rest are left out. A share of a machine's matrix rate is this over the seconds taken.
"""

from __future__ import annotations

from netsounds_stream.planning.geometry import (
    BANKS,
    CLASSES,
    LAYERS,
    Conv,
    Fire,
    Pool,
    bank_length,
    length_after,
)


def operations(height: int, width: int) -> int:
    """Floating-point operations of one forward pass over `height` x `width` pixels."""
    total, channels = 0, 3
    for layer in LAYERS:
        height, width = length_after(layer, height), length_after(layer, width)
        match layer:
            case Conv():
                per_position = channels * layer.out_channels * layer.kernel**2
                channels = layer.out_channels
            case Pool():
                continue
            case Fire():
                per_position = channels * layer.squeeze + 10 * layer.squeeze * layer.expand
                channels = layer.out_channels
        total += 2 * per_position * height * width
    return total + 2 * channels * CLASSES * height * width


def bank_values(height: int, width: int) -> int:
    """Values of the four banks: what a forward pass gives back."""
    return sum(
        bank.channels * bank_length(bank.number, height) * bank_length(bank.number, width) for bank in BANKS
    )


def pass_bytes(height: int, width: int, value_bytes: int) -> int:
    """Bytes that a pass moves at least, once each layer's input and output go through memory.

    An upper bound for what must move: bands small enough for a cache move only the picture and the banks.
    """
    total, channels = 0, 3
    for layer in LAYERS:
        before = channels * height * width
        height, width = length_after(layer, height), length_after(layer, width)
        squeezed = 0
        match layer:
            case Conv():
                channels = layer.out_channels
            case Pool():
                pass
            case Fire():
                squeezed = 3 * layer.squeeze * height * width  # written once, read by two expansions
                channels = layer.out_channels
        total += before + squeezed + channels * height * width
    return value_bytes * total
