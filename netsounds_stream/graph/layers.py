"""The layers of a network as users name and choose them, and the banks that they become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..errors import NetworkError, OptionError
from .geometry import Places, lengths, places, smallest_side
from .values import INPUT, Axis, Convolution, Graph, Join, Node, Pointwise, Pool, Refused, Select, Shuffle

#: Largest number of layers that a run may listen to.
MOST_BANKS = 16
#: Largest number of layers that a run listens to unless it is told which.
_USUAL_BANKS = 4

# Functions whose values are never negative.
_NONNEGATIVE = ("relu", "hardsigmoid", "sigmoid", "softplus", "abs", "exp", "sqrt")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of the network, whose output rows `RowStream` can pass to a hook.

    Value `i` along an axis is centred on picture pixel `offset + stride * i` (0-based) and depends on the
    `receptive_field` pixels around it. Where kernels are not square, these are along y; `x` has those along
    x.

    Attributes:
        name: the layer's qualified name, such as `features.3.squeeze`: the key of the hook.
        aliases: further names of it.
        what: kind of values, such as '3x3 convolution'.
        channels: number of channels.
        y: where its values lie along the picture's y axis.
        x: where they lie along its x axis.
        nonnegative: whether its values are known never to be negative.

    Example:
        >>> from netsounds_stream import layers
        >>> pooled = layers()[2]
        >>> pooled.name, pooled.stride, pooled.offset, pooled.receptive_field
        ('features.2', 4, 5, 11)
    """

    name: str
    aliases: tuple[str, ...] = ()
    what: str
    channels: int
    y: Places
    x: Places
    nonnegative: bool = False

    @property
    def stride(self) -> int:
        """Distance between the centres of neighbouring values, in pixels."""
        return self.y.stride

    @property
    def offset(self) -> int | float:
        """Centre of the first value, in pixels."""
        return self.y.offset

    @property
    def receptive_field(self) -> int:
        """Number of pixels, along an axis, that a value depends on."""
        return self.y.field

    @property
    def values_a_pixel(self) -> float:
        """Number of values for each pixel of the picture."""
        return self.channels / (self.y.stride * self.x.stride)


@dataclass(frozen=True, kw_only=True)
class Bank:
    """One filter bank: the output of a layer.

    Value `i` along an axis is centred on picture pixel `offset + stride * i` (0-based) of its `Places`.

    Attributes:
        number: the bank's number, from 1.
        layer: the layer's name.
        channels: number of filters.
        y: where its values lie along the picture's y axis.
        x: where they lie along its x axis.
        nonnegative: whether its values are known never to be negative.
    """

    number: int
    layer: str
    channels: int
    y: Places
    x: Places
    nonnegative: bool = True

    @property
    def stride(self) -> int:
        """Distance between the centres of neighbouring values, in pixels, along either axis."""
        return self.y.stride

    @property
    def field(self) -> int:
        """Number of pixels that a value depends on, along the axis of the longer field."""
        return max(self.y.field, self.x.field)

    @property
    def border(self) -> int:
        """Largest number of values at either end of an axis that depend on padding."""
        return max(self.y.border, self.x.border)

    def along(self, axis: str) -> Places:
        """Return where its values lie along an axis, 'y' or 'x'."""
        return self.y if axis == "y" else self.x


@dataclass(frozen=True, kw_only=True)
class Banks:
    """The layers that a run listens to, with what is computed for them.

    Attributes:
        graph: the network without what no bank and no prediction needs.
        banks: all banks, by their numbers from 1 on.
    """

    graph: Graph
    banks: tuple[Bank, ...]

    def bank(self, number: int) -> Bank:
        """Return the bank of a number."""
        return self.banks[number - 1]

    @cached_property
    def smallest_side(self) -> int:
        """The shortest axis of a picture, in pixels, on which every bank has a value."""
        return smallest_side(self.graph, tuple(bank.layer for bank in self.banks))

    def length(self, number: int, axis: Axis, pixels: int) -> int:
        """Compute the number of a bank's values along an axis.

        Args:
            number: the bank's number.
            axis: the axis.
            pixels: length of the picture along it.

        Returns:
            The number of values; 0 if the picture is too short.
        """
        return self._lengths(axis, pixels)[self.bank(number).layer]

    def _lengths(self, axis: Axis, pixels: int) -> dict[str, int]:
        known = self._known
        if (axis, pixels) not in known:
            known[axis, pixels] = lengths(self.graph, axis, pixels)
        return known[axis, pixels]

    @cached_property
    def _known(self) -> dict[tuple[Axis, int], dict[str, int]]:
        return {}


def layers_of(graph: Graph) -> tuple[Layer, ...]:
    """List every layer of a network that can be streamed, in the network's order."""
    along_y = places(graph, "y")
    along_x = places(graph, "x")
    nonnegative = _nonnegative(graph)
    return tuple(
        Layer(
            name=node.name,
            aliases=node.aliases,
            what=node.what,
            channels=node.channels,
            y=along_y[node.name],
            x=along_x[node.name],
            nonnegative=node.name in nonnegative,
        )
        for node in graph.nodes
    )


def describe(graph: Graph) -> dict[str, Any]:
    """Describe a network's layers, JSON-ready.

    Args:
        graph: the network.

    Returns:
        Its name; its layers in order, then those that cannot be streamed; and the names of those that become
        banks unless others are named.
    """
    usual = usual_layers(graph)
    streamed = [
        {
            "name": layer.name,
            "aliases": list(layer.aliases),
            "streamed": True,
            "what": layer.what,
            "channels": layer.channels,
            "stride": [layer.y.stride, layer.x.stride],
            "offset": [layer.y.offset, layer.x.offset],
            "receptive_field": [layer.y.field, layer.x.field],
            "values_per_pixel": layer.values_a_pixel,
        }
        for layer in layers_of(graph)
    ]
    refused = [
        {
            "name": each.name,
            "aliases": list(each.aliases),
            "streamed": False,
            "blocked_by": each.blocked_by,
            "reason": each.reason,
        }
        for each in graph.refused
    ]
    return {"network": graph.name, "layers": [*streamed, *refused], "banks": list(usual)}


