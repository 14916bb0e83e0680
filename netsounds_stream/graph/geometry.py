"""Where a node's values lie on the picture, how many there are, and how many rows wait, an axis at a time.

Everything here is integer arithmetic on an image axis. A network treats its two axes alike unless its kernels
are not square.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import lcm

from .values import INPUT, Axis, Graph, Join, Node, Window


@dataclass(frozen=True, kw_only=True)
class Places:
    """Positions of a node's values along one axis of the picture.

    Value `i` depends on the `field` pixels from `start + stride * i` on (0-based); those outside of the
    picture are padding.

    Attributes:
        stride: distance between the fields of neighbouring values, in pixels.
        start: first pixel of the first value's field; negative where it begins in padding.
        field: number of pixels that a value depends on (its receptive field).
        before: number of values at the axis' beginning that depend on padding.
        after: largest number of values at its end that do.
    """

    stride: int = 1
    start: int = 0
    field: int = 1
    before: int = 0
    after: int = 0

    @property
    def stop(self) -> int:
        """End of the first value's field, exclusive."""
        return self.start + self.field

    @property
    def offset(self) -> int | float:
        """Centre of the first value's field, in pixels; between two pixels if the field's length is even."""
        doubled = 2 * self.start + self.field - 1
        return doubled // 2 if doubled % 2 == 0 else doubled / 2

    @property
    def border(self) -> int:
        """Largest number of values at either end that depend on padding."""
        return max(self.before, self.after)


def window_of(node: Node, axis: Axis) -> Window:
    """Return a node's window along an axis."""
    return node.operator.y if axis == "y" else node.operator.x


@lru_cache(maxsize=128)  # a long-lived process may meet many networks
def places(graph: Graph, axis: Axis) -> dict[str, Places]:
    """Compute where all nodes' values lie.

    Args:
        graph: the network.
        axis: the axis of the picture.

    Returns:
        Places by the nodes' names, and those of the picture's pixels by `INPUT`.
    """
    found = {INPUT: Places()}
    for node in graph.nodes:
        inputs = [found[name] for name in node.inputs]
        if isinstance(node.operator, Join):
            start = min(each.start for each in inputs)
            found[node.name] = Places(
                stride=inputs[0].stride,
                start=start,
                field=max(each.stop for each in inputs) - start,
                before=max(each.before for each in inputs),
                after=max(each.after for each in inputs),
            )
        else:
            found[node.name] = _seen_through(window_of(node, axis), inputs[0])
    return found


