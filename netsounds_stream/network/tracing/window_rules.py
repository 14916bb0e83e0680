"""Rules for what looks at windows: convolutions, pooling and padding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...graph.values import Convolution, Pad, Pool, Window
from .meanings import Place, Refusal, Rows, Size, calls, modules, pair, rows_of


def _size_words(y: Window, x: Window) -> str:
    return f"{y.kernel}x{x.kernel}"


# Convolutions and what is computed as one


@modules(nn.Conv2d)
def _conv_module(place: Place, module: nn.Conv2d, value: Any) -> Rows:
    if module.padding_mode != "zeros":
        raise Refusal(f"pads the picture's border by '{module.padding_mode}'")
    return _convolve(
        place,
        value,
        module.weight,
        module.bias,
        module.stride,
        module.padding,
        module.dilation,
        module.groups,
    )


@calls(F.conv2d, torch.conv2d)
def _convolve(
    place: Place,
    value: Any,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Rows:
    rows = rows_of(value)
    if not isinstance(weight, Tensor):
        raise Refusal("convolves with weights that depend on the picture")
    taken = int(weight.shape[1]) * groups
    if taken != rows.channels:
        raise Refusal(f"takes {taken} channels where {rows.channels} come")
    windows = []
    for axis in (0, 1):
        kernel = int(weight.shape[2 + axis])
        step = pair(dilation)[axis]
        if isinstance(padding, str):
            whole = step * (kernel - 1) if padding == "same" else 0
            before, after = whole // 2, whole - whole // 2
        else:
            before = after = int(pair(padding)[axis])
        windows.append(
            Window(kernel=kernel, stride=pair(stride)[axis], before=before, after=after, dilation=step)
        )
    y, x = windows
    out_channels = int(weight.shape[0])
    if groups == 1:
        kind = "convolution"
    elif groups == rows.channels == out_channels:
        kind = "convolution of each channel"
    else:
        kind = f"convolution in {groups} groups"
    op = Convolution(
        windows=(y, x),
        weight=place.parameter(weight, "weight"),
        bias=None if bias is None else place.parameter(bias, "bias"),
        in_channels=rows.channels,
        groups=groups,
    )
    return place.node(op, [rows], out_channels, f"{_size_words(y, x)} {kind}")


@modules(nn.Linear)
def _linear_module(place: Place, module: nn.Linear, value: Any) -> Rows:
    return _linear(place, value, module.weight, module.bias)


@calls(F.linear)
def _linear(place: Place, value: Any, weight: Tensor, bias: Tensor | None = None) -> Rows:
    if not isinstance(value, Rows) or not value.channels_last:
        raise Refusal("multiplies along an axis of the picture")
    if int(weight.shape[1]) != value.channels:
        raise Refusal(f"takes {int(weight.shape[1])} channels where {value.channels} come")
    op = Convolution(
        windows=(Window(), Window()),
        weight=place.parameter(weight, "weight"),
        bias=None if bias is None else place.parameter(bias, "bias"),
        in_channels=value.channels,
    )
    rows = place.node(op, [replace(value, channels_last=False)], int(weight.shape[0]), "1x1 convolution")
    return replace(rows, channels_last=True)


# Pooling


@modules(nn.MaxPool2d)
def _max_pool_module(place: Place, module: nn.MaxPool2d, value: Any) -> Rows:
    return _max_pool(
        place,
        value,
        module.kernel_size,
        module.stride,
        module.padding,
        module.dilation,
        module.ceil_mode,
        module.return_indices,
    )


@calls(F.max_pool2d, torch.max_pool2d)
def _max_pool(
    place: Place,
    value: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Rows:
    if return_indices:
        raise Refusal("returns the places of maxima in the whole picture")
    rows = rows_of(value)
    windows = _pool_windows(kernel_size, stride, padding, dilation, ceil_mode)
    op = Pool(kind="max", windows=windows)
    return place.node(op, [rows], rows.channels, f"{_size_words(*windows)} max pooling")


@modules(nn.AvgPool2d)
def _mean_pool_module(place: Place, module: nn.AvgPool2d, value: Any) -> Rows:
    return _mean_pool(
        place,
        value,
        module.kernel_size,
        module.stride,
        module.padding,
        module.ceil_mode,
        module.count_include_pad,
        module.divisor_override,
    )


@calls(F.avg_pool2d)
def _mean_pool(
    place: Place,
    value: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Rows:
    rows = rows_of(value)
    windows = _pool_windows(kernel_size, stride, padding, 1, ceil_mode)
    op = Pool(kind="mean", windows=windows, count_padding=count_include_pad, divisor=divisor_override)
    return place.node(op, [rows], rows.channels, f"{_size_words(*windows)} mean pooling")


def _pool_windows(
    kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[Window, Window]:
    if not stride:  # torch: None, and an empty list
        stride = kernel
    y, x = (
        Window(
            kernel=pair(kernel)[axis],
            stride=pair(stride)[axis],
            before=pair(padding)[axis],
            after=pair(padding)[axis],
            dilation=pair(dilation)[axis],
            ceil=ceil_mode,
        )
        for axis in (0, 1)
    )
    return y, x


@modules(nn.ZeroPad2d, nn.ConstantPad2d)
def _pad_module(place: Place, module: nn.ZeroPad2d, value: Any) -> Rows:
    return _pad(place, value, module.padding, "constant", getattr(module, "value", 0.0))


@calls(F.pad)
def _pad(place: Place, given: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Rows:
    rows = rows_of(given)
    if mode != "constant" or value:
        raise Refusal(f"pads the picture's border by {value if mode == 'constant' else repr(mode)}")
    sizes = [*pad, *(0 for _ in range(4 - len(pad)))]
    if len(sizes) > 4 or any(isinstance(size, (Size, Rows)) for size in sizes):
        raise Refusal("pads by what depends on the picture's size")
    left, right, top, bottom = (int(size) for size in sizes)
    if min(left, right, top, bottom) < 0:
        raise Refusal("cuts off the picture's border")
    op = Pad(windows=(Window(before=top, after=bottom), Window(before=left, after=right)))
    return place.node(op, [rows], rows.channels, "zeros around")
