"""Whether a finished run is whole: every file there, of its length, with the checksum of its writing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch

from ..base.checksums import FileSum, is_sealed
from ..base.locations import is_url
from ..base.pipeline import workers
from ..base.progress import Listener, Stages
from ..errors import DamagedError, OutputError, StoreError
from ..planning.planner import split_threads
from ..store.arrays import Activations
from ..store.blocks import Block, blocks_of
from ..store.shards import shard_path
from .files import RunFiles, files_of, require_run
from .folder import RECORD_NAME, parsed_record

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


@dataclass(frozen=True)
class Check:
    """What was read of a run, and what of it is damaged.

    Attributes:
        folder: the run's folder or URL.
        files: number of files that the record names.
        bytes: their size.
        damaged: those that are damaged.
        unknown: other files in the folder; they may lie there.
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
            names = ", ".join(each.name for each in self.damaged[:3])
            more = f" and {len(self.damaged) - 3} more" if len(self.damaged) > 3 else ""
            raise DamagedError(f"{self.folder} is damaged ({names}{more}); make the run again")


@dataclass(frozen=True)
class _Job:
    """A file to be read; of a shard, also the blocks to be decoded."""

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
        What was read, and which files are damaged.

    Raises:
        OutputError: there is no finished run, or one without checksums.

    Example:
        >>> from netsounds_stream import check
        >>> check("landscape-netsounds").damaged
        ()
    """
    files = files_of(folder)
    top = files.name if is_url(folder) else Path(folder)
    text = require_run(files)
    record, length = parsed_record(text), len(text.encode())
    if record is None or not is_sealed(text):
        # what it says of the other files cannot be relied on
        return Check(top, 1, length, (Damage(RECORD_NAME, "its bytes have changed"),), ())
    if "checksums" not in record:
        raise OutputError(
            f"{top}/{RECORD_NAME} has no checksums, since an older version wrote it; make the run again"
        )
    there = set(files.sizes())
    folders = {each.as_posix() for name in there for each in PurePosixPath(name).parents}
    sums = {name: FileSum.from_json(each) for name, each in record["checksums"].items()}
    damaged = [Damage(name, "it is missing") for name in record["files"] if name not in there | folders]
    jobs = list(_jobs(files, sums, there, damaged))
    total = sum(job.expected.bytes for job in jobs)
    with Stages(on_progress).stage("check", max(1, total), "B") as advance:

        def read(job: _Job) -> Damage | None:
            found = _damage(files, job)
            advance(job.expected.bytes)
            return found

        def gather(found: Damage | None) -> None:
            if found is not None:
                damaged.append(found)

        with workers(*split_threads(torch.get_num_threads())) as line:
            line.run(jobs, read, [gather])
    unknown = tuple(sorted(there - {*sums} - {RECORD_NAME}))
    return Check(top, len(sums) + 1, total + length, tuple(damaged), unknown)


def _jobs(
    files: RunFiles, sums: dict[str, FileSum], there: set[str], damaged: list[Damage]
) -> Iterator[_Job]:
    shards: dict[str, tuple[Activations, tuple[Block, ...]]] = {}
    for name in sums:
        if not name.endswith(".zarr/zarr.json") or name not in there:
            continue
        array = PurePosixPath(name).parent
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
            if path not in sums:
                damaged.append(Damage(path, "the record does not list it"))
    for name, expected in sums.items():
        if name in shards:
            yield _Job(name, expected, *shards[name])
        else:
            yield _Job(name, expected)


def _damage(files: RunFiles, job: _Job) -> Damage | None:
    try:
        found = files.sum(job.name)
    except FileNotFoundError:
        return Damage(job.name, "it is missing")
    except OSError as error:
        return Damage(job.name, f"it cannot be read ({error.strerror})")
    if found.bytes != job.expected.bytes:
        return Damage(job.name, f"it holds {found.bytes} bytes instead of {job.expected.bytes}")
    if found != job.expected:
        return Damage(job.name, "its bytes have changed")
    try:
        for block in job.blocks:
            assert job.array is not None
            job.array.read(block.channels, block.frames)
    except StoreError as error:
        return Damage(job.name, str(error))
    return None
