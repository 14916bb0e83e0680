"""The files of a run under a URL, to be read."""

from __future__ import annotations

from pathlib import Path

from ..base.checksums import FileSum, crc32c
from ..store.arrays import Activations
from ..store.object_store import ObjectFolder
from ..store.remote_arrays import open_remote
from .files import RunFiles
from .layout import work_path
from .remote_folder import local_out


class RemoteRunFiles(RunFiles):
    """The objects under a URL.

    Args:
        url: the URL.
        work: folder for runs to URLs while they are made; see `location_of`.
    """

    def __init__(self, url: str, work: Path | None) -> None:
        self._objects = ObjectFolder(url)
        self._work = work
        self.place = self._objects.url

    def text(self, name: str) -> str | None:
        """Read a text object; see `RunFiles`."""
        content = self._objects.get(name)
        return None if content is None else content.decode(errors="replace")

    def sizes(self) -> dict[str, int]:
        """Return the size of every object in bytes, by name."""
        return self._objects.listed()

    def sum(self, name: str) -> FileSum:
        """Read an object, and return its checksum; see `RunFiles`."""
        size = 0
        crc = 0
        for piece in self._objects.stream(name)[1]:
            size += len(piece)
            crc = crc32c(piece, crc)
        return FileSum(size, crc)

    def array(self, name: str) -> Activations:
        """Open a stored array; see `RunFiles`."""
        return open_remote(self._objects, name)

    def begun(self) -> bool:
        """Return whether this machine holds a stopped run to the URL."""
        return work_path(local_out(str(self.place), self._work)).exists()
