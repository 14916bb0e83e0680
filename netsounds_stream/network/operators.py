"""The graph's operators at work on rows: one small class each, made once and called for each band.

An operator is called with all input rows of the rows that it is to compute, no more and no fewer, except for
those beyond the picture's first and last one. How many of these there are, `Edges` says; each operator puts
its own padding there. Which rows are computed when is decided in `stages`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..graph.values import (
    Affine,
    Axis,
    ChannelNorm,
    Convolution,
    Join,
    Node,
    Pad,
    Pointwise,
    Pool,
    Select,
    Shuffle,
    Window,
)
from .convolution import Parts, RowConvolution

# Parts that a concatenation leaves apart: the next convolutions then read each by itself. With more of them
# the convolutions' own cost exceeds that of a copy.
_MOST_PARTS = 4


@dataclass(frozen=True)
class Edges:
    """Rows of padding that the first and the last window include.

    Attributes:
        above: rows before the first row of the picture.
        below: rows after the last one.
    """

    above: int = 0
    below: int = 0


class RowOperator(Protocol):
    """An operator on rows."""

    @property
    def split(self) -> tuple[int, ...]:
        """Numbers of channels in each part of the output."""

    @property
    def fresh(self) -> bool:
        """True if the output lies in memory of its own, which a later operator may write over."""

    def __call__(self, inputs: tuple[Parts, ...], edges: Edges) -> Parts:
        """Compute rows.

        Args:
            inputs: rows of each input, `[1, channel, row, cross]`, one part after another along the channels.
            edges: the padding that the windows include.

        Returns:
            The rows, in the same form.
        """


def joined(parts: Parts) -> Tensor:
    """Return all channels in one tensor."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


class _Conv:
    """A convolution, perhaps with a ReLU in the same kernel."""

    fresh = True

    def __init__(
        self, node: Node, state: Mapping[str, Tensor], split: tuple[int, ...], *, with_relu: bool
    ) -> None:
        op = node.operator
        assert isinstance(op, Convolution)
        self.split = (node.channels,)
        apart = op.groups == 1 and len(split) > 1
        self._together = not apart
        bias = None if op.bias is None else state[op.bias]
        self._convolve = RowConvolution(
            state[op.weight],
            bias,
            split=split if apart else None,
            stride=(op.y.stride, op.x.stride),
            dilation=(op.y.dilation, op.x.dilation),
            groups=op.groups,
            with_relu=with_relu,
        )
        # padding across by the convolution itself, unless the two sides differ
        self._across = 0 if op.x.before != op.x.after else op.x.before
        self._sides = (op.x.before, op.x.after) if op.x.before != op.x.after else (0, 0)

    def __call__(self, inputs: tuple[Parts, ...], edges: Edges) -> Parts:
        parts = (joined(inputs[0]),) if self._together else inputs[0]
        if edges.above or edges.below or any(self._sides):
            parts = tuple(F.pad(part, (*self._sides, edges.above, edges.below)) for part in parts)
        return (self._convolve(parts, padding=(0, self._across)),)


class _Padded:
    """Zeros around the picture."""

    fresh = True

    def __init__(self, op: Pad, split: tuple[int, ...]) -> None:
        self.split = split
        self._sides = (op.x.before, op.x.after)

    def __call__(self, inputs: tuple[Parts, ...], edges: Edges) -> Parts:
        return tuple(F.pad(part, (*self._sides, edges.above, edges.below)) for part in inputs[0])


