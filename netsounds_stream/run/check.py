"""The check of a finished run: every file is there, has its length and its checksum, and can be decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch

from ..base.checksums import FileSum, is_sealed
from ..base.pipeline import workers
from ..base.progress import Listener, Stages
from ..errors import DamagedError, OutputError, StoreError
from ..planning.planner import split_threads
from ..store.arrays import Activations
from ..store.blocks import Block, blocks_of
from ..store.shards import shard_path
from .destinations import location_of
from .files import RunFiles, require_run, with_folders
from .layout import RECORD_NAME, is_sharded_array
from .record_file import parsed_record

_BLOCK_VALUES = 1 << 20


@dataclass(frozen=True)
class Damage:
    """A damaged file of a run.

    Attributes:
        name: its path in the run's folder.
        what: what is wrong with it.
    """

    name: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Check:
    """The result of reading a run completely.

    Attributes:
        folder: the run's folder or URL.
        files: number of files that the record names, and the record.
        bytes: their size.
        damaged: the damaged files.
        unknown: names of other files in the folder, which do no harm.
    """

    folder: Path | str
    files: int
    bytes: int
    damaged: tuple[Damage, ...]
    unknown: tuple[str, ...]

    def require_whole(self) -> None:
        """Require that nothing is damaged.

        Raises:
            DamagedError: something is.
        """
        if self.damaged:
            names = ", ".join(damage.name for damage in self.damaged[:3])
            more = f" and {len(self.damaged) - 3} more" if len(self.damaged) > 3 else ""
            raise DamagedError(f"{self.folder} is damaged ({names}{more}); make the run again")


@dataclass(frozen=True)
class _Reading:
    """A file to be read and, if it is a shard, the blocks to be decoded from it."""

    name: str
    expected: FileSum
    array: Activations | None = None
    blocks: tuple[Block, ...] = ()


def check(folder: str | Path, *, on_progress: Listener | None = None) -> Check:
    """Read a finished run completely: every file against its checksum, every shard decoded.

    Args:
        folder: the run's folder or URL.
        on_progress: called as the work goes on, from any thread.

    Returns:
        The number of files, their size, and which are damaged.

    Raises:
        OutputError: there is no finished run, or one without checksums.

    Example:
        >>> from netsounds_stream import check
        >>> check("landscape-netsounds").damaged
        ()
    """
    files = location_of(folder).files()
    text = require_run(files)
    record = parsed_record(text)
    record_bytes = len(text.encode())
    if record is None or not is_sealed(text):
        # what it says of the other files cannot be relied on
        damage = Damage(RECORD_NAME, "its bytes have changed")
        return Check(folder=files.place, files=1, bytes=record_bytes, damaged=(damage,), unknown=())
    if "checksums" not in record:
        raise OutputError(
            f"{files.place}/{RECORD_NAME} has no checksums, since an older version wrote it; make the run "
            f"again"
        )
    names = set(files.sizes())
    present = with_folders(names)
    checksums = {name: FileSum.from_json(checksum) for name, checksum in record["checksums"].items()}
    damaged = [Damage(name, "it is missing") for name in record["files"] if name not in present]
    readings = list(_readings(files, checksums, names, damaged))
    total = sum(reading.expected.bytes for reading in readings)
    with Stages(on_progress).stage("check", max(1, total), "B") as advance:

        def read(reading: _Reading) -> Damage | None:
            damage = _damage(files, reading)
            advance(reading.expected.bytes)
            return damage

        def gather(damage: Damage | None) -> None:
            if damage is not None:
                damaged.append(damage)

        with workers(*split_threads(torch.get_num_threads())) as pipeline:
            pipeline.run(readings, read, [gather])
    return Check(
        folder=files.place,
        files=len(checksums) + 1,
        bytes=total + record_bytes,
        damaged=tuple(damaged),
        unknown=tuple(sorted(names - {*checksums} - {RECORD_NAME})),
    )


def _readings(
    files: RunFiles, checksums: dict[str, FileSum], names: set[str], damaged: list[Damage]
) -> Iterator[_Reading]:
    """List what is to be read: every file that has a checksum.

    Args:
        files: the run's files.
        checksums: the recorded checksums, by name.
        names: the names of all files that are there.
        damaged: gets arrays that cannot be opened, and shards that the record does not list.

    Yields:
        Each file, with its blocks where it is a shard.
    """
    shards: dict[str, tuple[Activations, tuple[Block, ...]]] = {}
    for name in checksums:
        array = PurePosixPath(name).parent
        if not (name.endswith("/zarr.json") and is_sharded_array(array.name) and name in names):
            continue
        try:
            source = files.array(array.as_posix())
        except StoreError as error:
            damaged.append(Damage(array.name, str(error)))
            continue
        by_start: dict[int, list[Block]] = {}
        for block in blocks_of(source, _BLOCK_VALUES):
            by_start.setdefault(block.frames.start, []).append(block)
        for number, blocks in enumerate(by_start.values()):
            path = shard_path(array, source.time_axis, number).as_posix()
            shards[path] = source, tuple(blocks)
            if path not in checksums:
                damaged.append(Damage(path, "the record does not list it"))
    for name, expected in checksums.items():
        if name in shards:
            yield _Reading(name, expected, *shards[name])
        else:
            yield _Reading(name, expected)


def _damage(files: RunFiles, reading: _Reading) -> Damage | None:
    """Read one file.

    Returns:
        What is wrong with it; None where nothing is.
    """
    try:
        checksum = files.sum(reading.name)
    except FileNotFoundError:
        return Damage(reading.name, "it is missing")
    except OSError as error:
        return Damage(reading.name, f"it cannot be read ({error.strerror})")
    expected = reading.expected
    if checksum.bytes != expected.bytes:
        return Damage(reading.name, f"it holds {checksum.bytes} bytes instead of {expected.bytes}")
    if checksum != expected:
        return Damage(reading.name, "its bytes have changed")
    try:
        for block in reading.blocks:
            assert reading.array is not None
            reading.array.read(block.channels, block.frames)
    except StoreError as error:
        return Damage(reading.name, str(error))
    return None
