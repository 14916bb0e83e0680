"""The command that makes sound again, from a run's sums or from stored activations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..base.machine import importing
from ..errors import OptionError
from ..planning.options import TIME_AXES, SonifyOptions, sound_from_words
from ..planning.sound_options import FORMATS, SCHEMES
from .common import effective_options
from .options import LOCAL, OVERWRITE, QUIET
from .sections import MAIN, SectionedCommand, given_options, option, stacked
from .sections import PICTURE as OF_PICTURE
from .sound_options import SOUND

_OF_RUNS = ("banks", "path", "path_width", "region", "stems")
#: Banks of a run, and the way across its picture.
ACROSS = stacked(
    option(MAIN, "--banks", metavar="N,N", help="Banks in the mix, of a run. [default: all]"),
    option(
        MAIN,
        "--path",
        metavar="PATH",
        help="Way across the picture of a run: x, y, radar, spiral[:TURNS], line:X0,Y0,X1,Y1, or the first "
        "path of FILE.svg. [default: the run's time axis]",
    ),
    option(
        MAIN,
        "--region",
        metavar="X,Y,W,H",
        help="Part of a run's picture that is heard: left, top, width and height in pixels. [default: all]",
    ),
    option(
        MAIN,
        "--path-width",
        type=float,
        metavar="PIXELS",
        help="Width of the band that a line or a curve passes over. [default: the whole picture for a line, "
        "a quarter of its short edge for a curve]",
    ),
)


@click.command(cls=SectionedCommand)
@click.argument("source", type=LOCAL, metavar="RUN|ARRAY")
@click.argument("out", type=LOCAL)
@ACROSS
@option(MAIN, "--stems", is_flag=True, help="Write each bank's part beside OUT, as OUT-stem-N.")
@option(
    MAIN,
    "--page",
    type=LOCAL,
    metavar="FILE.html",
    help="Write a page, too, that plays OUT with the path as a moving line on the picture.",
)
@option(
    MAIN,
    "--scheme",
    type=click.Choice(SCHEMES[:2]),
    default="sum",
    help="Add an array's filters up (sum), or play them one after another (concat).",
)
@option(
    MAIN,
    "--format",
    type=click.Choice(FORMATS),
    help="File format of OUT. [default: by its suffix, or else wav]",
)
@stacked(SOUND)
@option(
    OF_PICTURE,
    "--time-axis",
    type=click.Choice(TIME_AXES),
    default="auto",
    help="Axis of the array that becomes time; auto is the one it was stored with.",
)
@stacked(OVERWRITE, QUIET)
def render(source: Path, out: Path, page: Path | None, quiet: bool, **words: Any) -> None:
    """Make the sound file OUT again, without the network.

    Of a finished RUN its mix, from the sums that it keeps, with the run's own options but for those given. Of
    stored activations, an ARRAY (.zarr or .npy), the filters' sum.
    """
    with importing():
        from ..rendering.render import render as render_again
        from ..report.path_page import path_page, require_page
        from ..run.record_file import is_run
        from .display import display

    if page is not None:
        require_page(page, overwrite=words["overwrite"])
    if is_run(source):
        given = {*given_options(), "overwrite"} - {"page"}
        words = {name: value for name, value in words.items() if name in given}
    elif page is not None:
        raise OptionError(f"page is for a run; {source} holds none")
    else:
        words = _of_array(words, out, quiet=quiet)
    with display(quiet=quiet) as listener:
        audio = render_again(source, out, on_progress=listener, **words)
    click.echo(f"{out}: {audio.samples} samples, {audio.container}")
    if page is not None:
        across: dict[str, Any] = {name: words.get(name) for name in ("path", "path_width", "region")}
        click.echo(str(path_page(source, out, page, **across, overwrite=words["overwrite"])))


def _of_array(words: dict[str, Any], out: Path, *, quiet: bool) -> dict[str, Any]:
    """Return the words that are for an array, checked."""
    if words["time_axis"] == "auto":
        words.pop("time_axis")
    if words["format"] is None:
        words["format"] = out.suffix[1:] if out.suffix[1:] in FORMATS else "wav"
    others = {"time_axis", "overwrite", *_OF_RUNS}
    sound = {name: value for name, value in words.items() if name not in others}
    effective_options(SonifyOptions(sound=sound_from_words(**sound, mix=False)), quiet=quiet)
    return words
