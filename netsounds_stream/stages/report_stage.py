"""The report stage of a run, which gathers the earlier stages' results for the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from ..base.checksums import file_sum
from ..base.pipeline import Pipeline
from ..picture.overview import bank_overview, picture_overview
from ..planning.plan import BankPlan
from ..planning.steps import MIX, REPORT
from ..report.contact_sheets import BankPictures
from ..report.report import BankReport, Report, report_files
from ..run.record import tags_of
from ..sound.firing import bank_firing
from .context import RunContext


def write_run_report(run: RunContext, pipeline: Pipeline, record: Callable[[], Mapping[str, Any]]) -> None:
    """Write the run's report, unless it is complete.

    Args:
        run: the run, all of whose sound is written.
        pipeline: the workers.
        record: returns the run's record, as far as it is known when the page is written.

    Raises:
        Stopped: the run was asked to stop.
    """
    if run.journal.done(REPORT):
        return
    layout = run.layout
    views = run.views
    assert views is not None
    with ExitStack() as stack:
        banks = [_bank_report(run, bank, stack) for bank in run.plan.banks]
        state = run.network_state()["preview"]
        preview = stack.enter_context(picture_overview(layout.overview("picture"), run.plan, state))
        report = Report(
            folder=layout.folder,
            plan=run.plan,
            sound=run.options.sound,
            views=views,
            pipeline=pipeline,
            journal=run.journal,
            tags=partial(tags_of, run.record),
            banks=banks,
            mix=None if run.plan.mix is None else layout.mix,
            preview=preview,
            storage=run.storage,
            parts_gain_db=_parts_gain_db(run),
            single_file=run.options.single_file,
        )
        names = [path.relative_to(layout.folder).as_posix() for path in _linked(run)]
        report.write(record, names, run.progress)
    written = report_files(layout.folder)
    run.journal.completed(
        REPORT, lambda cancelled: {path: file_sum(path) for path in written if path.exists()}
    )


def _bank_report(run: RunContext, bank: BankPlan, stack: ExitStack) -> BankReport:
    """Gather the results of a bank for the report.

    Args:
        run: the run.
        bank: the bank's plan.
        stack: closes the bank's overview and levels.
    """
    state = run.network_state()["banks"][str(bank.number)]["overview"]
    path = run.layout.overview(f"bank-{bank.number}")
    overview = stack.enter_context(bank_overview(path, bank, state))
    pictures = BankPictures(bank.number, overview, bank.channels, run.plan.time_axis)
    source = None
    if _kept(run):
        source = run.storage.activations(run.layout.array(bank.number), run.plan.time_axis)
    firing = None
    baseline = run.baselines.get(bank.number)
    fired = run.network_state()["banks"][str(bank.number)]["firing"]
    if fired is not None and baseline is not None:
        firing = stack.enter_context(bank_firing(run.layout.firing(bank.number), bank, baseline, fired))
    return BankReport(
        planned=bank,
        pictures=pictures,
        source=source,
        files=run.sound_files(bank),
        filters=run.selected(bank),
        means=pictures.means(),
        parts=run.layout.parts(bank.number, run.plan),
        firing=firing,
    )


def _parts_gain_db(run: RunContext) -> float:
    """Return the gain in dB of the banks' parts against the mix; 0 where there are none."""
    state = run.journal.state(MIX)
    return state.get("stems", {}).get("gain_db", 0.0) if state is not None else 0.0


def _linked(run: RunContext) -> list[Path]:
    """List the run's sounds and arrays.

    Returns:
        Their paths, in the order of the page's links.
    """
    paths = [] if run.plan.mix is None else [run.layout.mix]
    for bank in run.plan.banks:
        if _kept(run):
            paths.append(run.layout.array(bank.number))
        if run.plan.sum_maps:
            paths.append(run.layout.sum_map(bank.number))
        paths += [path for _, files in run.sound_files(bank) for path in files]
        parts = run.layout.parts(bank.number, run.plan)
        paths += [path for audio, path in parts if audio.scheme == "stem"]
    return paths


def _kept(run: RunContext) -> bool:
    """Return whether activations are part of the finished run."""
    return run.plan.stored and run.options.activations
