"""Guards of a cluster's worker: it must belong to the current attempt, and stay below its root folders.

A fencing token keeps out a late worker of an attempt that has ended. The root folders keep a worker from
following a mistaken path. They are no protection against an attacker: whoever may connect to a Dask cluster
may run anything on it, so restrict connections with TLS.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..base.journal import durably_replace
from ..base.locations import is_url
from ..errors import ClusterError

#: File in a run's temporary folder that holds the current attempt's name.
TOKEN = "attempt"


@dataclass(frozen=True)
class FencingToken:
    """A token that lets one attempt at a run publish files, until a newer attempt begins.

    Attributes:
        folder: the run's temporary folder.
        name: the attempt's name.
    """

    folder: Path
    name: str

    @classmethod
    def of(cls, folder: Path) -> FencingToken:
        """Return the token of the current attempt.

        Args:
            folder: the run's temporary folder.
        """
        return cls(folder, (folder / TOKEN).read_text(encoding="ascii"))

    def require(self) -> None:
        """Check that this attempt is still the current one.

        Raises:
            ClusterError: a newer attempt has begun, or the folder cannot be read from here.
        """
        path = self.folder / TOKEN
        require_within([path])
        try:
            current = path.read_text(encoding="ascii")
        except OSError as error:
            raise ClusterError(
                f"a worker cannot read {path} ({error.strerror}); give an --out that all workers see by that "
                f"name"
            ) from error
        if current != self.name:
            raise ClusterError("this run was started again meanwhile; let that one finish")


def issue_token(folder: Path) -> None:
    """Begin a new attempt, which invalidates the tokens of earlier ones.

    Args:
        folder: the run's temporary folder.
    """
    durably_replace(folder / TOKEN, os.urandom(8).hex())


#: A worker's environment variable that lists its roots: folders, separated as in PATH, and URLs.
VARIABLE = "NETSOUNDS_STREAM_ROOTS"
_SEPARATOR = re.escape(os.pathsep) + "(?!//)"  # the colon of a URL's scheme separates nothing


def require_within(paths: Iterable[Path], url: str | None = None) -> None:
    """Check that paths and a URL lie below this worker's roots; a worker without roots may use any.

    Args:
        paths: the paths, whose symbolic links are followed.
        url: an object store's URL; None: there is none.

    Raises:
        ClusterError: one of them lies outside.
    """
    roots = [root for root in re.split(_SEPARATOR, os.environ.get(VARIABLE, "")) if root]
    if not roots:
        return
    folders = [Path(root).resolve() for root in roots if not is_url(root)]
    for path in paths:
        resolved = path.resolve()
        if not any(resolved.is_relative_to(folder) for folder in folders):
            raise _outside(path, roots)
    if url is not None and not any(f"{url}/".startswith(f"{root.rstrip('/')}/") for root in roots):
        raise _outside(url, roots)


def _outside(place: object, roots: list[str]) -> ClusterError:
    return ClusterError(
        f"{place} is outside the folders that a worker may use ({', '.join(roots)}); give a place in them, "
        f"or start the worker with another {VARIABLE}"
    )
