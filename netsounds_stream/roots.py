"""Where a cluster's worker may read and write: below the folders that it was begun with, if it was with any.

This keeps a mistaken path from being followed. It is no wall against whoever may connect to a Dask cluster:
they may run anything on it. Who may connect is for TLS to say.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from .base.locations import is_url
from .errors import ClusterError

#: Of a worker's environment: folders, as in PATH, and URLs.
VARIABLE = "NETSOUNDS_STREAM_ROOTS"
_BETWEEN = re.escape(os.pathsep) + "(?!//)"


def require_within(paths: Iterable[Path], url: str | None = None) -> None:
    """Raise ClusterError where this worker has roots and a path, links followed, or the URL is below none."""
    given = [each for each in re.split(_BETWEEN, os.environ.get(VARIABLE, "")) if each]
    roots = [Path(each).resolve() for each in given if not is_url(each)]
    if not given:
        return
    for path in paths:
        there = path.resolve()
        if not any(there.is_relative_to(root) for root in roots):
            raise _outside(path, given)
    if url is not None and not any(f"{url}/".startswith(f"{root.rstrip('/')}/") for root in given):
        raise _outside(url, given)


def _outside(place: object, given: list[str]) -> ClusterError:
    return ClusterError(
        f"{place} is outside the folders that a worker may use ({', '.join(given)}); give a place in them, "
        f"or start the worker with another {VARIABLE}"
    )
