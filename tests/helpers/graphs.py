"""Graphs the plain way, by torch's own functions over the whole picture; and graphs drawn by chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor

from netsounds_stream.graph.geometry import lengths, places
from netsounds_stream.graph.values import (
    INPUT,
    Affine,
    ChannelNorm,
    Convolution,
    Graph,
    Join,
    Node,
    Operator,
    Pad,
    Pointwise,
    Pool,
    Select,
    Shuffle,
    Window,
)
from netsounds_stream.network.operators import FUNCTIONS


@torch.inference_mode()
def whole_graph(graph: Graph, state: Mapping[str, Tensor], picture: Tensor) -> dict[str, Tensor]:
    """All layers `[channel, y, x]` of a picture `[channel, y, x]`, by their names."""
    values = {INPUT: picture[None]}
    for node in graph.nodes:
        values[node.name] = _whole(node.operator, state, [values[name] for name in node.inputs])
    return {name: value[0] for name, value in values.items() if name != INPUT}


def _whole(op: Operator, state: Mapping[str, Tensor], inputs: list[Tensor]) -> Tensor:
    first = inputs[0]
    match op:
        case Convolution():
            padded = F.pad(first, (op.x.before, op.x.after, op.y.before, op.y.after))
            strides, dilations = (op.y.stride, op.x.stride), (op.y.dilation, op.x.dilation)
            bias = None if op.bias is None else state[op.bias]
            return F.conv2d(padded, state[op.weight], bias, strides, 0, dilations, op.groups)
        case Pool(kind=kind):
            kernel, stride = (op.y.kernel, op.x.kernel), (op.y.stride, op.x.stride)
            padding, ceil = (op.y.before, op.x.before), op.y.ceil
            if kind == "max":
                return F.max_pool2d(
                    first, kernel, stride, padding, (op.y.dilation, op.x.dilation), ceil_mode=ceil
                )
            return F.avg_pool2d(first, kernel, stride, padding, ceil, op.count_padding, op.divisor)
        case Pad():
            return F.pad(first, (op.x.before, op.x.after, op.y.before, op.y.after))
        case Pointwise():
            return FUNCTIONS[op.function][0](first.clone(), *op.arguments)
        case Affine():
            scale = 1 if op.scale is None else state[op.scale].view(1, -1, 1, 1)
            shift = 0 if op.shift is None else state[op.shift].view(1, -1, 1, 1)
            return first * scale + shift
        case ChannelNorm():
            weight = None if op.weight is None else state[op.weight]
            bias = None if op.bias is None else state[op.bias]
            last = first.permute(0, 2, 3, 1)
            normal = F.layer_norm(last, last.shape[3:], weight, bias, op.epsilon)
            return normal.permute(0, 3, 1, 2)
        case Select():
            return first[:, op.start : op.stop]
        case Shuffle():
            return F.channel_shuffle(first, op.groups)
        case Join(kind="concatenate"):
            return torch.cat(inputs, dim=1)
        case Join(kind=kind):
            combine: Callable[[Tensor, Tensor], Tensor]
            combine = {"add": torch.add, "subtract": torch.sub, "multiply": torch.mul}[kind]
            return combine(*inputs)
    raise AssertionError(op)


def state_of(graph: Graph, seed: int) -> dict[str, Tensor]:
    """Parameters that keep values near 1."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for node in graph.nodes:
        op = node.operator
        if isinstance(op, Convolution):
            shape = (node.channels, op.in_channels // op.groups, op.y.kernel, op.x.kernel)
            fan_in = shape[1] * shape[2] * shape[3]
            state[op.weight] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
            if op.bias is not None:
                state[op.bias] = 0.3 * torch.randn(node.channels, generator=generator)
        for role in ("scale", "shift") if isinstance(op, Affine) else ():
            if (name := getattr(op, role)) is not None:
                state[name] = 0.5 + torch.rand(node.channels, generator=generator)
        for role in ("weight", "bias") if isinstance(op, ChannelNorm) else ():
            if (name := getattr(op, role)) is not None:
                state[name] = 0.5 + torch.rand(node.channels, generator=generator)
    return state


@st.composite
def windows(draw: st.DrawFn, *, strides: int = 3, dilations: int = 3, pools: bool = False) -> Window:
    """A window as networks have them; of a pool, with padding of half of it at most."""
    kernel = draw(st.integers(1, 5))
    dilation = draw(st.integers(1, dilations if kernel > 1 else 1))
    most = kernel // 2 if pools else dilation * (kernel - 1)
    before = draw(st.integers(0, most))
    return Window(
        kernel=kernel,
        stride=draw(st.integers(1, strides)),
        before=before,
        after=before if pools else draw(st.integers(0, most)),
        dilation=dilation,
    )


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A network of a few layers, of any operators, whose joins fit."""
    nodes: list[Node] = []
    channels = {INPUT: 3}

    def add(op: Operator, inputs: tuple[str, ...], count: int) -> None:
        name = f"{len(nodes)}"
        nodes.append(Node(name=name, what="", inputs=inputs, operator=op, channels=count))
        channels[name] = count

    for _ in range(draw(st.integers(1, 8))):
        source = draw(st.sampled_from(list(channels)[-3:]))
        count = channels[source]
        kinds = ("conv", "conv", "pool", "value", "channels", *(("join", "join") if nodes else ()))
        kind = draw(st.sampled_from(kinds))
        if kind == "join":
            _add_join(draw, nodes, channels, add)
        elif kind == "conv":
            groups = draw(st.sampled_from([each for each in (1, 1, 2, count) if count % each == 0]))
            out = groups * draw(st.integers(1, 3))
            op = Convolution(
                windows=(draw(windows()), draw(windows())),
                weight=f"{len(nodes)}.weight",
                bias=draw(st.sampled_from((None, f"{len(nodes)}.bias"))),
                in_channels=count,
                groups=groups,
            )
            add(op, (source,), out)
        elif kind == "pool":
            add(draw(_pools()), (source,), count)
        elif kind == "value":
            add(draw(_values(len(nodes))), (source,), count)
        else:
            first = draw(st.integers(0, count - 1))
            last = draw(st.integers(first + 1, count))
            if count % 2 == 0 and draw(st.booleans()):
                add(Shuffle(groups=2), (source,), count)
            else:
                add(Select(start=first, stop=last), (source,), last - first)
    return Graph(name="drawn", nodes=tuple(nodes), mean=nodes[-1].name, scores=True)


@st.composite
def _pools(draw: st.DrawFn) -> Pool:
    kind = draw(st.sampled_from(("max", "mean")))
    ceil = draw(st.booleans())
    dilations = 2 if kind == "max" else 1
    y, x = (
        Window(
            kernel=each.kernel,
            stride=each.stride,
            before=each.before,
            after=each.after,
            dilation=each.dilation,
            ceil=ceil,
        )
        for each in (draw(windows(dilations=dilations, pools=True)) for _ in range(2))
    )
    divisor = draw(st.sampled_from((None, None, 7))) if kind == "mean" else None
    return Pool(kind=kind, windows=(y, x), count_padding=draw(st.booleans()), divisor=divisor)


@st.composite
def _values(draw: st.DrawFn, number: int) -> Operator:
    return draw(
        st.sampled_from(
            (
                Pointwise(function="relu"),
                Pointwise(function="hardtanh", arguments=(0.0, 6.0)),
                Pointwise(function="gelu", arguments=("none",)),
                Pointwise(function="add", arguments=(0.5,)),
                Affine(scale=f"{number}.scale", shift=f"{number}.shift"),
                Affine(scale=f"{number}.scale", shift=None),
                ChannelNorm(weight=f"{number}.weight", bias=f"{number}.bias", epsilon=0.1),
                Pad(windows=(Window(before=1, after=2), Window(before=0, after=1))),
            )
        )
    )


def _add_join(
    draw: st.DrawFn,
    nodes: list[Node],
    channels: Mapping[str, int],
    add: Callable[[Operator, tuple[str, ...], int], None],
) -> None:
    """Join the last layer with others of as many values, at every size of the picture."""
    graph = Graph(name="", nodes=tuple(nodes))
    last = nodes[-1].name
    fitting = [name for name in channels if _fits(graph, last, name)]
    if draw(st.booleans()):
        inputs = tuple(draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=3)))
        add(Join(kind="concatenate"), (last, *inputs), sum(channels[name] for name in (last, *inputs)))
        return
    fitting = [name for name in fitting if channels[name] == channels[last]]
    kind = draw(st.sampled_from(("add", "subtract", "multiply")))
    add(Join(kind=kind), (draw(st.sampled_from(fitting)), last), channels[last])


def _fits(graph: Graph, one: str, other: str) -> bool:
    for axis in ("y", "x"):
        if places(graph, axis)[one].stride != places(graph, axis)[other].stride:
            return False
        for length in range(1, 150):
            found = lengths(graph, axis, length)
            if found[one] != found[other]:
                return False
    return True
