"""A graph while its network is lowered: nodes, parameters, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from ...graph.values import INPUT, Axis, Graph, Join, Node, Operator, Refused
from .meanings import Channel, Grouped, Rows, flat
from .positions import Positions
from .trace import Names


@dataclass(frozen=True)
class Blocked:
    """Values computed from a call that cannot be streamed: the names of that call and of those before it."""

    by: str
    reason: str
    last: tuple[str, ...]


class Draft:
    """The graph so far. It is the `Place` of the call that is being lowered.

    Args:
        module: the network.
        copies: copy the parameters.

    Attributes:
        nodes: the graph's nodes by their names, in the order of their calls.
        state: parameters by their names.
        at: the call that is being lowered.
    """

    def __init__(self, module: nn.Module, *, copies: bool) -> None:
        self._copies = copies
        self.nodes: dict[str, Node] = {}
        self.state: dict[str, Tensor] = {}
        self.at: fx.Node | None = None
        self._refused: dict[str, Refused] = {}
        self._tensors: dict[str, Tensor] = dict(
            itertools.chain(module.named_parameters(), module.named_buffers())
        )
        self._names_of_tensors = {id(value): name for name, value in self._tensors.items()}
        self._names = Names()
        self._positions = Positions()

    def graph(self, name: str, channels: int) -> Graph:
        """Return the graph.

        Args:
            name: the network's name.
            channels: number of channels of a picture.
        """
        return Graph(
            name=name,
            nodes=tuple(self.nodes.values()),
            channels=channels,
            refused=tuple(self._refused.values()),
        )

    def node(self, op: Operator, inputs: Sequence[Rows], channels: int, what: str) -> Rows:
        """Add a node to the graph: see `Place`."""
        assert self.at is not None
        if isinstance(op, Join):
            self._positions.require_same(inputs)
        name, *aliases = self._names.of(self.at)
        if name in self.nodes:  # a call that becomes several nodes
            name, aliases = self._names.free(f"{name}_{{}}"), []
        self._names.taken.add(name)
        self._positions.add(name, op, inputs[0].node)
        self.nodes[name] = Node(
            name=name,
            aliases=tuple(aliases),
            what=what,
            inputs=tuple(rows.node for rows in inputs),
            operator=op,
            channels=channels,
        )
        return Rows(name, channels)

    def parameter(self, value: Tensor, role: str) -> str:
        """Name a constant tensor: see `Place`."""
        assert self.at is not None
        name = self._names_of_tensors.get(id(value))
        if name is None:
            name = f"{self._names.of(self.at)[0]}.{role}"
            while name in self._tensors and not _same(self._tensors[name], value):
                name += "_"  # a parameter of the module's own has the name, or a further node of the call
            self._tensors[name] = value
        if not value.is_meta:  # of a network without weights, whose graph alone is wanted
            self.state[name] = value.detach().to("cpu", torch.float32, copy=self._copies).contiguous()
        return name

    def same_size(self, node: str, other: str, axis: Axis) -> bool:
        """Return whether two nodes have equally many values along an axis: see `Place`."""
        return self._positions.same_size(node, other, axis)

    def returned(self, rows: Rows) -> None:
        """Give a node the further names of modules that return its values unchanged."""
        assert self.at is not None
        node = self.nodes.get(rows.node)
        if node is None:
            return
        names = [name for name in self._names.of(self.at) if name != node.name and name not in node.aliases]
        if names:
            self.nodes[node.name] = replace(node, aliases=(*node.aliases, *names))

    def refuse(self, blocked: Blocked) -> Blocked:
        """Refuse the call, for what is in its way."""
        assert self.at is not None
        name, *aliases = self._names.of(self.at)
        self._names.taken.add(name)
        self._refused.setdefault(
            name,
            Refused(
                name=name,
                aliases=tuple(aliases),
                blocked_by=blocked.by,
                reason=blocked.reason,
                last=blocked.last,
            ),
        )
        return blocked

    def refuse_for(self, reason: str, inputs: Iterable[Any], further: Collection[str] = ()) -> Blocked:
        """Refuse the call, as the first of those that cannot be streamed.

        Args:
            reason: what the call does.
            inputs: what its inputs stand for.
            further: names of other nodes that it takes.
        """
        assert self.at is not None
        last = nodes_of(inputs) | set(further)
        return self.refuse(Blocked(self._names.of(self.at)[0], reason, self._deepest(last)))

    def drop(self, names: Collection[str]) -> None:
        """Take nodes back that a call has added before it turned out that it cannot be streamed."""
        for name in names:
            del self.nodes[name]

    def _deepest(self, names: set[str]) -> tuple[str, ...]:
        """Sort out of some nodes those that no other of them is computed from."""
        before: set[str] = set()
        for node in reversed(list(self.nodes.values())):
            if node.name in before or node.name in names:
                before.update(node.inputs)
        return tuple(name for name in self.nodes if name in names - before)


def _same(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are the same constant; of tensors without values, whether they are one."""
    return one is other or (not one.is_meta and not other.is_meta and torch.equal(one, other))


def nodes_of(values: Iterable[Any]) -> set[str]:
    """Return the names of the nodes that values are of, but for the picture's."""
    found = {value.node for value in flat(list(values)) if isinstance(value, Rows)}
    found |= {value.rows.node for value in flat(list(values)) if isinstance(value, (Grouped, Channel))}
    return found - {INPUT}
