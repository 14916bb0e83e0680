"""Where layers' values lie on a picture while its size is not known: what may be joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...graph.values import AXES, INPUT, Axis, Operator, Window
from .meanings import Refusal, Rows

# Lengths of a picture for which joined layers are compared: more than a field and the whole stride.
_LENGTHS = 4096


class Positions:
    """The positions of all layers' values, along both axes."""

    def __init__(self) -> None:
        self._lie: dict[tuple[str, Axis], _Lie] = {(INPUT, axis): _Lie() for axis in AXES}

    def require_same(self, inputs: Sequence[Rows]) -> None:
        """Refuse to join values that do not lie at the same positions of every picture.

        Raises:
            Refusal: they do not.
        """
        first, *others = dict.fromkeys(rows.node for rows in inputs)
        for axis in AXES:
            for other in others:
                one, another = self._lie[first, axis], self._lie[other, axis]
                if one.stride != another.stride:
                    raise Refusal("joins values of different resolution")
                if not one.as_many(another):
                    raise Refusal("joins values that differ in number at some sizes of the picture")

    def same_size(self, node: str, other: str, axis: Axis) -> bool:
        """Return whether two nodes have equally many values along an axis of every picture."""
        return self._lie[node, axis].as_many(self._lie[other, axis])

    def add(self, name: str, op: Operator, first_input: str) -> None:
        """Note the positions of a layer's values, from those of its first input."""
        for axis in AXES:
            window = op.y if axis == "y" else op.x
            self._lie[name, axis] = self._lie[first_input, axis].seen_through(window)


@dataclass(frozen=True)
class _Lie:
    """Positions of a layer's values along an axis: their stride, and their number by the picture's length."""

    stride: int = 1
    lengths: NDArray[np.int64] = field(default_factory=lambda: np.arange(_LENGTHS, dtype=np.int64))

    def as_many(self, other: _Lie) -> bool:
        """Return whether there are equally many values, for pictures of every length that gives some."""
        both = (self.lengths > 0) & (other.lengths > 0)
        return not bool((both & (self.lengths != other.lengths)).any())

    def seen_through(self, window: Window) -> _Lie:
        """Return the positions of windows over the values."""
        if window.single:
            return self
        found = {int(length): window.length(int(length)) for length in np.unique(self.lengths)}
        lengths = np.array([found[int(length)] for length in self.lengths], dtype=np.int64)
        return _Lie(self.stride * window.stride, lengths)
