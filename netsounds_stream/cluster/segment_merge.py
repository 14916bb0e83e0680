"""The network's stage on a cluster: segments given out, and what each leaves taken up in the picture's order.

What is summed over the whole picture is summed here as the single stream would, row after row, while workers
are at the segments behind. So the results are the same, to the bit; and this is what cannot be shared out.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePath
from typing import Any

import torch
from torch import Tensor

from ..base.checkpoint import CheckpointReader, CheckpointWriter
from ..base.checksums import FileSum, file_sum
from ..base.journal import Journal
from ..base.pipeline import threads
from ..errors import OutputError, Stopped
from ..picture.overview import Overview
from ..planning.geometry import CLASSES
from ..stages.forward import PREVIEW, STEP, network_ended, remove_states, state_path, written
from ..stages.sinks import Sinks
from .compatibility import processors_note
from .dask_cluster import Cluster
from .segment_worker import SEGMENT, UNFINISHED, Done, Job, do_segment
from .segments import Segment, segments_of


class Merge:
    """Takes segments' results, in order, into a run's sinks.

    Args:
        state: as the journal has it, to go on from.
    """

    def __init__(
        self,
        job: Job,
        sinks: Mapping[int, Sinks],
        preview: Overview | None,
        state: Mapping[str, Any] | None,
    ) -> None:
        self._job, self._sinks, self._preview = job, sinks, preview
        self._total = torch.zeros(CLASSES, dtype=torch.float64)
        self._positions = 0
        self.rows = 0
        if state is not None:
            self.rows, self._positions = int(state["rows"]), int(state["positions"])
            self._total = torch.tensor(state["classes"], dtype=torch.float64)
            with CheckpointReader(
                job.layout.folder / state["file"], FileSum.from_json(state["sum"])
            ) as reader:
                for number, sink in sinks.items():
                    sink.restore(state["banks"][str(number)], reader, f"bank-{number}")
                if preview is not None:
                    preview.restore(reader.tensors(PREVIEW)["cells"])

    def add(self, segment: Segment, expected: FileSum) -> None:
        """Take the next one up.

        Raises:
            StoreError: its result is not as the worker wrote it.
        """
        assert segment.start == self.rows
        with CheckpointReader(self._job.result(segment), expected) as reader:
            for number, sink in self._sinks.items():
                _add_bank(sink, partial(reader.each), f"bank-{number}")
            if self._preview is not None:
                for cells in reader.each("picture/cells"):
                    self._preview.add(*cells.chunk(2, 1))
            for sums in reader.each("classifier/sums"):
                for each in sums:
                    self._total += each[:CLASSES]
                    self._positions += int(each[CLASSES])
        self.rows = segment.stop

    def keep(self, journal: Journal, shards: Mapping[str, FileSum]) -> None:
        """Have what was taken up so far committed; with it, the segments' shards."""
        path = state_path(self._job.layout.folder, journal, self.rows)
        writer = CheckpointWriter(path)
        for number, sink in self._sinks.items():
            sink.keep(writer, f"bank-{number}")
        if self._preview is not None:
            writer.add(f"{PREVIEW}/cells", self._preview.waiting)
        writer.close()
        banks = {str(number): sink.state() for number, sink in self._sinks.items()}
        state: dict[str, Any] = {
            "whole": False,
            "segments": True,
            "rows": self.rows,
            "file": path.name,
            "banks": banks,
            "preview": None if self._preview is None else self._preview.state(),
            "classes": self._total.tolist(),
            "positions": self._positions,
        }
        more = {self._job.shard(name): each for name, each in shards.items()}

        def files(cancelled: Callable[[], bool]) -> dict[PurePath, FileSum | None]:
            state["sum"] = file_sum(path).to_json()
            return {path: None, **more, **written(self._sinks, self._preview, banks, cancelled)}

        journal.reached(STEP, state, files, after=lambda: remove_states(path.parent, path))
        journal.flush_soon()

    def logits(self) -> Tensor:
        """The classifier's average over all positions so far: see `RowStream.logits`."""
        return self._total / max(1, self._positions)