class PoolAcross:
    """Pooling along the row: maxima, or sums, of each window's places in the row.

    It writes into memory that it is given, the line buffer of what pools down the rows: `max_pool2d` takes
    three times as long in channels_last on a CPU, and on CUDA has indices beside it, 8 bytes for each value.

    Args:
        op: the pooling.
    """

    def __init__(self, op: Pool) -> None:
        self._op = op
        self._max = op.kind == "max"
        self._window = op.x

    def length(self, cross: int) -> int:
        """Return the number of values in an output row."""
        return self._window.length(cross)

    def write(self, parts: Parts, out: Parts) -> None:
        """Pool rows.

        Args:
            parts: the input rows.
            out: where the output goes.
        """
        for part, into in zip(parts, out, strict=True):
            self._reduce(part, into)
            if not self._max:
                _divide(into, self._op, "x", self._window.before, int(part.shape[3]))

    def _reduce(self, part: Tensor, out: Tensor) -> None:
        """Take the places of all windows in turn, those that all windows have before the others."""
        taps = _taps(self._window, int(part.shape[3]), int(out.shape[3]))
        views = [
            (part[..., first : last : self._window.stride], begin, end) for first, last, begin, end in taps
        ]
        whole = [view for view, begin, end in views if end - begin == out.shape[3]]
        rest = [each for each in views if each[2] - each[1] < out.shape[3]]
        combine = torch.maximum if self._max else torch.add
        if len(whole) >= 2:
            combine(whole[0], whole[1], out=out)
            whole = whole[2:]
        elif whole:
            out.copy_(whole.pop())
        else:
            out.fill_(-math.inf if self._max else 0.0)
        for view in whole:
            combine(out, view, out=out)
        for view, begin, end in rest:
            some = out[..., begin:end]
            combine(some, view, out=some)


def _taps(window: Window, length: int, outputs: int) -> list[tuple[int, int, int, int]]:
    """List the places of a window with the inputs there, for all windows that have one there.

    Returns:
        For each place: the first input, the end of the inputs, the first output that has one, and the end of
        these outputs.
    """
    taps = []
    for place in range(window.kernel):
        shift = place * window.dilation - window.before  # of output 0's input
        begin = max(0, -(shift // window.stride))
        end = min(outputs, (length - 1 - shift) // window.stride + 1)
        if begin < end:
            first = begin * window.stride + shift
            taps.append((first, first + (end - begin - 1) * window.stride + 1, begin, end))
    return taps


def _divide(sums: Tensor, op: Pool, axis: Axis, before: int, inputs: int) -> None:
    """Turn sums along an axis into means, in place.

    Each is divided by the number of inputs that its window counts. A pooling's own divisor is for both axes;
    it divides the sums along the row.

    Args:
        sums: `[1, channel, row, cross]`.
        op: the pooling.
        axis: 'x': the sums are along the row; 'y': down the rows.
        before: inputs of padding that the first window begins with.
        inputs: number of inputs without padding.
    """
    if op.divisor is not None:
        if axis == "x":
            sums.mul_(1 / op.divisor)
        return
    window, place = (op.y, 2) if axis == "y" else (op.x, 3)
    counts = []
    for output in range(sums.shape[place]):
        begin = output * window.stride - before
        end = begin + window.kernel
        if op.count_padding:
            counts.append(min(end, inputs + window.after) - begin)
        else:
            counts.append(min(end, inputs) - max(begin, 0))
    if len(set(counts)) == 1:
        sums.mul_(1 / counts[0])
        return
    factors = torch.tensor([1 / count for count in counts], dtype=sums.dtype, device=sums.device)
    sums.mul_(factors[:, None] if axis == "y" else factors)


class PoolDown:
    """Pooling down the rows, of what has been pooled along them.

    Args:
        op: the pooling.
        split: numbers of channels in each part.
    """

    fresh = True

    def __init__(self, op: Pool, split: tuple[int, ...]) -> None:
        self.split = split
        self._op = op
        self._max = op.kind == "max"
        self._window = op.y

    def __call__(self, inputs: tuple[Parts, ...], edges: Edges) -> Parts:
        """Pool down the rows."""
        return tuple(self._down(part, edges) for part in inputs[0])

    def _down(self, rows: Tensor, edges: Edges) -> Tensor:
        window = self._window
        inner = int(rows.shape[2])
        if edges.above or edges.below:
            value = -math.inf if self._max else 0.0
            rows = F.pad(rows, (0, 0, edges.above, edges.below), value=value)
        count = (int(rows.shape[2]) - window.extent) // window.stride + 1
        views = [
            rows[:, :, shift : shift + (count - 1) * window.stride + 1 : window.stride]
            for shift in range(0, window.extent, window.dilation)
        ]
        combine = torch.maximum if self._max else torch.add
        if len(views) == 1:
            out = views[0].clone()
        else:
            out = combine(views[0], views[1])
            for view in views[2:]:
                combine(out, view, out=out)
        if not self._max:
            _divide(out, self._op, "y", edges.above, inner)
        return out


def _gelu(values: Tensor, approximate: str) -> Tensor:
    return F.gelu(values, approximate=approximate)


#: Functions of values by themselves: their names in a graph, how to call them, and how in place.
FUNCTIONS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor] | None]] = {
    "relu": (torch.relu, torch.relu_),
    "hardtanh": (F.hardtanh, F.hardtanh_),
    "leaky_relu": (F.leaky_relu, F.leaky_relu_),
    "elu": (F.elu, F.elu_),
    "selu": (F.selu, torch.selu_),
    "celu": (F.celu, torch.celu_),
    "gelu": (_gelu, None),
    "silu": (F.silu, lambda values: F.silu(values, inplace=True)),
    "mish": (F.mish, lambda values: F.mish(values, inplace=True)),
    "hardswish": (F.hardswish, lambda values: F.hardswish(values, inplace=True)),
    "hardsigmoid": (F.hardsigmoid, lambda values: F.hardsigmoid(values, inplace=True)),
    "sigmoid": (torch.sigmoid, torch.sigmoid_),
    "logsigmoid": (F.logsigmoid, None),
    "tanh": (torch.tanh, torch.tanh_),
    "softplus": (F.softplus, None),
    "softsign": (F.softsign, None),
    "abs": (torch.abs, torch.abs_),
    "exp": (torch.exp, torch.exp_),
    "sqrt": (torch.sqrt, torch.sqrt_),
    "clamp": (torch.clamp, torch.clamp_),
    "add": (torch.add, lambda values, addend: values.add_(addend)),
    "mul": (torch.mul, lambda values, factor: values.mul_(factor)),
    "rsub": (torch.rsub, None),
    "rdiv": (lambda values, number: number / values, None),
    "pow": (torch.pow, None),
    "clone": (torch.clone, lambda values: values),
}


