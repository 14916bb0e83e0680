"""Rules for what looks at one place: functions of values, normalisation, sums and products."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...graph.values import Affine, ChannelNorm, Join, Pointwise
from .meanings import Place, Refusal, Rows, calls, modules, rows_of

# Functions of each value


def _pointwise(place: Place, value: Any, function: str, *arguments: float | str | bool) -> Rows:
    if not isinstance(value, Rows):
        raise Refusal("takes what is no longer rows of the picture")
    op = Pointwise(function=function, arguments=arguments)
    rows = place.node(op, [replace(value, channels_last=False)], value.channels, _WORDS[function])
    return replace(rows, channels_last=value.channels_last)


_WORDS = {
    "relu": "ReLU",
    "hardtanh": "clipped ReLU",
    "leaky_relu": "leaky ReLU",
    "elu": "ELU",
    "selu": "SELU",
    "celu": "CELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "mish": "Mish",
    "hardswish": "hard swish",
    "hardsigmoid": "hard sigmoid",
    "sigmoid": "sigmoid",
    "logsigmoid": "log sigmoid",
    "tanh": "tanh",
    "softplus": "softplus",
    "softsign": "softsign",
    "abs": "absolute values",
    "exp": "exponential",
    "sqrt": "square roots",
    "clamp": "clipped values",
    "add": "a constant added",
    "mul": "multiplied by a constant",
    "rsub": "subtracted from a constant",
    "rdiv": "a constant divided by it",
    "pow": "powers",
    "clone": "a copy",
}


def _register_functions() -> None:
    """Register torch's functions without settings: a function, a method and a module by one name each."""
    plain = {
        "relu": (nn.ReLU, F.relu, torch.relu, torch.relu_, "relu", "relu_"),
        "selu": (nn.SELU, F.selu, torch.selu),
        "silu": (nn.SiLU, F.silu),
        "mish": (nn.Mish, F.mish),
        "hardswish": (nn.Hardswish, F.hardswish),
        "hardsigmoid": (nn.Hardsigmoid, F.hardsigmoid),
        "sigmoid": (nn.Sigmoid, F.sigmoid, torch.sigmoid, "sigmoid", "sigmoid_"),
        "logsigmoid": (nn.LogSigmoid, F.logsigmoid),
        "tanh": (nn.Tanh, F.tanh, torch.tanh, "tanh", "tanh_"),
        "softsign": (nn.Softsign, F.softsign),
        "abs": (torch.abs, "abs", operator.abs),
        "exp": (torch.exp, "exp"),
        "sqrt": (torch.sqrt, "sqrt"),
    }
    for name, targets in plain.items():

        def of_call(place: Place, value: Any, inplace: bool = False, *, name: str = name) -> Rows:
            return _pointwise(place, value, name)

        def of_module(place: Place, module: nn.Module, value: Any, *, name: str = name) -> Rows:
            return _pointwise(place, value, name)

        for target in targets:
            if isinstance(target, type):
                modules(target)(of_module)
            else:
                calls(target)(of_call)


_register_functions()


@modules(nn.ReLU6, nn.Hardtanh)
def _hardtanh_module(place: Place, module: nn.Hardtanh, value: Any) -> Rows:
    return _pointwise(place, value, "hardtanh", float(module.min_val), float(module.max_val))


@calls(F.relu6)
def _relu6(place: Place, value: Any, inplace: bool = False) -> Rows:
    return _pointwise(place, value, "hardtanh", 0.0, 6.0)


