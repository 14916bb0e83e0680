"""The main job, from a picture to a finished run's folder: planned, begun or resumed, and carried out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .base import machine
from .base.device import out_of_memory, peak_bytes, reserve
from .base.journal import Journal, new_journal
from .base.pipeline import threads
from .base.progress import Stages, Stop
from .cluster.dask_cluster import connected
from .cluster.segment_merge import ClusterRun
from .cluster.segments import USUAL_ROWS
from .errors import ChangedError
from .execution import execute
from .network.compute import Compute, choose_compute
from .network.label import Guess, label_view, median_colour, predict_label, top5
from .network.weights import UNTRAINED, Weights, load_weights
from .picture.in_memory import PixelSource
from .picture.opening import opened_picture
from .picture.picture import Picture
from .planning.how_to_run import HowToRun
from .planning.options import SonifyOptions
from .planning.plan import Limits, Plan
from .planning.planner import make_plan
from .run.folder import RunFolder
from .run.layout import Layout, file_label
from .run.record import begin_record, differences, recorded_plan
from .run.result import Run, as_run
from .sound.background import Baseline
from .sound.stems import stems_facts, stems_notes
from .sound.windowed import measured_levels, sound_notes
from .stages.baseline import baselines
from .stages.context import RunContext
from .stages.forecast import expected_seconds


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What a run is asked for, besides its folder.

    Attributes:
        image: the picture.
        options: what is wanted.
        how: how it is carried out.
        overwrite: whether it replaces a run.
        notes: lines for the run's record.
        load: loads the weights.
    """

    image: str | Path | PixelSource
    options: SonifyOptions
    how: HowToRun
    overwrite: bool = False
    notes: tuple[str, ...] = ()
    load: Callable[[str], Weights] = load_weights


def carry_out(request: RunRequest, folder: RunFolder, left: dict[str, Any] | None) -> Run:
    """Carry out a run.

    Args:
        request: what it is asked for.
        folder: where it is worked on.
        left: the journal of a stopped run there; None: it begins.

    Returns:
        The finished run.

    Raises:
        ChangedError: the run is resumed, and its files would differ.
        BudgetError: memory or disk are too small; nothing has been decoded yet.
        Stopped: the run was asked to stop; what is finished is kept.
        NetsoundsError: another of its kinds.
    """
    if left is not None and not left["steps"]:
        left = None  # it had done nothing yet
    with ExitStack() as stack:
        cluster = _connect(request.how, stack)
        machine.tune_heap()
        machine.forget_peak()
        progress = Stages(request.how.on_progress, left and left["seconds"])
        prepared = _prepare(request, folder, left, progress, on_cluster=cluster is not None)
        recorder = _Recorder(prepared, progress, cluster, left, overwrite=request.overwrite)
        journal = Journal(
            folder.path,
            recorder.content,
            stop=request.how.stop,
            every_seconds=request.how.checkpoint_seconds,
            facts=recorder.facts,
        )
        journal.write()
        run = _context(request, prepared, folder, journal, progress, recorder.notes)
        describe = partial(recorder.describe, run)
        try:
            with (request.how.stop or Stop()).observed():
                logits = execute(run, cluster, describe)
        except torch.OutOfMemoryError as error:
            raise out_of_memory(prepared.gpu_budget) from error
        record = describe(logits)
        contents = folder.contents(journal.content["checksums"], arrays=request.options.activations)
        return as_run(folder.place, folder.finish({**record, **contents}))


def _connect(how: HowToRun, stack: ExitStack) -> ClusterRun | None:
    if how.cluster is None:
        return None
    cluster = stack.enter_context(connected(how.cluster))
    cluster.require_same_versions()
    return ClusterRun(cluster=cluster, segment_rows=how.segment_rows or USUAL_ROWS)


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """A run whose plan is made and whose picture and weights are opened."""

    picture: Picture
    weights: Weights
    compute: Compute
    gpu_budget: int | None
    plan: Plan
    record: dict[str, Any]


