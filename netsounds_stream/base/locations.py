"""Locations: paths and URLs, which of the two an argument is, and names derived from them.

A URL may carry a user name and a password (`user:password@`) or a signature (`?X-Amz-Signature=`). Only its
`redacted` form may appear in a message, a record or a file name.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from ..errors import OptionError, OutputError

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
#: URL schemes of object stores, which hold runs and pictures.
STORES = ("s3", "gs", "az")
#: URL schemes of web servers, which hold pictures.
WEB = ("http", "https")


def is_url(place: str | Path) -> bool:
    """Return whether `place` is a URL rather than a path."""
    return isinstance(place, str) and _URL.match(place) is not None


def parse_location(word: str) -> str | Path:
    """Tell paths and URLs apart in a command's argument.

    Returns:
        A URL as a text, unchanged; everything else, `file://` URLs included, as a path.

    Raises:
        OptionError: the URL's scheme is not supported.
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
    """Return a URL's scheme in lower case, such as 's3'."""
    return url.partition(":")[0].lower()


def redacted(url: str) -> str:
    """Remove a URL's secrets.

    Returns:
        Its scheme, host and path, without user name, password, query and fragment.
    """
    scheme, _, rest = url.partition("://")
    address = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = address.partition("/")
    return f"{scheme.lower()}://{host.rpartition('@')[2]}{slash}{path}"


def has_secrets(url: str) -> bool:
    """Return whether `redacted` removes anything from a URL."""
    return len(redacted(url)) < len(url)


def url_file_name(url: str) -> str:
    """Return the last part of a URL's path as a file name; 'picture' if it has none."""
    path = redacted(url).partition("://")[2].partition("/")[2]
    name = unquote(path.rstrip("/").rpartition("/")[2])
    return re.sub(r"[/\\\0]", "_", name) or "picture"


def local_only(command: str, place: str | Path) -> Path:
    """Require a local path, for commands that do not read URLs.

    Args:
        command: name of the command, for the error.
        place: a path or a URL.

    Returns:
        `place` as a path.

    Raises:
        OutputError: `place` is a URL.
    """
    if is_url(place):
        raise OutputError(
            f"{command} reads local files and folders only; copy {redacted(str(place))} to this machine first"
        )
    return Path(place)


def work_folder(url: str, parent: Path | None = None) -> Path:
    """Return the local folder in which a run to a URL is made.

    It is the same each time for the same URL, so that a stopped run is found again, and belongs to that URL
    alone.

    Args:
        url: where the run goes.
        parent: the folder to put it in. None: the system's folder for temporary files.

    Raises:
        OutputError: another user owns the temporary folder or may write to it.
    """
    digest = hashlib.sha256(redacted(url).rstrip("/").encode()).hexdigest()[:16]
    if parent is not None:
        return parent / f"netsounds-{digest}"
    user = os.getuid() if hasattr(os, "getuid") else "user"
    top = Path(tempfile.gettempdir()) / f"netsounds-stream-{user}"
    top.mkdir(mode=0o700, exist_ok=True)
    status = top.lstat()
    if hasattr(os, "getuid") and (status.st_uid != user or top.is_symlink() or status.st_mode & 0o022):
        raise OutputError(f"{top} can be written by other users; remove it, or choose a folder with --work")
    return top / digest


#: Suffixes of pictures' file names, in lower case.
PICTURE_SUFFIXES = {
    *(".avif", ".fit", ".fits", ".fts", ".fz", ".gif", ".heic", ".heif", ".j2k", ".jp2", ".jpeg", ".jpg"),
    *(".jxl", ".mpo", ".pbm", ".pfm", ".pgm", ".png", ".pnm", ".ppm", ".svs", ".tif", ".tiff", ".webp"),
}
# File names may have 255 bytes, and a folder has a longer name while its run is unfinished.
_LONGEST_BYTES = 180


def default_folder(picture: str | Path) -> Path:
    """Return the folder of a run whose user named none: `PICTURE-netsounds` in the working directory."""
    name = url_file_name(picture) if isinstance(picture, str) else str(picture)
    return Path(f"{safe_name(Path(name).stem)}-netsounds")


def has_picture_suffix(path: str | Path) -> bool:
    """Return whether a file's name ends like a picture's, without looking at its content."""
    return Path(path).suffix.lower() in PICTURE_SUFFIXES


def safe_name(name: str) -> str:
    """Turn any text into a usable folder name: printable, short, not hidden and not like an option."""
    printable = "".join(character if character.isprintable() else "_" for character in name)
    return printable.encode()[:_LONGEST_BYTES].decode(errors="ignore").lstrip(".-~ ") or "picture"


#: Folder, within the work folder, of a picture that is being downloaded.
DOWNLOAD = "download"


def quoted(word: object) -> str:
    """Return a word as a shell reads it back, to stand in a command that is printed.

    A path that begins with a dash gets `./` before it, so that it is no option. Characters that cannot be
    printed, and bytes that are not UTF-8, are written by numbers.
    """
    text = str(word)
    if text.startswith("-") and isinstance(word, Path):
        text = f"./{text}"
    if os.name == "nt":
        return subprocess.list2cmdline([text])
    if text.isprintable():
        return shlex.quote(text)
    octets = "".join(
        each if each.isprintable() else "".join(f"\\{byte:03o}" for byte in os.fsencode(each))
        for each in text.replace("\\", "\\\\").replace("%", "%%")
    )
    return f'"$(printf {shlex.quote(octets)})"'
