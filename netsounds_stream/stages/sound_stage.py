"""The sound stages of a run, which write each bank's sound and the mix."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from ..base.journal import no_files
from ..base.pipeline import Pipeline
from ..planning.plan import BankPlan
from ..planning.steps import MIX, SpectraState, sound_stage, sound_step, summing_step
from ..sound.bank import BankSound, BankSums
from ..sound.mix import bank_levels, mix_work, write_mix
from ..sound.raw import RawSound, Share
from .context import RunContext


def write_bank_sound(run: RunContext, bank: BankPlan, pipeline: Pipeline, share: Share | None) -> None:
    """Write all of a bank's sound, unless it is complete.

    Args:
        run: the run, whose network stage is complete.
        bank: the bank's plan.
        pipeline: the workers.
        share: inverts filters on other machines; None: they are inverted here.

    Raises:
        Stopped: the run was asked to stop; its progress is recorded in the journal.
    """
    stage = sound_stage(bank.number)
    if run.journal.done(sound_step(stage)):
        return
    array = run.layout.array(bank.number)
    with ExitStack() as stack:
        state = run.network_state()["banks"][str(bank.number)]
        total, spectra = run.open_sums(bank, pipeline, state, stack)
        raw = RawSound(
            context=run.stage(pipeline),
            number=bank.number,
            stage=stage,
            stored=run.storage.activations(array, run.plan.time_axis) if run.plan.stored else None,
            block_values=run.plan.block_values,
            share=share,
        )
        sound = BankSound(raw=raw, windowing=run.windowing(pipeline), whole_frames=bank.whole_frames)
        # of signed values the network's stage knows only bounds
        exact = bank.bank.nonnegative or not run.plan.stored
        known = BankSums(levels=run.levels(bank) if exact else None, total=total, spectra=spectra)
        sound.write(run.sound_files(bank), run.progress, known)
    unwanted = run.plan.stored and not run.options.activations
    forget = partial(run.storage.forget, array) if unwanted else lambda: None
    run.journal.completed(sound_step(stage), no_files, after=forget)


def write_run_mix(run: RunContext, pipeline: Pipeline) -> None:
    """Write the mix and the banks' parts of it, if they are planned and not complete.

    Args:
        run: the run, all of whose banks' sound is written.
        pipeline: the workers.

    Raises:
        Stopped: the run was asked to stop.
    """
    audio = run.plan.mix
    if audio is None or run.journal.done(MIX):
        return
    windowing = run.windowing(pipeline)
    assert windowing is not None
    parts = {bank.number: run.layout.parts(bank.number, run.plan) for bank in run.plan.banks}
    work = mix_work(audio.temporary_bytes // 4, run.options.sound, parts)
    with run.progress.stage(MIX.name, work, "samples") as advance, ExitStack() as stack:
        banks = {}
        for bank in run.plan.banks:
            rows = bank.frames, bank.whole_frames
            spools = windowing.open_spectra(
                bank.number, rows, bank.frequencies, run.mixture(bank), _summed(run, bank), stack
            )
            banks[bank.number] = spools["mix"]
        levels = bank_levels(
            {bank.number: bank.bank for bank in run.plan.banks}, run.options.sound.bank_fall_db
        )
        write_mix(windowing, banks, run.layout.mix, audio, advance, parts, levels)


def _summed(run: RunContext, bank: BankPlan) -> list[SpectraState]:
    """Return the states of a bank's windowed sums.

    Returns:
        The states that the network's stage recorded; or those of the second pass, where there was one.
    """
    if not run.options.sound.needs_second_pass:
        return run.network_state()["banks"][str(bank.number)]["spectra"]
    state = run.journal.state(summing_step(sound_stage(bank.number)))
    assert state is not None
    return state["spectra"]