def _prepare(
    request: RunRequest,
    folder: RunFolder,
    left: dict[str, Any] | None,
    progress: Stages,
    *,
    on_cluster: bool,
) -> _Prepared:
    """Open picture and weights, plan the run, and begin its record, or compare it with the one left."""
    options = request.options
    picture = opened_picture(request.image, folder.path, progress, options)
    compute = choose_compute(options.device, options.precision)
    gpu_budget = reserve(compute.device, options.gpu_memory_bytes)
    with progress.stage("weights", 1, "share") as advance:
        weights = request.load(options.weights)
        advance(1)
    if left is None:
        limits = limits_of(options, compute, folder.path, gpu_budget, picture, remote=folder.remote)
        plan = make_plan(picture.source, options, limits, shared=on_cluster)
    else:
        plan = _plan_left(left["record"], options)
    plan.check()
    if plan.preview_rows is not None:
        picture = replace(picture, head=(plan.time_axis, plan.preview_rows))
    request.how.on_plan(plan)
    if not on_cluster:  # nobody knows how fast a cluster is
        progress.expect(expected_seconds(plan, options))
    prepared = _Prepared(
        picture=picture,
        weights=weights,
        compute=compute,
        gpu_budget=gpu_budget,
        plan=plan,
        record=_record(request, picture, weights, compute, plan, left, progress),
    )
    if left is None:
        folder.clear()  # now that nothing but the work itself can fail
        return prepared
    changed = differences(left["record"], prepared.record)
    if changed:
        raise ChangedError(
            "the stopped run cannot be resumed, since its files would differ: "
            f"{'; '.join(changed)}; restore that, or start again with --overwrite"
        )
    return replace(prepared, record=left["record"])


def _record(
    request: RunRequest,
    picture: Picture,
    weights: Weights,
    compute: Compute,
    plan: Plan,
    left: dict[str, Any] | None,
    progress: Stages,
) -> dict[str, Any]:
    """Return the record that the run begins with; of one that is resumed, as far as it is compared."""
    options = request.options
    guesses: tuple[Guess, ...] = ()
    colour = None if left is None else left["record"]["picture"].get("median_colour")
    with progress.stage("label", 1, "share") as advance:
        if left is None:
            view = label_view(picture)
            colour = median_colour(view)
            guesses = predict_label(view, picture.full_scale, weights, normalize=options.normalize)
        digest = picture.sha256()
        machine.trim_heap()
        advance(1)
    seen = guesses[0].category if guesses and options.weights != UNTRAINED else UNTRAINED
    return begin_record(
        picture,
        digest,
        weights,
        options,
        plan,
        compute=compute,
        label=options.label or seen,
        guesses=guesses,
        median_colour=colour,
        notes=request.notes,
    )


def _plan_left(record: dict[str, Any], options: SonifyOptions) -> Plan:
    """Return the plan that a stopped run was begun with, with the memory budget of now."""
    budget = options.memory_bytes or machine.default_budget_bytes()
    return replace(recorded_plan(record), budget_bytes=budget, free_disk_bytes=None)


def _context(
    request: RunRequest,
    prepared: _Prepared,
    folder: RunFolder,
    journal: Journal,
    progress: Stages,
    notes: list[str],
) -> RunContext:
    options, plan, record = request.options, prepared.plan, prepared.record
    storage = folder.storage(journal)
    run = RunContext(
        picture=prepared.picture,
        weights=prepared.weights,
        options=options,
        plan=plan,
        compute=prepared.compute,
        record=record,
        layout=Layout(folder.path, file_label(record["label"]), options.sound.format),
        journal=journal,
        progress=progress,
        storage=storage,
        baselines=_baselines(prepared, options),
        notes=notes,
    )
    if options.sound.preview_s is not None:
        notes.append(
            f"a preview: the first {options.sound.preview_s:g} s, levelled by themselves, from "
            f"{plan.rows_along} of the picture's rows in time"
        )
    return run


