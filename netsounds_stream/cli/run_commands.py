"""The commands on finished runs and their files: `check`, `info`, `plot`, `share`, `gallery`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..base.machine import importing
from .common import print_json
from .options import JSON, LOCAL, PLACE, QUIET
from .sections import MAIN, SectionedCommand, option, stacked
from .text import check_text, facts_text


@click.command(cls=SectionedCommand)
@click.argument("folder", type=PLACE)
@stacked(QUIET, JSON)
def check(folder: str | Path, quiet: bool, as_json: bool) -> None:
    """Read all files of the finished run in FOLDER, and list those that are damaged."""
    with importing():
        from ..run.check import check as check_run
        from .display import display

    with display(quiet=quiet) as listener:
        result = check_run(folder, on_progress=listener)
    if as_json:
        from dataclasses import asdict

        print_json({**asdict(result), "folder": str(folder)})
    else:
        for damage in result.damaged:
            click.echo(f"DAMAGED {damage.name}: {damage.what}")
        click.echo(check_text(result))
    result.require_whole()


@click.command(cls=SectionedCommand)
@click.argument("path", type=PLACE)
@JSON
def info(path: str | Path, as_json: bool) -> None:
    """Describe a run's folder, a stored array or a WAV file."""
    from ..run.inspect import inspect

    facts = inspect(path)
    if as_json:
        print_json(facts)
    else:
        click.echo(facts_text(facts))


@click.command(cls=SectionedCommand)
@click.argument("folder", type=LOCAL)
@option(MAIN, "--bank", type=int, help="Make the pictures of this bank only.")
@option(MAIN, "--filter", type=int, help="Make one picture, of this filter of --bank, counted from 0.")
@option(
    MAIN,
    "--reduce",
    type=click.Choice(("mean", "max")),
    default="mean",
    help="What a pixel of a filter's picture shows of its activations.",
)
@option(MAIN, "--size", default=1024, metavar="PIXELS", help="Longest edge of a filter's picture.")
@option(
    MAIN, "--format", type=click.Choice(("jpg", "png")), default="jpg", help="Format of a filter's picture."
)
@option(MAIN, "--out", type=LOCAL, help="Folder for the pictures. [default: pictures, in the run's folder]")
@stacked(QUIET)
def plot(folder: Path, quiet: bool, **words: Any) -> None:
    """Make the pictures of the run in FOLDER again, or a picture of one filter."""
    with importing():
        from ..report import plot
        from .display import display

    with display(quiet=quiet) as listener:
        written = plot.plot(folder, on_progress=listener, **words)
    for path in written:
        click.echo(str(path))


@click.command(cls=SectionedCommand)
@click.argument("folder", type=LOCAL)
@option(MAIN, "--out", type=LOCAL, help="File to write. [default: share.html, in the run's folder]")
@stacked(QUIET)
def share(folder: Path, out: Path | None, quiet: bool) -> None:
    """Write the page of the run in FOLDER as one file that needs no other, to send it."""
    with importing():
        from ..report.single_file import share as write
        from .display import display

    with display(quiet=quiet) as listener:
        click.echo(str(write(folder, out, on_progress=listener)))


@click.command(cls=SectionedCommand)
@click.argument("runs", nargs=-1, required=True, type=LOCAL)
@option(MAIN, "--out", required=True, type=LOCAL, help="Folder for the page.")
@option(MAIN, "--title", default="netsounds", help="Title of the page.")
def gallery(runs: tuple[Path, ...], out: Path, title: str) -> None:
    """Write a page with the pictures and mixes of many RUNS, which stay where they are."""
    from ..report.gallery import gallery as write

    click.echo(str(write(runs, out, title=title)))
