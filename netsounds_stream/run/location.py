"""Where a run is or will be: `LocalRunLocation` for a folder, `remote_location` for a URL.

`destinations` chooses between them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from ..base.journal import read_journal
from ..errors import OutputError
from .files import LocalRunFiles, RunFiles
from .folder import LocalRunFolder, RunFolder, recover
from .layout import RECORD_NAME, resolved, work_path
from .record_file import read_record
from .result import Run, as_run


class RunLocation(ABC):
    """Where a run is or will be."""

    @property
    @abstractmethod
    def remote(self) -> bool:
        """True where the run is in an object store."""

    @property
    @abstractmethod
    def disk(self) -> Path:
        """A path on the disk that must hold the run while it is made."""

    @abstractmethod
    def files(self) -> RunFiles:
        """Return the files that are there."""

    @abstractmethod
    def folder(self, *, overwrite: bool) -> RunFolder:
        """Open the folder in which the run is made, for this process alone.

        Args:
            overwrite: replace a run that is there.

        Returns:
            The folder, locked; use it as a context manager.

        Raises:
            OutputError: the run cannot be put there, or another process works on it.
        """

    @abstractmethod
    def stopped(self) -> dict[str, Any] | None:
        """Read the journal of the stopped run that will be there.

        Returns:
            The journal's content; None where no run was stopped.

        Raises:
            StoreError: the journal is damaged.
        """

    @abstractmethod
    def finished(self) -> Run:
        """Open the finished run.

        A run that lacks nothing but its place, because a process was killed just then, is put there first.

        Returns:
            The run as a value.

        Raises:
            OutputError: there is none.
        """


class LocalRunLocation(RunLocation):
    """A folder."""

    def __init__(self, out: Path) -> None:
        self._out = out

    @property
    def remote(self) -> bool:
        """False, since the run is in a folder."""
        return False

    @property
    def disk(self) -> Path:
        """The run's folder."""
        return self._out

    def files(self) -> RunFiles:
        """Return the files in the folder."""
        return LocalRunFiles(self._out)

    def folder(self, *, overwrite: bool) -> RunFolder:
        """Open the hidden neighbour in which the run is made; see `RunLocation`."""
        return LocalRunFolder(self._out, overwrite=overwrite)

    def stopped(self) -> dict[str, Any] | None:
        """Return the journal of the stopped run; see `RunLocation`."""
        return read_journal(work_path(resolved(self._out)))

    def finished(self) -> Run:
        """Return the finished run; see `RunLocation`."""
        out = resolved(self._out)
        if read_record(work_path(out) / RECORD_NAME) is not None:
            recover(out)
        record = read_record(out / RECORD_NAME)
        if record is None:
            raise OutputError(
                f"there is no stopped run at {self._out}; start one with: netsounds-stream sonify PICTURE"
            )
        return as_run(out, record)
