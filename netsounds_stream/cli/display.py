"""Progress on stderr: live bars on a terminal, a line now and then elsewhere."""

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

_SECONDS_BETWEEN_LINES = 5.0
# A stage that took less ends without a line.
_LEAST_STAGE_SECONDS = 1.0


def describe(progress: Progress, memory: Callable[[], int] = resident_bytes) -> str:
    """Return one stage's progress in words.

    Args:
        progress: the progress.
        memory: returns the memory held now, in bytes.

    Returns:
        The share that is done, the rate, the time left, and the memory.
    """
    return f"{standing(progress)}, {remaining(progress, memory)}"


def standing(progress: Progress) -> str:
    """Return how far one stage is: the share, the rate, and at its end the time that it took."""
    share = min(1.0, progress.done / progress.total) if progress.total else 1.0
    words = [f"{share:4.0%}"]
    if progress.unit in ("px", "samples", "B") and progress.rate > 0:
        words.append(rate_text(progress.rate, progress.unit))
    if progress.finished:
        words.append(f"in {clock_text(progress.seconds)}")
    return ", ".join(words)


def remaining(progress: Progress, memory: Callable[[], int] = resident_bytes) -> str:
    """Return the time left, of the whole run if that is known, and the memory that is held now."""
    words = [f"memory {format_bytes(memory())}"]
    if progress.run_seconds_left is not None:
        words.insert(0, f"about {clock_text(progress.run_seconds_left)} left in all")
    elif progress.seconds_left is not None and not progress.finished:
        words.insert(0, f"{clock_text(progress.seconds_left)} left")
    return ", ".join(words)


class LineDisplay:
    """Prints a line every five seconds, and one at the end of each stage that took over a second."""

    def __init__(self, memory: Callable[[], int] = resident_bytes) -> None:
        self._memory = memory
        self._last = time.monotonic()

    def __enter__(self) -> LineDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __call__(self, progress: Progress) -> None:
        """Print a line, if one is due."""
        now = time.monotonic()
        due = now - self._last >= _SECONDS_BETWEEN_LINES
        if due or (progress.finished and progress.seconds >= _LEAST_STAGE_SECONDS):
            self._last = now
            print(f"{progress.stage}: {describe(progress, self._memory)}", file=sys.stderr, flush=True)


class BarDisplay:
    """Shows a live bar for each stage, and below them the time left of the whole run."""

    def __init__(self, memory: Callable[[], int] = resident_bytes) -> None:
        from rich.console import Console, RenderableType
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars
        from rich.text import Text

        class BarsAndRest(Bars):
            """Bars with a line of text below them."""

            rest = ""

            def get_renderables(self) -> Iterable[RenderableType]:
                yield self.make_tasks_table(self.tasks)
                if self.rest:
                    yield Text(self.rest)

        self._memory = memory
        self._bars = BarsAndRest(
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
        """Move the stage's bar, which is added with its first progress."""
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = self._bars.add_task(
                progress.stage, total=progress.total, standing=""
            )
        self._bars.rest = remaining(progress, self._memory)
        self._bars.update(self._tasks[progress.stage], completed=progress.done, standing=standing(progress))


class NoDisplay:
    """Prints nothing."""

    def __enter__(self) -> NoDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __call__(self, progress: Progress) -> None:
        """Do nothing."""


def display(
    *, quiet: bool, memory: Callable[[], int] = resident_bytes
) -> BarDisplay | LineDisplay | NoDisplay:
    """Choose the display that fits where stderr goes.

    Args:
        quiet: print nothing.
        memory: returns the memory held now, in bytes.

    Returns:
        The display, a context manager, which is called with progress.
    """
    if quiet:
        return NoDisplay()
    return BarDisplay(memory) if sys.stderr.isatty() else LineDisplay(memory)
