"""The network's stage on a cluster: segments go to workers, and results are merged in the picture's order.

Sums over the whole picture are taken here, row after row as the single stream takes them, while workers
compute later segments. So the results are the same to the bit. The merge is the part that cannot be shared.
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
from ..network.tracing.classifier import Classifier, prediction
from ..planning.steps import NETWORK, NetworkState
from ..stages.sinks import BankSinks, NetworkSinks, Snapshot, open_snapshot, remove_snapshots
from .compatibility import processors_note
from .dask_cluster import Cluster
from .segment_worker import SEGMENT, UNFINISHED, Done, Job, do_segment
from .segments import Segment, segments_of


class Merge:
    """A merge of segments' results, in order, into a run's sinks.

    Args:
        job: what every segment needs.
        sinks: the run's sinks.
        state: the state to resume from; None: it begins.
        classifier: makes the prediction from the mean over the picture; None: the mean is the prediction.

    Attributes:
        rows: number of the picture's rows that are merged.
    """

    def __init__(
        self, job: Job, sinks: NetworkSinks, state: NetworkState | None, classifier: Classifier | None = None
    ) -> None:
        self._job = job
        self._sinks = sinks
        self._classifier = classifier
        graph = job.network.captured.graph
        averaged = graph.mean is not None and job.plan.classified is not None
        classes = graph.by_name[str(graph.mean)].channels if averaged else 0
        self._total = torch.zeros(classes, dtype=torch.float64)
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
                _add_bank(sinks, reader.in_order, f"bank-{number}")
            if self._sinks.preview is not None:
                for cells in reader.in_order("picture/cells"):
                    self._sinks.preview.add(*cells.chunk(2, 1))
            for block in reader.in_order("classifier/sums"):
                for sums in block:
                    self._total += sums[:-1]
                    self._positions += int(sums[-1])
        self.rows = segment.stop

    def commit(self, journal: Journal, shards: Mapping[str, FileSum]) -> None:
        """Commit what is merged so far, together with the segments' shards.

        Args:
            journal: where the state is recorded.
            shards: checksums of the shards since the last commit, by their paths relative to the run.
        """
        snapshot = Snapshot(journal, self._job.layout.folder, self.rows, self._sinks)
        for number in self._sinks.banks:
            snapshot.save_bank(number)
        snapshot.save_preview()
        files = {self._job.shard(name): checksum for name, checksum in shards.items()}
        snapshot.commit(files=files, segments=(self._total, self._positions))

    def logits(self) -> Tensor | None:
        """Return the prediction from the average over all positions so far, as `RowStream.logits` does.

        Returns:
            float64 `[class]`; None if the network makes none in this way.
        """
        if not self._total.numel():
            return None
        return prediction(self._total, self._positions, self._classifier)


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
        done: every segment that was finished in this attempt, or found finished.
        merge_seconds: time that this process took to merge each of them.
    """

    cluster: Cluster
    segment_rows: int
    done: list[Done] = field(default_factory=list)
    merge_seconds: list[float] = field(default_factory=list)

    def run(
        self,
        job: Job,
        sinks: NetworkSinks,
        journal: Journal,
        advance: Callable[[int], None],
        classifier: Classifier | None,
    ) -> Tensor | None:
        """Compute all segments on the workers, and merge their results.

        Args:
            job: what every segment needs.
            sinks: the run's sinks.
            journal: where the stage's state is recorded.
            advance: called with the number of pixels of each segment that is done.
            classifier: makes the prediction from the mean over the picture; None: the mean is the prediction.

        Returns:
            The logits' average over the picture, float64 `[class]`; None if the network makes none.

        Raises:
            Stopped: the run was asked to stop; what was finished is kept.
            OutputError: the run was begun with segments of another size.
            NetsoundsError: a segment failed, or the cluster did.
        """
        merge = Merge(job, sinks, journal.state(NETWORK), classifier)
        segments = segments_of(job.plan, self.segment_rows)
        if merge.rows not in (0, *(segment.stop for segment in segments)):
            raise OutputError(
                "the run was started with another --segment-rows; give that, or start again with --overwrite"
            )
        remaining = [segment for segment in segments if segment.start >= merge.rows]
        shards = self._merge(job, merge, remaining, journal, advance)
        logits = merge.logits()
        arrays = [job.layout.array(planned.number) for planned in job.plan.banks if job.plan.stored]
        uncommitted = {job.shard(name): checksum for name, checksum in shards.items()}
        sinks.complete(
            journal,
            logits,
            files=lambda: {**uncommitted, **{array / "zarr.json": None for array in arrays}},
            after=lambda: _clear(job),
        )
        return logits

    def _merge(
        self,
        job: Job,
        merge: Merge,
        remaining: list[Segment],
        journal: Journal,
        advance: Callable[[int], None],
    ) -> dict[str, FileSum]:
        """Compute and merge the remaining segments, which are taken off the list one by one.

        Returns:
            Checksums of the shards that are not committed yet, by their paths relative to the run.
        """
        across = job.plan.pixels // job.plan.rows_along

        def note(segment: Segment, done: Done) -> None:
            self.done.append(done)
            advance((segment.stop - segment.start) * across)

        shards: dict[str, FileSum] = {}
        with threads(job.plan.threads_each):  # more would wait for cores that workers are busy on
            try:
                for done in self.cluster.in_order(
                    partial(do_segment, job), list(remaining), name="segment", stop=journal.stop, on_end=note
                ):
                    began = time.monotonic()
                    merge.add(remaining.pop(0), done.result)
                    self.merge_seconds.append(time.monotonic() - began)
                    shards |= done.shards
                    if remaining and journal.due():
                        merge.commit(journal, shards)
                        shards = {}
            except Stopped:
                merge.commit(journal, shards)
                raise
        return shards

    @property
    def notes(self) -> list[str]:
        """Notes for the run's record on why its bytes may differ from those of a run on one machine."""
        return processors_note(self._processors)

    @property
    def _processors(self) -> set[str]:
        """Processors of the workers that computed segments, also in earlier attempts, or inverted filters."""
        return {*self.cluster.processors, *(segment.processor for segment in self.done)}

    def facts(self) -> dict[str, Any]:
        """Return the record's field `cluster`.

        Returns:
            Number of workers and segments, times in seconds, memory in bytes, and processors, of the segments
            that were computed in this attempt or found finished.
        """
        return {
            "workers": self.cluster.workers,
            "segments": len(self.done),
            "segment_rows": self.segment_rows,
            "cpu_seconds": round(sum(segment.cpu_seconds for segment in self.done), 3),
            "merge_seconds": round(sum(self.merge_seconds), 3),
            "peak_worker_memory_bytes": max((segment.peak_memory_bytes for segment in self.done), default=0),
            "processors": sorted(self._processors),
        }


def _clear(job: Job) -> None:
    """Remove files that only segments needed, and files that killed workers did not finish."""
    remove_snapshots(job.layout.folder)
    for path in job.layout.temporary.glob(f"{SEGMENT}*"):
        path.unlink(missing_ok=True)
    for bank in job.plan.banks:
        for path in job.layout.array(bank.number).rglob(f"*{UNFINISHED}"):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