def _baselines(prepared: _Prepared, options: SonifyOptions) -> dict[int, Baseline]:
    """Return what the mix leaves out, by bank; nothing where there is no mix."""
    picture = prepared.picture
    colour = prepared.record["picture"].get("median_colour")  # runs begun by an older version have none
    if not options.sound.mix or colour is None:
        return {}
    with threads(1):  # a last bit may depend on how many there are
        return baselines(
            prepared.weights,
            colour,
            picture.full_scale,
            picture.height,
            picture.width,
            normalize=options.normalize,
        )


class _Recorder:
    """Writes down what a run takes and what it becomes, attempt after attempt.

    Args:
        prepared: the run.
        progress: its progress.
        cluster: what computes it; None: this machine.
        left: the journal of the attempts before; None: this is the first.
        overwrite: whether the run replaces another.

    Attributes:
        content: the journal's, with which this attempt begins.
        notes: gathers what this attempt does otherwise than planned.
    """

    def __init__(
        self,
        prepared: _Prepared,
        progress: Stages,
        cluster: ClusterRun | None,
        left: dict[str, Any] | None,
        *,
        overwrite: bool,
    ) -> None:
        self._prepared = prepared
        self._progress = progress
        self._cluster = cluster
        self.content = left or {**new_journal(prepared.record), "overwrite": overwrite}
        self.content["starts"] += 1
        self._peak_before = self.content.get("peak_memory_bytes", 0)
        self._notes_before = self.content.get("notes", [])
        self.notes: list[str] = []

    def facts(self) -> dict[str, Any]:
        """Return what every commit writes down besides states."""
        return {
            "seconds": self._progress.so_far(),
            "peak_memory_bytes": max(self._peak_before, machine.peak_resident_bytes()),
            "notes": self._all_notes(),
        }

    def describe(self, run: RunContext, logits: Tensor) -> dict[str, Any]:
        """Return the run's record.

        Args:
            run: the run.
            logits: the classifier's average over the picture.
        """
        steps, sound, record = run.journal.noted_steps, run.options.sound, run.record
        levels = measured_levels(steps)
        stems = stems_facts(steps, sound)
        described = {
            **record,
            "prediction": {
                **record["prediction"],
                "full_picture": [asdict(guess) for guess in top5(logits)],
            },
            **self.facts(),
            "seconds": {name: round(seconds, 3) for name, seconds in self._progress.so_far().items()},
            "cuda_peak_bytes": peak_bytes(run.compute.device),
            "notes": [
                *record["notes"],
                *self._all_notes(),
                *sound_notes(levels, sound),
                *stems_notes(stems),
            ],
            "levels": levels,
            **stems,
        }
        if sound.top is not None:
            described["sounding"] = {str(bank.number): list(run.selected(bank)) for bank in run.plan.banks}
        if self._cluster is not None:
            described["cluster"] = self._cluster.facts()
        return {**described, "starts": self.content["starts"], "overwrite": self.content["overwrite"]}

    def _all_notes(self) -> list[str]:
        of_workers = [] if self._cluster is None else self._cluster.notes
        return list(dict.fromkeys([*self._notes_before, *self.notes, *of_workers]))  # each once


def limits_of(
    options: SonifyOptions,
    compute: Compute,
    folder: Path,
    gpu_budget: int | None,
    picture: Picture,
    *,
    remote: bool,
) -> Limits:
    """Return what a run may use.

    Args:
        options: what is wanted.
        compute: device and precision.
        folder: where it is worked on.
        gpu_budget: bytes of the GPU's memory; None without one.
        picture: the picture.
        remote: whether it will lie in an object store.
    """
    fetched = 0 if picture.url is None else picture.file_bytes
    return Limits(
        baseline_bytes=machine.resident_bytes() + picture.pending_bytes,
        budget_bytes=options.memory_bytes or machine.default_budget_bytes(),
        free_disk_bytes=machine.free_disk_bytes(folder) + (fetched if picture.path.exists() else 0),
        compute_bytes_per_value=compute.dtype.itemsize,
        # torch's MPS backend is not known to stand several threads
        threads=1 if compute.device == "mps" else torch.get_num_threads(),
        gpu_budget_bytes=gpu_budget,
        remote=remote,
        fetched_bytes=fetched,
    )
