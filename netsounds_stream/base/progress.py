"""Progress of long work, as values, and its cancellation.

How to show progress is up to the caller (see `cli.display`). A cancelled run is suspended at the next point
from which it can resume; a second request ends the process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

# Weights of the expectation against what is measured: in seconds for the stages that have ended, as a share
# of the stage that is running.
_PRIOR_SECONDS = 0.2
_PRIOR_SHARE = 0.02

Clock = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One report of a stage's progress.

    Attributes:
        stage: name of the stage.
        done: units that are done.
        total: units in all.
        unit: 'px', 'samples', 'B', 'values', 'pictures', 'frames' or 'share'.
        seconds: time since the stage began.
        finished: True in the stage's last report only.
        earlier: units of `done` from before the run was stopped and resumed.
        run_seconds_left: estimated seconds until the run's last stage ends; None if unknown.
    """

    stage: str
    done: float
    total: float
    unit: str
    seconds: float
    finished: bool = False
    earlier: float = 0.0
    run_seconds_left: float | None = None

    @property
    def rate(self) -> float:
        """Units per second so far; 0 at the beginning."""
        return (self.done - self.earlier) / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the stage ends, at its rate so far; None before the first unit is done."""
        return max(0.0, self.total - self.done) / self.rate if self.rate > 0 else None


Listener = Callable[[Progress], None]


class Advance:
    """Counter of one stage's progress, which reports each step to a listener, from any thread.

    Args:
        name: name of the stage.
        total: units in all.
        unit: name of the unit, see `Progress`.
        listener: called with each report.
        left: estimates the seconds until the run ends from the share of the stage that was done, the seconds
            that it took, and the share that remains.
        clock: returns seconds since a fixed moment.
    """

    def __init__(
        self,
        name: str,
        total: float,
        unit: str,
        listener: Listener,
        left: Callable[[float, float, float], float | None] = lambda done, seconds, left: None,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._name = name
        self._total = total
        self._unit = unit
        self._listener = listener
        self._left = left
        self._clock = clock
        self._started = clock()
        self._done = self._earlier = 0.0
        self._lock = threading.Lock()

    def __call__(self, amount: float) -> None:
        """Report that `amount` more units are done."""
        with self._lock:
            self._done += amount
            self._report()

    def skip(self, amount: float) -> None:
        """Report `amount` units that were done before the run was stopped."""
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
        done = 1.0
        left = 0.0
        if self._total and not finished:
            done = (self._done - self._earlier) / self._total
            left = 1 - self._done / self._total
        self._listener(
            Progress(
                stage=self._name,
                done=self._done,
                total=self._total,
                unit=self._unit,
                seconds=seconds,
                finished=finished,
                earlier=self._earlier,
                run_seconds_left=self._left(done, seconds, left),
            )
        )


class Stages:
    """Stages of one run: names and times them, and reports the progress of each to a listener.

    Args:
        listener: called with each report; None: nobody listens.
        seconds: seconds by stage from before the run was stopped.
        clock: returns seconds since a fixed moment.

    Attributes:
        seconds: seconds by stage, of those that have ended.
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
        self._expected_done = self._took = 0.0  # seconds of the stages that have ended, expected and measured

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Set the expected seconds of the run's stages, in their order.

        Only their proportions matter; the speed of this machine is measured on the stages that have ended.
        """
        self._expected = dict(seconds)
        self._expected_done = self._took = 0.0

    @contextmanager
    def stage(self, name: str, total: float, unit: str) -> Iterator[Advance]:
        """Time a stage.

        Args:
            name: name of the stage.
            total: units in all.
            unit: name of the unit, see `Progress`.

        Yields:
            The stage's counter, to be called with each further amount done.
        """
        left = partial(self._left, name)
        self._listener(
            Progress(
                stage=name, done=0, total=total, unit=unit, seconds=0, run_seconds_left=left(0.0, 0.0, 1.0)
            )
        )
        self._now = name, self._clock()
        advance = Advance(name, total, unit, self._listener, left, self._clock)
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
        """Return the seconds by stage, including the one that is running."""
        now = self._now
        if now is None:
            return dict(self.seconds)
        name, began = now
        return {**self.seconds, name: self.seconds.get(name, 0.0) + self._clock() - began}

    def _left(self, name: str, done: float, seconds: float, left: float) -> float | None:
        """Estimate the seconds until the run ends, from what its stages are expected to take and have taken.

        Args:
            name: the running stage.
            done: the share of it that was done in `seconds`.
            seconds: time since it began.
            left: the share that remains.

        Returns:
            The seconds; None if nothing is expected of the stage.
        """
        stage = name if name in self._expected else name.partition(":")[0]  # such as 'sound 1: levels'
        if stage not in self._expected:
            return None
        order = list(self._expected)
        expected = self._expected[stage]
        later = sum(self._expected[name] for name in order[order.index(stage) + 1 :])
        slower = (_PRIOR_SECONDS + self._took + seconds) / (
            _PRIOR_SECONDS + self._expected_done + max(done * expected, seconds if not done else 0.0)
        )
        whole = (seconds + _PRIOR_SHARE * expected * slower) / (done + _PRIOR_SHARE)
        return left * whole + later * slower


class Stop:
    """A cancellation token: stops a run from a signal handler, a listener or any thread.

    Pass one to `sonify`, `resume` or `batch`, and call `ask` later. The run stops soon, keeps the finished
    part, and raises `Stopped`.

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
        self._observers = 0

    @property
    def asked(self) -> bool:
        """True once `ask` has taken effect."""
        return self._asked.is_set()

    @contextmanager
    def observed(self) -> Iterator[None]:
        """Declare that, inside the `with` block, a run checks `asked` from time to time."""
        self._observers += 1
        try:
            yield
        finally:
            self._observers -= 1

    def ask(self) -> bool:
        """Ask the run to stop.

        Returns:
            False if no run is observing, or if it was asked before: the caller should then end the process.
        """
        if self.asked or not self._observers:
            return False
        self._asked.set()
        return True
