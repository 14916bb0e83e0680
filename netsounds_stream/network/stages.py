"""The stages of a row stream: a few layers each, which compute what is complete and retain what waits.

    value          rows that have come      rows that wait for more, between two pushes
    conv 7x7 / 2   a b c d e f g h i|       the last 5 or 6 of its input
    pool 3x3 / 2   a b c|                   1 or 2, already pooled along the row
    conv 3x3       a b c|                   2 of its input; one row of zeros is before the first
    sum of both    a b c|                   those of the faster branch

Each step is planned in integers first: how many rows every layer can compute from what has come. Layers that
see one place only and lead to nothing but a join wait there for the slower branch: rows wait before them,
where the slower branch retains the same ones, not behind them, where they would have to be copied.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..graph.values import HERE, INPUT, Affine, Convolution, Graph, Join, Node, Pointwise, Pool, Window
from .convolution import Parts
from .operators import Edges, PoolAcross, PoolDown, RowOperator, operator_for
from .row_buffer import RowBuffer

#: Called with a layer's name, the number of its first new row counted from the stream's beginning, and its
#: new rows.
Emit = Callable[[str, int, Parts], None]
#: New rows of some layers, by their names.
Step = Mapping[str, Parts]

_INNER = Edges()
_DONE = "done"  # the name, in a checkpoint, of the numbers of rows that have been computed


@dataclass(eq=False, kw_only=True)
class _Unit:
    """One operator of a stage, and those that then work on its output in place.

    Attributes:
        name: name of the layer that the operator completes; None where it is a part of one.
        operator: computes rows.
        inputs: the rows that it is computed from.
        window: its window along the rows.
        waits: whether it may wait for a join that it leads to.
        then: the operators that follow, with the names of their layers.
        output: takes its rows for further units of the stage; None if there are none.
        leaves: whether later stages need its rows.
        waits_for: the unit that it leads to, and waits for; None: it computes all rows that it can.
        hands_on: places and names of the inputs whose rows later stages get once it has used them.
        done: number of rows that are computed.
        ready: number of rows that could be.
        target: number of rows that will be, after this step.
    """

    name: str | None
    operator: RowOperator | PoolAcross
    inputs: tuple[RowBuffer, ...]
    window: Window
    waits: bool = False
    then: list[tuple[str, RowOperator]] = field(default_factory=list)
    output: RowBuffer | None = None
    leaves: bool = False
    waits_for: _Unit | None = None
    hands_on: tuple[tuple[int, str], ...] = ()
    done: int = 0
    ready: int = 0
    target: int = 0

    @property
    def names(self) -> list[str]:
        """Names of the layers that it completes, in order."""
        return [*([] if self.name is None else [self.name]), *(name for name, _ in self.then)]


@dataclass(eq=False, kw_only=True)
class MeanOverPicture:
    """The sum of a layer's values over all its places, as they come.

    Attributes:
        source: name of the layer.
        total: float64 `[channel]`, on the CPU or CUDA device.
        count: number of places.
    """

    source: str
    total: Tensor
    count: int = 0

    def add(self, parts: Parts) -> None:
        """Add new rows."""
        sums, count = sums_of(parts)
        self.total += sums.to(self.total.device).double()
        self.count += count


def sums_of(parts: Parts) -> tuple[Tensor, int]:
    """Add up rows over all their places.

    Args:
        parts: `[1, channel, row, cross]`, one after another along the channels.

    Returns:
        float64 `[channel]` (float32 on a device that has none), and the number of places.
    """
    sums = torch.cat([part.float().sum(dim=(0, 2, 3)) for part in parts])
    sums = sums if sums.device.type == "mps" else sums.double()
    return sums, int(parts[0].shape[2] * parts[0].shape[3])


class RowStage:
    """A few layers that a band passes in one step.

    Args:
        units: what it computes, in order.
        entering: buffers of rows that earlier stages compute, by their layers' names.
        passing: names of layers whose rows it only hands on.
        buffers: all buffers by name, those of the stage's own layers included.
        mean: a sum over the picture that it adds to; None if there is none.
        emit: called with each layer's new rows.

    Attributes:
        layers: names of the layers that it completes; the last one names the stage.
    """

    def __init__(
        self,
        units: Sequence[_Unit],
        *,
        entering: Mapping[str, RowBuffer],
        passing: Collection[str],
        buffers: Mapping[str, RowBuffer],
        mean: MeanOverPicture | None,
        emit: Emit,
    ) -> None:
        self._units = units
        self._entering = entering
        self._passing = passing
        self._buffers = buffers
        self._mean = mean
        self._emit = emit
        self._released = _released(buffers.values(), units)
        self.layers = tuple(name for unit in units for name in unit.names)

    def push(self, step: Step) -> Step:
        """Take new rows.

        Args:
            step: new rows of layers of earlier stages, and of the picture.

        Returns:
            New rows of layers that later stages need; there may be none.
        """
        for name, buffer in self._entering.items():
            if name in step:
                buffer.append(step[name])
        return {**self._compute(ended=False), **{name: step[name] for name in self._passing if name in step}}

    def flush(self) -> Step:
        """Compute the remaining rows, if any; called once, after the last push."""
        return self._compute(ended=True)

    def retained(self) -> dict[str, Tensor]:
        """Return the state that the stage retains: tensors by name, valid until the next call."""
        state = {
            f"{name}/{part}": values
            for name, buffer in self._buffers.items()
            for part, values in buffer.retained().items()
        }
        state[_DONE] = torch.tensor([unit.done for unit in self._units])
        if self._mean is not None:
            state |= {"total": self._mean.total, "count": torch.tensor([self._mean.count])}
        return state

    def restore(self, retained: Mapping[str, Tensor]) -> None:
        """Resume from the state that an earlier stage retained."""
        for name, buffer in self._buffers.items():
            start = f"{name}/"
            buffer.restore(
                {key.removeprefix(start): values for key, values in retained.items() if key.startswith(start)}
            )
        for unit, done in zip(self._units, retained[_DONE].tolist(), strict=True):
            unit.done = done
        if self._mean is not None:
            self._mean.total = retained["total"].to(self._mean.total.device)
            self._mean.count = int(retained["count"])

    def _compute(self, *, ended: bool) -> dict[str, Parts]:
        self._plan(ended=ended)
        new: dict[str, Parts] = {}
        for unit, released in zip(self._units, self._released, strict=True):
            if unit.target > unit.done:
                inputs, parts = _computed(unit)
                new.update((name, inputs[place]) for place, name in unit.hands_on)
                if unit.name is not None:
                    self._pass_on(unit.name, unit, parts)
                for name, operator in unit.then:
                    parts = operator((parts,), _INNER)
                    self._pass_on(name, unit, parts)
                if unit.output is not None and not isinstance(unit.operator, PoolAcross):
                    unit.output.append(parts)
                if unit.leaves:
                    new[unit.names[-1]] = parts
                unit.done = unit.target
            for buffer, readers in released:
                buffer.forget(min(map(_needed, readers)))
        return new

    def _pass_on(self, name: str, unit: _Unit, parts: Parts) -> None:
        self._emit(name, unit.done, parts)
        if self._mean is not None and self._mean.source == name:
            self._mean.add(parts)

    def _plan(self, *, ended: bool) -> None:
        """Decide how many rows each unit computes."""
        for buffer in self._entering.values():
            buffer.ready = buffer.end
        for unit in self._units:
            inputs = unit.inputs[0].ready
            for buffer in unit.inputs[1:]:
                inputs = min(inputs, buffer.ready)
            if inputs:
                unit.ready = unit.window.length(inputs) if ended else unit.window.complete(inputs)
            if unit.output is not None:
                unit.output.ready = unit.ready
        for unit in reversed(self._units):
            awaited = unit.waits_for
            unit.target = unit.ready if awaited is None else min(unit.ready, awaited.target)


def _released(
    buffers: Collection[RowBuffer], units: Sequence[_Unit]
) -> list[list[tuple[RowBuffer, list[_Unit]]]]:
    """Return, for each unit, the buffers that no later unit reads, with all units that do."""
    released: list[list[tuple[RowBuffer, list[_Unit]]]] = [[] for _ in units]
    for buffer in buffers:
        places = [place for place, unit in enumerate(units) if any(each is buffer for each in unit.inputs)]
        released[places[-1]].append((buffer, [units[place] for place in places]))
    return released


def _needed(unit: _Unit) -> int:
    """Return the number of the first input row that a unit still needs."""
    return max(0, unit.done * unit.window.stride - unit.window.before)


def _computed(unit: _Unit) -> tuple[tuple[Parts, ...], Parts]:
    """Compute a unit's rows up to its target, without what works on them in place.

    Returns:
        The rows of its inputs that it has used, and its own new rows.
    """
    window = unit.window
    first = unit.done * window.stride - window.before
    stop = (unit.target - 1) * window.stride - window.before + window.extent
    end = unit.inputs[0].end
    for buffer in unit.inputs[1:]:
        end = min(end, buffer.end)
    edges = _INNER
    if first < 0 or stop > end:
        edges = Edges(above=max(0, -first), below=max(0, stop - end))
        first = min(max(0, first), end)
        stop = min(stop, end)
    inputs = tuple([buffer.rows(first, stop) for buffer in unit.inputs])
    if isinstance(unit.operator, PoolAcross):
        assert unit.output is not None
        shapes = [(int(part.shape[1]), unit.operator.length(int(part.shape[3]))) for part in inputs[0]]
        out = unit.output.claim(unit.target - unit.done, shapes, inputs[0][0])
        unit.operator.write(inputs[0], out)
        return inputs, out
    return inputs, unit.operator(inputs, edges)


def row_stages(
    graph: Graph,
    state: Mapping[str, Tensor],
    *,
    wanted: Collection[str],
    mean: MeanOverPicture | None,
    emit: Emit,
) -> list[RowStage]:
    """Make the stages of a network.

    Args:
        graph: the network, rows along its y axis.
        state: its parameters, on the device and in the precision of the computation.
        wanted: names of the layers that have hooks.
        mean: takes the sum of the layer that the prediction is made from; None without.
        emit: called with each layer's new rows.

    Returns:
        The stages, in the order in which a band passes them.
    """
    return _Making(graph, state, wanted, mean, emit).stages()


@dataclass(kw_only=True)
class _Draft:
    """A stage being made."""

    units: list[_Unit] = field(default_factory=list)
    units_of: dict[str, _Unit] = field(default_factory=dict)  # by the names of layers
    buffers: dict[str, RowBuffer] = field(default_factory=dict)
    entering: dict[str, RowBuffer] = field(default_factory=dict)


class _Making:
    """The making of stages, a group of nodes at a time."""

    def __init__(
        self,
        graph: Graph,
        state: Mapping[str, Tensor],
        wanted: Collection[str],
        mean: MeanOverPicture | None,
        emit: Emit,
    ) -> None:
        self._graph = graph
        self._state = state
        self._wanted = wanted
        self._mean = mean
        self._emit = emit
        self._groups = _grouped(graph)
        self._group_of = {node.name: number for number, group in enumerate(self._groups) for node in group}
        self._splits: dict[str, tuple[int, ...]] = {INPUT: (graph.channels,)}
        self._fresh: dict[str, bool] = {INPUT: False}

    def stages(self) -> list[RowStage]:
        return [self._stage(number, group) for number, group in enumerate(self._groups)]

    def _stage(self, number: int, group: tuple[Node, ...]) -> RowStage:
        draft = _Draft()
        convolution: Node | None = None
        for node, following in zip(group, [*group[1:], None], strict=True):
            if self._fuses(node, following):
                convolution = node
                continue
            self._add(draft, node, number, convolution)
            convolution = None
        for unit in reversed(draft.units):
            self._let_wait(unit, draft)
        names = {node.name for node in group}
        passing = [
            name
            for name in (INPUT, *(node.name for node in self._graph.nodes))
            if name not in names and self._group_of.get(name, -1) < number and self._last_use(name) > number
        ]
        handed_on = self._handed_on(draft, passing, number)
        passing = [name for name in passing if name not in handed_on]
        return RowStage(
            draft.units,
            entering=draft.entering,
            passing=passing,
            buffers=draft.buffers,
            mean=self._mean if self._mean is not None and self._mean.source in names else None,
            emit=self._emit,
        )

    def _add(self, draft: _Draft, node: Node, number: int, convolution: Node | None) -> None:
        """Add a node to a stage, with the convolution that it is computed with, if any."""
        first = convolution or node
        splits = [self._splits[name] for name in first.inputs]
        overwrites = convolution is None and self._may_overwrite(node)
        if overwrites and isinstance(node.operator, (Pointwise, Affine)):
            unit = draft.units_of[node.inputs[0]]
            operator = operator_for(node, self._state, splits, in_place=True)
            unit.then.append((node.name, operator))
            del draft.buffers[node.inputs[0]]
        else:
            inputs = tuple(self._buffer(draft, name) for name in first.inputs)
            if isinstance(node.operator, Pool):
                inputs = (self._pooled_across(draft, node, node.operator, inputs),)
                operator = PoolDown(node.operator, splits[0])
            else:
                operator = operator_for(
                    first, self._state, splits, in_place=overwrites, with_relu=convolution is not None
                )
            window = first.operator.y
            waits = window.extent == 1 and not window.padded and not isinstance(node.operator, (Join, Pool))
            unit = _Unit(name=node.name, operator=operator, inputs=inputs, window=window, waits=waits)
            draft.units.append(unit)
        self._splits[node.name] = operator.split
        self._fresh[node.name] = operator.fresh
        draft.units_of[node.name] = unit
        here = any(self._group_of[each.name] == number for each in self._graph.consumers[node.name])
        unit.output = draft.buffers.setdefault(node.name, self._new_buffer(node.name)) if here else None
        unit.leaves = self._last_use(node.name) > number

    def _pooled_across(self, draft: _Draft, node: Node, op: Pool, inputs: tuple[RowBuffer, ...]) -> RowBuffer:
        """Add the first half of a pooling, and return the buffer that it writes to."""
        line = draft.buffers[f"{node.name} across"] = RowBuffer()
        draft.units.append(_Unit(name=None, operator=PoolAcross(op), inputs=inputs, window=HERE, output=line))
        return line

    def _buffer(self, draft: _Draft, name: str) -> RowBuffer:
        """Return the buffer of a layer's rows in a stage; one that is new is of an earlier stage's layer."""
        if name not in draft.buffers:
            draft.buffers[name] = draft.entering[name] = self._new_buffer(name)
        return draft.buffers[name]

    def _new_buffer(self, name: str) -> RowBuffer:
        return RowBuffer(padded=any(node.operator.y.after > 0 for node in self._graph.consumers[name]))

    def _last_use(self, name: str) -> int:
        """Return the number of the last stage that needs a layer's rows; -1 if none does."""
        return max((self._group_of[node.name] for node in self._graph.consumers[name]), default=-1)

    def _only_consumer(self, name: str) -> Node | None:
        """Return the one node of the same stage that a layer is for; None if there are others."""
        nodes = self._graph.consumers[name]
        if len(nodes) != 1 or nodes[0].inputs.count(name) != 1:
            return None
        same = name != INPUT and self._group_of[nodes[0].name] == self._group_of[name]
        return nodes[0] if same else None

    def _may_overwrite(self, node: Node) -> bool:
        """Return whether a node's first input is for it alone, and in memory that nothing else lies in."""
        name = node.inputs[0]
        return self._fresh[name] and self._only_consumer(name) is node

    def _handed_on(self, draft: _Draft, passing: Sequence[str], number: int) -> set[str]:
        """Let a join hand its inputs on when it has used them, if it alone uses them in this stage.

        A later join waits longer still. So rows wait once, a few in each stage, instead of all in each.

        Returns:
            The names of the layers that are handed on in this way.
        """
        found: set[str] = set()
        for name in passing:
            here = [node for node in self._graph.consumers[name] if self._group_of[node.name] == number]
            if len(here) == 1 and isinstance(here[0].operator, Join):
                unit = draft.units_of[here[0].name]
                unit.hands_on = (*unit.hands_on, (here[0].inputs.index(name), name))
                found.add(name)
        return found

    def _let_wait(self, unit: _Unit, draft: _Draft) -> None:
        """Let a unit wait for the join that it leads to, if it sees one row and leads to nothing else."""
        consumer = self._only_consumer(unit.names[-1]) if unit.waits else None
        if consumer is not None:
            awaited = draft.units_of[consumer.name]
            if isinstance(consumer.operator, Join) or awaited.waits_for is not None:
                unit.waits_for = awaited

    def _fuses(self, node: Node, following: Node | None) -> bool:
        """Return whether a convolution is computed with the ReLU that follows, in one kernel, on CUDA."""
        op = node.operator
        return (
            isinstance(op, Convolution)
            and self._state[op.weight].is_cuda
            and (op.groups > 1 or len(self._splits[node.inputs[0]]) == 1)
            and node.name not in self._wanted
            and following is not None
            and self._only_consumer(node.name) is following
            and isinstance(following.operator, Pointwise)
            and following.operator.function == "relu"
        )


def _grouped(graph: Graph) -> list[tuple[Node, ...]]:
    """Group nodes in stages: a new one begins before each window, once one has spanned more than a place."""
    groups: list[list[Node]] = [[]]
    spans = False
    for node in graph.nodes:
        op = node.operator
        if isinstance(op, (Convolution, Pool)) and spans:
            groups.append([])
            spans = False
        groups[-1].append(node)
        spans = spans or op.y.extent > 1 or op.x.extent > 1
    return [tuple(group) for group in groups if group]
