"""The folder that a run goes to where none is named: after its picture, whatever the picture is called."""

from __future__ import annotations

from pathlib import Path

from .locations import name_of

_LONGEST_STEM_BYTES = 180  # file names may have 255, and the folder's partial name is longer than its own


def folder_of(picture: str | Path) -> Path:
    """`PICTURE-netsounds` here: never hidden, never like an option, of printable characters, not too long."""
    stem = Path(name_of(picture) if isinstance(picture, str) else picture).stem
    printable = "".join(each if each.isprintable() else "_" for each in stem)
    stem = printable.encode()[:_LONGEST_STEM_BYTES].decode(errors="ignore").lstrip(".-~ ")
    return Path(f"{stem or 'picture'}-netsounds")
