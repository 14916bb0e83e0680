"""How progress looks: a live bar on a terminal, a line now and then elsewhere. Always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from ..base.machine import resident_bytes
from ..base.progress import Progress
from ..base.units import format_bytes
from .text import clock_text, rate_text

_LINE_EVERY_SECONDS = 5.0
_WORTH_A_LINE_SECONDS = 1.0


def describe(progress: Progress, memory: Callable[[], int] = resident_bytes) -> str:
    """Return one stage's standing in words: share, rate, time left, memory now."""
    return f"{standing(progress)}, {remaining(progress, memory)}"


def standing(progress: Progress) -> str:
    """Return how far one stage is: share, rate, and at its end the time that it took."""
    share = min(1.0, progress.done / progress.total) if progress.total else 1.0
    words = [f"{share:4.0%}"]
    if progress.unit in ("px", "samples", "B") and progress.rate > 0:
        words.append(rate_text(progress.rate, progress.unit))
    if progress.finished:
        words.append(f"in {clock_text(progress.seconds)}")
    return ", ".join(words)


def remaining(progress: Progress, memory: Callable[[], int] = resident_bytes) -> str:
    """Return the time left, of the whole run if that is known, and the memory held now."""
    words = [f"memory {format_bytes(memory())}"]
    if progress.run_seconds_left is not None:
        words.insert(0, f"about {clock_text(progress.run_seconds_left)} left in all")
    elif progress.seconds_left is not None and not progress.finished:
        words.insert(0, f"{clock_text(progress.seconds_left)} left")
    return ", ".join(words)


class LineDisplay:
    """Plain lines: one every five seconds, and one at the end of each stage that took over a second."""

    def __init__(self, memory: Callable[[], int] = resident_bytes) -> None:
        self._memory = memory
        self._last = time.monotonic()

    def __enter__(self) -> LineDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        due = now - self._last >= _LINE_EVERY_SECONDS
        if due or (progress.finished and progress.seconds >= _WORTH_A_LINE_SECONDS):
            self._last = now
            print(f"{progress.stage}: {describe(progress, self._memory)}", file=sys.stderr, flush=True)


class BarDisplay:
    """A live bar for each stage, by rich, and below them what is left of the whole run."""

    def __init__(self, memory: Callable[[], int] = resident_bytes) -> None:
        from rich.console import Console, RenderableType
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars
        from rich.text import Text

        class WithRest(Bars):
            rest = ""

            def get_renderables(self) -> Iterable[RenderableType]:
                yield self.make_tasks_table(self.tasks)
                if self.rest:
                    yield Text(self.rest)

        self._memory = memory
        self._bars = WithRest(
            TextColumn("{task.description:<9}"),
            BarColumn(),
            TextColumn("{task.fields[standing]}"),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> BarDisplay:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.rest = ""
        self._bars.stop()

    def __call__(self, progress: Progress) -> None:
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = self._bars.add_task(
                progress.stage, total=progress.total, standing=""
            )
        self._bars.rest = remaining(progress, self._memory)
        self._bars.update(self._tasks[progress.stage], completed=progress.done, standing=standing(progress))


class NoDisplay:
    """Says nothing."""

    def __enter__(self) -> NoDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __call__(self, progress: Progress) -> None:
        return


def display(
    *, quiet: bool, memory: Callable[[], int] = resident_bytes
) -> BarDisplay | LineDisplay | NoDisplay:
    """What fits where stderr goes; `memory` is what is said to be held now."""
    if quiet:
        return NoDisplay()
    return BarDisplay(memory) if sys.stderr.isatty() else LineDisplay(memory)
