"""How large a network's values are for each pixel of a picture, by which memory and time are planned."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.geometry import places, waiting, window_of
from ..graph.layers import Banks
from ..graph.values import INPUT, Affine, Axis, Convolution, Graph, Join, Node, Pointwise, Pool


@dataclass(frozen=True, kw_only=True)
class NetworkSizes:
    """Numbers of values of a network; those of SqueezeNet 1.0 with all its banks are in brackets.

    Attributes:
        widest: of the largest layer, for each pixel (24).
        live: of all layers that are in memory at once while a band passes, for each pixel, at most (42).
        retained: that wait in the layers between two bands, for each pixel across the rows (458).
        banked: of all banks, for each pixel (50).
        weights: of the convolutions' weights (1.24 million).
        multiplications: for each pixel (17,688).
    """

    widest: float
    live: float
    retained: float
    banked: float
    weights: int
    multiplications: float


def sizes_of(banks: Banks, axis: Axis) -> NetworkSizes:
    """Compute a network's sizes.

    Args:
        banks: its banks, with what is computed for them.
        axis: the picture's axis that the stream runs along.

    Returns:
        The sizes.
    """
    graph = banks.graph
    values = _values_a_pixel(graph)
    return NetworkSizes(
        widest=max(values[node.name] for node in graph.nodes),
        live=_live(graph, values),
        retained=_retained(graph, axis),
        banked=sum(values[bank.layer] for bank in banks.banks),
        weights=sum(_weights(node) for node in graph.nodes),
        multiplications=sum(
            _products(node) * values[node.name]
            for node in graph.nodes
            if isinstance(node.operator, Convolution)
        ),
    )


def _values_a_pixel(graph: Graph) -> dict[str, float]:
    along_y = places(graph, "y")
    along_x = places(graph, "x")
    channels = {INPUT: graph.channels, **{node.name: node.channels for node in graph.nodes}}
    return {name: number / (along_y[name].stride * along_x[name].stride) for name, number in channels.items()}


def _live(graph: Graph, values: dict[str, float]) -> float:
    """Add up what is in memory at each layer: what it or a later layer needs, its output, and copies."""
    last_use = dict.fromkeys(values, -1)
    for number, node in enumerate(graph.nodes):
        for name in node.inputs:
            last_use[name] = number
    live = {INPUT: values[INPUT]}
    most = 0.0
    for number, node in enumerate(graph.nodes):
        ended = [name for name in dict.fromkeys(node.inputs) if last_use[name] == number]
        most = max(most, sum(live.values()) + _added(graph, node, values))
        for name in ended:
            live.pop(name, None)
        live[node.name] = values[node.name]
    return most


def _added(graph: Graph, node: Node, values: dict[str, float]) -> float:
    """Return what a layer adds, for each pixel, to what is in memory already."""
    out = values[node.name]
    first = node.inputs[0]
    match node.operator:
        case Pointwise() | Affine() if len(graph.consumers[first]) == 1:
            return 0.0  # in place
        case Join(kind="concatenate"):
            return 0.0 if len(node.inputs) <= 4 else out
        case Pool() as op:
            return out + values[first] / op.x.stride  # pooled along the row
        case _:
            copied = window_of(node, "y").extent > 1 or window_of(node, "x").extent > 1
            return out + (values[first] if copied else 0.0)  # put behind the rows that wait


def _retained(graph: Graph, axis: Axis) -> float:
    """Add up the rows that wait, of the layers that have any."""
    across: Axis = "x" if axis == "y" else "y"
    lie = places(graph, across)
    wait = waiting(graph, axis)
    channels = {INPUT: graph.channels, **{node.name: node.channels for node in graph.nodes}}
    total = 0.0
    for name, number in channels.items():
        rows = wait[name].retained
        stride = lie[name].stride
        if rows and all(isinstance(node.operator, Pool) for node in graph.consumers[name]):
            stride *= min(window_of(node, across).stride for node in graph.consumers[name])
        total += number * rows / stride
    return total


def _weights(node: Node) -> int:
    return _products(node) * node.channels


def _products(node: Node) -> int:
    """Return the number of a convolution's products for one output value; 0 for other nodes."""
    op = node.operator
    if not isinstance(op, Convolution):
        return 0
    return op.y.kernel * op.x.kernel * op.in_channels // op.groups
