"""The one place where a run's folder is told from a URL, by the word that a user gave.

Everything after that takes a `RunLocation`, a `RunFolder`, a `StorageBackend` or `RunFiles`, each of which
has a local form and one for object stores. What only object stores need is imported for them alone.
"""

from __future__ import annotations

from pathlib import Path

from ..base.locations import is_url
from .layout import out_path, resolved
from .location import LocalRunLocation, RunLocation


def location_of(place: str | Path, work: Path | None = None) -> RunLocation:
    """Return where a run goes, or is.

    Args:
        place: a folder, or a URL.
        work: folder for runs to URLs while they are made; None: the one for temporary files.

    Returns:
        A `LocalRunLocation`, or a `RemoteRunLocation`.

    Raises:
        OptionError: obstore, which a URL needs, is not installed, or the URL cannot be used.
    """
    if not is_url(place):
        return LocalRunLocation(Path(place))
    from .remote_location import RemoteRunLocation  # what local runs do not need

    return RemoteRunLocation(str(place), work)


def location_to_resume(place: str | Path, work: Path | None = None) -> RunLocation:
    """Return where a stopped run goes; `place` may also be the hidden folder that it is made in.

    Args:
        place: the run's folder or URL, or the hidden folder.
        work: see `location_of`.

    Returns:
        The location that `location_of` gave, when the run was started.

    Raises:
        OptionError: see `location_of`.
        OutputError: the path's links lead in a circle.
    """
    if is_url(place):
        return location_of(place, work)
    out = out_path(Path(place))
    return location_of(place if resolved(Path(place)) == out else out)
