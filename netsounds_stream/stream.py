"""The network as a line-buffered stream: picture rows in, every layer's new output rows out through hooks.

Each layer keeps only the input rows that its next output row still needs, so nothing is computed twice and
memory follows the row length, not the picture. Zero padding and `ceil_mode` come out as in the whole image.
The three kinds of layer retain, between calls (a row diagram; `|` is where the last push ended):

    conv 7x7 / 2    .. a b c d e|        the last 5 or 6 input rows (3 channels)
    pool 3x3 / 2    .. a|  or  .. a b|   1 or 2 input rows, already reduced along the row
    fire's 3x3      .. a b|              the last 2 squeezed rows; one row of zeros before the first

A stream runs along "rows"; the other axis is "cross". To stream along the picture's x axis, feed the
transposed picture to a stream with `transposed=True`: conv(xᵀ, wᵀ) = conv(x, w)ᵀ, so with every kernel
transposed the network still sees the picture upright. Nothing here knows of pictures, banks or files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import OptionError
from .geometry import (
    CLASSES,
    CLASSIFIER_ACTIVATION_NAME,
    CLASSIFIER_NAME,
    LAYERS,
    Conv,
    Fire,
    Pool,
    layer_names,
)

#: A layer's rows, its channels split over one or more tensors `[1, channel, row, cross]`. A fire's two
#: expansions stay apart: copying them together would cost a fifth of the run.
Parts = tuple[Tensor, ...]
Emit = Callable[[str, Parts], None]


@dataclass(frozen=True)
class RowBlock:
    """New output rows of one layer: rows `start` to `start + rows` of it.

    `parts` are tensors `[1, channel, row, cross]` (channels_last), one after another along the channels.
    They are valid during the call only: a later layer may work in their memory.
    """

    layer: str
    start: int
    parts: Parts

    @property
    def rows(self) -> int:
        return int(self.parts[0].shape[2])

    def tensor(self) -> Tensor:
        """The rows as one new tensor `[channel, row, cross]`."""
        return torch.cat(self.parts, dim=1)[0].contiguous()


Hook = Callable[[RowBlock], None]


@dataclass(frozen=True)
class Band:
    """What one push has become on its way through the layers: pieces one after another, maybe none.

    `last` says that nothing follows, so that every layer also gives what waited for more.
    """

    pieces: tuple[Parts, ...]
    last: bool = False


Station = Callable[[Band], Band]


def _join(kept: Tensor | None, new: Tensor) -> Tensor:
    return new if kept is None else torch.cat((kept, new), dim=2)


class _ConvStage:
    def __init__(self, layer: Conv, weight: Tensor, bias: Tensor, emit: Emit) -> None:
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


class _PoolStage:
    """3x3 max at stride 2: along the row first, into a line buffer, then down its rows.

    Six strided maxima; `max_pool2d` takes 3 times as long in channels_last.
    """

    def __init__(self, layer: Pool, emit: Emit) -> None:
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


class _FireStage:
    """Squeeze and two expansions. The squeeze over several parts is a sum of 1x1 convolutions over each."""

    def __init__(self, layer: Fire, params: Mapping[str, Tensor], split: tuple[int, ...], emit: Emit) -> None:
        self._name, self._emit = layer.name, emit
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


class _ClassifierStage:
    """The last 1x1 convolution and ReLU, averaged over all positions as they come (float64 sums)."""

    def __init__(self, params: Mapping[str, Tensor], split: tuple[int, ...], emit: Emit) -> None:
        weight = params[f"{CLASSIFIER_NAME}.weight"]
        self._weight = tuple(
            piece.contiguous(memory_format=torch.channels_last)
            for piece in torch.split(weight, list(split), dim=1)
        )
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


def exact_float32(device: torch.device | str) -> AbstractContextManager[None]:
    """Keeps cuDNN, on CUDA, from rounding float32's factors to 10 bits (TF32), for the whole process.

    `push` and `flush` do so themselves; who calls the stations from several threads does it once, around.
    """
    if torch.device(device).type != "cuda":
        return nullcontext()
    held: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    return held


_Stage = _ConvStage | _PoolStage | _FireStage | _ClassifierStage


class RowStream:
    """SqueezeNet 1.0 over a picture that arrives in bands of rows.

    `push` any number of rows at a time, then `flush` once. What a push completes goes to the hooks, layer
    by layer in the network's order; a small push may complete nothing. Splitting the same rows otherwise
    gives the same values up to rounding, bit for bit where the convolution library picks the same kernels.

    Args:
        state: float32 parameters by torchvision's names.
        hooks: what to call with each new `RowBlock` of a layer, by torchvision's layer name.
        transposed: rows run along the picture's x axis; see the module's text.
        dtype: what is computed in: float32, bfloat16 or float16.
    """

    def __init__(
        self,
        state: Mapping[str, Tensor],
        hooks: Mapping[str, Hook],
        *,
        transposed: bool = False,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        unknown = sorted(set(hooks) - set(layer_names()))
        if unknown:
            raise OptionError(f"no layer is called {unknown[0]!r}; the names are {', '.join(layer_names())}")
        self._hooks = dict(hooks)
        self._next_row = dict.fromkeys(hooks, 0)
        self._dtype, self._device = dtype, torch.device(device)
        params: dict[str, Tensor] = {}
        for name, value in state.items():
            turned = value.transpose(2, 3) if transposed and value.ndim == 4 else value
            params[name] = turned.to(self._device, dtype).contiguous(
                memory_format=torch.channels_last if value.ndim == 4 else torch.contiguous_format
            )
        self._stages: list[_Stage] = []
        split: tuple[int, ...] = (3,)
        for layer in LAYERS:
            match layer:
                case Conv():
                    weight, bias = params[f"{layer.name}.weight"], params[f"{layer.name}.bias"]
                    self._stages.append(_ConvStage(layer, weight, bias, self._emit))
                    split = (layer.out_channels,)
                case Pool():
                    self._stages.append(_PoolStage(layer, self._emit))
                case Fire():
                    self._stages.append(_FireStage(layer, params, split, self._emit))
                    split = (layer.expand, layer.expand)
        self._classifier = _ClassifierStage(params, split, self._emit)
        self._stages.append(self._classifier)

    def push(self, rows: Tensor) -> None:
        """Take the next rows, `[channel=3, row, cross]`, normalised as the weights were trained."""
        self._carry(self.enter(rows))

    def flush(self) -> None:
        """Complete every row that waited for more input. Once, after the last push."""
        self._carry(self.ending())

    def enter(self, rows: Tensor) -> Band:
        """Rows as `push` takes them, ready for the first station. May run on any thread."""
        image = rows.to(self._device, self._dtype).unsqueeze(0)
        return Band(((image.contiguous(memory_format=torch.channels_last),),))

    def ending(self) -> Band:
        """What to carry through the stations after the last rows, once."""
        return Band((), last=True)

    @property
    def stations(self) -> tuple[Station, ...]:
        """The layers, as steps that each band takes in turn: `push` is `enter` and then all of these.

        They may run on several threads at once, as long as each station sees the bands in order, one at a
        time: so one band can be in a deep layer while the next is in a shallow one. A hook is called by the
        thread that its layer's station runs on.
        """
        return tuple(self._station(stage) for stage in self._stages)

    def logits(self) -> Tensor:
        """The classifier's average over all positions so far, `[class=1000]`, float64 on the CPU."""
        return self._classifier.total / max(1, self._classifier.count)

    def _carry(self, band: Band) -> None:
        with exact_float32(self._device):
            for station in self.stations:
                band = station(band)

    def _station(self, stage: _Stage) -> Station:
        @torch.inference_mode()
        def step(band: Band) -> Band:
            pieces = [stage.push(parts) for parts in band.pieces]
            if band.last:
                pieces.append(stage.flush())
            return Band(tuple(parts for parts in pieces if parts is not None), band.last)

        return step

    def _emit(self, layer: str, parts: Parts) -> None:
        hook = self._hooks.get(layer)
        if hook is not None:
            block = RowBlock(layer, self._next_row[layer], parts)
            self._next_row[layer] += block.rows
            hook(block)
