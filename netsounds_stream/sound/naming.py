"""Names of sound files, and of what they are made from, below a run's folder."""

from __future__ import annotations

from pathlib import Path

#: Ending of the folder with a bank's files, one a filter.
FILTERS = "_filters"


def named(path: Path) -> str:
    """Return a sound file's name in its run's folder."""
    return f"{path.parent.name}/{path.name}" if path.parent.name.endswith(FILTERS) else path.name


def sum_spool_path(folder: Path, number: int) -> Path:
    """Return the path of a bank's spool in the folder for intermediate files."""
    return folder / f"sum-{number}.spool"


def map_rows_path(folder: Path, number: int) -> Path:
    """Return the path of the rows that become a bank's sum map, in the folder for intermediate files."""
    return folder / f"sums-{number}.rows"
