"""Several sound files finished side by side, as one step of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..base.checksums import FileSum
from ..base.journal import Files, Journal, Step
from ..base.pipeline import Pipeline
from ..base.progress import Advance
from ..planning.steps import FinishedState
from ..store.blocks import Block, Pass
from .finishing import Finish, Segment, finish
from .naming import named


def finish_files(
    journal: Journal,
    pipeline: Pipeline,
    step: Step[FinishedState],
    jobs: Sequence[tuple[Finish, Sequence[Segment]]],
    advance: Advance,
) -> None:
    """Finish several files side by side.

    Args:
        journal: keeps the state of the step: how many files are complete, in the order of `jobs`.
        pipeline: the workers.
        step: name of the step.
        jobs: target and segments of each file.
        advance: called with the number of samples of each pass over a file.

    Raises:
        Stopped: the run was asked to stop; files that are complete are noted in the journal.
    """
    work = Pass(journal, step, [Block(slice(at, at + 1), slice(0, 1)) for at in range(len(jobs))])
    measured = {} if work.state is None else dict(work.state["measured"])
    targets = {target.path: target for target, _ in jobs}
    written: dict[Path, FileSum | None] = {}

    def finish_one(block: Block) -> tuple[Path, FileSum, dict[str, Any]]:
        target, segments = jobs[block.channels.start]
        finished = finish(target, segments, advance)
        return target.path, finished.written, finished.measured

    def add(finished: tuple[Path, FileSum, dict[str, Any]]) -> None:
        path, checksum, facts = finished
        written.update(with_view(targets[path], checksum))
        if facts:
            measured[named(path)] = facts
        work.reached(lambda: {"measured": dict(measured)}, files)

    def files() -> Files:
        since_last_commit = dict(written)
        written.clear()
        return since_last_commit

    pipeline.run(work.remaining(Advance("", 1, "", lambda progress: None), 0), finish_one, [add])
    work.end(lambda: {"measured": dict(measured)}, files)


def with_view(target: Finish, written: FileSum) -> dict[Path, FileSum | None]:
    """Return the files that finishing a target wrote.

    Args:
        target: the target.
        written: size and checksum of its file.

    Returns:
        Its file and its view, with their checksums; the view has none.
    """
    view: dict[Path, FileSum | None] = {} if target.view is None else {target.view[0]: None}
    return {target.path: written, **view}
