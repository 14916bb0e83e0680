"""Weighted sums of a bank's filters, in one pass over its store that can be put down and taken up again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .base.checkpoint import CheckpointReader, CheckpointWriter
from .base.checksums import FileSum, file_sum
from .base.journal import Files
from .base.progress import Advance
from .mixture import Mixture
from .sound import Rendering
from .spectra import SpectraSpool
from .store.blocks import Block, Pass
from .sum_spool import SumSpool
from .transform import half_frames


def sum_filters(to: Rendering, mixture: Mixture, sums: Sums, work: Pass, advance: Advance) -> None:
    """Sum the filters, each times its weights, in one pass over stored activations.

    Args:
        work: over blocks of all filters that sound, frames outermost; to be put down between frames.
    """
    factors = torch.from_numpy(mixture.weights).T.contiguous()
    first, last = work.channels
    total = torch.empty(0)

    def weighted(block: Block) -> tuple[Block, Tensor]:
        values = to.source.read(block.channels, block.frames)
        advance(values.numel())
        return block, torch.tensordot(factors[:, block.channels], values.float(), dims=1)

    def add(found: tuple[Block, Tensor]) -> None:
        nonlocal total
        block, part = found
        total = part if block.channels.start == first else total.add_(part)
        if block.channels.stop == last:
            sums.add(total.transpose(0, 1))
        work.reached(sums.state, sums.files)

    to.line.run(to.source.ahead(work.left(advance, to.source.frequencies)), weighted, [add])
    work.end(sums.state, sums.files)


class Sums:
    """Where weighted sums go: to a sum that is inverted, to what becomes windowed frames.

    Args:
        mixture: what the sums' columns are; a plain raw sum has one, too.
        state: how far they were; the spools were made with it.
        waiting: where the rows that wait are kept, at a stem of that name.
    """

    def __init__(
        self,
        mixture: Mixture,
        total: SumSpool | None,
        spectra: Sequence[SpectraSpool],
        waiting: Path,
        state: Mapping[str, Any] | None,
    ) -> None:
        self._mixture, self._total, self._spectra = mixture, total, spectra
        self._waiting, self._kept = waiting, Path()
        if state is not None and spectra:
            self._kept = waiting.with_name(state["waiting"])
            with CheckpointReader(self._kept, FileSum.from_json(state["waiting_sum"])) as reader:
                rows = reader.tensors("rows")
            for number, each in enumerate(spectra):
                each.made_by.restore(state["spectra"][number], rows[str(number)])

    def add(self, columns: Tensor) -> None:
        """The next frames' sums, `[frame, column, frequency]`."""
        if self._total is not None:
            self._total.add(half_frames(columns[:, : self._mixture.raw]))
        for spool, (_, part) in zip(self._spectra, self._mixture.spectra, strict=True):
            spool.add(columns[:, part])

    def state(self) -> dict[str, Any]:
        """How far they are; what cannot be told in a few numbers goes to a file of its own."""
        found: dict[str, Any] = {"sum": None if self._total is None else self._total.state()}
        if self._spectra:
            # three names in turn: neither the one that the journal speaks of is written over, nor the one
            # of a commit under way
            turn = (int(self._kept.suffix[1:] or 2) + 1) % 3
            writer = CheckpointWriter(self._waiting.with_name(f"{self._waiting.name}.{turn}"))
            for number, each in enumerate(self._spectra):
                writer.add(f"rows/{number}", each.made_by.waiting)
            writer.close()
            self._kept = writer.path
            found |= {
                "spectra": [each.state() for each in self._spectra],
                "waiting": self._kept.name,
                "waiting_sum": file_sum(self._kept).to_json(),
            }
        return found

    def files(self) -> Files:
        kept = [self._kept] if self._spectra else []
        total = [] if self._total is None else [self._total.path]
        return dict.fromkeys((*kept, *total, *(each.path for each in self._spectra)))
