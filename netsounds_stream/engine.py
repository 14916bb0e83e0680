"""The whole of a run, from a picture to its finished folder: plan, begin or resume, carry out, publish."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from .graph.layers import Banks
from .network.compute import Compute, choose_compute
from .network.label import Guess, label_view, median_colour, predict_label, top5
from .network.networks import Network, load_network
from .picture.in_memory import PixelSource
from .picture.opening import opened_picture
from .picture.picture import Picture, measured
from .planning.how_to_run import HowToRun
from .planning.options import UNTRAINED, SonifyOptions
from .planning.plan import Limits, Plan
from .planning.planner import make_plan
from .run.folder import RunFolder
from .run.layout import Layout, file_label
from .run.record import begin_record, differences, recorded_plan, with_recorded_limits
from .run.result import Run, as_run
from .sound.background import Baseline
from .sound.stems import stems_facts, stems_notes
from .sound.windowed import measured_levels, sound_notes
from .stages.baseline import baselines
from .stages.context import RunContext
from .stages.forecast import expected_seconds


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A request for a run, without its folder.

    Attributes:
        image: the picture.
        options: the run's options.
        how: how the run is carried out.
        overwrite: whether it replaces another run.
        notes: lines for the run's record.
        load: loads the network, called with the options `network` and `weights`.
    """

    image: str | Path | PixelSource
    options: SonifyOptions
    how: HowToRun
    overwrite: bool = False
    notes: tuple[str, ...] = ()
    load: Callable[[str, str], Network] = load_network


def carry_out(request: RunRequest, folder: RunFolder, stopped: dict[str, Any] | None) -> Run:
    """Begin or resume a run, and carry it out.

    Args:
        request: the request.
        folder: the folder that it is worked on in.
        stopped: the journal of a stopped run in the folder; None: the run begins.

    Returns:
        The finished run.

    Raises:
        ChangedError: the run is resumed, and its files would differ.
        BudgetError: memory or disk space is too small; nothing has been decoded yet.
        Stopped: the run was asked to stop; what is finished is kept.
        NetsoundsError: another error that a user can fix.
    """
    if stopped is not None and not stopped["steps"]:
        stopped = None  # the stopped run has nothing to resume from
    with ExitStack() as stack:
        cluster = _connect(request.how, stack)
        machine.tune_heap()
        machine.forget_peak()
        progress = Stages(request.how.on_progress, stopped and stopped["seconds"])
        prepared = _prepare(request, folder, stopped, progress, on_cluster=cluster is not None)
        recorder = _Recorder(prepared, progress, cluster, stopped, overwrite=request.overwrite)
        recorder.notes += folder.notes
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
    """Connect to the run's cluster, if it has one; `stack` closes the connection."""
    if how.cluster is None:
        return None
    cluster = stack.enter_context(connected(how.cluster))
    cluster.require_same_versions()
    return ClusterRun(cluster=cluster, segment_rows=how.segment_rows or USUAL_ROWS)


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """Inputs of a run's plan.

    Attributes:
        picture: the picture's header.
        network: the network.
        banks: its banks.
        options: the run's options, with the numbers of all its banks.
        compute: device and precision of the network.
        gpu_budget: bytes of the GPU's memory that the run may use; None without a GPU.
    """

    picture: Picture
    network: Network
    banks: Banks
    options: SonifyOptions
    compute: Compute
    gpu_budget: int | None


@dataclass(frozen=True, kw_only=True)
class _Prepared(_Opened):
    """A run that is ready to be carried out.

    Attributes:
        plan: the run's plan.
        record: the run's record as it begins.
    """

    plan: Plan
    record: dict[str, Any]


def _open(
    request: RunRequest, folder: RunFolder, stopped: dict[str, Any] | None, progress: Stages
) -> _Opened:
    """Open the picture, choose the device, and load the network."""
    options = request.options
    picture = opened_picture(
        request.image,
        folder.path,
        progress,
        options,
        anew=request.overwrite and stopped is None,
        begun_with=None if stopped is None else stopped["record"]["picture"]["sha256"],
    )
    compute = choose_compute(options.device, options.precision)
    gpu_budget = reserve(compute.device, options.gpu_memory_bytes)
    with progress.stage("weights", 1, "share") as advance:
        network = request.load(options.network, options.weights)
        banks = network.banks(options.layers, prediction=options.predicts)
        advance(1)
    return _Opened(
        picture=picture,
        network=network,
        banks=banks,
        options=options.with_banks(banks),
        compute=compute,
        gpu_budget=gpu_budget,
    )


