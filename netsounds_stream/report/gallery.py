"""`gallery`: a page that shows many runs with their pictures and mixes.

The runs stay where they are; the page holds thumbnails and links. Pictures that failed are listed below the
runs, with their reasons.
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
from ..run.layout import PAGE, PAGE_PICTURE, RECORD_NAME, REPORT, Layout, browser_form, picture_of_run
from ..run.record_file import finished_record
from .images import save
from .page import is_ours, write_gallery
from .page_data import href

_THUMBNAIL_PIXELS = 480
_THUMBNAILS = "thumbnails"


@dataclass(frozen=True)
class FailedPicture:
    """A picture whose run failed.

    Attributes:
        name: the name that the page shows: the picture's file.
        reason: why the run failed, in one line.
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
    """Write a page that shows finished runs with their pictures and mixes.

    The page has thumbnails of its own and links to the runs' sounds and pages by relative references, so that
    runs and gallery can be moved together.

    Args:
        runs: folders of the runs.
        out: folder for the page.
        title: heading of the page.
        failed: pictures to list as failed.

    Returns:
        The path of the page, `index.html`.

    Raises:
        OptionError: `runs` and `failed` are both empty.
        OutputError: a folder holds no finished run; or `out` cannot be written, holds a run or another page.
        StoreError: the picture of a run cannot be read.

    Example:
        >>> from netsounds_stream import gallery
        >>> gallery(["landscape-netsounds"], "all-runs").as_posix()
        'all-runs/index.html'
    """
    folders = [Path(run) for run in runs]
    into = Path(out)
    if not folders and not failed:
        raise OptionError("no run was given; give at least one run's folder")
    records = [finished_record(folder) for folder in folders]
    if (into / RECORD_NAME).exists():
        raise OutputError(f"{into} holds a run; choose another --out")
    if (into / PAGE).exists() and not is_ours(into / PAGE):
        raise OutputError(f"{into} holds an {PAGE} of another kind; choose another --out")
    try:
        (into / _THUMBNAILS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {into} ({error.strerror}); choose another --out") from error
    titles = _titles(folders, records)
    cards = [
        _card(number, folder, record, into) | {"title": name}
        for number, (folder, record, name) in enumerate(zip(folders, records, titles, strict=True))
    ]
    listed = [{"name": picture.name, "reason": picture.reason} for picture in failed]
    write_gallery(into, title, versions()[PACKAGE], cards, listed)
    return into / PAGE


def _titles(folders: Sequence[Path], records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return each run's title: its picture's file name, with the run's folder if several share the name."""
    names = [str(record["picture"]["name"]) for record in records]
    count = Counter(names)
    paths = [folder.resolve() for folder in folders]
    top = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()
    return [
        name if count[name] == 1 else f"{name} ({path.relative_to(top).as_posix()})"
        for name, path in zip(names, paths, strict=True)
    ]


def _card(number: int, folder: Path, record: Mapping[str, Any], into: Path) -> dict[str, Any]:
    """Return a run's card as the template reads it, without its title, and write its thumbnail.

    Args:
        number: number of the card, which names its thumbnail.
        folder: the run's folder.
        record: the run's record.
        into: the gallery's folder.
    """
    page = folder / PAGE
    picture = record["picture"]
    size = f"{picture['resized_width']} × {picture['resized_height']} px"
    return {
        "href": _reference(page if page.exists() else folder, into),
        **_thumbnail(number, folder, into),
        **_player(folder, record, into),
        "facts": f"{record['label']}, {size}",
    }


def _thumbnail(number: int, folder: Path, into: Path) -> dict[str, Any]:
    """Write the thumbnail of a run that has a report, and return its name and size.

    Raises:
        StoreError: the run's picture cannot be read.
    """
    picture = picture_of_run(folder / REPORT / PAGE_PICTURE)
    if not picture.exists():
        return {"thumbnail": None, "width": 0, "height": 0}
    name = f"{_THUMBNAILS}/{number:05d}.jpg"
    try:
        image = Image.open(picture)
        image.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS))
    except OSError as error:
        raise StoreError(f"{picture} cannot be read ({error}); make the run again") from error
    with image:
        save(image, into / name)
        return {"thumbnail": name, "width": image.width, "height": image.height}


def _player(folder: Path, record: Mapping[str, Any], into: Path) -> dict[str, Any]:
    """Return what plays a run's mix: a reference, its media type and its duration."""
    mix = record["plan"]["mix"]
    if mix is None:
        return {"play": None, "type": "", "seconds": 0.0}
    sound = record["options"]["sound"]
    form = folder / REPORT / browser_form("mix")
    file = form if form.exists() else Layout(folder, "", sound["format"]).mix
    seconds = mix["samples"] / (sound["resample_hz"] or sound["sample_rate_hz"])
    return {"play": _reference(file, into), "type": media_type(file.suffix), "seconds": round(seconds, 3)}


def _reference(path: Path, folder: Path) -> str:
    """Return a reference to `path` from a page in `folder`."""
    target = path.resolve()
    try:
        relative = os.path.relpath(target, folder.resolve())
    except ValueError:  # on another drive of Windows
        return target.as_uri()
    return href(Path(relative).as_posix())
