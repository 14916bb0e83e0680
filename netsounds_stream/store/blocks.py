"""Stored activations in blocks, and a pass over them that can be put down and taken up again.

A block is some filters of some frames, read and turned to sound at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..base.journal import Files, Journal
from ..base.progress import Advance
from ..errors import Stopped
from ..planning.planner import sound_block_channels
from .arrays import Activations

# Filters in a block at most, and so files that a worker has open: some systems allow a process 256.
_FILES_AT_ONCE = 48


@dataclass(frozen=True)
class Block:
    """Which filters of which frames."""

    channels: slice
    frames: slice


def blocks_of(
    source: Activations,
    block_values: int,
    *,
    frames_first: bool = False,
    chosen: Sequence[int] | None = None,
) -> list[Block]:
    """All of `source`, or of its `chosen` filters, in blocks of about `block_values` values.

    Filters outermost, so that what is written runs forwards in the file; or frames outermost.
    """
    per_block = source.frames_per_block
    group = sound_block_channels(block_values, per_block, source.frequencies, source.channels)
    group = min(group, _FILES_AT_ONCE)
    runs = [slice(0, source.channels)] if chosen is None else _runs(chosen)
    all_channels = [
        slice(c, min(c + group, run.stop)) for run in runs for c in range(run.start, run.stop, group)
    ]
    all_frames = [slice(t, min(t + per_block, source.frames)) for t in range(0, source.frames, per_block)]
    if frames_first:
        return [Block(channels, frames) for frames in all_frames for channels in all_channels]
    return [Block(channels, frames) for channels in all_channels for frames in all_frames]


def _runs(numbers: Sequence[int]) -> list[slice]:
    """Ascending numbers as runs of neighbours."""
    runs: list[slice] = []
    for number in numbers:
        if runs and runs[-1].stop == number:
            runs[-1] = slice(runs[-1].start, number + 1)
        else:
            runs.append(slice(number, number + 1))
    return runs


class Pass:
    """One pass over a bank's blocks, in order: the `step` of that name in the journal.

    Args:
        group: the work can be put down after every so many blocks.

    Attributes:
        state: what was kept of it before; None: it begins.
    """

    def __init__(self, journal: Journal, step: str, blocks: Sequence[Block], group: int = 1) -> None:
        self._journal, self._step, self._blocks, self._group = journal, step, blocks, group
        self.state = journal.state(step)
        self._done = 0 if self.state is None else int(self.state["blocks"])

    @property
    def channels(self) -> tuple[int, int]:
        """The first filter of all, and the one behind the last."""
        return min(b.channels.start for b in self._blocks), max(b.channels.stop for b in self._blocks)

    def left(self, advance: Advance, frequencies: int) -> Iterator[Block]:
        """The blocks that were not done before; fewer where the run is asked to stop."""
        first = self._done
        advance.skip(sum(_frames_and_filters(block) for block in self._blocks[:first]) * frequencies)
        for number, block in enumerate(self._blocks[first:], first):
            if self._journal.stopping and number % self._group == 0:
                return
            yield block

    def reached(self, state: Callable[[], Mapping[str, Any]], files: Callable[[], Files]) -> None:
        """One more block is done. Where it is time, that is kept: what `state` says, and `files`."""
        self._done += 1
        if self._done % self._group == 0 and self._done < len(self._blocks) and self._journal.due():
            self._keep(state, files)
            self._journal.flush_soon()

    def end(self, state: Callable[[], Mapping[str, Any]], files: Callable[[], Files]) -> None:
        """No block is under way any more. Raises Stopped where some are left."""
        self._keep(state, files)
        if self._done < len(self._blocks):
            raise Stopped
        self._journal.step_ended()

    def _keep(self, state: Callable[[], Mapping[str, Any]], files: Callable[[], Files]) -> None:
        reached = {**state(), "blocks": self._done, "whole": self._done == len(self._blocks)}
        written = files()  # now: by the time of the commit there may be more
        self._journal.reached(self._step, reached, lambda cancelled: written)


def _frames_and_filters(block: Block) -> int:
    count: int = (block.channels.stop - block.channels.start) * (block.frames.stop - block.frames.start)
    return count
