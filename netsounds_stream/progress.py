"""What long work says about itself, as values. How it is shown is the caller's affair (see `display`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Where a stage stands: `done` of `total` units ('px', 'samples' or 'share'), seconds since it began.

    `finished` is true once, in a stage's last report.
    """

    stage: str
    done: float
    total: float
    unit: str
    seconds: float
    finished: bool = False

    @property
    def rate(self) -> float:
        """Units a second so far."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        return (self.total - self.done) / self.rate if self.rate > 0 else None


Listener = Callable[[Progress], None]


class Stages:
    """Names a run's stages, times them, and tells a listener how far each one is."""

    def __init__(self, listener: Listener | None = None) -> None:
        self._listener = listener or (lambda progress: None)
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, total: float, unit: str) -> Iterator[Callable[[float], None]]:
        """Time a stage; what it yields is called with each further amount done."""
        started = time.perf_counter()
        done = 0.0
        lock = threading.Lock()  # several workers report

        def elapsed() -> float:
            return time.perf_counter() - started

        def advance(amount: float) -> None:
            nonlocal done
            with lock:
                done += amount
                self._listener(Progress(name, done, total, unit, elapsed()))

        self._listener(Progress(name, 0, total, unit, 0))
        try:
            yield advance
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + elapsed()
            self._listener(Progress(name, done, total, unit, elapsed(), finished=True))
