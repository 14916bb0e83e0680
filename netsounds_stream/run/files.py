"""The files of a run by their names, to be read: `LocalRunFiles` in a folder, `remote_files` under a URL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from ..base.checksums import FileSum, file_sum
from ..base.locations import quoted
from ..errors import OutputError
from ..store.arrays import Activations, open_activations
from .layout import RECORD_NAME, out_path, work_path


class RunFiles(ABC):
    """The files in a folder or under a URL, by names with '/' between their parts.

    Attributes:
        place: the folder, or the URL without its secrets.
    """

    place: Path | str

    @abstractmethod
    def text(self, name: str) -> str | None:
        """Read a text file; bytes that are no UTF-8 are replaced.

        Returns:
            The text; None where there is no such file.
        """

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Return the size of every file in bytes, by name."""

    @abstractmethod
    def sum(self, name: str) -> FileSum:
        """Read a file.

        Returns:
            The checksum of what it holds now.

        Raises:
            OSError: it is not there, or cannot be read.
        """

    @abstractmethod
    def array(self, name: str) -> Activations:
        """Open a stored array.

        Args:
            name: name of the array; empty where `place` is the array.

        Returns:
            The array's values, which are not read yet.

        Raises:
            StoreError: it cannot be opened.
        """

    @abstractmethod
    def begun(self) -> bool:
        """Return whether a stopped run is to become the one that would be here."""


class LocalRunFiles(RunFiles):
    """The files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.place = folder

    def text(self, name: str) -> str | None:
        """Read a text file; see `RunFiles`."""
        path = self._folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None

    def sizes(self) -> dict[str, int]:
        """Return the size of every file in bytes, by name."""
        paths = (path for path in self._folder.rglob("*") if not path.is_dir())
        return {path.relative_to(self._folder).as_posix(): path.lstat().st_size for path in paths}

    def sum(self, name: str) -> FileSum:
        """Read a file, and return its checksum; see `RunFiles`."""
        return file_sum(self._folder / name)

    def array(self, name: str) -> Activations:
        """Open a stored array; see `RunFiles`."""
        return open_activations(self._folder / name)

    def begun(self) -> bool:
        """Return whether a stopped run is to become this folder."""
        return work_path(out_path(self._folder)).exists()


def with_folders(names: Iterable[str]) -> set[str]:
    """Return the names of files, and of all folders that they lie in."""
    names = set(names)
    return names | {folder.as_posix() for name in names for folder in PurePosixPath(name).parents}


def require_run(files: RunFiles) -> str:
    """Require that there is a finished run.

    Returns:
        The text of its record.

    Raises:
        OutputError: there is no finished run.
    """
    text = files.text(RECORD_NAME)
    if text is not None:
        return text
    if files.begun():
        raise OutputError(
            f"the run is not finished; resume it with: netsounds-stream resume {quoted(files.place)}"
        )
    raise OutputError(f"{files.place} holds no run; give a run's folder")
