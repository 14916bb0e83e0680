"""What the network costs for a picture of a size, by its graph: floating-point operations and bytes.

Counts every convolution, the classifier's included (a multiplication and an addition each); pooling, ReLU
and the rest are left out. A share of a machine's matrix rate is this over the seconds taken.
"""

from __future__ import annotations

from netsounds_stream.graph.geometry import lengths
from netsounds_stream.graph.usual import usual_banks, usual_graph
from netsounds_stream.graph.values import INPUT, Convolution, Graph, Pool


def _values(graph: Graph, height: int, width: int) -> dict[str, int]:
    """Values of each layer, and of the picture."""
    rows, columns = lengths(graph, "y", height), lengths(graph, "x", width)
    channels = {INPUT: graph.channels, **{node.name: node.channels for node in graph.nodes}}
    return {name: count * rows[name] * columns[name] for name, count in channels.items()}


def operations(height: int, width: int) -> int:
    """Floating-point operations of one forward pass over `height` x `width` pixels."""
    values = _values(usual_graph(), height, width)
    return sum(
        2 * op.y.kernel * op.x.kernel * op.in_channels * values[node.name]
        for node in usual_graph().nodes
        if isinstance(op := node.operator, Convolution)
    )


def bank_values(height: int, width: int) -> int:
    """Values of the four banks: what a forward pass gives back."""
    values = _values(usual_graph(), height, width)
    return sum(values[bank.layer] for bank in usual_banks().banks)


def pass_bytes(height: int, width: int, value_bytes: int) -> int:
    """Bytes that a pass moves at least, once each layer's input and output go through memory.

    An upper bound for what must move: bands small enough for a cache move only the picture and the banks.
    """
    graph = usual_graph().needed(tuple(bank.layer for bank in usual_banks().banks))
    values = _values(graph, height, width)
    moved = sum(
        values[node.inputs[0]] + values[node.name]
        for node in graph.nodes
        if isinstance(node.operator, (Convolution, Pool))
    )
    return value_bytes * moved
