"""Settings of how a run is carried out, as opposed to its options. None changes a byte of its files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..base.progress import Listener, Stop
from .plan import Plan


@dataclass(frozen=True, kw_only=True)
class HowToRun:
    """Settings of how a run is carried out.

    Attributes:
        checkpoint_seconds: seconds between checkpoints. None: 8, more in long runs.
        stop: cancellation token of the run.
        on_plan: called with the plan before the work starts.
        on_progress: called with each report of progress, from any thread.
        cluster: address of the Dask cluster that runs the network; None: this machine does.
        segment_rows: approximate number of the picture's rows that a worker of the cluster gets at a time;
            None: the default.
        work: local folder for the work on a run to a URL; None: a temporary one.
    """

    checkpoint_seconds: float | None = None
    stop: Stop | None = None
    on_plan: Callable[[Plan], None] = lambda plan: None
    on_progress: Listener | None = None
    cluster: str | None = None
    segment_rows: int | None = None
    work: Path | None = None
