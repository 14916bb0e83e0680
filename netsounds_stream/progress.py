"""What long work says about itself, as values. How it is shown is the caller's affair (see `display`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Where a stage stands: `done` of `total` units ('px', 'samples', 'B', 'share'), seconds since it began.

    `finished` is true once, in a stage's last report; `earlier` of what is done was done before a stop.
    """

    stage: str
    done: float
    total: float
    unit: str
    seconds: float
    finished: bool = False
    earlier: float = 0.0

    @property
    def rate(self) -> float:
        """Units a second so far."""
        return (self.done - self.earlier) / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        return (self.total - self.done) / self.rate if self.rate > 0 else None


Listener = Callable[[Progress], None]


class Advance:
    """Counts how far one stage is, and reports it. From any thread."""

    def __init__(self, name: str, total: float, unit: str, listener: Listener) -> None:
        self._name, self._total, self._unit, self._listener = name, total, unit, listener
        self._started = time.perf_counter()
        self._done = self._earlier = 0.0
        self._lock = threading.Lock()

    def __call__(self, amount: float) -> None:
        """So much more is done."""
        with self._lock:
            self._done += amount
            self._report()

    def skip(self, amount: float) -> None:
        """So much was done before the run was stopped."""
        with self._lock:
            self._done += amount
            self._earlier += amount
            self._report()

    def finish(self) -> float:
        """The stage has ended; the seconds that it took."""
        self._report(finished=True)
        return time.perf_counter() - self._started

    def _report(self, *, finished: bool = False) -> None:
        seconds = time.perf_counter() - self._started
        self._listener(
            Progress(self._name, self._done, self._total, self._unit, seconds, finished, self._earlier)
        )


class Stages:
    """Names a run's stages, times them, and tells a listener how far each one is.

    Args:
        seconds: what stages took before the run was stopped.
    """

    def __init__(self, listener: Listener | None = None, seconds: dict[str, float] | None = None) -> None:
        self._listener = listener or (lambda progress: None)
        self.seconds = dict(seconds or {})
        self._now: tuple[str, float] | None = None

    @contextmanager
    def stage(self, name: str, total: float, unit: str) -> Iterator[Advance]:
        """Time a stage; what it yields is called with each further amount done."""
        self._listener(Progress(name, 0, total, unit, 0))
        self._now = name, time.perf_counter()
        advance = Advance(name, total, unit, self._listener)
        try:
            yield advance
        finally:
            self._now = None
            self.seconds[name] = self.seconds.get(name, 0.0) + advance.finish()

    def so_far(self) -> dict[str, float]:
        """Seconds by stage, with what the one under way has taken."""
        now = self._now
        if now is None:
            return dict(self.seconds)
        name, began = now
        return {**self.seconds, name: self.seconds.get(name, 0.0) + time.perf_counter() - began}
