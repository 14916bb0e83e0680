"""What long work says about itself, as values. How it is shown is the caller's affair (see `display`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

Clock = Callable[[], float]


@dataclass(frozen=True)
class Progress:
    """How far a stage is.

    Attributes:
        stage: its name.
        done: how many units are done.
        total: how many there are.
        unit: 'px', 'samples', 'B', 'values', 'pictures' or 'share'.
        seconds: since the stage began.
        finished: true once, in the stage's last report.
        earlier: units of `done` that were done before the run was stopped.
        following_seconds: what the stages after this one are expected to take; None where nobody knows.
    """

    stage: str
    done: float
    total: float
    unit: str
    seconds: float
    finished: bool = False
    earlier: float = 0.0
    following_seconds: float | None = None

    @property
    def rate(self) -> float:
        """Units a second so far."""
        return (self.done - self.earlier) / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the stage ends, at its rate so far; None before anything is done."""
        if self.finished:
            return 0.0
        return max(0.0, self.total - self.done) / self.rate if self.rate > 0 else None

    @property
    def run_seconds_left(self) -> float | None:
        """Seconds until the last stage ends; None where nobody knows."""
        if self.following_seconds is None or self.seconds_left is None:
            return None
        return self.seconds_left + self.following_seconds


Listener = Callable[[Progress], None]


class Advance:
    """Counts how far one stage is, and reports it. From any thread.

    Args:
        name: of the stage.
        total: how many units it has.
        unit: their name.
        listener: told each time.
        following: given the units done, the total and the seconds, what later stages are expected to take.
        clock: seconds since some moment.
    """

    def __init__(
        self,
        name: str,
        total: float,
        unit: str,
        listener: Listener,
        following: Callable[[float, float], float | None] = lambda share, seconds: None,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._name, self._total, self._unit, self._listener = name, total, unit, listener
        self._following, self._clock = following, clock
        self._started = clock()
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
        """Report the stage's end, and return the seconds that it took."""
        with self._lock:
            self._report(finished=True)
        return self._clock() - self._started

    def _report(self, *, finished: bool = False) -> None:
        seconds = self._clock() - self._started
        share = 1.0 if finished or not self._total else (self._done - self._earlier) / self._total
        self._listener(
            Progress(
                self._name,
                self._done,
                self._total,
                self._unit,
                seconds,
                finished,
                self._earlier,
                self._following(share, seconds),
            )
        )


class Stages:
    """Names a run's stages, times them, and tells a listener how far each one is.

    Args:
        seconds: what stages took before the run was stopped.
        clock: seconds since some moment.
    """

    def __init__(
        self,
        listener: Listener | None = None,
        seconds: dict[str, float] | None = None,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._listener = listener or (lambda progress: None)
        self.seconds = dict(seconds or {})
        self._clock = clock
        self._now: tuple[str, float] | None = None
        self._expected: dict[str, float] = {}
        self._expected_done = self._took = 0.0  # of stages that have ended, as expected and as it was

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Tell what the run's stages are expected to take, in their order.

        Their proportions count: how fast this machine is now is seen from the stages that are done.
        """
        self._expected = dict(seconds)
        self._expected_done = self._took = 0.0

    @contextmanager
    def stage(self, name: str, total: float, unit: str) -> Iterator[Advance]:
        """Time a stage; what it yields is called with each further amount done."""

        def following(share: float, seconds: float) -> float | None:
            return self._following(name, share, seconds)

        self._listener(Progress(name, 0, total, unit, 0, following_seconds=following(0.0, 0.0)))
        self._now = name, self._clock()
        advance = Advance(name, total, unit, self._listener, following, self._clock)
        try:
            yield advance
        finally:
            self._now = None
            took = advance.finish()
            self.seconds[name] = self.seconds.get(name, 0.0) + took
            if name in self._expected:
                self._expected_done += self._expected[name]
                self._took += took

    def so_far(self) -> dict[str, float]:
        """Seconds by stage, with what the one under way has taken."""
        now = self._now
        if now is None:
            return dict(self.seconds)
        name, began = now
        return {**self.seconds, name: self.seconds.get(name, 0.0) + self._clock() - began}

    def _following(self, name: str, share: float, seconds: float) -> float | None:
        """Return what the stages after `name` will take, of which a share is done in so many seconds."""
        stage = name if name in self._expected else name.partition(":")[0]  # 'sound 1: levels', say
        if stage not in self._expected:
            return None
        order = list(self._expected)
        later = sum(self._expected[each] for each in order[order.index(stage) + 1 :])
        expected = self._expected_done + share * self._expected[stage]
        return later * ((self._took + seconds) / expected if expected > 0 else 1.0)