class _Function:
    """A function of each value, in place where its input is nobody else's."""

    fresh = True

    def __init__(self, op: Pointwise, split: tuple[int, ...], *, in_place: bool) -> None:
        self.split = split
        apart, over = FUNCTIONS[op.function]
        self._function = over if in_place and over is not None else apart
        self._arguments = op.arguments

    def __call__(self, inputs: tuple[Parts, ...], edges: Edges) -> Parts:
        return tuple(self._function(part, *self._arguments) for part in inputs[0])


class _AffineChannels:
    """A factor and an addend for each channel."""

    fresh = True

    def __init__(
        self, op: Affine, state: Mapping[str, Tensor], split: tuple[int, ...], *, in_place: bool
    ) -> None:
        self.split = split
        self._scale = _by_part(op.scale, state, split)
        self._shift = _by_part(op.shift, state, split)
        self._in_place = in_place

    def __call__(self, inputs: tuple[Parts, ...], edges: Edges) -> Parts:
        return tuple(map(self._apply, inputs[0], self._scale, self._shift))

    def _apply(self, part: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
        out = part if self._in_place else None
        if scale is None:
            assert shift is not None
            return torch.add(part, shift, out=out)
        if shift is None:
            return torch.mul(part, scale, out=out)
        return torch.addcmul(shift, part, scale, out=out)


def _by_part(
    name: str | None, state: Mapping[str, Tensor], split: tuple[int, ...]
) -> tuple[Tensor | None, ...]:
    if name is None:
        return (None,) * len(split)
    return tuple(piece.view(1, -1, 1, 1) for piece in torch.split(state[name], list(split)))


class _Norm:
    """Normalisation over the channels of each place."""

    fresh = True

    def __init__(self, op: ChannelNorm, state: Mapping[str, Tensor], channels: int) -> None:
        self.split = (channels,)
        self._weight = None if op.weight is None else state[op.weight]
        self._bias = None if op.bias is None else state[op.bias]
        self._epsilon = op.epsilon

    def __call__(self, inputs: tuple[Parts, ...], edges: Edges) -> Parts:
        values = joined(inputs[0]).permute(0, 2, 3, 1)
        out = F.layer_norm(values, self.split, self._weight, self._bias, self._epsilon)
        return (out.permute(0, 3, 1, 2),)


class _Selected:
    """Some channels, as views."""

    fresh = False

    def __init__(self, op: Select, split: tuple[int, ...]) -> None:
        self._pieces = []
        first = 0
        for number, size in enumerate(split):
            start, stop = max(op.start - first, 0), min(op.stop - first, size)
            if start < stop:
                self._pieces.append((number, start, stop))
            first += size
        self.split = tuple(stop - start for _, start, stop in self._pieces)

    def __call__(self, inputs: tuple[Parts, ...], edges: Edges) -> Parts:
        return tuple(inputs[0][number][:, start:stop] for number, start, stop in self._pieces)


class _Shuffled:
    """Channels of groups, taken in turn."""

    fresh = True

    def __init__(self, op: Shuffle, channels: int) -> None:
        self.split = (channels,)
        self._order = torch.arange(channels).view(op.groups, -1).t().flatten()

    def __call__(self, inputs: tuple[Parts, ...], edges: Edges) -> Parts:
        values = joined(inputs[0])
        return (values[:, self._order.to(values.device)].contiguous(memory_format=torch.channels_last),)


class _Concatenated:
    """Channels of several inputs, one after another: their parts, unless these are too many."""

    def __init__(self, splits: Sequence[tuple[int, ...]]) -> None:
        apart = tuple(size for split in splits for size in split)
        self.fresh = len(apart) > _MOST_PARTS
        self.split = (sum(apart),) if self.fresh else apart

    def __call__(self, inputs: tuple[Parts, ...], edges: Edges) -> Parts:
        parts = tuple(part for each in inputs for part in each)
        return (joined(parts),) if self.fresh else parts


class _Combined:
    """Sums, differences or products of several inputs' values."""

    fresh = True

    def __init__(self, kind: str, splits: Sequence[tuple[int, ...]], *, in_place: bool) -> None:
        self._apart = len(set(splits)) == 1
        self.split = splits[0] if self._apart else (sum(splits[0]),)
        functions: dict[str, Callable[..., Tensor]] = {
            "add": torch.add,
            "subtract": torch.sub,
            "multiply": torch.mul,
        }
        self._function = functions[kind]
        self._in_place = in_place and (self._apart or len(splits[0]) == 1)

    def __call__(self, inputs: tuple[Parts, ...], edges: Edges) -> Parts:
        sides = inputs if self._apart else tuple((joined(parts),) for parts in inputs)
        return tuple(
            self._function(left, right, out=left if self._in_place else None)
            for left, right in zip(*sides, strict=True)
        )


def operator_for(
    node: Node,
    state: Mapping[str, Tensor],
    splits: Sequence[tuple[int, ...]],
    *,
    in_place: bool = False,
    with_relu: bool = False,
) -> RowOperator:
    """Make the operator of a node; a `Pool` takes two, `PoolAcross` and `PoolDown`, in its place.

    Args:
        node: the node.
        state: the network's parameters, on the device and in the precision of the computation.
        splits: numbers of channels in each part of each input.
        in_place: whether the first input's memory may be written over.
        with_relu: whether a convolution's ReLU is computed with it; on CUDA only.

    Returns:
        The operator.
    """
    match node.operator:
        case Convolution():
            return _Conv(node, state, splits[0], with_relu=with_relu)
        case Pad() as op:
            return _Padded(op, splits[0])
        case Pointwise() as op:
            return _Function(op, splits[0], in_place=in_place)
        case Affine() as op:
            return _AffineChannels(op, state, splits[0], in_place=in_place)
        case ChannelNorm() as op:
            return _Norm(op, state, node.channels)
        case Select() as op:
            return _Selected(op, splits[0])
        case Shuffle() as op:
            return _Shuffled(op, node.channels)
        case Join(kind="concatenate"):
            return _Concatenated(splits)
        case Join(kind=kind):
            return _Combined(kind, splits, in_place=in_place)
    raise AssertionError(node.operator)
