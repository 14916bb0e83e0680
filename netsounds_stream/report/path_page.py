"""A page of a sound along a path: the picture with the moving line, beside the sound's file.

The picture is inside the page, the sound is not: whoever moves the page moves both. Nothing is sounded here.
"""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

import numpy as np
import soundfile

from ..base.versions import PACKAGE, versions
from ..errors import OptionError, OutputError, StoreError
from ..rendering.paths import Along, Curve, Radar, Spiral
from ..rendering.paths import Path as PicturePath
from ..rendering.runs import open_sums, way_of
from ..run.layout import PAGE_PICTURE, REPORT, picture_of_run
from .page import rendered, write_text
from .page_data import href

# Moments whose segments the page knows: some 400 a turn of a spiral of five.
_MOMENTS = 2048
_PITCH: dict[type[PicturePath], str] = {
    Radar: "The middle is low, what lies further out is higher.",
    Spiral: "The inner end is low, the outer end is high.",
    Curve: "The right end is low, the left end is high, seen in the direction of its way.",
}


def path_page(
    run: str | Path,
    sound: str | Path,
    out: str | Path,
    *,
    path: str | None = None,
    path_width: float | None = None,
    region: str | None = None,
    title: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a page that plays a sound made by `render`, with its path as a moving line on the picture.

    Args:
        run: the finished run that the sound was made of.
        sound: the sound's file, to which the page refers.
        out: the page, `.html`.
        path: the path, as `render` was given it.
        path_width: likewise.
        region: likewise.
        title: heading. None: the run's label.
        overwrite: replace a file that exists at `out`.

    Returns:
        The page's path.

    Raises:
        OptionError: the path or the region cannot be used, or `out` is no `.html`.
        OutputError: the run is not finished; or `out` exists, or cannot be written.
        StoreError: the run keeps no sums or no picture, or the sound cannot be read.

    Example:
        >>> from netsounds_stream import path_page, render
        >>> audio = render("landscape-netsounds", "round.flac", path="radar")
        >>> path_page("landscape-netsounds", "round.flac", "round.html", path="radar").name
        'round.html'
    """
    target = Path(out)
    require_page(target, overwrite=overwrite)
    source = open_sums(Path(run), otherwise="")
    way, heard = way_of(source, path, region, path_width)
    picture = _picture(source.folder)
    try:
        seconds = soundfile.info(str(sound)).duration
    except (soundfile.LibsndfileError, OSError) as error:
        raise StoreError(f"{sound} cannot be read ({error}); make it again with render") from error
    low, high = way.segments(np.linspace(0, 1, _MOMENTS))
    text = rendered(
        "path.html",
        title=source.record["label"] if title is None else title,
        version=versions()[PACKAGE],
        pitch=_pitch(way),
        picture=picture,
        sound=href(Path(os.path.relpath(sound, target.parent)).as_posix()),
        width=source.plan.width,
        height=source.plan.height,
        seconds=seconds,
        heard=None if region is None else heard,
        segments=np.concatenate((low, high), axis=1).round(1).tolist(),
    )
    write_text(target, text)
    return target


def require_page(out: Path, *, overwrite: bool) -> None:
    """Require that a page can be written.

    Raises:
        OptionError: its name does not end in `.html`.
        OutputError: it exists, or its folder does not.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise OptionError(f"a page cannot be {out.name!r}; end its name in .html")
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists already; use --overwrite to replace it, or another name")
    if not out.parent.is_dir():
        raise OutputError(f"there is no folder {out.parent}; make it, or choose another name")


def _pitch(way: PicturePath) -> str:
    """Say which end of the line is high."""
    if isinstance(way, Along):
        return (
            "Higher up is higher in pitch." if way.axis == "x" else "Further to the right is higher in pitch."
        )
    return _PITCH[type(way)]


def _picture(folder: Path) -> str:
    """Return the run's small picture as a data URL."""
    path = picture_of_run(folder / REPORT / PAGE_PICTURE)
    if not path.exists():
        raise StoreError(f"{folder} has no picture to show; make the run again without --no-report")
    kind = "webp" if path.suffix == ".webp" else "jpeg"
    return f"data:image/{kind};base64,{b64encode(path.read_bytes()).decode('ascii')}"
