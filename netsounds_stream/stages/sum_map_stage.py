"""The stage that keeps a bank's sums, which the mix is made of, as a small array."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ..base.checksums import file_sum
from ..base.pipeline import Pipeline
from ..base.spool import Spool
from ..planning.plan import BankPlan
from ..planning.steps import sum_map_step
from ..run.record import sum_map_attributes
from ..sound.naming import map_rows_path
from ..sound.windowed import removal
from ..store.sum_maps import SIDES, Floats, write_sum_map
from .context import RunContext


def write_bank_sums(run: RunContext, bank: BankPlan, pipeline: Pipeline) -> None:
    """Write a bank's sum map, unless it is complete or not wanted.

    Args:
        run: the run, whose sums of the bank are complete.
        bank: the bank's plan.
        pipeline: the workers, on one of which it is written.

    Raises:
        Stopped: the run was asked to stop; the map is then begun again.
    """
    step = sum_map_step(bank.number)
    if not run.plan.sum_maps or run.journal.done(step):
        return
    rows = map_rows_path(run.layout.temporary, bank.number)
    background = run.baselines[bank.number].background(run.mixture(bank).mix_weights)
    with (
        Spool(rows, (len(SIDES), bank.frequencies), bank.frames) as spool,
        run.progress.stage(step.name, len(SIDES) * bank.frames * bank.frequencies, "values") as advance,
    ):

        def read(start: int, count: int) -> Floats:
            return spool.read(start, count).numpy()

        write = partial(
            write_sum_map,
            run.layout.sum_map(bank.number),
            bank,
            read,
            time_axis=run.plan.time_axis,
            attributes=sum_map_attributes(bank, run.record, background),
            advance=advance,
        )
        written: list[Path] = []
        # on a worker, so that Ctrl-C does not interrupt zarr as it writes
        pipeline.run([None], lambda _: write(), [written.extend])
    run.journal.completed(
        step, lambda cancelled: {path: file_sum(path) for path in written}, after=removal(rows)
    )