def _add_bank(sink: Sinks, each: Callable[[str], Iterator[Tensor]], folder: str) -> None:
    for half in each(f"{folder}/half"):
        sink.take_half(half)
    for columns in each(f"{folder}/columns"):
        sink.take_columns(columns)
    for cells in each(f"{folder}/cells"):
        sink.take_cells(*cells.chunk(2, 1))
    for pieces in each(f"{folder}/energies"):
        for found in pieces:
            sink.take_energies(found)
    for loudest in each(f"{folder}/loudest"):
        sink.meter.add_means(0, loudest)


@dataclass(frozen=True)
class Shared:
    """A cluster for a run, and about how many of the picture's rows a segment has.

    `done` gathers what each segment took, `merging` what the command took for each to be taken up.
    """

    cluster: Cluster
    segment_rows: int
    done: list[Done] = field(default_factory=list)
    merging: list[float] = field(default_factory=list)

    def run(
        self,
        job: Job,
        sinks: Mapping[int, Sinks],
        preview: Overview | None,
        journal: Journal,
        advance: Callable[[int], None],
    ) -> Tensor:
        """Have all segments made, and taken up; the logits' average.

        Args:
            advance: called with the pixels of each segment that is done.

        Raises:
            Stopped: the run was asked to stop; what was finished is kept.
            OutputError: the run was begun otherwise.
            NetsoundsError: a segment failed, or the cluster did.
        """
        state = journal.state(STEP)
        merge = Merge(job, sinks, preview, state)
        segments = segments_of(job.plan, self.segment_rows)
        if merge.rows not in (0, *(segment.stop for segment in segments)):
            raise OutputError(
                "the run was started with another --segment-rows; give that, or start again with --overwrite"
            )
        left = [segment for segment in segments if segment.start >= merge.rows]
        across = job.plan.pixels // job.plan.rows_along

        def note(segment: Segment, done: Done) -> None:
            self.done.append(done)
            advance((segment.stop - segment.start) * across)

        shards: dict[str, FileSum] = {}  # not committed yet
        with threads(job.plan.threads_each):  # more would wait for cores that workers are busy on
            try:
                for done in self.cluster.in_order(
                    partial(do_segment, job), list(left), name="segment", stop=journal.stop, on_end=note
                ):
                    began = time.monotonic()
                    merge.add(left.pop(0), done.result)
                    self.merging.append(time.monotonic() - began)
                    shards |= done.shards
                    if left and journal.due():
                        merge.keep(journal, shards)
                        shards = {}
            except Stopped:
                merge.keep(journal, shards)
                raise
        logits = merge.logits()
        arrays = [job.layout.array(each.number) for each in job.plan.banks if job.plan.stored]
        last = {job.shard(name): each for name, each in shards.items()}
        network_ended(
            journal,
            sinks,
            preview,
            logits,
            files=lambda: {**last, **{array / "zarr.json": None for array in arrays}},
            after=lambda: _clear(job),
        )
        return logits

    @property
    def notes(self) -> list[str]:
        """For the run's record: what lets its bytes be others than one machine's."""
        return processors_note(self._processors)

    @property
    def _processors(self) -> set[str]:
        """Of who made the segments, in attempts before, too, and of who was at the sound."""
        return {*self.cluster.processors, *(each.processor for each in self.done)}

    def facts(self) -> dict[str, Any]:
        """For the run's record: of the segments that were made or found in this attempt."""
        return {
            "workers": self.cluster.workers,
            "segments": len(self.done),
            "segment_rows": self.segment_rows,
            "cpu_seconds": round(sum(each.cpu_seconds for each in self.done), 3),
            "merge_seconds": round(sum(self.merging), 3),
            "peak_worker_memory_bytes": max((each.peak_memory_bytes for each in self.done), default=0),
            "processors": sorted(self._processors),
        }


def _clear(job: Job) -> None:
    """Remove what only the segments needed, and what workers that were killed left."""
    remove_states(job.layout.folder)
    for path in job.layout.temporary.glob(f"{SEGMENT}*"):
        path.unlink(missing_ok=True)
    for each in job.plan.banks:
        for path in job.layout.array(each.number).rglob(f"*{UNFINISHED}"):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
