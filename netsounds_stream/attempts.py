"""Which attempt at a run is the one whose files are wanted: for workers that may be late."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .base.journal import durably_replace
from .errors import ClusterError
from .roots import require_within

#: In a run's temporary folder: the name of the attempt under way.
TOKEN = "attempt"


@dataclass(frozen=True)
class Attempt:
    """One of a run that works in `folder`, its temporary one."""

    folder: Path
    name: str

    @classmethod
    def of(cls, folder: Path) -> Attempt:
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


def begin_attempt(folder: Path) -> None:
    """A new one, which ends those before."""
    durably_replace(folder / TOKEN, os.urandom(8).hex())
