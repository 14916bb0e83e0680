"""A run under a URL: made in a local folder, and a run once its record is uploaded, last of all."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..base.checksums import file_sum, sealed
from ..base.journal import Journal, durably_replace
from ..base.locations import quoted, work_folder
from ..errors import OutputError
from ..store.object_store import ObjectFolder
from .folder import RunFolder
from .layout import LOCK, RECORD_NAME, TEMPORARY, is_sharded_array, outputs_of, resolved, tops_of, work_path
from .record_file import parsed_record
from .remote_storage import ObjectStorage
from .storage import StorageBackend

# The record as it is uploaded; in the folder from then on until everything else of the folder is gone.
_MARKER = "marker.json"
# In the folder once it is known that whatever lies under the URL is an earlier run's, or this one's.
_OURS = "prefix.ours"


class RemoteRunFolder(RunFolder):
    """The local folder of a run that will be under a URL.

    Args:
        url: the run's URL.
        work: folder for runs to URLs while they are made; see `location_of`.

    Attributes:
        objects: the objects under the URL.

    Raises:
        OutputError: what is there is in the way, or another process here works on the same URL.
        RemoteError: the store refuses, or does not answer.
    """

    def __init__(self, url: str, work: Path | None) -> None:
        self.objects = ObjectFolder(url)
        self._work = work
        if not self.objects.url.partition("://")[2].partition("/")[2]:
            raise OutputError(f"{self.objects.url} is a bucket; give a name in it for --out")
        super().__init__(self.objects.url, work_path(resolved(local_out(url, work))))

    @property
    def remote(self) -> bool:
        """True, since the run will be in an object store."""
        return True

    def check(self, *, overwrite: bool) -> None:
        """Require that a run can be put under the URL; see `RunFolder`."""
        url = self.objects.url
        content = self.objects.get(RECORD_NAME)
        if content is not None and not overwrite:
            raise OutputError(f"{url} holds a run already; use --overwrite to replace it, or another --out")
        if (self.path / _OURS).exists():
            return
        if content is None:
            if first := next(iter(self.objects.listed(most=1)), None):
                raise OutputError(
                    f"{url} holds other objects ({first}) but no run; remove them, or choose another --out"
                )
        else:
            record = parsed_record(content.decode(errors="replace"))
            if record is None:
                raise OutputError(f"{url} holds a {RECORD_NAME} of another program; choose another --out")
            known = {RECORD_NAME, *tops_of(record)}
            for name in self.objects.listed():
                if name.split("/")[0] not in known:
                    raise OutputError(
                        f"{url} holds {name}, which is not part of its run; move it away, or choose "
                        "another --out"
                    )
        durably_replace(self.path / _OURS, url)

    def finished(self) -> dict[str, Any]:
        """Read the record of the run under the URL.

        Returns:
            The record of a finished run.

        Raises:
            OutputError: there is no run.
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
        """Remove what a stopped run left, here and there, and the run that is there, its record first."""
        self._clear_local(_OURS)
        self.objects.delete([RECORD_NAME])
        self.objects.delete(self.objects.listed())

    def storage(self, journal: Journal) -> StorageBackend:
        """Return the backend that uploads to the URL."""
        return ObjectStorage(self.objects, self.path, journal)

    def contents(self, known: Mapping[str, Any], *, arrays: bool) -> dict[str, Any]:
        """Return what the record says of the run's files, and upload the metadata of kept arrays."""
        checksums = dict(known)
        for path in self.path.glob("*.zarr/zarr.json"):
            name = path.relative_to(self.path).as_posix()
            checksums[name] = file_sum(path).to_json()
            if arrays or not is_sharded_array(path.parent.name):
                self.objects.put(name, path.read_bytes())
        kept = {
            name: checksum
            for name, checksum in checksums.items()
            if (top := name.split("/")[0]) != TEMPORARY and (arrays or not is_sharded_array(top))
        }
        return {
            "files": outputs_of(PurePosixPath(name) for name in kept),
            "checksums": dict(sorted(kept.items())),
        }

    def finish(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Upload the record, when everything else is there, and empty the folder; see `RunFolder`."""
        text = sealed(record)
        durably_replace(self.path / _MARKER, text)
        self._put_marker(text)
        written = parsed_record(text)
        assert written is not None
        return written

    def _put_marker(self, text: str) -> None:
        self.objects.put(RECORD_NAME, text.encode())
        for path in self.path.iterdir():  # the marker last: without it, a run would seem to have been stopped
            if path.name not in (LOCK, _MARKER):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self.path / _MARKER).unlink()

    def _recover(self) -> None:
        """Upload the record, where a process was killed while it did so."""
        marker = self.path / _MARKER
        if marker.exists():
            self._put_marker(marker.read_text(encoding="utf-8"))

    def _resuming(self) -> str:
        work = "" if self._work is None else f" --work {quoted(self._work)}"
        return f"{super()._resuming()}{work}"

    def _leave(self) -> None:
        if (self.path / _OURS).exists():  # shards may be there that no journal speaks of
            self._lock.release()
            return
        super()._leave()
        with contextlib.suppress(OSError):  # another process may have come
            self.path.parent.rmdir()


def local_out(url: str, work: Path | None) -> Path:
    """Return the path whose hidden neighbour is the folder that the run to a URL is made in."""
    return work_folder(url, work) / "run"
