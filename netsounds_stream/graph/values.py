"""A network as frozen values: nodes with an operator each, in an order in which they can be computed.

A node's values are `[channel, y, x]`. An operator says how one value depends on its inputs' values: on the
windows around its place (`Convolution`, `Pool`, `Pad`), or on the values at its place alone. No operator
looks at the whole picture; only the mean at a network's end does, which is no node but `Graph.mean`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

Axis = Literal["y", "x"]
AXES: tuple[Axis, ...] = ("y", "x")

#: The name of the picture among nodes' inputs.
INPUT = "input"


@dataclass(frozen=True, kw_only=True)
class Window:
    """The window of an operator along one axis, as torch defines it.

    Output i sees inputs `stride * i - before + dilation * k` for k from 0 to `kernel - 1`.

    Attributes:
        kernel: number of inputs that an output sees.
        stride: distance between the windows of neighbouring outputs, in inputs.
        before: padding before the first input.
        after: padding after the last one.
        dilation: distance between the inputs of a window.
        ceil: whether a last window may extend beyond the padding (`ceil_mode`).
    """

    kernel: int = 1
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    ceil: bool = False

    @property
    def extent(self) -> int:
        """Number of inputs from a window's first to its last."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def padded(self) -> bool:
        """True if there is padding."""
        return self.before > 0 or self.after > 0

    @property
    def single(self) -> bool:
        """True if an output sees one input, none is padding and none is left out."""
        return self.extent == 1 and self.stride == 1 and not self.padded

    def length(self, inputs: int) -> int:
        """Compute the number of outputs of so many inputs; 0 if there are too few."""
        if inputs < 1:  # padding alone is no picture, even where a window fits into it
            return 0
        room = inputs + self.before + self.after - self.extent
        if not self.ceil:
            return max(0, room // self.stride + 1)
        outputs = -(-room // self.stride) + 1
        if (outputs - 1) * self.stride >= inputs + self.before:
            outputs -= 1  # the last window must begin on an input or before
        return max(0, outputs)

    def complete(self, inputs: int) -> int:
        """Compute how many outputs the first `inputs` inputs complete while more may come."""
        if inputs < 1:
            return 0
        return max(0, (inputs + self.before - self.extent) // self.stride + 1)


#: The window of operators that see one place only.
HERE = Window()


@dataclass(frozen=True, kw_only=True)
class Operator:
    """Operation of a node; unless it has windows, it sees only the values at its own place."""

    @property
    def y(self) -> Window:
        """The window along the picture's y axis."""
        return HERE

    @property
    def x(self) -> Window:
        """The window along the picture's x axis."""
        return HERE

    def transposed(self) -> Operator:
        """Return the operator for the transposed picture."""
        return self


@dataclass(frozen=True, kw_only=True)
class _Windowed(Operator):
    """An operator with windows along both axes."""

    windows: tuple[Window, Window]

    @property
    def y(self) -> Window:
        """The window along the picture's y axis."""
        return self.windows[0]

    @property
    def x(self) -> Window:
        """The window along the picture's x axis."""
        return self.windows[1]

    def transposed(self) -> Operator:
        """Return the operator with its axes exchanged."""
        return replace(self, windows=self.windows[::-1])


@dataclass(frozen=True, kw_only=True)
class Convolution(_Windowed):
    """A convolution; with windows of one place, a product with a matrix at each place.

    Attributes:
        weight: name of its weight `[out channel, in channel / groups, y, x]`, or `[out channel, in channel]`.
        bias: name of its bias `[out channel]`; None without.
        in_channels: number of input channels.
        groups: number of groups of channels that do not see one another.
    """

    weight: str
    bias: str | None
    in_channels: int
    groups: int = 1


@dataclass(frozen=True, kw_only=True)
class Pool(_Windowed):
    """Maximum or mean of a window, channel by channel.

    Attributes:
        kind: 'max' or 'mean'.
        count_padding: of a mean, whether padding counts as inputs.
        divisor: of a mean, what the sum is divided by; None: the number of inputs.
    """

    kind: Literal["max", "mean"]
    count_padding: bool = True
    divisor: int | None = None


@dataclass(frozen=True, kw_only=True)
class Pad(_Windowed):
    """Zeros around the picture, or rows and columns cut off where the padding is negative."""


@dataclass(frozen=True, kw_only=True)
class Pointwise(Operator):
    """A function of each value by itself.

    Attributes:
        function: its name in `network.operators.FUNCTIONS`.
        arguments: its other arguments.
    """

    function: str
    arguments: tuple[float | str | bool, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Affine(Operator):
    """A factor and an addend for each channel, as of batch normalisation with fixed statistics.

    Attributes:
        scale: name of the factors `[channel]`; None: 1.
        shift: name of the addends `[channel]`; None: 0.
    """

    scale: str | None
    shift: str | None


@dataclass(frozen=True, kw_only=True)
class ChannelNorm(Operator):
    """Normalisation over the channels of each place (layer normalisation).

    Attributes:
        weight: name of the factors `[channel]`; None: 1.
        bias: name of the addends `[channel]`; None: 0.
        epsilon: what is added to the variance.
    """

    weight: str | None
    bias: str | None
    epsilon: float


@dataclass(frozen=True, kw_only=True)
class Select(Operator):
    """Channels `start` to `stop` of its input."""

    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class Shuffle(Operator):
    """Channels in another order: those of a number of equal groups, taken in turn (ShuffleNet's)."""

    groups: int


@dataclass(frozen=True, kw_only=True)
class Join(Operator):
    """Several inputs at the same place, made one.

    Attributes:
        kind: 'concatenate' puts their channels one after another, the others take value by value.
    """

    kind: Literal["add", "subtract", "multiply", "concatenate"]


@dataclass(frozen=True, kw_only=True)
class Node:
    """One layer.

    Attributes:
        name: qualified name: of the module that computes it, of the module whose output it is, or of the
            module that it is computed in with the function's name behind it.
        aliases: further names, as of modules that return it, too.
        what: kind of values in words, such as '3x3 convolution'.
        inputs: names of the nodes that it is computed from, or `INPUT`.
        operator: how it is computed.
        channels: number of channels.
    """

    name: str
    aliases: tuple[str, ...] = ()
    what: str
    inputs: tuple[str, ...]
    operator: Operator
    channels: int


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A layer that cannot be streamed.

    Attributes:
        name: its qualified name.
        aliases: further names.
        blocked_by: name of the first layer in the way, perhaps itself.
        reason: what that layer does, such as 'takes a mean over the whole picture'.
        last: names of the last layers on the way there that can be streamed.
    """

    name: str
    aliases: tuple[str, ...] = ()
    blocked_by: str
    reason: str
    last: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A network.

    Attributes:
        name: the network's name.
        nodes: in an order in which they can be computed.
        mean: name of the node whose mean over the whole picture the prediction is made from; None if the
            network makes none, or makes it in another way.
        scores: whether that mean is the prediction itself, rather than what a classifier makes it from.
        channels: number of channels of the picture.
        refused: layers that cannot be streamed.
    """

    name: str
    nodes: tuple[Node, ...]
    mean: str | None = None
    scores: bool = False
    channels: int = 3
    refused: tuple[Refused, ...] = field(default=(), repr=False)

    def __hash__(self) -> int:
        """Hash in constant time, for `functools.lru_cache`."""
        return hash((self.name, len(self.nodes), self.mean))

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """Nodes by their names and aliases."""
        names = {alias: node for node in self.nodes for alias in node.aliases}
        return {**names, **{node.name: node for node in self.nodes}}

    @cached_property
    def consumers(self) -> dict[str, tuple[Node, ...]]:
        """Nodes that a node, or the picture, is an input of, by its name."""
        found: dict[str, list[Node]] = {INPUT: [], **{node.name: [] for node in self.nodes}}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found[name].append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    def transposed(self) -> Graph:
        """Return the network for the transposed picture; weights must be transposed likewise."""
        return replace(
            self, nodes=tuple(replace(node, operator=node.operator.transposed()) for node in self.nodes)
        )

    def needed(self, names: tuple[str, ...]) -> Graph:
        """Return the part of the network that some of its nodes are computed from.

        Args:
            names: names of nodes.

        Returns:
            A graph of these nodes and those before them. It has a mean if its node is among them.
        """
        wanted = set(names)
        for node in reversed(self.nodes):
            if node.name in wanted:
                wanted.update(node.inputs)
        nodes = tuple(node for node in self.nodes if node.name in wanted)
        return replace(self, nodes=nodes, mean=self.mean if self.mean in names else None)
