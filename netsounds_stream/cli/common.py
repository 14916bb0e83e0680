"""Parts that commands share: imports, cancellation by signals, the picture's path, and what is printed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..base.locations import has_picture_suffix, is_url, quoted
from ..base.progress import Stop
from ..errors import OptionError
from ..planning.option_effects import Request, without_effect
from ..planning.options import SonifyOptions
from .sections import SectionedCommand, given_options
from .text import short_plan

if TYPE_CHECKING:
    from ..planning.plan import Plan
    from ..run.result import Run


class PipeError(Exception):
    """A broken pipe of a command's work.

    click would take it for one of stdout, whose reader has gone, and end without a word.

    Args:
        broken: the error.

    Attributes:
        broken: the error.
    """

    def __init__(self, broken: BrokenPipeError) -> None:
        super().__init__(str(broken))
        self.broken = broken


class Commands(click.Group):
    """The group of all commands. It tells who names a picture in place of a command what to write."""

    command_class = SectionedCommand

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command.

        Raises:
            PipeError: a pipe broke that is not stdout, which never fails here.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise PipeError(error) from error

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the words name.

        Args:
            context: click's context.
            args: the words after the program's name.

        Returns:
            The command's name, the command, and the words that follow.

        Raises:
            click.UsageError: there is no such command.
        """
        word = args[0]
        like_a_picture = Path(word).is_file() or has_picture_suffix(word)
        if like_a_picture and self.get_command(context, word) is None:
            meant = f"{context.command_path} sonify {quoted(word)}"
            raise click.UsageError(f"'{word}' is not a command; to make sound from it: {meant}", context)
        return super().resolve_command(context, args)


@contextmanager
def stoppable(*, quiet: bool) -> Iterator[Stop]:
    """Let Ctrl-C and SIGTERM suspend the run in the `with` block; the second ends it at once.

    Args:
        quiet: say nothing when the first comes.

    Yields:
        The cancellation token, which the first signal asks to stop.
    """
    stop = Stop()

    def handle(number: int, frame: object) -> None:
        if not stop.ask():
            raise KeyboardInterrupt
        if not quiet:  # not by a stream of Python's, which the signal may have interrupted
            os.write(2, b"stopping as soon as finished work is safe; Ctrl-C again stops at once\n")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def plan_printer(*, quiet: bool) -> Callable[[Plan], None]:
    """Return a function that prints a plan in one line, or with `quiet` does nothing."""

    def echo(plan: Plan) -> None:
        if not quiet:
            click.echo(short_plan(plan), err=True)

    return echo


def picture_path(
    image: str | Path | None, folder: Path | None, fragment: str | None, *, quiet: bool
) -> str | Path:
    """Return the picture that a command is given.

    Args:
        image: its path or URL, if it is named so.
        folder: or else a folder,
        fragment: and a part of its name there.
        quiet: do not list the pictures whose names fit.

    Returns:
        The picture's path or URL.

    Raises:
        OptionError: it is named in both ways, or in none.
        PictureError: nothing there has such a name.
    """
    if image is not None and folder is None and fragment is None:
        return image
    if image is not None or folder is None or fragment is None:
        raise OptionError("name the picture either as IMAGE or by --dpath DIR with --image-name FRAGMENT")
    from ..picture.picture import find_picture

    picture, matches = find_picture(folder, fragment)
    if not quiet:
        for match in matches:
            click.echo(f"{'->' if match == picture else '  '} {match.name}", err=True)
    return picture


def effective_options(
    options: SonifyOptions, *, out: str | Path | None = None, cluster: bool = False, quiet: bool
) -> tuple[SonifyOptions, tuple[str, ...]]:
    """Print a note about each given option that has no effect, and return what has one.

    Args:
        options: options of the command.
        out: where the run goes; None where the command makes no run.
        cluster: whether a cluster makes it.
        quiet: print nothing.

    Returns:
        The options, without a budget for a GPU that is not used; and the notes.
    """
    request = Request(options, cluster, url=out is not None and is_url(out))
    notes = without_effect(request, given_options())
    if not quiet:
        for note in notes:
            click.echo(f"note: {note}", err=True)
    return (options if options.device == "cuda" else replace(options, gpu_memory_bytes=None)), notes


def print_run(run: Run, *, as_json: bool, quiet: bool, printed: Collection[str] = ()) -> None:
    """Print a finished run on stdout: the path of each file, the page's last, or its record as JSON.

    Args:
        run: the run.
        as_json: print the record.
        quiet: print nothing on stderr.
        printed: notes that were printed before.
    """
    if as_json:
        print_json(run.record)
        return
    if not quiet:
        click.echo(f"{run.label}: {len(run.files)} files in {run.folder}", err=True)
        for note in run.record["notes"]:
            if note not in printed:
                click.echo(f"note: {note}", err=True)
    for file in run.files:
        if file != run.page:
            click.echo(str(file))
    if run.page is not None:
        click.echo(str(run.page))


def printable(text: str) -> str:
    """Escape control characters, which a file's name may hold and a terminal would obey."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def print_json(value: Any) -> None:
    """Print a value on stdout as JSON."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))
