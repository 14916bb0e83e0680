"""Weighted sums of a bank's filters, in one resumable pass over its store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..base.checkpoint import CheckpointReader, CheckpointWriter
from ..base.checksums import FileSum, file_sum
from ..base.journal import Files
from ..base.progress import Advance
from ..planning.steps import SummingState
from ..store.blocks import Block, Pass
from .dsp.half_ifft import half_frames
from .mixture import Mixture
from .raw import RawSound
from .spectra import SpectraSpool
from .sum_spool import SumSpool


def sum_filters(
    raw: RawSound, mixture: Mixture, sums: Sums, work: Pass[SummingState], advance: Advance
) -> None:
    """Sum the filters, each times its weights, in one pass over stored activations.

    Args:
        raw: the bank.
        mixture: the weights.
        sums: collects the sums.
        work: the pass, over blocks of all selected filters, frames outermost; it is suspended between frames.
        advance: called with the number of values.

    Raises:
        Stopped: the run was cancelled; what is done is noted in the journal.
    """
    factors = torch.from_numpy(mixture.weights).T.contiguous()
    first, last = work.channels
    total = torch.empty(0)

    def weighted(block: Block) -> tuple[Block, Tensor]:
        values = raw.source.read(block.channels, block.frames)
        advance(values.numel())
        return block, torch.tensordot(factors[:, block.channels], values.float(), dims=1)

    def add(summed: tuple[Block, Tensor]) -> None:
        nonlocal total
        block, part = summed
        total = part if block.channels.start == first else total.add_(part)
        if block.channels.stop == last:
            sums.add(total.transpose(0, 1))
        work.reached(sums.state, sums.files)

    blocks = raw.source.prefetched(work.remaining(advance, raw.source.frequencies))
    raw.context.pipeline.run(blocks, weighted, [add])
    work.end(sums.state, sums.files)


class Sums:
    """Distributes weighted sums: the raw sum to a spool of samples, windowed sums to spools of magnitudes.

    Args:
        mixture: says which of the mixed channels belong to which sum.
        total: spool of the raw sum; None where it is not wanted.
        spectra: spools of the windowed sums, in the order of `Mixture.spectra`.
        waiting: path, without its number, of the files that keep the rows which the spools retain.
        state: the state to resume from, with which the spools were opened; None: they are new.
    """

    def __init__(
        self,
        mixture: Mixture,
        total: SumSpool | None,
        spectra: Sequence[SpectraSpool],
        waiting: Path,
        state: SummingState | None,
    ) -> None:
        self._mixture = mixture
        self._total = total
        self._spectra = spectra
        self._waiting = waiting
        self._kept = Path()
        if state is not None and spectra:
            self._kept = waiting.with_name(state["waiting"])
            with CheckpointReader(self._kept, FileSum.from_json(state["waiting_sum"])) as reader:
                rows = reader.tensors("rows")
            for number, spool in enumerate(spectra):
                spool.restore(state["spectra"][number], {"rows": rows[str(number)]})

    def add(self, rows: Tensor) -> None:
        """Append the next frames' sums, float32 `[frame, mixed channel, frequency]`."""
        if self._total is not None:
            self._total.add(half_frames(rows[:, : self._mixture.raw]))
        for spool, (_, channels) in zip(self._spectra, self._mixture.spectra, strict=True):
            spool.add(rows[:, channels])

    def state(self) -> Mapping[str, Any]:
        """Save the retained rows to a file, and return the fields of `SummingState`."""
        state: dict[str, Any] = {"sum": None if self._total is None else self._total.state()}
        if self._spectra:
            # three names in turn: a new file replaces neither the one that the journal names, nor that of a
            # commit under way
            turn = (int(self._kept.suffix[1:] or 2) + 1) % 3
            writer = CheckpointWriter(self._waiting.with_name(f"{self._waiting.name}.{turn}"))
            for number, spool in enumerate(self._spectra):
                writer.add(f"rows/{number}", spool.retained()["rows"])
            writer.close()
            self._kept = writer.path
            state |= {
                "spectra": [spool.state() for spool in self._spectra],
                "waiting": self._kept.name,
                "waiting_sum": file_sum(self._kept).to_json(),
            }
        return state

    def files(self) -> Files:
        """Return the files that must be durable for the last `state` to hold."""
        kept = [self._kept] if self._spectra else []
        total = [] if self._total is None else [self._total.path]
        return dict.fromkeys((*kept, *total, *(path for spool in self._spectra for path in spool.paths)))
