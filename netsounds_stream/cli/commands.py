"""The commands: each parses its words, makes one call and prints; results to stdout, all else to stderr."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from ..base.locations import default_folder, local_only
from ..base.machine import importing
from ..errors import NetsoundsError, Stopped, first_line, of_system, remedy_for
from ..planning.options import PRETRAINED, UNTRAINED, SonifyOptions
from .batch import batch
from .common import (
    Commands,
    PipeError,
    effective_options,
    picture_path,
    plan_printer,
    print_json,
    print_run,
    printable,
    stoppable,
)
from .network_commands import layers
from .options import (
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
    WHICH_NETWORK,
    WORK,
    NameOrFile,
    chosen_options,
)
from .render import render
from .run_commands import check, gallery, info, midi, plot, share, video
from .sections import MAIN, option, stacked
from .streams import lossy_streams
from .text import bench_text, long_plan, plan_facts, verification_text


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
@option(MAIN, "--resume", is_flag=True, help="Resume a stopped run, or start one where there is none.")
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
    """Turn IMAGE into sound, in a folder with a page to see and hear it."""
    options = chosen_options(words)
    path = picture_path(image, dpath, image_name, quiet=quiet)
    out = out or default_folder(path)
    options, notes = effective_options(options, out=out, cluster=cluster is not None, quiet=quiet)
    with importing():
        from .. import api
        from .display import display

    with display(quiet=quiet) as listener, stoppable(quiet=quiet) as stop:
        run = api.sonify(
            path,
            out,
            options,
            overwrite=overwrite,
            resume=resume,
            work=work,
            checkpoint_seconds=checkpoint_seconds,
            stop=stop,
            on_plan=plan_printer(quiet=quiet),
            on_progress=listener,
            cluster=cluster,
            segment_rows=None if cluster is None else segment_rows,
            notes=notes,
        )
    print_run(run, as_json=as_json, quiet=quiet, printed=notes)


cli.add_command(batch)


@cli.command()
@click.argument("folder", type=PLACE)
@option(
    MAIN,
    "--memory",
    metavar="SIZE",
    help="Memory that the whole process may use. [default: as the run was started with]",
)
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
    """Resume the stopped run that is to become FOLDER."""
    effective_options(SonifyOptions(), out=folder, cluster=cluster is not None, quiet=quiet)
    with importing():
        from .. import api
        from .display import display

    with display(quiet=quiet) as listener, stoppable(quiet=quiet) as stop:
        run = api.resume(
            folder,
            memory=memory,
            work=work,
            checkpoint_seconds=checkpoint_seconds,
            stop=stop,
            on_plan=plan_printer(quiet=quiet),
            on_progress=listener,
            cluster=cluster,
            segment_rows=None if cluster is None else segment_rows,
        )
    print_run(run, as_json=as_json, quiet=quiet)


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
    """Print what sonify would make of IMAGE, and the memory and disk it needs; decode nothing."""
    options = chosen_options(words)
    path = picture_path(image, dpath, image_name, quiet=as_json)
    out = out or default_folder(path)
    options, notes = effective_options(options, out=out, quiet=False)
    with importing():
        from .. import api
        from ..base import machine
        from ..stages import forecast

    planned = api.plan(path, out, options, work=work)
    start = machine.seconds_since_start()
    seconds = forecast.run_seconds(planned, options, start_seconds=start)
    rate = options.sound.file_rate_hz
    if as_json:
        print_json(plan_facts(planned, rate, seconds, notes))
    else:
        click.echo(long_plan(planned, rate, seconds))
    planned.check()


cli.add_command(check)
cli.add_command(render)
cli.add_command(layers)
cli.add_command(info)


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
    """Compare the stream's activations of IMAGE with those of the whole-image network."""
    options = chosen_options(words)
    path = picture_path(image, dpath, image_name, quiet=quiet)
    options, _ = effective_options(options, quiet=quiet)
    with importing():
        from ..network.verify import verify as compare
        from .display import display

    with display(quiet=quiet) as listener:
        result = compare(local_only("verify", path), options, on_progress=listener)
    if as_json:
        from dataclasses import asdict

        print_json({**asdict(result), "agreed": result.agreed})
    else:
        click.echo(verification_text(result))
    if not result.agreed:
        raise NetsoundsError(
            "the stream differs from the whole image by more than rounding; use --precision fp32, and "
            "report a bug if it differs there too"
        )


