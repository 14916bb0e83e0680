"""The storage backend of a run while it is made: where its arrays and its finished files lie.

`LocalStorage` leaves them in the run's folder; `remote_storage.ObjectStorage` uploads them to an object
store. A run's folder chooses once (`RunFolder.storage`), and no stage asks which it is.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from ..planning.plan import Plan
from ..store.arrays import Activations, UploadQueue, open_activations


class StorageBackend(ABC):
    """Where a run's arrays and finished files lie. Paths are those in the folder where files are made."""

    @property
    @abstractmethod
    def url(self) -> str | None:
        """URL of the object store that they lie in; None where they lie in the run's folder."""

    @property
    @abstractmethod
    def uploads(self) -> UploadQueue | None:
        """Queue that uploads an array's shards; None where shards become local files."""

    @abstractmethod
    def activations(self, array: Path, time_axis: str) -> Activations:
        """Open a complete array, to read it.

        Args:
            array: path of the array.
            time_axis: 'x' or 'y'.

        Returns:
            The array's values, read where they lie.
        """

    @abstractmethod
    def forget(self, array: Path) -> None:
        """Remove an array, if there is one."""

    @abstractmethod
    def size(self, path: Path) -> int:
        """Return the size of a complete file, in bytes."""

    @abstractmethod
    def opened(self, path: Path) -> Any:
        """Open a complete sound file.

        Returns:
            What soundfile takes as a file: a path, or a binary file that is open.
        """

    @abstractmethod
    def network_ended(self) -> None:
        """Wait until every shard is stored; the network's stage has ended."""

    @abstractmethod
    def make_room(self, plan: Plan) -> None:
        """Wait until the folder has room for another bank's sound, as planned."""

    @abstractmethod
    def settle(self) -> None:
        """Wait until every complete file is where it belongs."""

    @abstractmethod
    def close(self) -> None:
        """Give up what has not begun, and free threads."""


class LocalStorage(StorageBackend):
    """Keeps everything in the run's folder, where it is made."""

    @property
    def url(self) -> str | None:
        """No URL, since there is no object store."""
        return None

    @property
    def uploads(self) -> UploadQueue | None:
        """No queue, since shards are written as files."""
        return None

    def activations(self, array: Path, time_axis: str) -> Activations:
        """Open a complete array; see `StorageBackend`."""
        return open_activations(array, time_axis)

    def forget(self, array: Path) -> None:
        """Remove an array, if there is one."""
        shutil.rmtree(array, ignore_errors=True)

    def size(self, path: Path) -> int:
        """Return the size of a complete file, in bytes."""
        return path.stat().st_size

    def opened(self, path: Path) -> Any:
        """Return the file's path."""
        return str(path)

    def network_ended(self) -> None:
        """Return at once: shards were written as they came."""

    def make_room(self, plan: Plan) -> None:
        """Return at once: the plan's disk holds every sound."""

    def settle(self) -> None:
        """Return at once: files are made where they belong."""

    def close(self) -> None:
        """Return at once: nothing is open."""
