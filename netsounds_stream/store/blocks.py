"""Stored activations in blocks, and passes over them that can be suspended and resumed.

A block is some filters of some frames, which are read and turned into sound together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from ..base.journal import Files, Journal, Step
from ..base.progress import Advance
from ..errors import Stopped
from ..planning.planner import sound_block_channels
from ..planning.steps import PassState
from .arrays import Activations

# Most filters in a block, and so most files that a worker has open: some systems allow a process 256.
_FILES_AT_ONCE = 48


S = TypeVar("S", bound=PassState)


@dataclass(frozen=True)
class Block:
    """Some filters of some frames.

    Attributes:
        channels: the filters.
        frames: the frames.
    """

    channels: slice
    frames: slice


def blocks_of(
    source: Activations,
    block_values: int,
    *,
    frames_first: bool = False,
    chosen: Sequence[int] | None = None,
) -> list[Block]:
    """Divide activations into blocks.

    Args:
        source: the activations.
        block_values: about how many values a block has.
        frames_first: whether the blocks of the first frames come first; otherwise those of the first
            filters do, so that a file with one filter after another is written front to back.
        chosen: ascending numbers of the filters to include; None includes all.

    Returns:
        The blocks, in order.
    """
    per_block = source.frames_per_block
    group = sound_block_channels(block_values, per_block, source.frequencies, source.channels)
    group = min(group, _FILES_AT_ONCE)
    runs = [slice(0, source.channels)] if chosen is None else _runs(chosen)
    all_channels = [
        slice(first, min(first + group, run.stop))
        for run in runs
        for first in range(run.start, run.stop, group)
    ]
    all_frames = [
        slice(first, min(first + per_block, source.frames)) for first in range(0, source.frames, per_block)
    ]
    if frames_first:
        return [Block(channels, frames) for frames in all_frames for channels in all_channels]
    return [Block(channels, frames) for channels in all_channels for frames in all_frames]


def _runs(numbers: Sequence[int]) -> list[slice]:
    """Group ascending numbers into runs of consecutive ones."""
    runs: list[slice] = []
    for number in numbers:
        if runs and runs[-1].stop == number:
            runs[-1] = slice(runs[-1].start, number + 1)
        else:
            runs.append(slice(number, number + 1))
    return runs


class Pass(Generic[S]):
    """One resumable pass over a bank's blocks, in order.

    Args:
        journal: the run's journal.
        step: the pass's step in the journal.
        blocks: the blocks.
        group: the pass can be suspended after every `group` blocks.

    Attributes:
        state: the state to resume from; None if the pass starts at its first block.
    """

    def __init__(self, journal: Journal, step: Step[S], blocks: Sequence[Block], group: int = 1) -> None:
        self._journal = journal
        self._step = step
        self._blocks = blocks
        self._group = group
        self.state = journal.state(step)
        self._done = 0 if self.state is None else self.state["blocks"]

    @property
    def channels(self) -> tuple[int, int]:
        """The lowest filter of all blocks, and the one behind the highest."""
        first = min(block.channels.start for block in self._blocks)
        return first, max(block.channels.stop for block in self._blocks)

    def remaining(self, advance: Advance, frequencies: int) -> Iterator[Block]:
        """Iterate over the blocks that no earlier run has done, until the run is cancelled.

        Args:
            advance: reports progress; blocks done earlier are skipped in it.
            frequencies: values in a frame of one filter.

        Yields:
            The blocks, in order.
        """
        first = self._done
        advance.skip(sum(_frames_and_filters(block) for block in self._blocks[:first]) * frequencies)
        for number, block in enumerate(self._blocks[first:], first):
            if self._journal.stopping and number % self._group == 0:
                return
            yield block

    def reached(self, state: Callable[[], Mapping[str, Any]], files: Callable[[], Files]) -> None:
        """Record that one more block is done, and save the state where a commit is due.

        Args:
            state: returns the fields of the step's state besides those of `PassState`.
            files: returns the files written so far.
        """
        self._done += 1
        if self._done % self._group == 0 and self._done < len(self._blocks) and self._journal.due():
            self._save(state, files)
            self._journal.flush_soon()

    def end(self, state: Callable[[], Mapping[str, Any]], files: Callable[[], Files]) -> None:
        """Save the state once no block is in progress any more.

        Args:
            state: as in `reached`.
            files: as in `reached`.

        Raises:
            Stopped: the run was cancelled before the last block.
        """
        self._save(state, files)
        if self._done < len(self._blocks):
            raise Stopped
        self._journal.step_ended()

    def _save(self, state: Callable[[], Mapping[str, Any]], files: Callable[[], Files]) -> None:
        complete = self._done == len(self._blocks)
        reached = cast(S, {**state(), "blocks": self._done, "complete": complete})
        written = files()  # called now, since there may be more files by the time of the commit
        self._journal.reached(self._step, reached, lambda cancelled: written)


def _frames_and_filters(block: Block) -> int:
    count: int = (block.channels.stop - block.channels.start) * (block.frames.stop - block.frames.start)
    return count
