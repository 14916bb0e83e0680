"""The network's response to a picture without content, which the mix leaves out.

Filters respond to an even colour, too, so a picture without content would hum. The network is therefore run
on two small pictures: an even one, of the picture's median colour, and one of noise. The response to the
first is not content; the response to the second says how much content there can be. Near the border zero
padding looks like an edge, so responses are taken inside of it (`Bank.border`, `graph.geometry.inside`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..graph.geometry import inside
from ..graph.layers import Bank, Banks
from ..network.compute import PixelNetwork, pixel_network
from ..network.networks import Network
from ..network.stream import RowBlock, RowStream
from ..sound.background import Baseline

# Side of the even picture, in pixels, unless the network takes larger ones only: a quarter of each of
# SqueezeNet 1.0's banks' values are then inside of the border.
_EVEN_SIDE = 352
# Side of the noise, in pixels: smaller, since only its mean response is needed.
_NOISE_SIDE = 224
_BAND_ROWS = 32


def baselines(
    network: Network,
    banks: Banks,
    colour: Sequence[int],
    full_scale: int,
    height: int,
    width: int,
    *,
    normalize: bool,
) -> dict[int, Baseline]:
    """Measure the network's responses to an even picture and to noise.

    Args:
        network: the network.
        banks: its banks.
        colour: the picture's median colour, `[rgb]`, from 0 to `full_scale`.
        full_scale: the largest value of a pixel.
        height: height of the picture, in pixels; the even picture is no higher.
        width: width of the picture, in pixels; the even picture is no wider.
        normalize: whether the network's input is normalised.

    Returns:
        Each bank's baseline, by its number.
    """
    prepared = pixel_network(network, full_scale, normalize, torch.float32)
    side = max(_EVEN_SIDE, banks.smallest_side)
    size = min(height, side), min(width, side)
    even = torch.tensor(colour, dtype=torch.float32)[:, None, None].expand(3, *size)
    side = max(_NOISE_SIDE, banks.smallest_side)
    noise = torch.rand(3, side, side, generator=torch.Generator().manual_seed(0)) * full_scale
    to_even = _responses(prepared, banks, even)
    to_noise = _responses(prepared, banks, noise)
    return {
        bank.number: Baseline(
            border=bank.border,
            even=(to_even[bank.layer].low + to_even[bank.layer].high) / 2,
            spread=(to_even[bank.layer].high - to_even[bank.layer].low) / 2,
            noise=to_noise[bank.layer].mean,
        )
        for bank in banks.banks
    }


class _Response:
    """The minimum, maximum and mean of each filter inside of a picture's border, gathered row by row.

    Args:
        banks: the network's banks.
        bank: the bank.
        height: height of the picture, in pixels.
        width: width of the picture, in pixels.

    Attributes:
        low: minimum of each filter, float32 `[channel]`.
        high: maximum of each filter, float32 `[channel]`.
    """

    def __init__(self, banks: Banks, bank: Bank, height: int, width: int) -> None:
        self._rows = inside(banks.length(bank.number, "y", height), bank.border)
        self._columns = inside(banks.length(bank.number, "x", width), bank.border)
        self.low = torch.full((bank.channels,), torch.inf)
        self.high = torch.full((bank.channels,), -torch.inf)
        self._total = torch.zeros(bank.channels, dtype=torch.float64)

    def __call__(self, block: RowBlock) -> None:
        first, last = (
            min(max(0, row - block.start), block.rows) for row in (self._rows.start, self._rows.stop)
        )
        if first == last:
            return
        values = block.tensor()[:, first:last, self._columns].half().float()  # rounded as banks are
        self.low = torch.minimum(self.low, values.amin((1, 2)))
        self.high = torch.maximum(self.high, values.amax((1, 2)))
        self._total += values.double().sum((1, 2))

    @property
    def mean(self) -> Tensor:
        """Mean of each filter, float32 `[channel]`."""
        count = (self._rows.stop - self._rows.start) * (self._columns.stop - self._columns.start)
        mean: Tensor = (self._total / count).float()
        return mean


def _responses(network: PixelNetwork, banks: Banks, picture: Tensor) -> dict[str, _Response]:
    """Run the network on a picture, in bands, so that it takes no more memory than a run.

    Args:
        network: the network.
        banks: its banks.
        picture: pixels, float32 `[rgb, y, x]`.

    Returns:
        The response of each bank's layer, by the layer's name.
    """
    _, height, width = picture.shape
    responses = {bank.layer: _Response(banks, bank, height, width) for bank in banks.banks}
    stream = RowStream(network.captured, responses, prediction=False)
    for rows in torch.split(picture, _BAND_ROWS, dim=1):
        stream.push(network.prepare(rows.contiguous()))
    stream.flush()
    return responses