def _prepare(
    request: RunRequest,
    folder: RunFolder,
    stopped: dict[str, Any] | None,
    progress: Stages,
    *,
    on_cluster: bool,
) -> _Prepared:
    """Open picture and network, plan the run, and begin its record or compare it with a stopped run's.

    Raises:
        ChangedError: the run is resumed, and its files would differ.
        BudgetError: memory or disk space is too small.
    """
    opened = _open(request, folder, stopped, progress)
    picture = opened.picture
    options = opened.options
    compute = opened.compute
    if stopped is None:
        limits = limits_of(options, compute, folder.path, opened.gpu_budget, picture, remote=folder.remote)
        plan = make_plan(picture.source, options, limits, opened.banks, shared=on_cluster)
    else:
        plan = _stopped_plan(stopped["record"], options, compute)
    plan.check()
    if plan.preview_rows is not None:
        picture = replace(picture, head=(plan.time_axis, plan.preview_rows))
    request.how.on_plan(plan)
    if not on_cluster:  # the speed of a cluster is unknown
        progress.expect(expected_seconds(plan, options))
    if stopped is not None:
        picture = with_recorded_limits(picture, stopped["record"])
    picture = measured(picture, progress)
    look = _look_at(picture, opened.network, options, stopped, progress)
    record = begin_record(
        picture,
        look.digest,
        opened.network,
        options,
        plan,
        compute=compute,
        label=options.label or look.label,
        guesses=look.guesses,
        median_colour=look.median_colour,
        notes=request.notes,
    )
    if stopped is None:
        folder.clear()  # from here on nothing but the work itself can fail
    else:
        _require_unchanged(stopped["record"], record)
        record = stopped["record"]
    # the module has predicted the label, and is not needed any more
    known = {**vars(opened), "picture": picture, "network": replace(opened.network, module=None)}
    return _Prepared(**known, plan=plan, record=record)


@dataclass(frozen=True, kw_only=True)
class _Look:
    """A first look at the whole picture.

    Attributes:
        digest: SHA-256 of its bytes.
        guesses: the network's prediction, best first; none where a run is resumed.
        label: a word for the names of files.
        median_colour: its median, `[rgb]`; None where an older version began the run.
    """

    digest: str
    guesses: tuple[Guess, ...]
    label: str
    median_colour: Sequence[int] | None


def _look_at(
    picture: Picture,
    network: Network,
    options: SonifyOptions,
    stopped: dict[str, Any] | None,
    progress: Stages,
) -> _Look:
    """Look at the picture; a resumed run needs only the digest, and takes the colour from its record."""
    guesses: tuple[Guess, ...] = ()
    colour = None if stopped is None else stopped["record"]["picture"].get("median_colour")
    with progress.stage("label", 1, "share") as advance:
        if stopped is None:
            view = label_view(picture, network)
            colour = median_colour(view)
            guesses = predict_label(view, picture.full_scale, network, normalize=options.normalize)
        digest = picture.sha256()
        machine.trim_heap()
        advance(1)
    named = guesses and options.weights != UNTRAINED
    label = guesses[0].category if named else network.label
    return _Look(digest=digest, guesses=guesses, label=label, median_colour=colour)


def _require_unchanged(recorded: dict[str, Any], record: dict[str, Any]) -> None:
    """Check that a resumed run's files will be as they would have been.

    Args:
        recorded: the stopped run's record.
        record: the record that the run would begin with now.

    Raises:
        ChangedError: the files would differ.
    """
    changed = differences(recorded, record)
    if changed:
        raise ChangedError(
            "the stopped run cannot be resumed, since its files would differ: "
            f"{'; '.join(changed)}; restore that, or start again with --overwrite"
        )


def _stopped_plan(record: dict[str, Any], options: SonifyOptions, compute: Compute) -> Plan:
    """Return a stopped run's recorded plan, with the memory budget of this attempt."""
    budget = options.memory_bytes or machine.default_budget_bytes(compute.device)
    return replace(recorded_plan(record), budget_bytes=budget, free_disk_bytes=None)


def _context(
    request: RunRequest,
    prepared: _Prepared,
    folder: RunFolder,
    journal: Journal,
    progress: Stages,
    notes: list[str],
) -> RunContext:
    """Assemble the context of the run's stages, and note a preview."""
    options = prepared.options
    plan = prepared.plan
    record = prepared.record
    run = RunContext(
        picture=prepared.picture,
        network=prepared.network,
        options=options,
        plan=plan,
        compute=prepared.compute,
        record=record,
        layout=Layout(folder.path, file_label(record["label"]), options.sound.format),
        journal=journal,
        progress=progress,
        storage=folder.storage(journal),
        baselines=_baselines(prepared),
        notes=notes,
    )
    if options.sound.preview_s is not None:
        notes.append(
            f"a preview: the first {options.sound.preview_s:g} s, levelled by themselves, from "
            f"{plan.rows_along} of the picture's rows in time"
        )
    return run