def _nonnegative(graph: Graph) -> set[str]:
    """Return the names of the layers whose values are known never to be negative."""
    found: set[str] = set()
    for node in graph.nodes:
        inputs = all(name in found for name in node.inputs)
        match node.operator:
            case Pointwise(function=function) if function in _NONNEGATIVE:
                known = True
            case Pointwise(function="hardtanh" | "clamp", arguments=(low, *_)):
                known = float(low) >= 0
            case Join(kind="add" | "multiply" | "concatenate") | Pool() | Select() | Shuffle():
                known = inputs
            case _:
                known = False
        if known:
            found.add(node.name)
    return found


def node_named(graph: Graph, name: str) -> Node:
    """Return the node of a layer.

    Args:
        graph: the network.
        name: the layer's name, or another of its names.

    Raises:
        OptionError: there is no such layer.
        NetworkError: the layer cannot be streamed.
    """
    node = graph.by_name.get(name)
    if node is not None:
        return node
    for refused in graph.refused:
        if name == refused.name or name in refused.aliases:
            raise NetworkError(refusal(graph, refused))
    raise OptionError(
        f"{graph.name} has no layer {name!r}; `netsounds-stream layers {graph.name}` lists their names"
    )


def refusal(graph: Graph, refused: Refused) -> str:
    """Say why a layer cannot be streamed, and which can: the text of an error."""
    text = f"{graph.name}: {refused.blocked_by} {refused.reason}"
    if not refused.last:
        return f"{text}; no layer before it can be streamed"
    return f"{text}; layers up to {' and '.join(refused.last)} can be streamed"


def usual_layers(graph: Graph) -> tuple[str, ...]:
    """Choose the layers that a run listens to unless it is told which.

    They are the last layer before each loss of resolution: the last that all of the network passes before its
    stride grows, or its end comes. A classifier that is itself a convolution does not count, nor do layers of
    the picture's own resolution, unless there are no others.

    Args:
        graph: the network.

    Returns:
        Names of at most four layers, those of the finest resolution.

    Raises:
        NetworkError: no layer can be streamed.
    """
    if not graph.nodes:
        first = graph.refused[0] if graph.refused else None
        raise NetworkError(refusal(graph, first) if first else f"{graph.name} has no layer")
    lie = places(graph, "y")
    last: dict[int, str] = {}
    for node in _necks(graph):
        last[lie[node.name].stride] = node.name
    coarser = [name for stride, name in sorted(last.items()) if stride > 1]
    return tuple((coarser or list(last.values()))[:_USUAL_BANKS])


def _necks(graph: Graph) -> list[Node]:
    """Return the nodes that all of the network passes, without those of a convolutional classifier."""
    last_use = {INPUT: 0}
    for number, node in enumerate(graph.nodes):
        for name in node.inputs:
            last_use[name] = number
    head = _head(graph)
    necks = []
    open_until = last_use[INPUT]
    for number, node in enumerate(graph.nodes):
        if open_until <= number and node.name not in head:
            necks.append(node)
        open_until = max(open_until, last_use.get(node.name, number))
    return necks or [node for node in graph.nodes if node.name not in head] or list(graph.nodes)


def _head(graph: Graph) -> set[str]:
    """Return the names of the nodes of a convolutional classifier: its convolution, and what is behind."""
    names: set[str] = set()
    name = graph.mean if graph.scores else None
    while name is not None and name != INPUT:
        node = graph.by_name[name]
        names.add(name)
        name = node.inputs[0]
        if isinstance(node.operator, Convolution):
            return names
    return set()


def choose_banks(graph: Graph, names: Sequence[str] | None = None, *, prediction: bool = True) -> Banks:
    """Make banks of some layers of a network.

    Args:
        graph: the network.
        names: names of the layers; None: the usual ones.
        prediction: whether the network's prediction is wanted, too, if it makes one from a mean.

    Returns:
        The banks, numbered in the order of the names.

    Raises:
        OptionError: a name is no layer's, two are of the same layer, or there are too many.
        NetworkError: a layer cannot be streamed.
    """
    nodes = [node_named(graph, name) for name in (usual_layers(graph) if names is None else names)]
    if not 1 <= len(nodes) <= MOST_BANKS:
        raise OptionError(f"{len(nodes)} layers are given; give 1 to {MOST_BANKS}")
    found = [node.name for node in nodes]
    for number, name in enumerate(found):
        if name in found[:number]:
            raise OptionError(f"the layer {name} is given twice; give each once")
    ends = (*found, graph.mean) if graph.mean is not None and prediction else tuple(found)
    by_name = {layer.name: layer for layer in layers_of(graph)}
    for name in found:
        if by_name[name].y.stride != by_name[name].x.stride:
            raise NetworkError(
                f"{graph.name}: {name} has another resolution along x than along y; choose another layer"
            )
    banks = tuple(
        Bank(
            number=number,
            layer=name,
            channels=by_name[name].channels,
            y=by_name[name].y,
            x=by_name[name].x,
            nonnegative=by_name[name].nonnegative,
        )
        for number, name in enumerate(found, start=1)
    )
    return Banks(graph=graph.needed(ends), banks=banks)
