"""How a run is carried out, beside what is wanted of it: nothing here changes a byte of its files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..base.progress import Listener, Stop
from .plan import Plan


@dataclass(frozen=True, kw_only=True)
class HowToRun:
    """How a run is carried out.

    Attributes:
        checkpoint_seconds: how often the state is written to the disk. None: 8 s, less often in long runs.
        stop: cancels the run.
        on_plan: called with the plan before the work starts.
        on_progress: called as the work goes on, from any thread.
        cluster: address of the Dask cluster that computes the network; None: this machine does.
        segment_rows: about how many rows of the picture a worker of the cluster gets at a time; None: the
            usual number.
        work: folder that a run to a URL is worked on in; None: a temporary one.
    """

    checkpoint_seconds: float | None = None
    stop: Stop | None = None
    on_plan: Callable[[Plan], None] = lambda plan: None
    on_progress: Listener | None = None
    cluster: str | None = None
    segment_rows: int | None = None
    work: Path | None = None
