"""One segment of a picture through the network, on a worker: shards go to the store, all else to a file.

A segment may be computed twice, or by two workers at once. So every file has a unique name until it is
complete, and its bytes do not depend on the worker. Files of an attempt that another has replaced are not
published.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

from torch import Tensor

from ..base import machine
from ..base.checkpoint import CheckpointReader, CheckpointWriter
from ..base.checksums import FileSum, file_sum, is_sealed, sealed
from ..base.journal import sync
from ..base.pipeline import Pipeline, workers
from ..network.compute import Compute, PixelNetwork, pixel_network
from ..network.networks import Network
from ..network.tracing.capture import Captured
from ..picture.picture import Picture
from ..picture.slabs import PixelBand, bands_of, planned_slabs
from ..planning.plan import Plan
from ..planning.sound_options import SoundOptions
from ..run.layout import Layout
from ..stages.pump import BandPump
from ..store.arrays import Place, ShardWriter
from ..store.shard_memory import ShardMemory
from .compatibility import own_processor
from .guards import FencingToken, require_within
from .segment_output import Rows, SegmentCells, SegmentTaker, averaging, segment_preview
from .segments import Segment

if TYPE_CHECKING:
    from ..store.uploads import ShardUploads

#: Prefix of the results' names in a run's temporary folder.
SEGMENT = "segment-"
#: Suffix of unfinished files' names.
UNFINISHED = ".part"
_WEIGHTS = "weights.npz"


@dataclass(frozen=True, kw_only=True)
class Job:
    """The part of a run's segments that is the same for all: sizes, options, and where files lie.

    Attributes:
        plan: the run's plan.
        picture: the picture, which every worker sees by its path.
        layout: paths of the run's files.
        token: the attempt that the segment belongs to.
        network: the network without its parameters.
        weights: name of the parameters' file in the temporary folder, and its checksum.
        normalize: whether the network's input is normalised.
        compute: device and precision.
        sound: how activations become sound.
        codec: codec of the stored activations.
        report: whether a report will be made.
        url: URL in an object store that takes the shards; None: they lie in the run's folder.
    """

    plan: Plan
    picture: Picture
    layout: Layout
    token: FencingToken
    network: Network
    weights: tuple[str, FileSum]
    normalize: bool
    compute: Compute
    sound: SoundOptions
    codec: str
    report: bool
    url: str | None

    def shard(self, name: str) -> PurePath:
        """Return a shard's path or object name in the form that the journal uses.

        Args:
            name: the shard's path, relative to the run.

        Returns:
            A path in the run's folder, or the name of an object where shards go to an object store.
        """
        return PurePosixPath(name) if self.url is not None else self.layout.folder / name

    def result(self, segment: Segment) -> Path:
        """Return the path of a segment's result file.

        Beside it lies a JSON file of the same stem, which holds the segment's `Done`.
        """
        return self.layout.temporary / f"{SEGMENT}{segment.start}-{segment.stop}.npz"


@dataclass(frozen=True, kw_only=True)
class Done:
    """A finished segment.

    Attributes:
        result: checksum of its result file.
        shards: checksums of its shards, by their paths in the run's folder.
        cpu_seconds: processor time of the worker's process.
        wall_seconds: elapsed time.
        peak_memory_bytes: peak memory of the worker's process.
        processor: name of the worker's processor.
    """

    result: FileSum
    shards: dict[str, FileSum]
    cpu_seconds: float
    wall_seconds: float
    peak_memory_bytes: int
    processor: str


def without_weights(network: Network) -> Network:
    """Return a network without its parameters and its classifier, for the workers."""
    graph = replace(network.captured.graph, refused=())
    return replace(network, captured=Captured(graph=graph, state={}), module=None)


def save_weights(network: Network, folder: Path) -> tuple[str, FileSum]:
    """Save the network's parameters for the workers.

    Args:
        network: the network.
        folder: the run's temporary folder, which every worker sees.

    Returns:
        The file's name and checksum.
    """
    path = folder / _WEIGHTS
    writer = CheckpointWriter(path)
    for name, values in network.state.items():
        writer.add(name, values)
    writer.close()
    return path.name, file_sum(path)


def do_segment(job: Job, segment: Segment) -> Done:
    """Compute a segment: its shards go to the store, its result to the run's temporary folder.

    A segment that an earlier attempt finished is not computed again.

    Args:
        job: what every segment of the run needs.
        segment: the segment.

    Returns:
        Checksums of the files, and what the segment cost.

    Raises:
        ClusterError: the run's folder is not visible here, or another attempt has begun.
        NetsoundsError: as in a run on one machine.
    """
    began = time.monotonic()
    cpu_began = time.process_time()
    require_within([job.layout.folder, job.layout.temporary], job.url)
    job.token.require()
    result = job.result(segment)
    if (finished := _read_done(result)) is not None:
        return finished
    machine.tune_heap()
    unique = f"{job.token.name}.{os.getpid()}.{os.urandom(4).hex()}{UNFINISHED}"

    def put(path: Path, write: Callable[[Path], None]) -> None:
        partial = path.with_name(f"{path.name}.{unique}")
        try:
            write(partial)
            _publish(job, partial, path)
        finally:
            partial.unlink(missing_ok=True)

    writer = CheckpointWriter(result.with_name(f"{result.name}.{unique}"))
    try:
        shards = _compute(job, segment, writer, put)
        writer.close()
        checksum = file_sum(writer.path)
        _publish(job, writer.path, result)
    except BaseException:
        writer.discard()
        writer.path.unlink(missing_ok=True)
        raise
    done = Done(
        result=checksum,
        shards=shards,
        cpu_seconds=time.process_time() - cpu_began,
        wall_seconds=time.monotonic() - began,
        peak_memory_bytes=machine.peak_resident_bytes(),
        processor=own_processor(),
    )
    machine.trim_heap()
    put(result.with_suffix(".json"), lambda path: _write_done(path, done))
    return done


def _write_done(path: Path, done: Done) -> None:
    sums = {name: checksum.to_json() for name, checksum in done.shards.items()}
    content = {**vars(done), "result": done.result.to_json(), "shards": sums}
    path.write_text(sealed(content), encoding="utf-8")


def _read_done(result: Path) -> Done | None:
    """Return the `Done` of a segment that an earlier attempt finished; None if none did."""
    try:
        text = result.with_suffix(".json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    if not is_sealed(text) or not result.exists():
        return None
    fields = {name: value for name, value in json.loads(text).items() if name in Done.__dataclass_fields__}
    shards = {name: FileSum.from_json(checksum) for name, checksum in fields["shards"].items()}
    return Done(**{**fields, "result": FileSum.from_json(fields["result"]), "shards": shards})


def _compute(job: Job, segment: Segment, writer: CheckpointWriter, put: Place) -> dict[str, FileSum]:
    """Carry the segment's rows through the network.

    Args:
        job: what every segment of the run needs.
        segment: the segment.
        writer: takes the result.
        put: puts a shard's file in place.

    Returns:
        Checksums of the shards, by their paths relative to the run.
    """
    pressure = machine.MemoryPressure(job.plan.trim_bytes, job.plan.pressure_bytes)
    with ExitStack() as stack:
        uploads = None if job.url is None else stack.enter_context(_uploads(job.url, job.token))
        pipeline = stack.enter_context(workers(1, job.plan.threads_each, under_pressure=pressure))
        memory = ShardMemory()
        stores = {
            planned.number: ShardWriter(
                job.layout.array(planned.number),
                planned,
                time_axis=job.plan.time_axis,
                codec=job.codec,
                defer=pipeline.defer,
                uploads=uploads,
                frames=segment.frames[planned.number],
                place=put,
                memory=memory,
            )
            for planned in job.plan.banks
            if job.plan.stored
        }
        _pump(job, segment, writer, stores, pipeline)
        return _shards(job, stores.values())


def _pump(
    job: Job,
    segment: Segment,
    writer: CheckpointWriter,
    stores: Mapping[int, ShardWriter],
    pipeline: Pipeline,
) -> None:
    takers = {
        planned.number: SegmentTaker(
            planned,
            job.sound,
            cells=job.report,
            rows=Rows(writer, f"bank-{planned.number}"),
            store=stores.get(planned.number),
        )
        for planned in job.plan.banks
    }
    classes = Rows(writer, "classifier")
    mean = job.network.captured.graph.mean
    hooks = {}
    if mean is not None and segment.positions is not None:
        hooks[mean] = averaging(segment.positions, classes)
    cells = SegmentCells(Rows(writer, "picture"))
    pump = BandPump(
        job.plan,
        _network(job),
        takers,
        job.compute,
        preview=segment_preview(job.plan, segment, cells) if job.report else None,
        hooks=hooks,
        first_row=segment.first,
        own=segment.frames,
    )
    pump.run(_bands(job, segment), pipeline)
    for taker in takers.values():
        taker.end()
    classes.end()
    cells.end()


def _shards(job: Job, stores: Iterable[ShardWriter]) -> dict[str, FileSum]:
    shards: dict[str, FileSum] = {}
    for store in stores:
        assert store.finished
        for path, checksum in store.written(store.state(), lambda: False).items():
            name = path.relative_to(job.layout.folder) if isinstance(path, Path) else path
            shards[name.as_posix()] = checksum
    return shards


def _uploads(url: str, token: FencingToken) -> ShardUploads:
    from ..store.object_store import ObjectFolder  # what runs to folders do not need
    from ..store.uploads import ShardUploads

    return ShardUploads(ObjectFolder(url), token.require)


def _network(job: Job) -> PixelNetwork:
    name, expected = job.weights
    state = _weights(job.layout.temporary / name, expected)
    network = replace(job.network, captured=replace(job.network.captured, state=state))
    return pixel_network(network, job.picture.full_scale, job.normalize, job.compute.dtype)


@lru_cache(maxsize=1)
def _weights(path: Path, expected: FileSum) -> dict[str, Tensor]:
    """Read the parameters, once in a worker's life."""
    with CheckpointReader(path, expected) as reader:
        return {name: values.contiguous() for name, values in reader.all().items()}


def _bands(job: Job, segment: Segment) -> Iterator[PixelBand | None]:
    """Yield the bands that are read for a segment; then None, if the picture ends there."""
    decoded = planned_slabs(job.picture, job.plan, job.layout.picture_spool, segment.first)
    for band in bands_of(decoded, job.plan.band_rows, segment.first):
        if band.row >= segment.last:
            return
        yield band
    if segment.ends:
        yield None


def _publish(job: Job, partial: Path, path: Path) -> None:
    """Rename a finished file to its final name.

    The file is durable first, and its attempt must still be the current one.
    """
    sync([partial], [])
    job.token.require()
    partial.replace(path)
    sync([], [path.parent])