@cli.command()
@option(MAIN, "--image", type=LOCAL, help="Use this picture. [default: one drawn for the demo]")
@option(
    MAIN,
    "--weights",
    metavar="NAME|FILE",
    type=NameOrFile(PRETRAINED, UNTRAINED),
    help="Weights of the network: pretrained, untrained, or the file of a squeezenet1_0 state_dict. "
    "[default: pretrained; untrained if they cannot be downloaded]",
)
@option(MAIN, "--out", type=LOCAL, default="demo", help="Folder for the demo's picture and run.")
@stacked(QUIET, JSON)
def demo(image: Path | None, weights: str | None, out: Path, quiet: bool, as_json: bool) -> None:
    """Make sound from a picture drawn for the demo, or from yours.

    Untrained weights are used if the trained ones cannot be downloaded.
    """
    with importing():
        from .demo import demonstrate
        from .display import display

    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        if not quiet:
            click.echo(f"note: {text}", err=True)

    with display(quiet=quiet) as listener:
        run = demonstrate(
            image, out, weights=weights, on_plan=plan_printer(quiet=quiet), on_progress=listener, on_note=note
        )
    print_run(run, as_json=as_json, quiet=quiet, printed=notes)


cli.add_command(plot)
cli.add_command(share)
cli.add_command(gallery)
cli.add_command(video)
cli.add_command(midi)


@cli.command()
@click.argument("image", required=False, type=LOCAL)
@option(MAIN, "--quick", is_flag=True, help="Measure one run on a small picture only, in seconds.")
@stacked(WHICH_NETWORK, COMPUTE, QUIET, JSON)
def bench(image: Path | None, quick: bool, quiet: bool, as_json: bool, **words: Any) -> None:
    """Measure how fast this machine is, and the largest picture that fits.

    With IMAGE, its time is estimated too.
    """
    options = chosen_options(words)
    with importing():
        from ..base import machine
        from .bench import bench as measure

    def note(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    start = machine.seconds_since_start()
    report = measure(options, image=image, quick=quick, start_seconds=start, on_note=note)
    if as_json:
        from dataclasses import asdict

        from ..base.versions import versions

        print_json({**asdict(report), "machine": machine.describe(), "versions": versions()})
    else:
        click.echo(bench_text(report, machine.describe()))


def run() -> None:
    """Run the command line and end the process; every error is one line on stderr."""
    # SIGTERM is treated as Ctrl-C, so that what was begun is cleared away
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    out, _ = lossy_streams()
    status = _status()
    sys.stdout.flush()
    if out is not None and out.failure is not None:
        if out.failure.errno != errno.EPIPE:  # who stops reading knows
            _fail(f"the results cannot be printed ({out.failure.strerror}); {remedy_for(out.failure)}", 1)
        status = status or 1
    sys.exit(status)


def _status() -> int:
    """Run the command and return its exit status."""
    try:
        os.getcwd()
    except OSError:  # oneMKL would end the process there, with words about its libraries
        return _fail("the folder that you are in is gone, or cannot be read; change to another one", 1)
    try:
        return cli(standalone_mode=False) or 0
    except NetsoundsError as error:
        return _fail(_with_notes(_text_of(error), error), error.exit_status)
    except click.UsageError as error:
        where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        return _fail(error.format_message().rstrip(".") + where, error.exit_code)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        interrupted = error.__cause__ or error  # click wraps it
        kept = hasattr(interrupted, "__notes__")
        return _fail(_with_notes("stopped" if kept else "stopped; nothing was kept", interrupted), 130)
    except PipeError as error:
        return _system_failed(error.broken)
    except (OSError, MemoryError, RuntimeError, ImportError) as error:
        cause = of_system(error)
        if cause is None:
            raise  # a defect
        return _system_failed(cause)


def _system_failed(error: BaseException) -> int:
    """Print an error of the operating system, and return the exit status."""
    name = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    text = getattr(error, "strerror", None) or first_line(error) or "out of memory"
    return _fail(_with_notes(f"{name}{text}; {remedy_for(error)}", error), 1)


def _text_of(error: NetsoundsError) -> str:
    """Return an error's text; a stopped run's says whether something was kept."""
    if isinstance(error, Stopped):
        return "stopped" if hasattr(error, "__notes__") else "stopped; nothing was kept"
    return str(error)


def _with_notes(text: str, error: BaseException) -> str:
    """Append an error's notes to its text."""
    return "; ".join((text, *getattr(error, "__notes__", ())))


def _fail(text: str, status: int) -> int:
    """Print an error in one line on stderr, and return the exit status."""
    click.echo("netsounds-stream: " + printable(text.strip()), err=True)
    return status
