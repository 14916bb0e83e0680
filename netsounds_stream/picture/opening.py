"""Opening a picture from any source: a file, a URL, or memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..base.locations import is_url, redacted
from ..base.progress import Stages
from ..errors import PictureError
from ..planning.options import SonifyOptions
from .in_memory import PictureInput, PixelSource, pixel_source
from .loaders import is_picture
from .picture import Picture, open_picture


def is_gone(image: str) -> bool:
    """Return whether there is no file at the path `image`; false for a URL."""
    return not is_url(image) and not Path(image).exists()


@contextmanager
def download_folder(image: object) -> Iterator[Path]:
    """Make a temporary folder for the download of a picture at a URL; for others nothing is made.

    Args:
        image: the picture, as `opened_picture` takes it.

    Yields:
        The folder, which is removed afterwards.
    """
    if not isinstance(image, str | Path) or not is_url(image):
        yield Path()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def opened_picture(
    image: PictureInput | PixelSource,
    folder: Path,
    stages: Stages,
    options: SonifyOptions,
    *,
    anew: bool = False,
    begun_with: str | None = None,
) -> Picture:
    """Open a picture and read its header; a picture at a URL is downloaded first.

    Args:
        image: a path, a URL, an array or a PIL image.
        folder: where a download goes.
        stages: reports the download.
        options: the run's options; `size` is the short edge to resize to.
        anew: download a picture whatever is there.
        begun_with: SHA-256 of a stopped run's picture, see `fetched`.

    Returns:
        The picture, of which no pixel has been decoded. A downloaded one is a file and has its `url`.

    Raises:
        PictureError: there is no picture, or the array or image holds none.
    """
    if not isinstance(image, str | Path):
        pixels = image if isinstance(image, PixelSource) else pixel_source(image, options.reading)
        return open_picture(pixels, options.size, options.reading)
    if not is_url(image):
        return open_picture(Path(image), options.size, options.reading)
    from .fetching import fetched, forget  # obstore is loaded only where it is needed

    url = redacted(str(image))
    path = fetched(str(image), folder, stages, anew=anew, begun_with=begun_with)
    try:
        return replace(open_picture(path, options.size, options.reading), url=url)
    except PictureError as error:
        if not is_picture(path):
            forget(folder)
        raise PictureError(str(error).replace(str(path), url)) from error
