"""A picture from wherever it comes: a file, a URL, or memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..base.locations import is_url, redacted
from ..base.progress import Stages
from ..planning.options import SonifyOptions
from .in_memory import PictureInput, PixelSource, pixel_source
from .picture import Picture, open_picture


def opened_picture(
    image: PictureInput | PixelSource, folder: Path, stages: Stages, options: SonifyOptions
) -> Picture:
    """Return the picture's header. A picture at a URL is fetched into `folder` first, and is a file then.

    Raises:
        PictureError: there is no picture there, or the array or image holds none.
    """
    if not isinstance(image, str | Path):
        pixels = image if isinstance(image, PixelSource) else pixel_source(image)
        return open_picture(pixels, options.size)
    if not is_url(image):
        return open_picture(Path(image), options.size)
    from .fetching import fetched

    path = fetched(str(image), folder, stages)
    return replace(open_picture(path, options.size), url=redacted(str(image)))
