"""A wish to stop, heard where work can be put down safely: the first is obeyed soon, the second at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """A request to stop a run, made from a signal handler, a listener or any thread.

    Give one to `sonify`, `resume` or `batch`, and `ask` it later. The run stops soon, keeps what is finished,
    and raises `Stopped`.

    Example:
        >>> from netsounds_stream import Stop, Stopped, resume, sonify
        >>> stop = Stop()
        >>> words = {"weights": "untrained", "banks": (4,), "mix": False, "report": False}
        >>> try:
        ...     sonify("landscape.png", "stopped", stop=stop, on_progress=lambda _: stop.ask(), **words)
        ... except Stopped:
        ...     print("stopped")
        stopped
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._heeded = 0

    @property
    def asked(self) -> bool:
        """Whether it was asked to stop."""
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
        """Ask to stop.

        Returns:
            False where no run listens, or where it was asked before: end the process then.
        """
        if self.asked or not self._heeded:
            return False
        self._asked.set()
        return True
