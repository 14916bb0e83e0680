"""`batch`, as the command line has it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import effective, importing, plain, print_json, stoppable
from .options import BATCH, BATCH_NETWORK, CHECKPOINT, JSON, OVERWRITE, QUIET, RUN, chosen
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
    options, notes = effective(chosen(words), cluster=cluster is not None, quiet=quiet)
    with importing():
        from ..base import machine
        from ..batches import batch
        from .display import display

    where: dict[str, Any] = {"jobs": jobs, "cluster": cluster, "overwrite": overwrite}

    def say(*lines: str) -> None:
        for line in lines if not quiet else ():
            click.echo(plain(line), err=True)

    def told(made: BatchPlan) -> None:
        say(*plan_text(made))

    if only_plan:
        with stoppable(quiet=quiet) as stop:
            made = batch.plan_batch(patterns, out, options, stop=stop, **where)
        if as_json:
            print_json(asdict(made))
        else:
            click.echo("\n".join(map(plain, plan_text(made))))
        made.check()
        return
    with (
        display(quiet=quiet, memory=machine.all_resident_bytes) as shown,
        stoppable(quiet=quiet) as stop,
    ):
        ended = batch.batch(
            patterns,
            out,
            options,
            checkpoint_seconds=checkpoint_seconds,
            stop=stop,
            on_plan=told,
            on_progress=shown,
            on_end=lambda result: say(ended_text(result)),
            notes=notes,
            **where,
        )
    if as_json:
        print_json([asdict(each) for each in ended.results])
    else:
        for line in table_text(ended.results):
            click.echo(plain(line))
        if ended.page is not None:
            click.echo(str(ended.page))
    ended.require_all()
