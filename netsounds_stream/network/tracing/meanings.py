"""What the calls of a traced network stand for, and the rules that lower them to nodes of a graph.

A rule is a function that takes the place in the network, and a call's arguments as the call has them, with
`Rows` for values `[1, channel, y, x]` of the picture. It returns what the call's result stands for, by
`Place.node` where that is a new node, or raises `Refusal`. The rules are in `window_rules` (convolutions and
pooling), `value_rules` (functions of values, normalisation, sums) and `shape_rules` (axes, channels, means).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from torch import Tensor, nn

from ...graph.values import Axis, Operator


@dataclass(frozen=True)
class Rows:
    """Values of the picture.

    Attributes:
        node: name of the node that computes them, or `INPUT`.
        channels: number of channels.
        channels_last: whether the code sees them as `[1, y, x, channel]`.
    """

    node: str
    channels: int
    channels_last: bool = False


@dataclass(frozen=True)
class Size:
    """The height or width of a picture or a layer's values, which no stream knows.

    Attributes:
        axis: 'y' or 'x'.
        node: name of the node that the values are of, or `INPUT`.
    """

    axis: Axis
    node: str


@dataclass(frozen=True)
class Shape:
    """The shape of values of the picture, or of its axes from the first on."""

    sizes: tuple[int | Size, ...]


@dataclass(frozen=True)
class Grouped:
    """Channels split into groups, `[1, group, channel, y, x]`, or with these two axes exchanged.

    Attributes:
        rows: the values.
        groups: number of groups.
        exchanged: whether the channels' axis comes first.
    """

    rows: Rows
    groups: int
    exchanged: bool = False


@dataclass(frozen=True)
class Channel:
    """One channel, `[1, y, x]`."""

    rows: Rows
    index: int


@dataclass(frozen=True)
class Means:
    """Values computed from the mean of a node over the whole picture.

    Attributes:
        node: name of the node.
    """

    node: str


class Refusal(Exception):
    """Raised by a rule: the call cannot be streamed; says why, as the predicate of a sentence."""


class Place(Protocol):
    """The place of a traced call in the network."""

    def node(self, op: Operator, inputs: Sequence[Rows], channels: int, what: str) -> Rows:
        """Add a node to the graph, and return its values."""

    def parameter(self, value: Tensor, role: str) -> str:
        """Return the name of a constant tensor among the network's parameters."""

    def same_size(self, node: str, other: str, axis: Axis) -> bool:
        """Return whether two nodes have equally many values along an axis of every picture."""


Rule = Callable[..., Any]
_RULES: dict[object, Rule] = {}
_MODULES: dict[type[nn.Module], Rule] = {}


def rule_for(target: object) -> Rule | None:
    """Return the rule for a function, or for a method by its name; None if there is none."""
    return _RULES.get(target) or _RULES.get(f"function {getattr(target, '__name__', '')}")


def module_rule(module: nn.Module) -> Rule | None:
    """Return the rule for a module of torch's own; None if there is none."""
    return _MODULES.get(type(module))


R = TypeVar("R", bound=Rule)


def calls(*targets: object) -> Callable[[R], R]:
    """Register a rule for functions, and for methods by their names."""

    def register(rule: R) -> R:
        for target in targets:
            _RULES[target] = rule
        return rule

    return register


def modules(*types: type[nn.Module]) -> Callable[[R], R]:
    """Register a rule for modules, which the rule takes before the call's arguments."""

    def register(rule: R) -> R:
        for each in types:
            _MODULES[each] = rule
        return rule

    return register


def rows_of(value: Any) -> Rows:
    """Require values in their usual order, `[1, channel, y, x]`."""
    if not isinstance(value, Rows):
        raise Refusal("takes what is no longer rows of the picture")
    if value.channels_last:
        raise Refusal("takes the channels' axis for one of the picture's")
    return value


def pair(value: Any) -> tuple[Any, Any]:
    """Return the settings for y and x, which torch takes as one number or as two."""
    if isinstance(value, (tuple, list)):
        return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])
    return value, value


def flat(value: Any) -> list[Any]:
    """Return all values in nested lists, tuples, mappings and slices."""
    if isinstance(value, (list, tuple)):
        return [each for part in value for each in flat(part)]
    if isinstance(value, Mapping):
        return flat(list(value.values()))
    if isinstance(value, slice):
        return flat([value.start, value.stop, value.step])
    return [value]