def _baselines(prepared: _Prepared) -> dict[int, Baseline]:
    """Measure the responses to a picture without content, which the mix and the page leave out.

    Returns:
        Each bank's baseline, by its number; empty where there is neither a mix nor a report.
    """
    picture = prepared.picture
    options = prepared.options
    colour = prepared.record["picture"].get("median_colour")  # missing where an older version began the run
    if not (options.sound.mix or options.report) or colour is None:
        return {}
    with threads(1):  # the last bit may depend on the number of threads
        return baselines(
            prepared.network,
            prepared.banks,
            colour,
            picture.full_scale,
            picture.height,
            picture.width,
            normalize=options.normalize,
        )


class _Recorder:
    """A recorder of a run's times, memory, notes and results, over all of its attempts.

    Args:
        prepared: the run.
        progress: the run's progress.
        cluster: computes the run; None: this machine does.
        stopped: the journal of earlier attempts; None: this is the first.
        overwrite: whether the run replaces another.

    Attributes:
        content: the journal's content at the beginning of this attempt.
        notes: collects notes on what this attempt does otherwise than planned.
    """

    def __init__(
        self,
        prepared: _Prepared,
        progress: Stages,
        cluster: ClusterRun | None,
        stopped: dict[str, Any] | None,
        *,
        overwrite: bool,
    ) -> None:
        self._prepared = prepared
        self._progress = progress
        self._cluster = cluster
        self.content = stopped or {**new_journal(prepared.record), "overwrite": overwrite}
        self.content["starts"] += 1
        self._peak_before = self.content.get("peak_memory_bytes", 0)
        self._notes_before = self.content.get("notes", [])
        self.notes: list[str] = []

    def facts(self) -> dict[str, Any]:
        """Return the facts that every commit records besides states.

        Returns:
            Seconds by stage, peak memory in bytes, and notes, over all attempts.
        """
        return {
            "seconds": self._progress.so_far(),
            "peak_memory_bytes": max(self._peak_before, machine.peak_resident_bytes()),
            "notes": self._all_notes(),
        }

    def describe(self, run: RunContext, logits: Tensor | None) -> dict[str, Any]:
        """Describe the run by what is known of it so far.

        Args:
            run: the run.
            logits: the logits' average over the picture, float64 `[class]`; None if the network makes none.

        Returns:
            The content of the run's record, without its files and their checksums.
        """
        steps = run.journal.noted_steps
        sound = run.options.sound
        record = run.record
        levels = measured_levels(steps)
        stems = stems_facts(steps, sound)
        described = {
            **record,
            "prediction": {
                **record["prediction"],
                "full_picture": [asdict(guess) for guess in top5(logits, run.network.categories)],
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
        """Return the notes of all attempts, each once."""
        cluster_notes = [] if self._cluster is None else self._cluster.notes
        return list(dict.fromkeys([*self._notes_before, *self.notes, *cluster_notes]))


def limits_of(
    options: SonifyOptions,
    compute: Compute,
    folder: Path,
    gpu_budget: int | None,
    picture: Picture,
    *,
    remote: bool,
) -> Limits:
    """Determine a run's limits on this machine.

    Args:
        options: the run's options.
        compute: device and precision of the network.
        folder: the folder that it is worked on in.
        gpu_budget: bytes of the GPU's memory that the run may use; None without a GPU.
        picture: the picture.
        remote: whether the run will lie in an object store.

    Returns:
        Memory, disk space and threads that the planner counts with.
    """
    fetched = 0 if picture.url is None else picture.file_bytes
    return Limits(
        baseline_bytes=machine.resident_bytes() + picture.pending_bytes,
        budget_bytes=options.memory_bytes or machine.default_budget_bytes(compute.device),
        free_disk_bytes=machine.free_disk_bytes(folder) + (fetched if picture.path.exists() else 0),
        compute_bytes_per_value=compute.dtype.itemsize,
        # torch's MPS backend is not known to be safe with several threads
        threads=1 if compute.device == "mps" else torch.get_num_threads(),
        gpu_budget_bytes=gpu_budget,
        remote=remote,
        fetched_bytes=fetched,
    )
