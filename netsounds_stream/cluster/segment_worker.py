"""One segment of a picture through the network, on whichever worker: shards to the store, the rest to a file.

A segment may be worked on twice, or by two at once: every file has a name of its own until it is whole, and
its bytes are the same whoever makes it. What an attempt makes that another has replaced is not put in place.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..base import machine
from ..base.checkpoint import CheckpointReader, CheckpointWriter
from ..base.checksums import FileSum, file_sum, is_sealed, sealed
from ..base.device import Transfers
from ..base.journal import sync
from ..base.pipeline import Pipeline, workers
from ..network.compute import Compute, PixelNetwork, as_values, pixel_network
from ..network.stream import Band, RowBlock, RowStream
from ..network.weights import Weights
from ..picture.picture import Picture, Slab
from ..picture.slabs import planned_slabs
from ..planning.geometry import CLASSIFIER_ACTIVATION_NAME, bank
from ..planning.options import SonifyOptions
from ..planning.plan import BankPlan, Plan
from ..planning.sound_options import SoundOptions
from ..run.layout import Layout
from ..stages.bank_hook import bank_hook
from ..store.arrays import Place, ShardWriter, UploadQueue
from .compatibility import own_processor
from .guards import FencingToken, require_within
from .segment_output import Rows, SegmentPreview, SegmentTaker, averaging
from .segments import Segment

if TYPE_CHECKING:
    from ..store.uploads import ShardUploads

#: What results' names begin with in a run's temporary folder, and those of unfinished files end with.
SEGMENT, UNFINISHED = "segment-", ".part"
_WEIGHTS = "weights.npz"


@dataclass(frozen=True)
class Job:
    """What every segment of a run needs, the same for all: sizes, options, and where files lie.

    Attributes:
        weights: a file in the temporary folder, and its sum.
        report: whether a report will be made.
        url: of the object store that takes the shards; None: they lie in the run's folder.
    """

    plan: Plan
    picture: Picture
    layout: Layout
    token: FencingToken
    weights: tuple[str, FileSum]
    normalize: bool
    compute: Compute
    sound: SoundOptions
    codec: str
    report: bool
    url: str | None

    def shard(self, name: str) -> PurePath:
        """A file of the run's folder, or an object's name: by which the journal knows it."""
        return PurePosixPath(name) if self.url is not None else self.layout.folder / name

    def result(self, segment: Segment) -> Path:
        """What a segment leaves besides its shards; beside it, as JSON, what `do_segment` gave."""
        return self.layout.temporary / f"{SEGMENT}{segment.start}-{segment.stop}.npz"


@dataclass(frozen=True)
class Done:
    """A finished segment: its result's sum, its shards' by their paths in the run's folder, what it took."""

    result: FileSum
    shards: dict[str, FileSum]
    cpu_seconds: float
    wall_seconds: float
    peak_memory_bytes: int
    processor: str


def new_job(
    plan: Plan,
    picture: Picture,
    layout: Layout,
    weights: Weights,
    options: SonifyOptions,
    compute: Compute,
    token: FencingToken,
    url: str | None,
) -> Job:
    """What segments need; the weights are put where every worker finds them."""
    path = layout.temporary / _WEIGHTS
    writer = CheckpointWriter(path)
    for name, values in weights.state.items():
        writer.add(name, values)
    writer.close()
    return Job(
        plan,
        picture,
        layout,
        token,
        (path.name, file_sum(path)),
        options.normalize,
        compute,
        options.sound,
        options.codec,
        options.report,
        url,
    )


def do_segment(job: Job, segment: Segment) -> Done:
    """Have the segment's shards in the store, and its result in the run's temporary folder.

    Raises:
        ClusterError: the run's folder is not to be seen here, or another attempt has begun.
        NetsoundsError: as in a run on one machine.
    """
    began, spent = time.monotonic(), time.process_time()
    require_within([job.layout.folder, job.layout.temporary], job.url)
    job.token.require()
    result = job.result(segment)
    if (before := _read_done(result)) is not None:
        return before
    machine.tune_heap()
    unique = f"{job.token.name}.{os.getpid()}.{os.urandom(4).hex()}{UNFINISHED}"

    def put(path: Path, write: Callable[[Path], None]) -> None:
        partial = path.with_name(f"{path.name}.{unique}")
        try:
            write(partial)
            _put_in_place(job, partial, path)
        finally:
            partial.unlink(missing_ok=True)

    writer = CheckpointWriter(result.with_name(f"{result.name}.{unique}"))
    try:
        strain = machine.MemoryPressure(job.plan.trim_bytes, job.plan.pressure_bytes)
        with ExitStack() as stack:
            uploads = None if job.url is None else stack.enter_context(_uploads(job.url, job.token))
            pipeline = stack.enter_context(workers(1, job.plan.threads_each, under_pressure=strain))
            shards = _streamed(job, segment, pipeline, writer, put, uploads)
        writer.close()
        found = file_sum(writer.path)
        _put_in_place(job, writer.path, result)
    except BaseException:
        writer.discard()
        writer.path.unlink(missing_ok=True)
        raise
    done = Done(
        found,
        shards,
        time.process_time() - spent,
        time.monotonic() - began,
        machine.peak_resident_bytes(),
        own_processor(),
    )
    machine.trim_heap()
    put(result.with_suffix(".json"), lambda path: _write_done(path, done))
    return done


