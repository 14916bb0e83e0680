"""Paths and URLs: which of them a word is, and how a URL is said without what must stay secret.

A URL may carry a name and a password (`user:password@`) or a signature (`?X-Amz-Signature=`). Nothing but
`redacted` goes into a text, a record or a name.

Names live here, too: which files are called as pictures are, and what a run's folder is called.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from ..errors import OptionError, OutputError

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
#: Where runs may lie besides folders, and pictures besides files.
STORES = ("s3", "gs", "az")
WEB = ("http", "https")


def is_url(place: str | Path) -> bool:
    """Whether it names something that is no file here."""
    return isinstance(place, str) and _URL.match(place) is not None


def parse_location(word: str) -> str | Path:
    """What a word of a command names: a URL as it is, anything else, `file://` too, as a path.

    Raises:
        OptionError: a URL of a kind that is not known.
    """
    if not is_url(word):
        return Path(word)
    scheme = url_scheme(word)
    if scheme == "file":
        return Path(url2pathname(unquote(urlsplit(word).path)))
    if scheme not in (*STORES, *WEB):
        raise OptionError(
            f"{scheme}:// is not supported; give a path, s3://, gs:// or az://, or https:// for a picture"
        )
    return word


def url_scheme(url: str) -> str:
    """In lower case."""
    return url.partition(":")[0].lower()


def redacted(url: str) -> str:
    """Scheme, host and path: the URL without name, password, query and fragment."""
    scheme, _, rest = url.partition("://")
    place = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = place.partition("/")
    return f"{scheme.lower()}://{host.rpartition('@')[2]}{slash}{path}"


def has_secrets(url: str) -> bool:
    """Whether more is needed to come by it than `redacted` says."""
    return len(redacted(url)) < len(url)


def url_file_name(url: str) -> str:
    """The last part of its path, as a file name."""
    path = redacted(url).partition("://")[2].partition("/")[2]
    name = unquote(path.rstrip("/").rpartition("/")[2])
    return re.sub(r"[/\\\0]", "_", name) or "picture"


def local_only(command: str, place: str | Path) -> Path:
    """`place` as a path, for commands that read folders and files alone.

    Raises:
        OutputError: it is a URL.
    """
    if is_url(place):
        raise OutputError(
            f"{command} reads local files and folders only; copy {redacted(str(place))} to this machine first"
        )
    return Path(place)


def work_folder(url: str, given: Path | None = None) -> Path:
    """Where a run to a URL is worked on: a folder for that URL alone, in `given` or for temporary files.

    The same for the same URL, so that a stopped run is found again.

    Raises:
        OutputError: it is another user's, who could read or change what lies there.
    """
    digest = hashlib.sha256(redacted(url).rstrip("/").encode()).hexdigest()[:16]
    if given is not None:
        return given / f"netsounds-{digest}"
    user = os.getuid() if hasattr(os, "getuid") else "user"
    top = Path(tempfile.gettempdir()) / f"netsounds-stream-{user}"
    top.mkdir(mode=0o700, exist_ok=True)
    found = top.lstat()
    if hasattr(os, "getuid") and (found.st_uid != user or top.is_symlink() or found.st_mode & 0o022):
        raise OutputError(f"{top} can be written by other users; remove it, or choose a folder with --work")
    return top / digest


#: How the names of pictures end, in small letters.
PICTURE_SUFFIXES = {
    *(".avif", ".gif", ".heic", ".heif", ".j2k", ".jp2", ".jpeg", ".jpg", ".jxl"),
    *(".png", ".ppm", ".tif", ".tiff", ".webp"),
}
_LONGEST_BYTES = 180  # file names may have 255, and the folder's partial name is longer than its own


def default_folder(picture: str | Path) -> Path:
    """`PICTURE-netsounds` here, where no folder is named."""
    name = url_file_name(picture) if isinstance(picture, str) else str(picture)
    return Path(f"{safe_name(Path(name).stem)}-netsounds")


def has_picture_suffix(path: str | Path) -> bool:
    """Return whether a file's name ends as those of pictures do; what it holds is not looked at."""
    return Path(path).suffix.lower() in PICTURE_SUFFIXES


def safe_name(name: str) -> str:
    """A folder's name after `name`: never hidden or like an option, printable, not too long."""
    printable = "".join(each if each.isprintable() else "_" for each in name)
    return printable.encode()[:_LONGEST_BYTES].decode(errors="ignore").lstrip(".-~ ") or "picture"


#: A folder in the one that is worked in, with a picture on its way from a URL.
DOWNLOAD = "download"
