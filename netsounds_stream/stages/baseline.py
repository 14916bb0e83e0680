"""The network's response to a picture without content, which the mix leaves out.

Filters respond to an even colour, too, so that a picture without content would hum. The network is therefore
shown two small pictures, one even, of the picture's median colour, and one of noise. The response to the
first is no content; the response to the second says how much content there can be. Near the border zero
padding looks like an edge, so responses are taken inside of it (`geometry.Bank.border`, `geometry.inside`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..network.stream import RowBlock, RowStream
from ..network.weights import Weights, for_pixels
from ..planning.geometry import BANKS, Bank, bank_length, inside
from ..sound.background import Baseline

# Pixels: enough for a quarter of each bank's values to be past the border; of noise a mean is wanted only.
_EVEN_SIDE, _NOISE_SIDE = 352, 224
_BAND_ROWS = 32


def baselines(
    weights: Weights, colour: Sequence[int], full_scale: int, height: int, width: int, *, normalize: bool
) -> dict[int, Baseline]:
    """Return each bank's baseline, by its number.

    Args:
        colour: the picture's median, `[rgb]`, from 0 to `full_scale`.
        height, width: of the picture, in pixels: the even picture is no larger.
        normalize: whether the network's input is normalised.
    """
    state = for_pixels(weights, full_scale, normalize)
    size = min(height, _EVEN_SIDE), min(width, _EVEN_SIDE)
    even = torch.tensor(colour, dtype=torch.float32)[:, None, None].expand(3, *size)
    noise = torch.rand(3, _NOISE_SIDE, _NOISE_SIDE, generator=torch.Generator().manual_seed(0)) * full_scale
    answers, noisy = _answers(state, even), _answers(state, noise)
    return {
        each.number: Baseline(
            number=each.number,
            even=(answers[each.layer].low + answers[each.layer].high) / 2,
            spread=(answers[each.layer].high - answers[each.layer].low) / 2,
            noise=noisy[each.layer].mean,
        )
        for each in BANKS
    }


class _Answer:
    """The least, the largest and the mean of each filter inside a picture, taken as rows come."""

    def __init__(self, about: Bank, height: int, width: int) -> None:
        lengths = bank_length(about.number, height), bank_length(about.number, width)
        self._rows, self._columns = (inside(length, about.border) for length in lengths)
        self.low = torch.full((about.channels,), torch.inf)
        self.high, self._total = -self.low, torch.zeros(about.channels, dtype=torch.float64)

    def __call__(self, block: RowBlock) -> None:
        first, last = (
            min(max(0, place - block.start), block.rows) for place in (self._rows.start, self._rows.stop)
        )
        if first == last:
            return
        values = block.tensor()[:, first:last, self._columns].half().float()  # rounded as banks are
        self.low = torch.minimum(self.low, values.amin((1, 2)))
        self.high = torch.maximum(self.high, values.amax((1, 2)))
        self._total += values.double().sum((1, 2))

    @property
    def mean(self) -> Tensor:
        count = (self._rows.stop - self._rows.start) * (self._columns.stop - self._columns.start)
        mean: Tensor = (self._total / count).float()
        return mean


def _answers(state: Mapping[str, Tensor], picture: Tensor) -> dict[str, _Answer]:
    """Return the response of each bank's layer to `picture`, `[rgb, y, x]`."""
    found = {each.layer: _Answer(each, *picture.shape[1:]) for each in BANKS}
    stream = RowStream(state, found)
    for rows in torch.split(picture, _BAND_ROWS, dim=1):  # as little memory as a run's bands take
        stream.push(rows.contiguous())
    stream.flush()
    return found
