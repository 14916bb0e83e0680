"""The execution of a finished plan: the stages of a run in their order, each resumed from the journal."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from .base import machine
from .base.locations import DOWNLOAD
from .cluster.guards import FencingToken, issue_token
from .cluster.segment_merge import ClusterRun
from .cluster.segment_worker import Job, save_weights, without_weights
from .cluster.shared_sound import SharedSound
from .errors import Stopped
from .stages.context import RunContext
from .stages.group_stage import write_run_group
from .stages.network_stage import ComputeElsewhere, run_network
from .stages.report_stage import write_run_report
from .stages.sinks import NetworkSinks, remove_snapshots
from .stages.sound_stage import write_bank_sound, write_run_mix
from .stages.sum_map_stage import write_bank_sums


def execute(
    run: RunContext, cluster: ClusterRun | None, describe: Callable[[Tensor | None], dict[str, Any]]
) -> Tensor | None:
    """Carry out all stages of a run.

    Args:
        run: the run.
        cluster: computes the network and raw sound; None: this machine does.
        describe: returns the run's record with the given logits, for the report.

    Returns:
        The logits' average over the picture, float64 `[class]`; None if the network makes none.

    Raises:
        Stopped: the run was asked to stop; what is finished is durable.
    """
    run.layout.temporary.mkdir(exist_ok=True)
    if cluster is not None:
        issue_token(run.layout.temporary)
    machine.trim_heap()  # copies of the weights that the label and the baseline have used
    try:
        logits = run_network(run, _elsewhere(run, cluster))
        machine.trim_heap()
        _write_sound(run, cluster)
        if run.options.report:
            machine.trim_heap()  # the report's contact sheets need the memory that sound has used
            with run.report_workers() as pipeline:
                write_run_report(run, pipeline, partial(describe, logits))
        with run.progress.stage("sync", 1, "share") as advance:
            run.journal.flush()
            run.storage.settle()
            advance(1)
    except Stopped:
        run.journal.flush()
        raise
    finally:
        run.storage.close()
        run.journal.abandon()
    _remove_temporary(run)
    return logits


def _write_sound(run: RunContext, cluster: ClusterRun | None) -> None:
    """Write each bank's sound and its sum map, then the group of all arrays, then the mix."""
    share = None if cluster is None else _shared_sound(run, cluster)
    with run.sound_workers() as pipeline:
        for bank in run.plan.banks:
            run.storage.make_room(run.plan)
            write_bank_sound(run, bank, pipeline, share)
            write_bank_sums(run, bank, pipeline)
        write_run_group(run)
        write_run_mix(run, pipeline)


def _elsewhere(run: RunContext, cluster: ClusterRun | None) -> ComputeElsewhere | None:
    """Return a function that computes the network on a cluster; None without a cluster."""
    if cluster is None:
        return None

    def compute(sinks: NetworkSinks, advance: Callable[[int], None]) -> Tensor | None:
        return cluster.run(_job(run), sinks, run.journal, advance, run.network.captured.classifier)

    return compute


def _job(run: RunContext) -> Job:
    """Save the weights for the workers, and return the values that every segment of the run needs."""
    temporary: Path = run.layout.temporary
    return Job(
        plan=run.plan,
        picture=run.picture,
        layout=run.layout,
        token=FencingToken.of(temporary),
        network=without_weights(run.network),
        weights=save_weights(run.network, temporary),
        normalize=run.options.normalize,
        compute=run.compute,
        sound=run.options.sound,
        codec=run.options.codec,
        report=run.options.report,
        url=run.storage.url,
    )


def _shared_sound(run: RunContext, cluster: ClusterRun) -> SharedSound:
    return SharedSound(
        cluster=cluster.cluster,
        token=FencingToken.of(run.layout.temporary),
        array=run.layout.array,
        time_axis=run.plan.time_axis,
        threads=run.plan.threads_each,
        stop=run.journal.stop,
        url=run.storage.url,
    )


def _remove_temporary(run: RunContext) -> None:
    """Remove files that are not part of the finished run, including those that a killed attempt left."""
    folder = run.layout.folder
    remove_snapshots(folder)
    run.layout.picture_spool.unlink(missing_ok=True)
    for path in (run.layout.temporary, folder / DOWNLOAD):
        shutil.rmtree(path, ignore_errors=True)
    if not run.options.activations:
        for bank in run.plan.banks:
            run.storage.forget(run.layout.array(bank.number))
