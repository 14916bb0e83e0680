"""Inversion of a bank's filters on a cluster: each worker writes its own parts of preallocated files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from ..base.pipeline import workers
from ..base.progress import Advance, Stop
from ..errors import Stopped
from ..planning.plan import AHEAD
from ..sound.filters import Inversion, InvertedBlock
from ..store.arrays import Activations, open_activations
from ..store.blocks import Block
from .dask_cluster import Cluster
from .guards import FencingToken, require_within


@dataclass(frozen=True, kw_only=True)
class SharedSound:
    """A function that inverts a bank's blocks on a cluster: see `raw.Share`.

    Attributes:
        cluster: the cluster.
        token: the attempt that the work belongs to.
        array: returns the path of a bank's stored activations, which all workers see by that name.
        time_axis: the picture's axis along time, 'x' or 'y'.
        threads: number of threads for each worker's torch.
        stop: cancels the run.
        url: URL of the run in the object store that holds the activations; None: they lie where `array` says.
    """

    cluster: Cluster
    token: FencingToken
    array: Callable[[int], Path]
    time_axis: str
    threads: int
    stop: Stop
    url: str | None

    def __call__(
        self,
        inversion: Inversion,
        number: int,
        blocks: Sequence[Block],
        add: Callable[[InvertedBlock], None],
        advance: Advance,
    ) -> None:
        """Invert blocks of a bank on the workers.

        A cancelled run returns early; the calling pass then raises `Stopped`, once it has recorded what is
        done.

        Args:
            inversion: what is inverted, and into which files.
            number: the bank's number.
            blocks: the blocks, all frames of a filter side by side.
            add: called with each block's result, in the blocks' order.
            advance: called with the number of values of each group of blocks that is inverted.
        """
        # a filter's frames stay together: its extremes are widened by one worker
        groups = [list(group) for _, group in groupby(blocks, key=lambda block: block.channels.start)]
        work = _Work(
            token=self.token,
            inversion=replace(inversion, device="cpu"),
            array=self.array(number),
            time_axis=self.time_axis,
            threads=self.threads,
            url=self.url,
        )

        def note(group: list[Block], inverted: list[InvertedBlock]) -> None:
            frames = sum(block.frames.stop - block.frames.start for block in group)
            filters = group[0].channels.stop - group[0].channels.start
            advance(frames * filters * inversion.frequencies)

        try:
            for group in self.cluster.in_order(
                partial(_inverted, work), groups, name="sound", stop=self.stop, on_end=note
            ):
                for block in group:
                    add(block)
        except Stopped:
            return


@dataclass(frozen=True, kw_only=True)
class _Work:
    token: FencingToken
    inversion: Inversion
    array: Path
    time_axis: str
    threads: int
    url: str | None


def _inverted(work: _Work, blocks: Sequence[Block]) -> list[InvertedBlock]:
    """Invert blocks of the same filters into their files; runs on a worker.

    Returns:
        The blocks' results, in their order.
    """
    require_within([work.array, *work.inversion.paths], work.url)
    work.token.require()
    inverted: list[InvertedBlock] = []
    with ExitStack() as opened:
        source = _source(work, opened)
        files = {
            number: opened.enter_context(work.inversion.open_file(number, 0))
            for number in work.inversion.files_of(blocks[0])
        }
        extremes = work.inversion.open_extremes(opened)
        with workers(1, work.threads) as pipeline:
            pipeline.run(
                source.prefetched(blocks),
                lambda block: work.inversion.invert(source, block, files, extremes, lambda _: None),
                [inverted.append],
            )
    return inverted


def _source(work: _Work, opened: ExitStack) -> Activations:
    """Open the stored activations, from the run's folder or its object store; `opened` closes them."""
    if work.url is None:
        return open_activations(work.array, work.time_axis)
    from ..store.object_store import ObjectFolder  # what runs to folders do not need
    from ..store.remote_arrays import open_remote

    pool = opened.enter_context(ThreadPoolExecutor(AHEAD, "fetch"))
    described = (work.array / "zarr.json").read_bytes()
    return open_remote(ObjectFolder(work.url), work.array.name, work.time_axis, pool=pool, metadata=described)
