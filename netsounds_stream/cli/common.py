"""What commands share: imports, a wish to stop, the picture's path, what is printed."""

from __future__ import annotations

import gc
import json
import os
import shlex
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..base.locations import has_picture_suffix
from ..base.progress import Stop
from ..errors import OptionError
from ..planning.option_effects import Request, without_effect
from ..planning.options import SonifyOptions
from .sections import SectionedCommand, given_options
from .text import short_plan

if TYPE_CHECKING:
    from ..planning.plan import Plan
    from ..run.result import Run


# How pictures' names end; only for a guess at what was meant.


class Commands(click.Group):
    """The group of all commands, which tells someone who names a picture first what to write instead."""

    command_class = SectionedCommand

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name of the command in `args`, the command, and the words that follow.

        Raises:
            click.UsageError: there is no such command.
        """
        word = args[0]
        like_a_picture = Path(word).is_file() or has_picture_suffix(word)
        if like_a_picture and self.get_command(context, word) is None:
            meant = f"{context.command_path} sonify {shlex.quote(word)}"
            raise click.UsageError(f"'{word}' is not a command; to make sound from it: {meant}", context)
        return super().resolve_command(context, args)


@contextmanager
def importing() -> Iterator[None]:
    """Imports with the garbage collector off, their objects set aside for good.

    Torch and the rest make a few hundred thousand objects that live as long as the process: going through
    them, while they are made and at the end, takes a third of a second.
    """
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@contextmanager
def stoppable(*, quiet: bool) -> Iterator[Stop]:
    """Ctrl-C, and a polite request to end, ask the run to put its work down; again, they end it at once."""
    stop = Stop()

    def hear(number: int, frame: object) -> None:
        if not stop.ask():
            raise KeyboardInterrupt
        if not quiet:  # past Python's streams, one of which the signal may have interrupted
            os.write(2, b"stopping as soon as finished work is safe; Ctrl-C again stops at once\n")

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def planned(*, quiet: bool) -> Callable[[Plan], None]:
    """What tells the plan, before the work."""

    def say(plan: Plan) -> None:
        if not quiet:
            click.echo(short_plan(plan), err=True)

    return say


def picture_path(
    image: str | Path | None, folder: Path | None, fragment: str | None, *, quiet: bool
) -> str | Path:
    """The picture, named as such, by a URL too, or by a part of its name in a folder.

    Raises:
        OptionError: it is named in both ways, or in none.
        PictureError: nothing there has such a name.
    """
    if image is not None and folder is None and fragment is None:
        return image
    if image is not None or folder is None or fragment is None:
        raise OptionError("name the picture either as IMAGE or by --dpath DIR with --image-name FRAGMENT")
    from ..picture.picture import find_picture

    found, matches = find_picture(folder, fragment)
    if not quiet:
        for match in matches:
            click.echo(f"{'->' if match == found else '  '} {match.name}", err=True)
    return found


def effective(
    options: SonifyOptions, *, cluster: bool = False, url: bool = False, quiet: bool
) -> tuple[SonifyOptions, tuple[str, ...]]:
    """Say which of the given options have no effect.

    Args:
        options: what is asked for.
        cluster: whether a cluster is.
        url: whether the run goes to a URL.
        quiet: print nothing.

    Returns:
        The options without a budget for a GPU that is not asked for, and the notes.
    """
    notes = without_effect(Request(options, cluster, url), given_options())
    if not quiet:
        for note in notes:
            click.echo(f"note: {note}", err=True)
    return (options if options.device == "cuda" else replace(options, gpu_memory_bytes=None)), notes


def print_run(run: Run, *, as_json: bool, quiet: bool, said: Collection[str] = ()) -> None:
    """Print a finished run: on stdout the path of each file, the page's last, or else the record as JSON.

    Args:
        run: the run.
        as_json: print the record.
        quiet: print nothing on stderr.
        said: notes that were printed before.
    """
    if as_json:
        print_json(run.record)
        return
    if not quiet:
        click.echo(f"{run.label}: {len(run.files)} files in {run.folder}", err=True)
        for note in run.record["notes"]:
            if note not in said:
                click.echo(f"note: {note}", err=True)
    for file in run.files:
        if file != run.page:
            click.echo(str(file))
    if run.page is not None:
        click.echo(str(run.page))


def plain(text: str) -> str:
    """A line without what a terminal takes for an order, which the name of a file may hold."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def print_json(value: Any) -> None:
    """All of what a command has to say, for programs."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))
