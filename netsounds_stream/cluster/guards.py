"""What a cluster's worker may do: it must belong to the current attempt, and stay below its root folders.

A worker that comes late, for an attempt that has ended, is kept out by a fencing token. The root folders keep
a mistaken path from being followed. They are no wall against whoever may connect to a Dask cluster: they may
run anything on it. Who may connect is for TLS to say.
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

#: In a run's temporary folder: the name of the attempt under way.
TOKEN = "attempt"


@dataclass(frozen=True)
class FencingToken:
    """One of a run that works in `folder`, its temporary one."""

    folder: Path
    name: str

    @classmethod
    def of(cls, folder: Path) -> FencingToken:
        """The one under way."""
        return cls(folder, (folder / TOKEN).read_text(encoding="ascii"))

    def require(self) -> None:
        """Raise ClusterError where its files are not wanted any more, or are not to be seen from here."""
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
    """A new one, which ends those before."""
    durably_replace(folder / TOKEN, os.urandom(8).hex())


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
