"""A run's arrays and finished files in an object store: put beside the work, read back by ranges.

Shards go there as they are encoded. A file of sound or of the report is made in the run's folder; when a
commit has it whole it is put, noted in the journal as `put: NAME`, and removed here.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..base.checksums import FileSum
from ..base.journal import Journal, no_files
from ..errors import Stopped
from ..planning.plan import AHEAD, Plan
from ..store.arrays import Activations, UploadQueue
from ..store.object_store import ObjectFolder
from ..store.remote import ShardUploads, open_remote
from .storage import StorageBackend

#: A folder in the run's for what waits: nothing in it is the run's.
TEMPORARY = "temporary"
# How often a wait looks whether the run was asked to stop.
_LOOK_UP_SECONDS = 0.5


class ObjectStorage(StorageBackend):
    """Puts what is made in `folder` to `objects`. What a put fails with comes out of the next call."""

    def __init__(self, objects: ObjectFolder, folder: Path, journal: Journal) -> None:
        self._objects, self._folder, self._journal = objects, folder, journal
        self._fetching = ThreadPoolExecutor(AHEAD, "fetch")
        self._shards = ShardUploads(objects)
        self._files = ThreadPoolExecutor(1, "upload")
        self._closed = False
        self._failure: BaseException | None = None
        self._waiting: dict[str, int] = {}  # bytes of files that are still in the folder
        self._changed = threading.Condition()
        journal.on_whole = self._whole
        known = journal.content["checksums"].items()
        self._whole({folder / name: FileSum.from_json(each) for name, each in known})

    @property
    def url(self) -> str | None:
        return self._objects.url

    @property
    def uploads(self) -> UploadQueue | None:
        return self._shards

    def check(self) -> None:
        """Raise what a put has failed with."""
        self._shards.check()
        if self._failure is not None:
            raise self._failure

    def activations(self, array: Path, time_axis: str) -> Activations:
        described = (array / "zarr.json").read_bytes()
        return open_remote(self._objects, array.name, time_axis, pool=self._fetching, metadata=described)

    def forget(self, array: Path) -> None:
        super().forget(array)
        self._objects.delete(self._objects.listed(f"{array.name}/"))

    def size(self, path: Path) -> int:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return FileSum.from_json(self._journal.content["checksums"][self._name(path)]).bytes

    def opened(self, path: Path) -> Any:
        try:
            return path.open("rb")
        except FileNotFoundError:
            return _Reader(self._objects.reader(self._name(path)))

    def network_ended(self) -> None:
        self._shards.wait()

    def make_room(self, plan: Plan) -> None:
        self._wait(plan.largest_sound_bytes)

    def settle(self) -> None:
        self._wait(0)

    def close(self) -> None:
        self._closed = True
        self._shards.close()
        for each in (self._fetching, self._files):
            each.shutdown(cancel_futures=True)

    def _wait(self, most: int) -> None:
        """Until no more than `most` bytes of whole files are in the folder."""
        self._journal.flush()
        while True:
            with self._changed:
                while self._failure is None and self._under_way(most):
                    if self._journal.stopping:
                        raise Stopped
                    self._changed.wait(_LOOK_UP_SECONDS)
            self.check()
            self._journal.flush()  # which removes what was put
            if sum(self._waiting.values()) <= most:
                return

    def _under_way(self, most: int) -> bool:
        """Whether puts that have not ended keep more than `most` bytes here."""
        put = [name for name in self._waiting if self._journal.done(_step(name))]
        return sum(size for name, size in self._waiting.items() if name not in put) > most

    def _whole(self, files: Mapping[Path, FileSum]) -> None:
        """Have files put, those that are not in the store yet, nor on their way."""
        for path, found in files.items():
            name = self._name(path)
            inside = name.split("/")[0]
            if inside == TEMPORARY or inside.endswith(".zarr") or name in self._waiting:
                continue
            if not self._journal.done(_step(name)):
                self._waiting[name] = found.bytes
                self._files.submit(self._put_file, name, path)
            elif path.exists():  # killed before it was removed
                path.unlink()

    def _put_file(self, name: str, path: Path) -> None:
        try:
            if self._failure is None:
                self._objects.put_file(name, path, lambda: self._closed)
                self._journal.reached(_step(name), {"whole": True}, no_files, after=lambda: self._drop(name))
        except BaseException as error:  # noqa: BLE001  (raised again in `check`)
            self._failure = error
        with self._changed:
            self._changed.notify_all()

    def _drop(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)
        with self._changed:
            self._waiting.pop(name, None)
            self._changed.notify_all()

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


def _step(name: str) -> str:
    return f"put: {name}"


class _Reader:
    """An object as soundfile wants a file: with `read` that gives bytes."""

    name = None

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def read(self, count: int = -1) -> bytes:
        return bytes(self._reader.read(count) if count >= 0 else self._reader.readall())

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())