def _seen_through(window: Window, places: Places) -> Places:
    """Return the places of windows over values that lie at `places`."""
    if window.single:
        return places
    before = places.before + window.before
    return Places(
        stride=places.stride * window.stride,
        start=places.start - places.stride * window.before,
        field=places.field + places.stride * (window.extent - 1),
        before=max(0, -(-before // window.stride)),
        after=_border_after(window, places.after),
    )


def _border_after(window: Window, border: int) -> int:
    """Count the outputs at the end that see padding, or one of the last `border` inputs.

    How many they are depends on the number of inputs modulo the stride. A window that hangs over the end
    (`ceil_mode`) sees no padding there.

    Returns:
        Their largest number.
    """
    if border + window.after <= 0:
        return 0
    enough = border + 2 * window.extent + window.before
    counts = []
    for inputs in range(enough, enough + window.stride):
        good = (inputs - border - window.extent + window.before) // window.stride + 1
        counts.append(window.length(inputs) - good)
    return max(0, *counts)


def lengths(graph: Graph, axis: Axis, length: int) -> dict[str, int]:
    """Compute the number of every node's values along an axis.

    Args:
        graph: the network.
        axis: the axis of the picture.
        length: the picture's length along it, in pixels.

    Returns:
        Numbers by the nodes' names; 0 where the picture is too short.
    """
    found = {INPUT: length}
    for node in graph.nodes:
        found[node.name] = min(window_of(node, axis).length(found[name]) for name in node.inputs)
    return found


def completed(graph: Graph, axis: Axis, rows: int) -> dict[str, int]:
    """Compute how many rows of every node are complete while more rows of the picture may come.

    Args:
        graph: the network.
        axis: the axis that the rows follow one another along.
        rows: rows of the picture so far.

    Returns:
        Numbers by the nodes' names.
    """
    found = {INPUT: rows}
    for node in graph.nodes:
        found[node.name] = min(window_of(node, axis).complete(found[name]) for name in node.inputs)
    return found


@lru_cache(maxsize=128)
def period(graph: Graph) -> int:
    """Return the number of the picture's rows or columns after which everything repeats: the whole stride."""
    return lcm(*(places(graph, axis)[node.name].stride for axis in ("y", "x") for node in graph.nodes))


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Rows of a node that wait in a stream.

    Attributes:
        latency: rows of the picture that must have come before the first row is complete.
        first: number of the first row that depends on no padding.
        retained: largest number of rows that wait between two pushes until all that need them have come; 0
            for a node that nothing is computed from.
    """

    latency: int
    first: int
    retained: int


@lru_cache(maxsize=128)
def waiting(graph: Graph, axis: Axis) -> dict[str, Waiting]:
    """Compute how every node's rows wait, and the picture's.

    Between two pushes a node's rows wait until every node that needs them can be computed: a window's rows
    for its last one, a join's rows for those of the slowest branch.

    Args:
        graph: the network.
        axis: the axis that the rows follow one another along.

    Returns:
        The rows that wait by the nodes' names, and those of the picture by `INPUT`.
    """
    import numpy as np  # here, since a command's help loads this module

    lie = places(graph, axis)
    names = [INPUT, *(node.name for node in graph.nodes)]
    latency = {INPUT: 1}
    for node in graph.nodes:  # what sees only padding at first waits for a row of its input all the same
        latency[node.name] = max(lie[node.name].stop, *(latency[name] for name in node.inputs))
    settled = max(latency.values())
    # then windows begin on rows, not in padding, and everything repeats with the period
    settled += max(
        (window_of(node, axis).before * lie[node.inputs[0]].stride for node in graph.nodes), default=0
    )
    ready = {INPUT: np.arange(1, settled + 2 * period(graph) + 1)}
    for node in graph.nodes:
        window = window_of(node, axis)
        inputs = np.min([ready[name] for name in node.inputs], axis=0)
        count = np.maximum(0, (inputs + window.before - window.extent) // window.stride + 1)
        ready[node.name] = np.where(inputs > 0, count, 0)
    retained = dict.fromkeys(names, 0)
    for node in graph.nodes:
        window = window_of(node, axis)
        needed = np.maximum(0, ready[node.name] * window.stride - window.before)
        for name in node.inputs:
            retained[name] = max(retained[name], int((ready[name] - needed).max()))
    return {
        name: Waiting(latency=latency[name], first=lie[name].before, retained=retained[name])
        for name in names
    }


def smallest_side(graph: Graph, names: tuple[str, ...]) -> int:
    """Compute the shortest axis of a picture on which some nodes have values.

    Args:
        graph: the network.
        names: names of the nodes.

    Returns:
        A length in pixels that suffices along both axes, as does every longer one.
    """
    low, high = 0, 1
    while not _has_values(graph, names, high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if _has_values(graph, names, middle):
            high = middle
        else:
            low = middle
    return high


def _has_values(graph: Graph, names: tuple[str, ...], length: int) -> bool:
    return all(
        found[name] > 0
        for found in (lengths(graph, "y", length), lengths(graph, "x", length))
        for name in names
    )


def inside(length: int, border: int) -> slice:
    """Select the values of an axis that do not depend on padding.

    Args:
        length: number of values along the axis.
        border: number of values at either end that depend on padding.

    Returns:
        The slice between the borders; the middle half of the axis if the borders are wider than that.
    """
    border = min(border, length // 4)
    return slice(border, length - border)
