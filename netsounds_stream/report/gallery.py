"""`gallery`: one page over many runs, with their pictures and mixes, which stay where they are.

Pictures that failed are listed below the runs, with their reasons.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ..base.versions import PACKAGE, versions
from ..errors import OptionError, OutputError, StoreError
from ..planning.formats import media_type
from ..run.layout import PAGE, RECORD_NAME, REPORT
from ..run.record_file import read_record
from .images import save
from .page import is_ours, write_gallery
from .page_data import href

_THUMBNAIL_PIXELS = 480
_THUMBNAILS = "thumbnails"


@dataclass(frozen=True)
class FailedPicture:
    """A picture that no run could be made of.

    Attributes:
        name: what the page calls it: its file.
        reason: why, in one line.
    """

    name: str
    reason: str


def gallery(
    runs: Iterable[str | Path],
    out: str | Path,
    *,
    title: str = "netsounds",
    failed: Sequence[FailedPicture] = (),
) -> Path:
    """Write a page over finished runs, with their pictures and mixes.

    Thumbnails are copied, sounds and pages linked to by relative references, so that runs and gallery can be
    moved together.

    Args:
        runs: the runs' folders.
        out: folder for the page.
        title: heading of the page.
        failed: pictures to list as failed.

    Returns:
        The path of the page, `index.html`.

    Raises:
        OptionError: neither a run nor a failed picture was given.
        OutputError: a folder holds no finished run; or `out` cannot be written, holds a run or another page.
        StoreError: the picture of a run cannot be read.

    Example:
        >>> from netsounds_stream import gallery
        >>> gallery(["landscape-netsounds"], "all-runs").as_posix()
        'all-runs/index.html'
    """
    folders, into = [Path(run) for run in runs], Path(out)
    if not folders and not failed:
        raise OptionError("no run was given; give at least one run's folder")
    records = []
    for folder in folders:
        record = read_record(folder / RECORD_NAME)
        if record is None:
            raise OutputError(f"{folder} holds no finished run; give runs' folders")
        records.append(record)
    if (into / RECORD_NAME).exists():
        raise OutputError(f"{into} holds a run; choose another --out")
    if (into / PAGE).exists() and not is_ours(into / PAGE):
        raise OutputError(f"{into} holds an {PAGE} of another kind; choose another --out")
    try:
        (into / _THUMBNAILS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {into} ({error.strerror}); choose another --out") from error
    cards = [
        _card(at, folder, record, into, name)
        for at, (folder, record, name) in enumerate(
            zip(folders, records, _names(folders, records), strict=True)
        )
    ]
    listed = [{"name": each.name, "reason": each.reason} for each in failed]
    write_gallery(into, title, versions()[PACKAGE], cards, listed)
    return into / PAGE


def _names(folders: Sequence[Path], records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each picture's file name; where several have the same one, with the run's folder."""
    names = [str(record["picture"]["name"]) for record in records]
    count = Counter(names)
    places = [folder.resolve() for folder in folders]
    top = Path(os.path.commonpath([place.parent for place in places])) if places else Path()
    return [
        name if count[name] == 1 else f"{name} ({place.relative_to(top).as_posix()})"
        for name, place in zip(names, places, strict=True)
    ]


def _card(at: int, folder: Path, record: Mapping[str, Any], into: Path, name: str) -> dict[str, Any]:
    picture, shown = folder / REPORT / "picture.webp", None
    if picture.exists():
        thumbnail = f"{_THUMBNAILS}/{at:05d}.webp"
        with _opened(picture) as image:
            save(image, into / thumbnail)
            shown = {"thumbnail": thumbnail, "width": image.width, "height": image.height}
    page = folder / PAGE
    about, mix = record["picture"], record["plan"]["mix"]
    play, seconds = None, 0.0
    if mix is not None:
        form = folder / REPORT / "mix.flac"
        play = form if form.exists() else folder / f"mix.{record['options']['sound']['format']}"
        sound = record["options"]["sound"]
        seconds = mix["samples"] / (sound["resample_hz"] or sound["sample_rate_hz"])
    return {
        "title": name,
        "href": _to(page if page.exists() else folder, into),
        **(shown or {"thumbnail": None, "width": 0, "height": 0}),
        "play": None if play is None else _to(play, into),
        "type": "" if play is None else media_type(play.suffix),
        "seconds": round(seconds, 3),
        "facts": f"{record['label']}, {about['resized_width']} × {about['resized_height']} px",
    }


def _opened(picture: Path) -> Image.Image:
    """A picture made small.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        image = Image.open(picture)
        image.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS))
    except OSError as error:
        raise StoreError(f"{picture} cannot be read ({error}); make the run again") from error
    return image


def _to(path: Path, into: Path) -> str:
    """A reference to `path` from a page in the folder `into`."""
    there, here = path.resolve(), into.resolve()
    try:
        relative = os.path.relpath(there, here)
    except ValueError:  # on another drive of Windows
        return there.as_uri()
    return href(Path(relative).as_posix())
