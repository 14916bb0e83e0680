"""Base classes of what can be closed, and of sinks, which take values in order and can be resumed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Generic, Self, TypeVar

from torch import Tensor

from .journal import Files

S = TypeVar("S")


class Closable(ABC):
    """A resource that is closed when its `with` block is left."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the resource; closing it twice has no effect."""


class ResumableSink(Closable, Generic[S]):
    """A sink whose state can be saved between two values and restored.

    The state has three parts: an `S`, JSON-ready, for the journal; retained tensors, for a checkpoint; and
    files, which must be durable before the other two are committed.
    """

    @abstractmethod
    def state(self) -> S:
        """Return the part of the state that the journal keeps, JSON-ready and exact."""

    def retained(self) -> dict[str, Tensor]:
        """Return the tensors that are retained for later values, by name; valid until the next value."""
        return {}

    def restore(self, state: S, retained: Mapping[str, Tensor]) -> None:
        """Restore what `state` and `retained` returned, perhaps in another process."""

    def files(self, state: S, cancelled: Callable[[], bool]) -> Files:
        """Wait until the files that belong to a state are written.

        Args:
            state: the state to be committed.
            cancelled: returns True once the commit is cancelled, so that waiting is useless.

        Returns:
            The files to be made durable, with the checksums of those that are complete.
        """
        return {}

    def close(self) -> None:
        """Close open files, if there are any."""