def _write_done(path: Path, done: Done) -> None:
    sums = {name: each.to_json() for name, each in done.shards.items()}
    content = {**vars(done), "result": done.result.to_json(), "shards": sums}
    path.write_text(sealed(content), encoding="utf-8")


def _read_done(result: Path) -> Done | None:
    """What was given for a segment that an attempt before had finished."""
    try:
        text = result.with_suffix(".json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    if not is_sealed(text) or not result.exists():
        return None
    words = {name: value for name, value in json.loads(text).items() if name in Done.__dataclass_fields__}
    shards = {name: FileSum.from_json(each) for name, each in words["shards"].items()}
    return Done(**{**words, "result": FileSum.from_json(words["result"]), "shards": shards})


def _streamed(
    job: Job,
    segment: Segment,
    pipeline: Pipeline,
    writer: CheckpointWriter,
    put: Place,
    uploads: UploadQueue | None,
) -> dict[str, FileSum]:
    """The segment's rows through the network; the shards that were written."""
    plan, pixels, transfers = job.plan, _network(job), Transfers(job.compute.device)
    stores = {
        each.number: _store(job, each, segment, pipeline, put, uploads) for each in plan.banks if plan.stored
    }
    takers = {
        each.number: SegmentTaker(
            each,
            job.sound,
            cells=job.report,
            rows=Rows(writer, f"bank-{each.number}"),
            store=stores.get(each.number),
        )
        for each in plan.banks
    }
    classes = Rows(writer, "classifier")
    hooks: dict[str, Callable[[RowBlock], None]] = {CLASSIFIER_ACTIVATION_NAME: averaging(segment, classes)}
    for each in plan.banks:
        hooks[bank(each.number).layer] = bank_hook(
            each.number,
            takers[each.number],
            each.frames_per_shard,
            job.compute.precision,
            transfers,
            lambda todo: todo(),
            segment.frames[each.number],
        )
    preview = SegmentPreview(plan, segment, Rows(writer, "picture")) if job.report else None
    stream = RowStream(
        pixels.state,
        hooks,
        transposed=plan.time_axis == "x",
        dtype=job.compute.dtype,
        first_row=segment.first,
    )
    row = segment.first

    def enter(band: NDArray[np.generic] | None) -> Band:
        nonlocal row
        if band is None:
            return stream.ending()
        values = as_values(band, job.compute.device)
        if preview is not None:
            preview.take(row, values, pixels.full_scale)
        row += band.shape[0]
        return stream.enter(pixels.prepare(values.float().permute(2, 0, 1)))

    pipeline.run(_bands(job, segment), enter, stream.stages)
    for taker in takers.values():
        taker.end()
    classes.end()
    if preview is not None:
        preview.end()
    shards: dict[str, FileSum] = {}
    for store in stores.values():
        assert store.finished
        for path, found in store.written(store.full_shards, lambda: False).items():
            name = path.relative_to(job.layout.folder) if isinstance(path, Path) else path
            shards[name.as_posix()] = found
    return shards


def _store(
    job: Job, planned: BankPlan, segment: Segment, pipeline: Pipeline, put: Place, uploads: UploadQueue | None
) -> ShardWriter:
    path, own, axis = job.layout.array(planned.number), segment.frames[planned.number], job.plan.time_axis
    return ShardWriter(path, planned, axis, job.codec, pipeline.defer, uploads, own, put)


def _uploads(url: str, token: FencingToken) -> ShardUploads:
    from ..store.object_store import ObjectFolder  # what runs to folders do not need
    from ..store.uploads import ShardUploads

    return ShardUploads(ObjectFolder(url), token.require)


def _network(job: Job) -> PixelNetwork:
    name, expected = job.weights
    weights = _weights(job.layout.temporary / name, expected)
    return pixel_network(weights, job.picture.full_scale, job.normalize, job.compute.dtype)


@lru_cache(maxsize=1)
def _weights(path: Path, expected: FileSum) -> Weights:
    """Read once a worker."""
    with CheckpointReader(path, expected) as reader:
        return Weights(path.name, "", {name: values.contiguous() for name, values in reader.all().items()})


def _bands(job: Job, segment: Segment) -> Iterator[Slab | None]:
    """The picture's bands from the segment's first row to its last; then None, if that is the end."""
    plan, row = job.plan, segment.first
    decoded = planned_slabs(job.picture, plan, job.layout.picture_spool, segment.first)
    for slab in decoded:
        for start in range(0, slab.shape[0], plan.band_rows):
            if row >= segment.last:
                return
            band = slab[start : start + plan.band_rows]
            row += band.shape[0]
            yield band
    if segment.ends:
        yield None


def _put_in_place(job: Job, partial: Path, path: Path) -> None:
    """Under its own name once it is whole, and on the disk."""
    sync([partial], [])
    job.token.require()
    partial.replace(path)
    sync([], [path.parent])
