"""The command line: each command parses, makes one call, prints. Results to stdout, the rest to stderr."""

from __future__ import annotations

import errno
import signal
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click

from .batch_command import batch
from .command_options import (
    CHECKPOINT,
    CLUSTER,
    COMPUTE,
    JSON,
    LABEL,
    LOCAL,
    NETWORK,
    OUT,
    OVERWRITE,
    PICTURE,
    PLACE,
    QUIET,
    RUN,
    SOUND,
    WORK,
    chosen,
    stacked,
)
from .command_parts import Commands, importing, picture_path, plain, planned, print_json, print_run, stoppable
from .errors import NetsoundsError, Stopped
from .locations import local_only
from .naming import folder_of
from .wording import bench_text, check_text, facts_text, long_plan, short_plan, verification_text


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="netsounds-stream")
@click.pass_context
def cli(context: click.Context) -> None:
    """Turn pictures of any size into sound through a neural network, in bounded memory."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command()
@stacked(PICTURE, OUT, NETWORK, RUN, LABEL)
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped; begin where there is none.")
@stacked(CLUSTER, WORK, CHECKPOINT, OVERWRITE, QUIET, JSON)
def sonify(
    image: str | Path | None,
    dpath: Path | None,
    image_name: str | None,
    out: str | Path | None,
    resume: bool,
    cluster: str | None,
    segment_rows: int | None,
    work: Path | None,
    checkpoint_seconds: float | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Turn IMAGE into stored activations and WAV files."""
    options = chosen(words)
    path = picture_path(image, dpath, image_name, quiet=quiet)
    with importing():
        from . import engine
        from .display import display

    with display(quiet=quiet) as shown, stoppable(quiet=quiet) as stop:
        run = engine.sonify(
            path,
            out or folder_of(path),
            options,
            overwrite=overwrite,
            resume=resume,
            work=work,
            checkpoint_seconds=checkpoint_seconds,
            stop=stop,
            on_plan=planned(quiet=quiet),
            on_progress=shown,
            cluster=cluster,
            segment_rows=segment_rows,
        )
    print_run(run, as_json=as_json)


cli.add_command(batch)


