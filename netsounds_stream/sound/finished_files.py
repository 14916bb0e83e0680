"""Finished files: what finishing one leaves, and several finished side by side as a step of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..base.checksums import FileSum
from ..base.journal import Files, Journal
from ..base.pipeline import Pipeline
from ..base.progress import Advance
from ..store.blocks import Block, Pass
from .finishing import Finish, Segment, finish

#: How the folder of a bank's files, one a filter, ends.
FILTERS = "_filters"


def finish_files(
    journal: Journal,
    pipeline: Pipeline,
    step: str,
    jobs: Sequence[tuple[Finish, Sequence[Segment]]],
    advance: Advance,
) -> None:
    """Finish several files side by side: the `step` of that name, one file after another."""
    work = Pass(journal, step, [Block(slice(at, at + 1), slice(0, 1)) for at in range(len(jobs))])
    measured = dict((work.state or {}).get("measured", {}))
    targets = {target.path: target for target, _ in jobs}
    written: dict[Path, FileSum | None] = {}

    def one(block: Block) -> tuple[Path, FileSum, dict[str, Any]]:
        target, segments = jobs[block.channels.start]
        return target.path, *finish(target, segments, advance)

    def add(found: tuple[Path, FileSum, dict[str, Any]]) -> None:
        path, whole, facts = found
        written.update(with_view(targets[path], whole))
        if facts:
            measured[named(path)] = facts
        work.reached(lambda: {"measured": dict(measured)}, files)

    def files() -> Files:
        found = dict(written)
        written.clear()
        return found

    pipeline.run(work.remaining(Advance("", 1, "", lambda progress: None), 0), one, [add])
    work.end(lambda: {"measured": dict(measured)}, files)


def named(path: Path) -> str:
    """A sound file's name in its run's folder."""
    return f"{path.parent.name}/{path.name}" if path.parent.name.endswith(FILTERS) else path.name


def with_view(target: Finish, written: FileSum) -> dict[Path, FileSum | None]:
    """The files that finishing one wrote."""
    view: dict[Path, FileSum | None] = {} if target.view is None else {target.view[0]: None}
    return {target.path: written, **view}
