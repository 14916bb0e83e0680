"""Rules for axes, shapes and channels, and for what looks at the whole picture."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ...graph.values import AXES, Convolution, Select, Shuffle, Window
from .meanings import (
    Channel,
    Grouped,
    Means,
    Place,
    Refusal,
    Rows,
    Shape,
    Size,
    calls,
    modules,
    pair,
    rows_of,
)

# Axes and shapes


@calls(torch.permute, "permute")
def _permute(place: Place, value: Any, *order: Any) -> Rows:
    axes = tuple(axis % 4 for axis in (order[0] if isinstance(order[0], (tuple, list)) else order))
    return _permuted(value, axes)


def _permuted(value: Any, axes: tuple[int, ...]) -> Rows:
    if isinstance(value, Rows):
        if axes == (0, 1, 2, 3):
            return value
        if axes == ((0, 3, 1, 2) if value.channels_last else (0, 2, 3, 1)):
            return replace(value, channels_last=not value.channels_last)
    raise Refusal("exchanges the picture's axes")


@calls("size")
def _size(place: Place, value: Any, axis: int | None = None) -> Any:
    shape = _shape(value)
    return Shape(shape) if axis is None else shape[axis]


@calls("dim")
def _dim(place: Place, value: Any) -> int:
    if not isinstance(value, Rows):
        raise Refusal("takes what is no longer rows of the picture")
    return 4


@calls(getattr)
def _attribute(place: Place, value: Any, name: str) -> Any:
    if isinstance(value, Rows) and name == "shape":
        return Shape(_shape(value))
    if isinstance(value, Rows) and name == "ndim":
        return 4
    if isinstance(value, Rows) and name in ("device", "dtype"):
        return None
    raise Refusal(f"asks for a tensor's {name}")


def _shape(value: Any) -> tuple[int | Size, ...]:
    if not isinstance(value, Rows):
        raise Refusal("takes what is no longer rows of the picture")
    y, x = Size("y", value.node), Size("x", value.node)
    return (1, y, x, value.channels) if value.channels_last else (1, value.channels, y, x)


@calls(operator.getitem)
def _item(place: Place, value: Any, index: Any) -> Any:
    if isinstance(value, Shape):
        item = value.sizes[index]
        return Shape(item) if isinstance(item, tuple) else item
    if isinstance(value, (tuple, list)):
        return value[index]
    rows = rows_of(value)
    if isinstance(index, tuple) and len(index) >= 2 and index[0] == slice(None):
        rest = index[2:]
        if all(each in (slice(None), Ellipsis) for each in rest):
            if isinstance(index[1], int):
                return Channel(rows, index[1] % rows.channels)
            if isinstance(index[1], slice) and index[1].step in (None, 1):
                start, stop, _ = index[1].indices(rows.channels)
                return _select(place, rows, start, stop)
    raise Refusal("cuts the picture")


@calls(torch.unsqueeze, "unsqueeze")
def _unsqueeze(place: Place, value: Any, dim: int) -> Rows:
    if isinstance(value, Channel) and dim == 1:
        return _select(place, value.rows, value.index, value.index + 1)
    raise Refusal("adds an axis to the picture")


@calls(torch.chunk, "chunk")
def _chunk(place: Place, value: Any, chunks: int, dim: int = 0) -> tuple[Rows, ...]:
    rows = rows_of(value)
    if dim % 4 != 1:
        raise Refusal("cuts the picture")
    return _split(place, rows, -(-rows.channels // chunks), 1)


@calls(torch.split, "split")
def _split(place: Place, value: Any, sizes: int | Sequence[int], dim: int = 0) -> tuple[Rows, ...]:
    rows = rows_of(value)
    if dim % 4 != 1:
        raise Refusal("cuts the picture")
    if isinstance(sizes, int):
        sizes = [min(sizes, rows.channels - first) for first in range(0, rows.channels, sizes)]
    parts = []
    first = 0
    for size in sizes:
        parts.append(_select(place, rows, first, first + size))
        first += size
    return tuple(parts)


def _select(place: Place, rows: Rows, start: int, stop: int) -> Rows:
    if start >= stop:
        raise Refusal(f"takes none of {rows.channels} channels")
    if (start, stop) == (0, rows.channels):
        return rows
    op = Select(start=start, stop=stop)
    words = f"channel {start}" if stop - start == 1 else f"channels {start} to {stop - 1}"
    return place.node(op, [rows], stop - start, words)


@modules(nn.ChannelShuffle)
def _shuffle_module(place: Place, module: nn.ChannelShuffle, value: Any) -> Rows:
    return _shuffled(place, rows_of(value), module.groups)


@calls(F.channel_shuffle)
def _shuffled(place: Place, value: Any, groups: int) -> Rows:
    rows = rows_of(value)
    if groups < 1 or rows.channels % groups:
        raise Refusal(f"splits {rows.channels} channels into {groups} groups")
    return place.node(Shuffle(groups=groups), [rows], rows.channels, "channels in another order")


@calls("view", "reshape", torch.reshape)
def _view(place: Place, value: Any, *shape: Any) -> Any:
    """Lower a change of shape, which may split channels into groups, or join them again."""
    sizes = shape[0].sizes if isinstance(shape[0], Shape) else shape
    sizes = tuple(sizes[0]) if isinstance(sizes[0], (tuple, list)) else sizes
    rows = value.rows if isinstance(value, Grouped) else value
    alone = bool(sizes) and sizes[0] in (1, -1)
    if isinstance(rows, Rows) and not rows.channels_last and alone and _own_size(place, rows, sizes[-2:]):
        inner = sizes[1:-2]
        if len(inner) == 1 and inner[0] in (-1, rows.channels):
            if isinstance(value, Grouped) and value.exchanged:
                return _shuffled(place, rows, value.groups)
            return rows
        if len(inner) == 2 and isinstance(value, Rows):
            known: list[int] = [size for size in inner if isinstance(size, int) and size > 0]
            if len(known) == 2 or (len(known) == 1 and -1 in inner):
                groups = known[0] if inner[0] != -1 else rows.channels // known[0]
                others = rows.channels // groups if len(known) == 1 else known[1]
                if groups * others != rows.channels:
                    raise Refusal(f"splits {rows.channels} channels into {groups} groups of {others}")
                return Grouped(rows, groups)
    raise Refusal("takes the picture's values for those of other axes")


def _own_size(place: Place, rows: Rows, sizes: Sequence[Any]) -> bool:
    """Return whether sizes are the height and the width of some values, whatever the picture's."""
    return len(sizes) == 2 and all(
        isinstance(size, Size) and size.axis == axis and place.same_size(size.node, rows.node, axis)
        for size, axis in zip(sizes, AXES, strict=True)
    )


