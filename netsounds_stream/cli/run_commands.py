"""The commands on finished runs: `check`, `info`, `plot`, `share`, `gallery`, `video`, `midi`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..base.machine import importing
from ..planning import scales
from ..videos.codecs import CODECS
from .common import print_json
from .options import JSON, LOCAL, OVERWRITE, PLACE, QUIET
from .render import ACROSS
from .sections import MAIN, SectionedCommand, option, stacked
from .text import check_text, facts_text, midi_text, video_text


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


@click.command(cls=SectionedCommand)
@click.argument("run", type=LOCAL)
@click.argument("out", type=LOCAL)
@option(MAIN, "--size", default="1920x1080", metavar="WIDTHxHEIGHT", help="Size of the video in pixels.")
@option(MAIN, "--fps", default="30", metavar="RATE", help="Frames a second, such as 25, 30, 60 or 29.97.")
@option(
    MAIN,
    "--sound",
    default="mix",
    metavar="mix|bank-N|stem-N",
    help="Sound of the video: the mix, the sum of bank N, or that bank's part of the mix.",
)
@option(
    MAIN,
    "--codec",
    type=click.Choice(CODECS),
    help="Codec of the moving picture. [default: h264 in .mp4, vp9 in .webm]",
)
@option(MAIN, "--title", help="First line of text. [default: the picture's name]")
@option(
    MAIN,
    "--font",
    type=LOCAL,
    metavar="FILE",
    help="Font of the text, .ttf or .otf. [default: one that has Latin letters without accents]",
)
@ACROSS
@stacked(OVERWRITE, QUIET, JSON)
def video(run: Path, out: Path, quiet: bool, as_json: bool, **words: Any) -> None:
    """Make OUT (.mp4 or .webm), a video of a finished RUN: the picture with a moving playhead, and the sound.

    It needs the extra video: pip install 'netsounds-stream[video]'.
    """
    with importing():
        from ..videos.video import video as make
        from .display import display

    with display(quiet=quiet) as listener:
        made = make(run, out, on_progress=listener, **words)
    if as_json:
        from dataclasses import asdict

        print_json({**asdict(made), "path": str(made.path)})
        return
    if not quiet:
        for note in made.notes:
            click.echo(f"note: {note}", err=True)
        click.echo(video_text(made), err=True)
    click.echo(str(made.path))


@click.command(cls=SectionedCommand)
@click.argument("run", type=LOCAL)
@click.argument("out", type=LOCAL)
@option(MAIN, "--notes", default=4, metavar="N", help="Most notes of a bank that sound at a time, 1 to 15.")
@option(MAIN, "--min-note", default=0.15, metavar="SECONDS", help="Leave out notes that are shorter.")
@option(
    MAIN,
    "--scale-notes",
    metavar="SCALE",
    help=f"Bring pitches to the notes of a scale: {', '.join(scales.SCALES)}, or a Scala file, NAME.scl.",
)
@option(
    MAIN,
    "--root",
    metavar="NOTE",
    help="Root of --scale-notes: a note such as A2, F#3 or Bb1, or hertz. [default: A2, 110 Hz]",
)
@option(MAIN, "--bpm", default=120.0, help="Tempo of the bars; times in seconds do not depend on it.")
@option(
    MAIN, "--mpe", is_flag=True, help="Give each note a channel and its exact pitch, for MPE instruments."
)
@option(MAIN, "--duration", type=float, metavar="SECONDS", help="Length in time. [default: the mix's]")
@ACROSS
@option(MAIN, "--fmin", type=float, metavar="HZ", help="Frequency of the lowest row. [default: the run's]")
@option(MAIN, "--fmax", type=float, metavar="HZ", help="Frequency of the highest row. [default: the run's]")
@option(MAIN, "--title", help="Title of the file. [default: the label and the picture's name]")
@option(MAIN, "--events", type=LOCAL, help="Table of the notes. [default: events.csv, beside OUT]")
@stacked(OVERWRITE, QUIET, JSON)
def midi(run: Path, out: Path, quiet: bool, as_json: bool, **words: Any) -> None:
    """Write a finished RUN as notes: OUT (.mid), and events.csv with each note's place in the picture.

    It needs the extra midi: pip install 'netsounds-stream[midi]'.
    """
    with importing():
        from ..transcription.midi import midi as write
        from .display import display

    with display(quiet=quiet) as listener:
        made = write(run, out, on_progress=listener, **words)
    if as_json:
        from dataclasses import asdict

        print_json({**asdict(made), "path": str(made.path), "events_path": str(made.events_path)})
        return
    if not quiet:
        for remark in made.remarks:
            click.echo(f"note: {remark}", err=True)
        click.echo(midi_text(made), err=True)
    click.echo(str(made.path))
