"""Progress of long work, as values, and its cancellation.

How progress is shown is the caller's affair (see `cli.display`). A run that is asked to stop does so where it
can be suspended safely: at the first request soon, at the second at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

#: What an expectation weighs beside what is measured: seconds of stages, and a share of one.
_PRIOR_SECONDS, _PRIOR_SHARE = 0.2, 0.02

Clock = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
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
        run_seconds_left: seconds until the run's last stage ends; None where nobody knows.
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
        """Units a second so far."""
        return (self.done - self.earlier) / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the stage ends, at its rate so far; None before anything is done."""
        return max(0.0, self.total - self.done) / self.rate if self.rate > 0 else None


Listener = Callable[[Progress], None]


class Advance:
    """Counts how far one stage is, and reports it. From any thread.

    Args:
        name: of the stage.
        total: how many units it has.
        unit: their name.
        listener: told each time.
        left: seconds until the run ends, given the share of the stage that was done in so many seconds, and
            the share that is left.
        clock: seconds since some moment.
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
        self._name, self._total, self._unit, self._listener = name, total, unit, listener
        self._left, self._clock = left, clock
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
        done, left = 1.0, 0.0
        if self._total and not finished:
            done, left = (self._done - self._earlier) / self._total, 1 - self._done / self._total
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
        """Seconds by stage, with what the one under way has taken."""
        now = self._now
        if now is None:
            return dict(self.seconds)
        name, began = now
        return {**self.seconds, name: self.seconds.get(name, 0.0) + self._clock() - began}

    def _left(self, name: str, done: float, seconds: float, left: float) -> float | None:
        """Return the seconds until the run ends, as its stages are expected, and as fast as they are here.

        Args:
            name: the stage under way.
            done: the share of it that was done in `seconds`.
            seconds: since it began.
            left: the share that is left.
        """
        stage = name if name in self._expected else name.partition(":")[0]  # 'sound 1: levels', say
        if stage not in self._expected:
            return None
        order, expected = list(self._expected), self._expected[stage]
        later = sum(self._expected[each] for each in order[order.index(stage) + 1 :])
        slower = (_PRIOR_SECONDS + self._took + seconds) / (
            _PRIOR_SECONDS + self._expected_done + max(done * expected, seconds if not done else 0.0)
        )
        whole = (seconds + _PRIOR_SHARE * expected * slower) / (done + _PRIOR_SHARE)
        return left * whole + later * slower


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
        self._observers = 0

    @property
    def asked(self) -> bool:
        """Whether it was asked to stop."""
        return self._asked.is_set()

    @contextmanager
    def observed(self) -> Iterator[None]:
        """While inside, somebody looks at `asked` from time to time and can put the work down."""
        self._observers += 1
        try:
            yield
        finally:
            self._observers -= 1

    def ask(self) -> bool:
        """Ask to stop.

        Returns:
            False where no run listens, or where it was asked before: end the process then.
        """
        if self.asked or not self._observers:
            return False
        self._asked.set()
        return True