@calls(torch.transpose, "transpose")
def _transpose(place: Place, value: Any, first: int, second: int) -> Any:
    if isinstance(value, Grouped) and {first, second} == {1, 2}:
        return replace(value, exchanged=not value.exchanged)
    raise Refusal("exchanges the picture's axes")


@calls(torch.flatten, "flatten")
def _flatten(place: Place, value: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    if isinstance(value, Grouped) and (start_dim, end_dim) == (1, 2):
        return _shuffled(place, value.rows, value.groups) if value.exchanged else value.rows
    raise Refusal("takes the whole picture for one row of values")


@modules(nn.Flatten)
def _flatten_module(place: Place, module: nn.Flatten, value: Any) -> Any:
    return _flatten(place, value, module.start_dim, module.end_dim)


# Means over the whole picture


@modules(nn.AdaptiveAvgPool2d)
def _adaptive_module(place: Place, module: nn.AdaptiveAvgPool2d, value: Any) -> Means:
    return _adaptive(place, value, module.output_size)


@calls(F.adaptive_avg_pool2d)
def _adaptive(place: Place, value: Any, output_size: Any) -> Means:
    rows = rows_of(value)
    y, x = pair(output_size)
    if (y, x) != (1, 1):
        raise Refusal(f"reduces the whole picture to {x} x {y} values")
    return Means(rows.node)


@calls(torch.mean, "mean")
def _mean(place: Place, value: Any, dim: Any = None, keepdim: bool = False) -> Means | Rows | Channel:
    if not isinstance(value, Rows):
        raise Refusal("takes what is no longer rows of the picture")
    axes = _axes(dim)
    if axes == ({1, 2} if value.channels_last else {2, 3}):
        return Means(value.node)
    if axes == {1} and not value.channels_last:
        return _across_channels(place, value, 1 / value.channels, "mean", keepdim)
    raise Refusal("takes a mean along an axis of the picture")


@calls(torch.sum, "sum")
def _sum(place: Place, value: Any, dim: Any = None, keepdim: bool = False) -> Rows | Channel:
    if isinstance(value, Rows) and not value.channels_last and _axes(dim) == {1}:
        return _across_channels(place, value, 1.0, "sum", keepdim)
    raise Refusal("takes a sum along an axis of the picture")


def _axes(dim: Any) -> set[int]:
    """Return the axes that a mean or a sum is taken along, none but the first for all of them."""
    return {axis % 4 for axis in (dim if isinstance(dim, (tuple, list)) else [0 if dim is None else dim])}


def _across_channels(place: Place, rows: Rows, weight: float, what: str, keepdim: bool) -> Rows | Channel:
    """Lower a mean or a sum over the channels, as a convolution with one weight."""
    name = place.parameter(torch.full((1, rows.channels, 1, 1), weight), "weight")
    op = Convolution(windows=(Window(), Window()), weight=name, bias=None, in_channels=rows.channels)
    made = place.node(op, [rows], 1, f"{what} of the channels")
    return made if keepdim else Channel(made, 0)


@modules(nn.AdaptiveMaxPool2d)
def _adaptive_max(place: Place, module: nn.AdaptiveMaxPool2d, value: Any) -> Any:
    raise Refusal("takes a maximum over the whole picture")


@modules(nn.MultiheadAttention)
def _attention(place: Place, module: nn.MultiheadAttention, *arguments: Any, **settings: Any) -> Any:
    raise Refusal("lets every place attend to the whole picture")
