"""A bank's filters inverted on a cluster: each worker fills its own stretches of the files."""

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
from ..sound.filters import Inversion
from ..store.arrays import Activations, open_activations
from ..store.blocks import Block
from .dask_cluster import Cluster
from .guards import FencingToken, require_within

_Found = list[tuple[Block, list[int]]]


@dataclass(frozen=True)
class SharedSound:
    """What a bank's `Rendering` is given to have its blocks inverted by a cluster: see `sound.Share`.

    Attributes:
        array: of a bank's number: its stored activations, which all workers see by that name.
        url: of the object store that they lie in; None: where `array` says.
        threads: that each worker's torch may use.
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
        add: Callable[[tuple[Block, list[int]]], None],
        advance: Advance,
    ) -> None:
        # a filter's frames stay together: what is seen of it is widened by one worker
        groups = [list(each) for _, each in groupby(blocks, key=lambda block: block.channels.start)]
        there = replace(inversion, device="cpu")
        work = _Work(self.token, there, self.array(number), self.time_axis, self.threads, self.url)

        def note(group: list[Block], found: _Found) -> None:
            frames = sum(each.frames.stop - each.frames.start for each in group)
            filters = group[0].channels.stop - group[0].channels.start
            advance(frames * filters * inversion.frequencies)

        try:
            for found in self.cluster.in_order(
                partial(_inverted, work), groups, name="sound", stop=self.stop, on_end=note
            ):
                for each in found:
                    add(each)
        except Stopped:
            return  # the pass says so itself, once it has kept what is done


@dataclass(frozen=True)
class _Work:
    token: FencingToken
    inversion: Inversion
    array: Path
    time_axis: str
    threads: int
    url: str | None


def _inverted(work: _Work, blocks: Sequence[Block]) -> _Found:
    """On a worker: the blocks' samples in their files; what `Inversion.invert` gives for each."""
    require_within([work.array, *work.inversion.paths], work.url)
    work.token.require()
    found = list[tuple[Block, list[int]]]()
    with ExitStack() as opened:
        source = _source(work, opened)
        files = {
            number: opened.enter_context(work.inversion.laid_out(number, 0))
            for number in work.inversion.files_of(blocks[0])
        }
        seen = work.inversion.seen(opened)
        with workers(1, work.threads) as pipeline:
            pipeline.run(
                source.prefetched(blocks),
                lambda block: work.inversion.invert(source, block, files, seen, lambda _: None),
                [found.append],
            )
    return found


def _source(work: _Work, opened: ExitStack) -> Activations:
    if work.url is None:
        return open_activations(work.array, work.time_axis)
    from ..store.object_store import ObjectFolder  # what runs to folders do not need
    from ..store.remote_arrays import open_remote

    pool = opened.enter_context(ThreadPoolExecutor(AHEAD, "fetch"))
    described = (work.array / "zarr.json").read_bytes()
    return open_remote(ObjectFolder(work.url), work.array.name, work.time_axis, pool=pool, metadata=described)
