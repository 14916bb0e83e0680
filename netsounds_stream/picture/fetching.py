"""Download pictures from URLs to a spool file, and resume downloads that were interrupted."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
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


def fetched(
    url: str, folder: Path, stages: Stages, *, anew: bool = False, begun_with: str | None = None
) -> Path:
    """Download the picture at `url` into `folder`, unless it is there and the server has no other by now.

    What is there is used again where the server's entity tag, or else its date and length, are those of then.
    An interrupted download is resumed where the entity tag is the same.

    Args:
        url: the picture's URL.
        folder: folder of the run; the file goes into its sub-folder `DOWNLOAD`.
        stages: reports the download as stage `fetch`.
        anew: download it whatever is there.
        begun_with: SHA-256 of the picture that a stopped run was begun with. A file of these bytes is used
            without asking the server, which may have another by now, or be out of reach.

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
    same_url = known.get("url") == redacted(url) and spool.exists() and not anew
    done = spool.stat().st_size if same_url else 0
    complete = same_url and done == known["bytes"]
    if complete and begun_with is not None and _sha256(spool) == begun_with:
        return spool
    objects, name = _object_at(url)
    start = done if same_url and not complete and known["etag"] else 0
    try:
        try:
            metadata, pieces = objects.stream(name, start, known.get("etag"))
        except ValueError:  # the picture has changed since
            start = 0
            metadata, pieces = objects.stream(name)
    except FileNotFoundError:
        raise PictureError(f"no picture at {redacted(url)}; check the URL") from None
    facts = _facts(url, metadata)
    if complete and _is_same(known, facts):
        return spool
    size = facts["bytes"]
    free = machine.free_disk_bytes(folder)
    if free is not None and size - start > free:
        raise BudgetError(
            f"the picture takes {format_bytes(size)} of disk and {format_bytes(free)} are free; make room"
        )
    spool.parent.mkdir(parents=True, exist_ok=True)
    durably_replace(description, json.dumps(facts))
    with stages.stage("fetch", max(1, size), "B") as advance, spool.open("r+b" if start else "wb") as file:
        advance.skip(start)
        file.seek(start)
        for piece in pieces:
            file.write(piece)
            advance(len(piece))
    if (received := spool.stat().st_size) != size:
        raise PictureError(f"{redacted(url)} ended after {received} of {size} bytes; try again")
    return spool


def forget(folder: Path) -> None:
    """Remove what was downloaded into `folder`, so that nobody's body is kept that is no picture."""
    shutil.rmtree(folder / DOWNLOAD, ignore_errors=True)


def _facts(url: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells one object at a URL from the next there."""
    modified = metadata.get("last_modified")
    seconds = None if modified is None else modified.timestamp()
    return {
        "url": redacted(url),
        "bytes": int(metadata["size"]),
        "etag": metadata.get("e_tag"),
        "modified": seconds or None,  # 0 where the server does not say
    }


def _is_same(known: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether the server says that an object is the one of then."""
    if known["bytes"] != now["bytes"]:
        return False
    if known["etag"] or now["etag"]:
        return bool(known["etag"] == now["etag"])
    return known.get("modified") is not None and known.get("modified") == now["modified"]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _object_at(url: str) -> tuple[ObjectFolder, str]:
    """Return the object folder that holds the picture, and the object's name in it."""
    if url_scheme(url) in WEB:  # the URL as it is: a signature in its query is valid for this URL alone
        return ObjectFolder(url), ""
    parent, _, name = url.rpartition("/")
    return ObjectFolder(parent), name
