"""Download pictures from URLs to a spool file, and resume downloads that were interrupted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..base import machine
from ..base.journal import durably_replace
from ..base.locations import DOWNLOAD, WEB, redacted, url_file_name, url_scheme
from ..base.progress import Stages
from ..base.units import format_bytes
from ..errors import BudgetError, PictureError
from ..store.object_store import ObjectFolder

# The file that names the object a spool file belongs to: its URL, length and entity tag.
_DESCRIPTION = "about.json"


def fetched(url: str, folder: Path, stages: Stages) -> Path:
    """Download the picture at `url` into `folder`, unless it is there already.

    An interrupted download is resumed where the entity tag shows that the picture is still the same.

    Args:
        url: the picture's URL.
        folder: folder of the run; the file goes into its sub-folder `DOWNLOAD`.
        stages: reports the download as stage `fetch`.

    Returns:
        The downloaded file.

    Raises:
        PictureError: there is no picture at that URL, or the download ended too soon.
        BudgetError: the disk has no room for it.
        RemoteError: the server refuses, or does not answer.
    """
    spool = folder / DOWNLOAD / url_file_name(url)
    description = folder / DOWNLOAD / _DESCRIPTION
    known: dict[str, Any] = json.loads(description.read_text()) if description.exists() else {}
    same_url = known.get("url") == redacted(url) and spool.exists()
    done = spool.stat().st_size if same_url else 0
    if same_url and done == known["bytes"]:
        return spool
    objects, name = _object_at(url)
    start = done if same_url and known["etag"] else 0
    try:
        try:
            metadata, pieces = objects.stream(name, start, known.get("etag"))
        except ValueError:  # the picture has changed since
            start = 0
            metadata, pieces = objects.stream(name)
    except FileNotFoundError:
        raise PictureError(f"no picture at {redacted(url)}; check the URL") from None
    size = int(metadata["size"])
    free = machine.free_disk_bytes(folder)
    if free is not None and size - start > free:
        raise BudgetError(
            f"the picture takes {format_bytes(size)} of disk and {format_bytes(free)} are free; make room"
        )
    spool.parent.mkdir(parents=True, exist_ok=True)
    durably_replace(
        description, json.dumps({"url": redacted(url), "bytes": size, "etag": metadata.get("e_tag")})
    )
    with stages.stage("fetch", max(1, size), "B") as advance, spool.open("r+b" if start else "wb") as file:
        advance.skip(start)
        file.seek(start)
        for piece in pieces:
            file.write(piece)
            advance(len(piece))
    if (received := spool.stat().st_size) != size:
        raise PictureError(f"{redacted(url)} ended after {received} of {size} bytes; try again")
    return spool


def _object_at(url: str) -> tuple[ObjectFolder, str]:
    """Return the object folder that holds the picture, and the object's name in it."""
    if url_scheme(url) in WEB:  # the URL as it is: a signature in its query is valid for this URL alone
        return ObjectFolder(url), ""
    parent, _, name = url.rpartition("/")
    return ObjectFolder(parent), name
