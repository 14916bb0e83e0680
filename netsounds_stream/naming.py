"""The names of runs' folders after their pictures, whatever those are called."""

from __future__ import annotations

from pathlib import Path

from .locations import name_of

_LONGEST_BYTES = 180  # file names may have 255, and the folder's partial name is longer than its own


def folder_of(picture: str | Path) -> Path:
    """`PICTURE-netsounds` here, where no folder is named."""
    return Path(f"{safe(Path(name_of(picture) if isinstance(picture, str) else picture).stem)}-netsounds")


def safe(name: str) -> str:
    """A folder's name after `name`: never hidden or like an option, printable, not too long."""
    printable = "".join(each if each.isprintable() else "_" for each in name)
    return printable.encode()[:_LONGEST_BYTES].decode(errors="ignore").lstrip(".-~ ") or "picture"
