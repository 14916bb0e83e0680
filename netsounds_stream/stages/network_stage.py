"""The network's stage of a run: bands of pixels in; activations, sums, levels and overviews out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import torch
from torch import Tensor

from ..base.journal import no_files
from ..base.pipeline import Pipeline
from ..errors import OutputError
from ..network.compute import pixel_network
from ..picture.overview import bank_overview, picture_overview
from ..picture.slabs import planned_slabs, spool_picture
from ..planning.plan import STORED_SPOOL, BankPlan
from ..planning.steps import NETWORK, SPOOL, BankState
from ..run.record import array_attributes
from ..sound.firing import bank_firing
from ..sound.levels import LevelMeter
from ..store.arrays import ShardWriter, create_array
from ..store.shard_memory import ShardMemory
from .context import RunContext
from .forward import run_forward
from .sinks import BankSinks, NetworkSinks, rows_done

#: Computes the network on other machines: takes the sinks and a function that is called with the number of
#: pixels that are through, and returns the logits' average.
ComputeElsewhere = Callable[[NetworkSinks, Callable[[int], None]], Tensor | None]


def run_network(run: RunContext, elsewhere: ComputeElsewhere | None = None) -> Tensor | None:
    """Compute the network's stage, unless it is complete.

    Args:
        run: the run.
        elsewhere: computes the network on other machines; None: it is computed here.

    Returns:
        The logits' average over the picture, float64 `[class]`; None if the network makes none.

    Raises:
        OutputError: the run was begun on a cluster and is resumed without, or the other way round.
        Stopped: the run was asked to stop; its progress is recorded in the journal.
    """
    journal = run.journal
    plan = run.plan
    state = journal.state(NETWORK)
    if state is not None and journal.done(NETWORK):
        known = state.get("logits")
        return None if known is None else torch.tensor(known, dtype=torch.float64)
    if state is not None and (elsewhere is None) == ("segments" in state):
        how = "on a cluster; resume it with" if elsewhere is None else "on one machine; resume it without"
        raise OutputError(f"the run was started {how} --cluster")
    spool = run.layout.picture_spool
    with ExitStack() as stack:
        pipeline = stack.enter_context(run.network_workers())
        sinks = _open_sinks(run, pipeline, stack, stored_here=elsewhere is None)
        if plan.picture_stored == STORED_SPOOL:
            spool_picture(run.picture, plan, spool, journal, run.progress)
        with run.progress.stage(NETWORK.name, plan.pixels, "px") as advance:
            advance.skip(rows_done(journal) * plan.pixels // plan.rows_along)
            if elsewhere is not None:
                logits = elsewhere(sinks, advance)
            else:
                logits = _compute_here(run, sinks, pipeline, advance)
            run.storage.network_ended()
    if plan.picture_stored == STORED_SPOOL:
        journal.completed(SPOOL, no_files, after=lambda: spool.unlink(missing_ok=True))
    journal.step_ended()
    return logits


def _compute_here(
    run: RunContext, sinks: NetworkSinks, pipeline: Pipeline, advance: Callable[[int], None]
) -> Tensor | None:
    first = rows_done(run.journal)
    dtype = run.compute.dtype
    return run_forward(
        planned_slabs(run.picture, run.plan, run.layout.picture_spool, first),
        run.plan,
        pixel_network(run.network, run.picture.full_scale, run.options.normalize, dtype),
        sinks,
        compute=run.compute,
        pipeline=pipeline,
        advance=advance,
        journal=run.journal,
        folder=run.layout.folder,
    )


def _open_sinks(run: RunContext, pipeline: Pipeline, stack: ExitStack, *, stored_here: bool) -> NetworkSinks:
    """Open all sinks, new or with the journal's state.

    Args:
        run: the run.
        pipeline: the workers.
        stack: closes the sinks.
        stored_here: whether this process writes the shards, rather than other machines.
    """
    state = run.journal.state(NETWORK)
    preview = None
    if run.options.report:
        preview_state = None if state is None else state["preview"]
        path = run.layout.overview("picture")
        preview = stack.enter_context(picture_overview(path, run.plan, preview_state))
    banks = {}
    memory = ShardMemory() if stored_here else None
    for bank in run.plan.banks:
        bank_state = None if state is None else state["banks"][str(bank.number)]
        banks[bank.number] = _bank_sinks(run, bank, bank_state, pipeline, stack, memory)
    return NetworkSinks(banks=banks, preview=preview)


def _bank_sinks(
    run: RunContext,
    bank: BankPlan,
    state: BankState | None,
    pipeline: Pipeline,
    stack: ExitStack,
    memory: ShardMemory | None,
) -> BankSinks:
    """Open a bank's sinks; `memory` is for its shards, None if other machines write these."""
    sound = run.options.sound
    total, spectra = run.open_sums(bank, pipeline, state, stack)
    store = None
    if run.plan.stored:
        _create_array(run, bank, pipeline, begins=state is None, others_write=memory is None)
        if memory is not None:
            store = ShardWriter(
                run.layout.array(bank.number),
                bank,
                time_axis=run.plan.time_axis,
                codec=run.options.codec,
                defer=pipeline.defer,
                uploads=run.storage.uploads,
                memory=memory,
            )
    mixture = None if sound.needs_second_pass else run.mixture(bank)
    overview = None
    if run.options.report:
        path = run.layout.overview(f"bank-{bank.number}")
        overview = bank_overview(path, bank, None if state is None else state["overview"])
        stack.enter_context(overview)
    firing = None
    if run.options.report and bank.number in run.baselines:
        path = run.layout.firing(bank.number)
        firing = bank_firing(
            path, bank, run.baselines[bank.number], None if state is None else state["firing"]
        )
        stack.enter_context(firing)
    return BankSinks(
        meter=LevelMeter(bank.channels, None if state is None else state["levels"]),
        store=store,
        total=total,
        mixture=mixture if mixture is not None and mixture.weights.size else None,
        spectra=tuple(spectra.values()),
        energies=sound.needs_energies,
        overview=overview,
        firing=firing,
    )


def _create_array(
    run: RunContext, bank: BankPlan, pipeline: Pipeline, *, begins: bool, others_write: bool
) -> None:
    """Create a bank's array, unless a stopped run has left one.

    Args:
        run: the run.
        bank: the bank's plan.
        pipeline: the workers.
        begins: whether the stage begins, rather than resumes.
        others_write: whether other machines write the shards. They may complete some before the first commit,
            so an array that exists is kept.
    """
    path = run.layout.array(bank.number)
    if not begins or (others_write and (path / "zarr.json").exists()):
        return
    shutil.rmtree(path, ignore_errors=True)  # left by a run that ended before its first commit
    create = partial(
        create_array,
        path,
        time_axis=run.plan.time_axis,
        codec=run.options.codec,
        attributes=array_attributes(bank, run.record),
    )
    pipeline.run([bank], create, [])  # on a worker, so that Ctrl-C does not interrupt zarr as it writes
