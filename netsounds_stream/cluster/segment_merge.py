"""The network's stage on a cluster: segments handed out, and their results merged in the picture's order.

What is summed over the whole picture is summed here as the single stream would, row after row, while workers
compute the segments behind. So the results are the same, to the bit; and this is what cannot be shared out.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..base.checkpoint import CheckpointReader
from ..base.checksums import FileSum
from ..base.journal import Journal
from ..base.pipeline import threads
from ..errors import OutputError, Stopped
from ..planning.geometry import CLASSES
from ..planning.steps import NETWORK, NetworkState
from ..stages.sinks import BankSinks, NetworkSinks, Snapshot, open_snapshot, remove_snapshots
from .compatibility import processors_note
from .dask_cluster import Cluster
from .segment_worker import SEGMENT, UNFINISHED, Done, Job, do_segment
from .segments import Segment, segments_of


class Merge:
    """Merges segments' results, in order, into a run's sinks.

    Args:
        job: what every segment needs.
        sinks: the run's.
        state: the state to resume from; None: it begins.

    Attributes:
        rows: rows of the picture that are merged.
    """

    def __init__(self, job: Job, sinks: NetworkSinks, state: NetworkState | None) -> None:
        self._job = job
        self._sinks = sinks
        self._total = torch.zeros(CLASSES, dtype=torch.float64)
        self._positions = 0
        self.rows = 0
        if state is not None:
            self.rows = state["rows"]
            self._positions = state["positions"]
            self._total = torch.tensor(state["classes"], dtype=torch.float64)
            with open_snapshot(job.layout.folder, state) as reader:
                sinks.restore(state, reader)

    def add(self, segment: Segment, expected: FileSum) -> None:
        """Merge the next segment.

        Args:
            segment: the segment.
            expected: checksum of its result file.

        Raises:
            StoreError: its result is not as the worker wrote it.
        """
        assert segment.start == self.rows
        with CheckpointReader(self._job.result(segment), expected) as reader:
            for number, sinks in self._sinks.banks.items():
                _add_bank(sinks, reader.each, f"bank-{number}")
            if self._sinks.preview is not None:
                for cells in reader.each("picture/cells"):
                    self._sinks.preview.add(*cells.chunk(2, 1))
            for block in reader.each("classifier/sums"):
                for sums in block:
                    self._total += sums[:CLASSES]
                    self._positions += int(sums[CLASSES])
        self.rows = segment.stop

    def commit(self, journal: Journal, shards: Mapping[str, FileSum]) -> None:
        """Have what is merged so far committed, and with it the segments' shards."""
        snapshot = Snapshot(journal, self._job.layout.folder, self.rows, self._sinks)
        for number in self._sinks.banks:
            snapshot.save_bank(number)
        snapshot.save_preview()
        files = {self._job.shard(name): checksum for name, checksum in shards.items()}
        snapshot.commit(files=files, segments=(self._total, self._positions))

    def logits(self) -> Tensor:
        """Return the classifier's average over all positions so far: see `RowStream.logits`."""
        return self._total / max(1, self._positions)


def _add_bank(sinks: BankSinks, tensors: Callable[[str], Iterator[Tensor]], folder: str) -> None:
    """Pass a segment's rows of a bank to its sinks."""
    for half in tensors(f"{folder}/half"):
        sinks.take_half(half)
    for columns in tensors(f"{folder}/columns"):
        sinks.take_columns(columns)
    for cells in tensors(f"{folder}/cells"):
        sinks.take_cells(*cells.chunk(2, 1))
    for pieces in tensors(f"{folder}/energies"):
        for energies in pieces:
            sinks.take_energies(energies)
    for loudest in tensors(f"{folder}/loudest"):
        sinks.meter.add_means(0, loudest)


