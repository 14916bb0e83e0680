"""A run's arrays and finished files in an object store: uploaded beside the work, read back by ranges.

Shards are uploaded as they are encoded. A file of sound or of the report is made in the run's folder; when a
commit has it complete it is uploaded, noted in the journal as `put: NAME`, and removed from the folder.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..base.checksums import FileSum
from ..base.journal import Journal, no_files
from ..errors import Stopped
from ..planning.plan import AHEAD, Plan
from ..planning.steps import upload_step
from ..store.arrays import Activations, UploadQueue
from ..store.object_store import ObjectFolder
from ..store.remote_arrays import open_remote
from ..store.uploads import ShardUploads
from .layout import TEMPORARY, is_sharded_array
from .storage import StorageBackend

# How often a wait looks whether the run was asked to stop.
_POLL_SECONDS = 0.5


class ObjectStorage(StorageBackend):
    """Uploads what is made in a folder; an upload's error is raised by a later call.

    Args:
        objects: where to upload.
        folder: the run's folder.
        journal: the run's journal, which says what is complete and what is uploaded.
    """

    def __init__(self, objects: ObjectFolder, folder: Path, journal: Journal) -> None:
        self._objects = objects
        self._folder = folder
        self._journal = journal
        self._fetching = ThreadPoolExecutor(AHEAD, "fetch")
        self._shards = ShardUploads(objects)
        self._uploading = ThreadPoolExecutor(1, "upload")
        self._closed = False
        self._failure: BaseException | None = None
        self._local_bytes: dict[str, int] = {}  # of each complete file that is still in the folder
        self._changed = threading.Condition()
        journal.on_complete = self._enqueue
        checksums = journal.content["checksums"].items()
        self._enqueue({folder / name: FileSum.from_json(checksum) for name, checksum in checksums})

    @property
    def url(self) -> str | None:
        """URL that everything is uploaded under."""
        return self._objects.url

    @property
    def uploads(self) -> UploadQueue | None:
        """Queue that uploads an array's shards."""
        return self._shards

    def check(self) -> None:
        """Raise the error that an upload failed with, if one did."""
        self._shards.check()
        if self._failure is not None:
            raise self._failure

    def activations(self, array: Path, time_axis: str) -> Activations:
        """Open a complete array in the object store; see `StorageBackend`."""
        metadata = (array / "zarr.json").read_bytes()
        return open_remote(self._objects, array.name, time_axis, pool=self._fetching, metadata=metadata)

    def forget(self, array: Path) -> None:
        """Remove an array from the folder and from the object store."""
        shutil.rmtree(array, ignore_errors=True)
        self._objects.delete(self._objects.listed(f"{array.name}/"))

    def size(self, path: Path) -> int:
        """Return the size of a complete file, in bytes, wherever it is by now."""
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return FileSum.from_json(self._journal.content["checksums"][self._name(path)]).bytes

    def opened(self, path: Path) -> Any:
        """Return a complete sound file, open for soundfile: the local one, or its object."""
        try:
            return path.open("rb")
        except FileNotFoundError:
            return _SoundObject(self._objects.reader(self._name(path)))

    def network_ended(self) -> None:
        """Wait until every shard is uploaded."""
        self._shards.wait()

    def make_room(self, plan: Plan) -> None:
        """Wait until no more than one bank's sound is still in the folder."""
        self._wait(plan.largest_sound_bytes)

    def settle(self) -> None:
        """Wait until every complete file is uploaded and removed from the folder."""
        self._wait(0)

    def close(self) -> None:
        """Cancel uploads that have not begun, and wait for those that have."""
        self._closed = True
        self._shards.close()
        for pool in (self._fetching, self._uploading):
            pool.shutdown(cancel_futures=True)

    def _wait(self, most_bytes: int) -> None:
        """Wait until complete files in the folder hold no more than `most_bytes`.

        Raises:
            Stopped: the run was asked to stop.
        """
        self._journal.flush()
        while True:
            with self._changed:
                while self._failure is None and self._uploading_bytes() > most_bytes:
                    if self._journal.stopping:
                        raise Stopped
                    self._changed.wait(_POLL_SECONDS)
            self.check()
            self._journal.flush()  # which removes what was uploaded
            if sum(self._local_bytes.values()) <= most_bytes:
                return

    def _uploading_bytes(self) -> int:
        """Return the bytes of files in the folder whose upload has not ended."""
        return sum(
            size
            for name, size in list(self._local_bytes.items())
            if not self._journal.done(upload_step(name))
        )

    def _enqueue(self, files: Mapping[Path, FileSum]) -> None:
        """Upload those of some complete files that are neither uploaded nor queued yet."""
        for path, checksum in files.items():
            name = self._name(path)
            top = name.split("/")[0]
            # an array's metadata are put with the record, since the group is made from them
            apart = is_sharded_array(top) or name.endswith(".zarr/zarr.json")
            if top == TEMPORARY or apart or name in self._local_bytes:
                continue
            if not self._journal.done(upload_step(name)):
                self._local_bytes[name] = checksum.bytes
                self._uploading.submit(self._upload, name, path)
            elif path.exists():  # killed before it was removed
                path.unlink()

    def _upload(self, name: str, path: Path) -> None:
        try:
            if self._failure is None:
                self._objects.put_file(name, path, lambda: self._closed)
                self._journal.completed(upload_step(name), no_files, after=lambda: self._remove_local(name))
        except BaseException as error:  # noqa: BLE001  (raised again in `check`)
            self._failure = error
        with self._changed:
            self._changed.notify_all()

    def _remove_local(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)
        with self._changed:
            self._local_bytes.pop(name, None)
            self._changed.notify_all()

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


class _SoundObject:
    """An object as soundfile takes a file: with a `read` that returns bytes."""

    name = None

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def read(self, count: int = -1) -> bytes:
        return bytes(self._reader.read(count) if count >= 0 else self._reader.readall())

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())
