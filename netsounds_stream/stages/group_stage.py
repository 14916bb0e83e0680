"""The stage that makes a run's arrays one zarr group, with coordinates and attributes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ..base.checksums import file_sum
from ..planning.sound_plan import filter_samples
from ..planning.steps import GROUP
from ..run.record import group_attributes
from ..store.group import BankCoordinates, write_group
from .context import RunContext


def write_run_group(run: RunContext) -> None:
    """Write the group and the coordinates of a run that keeps arrays, unless they are complete.

    Args:
        run: the run, all of whose arrays are written.
    """
    kept = run.options.activations
    if not (kept or run.plan.sum_maps) or run.journal.done(GROUP):
        return
    sound, plan = run.options.sound, run.plan
    banks = []
    for bank in plan.banks:
        frames = bank.whole_frames if sound.windowed else bank.frames
        seconds = filter_samples(plan, bank, sound) / sound.sample_rate_hz
        banks.append(
            BankCoordinates(
                bank=bank.bank,
                arrays=_arrays(run, bank.number),
                kept=kept,
                shape=bank.shape,
                time_axis=plan.time_axis,
                frame_seconds=seconds / frames,
            )
        )
    # On another thread, so that Ctrl-C does not interrupt zarr as it writes.
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(write_group, run.layout.folder, banks, group_attributes(run.record))
        written = made.result()
    run.journal.completed(GROUP, lambda cancelled: {path: file_sum(path) for path in written})


def _arrays(run: RunContext, number: int) -> tuple[str, ...]:
    """Return the names of a bank's arrays that the run keeps."""
    activations = (run.layout.array(number).name,) if run.options.activations else ()
    return (*activations, run.layout.sum_map(number).name) if run.plan.sum_maps else activations
