"""The kinds of layer, each keeping only the input rows that its next output row still needs.

They retain, between calls (a row diagram; `|` is where the last push ended):

    conv 7x7 / 2    .. a b c d e|        the last 5 or 6 input rows (3 channels)
    pool 3x3 / 2    .. a|  or  .. a b|   1 or 2 input rows, already reduced along the row
    fire's 3x3      .. a b|              the last 2 squeezed rows; one row of zeros before the first

`push` takes new rows and gives the output rows that they complete, `flush` the rest, once. `retained` says
what is kept, valid until the next call, and `restore` takes it back in another process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
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

#: A layer's rows, its channels split over one or more tensors `[1, channel, row, cross]`. A fire's two
#: expansions stay apart: copying them together would cost a fifth of the run.
Parts = tuple[Tensor, ...]
Emit = Callable[[str, Parts], None]
_ROWS = "rows"  # the name of what most of them retain


def _join(kept: Tensor | None, new: Tensor) -> Tensor:
    return new if kept is None else torch.cat((kept, new), dim=2)


class ConvStage:
    def __init__(self, layer: Conv, weight: Tensor, bias: Tensor, emit: Emit) -> None:
        self.layers = layers_of(layer)
        self._layer, self._weight, self._bias, self._emit = layer, weight, bias, emit
        self._kept: Tensor | None = None

    def push(self, parts: Parts) -> Parts | None:
        kernel, stride = self._layer.kernel, self._layer.stride
        rows = _join(self._kept, parts[0])
        count = (rows.shape[2] - kernel) // stride + 1
        if count < 1:
            self._kept = rows
            return None
        self._kept = rows[:, :, count * stride :].clone()
        out = F.conv2d(rows[:, :, : (count - 1) * stride + kernel], self._weight, self._bias, stride)
        self._emit(self._layer.name, (out,))
        out.relu_()
        self._emit(self._layer.activation_name, (out,))
        return (out,)

    def flush(self) -> Parts | None:
        return None  # no padding: rows too few for a window give nothing

    def retained(self) -> dict[str, Tensor]:
        return _present(self._kept)

    def restore(self, kept: Mapping[str, Tensor]) -> None:
        self._kept = kept.get(_ROWS)


class PoolStage:
    """3x3 max at stride 2: along the row first, into a line buffer, then down its rows.

    Six strided maxima; `max_pool2d` takes 3 times as long in channels_last.
    """

    def __init__(self, layer: Pool, emit: Emit) -> None:
        self.layers = layers_of(layer)
        self._name, self._emit = layer.name, emit
        self._lines: list[Tensor] = []
        self._kept = 0

    def push(self, parts: Parts) -> Parts | None:
        rows = self._kept + int(parts[0].shape[2])
        if not self._lines:
            self._lines = [part[..., :0] for part in parts]
        self._lines = [self._append(line, part, rows) for line, part in zip(self._lines, parts, strict=True)]
        count = (rows - 3) // 2 + 1 if rows >= 3 else 0
        out = tuple(self._down(line, count) for line in self._lines)
        self._kept = rows - 2 * count
        if count == 0:
            return None
        for line in self._lines:
            line[:, :, : self._kept] = line[:, :, 2 * count : rows].clone()
        self._emit(self._name, out)
        return out

    def flush(self) -> Parts | None:
        if self._kept < 2:
            return None  # the row left over was the last of a full window
        out = tuple(torch.maximum(line[:, :, 0:1], line[:, :, 1:2]) for line in self._lines)
        self._kept = 0
        self._emit(self._name, out)
        return out

    def retained(self) -> dict[str, Tensor]:
        return {str(part): line[:, :, : self._kept] for part, line in enumerate(self._lines)}

    def restore(self, kept: Mapping[str, Tensor]) -> None:
        self._lines = [kept[name] for name in sorted(kept, key=int)]
        self._kept = int(self._lines[0].shape[2]) if self._lines else 0

    def _append(self, line: Tensor, part: Tensor, rows: int) -> Tensor:
        _, channels, _, cross = part.shape
        width = cross // 2
        if line.shape[2] < rows or line.shape[3] != width:
            grown = torch.empty((1, channels, rows, width), dtype=part.dtype, device=part.device).contiguous(
                memory_format=torch.channels_last
            )
            if self._kept:
                grown[:, :, : self._kept] = line[:, :, : self._kept]
            line = grown
        new = line[:, :, self._kept : rows]
        torch.maximum(part[..., 0 : 2 * width : 2], part[..., 1 : 2 * width : 2], out=new)
        third = part[..., 2 : 2 * width + 1 : 2]  # one short of `width` where the last window hangs over
        partial = new[..., : third.shape[3]]
        torch.maximum(partial, third, out=partial)
        return line

    @staticmethod
    def _down(line: Tensor, count: int) -> Tensor:
        top, middle, bottom = (line[:, :, shift : shift + 2 * count : 2][:, :, :count] for shift in range(3))
        out = torch.maximum(top, middle)
        return torch.maximum(out, bottom, out=out)


class FireStage:
    """Squeeze and two expansions. The squeeze over several parts is a sum of 1x1 convolutions over each."""

    def __init__(self, layer: Fire, params: Mapping[str, Tensor], split: tuple[int, ...], emit: Emit) -> None:
        self._name, self._emit = layer.name, emit
        self.layers = layers_of(layer)
        weight = params[f"{layer.name}.squeeze.weight"]
        self._squeeze = tuple(
            piece.contiguous(memory_format=torch.channels_last)
            for piece in torch.split(weight, list(split), dim=1)
        )
        self._squeeze_bias = params[f"{layer.name}.squeeze.bias"]
        self._one = params[f"{layer.name}.expand1x1.weight"], params[f"{layer.name}.expand1x1.bias"]
        self._three = params[f"{layer.name}.expand3x3.weight"], params[f"{layer.name}.expand3x3.bias"]
        self._kept: Tensor | None = None

    def push(self, parts: Parts) -> Parts | None:
        name = self._name
        squeezed = F.conv2d(parts[0], self._squeeze[0], self._squeeze_bias)
        for part, weight in zip(parts[1:], self._squeeze[1:], strict=True):
            squeezed.add_(F.conv2d(part, weight))
        self._emit(f"{name}.squeeze", (squeezed,))
        squeezed.relu_()
        self._emit(f"{name}.squeeze_activation", (squeezed,))
        if self._kept is None:
            self._kept = torch.zeros_like(squeezed[:, :, :1])  # the padding above the first row
        return self._expand(squeezed)

    def flush(self) -> Parts | None:
        if self._kept is None:
            return None
        return self._expand(torch.zeros_like(self._kept[:, :, :1]))  # the padding below the last row

    def retained(self) -> dict[str, Tensor]:
        return _present(self._kept)

    def restore(self, kept: Mapping[str, Tensor]) -> None:
        self._kept = kept.get(_ROWS)

    def _expand(self, squeezed: Tensor) -> Parts | None:
        rows = _join(self._kept, squeezed)
        if rows.shape[2] < 3:
            self._kept = rows
            return None
        self._kept = rows[:, :, -2:].clone()
        name = self._name
        one = F.conv2d(rows[:, :, 1:-1], *self._one)
        self._emit(f"{name}.expand1x1", (one,))
        one.relu_()
        self._emit(f"{name}.expand1x1_activation", (one,))
        three = F.conv2d(rows, *self._three, padding=(0, 1))
        self._emit(f"{name}.expand3x3", (three,))
        three.relu_()
        self._emit(f"{name}.expand3x3_activation", (three,))
        self._emit(name, (one, three))
        return one, three


class ClassifierStage:
    """The last 1x1 convolution and ReLU, averaged over all positions as they come (float64 sums)."""

    def __init__(self, params: Mapping[str, Tensor], split: tuple[int, ...], emit: Emit) -> None:
        weight = params[f"{CLASSIFIER_NAME}.weight"]
        self._weight = tuple(
            piece.contiguous(memory_format=torch.channels_last)
            for piece in torch.split(weight, list(split), dim=1)
        )
        self.layers = (CLASSIFIER_NAME, CLASSIFIER_ACTIVATION_NAME)
        self._bias, self._emit = params[f"{CLASSIFIER_NAME}.bias"], emit
        self.total = torch.zeros(CLASSES, dtype=torch.float64)
        self.count = 0

    def push(self, parts: Parts) -> Parts | None:
        out = F.conv2d(parts[0], self._weight[0], self._bias)
        for part, weight in zip(parts[1:], self._weight[1:], strict=True):
            out.add_(F.conv2d(part, weight))
        self._emit(CLASSIFIER_NAME, (out,))
        out.relu_()
        self._emit(CLASSIFIER_ACTIVATION_NAME, (out,))
        self.total += out.float().sum(dim=(0, 2, 3)).cpu().double()
        self.count += int(out.shape[2] * out.shape[3])
        return None

    def flush(self) -> Parts | None:
        return None

    def retained(self) -> dict[str, Tensor]:
        return {"total": self.total, "count": torch.tensor([self.count])}

    def restore(self, kept: Mapping[str, Tensor]) -> None:
        self.total = kept["total"].cpu()
        self.count = int(kept["count"])


def _present(rows: Tensor | None) -> dict[str, Tensor]:
    return {} if rows is None else {_ROWS: rows}


Stage = ConvStage | PoolStage | FireStage | ClassifierStage
