"""A run under a URL: worked on in a local folder, a run when its record is put there, last of all."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..base.checksums import file_sum, sealed
from ..base.journal import Journal, durably_replace
from ..base.locations import work_folder
from ..errors import OutputError
from ..store.object_store import ObjectFolder
from .folder import LOCK, RECORD_NAME, RunFolder, outputs_of, parsed_record
from .remote_storage import TEMPORARY, ObjectStorage
from .storage import StorageBackend

# The record as it is put; there from then on until everything else of the folder is gone.
_MARKER = "marker.json"
# There once it is known that whatever lies under the URL is an earlier run's, or this one's.
_OURS = "prefix.ours"


class RemoteFolder(RunFolder):
    """The folder for the run that will be at `url`; see `RunFolder`.

    Attributes:
        objects: what is under the URL.

    Raises:
        OutputError: what is there is in the way, or another process here works on the same URL.
        RemoteError: the store refuses, or does not answer.
    """

    def __init__(self, url: str, work: Path | None, *, overwrite: bool) -> None:
        self.objects, self._work = ObjectFolder(url), work
        if not self.objects.url.partition("://")[2].partition("/")[2]:
            raise OutputError(f"{self.objects.url} is a bucket; give a name in it for --out")
        self._replaces = overwrite
        super().__init__(work_folder(url, work) / "run", overwrite=False)
        self.given = self.objects.url

    def check(self, *, overwrite: bool) -> None:
        """Raise OutputError if a run cannot be put there: only an earlier run of ours is ever replaced."""
        url, content = self.objects.url, self.objects.get(RECORD_NAME)
        ours = (self.path / _OURS).exists()
        if content is not None and not overwrite:
            raise OutputError(f"{url} holds a run already; use --overwrite to replace it, or another --out")
        if ours:
            return
        if content is None:
            if there := next(iter(self.objects.listed(most=1)), None):
                raise OutputError(
                    f"{url} holds other objects ({there}) but no run; remove them, or choose another --out"
                )
        else:
            record = parsed_record(content.decode(errors="replace"))
            if record is None:
                raise OutputError(f"{url} holds a {RECORD_NAME} of another program; choose another --out")
            known = {PurePosixPath(name).parts[0] for name in (*record["files"], RECORD_NAME)}
            for name in self.objects.listed():
                if name.split("/")[0] not in known:
                    raise OutputError(
                        f"{url} holds {name}, which is not part of its run; move it away, or choose "
                        "another --out"
                    )
        durably_replace(self.path / _OURS, url)

    def finished(self) -> dict[str, Any]:
        """The record of the run that is there.

        Raises:
            OutputError: there is none.
        """
        content = self.objects.get(RECORD_NAME)
        record = None if content is None else parsed_record(content.decode(errors="replace"))
        if record is None:
            raise OutputError(
                f"no run to {self.objects.url} was started here; start one with: netsounds-stream sonify "
                f"PICTURE"
            )
        return record

    def clear(self) -> None:
        """Remove what a stopped run left, here and there; and the run that was there, its record first."""
        self._clear_here(_OURS)
        self.objects.delete([RECORD_NAME])
        self.objects.delete(self.objects.listed())

    def storage(self, journal: Journal) -> StorageBackend:
        return ObjectStorage(self.objects, self.path, journal)

    def contents(self, known: Mapping[str, Any], *, arrays: bool) -> dict[str, Any]:
        """See `RunFolder`; what describes the arrays is put, too."""
        sums = dict(known)
        for path in self.path.glob("*.zarr/zarr.json"):
            name = path.relative_to(self.path).as_posix()
            sums[name] = file_sum(path).to_json()
            if arrays:
                self.objects.put(name, path.read_bytes())
        kept = {
            name: each
            for name, each in sums.items()
            if name.split("/")[0] != TEMPORARY and (arrays or ".zarr/" not in name)
        }
        return {
            "files": outputs_of(PurePosixPath(name) for name in kept),
            "checksums": dict(sorted(kept.items())),
        }

    def finish(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Everything else is there: put the record, and remove what is here."""
        text = sealed(record)
        durably_replace(self.path / _MARKER, text)
        self._put_marker(text)
        found = parsed_record(text)
        assert found is not None
        return found

    def _put_marker(self, text: str) -> None:
        self.objects.put(RECORD_NAME, text.encode())
        for path in self.path.iterdir():  # the marker last: without it, a run would seem to have been stopped
            if path.name not in (LOCK, _MARKER):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self.path / _MARKER).unlink()

    def _recover(self) -> None:
        """Finish what a process was killed at while it put the record."""
        marker = self.path / _MARKER
        if marker.exists():
            self._put_marker(marker.read_text(encoding="utf-8"))

    def _resuming(self) -> str:
        work = "" if self._work is None else f" --work {shlex.quote(str(self._work))}"
        return f"{super()._resuming()}{work}"

    def _leave(self) -> None:
        if (self.path / _OURS).exists():  # shards may be there that no journal speaks of
            self._close()
            return
        super()._leave()
        with contextlib.suppress(OSError):  # another process may have come
            self.path.parent.rmdir()