@calls(F.hardtanh)
def _hardtanh(
    place: Place, value: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Rows:
    return _pointwise(place, value, "hardtanh", float(min_val), float(max_val))


@calls(torch.clamp, torch.clip, "clamp", "clamp_", "clip")
def _clamp(place: Place, value: Any, min: float | None = None, max: float | None = None) -> Rows:
    low = -math.inf if min is None else float(min)
    return _pointwise(place, value, "clamp", low, math.inf if max is None else float(max))


@modules(nn.LeakyReLU)
def _leaky_module(place: Place, module: nn.LeakyReLU, value: Any) -> Rows:
    return _pointwise(place, value, "leaky_relu", float(module.negative_slope))


@calls(F.leaky_relu)
def _leaky(place: Place, value: Any, negative_slope: float = 0.01, inplace: bool = False) -> Rows:
    return _pointwise(place, value, "leaky_relu", float(negative_slope))


@modules(nn.ELU, nn.CELU)
def _elu_module(place: Place, module: nn.ELU, value: Any) -> Rows:
    return _pointwise(place, value, type(module).__name__.lower(), float(module.alpha))


@calls(F.elu)
def _elu(place: Place, value: Any, alpha: float = 1.0, inplace: bool = False) -> Rows:
    return _pointwise(place, value, "elu", float(alpha))


@modules(nn.Softplus)
def _softplus_module(place: Place, module: nn.Softplus, value: Any) -> Rows:
    return _pointwise(place, value, "softplus", float(module.beta), float(module.threshold))


@calls(F.softplus)
def _softplus(place: Place, value: Any, beta: float = 1.0, threshold: float = 20.0) -> Rows:
    return _pointwise(place, value, "softplus", float(beta), float(threshold))


@modules(nn.GELU)
def _gelu_module(place: Place, module: nn.GELU, value: Any) -> Rows:
    return _pointwise(place, value, "gelu", module.approximate)


@calls(F.gelu)
def _gelu(place: Place, value: Any, approximate: str = "none") -> Rows:
    return _pointwise(place, value, "gelu", approximate)


@modules(nn.PReLU)
def _prelu_module(place: Place, module: nn.PReLU, value: Any) -> Rows:
    return _prelu(place, value, module.weight)


@calls(torch.prelu)
def _prelu(place: Place, value: Any, weight: Tensor) -> Rows:
    if weight.numel() == 1:
        return _pointwise(place, value, "leaky_relu", float(weight))
    below = _pointwise(place, rows_of(value), "clamp", -math.inf, 0.0)
    sloping = _by_channel(place, "multiply", below, weight.detach().view(1, -1, 1, 1))
    return _arithmetic(place, "add", _pointwise(place, value, "relu"), sloping)


@calls(torch.neg, "neg", "neg_", operator.neg)
def _negative(place: Place, value: Any) -> Rows:
    return _pointwise(place, value, "mul", -1.0)


@calls(torch.pow, "pow", "pow_", operator.pow, operator.ipow)
def _pow(place: Place, value: Any, exponent: float) -> Rows:
    return _pointwise(place, value, "pow", float(exponent))


# Nothing done


@modules(nn.Identity, nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout)
def _same_module(place: Place, module: nn.Module, value: Any) -> Any:
    return value


@calls("contiguous", "detach", "float")
def _same(place: Place, value: Any, *arguments: Any, **settings: Any) -> Any:
    return value


@calls(F.dropout, F.dropout2d, F.alpha_dropout, F.feature_alpha_dropout)
def dropped(place: Place, value: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Lower a dropout, which does nothing but in training."""
    if training and p > 0:
        raise Refusal("drops values by chance")
    return value


# A function of torchvision's.
@calls("function stochastic_depth")
def _stochastic_depth(place: Place, value: Any, p: float, mode: str, training: bool = True) -> Any:
    return dropped(place, value, p, training)


@calls(torch.clone, "clone")
def _clone(place: Place, value: Any, *, memory_format: Any = None) -> Rows:
    return _pointwise(place, value, "clone")


# Normalisation


@modules(nn.BatchNorm2d)
def _batch_norm_module(place: Place, module: nn.BatchNorm2d, value: Any) -> Rows:
    return _batch_norm(
        place,
        value,
        module.running_mean,
        module.running_var,
        module.weight,
        module.bias,
        module.running_mean is None,
        0.0,
        module.eps,
    )


@calls(F.batch_norm)
def _batch_norm(
    place: Place,
    value: Any,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Rows:
    rows = rows_of(value)
    if training or running_mean is None or running_var is None:
        raise Refusal("normalises by the mean and the deviation of the whole picture")
    scale = torch.rsqrt(running_var.double() + eps)
    if weight is not None:
        scale = scale * weight.double()
    shift = -running_mean.double() * scale
    if bias is not None:
        shift = shift + bias.double()
    op = Affine(scale=place.parameter(scale.float(), "scale"), shift=place.parameter(shift.float(), "shift"))
    return place.node(op, [rows], rows.channels, "batch normalisation")


@modules(nn.LayerNorm)
def _layer_norm_module(place: Place, module: nn.LayerNorm, value: Any) -> Rows:
    return _layer_norm(place, value, module.normalized_shape, module.weight, module.bias, module.eps)


@calls(F.layer_norm)
def _layer_norm(
    place: Place,
    value: Any,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Rows:
    if not isinstance(value, Rows):
        raise Refusal("takes what is no longer rows of the picture")
    if not value.channels_last or len(normalized_shape) != 1:
        raise Refusal("normalises by the mean and the deviation of the whole picture")
    op = ChannelNorm(
        weight=None if weight is None else place.parameter(weight, "weight"),
        bias=None if bias is None else place.parameter(bias, "bias"),
        epsilon=float(eps),
    )
    rows = place.node(op, [replace(value, channels_last=False)], value.channels, "layer normalisation")
    return replace(rows, channels_last=True)


@modules(nn.InstanceNorm2d, nn.GroupNorm)
def _whole_norm(place: Place, module: nn.Module, value: Any) -> Rows:
    raise Refusal("normalises by the mean and the deviation of the whole picture")


@calls(F.instance_norm, F.group_norm)
def _whole_norm_call(place: Place, *arguments: Any, **settings: Any) -> Rows:
    raise Refusal("normalises by the mean and the deviation of the whole picture")


# Several inputs


@calls(torch.cat, torch.concat)
def _concatenate(place: Place, tensors: Sequence[Any], dim: int = 0) -> Rows:
    if not all(isinstance(each, Rows) for each in tensors):
        raise Refusal("joins what is no longer rows of the picture")
    last = tensors[0].channels_last
    if any(each.channels_last != last for each in tensors) or dim % 4 != (3 if last else 1):
        raise Refusal("puts pictures side by side")
    inputs = [replace(each, channels_last=False) for each in tensors]
    if len(inputs) == 1:
        return tensors[0]  # type: ignore[no-any-return]
    channels = sum(each.channels for each in inputs)
    rows = place.node(Join(kind="concatenate"), inputs, channels, "concatenation")
    return replace(rows, channels_last=last)


@calls(operator.add, operator.iadd, torch.add, "add", "add_")
def _add(place: Place, left: Any, right: Any) -> Rows:
    return _arithmetic(place, "add", left, right)


@calls(operator.sub, operator.isub, torch.sub, "sub", "sub_")
def _subtract(place: Place, left: Any, right: Any) -> Rows:
    return _arithmetic(place, "subtract", left, right)


@calls(operator.mul, operator.imul, torch.mul, "mul", "mul_")
def _multiply(place: Place, left: Any, right: Any) -> Rows:
    return _arithmetic(place, "multiply", left, right)


@calls(operator.truediv, operator.itruediv, torch.div, "div", "div_")
def _divide(place: Place, left: Any, right: Any) -> Rows:
    if isinstance(right, Rows):
        if isinstance(left, (int, float)):
            return _pointwise(place, right, "rdiv", float(left))
        raise Refusal("divides values by values, which is not known here")
    if isinstance(right, Tensor):
        return _arithmetic(place, "multiply", left, 1 / right)
    return _pointwise(place, left, "mul", 1 / float(right))


_JOINED = {"add": "sum", "subtract": "difference", "multiply": "product"}


def _arithmetic(place: Place, kind: Any, left: Any, right: Any) -> Rows:
    """Lower a sum, a difference or a product: of values, or of values and constants."""
    if isinstance(left, Rows) and isinstance(right, Rows):
        if left.channels_last != right.channels_last or left.channels != right.channels:
            raise Refusal("joins values of different shapes")
        inputs = [replace(each, channels_last=False) for each in (left, right)]
        rows = place.node(Join(kind=kind), inputs, left.channels, _JOINED[kind])
        return replace(rows, channels_last=left.channels_last)
    rows, constant = (left, right) if isinstance(left, Rows) else (right, left)
    if not isinstance(rows, Rows) or not isinstance(constant, (int, float, Tensor)):
        raise Refusal("takes what is no longer rows of the picture")
    if kind == "subtract":
        if not isinstance(left, Rows):
            return _pointwise(place, rows, "rsub", _number(constant))
        constant = -constant
    if isinstance(constant, Tensor) and constant.numel() != 1:
        return _by_channel(place, kind, rows, constant)
    return _pointwise(place, rows, "mul" if kind == "multiply" else "add", _number(constant))


def _number(constant: float | Tensor) -> float:
    if isinstance(constant, Tensor) and constant.numel() != 1:
        raise Refusal("subtracts values from a constant of many values, which is not known here")
    return float(constant)


def _by_channel(place: Place, kind: str, rows: Rows, constant: Tensor) -> Rows:
    """Lower a sum or product with one constant for each channel."""
    aligned = (1, rows.channels, 1, 1)
    if rows.channels_last:
        aligned = (1, 1, 1, rows.channels)
    if tuple(constant.shape) != aligned[4 - constant.ndim :] or constant.numel() != rows.channels:
        raise Refusal("takes a constant that is as large as a picture")
    name = place.parameter(constant.detach().flatten(), "constant")
    op = Affine(scale=name, shift=None) if kind == "multiply" else Affine(scale=None, shift=name)
    words = "multiplied by a constant" if kind == "multiply" else "a constant added"
    made = place.node(op, [replace(rows, channels_last=False)], rows.channels, words)
    return replace(made, channels_last=rows.channels_last)
