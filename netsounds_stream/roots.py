"""Where a cluster's worker may read and write: below the folders that it was begun with, if it was with any.

This keeps a mistaken path from being followed. It is no wall against whoever may connect to a Dask cluster:
they may run anything on it. Who may connect is for TLS to say.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from .errors import ClusterError

#: Of a worker's environment: folders, as in PATH.
VARIABLE = "NETSOUNDS_STREAM_ROOTS"


def require_within(paths: Iterable[Path]) -> None:
    """Raise ClusterError where this worker has roots and one of the paths, links followed, is below none."""
    roots = [Path(each).resolve() for each in os.environ.get(VARIABLE, "").split(os.pathsep) if each]
    if not roots:
        return
    for path in paths:
        there = path.resolve()
        if not any(there.is_relative_to(root) for root in roots):
            raise ClusterError(
                f"{path} is outside what a worker may use ({', '.join(map(str, roots))}); give a place in "
                f"there, or begin the worker with another {VARIABLE}"
            )
