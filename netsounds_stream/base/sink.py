"""Sinks: what takes values in order, and can resume where a stopped run left it."""

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
        """Close it; closing twice does nothing."""


class ResumableSink(Closable, Generic[S]):
    """A sink whose state can be saved between two of the values that it takes, and restored.

    What is saved has three parts: an `S`, JSON-ready, for the journal; the tensors that it retains, for a
    checkpoint; and files, which must be durable for both to hold.
    """

    @abstractmethod
    def state(self) -> S:
        """Return how far it has come, JSON-ready and exact."""

    def retained(self) -> dict[str, Tensor]:
        """Return the tensors that it retains for values to come, by name; valid until the next value."""
        return {}

    def restore(self, state: S, retained: Mapping[str, Tensor]) -> None:
        """Resume where another sink was that had this state and retained these tensors."""

    def files(self, state: S, cancelled: Callable[[], bool]) -> Files:
        """Return the files that must be durable for `state` to hold, once they are written.

        Args:
            state: the state that is to be committed.
            cancelled: returns True where waiting for them is in vain.
        """
        return {}

    def close(self) -> None:
        """Close what it holds open."""
