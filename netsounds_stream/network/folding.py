"""A network made ready to run: oriented along the stream, batch normalisation folded in, on a device."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ..graph.values import Affine, Convolution, Graph, Node


def folded(
    graph: Graph, state: Mapping[str, Tensor], wanted: Collection[str]
) -> tuple[Graph, dict[str, Tensor]]:
    """Fold factors and addends of channels into the convolutions before them.

    (w x + b) s + t = (s w) x + (s b + t), which is exact but for rounding.

    Args:
        graph: the network.
        state: its parameters, float32.
        wanted: names of layers that must be computed as they are.

    Returns:
        The network with fewer nodes, and the parameters that it needs.
    """
    into: dict[str, Node] = {}  # convolutions, by the names of the nodes that they become
    gone: set[str] = set()
    parameters = dict(state)
    for node in graph.nodes:
        if isinstance(node.operator, Affine):
            before = graph.by_name.get(node.inputs[0])
            if (
                before is not None
                and isinstance(before.operator, Convolution)
                and before.name not in wanted
                and graph.consumers[before.name] == (node,)
            ):
                gone.add(before.name)
                into[node.name] = _with_affine(before, before.operator, node, node.operator, parameters)
    nodes = tuple(into.get(node.name, node) for node in graph.nodes if node.name not in gone)
    return replace(graph, nodes=nodes), parameters


def _with_affine(
    before: Node, op: Convolution, node: Node, affine: Affine, parameters: dict[str, Tensor]
) -> Node:
    """Return a convolution that does what another and the node behind it do; its parameters are added."""
    weight = parameters[op.weight].double()
    bias = weight.new_zeros(node.channels) if op.bias is None else parameters[op.bias].double()
    if affine.scale is not None:
        scale = parameters[affine.scale].double()
        weight = weight * scale.view(-1, *(1 for _ in weight.shape[1:]))
        bias = bias * scale
    if affine.shift is not None:
        bias = bias + parameters[affine.shift].double()
    names = f"{node.name} folded weight", f"{node.name} folded bias"
    parameters.update(zip(names, (weight.float(), bias.float()), strict=True))
    return replace(node, inputs=before.inputs, operator=replace(op, weight=names[0], bias=names[1]))


def oriented(
    graph: Graph,
    state: dict[str, Tensor],
    *,
    device: torch.device,
    dtype: torch.dtype,
    transposed: bool,
) -> tuple[Graph, dict[str, Tensor]]:
    """Move the parameters to a device, and turn kernels so that the stream runs along the picture's x axis.

    conv(xᵀ, wᵀ) = conv(x, w)ᵀ.

    Args:
        graph: the network.
        state: its parameters; emptied.
        device: where it is computed.
        dtype: the precision.
        transposed: whether the rows run along the picture's x axis.

    Returns:
        The network, and the parameters that it needs; kernels are `[out, in, row, cross]` in channels_last.
    """
    kernels = {node.operator.weight for node in graph.nodes if isinstance(node.operator, Convolution)}
    needed: dict[str, Tensor] = {}
    for name in _parameters(graph):
        value = state.pop(name)  # so that what was folded is not in memory twice, all layers at once
        if name in kernels:
            value = value if value.ndim == 4 else value[:, :, None, None]
            value = value.transpose(2, 3) if transposed else value
            value = value.to(device, dtype).contiguous(memory_format=torch.channels_last)
        else:
            value = value.to(device, dtype).contiguous()
        needed[name] = value
    return graph.transposed() if transposed else graph, needed


def _parameters(graph: Graph) -> list[str]:
    """Return the names of the parameters that a network needs."""
    names: list[str | None] = []
    for node in graph.nodes:
        for name in ("weight", "bias", "scale", "shift"):
            names.append(getattr(node.operator, name, None))
    return [name for name in dict.fromkeys(names) if name is not None]
