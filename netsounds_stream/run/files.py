"""The files of a run by their names, whether they lie in a folder or under a URL, to be read."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ..base.checksums import FileSum, crc32c, file_sum
from ..base.locations import is_url, work_folder
from ..errors import OutputError
from ..store.arrays import Activations, open_activations
from .folder import RECORD_NAME, out_path, work_path


class RunFiles(Protocol):
    """What lies at `name`: a folder or a URL."""

    name: str

    def text(self, name: str) -> str | None:
        """A file's text, what is none of it replaced; None if there is no such file."""

    def sizes(self) -> dict[str, int]:
        """The names of all files, with their lengths in bytes."""

    def sum(self, name: str) -> FileSum:
        """A file's checksum, as it is now.

        Raises:
            OSError: it is not there, or cannot be read.
        """

    def array(self, name: str) -> Activations:
        """A stored array."""

    def begun(self) -> bool:
        """Whether a stopped run waits to become this one."""


def files_of(place: str | Path) -> RunFiles:
    """Those at a path or a URL."""
    return _Remote(str(place)) if is_url(place) else _Local(Path(place))


class _Local:
    def __init__(self, top: Path) -> None:
        self._top, self.name = top, str(top)

    def text(self, name: str) -> str | None:
        path = self._top / name
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None

    def sizes(self) -> dict[str, int]:
        there = (path for path in self._top.rglob("*") if not path.is_dir())
        return {path.relative_to(self._top).as_posix(): path.lstat().st_size for path in there}

    def sum(self, name: str) -> FileSum:
        return file_sum(self._top / name)

    def array(self, name: str) -> Activations:
        return open_activations(self._top / name)

    def begun(self) -> bool:
        return work_path(out_path(self._top)).exists()


class _Remote:
    def __init__(self, url: str) -> None:
        from ..store.object_store import ObjectFolder  # what folders do not need

        self._objects = ObjectFolder(url)
        self.name = self._objects.url

    def text(self, name: str) -> str | None:
        content = self._objects.get(name)
        return None if content is None else content.decode(errors="replace")

    def sizes(self) -> dict[str, int]:
        return self._objects.listed()

    def sum(self, name: str) -> FileSum:
        size, crc = 0, 0
        for piece in self._objects.stream(name)[1]:
            size, crc = size + len(piece), crc32c(piece, crc)
        return FileSum(size, crc)

    def array(self, name: str) -> Activations:
        from ..store.remote import open_remote

        return open_remote(self._objects, name)

    def begun(self) -> bool:
        return work_path(work_folder(self.name) / "run").exists()


def require_run(files: RunFiles) -> str:
    """The text of the record of the finished run there.

    Raises:
        OutputError: there is none.
    """
    text = files.text(RECORD_NAME)
    if text is not None:
        return text
    if files.begun():
        raise OutputError(f"the run is not finished; resume it with: netsounds-stream resume {files.name}")
    raise OutputError(f"{files.name} holds no run; give a run's folder")