@cli.command()
@click.argument("folder", type=PLACE)
@click.option("--memory", metavar="SIZE", help="Instead of the budget that the run began with.")
@stacked(CLUSTER, WORK, CHECKPOINT, QUIET, JSON)
def resume(
    folder: str | Path,
    memory: str | None,
    cluster: str | None,
    segment_rows: int | None,
    work: Path | None,
    checkpoint_seconds: float | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Go on with the run that was stopped before it became FOLDER."""
    with importing():
        from . import engine
        from .display import display

    with display(quiet=quiet) as shown, stoppable(quiet=quiet) as stop:
        run = engine.resume(
            folder,
            memory=memory,
            work=work,
            checkpoint_seconds=checkpoint_seconds,
            stop=stop,
            on_plan=planned(quiet=quiet),
            on_progress=shown,
            cluster=cluster,
            segment_rows=segment_rows,
        )
    print_run(run, as_json=as_json)


@cli.command()
@stacked(PICTURE, OUT, WORK, NETWORK, RUN, LABEL, JSON)
def plan(
    image: str | Path | None,
    dpath: Path | None,
    image_name: str | None,
    out: str | Path | None,
    work: Path | None,
    as_json: bool,
    **words: Any,
) -> None:
    """Say what sonify would do with IMAGE: sizes, memory, disk. Decodes no pixel."""
    options = chosen(words)
    path = picture_path(image, dpath, image_name, quiet=as_json)
    with importing():
        from . import engine

    made = engine.plan(path, out or folder_of(path), options, work=work)
    if as_json:
        from dataclasses import asdict

        print_json({**asdict(made), "peak_memory_bytes": made.peak_memory_bytes})
    else:
        click.echo(long_plan(made))
    made.check()


@cli.command()
@click.argument("array", type=LOCAL)
@click.argument("out", type=LOCAL)
@click.option("--scheme", default="sum", show_default=True, help="'sum' or 'concat'.")
@click.option("--time-axis", default="auto", show_default=True, help="'x', 'y', or what the array says.")
@stacked(SOUND)
@click.option("--format", help="wav, flac or ogg. [default: what OUT ends in, else wav]")
@stacked(OVERWRITE, QUIET)
def render(array: Path, out: Path, time_axis: str, quiet: bool, **words: Any) -> None:
    """Make sound again from a stored ARRAY (.zarr or .npy), without the network."""
    with importing():
        from . import rendering
        from .display import display

    axis = None if time_axis == "auto" else time_axis
    if words["format"] is None:
        words.pop("format")
    with display(quiet=quiet) as shown:
        audio = rendering.render(array, out, time_axis=axis, on_progress=shown, **words)
    click.echo(f"{out}: {audio.samples} samples, {audio.container}")


@cli.command()
@click.argument("folder", type=PLACE)
@stacked(QUIET, JSON)
def check(folder: str | Path, quiet: bool, as_json: bool) -> None:
    """Read a finished run whole, and say what of it is damaged."""
    with importing():
        from .checking import check as read_whole
        from .display import display

    with display(quiet=quiet) as shown:
        found = read_whole(folder, on_progress=shown)
    if as_json:
        from dataclasses import asdict

        print_json({**asdict(found), "folder": str(folder)})
    else:
        for each in found.damaged:
            click.echo(f"DAMAGED {each.name}: {each.what}")
        click.echo(check_text(found))
    found.require_whole()


@cli.command()
@click.argument("path", type=PLACE)
@JSON
def info(path: str | Path, as_json: bool) -> None:
    """Say what a run's folder, a stored array or a WAV file holds."""
    from .inspection import inspect

    facts = inspect(path)
    if as_json:
        print_json(facts)
    else:
        click.echo(facts_text(facts))


@cli.command()
@stacked(PICTURE, NETWORK, QUIET, JSON)
def verify(
    image: str | Path | None,
    dpath: Path | None,
    image_name: str | None,
    quiet: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Compare the stream with the whole-image network on IMAGE, at a size that fits."""
    options = chosen(words)
    path = picture_path(image, dpath, image_name, quiet=quiet)
    with importing():
        from .display import display
        from .verification import verify as compare

    with display(quiet=quiet) as shown:
        result = compare(local_only("verify", path), options, on_progress=shown)
    if as_json:
        from dataclasses import asdict

        print_json({**asdict(result), "agreed": result.agreed})
    else:
        click.echo(verification_text(result))
    if not result.agreed:
        raise NetsoundsError(
            "the stream differs from the whole image by more than rounding; use --precision fp32, "
            "and report it if it does so there"
        )


@cli.command()
@click.option("--image", type=LOCAL, help="Your picture. [default: one drawn here]")
@click.option("--out", type=LOCAL, default="demo", show_default=True, help="Folder.")
@stacked(QUIET, JSON)
def demo(image: Path | None, out: Path, quiet: bool, as_json: bool) -> None:
    """Do the main job on a picture drawn here, or on yours, untrained where no weights can be had."""
    with importing():
        from .demonstration import demonstrate
        from .display import display

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    with display(quiet=quiet) as shown:
        run = demonstrate(
            image, out, on_plan=lambda made: say(short_plan(made)), on_progress=shown, on_note=say
        )
    print_run(run, as_json=as_json)


@cli.command()
@click.argument("folder", type=LOCAL)
@click.option("--bank", type=int, help="This bank only.")
@click.option("--filter", type=int, help="One filter's picture, counted from 0; with --bank.")
@click.option("--reduce", default="mean", show_default=True, help="'mean' or 'max' of what a pixel holds.")
@click.option("--size", default=1024, show_default=True, help="The long edge of a filter's picture, at most.")
@click.option("--format", default="webp", show_default=True, help="webp or png, of a filter's picture.")
@click.option("--out", type=LOCAL, help="Folder. [default: pictures, in the run's]")
@stacked(QUIET)
def plot(folder: Path, quiet: bool, **words: Any) -> None:
    """Make the pictures of the run in FOLDER again: contact sheets, spectrograms, or one filter."""
    with importing():
        from . import plotting
        from .display import display

    with display(quiet=quiet) as shown:
        written = plotting.plot(folder, on_progress=shown, **words)
    for path in written:
        click.echo(str(path))


@cli.command()
@click.argument("runs", nargs=-1, required=True, type=LOCAL)
@click.option("--out", required=True, type=LOCAL, help="Folder for the page.")
@click.option("--title", default="netsounds", show_default=True, help="Of the page.")
def gallery(runs: tuple[Path, ...], out: Path, title: str) -> None:
    """Write a page over many RUNS, with their pictures and mixes, which stay where they are."""
    from .galleries import gallery as write

    click.echo(str(write(runs, out, title=title)))


@cli.command()
@click.argument("image", required=False, type=LOCAL)
@click.option("--quick", is_flag=True, help="One run on a small picture, in seconds.")
@stacked(COMPUTE, QUIET, JSON)
def bench(image: Path | None, quick: bool, quiet: bool, as_json: bool, **words: Any) -> None:
    """Measure this machine: how fast pictures go (IMAGE's time is foretold too), how large a one fits."""
    options = chosen(words)
    with importing():
        from . import machine
        from .benchmark import bench as measure

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    start = machine.seconds_since_start()
    report = measure(options, image=image, quick=quick, start_seconds=start, on_note=say)
    if as_json:
        from dataclasses import asdict

        from .record import versions

        print_json({**asdict(report), "machine": machine.describe(), "versions": versions()})
    else:
        click.echo(bench_text(report, machine.describe()))


def main() -> None:
    """Run the command line; every error is one line on stderr."""
    # A polite request to end is treated as Ctrl-C: what was begun is cleared away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # file names as they are, UTF-8 or not
    try:
        status = cli(standalone_mode=False) or 0
    except NetsoundsError as error:
        status = _fail(_with_notes(_text_of(error), error), error.exit_status)
    except click.UsageError as error:
        where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        status = _fail(error.format_message() + where, error.exit_code)
    except click.ClickException as error:
        status = _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        interrupted = error.__cause__ or error  # click wraps it
        kept = hasattr(interrupted, "__notes__")
        status = _fail(_with_notes("stopped" if kept else "stopped; nothing was kept", interrupted), 130)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        mend = "make room on the disk" if full else "check that the folder is there and writable"
        status = _fail(_with_notes(f"{name}{error.strerror or error}; {mend}", error), 1)
    sys.exit(status)


def _text_of(error: NetsoundsError) -> str:
    if isinstance(error, Stopped):
        return "stopped" if hasattr(error, "__notes__") else "stopped; nothing was kept"
    return str(error)


def _with_notes(text: str, error: BaseException) -> str:
    return "; ".join((text, *getattr(error, "__notes__", ())))


def _fail(text: str, status: int) -> int:
    click.echo("netsounds-stream: " + plain(" ".join(text.split())), err=True)
    return status
