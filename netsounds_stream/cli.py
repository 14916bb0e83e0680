"""The command line: each command parses, makes one call, prints. Results to stdout, the rest to stderr."""

from __future__ import annotations

import errno
import gc
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options as known
from .errors import NetsoundsError, OptionError
from .naming import folder_of
from .options import SonifyOptions, options_from_words
from .wording import bench_text, long_plan, short_plan, verification_text

if TYPE_CHECKING:
    from .engine import Run
    from .planning import Plan

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def _stacked(*decorators: Decorator) -> Decorator:
    def apply(command: Callable[..., None]) -> Callable[..., None]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


_picture = _stacked(
    click.argument("image", required=False, type=click.Path(path_type=Path)),
    click.option("--dpath", type=click.Path(path_type=Path), help="Folder to look for the picture in."),
    click.option("--image-name", metavar="FRAGMENT", help="Part of the picture's name in --dpath."),
)
_compute = _stacked(
    click.option("--precision", default="auto", show_default=True, help=", ".join(known.PRECISIONS)),
    click.option("--device", default="auto", show_default=True, help=", ".join(known.DEVICES)),
    click.option("--memory", metavar="SIZE", help="Peak memory of the whole process. [default: 1GiB]"),
    click.option("--gpu-memory", metavar="SIZE", help="With --device cuda. [default: 2GiB or half the free]"),
)
_network = _stacked(
    click.option("--size", default="native", show_default=True, help="Short edge in pixels, or 'native'."),
    click.option(
        "--weights",
        default="pretrained",
        show_default=True,
        help="'pretrained', 'untrained', or a squeezenet1_0 state_dict (.pth, .safetensors).",
    ),
    click.option(
        "--normalize/--no-normalize",
        default=True,
        show_default=True,
        help="Input normalised as the weights were trained, or plain [0, 1].",
    ),
    click.option("--time-axis", default="auto", show_default=True, help="'x', 'y', or the long edge."),
    click.option("--max-pixels", metavar="N", help="Refuse larger pictures, as 100M or 1G. [default: none]"),
    _compute,
)
_levels = _stacked(
    click.option(
        "--balance",
        default="bank",
        show_default=True,
        help="'bank': one scale for the bank; 'filter': each filter brought to full range first.",
    ),
    click.option(
        "--scale",
        default="peak",
        show_default=True,
        help="'peak': divide by the largest magnitude; 'minmax': stretch to [-1, 1].",
    ),
    click.option("--sample-rate", default=44100, show_default=True, help="Of the WAV files, in hertz."),
    click.option("--subtype", default="PCM_16", show_default=True, help=", ".join(known.SUBTYPES)),
)
_run_options = _stacked(
    click.option("--banks", default="1,2,3,4", show_default=True, help="Filter banks to keep and sound."),
    click.option("--codec", default="lz4", show_default=True, help=", ".join(known.CODECS)),
    click.option(
        "--scheme",
        "schemes",
        multiple=True,
        default=("sum", "concat"),
        show_default=True,
        help="'sum', 'concat' or 'filters'; repeat it for several.",
    ),
    _levels,
    click.option(
        "--activations/--no-activations",
        default=True,
        show_default=True,
        help="Keep the arrays, or only the sound.",
    ),
    click.option("--label", help="Names the files. [default: what the network sees]"),
)
_out = click.option("--out", type=click.Path(path_type=Path), help="Folder. [default: IMAGE-netsounds]")
_overwrite = click.option("--overwrite", is_flag=True, help="Replace what is there.")
_quiet = click.option("--quiet", is_flag=True, help="Errors only on stderr.")
_json = click.option("--json", "as_json", is_flag=True, help="JSON on stdout, and nothing else there.")