@dataclass(frozen=True, kw_only=True)
class ClusterRun:
    """A cluster that computes a run.

    Attributes:
        cluster: the cluster.
        segment_rows: about how many of the picture's rows a segment has.
        done: every finished segment.
        merge_seconds: time that this process took to merge each.
    """

    cluster: Cluster
    segment_rows: int
    done: list[Done] = field(default_factory=list)
    merge_seconds: list[float] = field(default_factory=list)

    def run(self, job: Job, sinks: NetworkSinks, journal: Journal, advance: Callable[[int], None]) -> Tensor:
        """Have all segments computed, and merge them.

        Args:
            job: what every segment needs.
            sinks: the run's.
            journal: where the stage's state is kept.
            advance: called with the pixels of each segment that is done.

        Returns:
            The logits' average over the picture, float64 `[class=1000]`.

        Raises:
            Stopped: the run was asked to stop; what was finished is kept.
            OutputError: the run was begun with segments of another size.
            NetsoundsError: a segment failed, or the cluster did.
        """
        merge = Merge(job, sinks, journal.state(NETWORK))
        segments = segments_of(job.plan, self.segment_rows)
        if merge.rows not in (0, *(segment.stop for segment in segments)):
            raise OutputError(
                "the run was started with another --segment-rows; give that, or start again with --overwrite"
            )
        left = [segment for segment in segments if segment.start >= merge.rows]
        shards = self._merge(job, merge, left, journal, advance)
        logits = merge.logits()
        arrays = [job.layout.array(planned.number) for planned in job.plan.banks if job.plan.stored]
        last = {job.shard(name): checksum for name, checksum in shards.items()}
        sinks.complete(
            journal,
            logits,
            files=lambda: {**last, **{array / "zarr.json": None for array in arrays}},
            after=lambda: _clear(job),
        )
        return logits

    def _merge(
        self,
        job: Job,
        merge: Merge,
        left: list[Segment],
        journal: Journal,
        advance: Callable[[int], None],
    ) -> dict[str, FileSum]:
        """Merge the segments that are left, and return the shards that are not committed yet."""
        across = job.plan.pixels // job.plan.rows_along

        def note(segment: Segment, done: Done) -> None:
            self.done.append(done)
            advance((segment.stop - segment.start) * across)

        shards: dict[str, FileSum] = {}
        with threads(job.plan.threads_each):  # more would wait for cores that workers are busy on
            try:
                for done in self.cluster.in_order(
                    partial(do_segment, job), list(left), name="segment", stop=journal.stop, on_end=note
                ):
                    began = time.monotonic()
                    merge.add(left.pop(0), done.result)
                    self.merge_seconds.append(time.monotonic() - began)
                    shards |= done.shards
                    if left and journal.due():
                        merge.commit(journal, shards)
                        shards = {}
            except Stopped:
                merge.commit(journal, shards)
                raise
        return shards

    @property
    def notes(self) -> list[str]:
        """Notes for the run's record: reasons why its bytes may differ from one machine's."""
        return processors_note(self._processors)

    @property
    def _processors(self) -> set[str]:
        """Processors of the workers that computed segments, also in earlier attempts, and sound."""
        return {*self.cluster.processors, *(each.processor for each in self.done)}

    def facts(self) -> dict[str, Any]:
        """Return what the run's record says of the segments that were computed or found in this attempt."""
        return {
            "workers": self.cluster.workers,
            "segments": len(self.done),
            "segment_rows": self.segment_rows,
            "cpu_seconds": round(sum(each.cpu_seconds for each in self.done), 3),
            "merge_seconds": round(sum(self.merge_seconds), 3),
            "peak_worker_memory_bytes": max((each.peak_memory_bytes for each in self.done), default=0),
            "processors": sorted(self._processors),
        }


def _clear(job: Job) -> None:
    """Remove what only the segments needed, and what killed workers left."""
    remove_snapshots(job.layout.folder)
    for path in job.layout.temporary.glob(f"{SEGMENT}*"):
        path.unlink(missing_ok=True)
    for each in job.plan.banks:
        for path in job.layout.array(each.number).rglob(f"*{UNFINISHED}"):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
