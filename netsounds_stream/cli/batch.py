"""The command `batch`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..base.machine import importing
from .common import effective_options, print_json, printable, stoppable
from .options import BATCH, BATCH_NETWORK, CHECKPOINT, JSON, OVERWRITE, QUIET, RUN, chosen_options
from .sections import SectionedCommand, stacked
from .text import ended_text, plan_text, table_text

if TYPE_CHECKING:
    from ..batches.plan import BatchPlan


@click.command(cls=SectionedCommand)
@click.argument("patterns", nargs=-1, required=True, metavar="PATTERN...")
@stacked(BATCH, BATCH_NETWORK, RUN, CHECKPOINT, OVERWRITE, QUIET, JSON)
def batch(
    patterns: tuple[str, ...],
    out: Path,
    jobs: int | None,
    cluster: str | None,
    only_plan: bool,
    checkpoint_seconds: float | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Make a run of each of many pictures, in a folder of its own below --out, and a page of all.

    PATTERN is a folder, a file, a quoted glob such as 'photos/**/*.jpg', a .txt file with one name on each
    line, or - to read names from standard input. Finished runs are skipped, stopped ones are resumed. A
    picture that fails is listed in batch.jsonl and does not stop the others.
    """
    options, notes = effective_options(chosen_options(words), cluster=cluster is not None, quiet=quiet)
    with importing():
        from ..base import machine
        from ..batches import batch
        from .display import display

    workers: dict[str, Any] = {"jobs": jobs, "cluster": cluster, "overwrite": overwrite}
    if only_plan:
        with stoppable(quiet=quiet) as stop:
            plan = batch.plan_batch(patterns, out, options, stop=stop, **workers)
        if as_json:
            print_json(asdict(plan))
        else:
            click.echo("\n".join(map(printable, plan_text(plan))))
        plan.check()
        return

    def note(*lines: str) -> None:
        for line in lines if not quiet else ():
            click.echo(printable(line), err=True)

    def note_plan(plan: BatchPlan) -> None:
        note(*plan_text(plan))

    with (
        display(quiet=quiet, memory=machine.all_resident_bytes) as listener,
        stoppable(quiet=quiet) as stop,
    ):
        finished = batch.batch(
            patterns,
            out,
            options,
            checkpoint_seconds=checkpoint_seconds,
            stop=stop,
            on_plan=note_plan,
            on_progress=listener,
            on_end=lambda result: note(ended_text(result)),
            notes=notes,
            **workers,
        )
    if as_json:
        print_json([asdict(result) for result in finished.results])
    else:
        for line in table_text(finished.results):
            click.echo(printable(line))
        if finished.page is not None:
            click.echo(str(finished.page))
    finished.require_all()
