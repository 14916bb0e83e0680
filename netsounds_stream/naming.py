"""Names: which files are called as pictures are, and what runs' folders are called after them."""

from __future__ import annotations

from pathlib import Path

from .locations import name_of

#: How the names of pictures end, in small letters.
PICTURE_SUFFIXES = {
    *(".avif", ".gif", ".heic", ".heif", ".j2k", ".jp2", ".jpeg", ".jpg", ".jxl"),
    *(".png", ".ppm", ".tif", ".tiff", ".webp"),
}
_LONGEST_BYTES = 180  # file names may have 255, and the folder's partial name is longer than its own


def folder_of(picture: str | Path) -> Path:
    """`PICTURE-netsounds` here, where no folder is named."""
    return Path(f"{safe(Path(name_of(picture) if isinstance(picture, str) else picture).stem)}-netsounds")


def is_called_a_picture(path: str | Path) -> bool:
    """Return whether a file's name ends as those of pictures do; what it holds is not looked at."""
    return Path(path).suffix.lower() in PICTURE_SUFFIXES


def safe(name: str) -> str:
    """A folder's name after `name`: never hidden or like an option, printable, not too long."""
    printable = "".join(each if each.isprintable() else "_" for each in name)
    return printable.encode()[:_LONGEST_BYTES].decode(errors="ignore").lstrip(".-~ ") or "picture"
