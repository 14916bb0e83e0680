"""A wish to stop, heard where work can be put down safely: the first is obeyed soon, the second at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """Whether a run has been asked to stop.

    Give one to `sonify` or `resume`, and `ask` it from a signal handler, a listener or any thread.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._heeded = 0

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """While inside, somebody looks at `asked` from time to time and can put the work down."""
        self._heeded += 1
        try:
            yield
        finally:
            self._heeded -= 1

    def ask(self) -> bool:
        """Ask to stop; False where nobody would heed it, or where it was asked before: stop at once then."""
        if self.asked or not self._heeded:
            return False
        self._asked.set()
        return True
