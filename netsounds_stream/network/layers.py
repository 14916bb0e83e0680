"""The layers of the row stream, each retaining only the input rows that its next output row still needs.

Between calls they retain these rows (`|` is where the last push ended):

    conv 7x7 / 2    .. a b c d e|        the last 5 or 6 input rows (3 channels)
    pool 3x3 / 2    .. a|  or  .. a b|   1 or 2 input rows, already reduced along the row
    fire's 3x3      .. a b|              the last 2 squeezed rows; one row of zeros before the first

Every layer has the four methods of `LayerStage`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

import torch
from torch import Tensor

from ..planning.geometry import (
    CLASSES,
    CLASSIFIER_ACTIVATION_NAME,
    CLASSIFIER_NAME,
    Conv,
    Fire,
    Pool,
    layers_of,
)
from .convolution import ActivatedConv, Emit, Parts

_ROWS = "rows"  # the name of retained rows in a checkpoint


class LayerStage(Protocol):
    """A layer of the stream, or a few that work in one step."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Torchvision's names of the layers whose rows it emits; the last one names the stage."""

    def push(self, parts: Parts) -> Parts | None:
        """Push new input rows.

        Args:
            parts: `[1, channel, row, cross]`, one after another along the channels.

        Returns:
            The output rows that they complete, in the same form; None if they complete none.
        """

    def flush(self) -> Parts | None:
        """Return the remaining output rows, if any; called once, after the last push."""

    def retained(self) -> dict[str, Tensor]:
        """Describe the state that the stage retains.

        Returns:
            Tensors by name, valid until the next call.
        """

    def restore(self, retained: Mapping[str, Tensor]) -> None:
        """Resume from the state that an earlier stage retained."""


class ConvStage:
    """A convolution without padding, and its ReLU.

    Args:
        layer: the layer's geometry.
        weight: `[out channel, in channel, row, cross]`.
        bias: `[out channel]`.
        emit: called with each layer's new rows.
        wanted: names of the layers that have hooks.
    """

    def __init__(
        self, layer: Conv, weight: Tensor, bias: Tensor, *, emit: Emit, wanted: Collection[str]
    ) -> None:
        self.layers = layers_of(layer)
        self._layer = layer
        names = layer.name, layer.activation_name
        self._activated = ActivatedConv(names, weight, bias, emit=emit, wanted=wanted)
        self._retained: Tensor | None = None

    def push(self, parts: Parts) -> Parts | None:
        """Convolve every window of rows that is complete now."""
        kernel = self._layer.kernel
        stride = self._layer.stride
        rows = _joined(self._retained, parts[0])
        count = (rows.shape[2] - kernel) // stride + 1
        if count < 1:
            self._retained = rows
            return None
        self._retained = rows[:, :, count * stride :].clone()
        return (self._activated((rows[:, :, : (count - 1) * stride + kernel],), stride=stride),)

    def flush(self) -> Parts | None:
        """Return None: without padding, too few rows for a window complete nothing."""
        return None

    def retained(self) -> dict[str, Tensor]:
        """Return the input rows of the next window."""
        return _by_name(self._retained)

    def restore(self, retained: Mapping[str, Tensor]) -> None:
        """Resume with the input rows of the next window."""
        self._retained = retained.get(_ROWS)


class PoolStage:
    """Max pooling 3x3 at stride 2: along the row first, into a line buffer, then down the buffer's rows.

    It takes six strided maxima. `max_pool2d` takes three times as long in channels_last on a CPU; on CUDA
    half as long, but with indices beside it, 8 bytes for each value.

    Args:
        layer: the layer's geometry.
        emit: called with the layer's new rows.
    """

    def __init__(self, layer: Pool, emit: Emit) -> None:
        self.layers = layers_of(layer)
        self._name = layer.name
        self._emit = emit
        self._lines: list[Tensor] = []  # a line buffer for each part; it may have more rows than are in use
        self._rows = 0  # rows of the line buffers in use

    def push(self, parts: Parts) -> Parts | None:
        """Pool every window of rows that is complete now."""
        rows = self._rows + int(parts[0].shape[2])
        if not self._lines:
            self._lines = [part[..., :0] for part in parts]
        self._lines = [self._append(line, part, rows) for line, part in zip(self._lines, parts, strict=True)]
        count = (rows - 3) // 2 + 1 if rows >= 3 else 0
        out = tuple(self._down(line, count) for line in self._lines)
        self._rows = rows - 2 * count
        if count == 0:
            return None
        for line in self._lines:
            line[:, :, : self._rows] = line[:, :, 2 * count : rows].clone()
        self._emit(self._name, out)
        return out

    def flush(self) -> Parts | None:
        """Pool the last window where it has two rows only (`ceil_mode`)."""
        if self._rows < 2:
            return None  # the remaining row was the last one of a full window
        out = tuple(torch.maximum(line[:, :, 0:1], line[:, :, 1:2]) for line in self._lines)
        self._rows = 0
        self._emit(self._name, out)
        return out

    def retained(self) -> dict[str, Tensor]:
        """Return the rows of the line buffer of each part, by the part's number."""
        return {str(part): line[:, :, : self._rows] for part, line in enumerate(self._lines)}

    def restore(self, retained: Mapping[str, Tensor]) -> None:
        """Resume with the rows of each line buffer."""
        self._lines = [retained[name] for name in sorted(retained, key=int)]
        self._rows = int(self._lines[0].shape[2]) if self._lines else 0

    def _append(self, line: Tensor, part: Tensor, rows: int) -> Tensor:
        """Pool new rows along the row into the line buffer, which then has `rows` rows in use.

        Returns:
            The line buffer, or a larger one.
        """
        _, channels, _, cross = part.shape
        width = cross // 2
        if line.shape[2] < rows or line.shape[3] != width:
            grown = torch.empty((1, channels, rows, width), dtype=part.dtype, device=part.device).contiguous(
                memory_format=torch.channels_last
            )
            if self._rows:
                grown[:, :, : self._rows] = line[:, :, : self._rows]
            line = grown
        new = line[:, :, self._rows : rows]
        torch.maximum(part[..., 0 : 2 * width : 2], part[..., 1 : 2 * width : 2], out=new)
        third = part[..., 2 : 2 * width + 1 : 2]  # one short of `width` if the last window hangs over
        partial = new[..., : third.shape[3]]
        torch.maximum(partial, third, out=partial)
        return line

    @staticmethod
    def _down(line: Tensor, count: int) -> Tensor:
        """Pool the first `count` windows of three rows down the line buffer."""
        top, middle, bottom = (line[:, :, shift : shift + 2 * count : 2][:, :, :count] for shift in range(3))
        out = torch.maximum(top, middle)
        return torch.maximum(out, bottom, out=out)


