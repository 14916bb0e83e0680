"""Where the arrays of a run lie, and its finished files, while it goes on: here, in its folder.

`remote_storage` is the other kind.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ..planning.plan import Plan
from ..store.arrays import Activations, UploadQueue, open_activations


class StorageBackend:
    """Everything lies in the run's folder. Paths are where a file is made."""

    @property
    def url(self) -> str | None:
        """Of the object store that they lie in."""
        return None

    @property
    def uploads(self) -> UploadQueue | None:
        """What takes shards, where they do not go to files."""
        return None

    def activations(self, array: Path, time_axis: str) -> Activations:
        """An array that is whole, for reading."""
        return open_activations(array, time_axis)

    def forget(self, array: Path) -> None:
        """Remove an array, if it is there."""
        shutil.rmtree(array, ignore_errors=True)

    def size(self, path: Path) -> int:
        """Of a file that is whole, in bytes."""
        return path.stat().st_size

    def opened(self, path: Path) -> Any:
        """A file of sound that is whole, for soundfile."""
        return str(path)

    def network_ended(self) -> None:
        """Every shard was handed over."""

    def make_room(self, plan: Plan) -> None:
        """Wait until the folder has room for another bank's sound, as planned."""

    def settle(self) -> None:
        """Wait until all that is whole is where it is to be."""

    def close(self) -> None:
        """Begin nothing more."""
