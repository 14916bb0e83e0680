"""Pictures from URLs, spooled to a file; a download that was stopped is resumed."""

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

# Which object the bytes are of: its URL, length and entity tag.
_ABOUT = "about.json"


def fetched(url: str, folder: Path, stages: Stages) -> Path:
    """Fetch the picture at `url` into a file in `folder`; what was fetched before is not fetched again.

    A download that was stopped is resumed, where an entity tag tells that the picture is still the same.

    Raises:
        PictureError: there is none at that URL, or it ended too soon.
        BudgetError: the disk has no room for it.
        RemoteError: its server refuses, or does not answer.
    """
    spool, about = folder / DOWNLOAD / url_file_name(url), folder / DOWNLOAD / _ABOUT
    known: dict[str, Any] = json.loads(about.read_text()) if about.exists() else {}
    mine = known.get("url") == redacted(url) and spool.exists()
    done = spool.stat().st_size if mine else 0
    if mine and done == known["bytes"]:
        return spool
    objects, name = _at(url)
    start = done if mine and known["etag"] else 0
    try:
        try:
            meta, pieces = objects.stream(name, start, known.get("etag"))
        except ValueError:  # another picture by now
            start = 0
            meta, pieces = objects.stream(name)
    except FileNotFoundError:
        raise PictureError(f"no picture at {redacted(url)}; check the URL") from None
    size, free = int(meta["size"]), machine.free_disk_bytes(folder)
    if free is not None and size - start > free:
        raise BudgetError(
            f"the picture takes {format_bytes(size)} of disk and {format_bytes(free)} are free; make room"
        )
    spool.parent.mkdir(parents=True, exist_ok=True)
    durably_replace(about, json.dumps({"url": redacted(url), "bytes": size, "etag": meta.get("e_tag")}))
    with stages.stage("fetch", max(1, size), "B") as advance, spool.open("r+b" if start else "wb") as file:
        advance.skip(start)
        file.seek(start)
        for piece in pieces:
            file.write(piece)
            advance(len(piece))
    if (found := spool.stat().st_size) != size:
        raise PictureError(f"{redacted(url)} ended after {found} of {size} bytes; try again")
    return spool


def _at(url: str) -> tuple[ObjectFolder, str]:
    """Return the folder of objects to ask, and the object's name in it."""
    if url_scheme(url) in WEB:  # as it is: a signature in the query holds for this URL alone
        return ObjectFolder(url), ""
    top, _, name = url.rpartition("/")
    return ObjectFolder(top), name
