"""A URL of an object store as the location of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..base.journal import read_journal
from ..base.locations import work_folder
from .files import RunFiles
from .folder import RunFolder
from .layout import resolved, work_path
from .location import RunLocation
from .remote_files import RemoteRunFiles
from .remote_folder import RemoteRunFolder, local_out
from .result import Run, as_run


class RemoteRunLocation(RunLocation):
    """A URL; see `location_of`."""

    def __init__(self, url: str, work: Path | None) -> None:
        self._url = url
        self._work = work

    @property
    def remote(self) -> bool:
        """True, since the run is in an object store."""
        return True

    @property
    def disk(self) -> Path:
        """The folder that the run is made in."""
        return work_folder(self._url, self._work)

    def files(self) -> RunFiles:
        """Return the objects under the URL."""
        return RemoteRunFiles(self._url, self._work)

    def folder(self, *, overwrite: bool) -> RunFolder:
        """Open the local folder in which the run is made; `check` says whether it may replace another."""
        return RemoteRunFolder(self._url, self._work)

    def stopped(self) -> dict[str, Any] | None:
        """Return the journal of the stopped run; see `RunLocation`."""
        return read_journal(work_path(resolved(local_out(self._url, self._work))))

    def finished(self) -> Run:
        """Return the finished run; see `RunLocation`."""
        with RemoteRunFolder(self._url, self._work) as folder:
            return as_run(folder.place, folder.finished())