class FireStage:
    """A fire module: the squeeze, its two expansions, and their ReLUs.

    Args:
        layer: the layer's geometry.
        params: parameters by torchvision's names.
        split: numbers of channels in each part of the input.
        emit: called with each layer's new rows.
        wanted: names of the layers that have hooks.
    """

    def __init__(
        self,
        layer: Fire,
        params: Mapping[str, Tensor],
        split: tuple[int, ...],
        *,
        emit: Emit,
        wanted: Collection[str],
    ) -> None:
        self.layers = layers_of(layer)
        self._name = layer.name
        self._emit = emit
        self._squeeze, self._expand1x1, self._expand3x3 = (
            ActivatedConv(
                (name, f"{name}_activation"),
                params[f"{name}.weight"],
                params[f"{name}.bias"],
                split=split if name.endswith("squeeze") else None,
                emit=emit,
                wanted=wanted,
            )
            for name in (f"{layer.name}.squeeze", f"{layer.name}.expand1x1", f"{layer.name}.expand3x3")
        )
        self._retained: Tensor | None = None

    def push(self, parts: Parts) -> Parts | None:
        """Squeeze the new rows, and expand every row whose neighbours are complete now."""
        squeezed = self._squeeze(parts)
        if self._retained is None:
            self._retained = torch.zeros_like(squeezed[:, :, :1])  # the padding above the first row
        return self._expand(squeezed)

    def flush(self) -> Parts | None:
        """Expand the last row, which has the padding below it."""
        if self._retained is None:
            return None
        return self._expand(torch.zeros_like(self._retained[:, :, :1]))

    def retained(self) -> dict[str, Tensor]:
        """Return the last squeezed rows."""
        return _by_name(self._retained)

    def restore(self, retained: Mapping[str, Tensor]) -> None:
        """Resume with the last squeezed rows."""
        self._retained = retained.get(_ROWS)

    def _expand(self, squeezed: Tensor) -> Parts | None:
        """Expand the retained and the new squeezed rows, all but the outermost ones."""
        rows = _joined(self._retained, squeezed)
        if rows.shape[2] < 3:
            self._retained = rows
            return None
        self._retained = rows[:, :, -2:].clone()
        expanded = self._expand1x1((rows[:, :, 1:-1],)), self._expand3x3((rows,), padding=(0, 1))
        self._emit(self._name, expanded)
        return expanded


class ClassifierStage:
    """The last 1x1 convolution and its ReLU, averaged over all positions as they come.

    Args:
        params: parameters by torchvision's names.
        split: numbers of channels in each part of the input.
        emit: called with each layer's new rows.
        wanted: names of the layers that have hooks.

    Attributes:
        total: float64 `[class]`, the sum over all positions so far, on the CPU or CUDA device.
        count: number of positions so far.
    """

    def __init__(
        self, params: Mapping[str, Tensor], split: tuple[int, ...], *, emit: Emit, wanted: Collection[str]
    ) -> None:
        self.layers: tuple[str, ...] = (CLASSIFIER_NAME, CLASSIFIER_ACTIVATION_NAME)
        weight = params[f"{CLASSIFIER_NAME}.weight"]
        bias = params[f"{CLASSIFIER_NAME}.bias"]
        names = CLASSIFIER_NAME, CLASSIFIER_ACTIVATION_NAME
        self._activated = ActivatedConv(names, weight, bias, split=split, emit=emit, wanted=wanted)
        # A sum on the CPU would wait for the device at every band; MPS has no float64.
        self._sums_on = bias.device if bias.is_cuda else torch.device("cpu")
        self.total = torch.zeros(CLASSES, dtype=torch.float64, device=self._sums_on)
        self.count = 0

    def push(self, parts: Parts) -> Parts | None:
        """Add the new positions to the sum; no rows are returned."""
        out = self._activated(parts)
        self.total += out.float().sum(dim=(0, 2, 3)).to(self._sums_on).double()
        self.count += int(out.shape[2] * out.shape[3])
        return None

    def flush(self) -> Parts | None:
        """Return None: no rows are returned."""
        return None

    def retained(self) -> dict[str, Tensor]:
        """Return the sum and the number of positions."""
        return {"total": self.total, "count": torch.tensor([self.count])}

    def restore(self, retained: Mapping[str, Tensor]) -> None:
        """Resume with the sum and the number of positions."""
        self.total = retained["total"].to(self._sums_on)
        self.count = int(retained["count"])


def _joined(retained: Tensor | None, new: Tensor) -> Tensor:
    return new if retained is None else torch.cat((retained, new), dim=2)


def _by_name(rows: Tensor | None) -> dict[str, Tensor]:
    return {} if rows is None else {_ROWS: rows}