@click.group(
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
@_stacked(_picture, _out, _network, _run_options, _overwrite, _quiet, _json)
def sonify(
    image: Path | None,
    dpath: Path | None,
    image_name: str | None,
    out: Path | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Turn IMAGE into stored activations and WAV files."""
    options = _options(words)
    path = _picture_path(image, dpath, image_name, quiet=quiet)
    with _importing():
        from . import engine
        from .display import display

    def on_plan(plan: Plan) -> None:
        if not quiet:
            click.echo(short_plan(plan), err=True)

    with display(quiet=quiet) as shown:
        run = engine.sonify(
            path,
            out or folder_of(path),
            options,
            overwrite=overwrite,
            on_plan=on_plan,
            on_progress=shown,
        )
    _print_run(run, as_json=as_json)


@cli.command()
@_stacked(_picture, _out, _network, _run_options, _json)
def plan(
    image: Path | None,
    dpath: Path | None,
    image_name: str | None,
    out: Path | None,
    as_json: bool,
    **words: Any,
) -> None:
    """Say what sonify would do with IMAGE: sizes, memory, disk. Decodes no pixel."""
    options = _options(words)
    path = _picture_path(image, dpath, image_name, quiet=as_json)
    with _importing():
        from . import engine

    made = engine.plan(path, out or folder_of(path), options)
    if as_json:
        from dataclasses import asdict

        _print_json({**asdict(made), "peak_memory_bytes": made.peak_memory_bytes})
    else:
        click.echo(long_plan(made))
    made.check()


@cli.command()
@click.argument("array", type=click.Path(path_type=Path))
@click.argument("wav", type=click.Path(path_type=Path))
@click.option("--scheme", default="sum", show_default=True, help="'sum' or 'concat'.")
@click.option("--time-axis", default="auto", show_default=True, help="'x', 'y', or what the array says.")
@_stacked(_levels, _overwrite, _quiet)
def render(array: Path, wav: Path, time_axis: str, quiet: bool, **words: Any) -> None:
    """Make sound again from a stored ARRAY (.zarr or .npy), without the network."""
    with _importing():
        from . import engine
        from .display import display

    axis = None if time_axis == "auto" else time_axis
    with display(quiet=quiet) as shown:
        audio = engine.render(array, wav, time_axis=axis, on_progress=shown, **words)
    click.echo(f"{wav}: {audio.samples} samples, {audio.container}")


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
@_json
def info(path: Path, as_json: bool) -> None:
    """Say what a run's folder, a stored array or a WAV file holds."""
    from .inspection import inspect

    facts = inspect(path)
    if as_json:
        _print_json(facts)
    else:
        _print_facts(facts, "")


@cli.command()
@_stacked(_picture, _network, _quiet, _json)
def verify(
    image: Path | None,
    dpath: Path | None,
    image_name: str | None,
    quiet: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Compare the stream with the whole-image network on IMAGE, at a size that fits."""
    options = _options(words)
    path = _picture_path(image, dpath, image_name, quiet=quiet)
    with _importing():
        from .display import display
        from .verification import verify as compare

    with display(quiet=quiet) as shown:
        result = compare(path, options, on_progress=shown)
    if as_json:
        from dataclasses import asdict

        _print_json({**asdict(result), "agreed": result.agreed})
    else:
        click.echo(verification_text(result))
    if not result.agreed:
        raise NetsoundsError(
            "the stream differs from the whole image by more than rounding; use --precision fp32, "
            "and report it if it does so there"
        )


@cli.command()
@click.option("--image", type=click.Path(path_type=Path), help="Your picture. [default: one drawn here]")
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True)
@_stacked(_quiet, _json)
def demo(image: Path | None, out: Path, quiet: bool, as_json: bool) -> None:
    """Do the main job on a picture drawn here, or on yours, untrained where no weights can be had."""
    with _importing():
        from .demonstration import demonstrate
        from .display import display

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    with display(quiet=quiet) as shown:
        run = demonstrate(
            image, out, on_plan=lambda made: say(short_plan(made)), on_progress=shown, on_note=say
        )
    _print_run(run, as_json=as_json)


@cli.command()
@click.argument("image", required=False, type=click.Path(path_type=Path))
@click.option("--quick", is_flag=True, help="One run on a small picture, in seconds.")
@_stacked(_compute, _quiet, _json)
def bench(image: Path | None, quick: bool, quiet: bool, as_json: bool, **words: Any) -> None:
    """Measure this machine: how fast pictures go (IMAGE's time is foretold too), how large a one fits."""
    options = _options(words)
    with _importing():
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

        _print_json({**asdict(report), "machine": machine.describe(), "versions": versions()})
    else:
        click.echo(bench_text(report, machine.describe()))


@contextmanager
def _importing() -> Iterator[None]:
    """Imports with the garbage collector off, their objects set aside for good.

    Torch and the rest make a few hundred thousand objects that live as long as the process: going through
    them, while they are made and at the end, takes a third of a second.
    """
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


def _options(words: dict[str, Any]) -> SonifyOptions:
    if "schemes" in words:
        words["scheme"] = words.pop("schemes")
    if "banks" in words:
        words["banks"] = known.parse_banks(words["banks"])
    for budget in ("memory", "gpu_memory"):
        if words.get(budget) is None:
            words.pop(budget, None)
    return options_from_words(**words)


def _picture_path(image: Path | None, folder: Path | None, fragment: str | None, *, quiet: bool) -> Path:
    if image is not None and folder is None and fragment is None:
        return image
    if image is not None or folder is None or fragment is None:
        raise OptionError("name the picture either as IMAGE or by --dpath DIR with --image-name FRAGMENT")
    from .picture import find_picture

    found, matches = find_picture(folder, fragment)
    if not quiet:
        for match in matches:
            click.echo(f"{'->' if match == found else '  '} {match.name}", err=True)
    return found


def _print_run(run: Run, *, as_json: bool) -> None:
    if as_json:
        _print_json(run.record)
        return
    click.echo(f"{run.label}: {len(run.files)} files in {run.folder}")
    for note in run.record["notes"]:
        click.echo(f"note: {note}")
    for file in run.files:
        click.echo(str(file))


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))


def _print_facts(facts: dict[str, Any], indent: str) -> None:
    for name, value in facts.items():
        if isinstance(value, dict):
            click.echo(f"{indent}{name}")
            _print_facts(value, indent + "  ")
        elif value != []:
            click.echo(
                f"{indent}{name:<16} {value if not isinstance(value, list) else '; '.join(map(str, value))}"
            )


def main() -> None:
    """Run the command line; every error is one line on stderr."""
    # A polite request to end is treated as Ctrl-C: what was begun is cleared away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # file names as they are, UTF-8 or not
    try:
        status = cli(standalone_mode=False) or 0
    except NetsoundsError as error:
        status = _fail(str(error), error.exit_status)
    except click.UsageError as error:
        where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        status = _fail(error.format_message() + where, error.exit_code)
    except click.ClickException as error:
        status = _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        status = _fail("stopped; nothing was kept", 130)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        mend = "make room, or choose another --out" if full else "check that the folder is there and writable"
        status = _fail(f"{name}{error.strerror or error}; {mend}", 1)
    sys.exit(status)


def _fail(text: str, status: int) -> int:
    # a name out of a file or of a folder may hold what a terminal takes for an order
    plain = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in " ".join(text.split()))
    click.echo("netsounds-stream: " + plain, err=True)
    return status
