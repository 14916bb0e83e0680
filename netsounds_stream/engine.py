"""The main job, from a picture to a finished run's folder: planned, begun or resumed, and carried out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .base import machine
from .base.device import out_of_memory, peak_bytes, reserve
from .base.journal import Journal, new_journal
from .base.pipeline import threads
from .base.progress import Listener, Stages, Stop
from .cluster.dask_cluster import connected
from .cluster.segment_merge import Shared
from .errors import ChangedError
from .execution import Execution
from .network.compute import Compute, choose_compute
from .network.label import Guess, label_view, median_colour, predict_label, top5
from .network.weights import UNTRAINED, Weights, load_weights
from .picture.in_memory import PixelSource
from .picture.opening import opened_picture
from .picture.picture import Picture
from .planning.options import SonifyOptions
from .planning.plan import Limits, Plan
from .planning.planner import make_plan
from .run.folder import RunFolder
from .run.record import begin_record, differences, recorded_plan
from .run.result import Run, as_run
from .sound.background import Baseline
from .sound.stems import stems_facts, stems_notes
from .sound.windowed import measured_levels, sound_notes
from .stages.baseline import baselines
from .stages.forecast import expected_seconds


@dataclass(frozen=True)
class Beginning:
    """What a run is asked for, besides its picture and folder; `run` carries it out there."""

    options: SonifyOptions
    checkpoint_seconds: float | None
    stop: Stop | None
    on_plan: Callable[[Plan], None]
    on_progress: Listener | None
    cluster: str | None
    segment_rows: int
    load: Callable[[str], Weights] = load_weights

    def run(
        self,
        image: str | Path | PixelSource,
        folder: RunFolder,
        left: dict[str, Any] | None,
        *,
        overwrite: bool,
        notes: tuple[str, ...],
    ) -> Run:
        """Carry out the run in `folder`, from its beginning or from what is `left` of it there."""
        with ExitStack() as stack:
            shared = None
            if self.cluster is not None:
                cluster = stack.enter_context(connected(self.cluster))
                cluster.require_same_versions()
                shared = Shared(cluster, self.segment_rows)
            return self._run(image, folder, left, shared, overwrite=overwrite, notes=notes)

    def _run(
        self,
        image: str | Path | PixelSource,
        folder: RunFolder,
        left: dict[str, Any] | None,
        shared: Shared | None,
        *,
        overwrite: bool,
        notes: tuple[str, ...],
    ) -> Run:
        options = self.options
        if left is not None and not left["steps"]:
            left = None  # it had done nothing yet
        machine.tune_heap()
        machine.forget_peak()
        stages = Stages(self.on_progress, left and left["seconds"])
        picture = opened_picture(image, folder.path, stages, options)
        compute = choose_compute(options.device, options.precision)
        gpu_budget = reserve(compute.device, options.gpu_memory_bytes)
        with stages.stage("weights", 1, "share") as advance:
            weights = self.load(options.weights)
            advance(1)
        if left is None:
            limits = limits_of(options, compute, folder.path, gpu_budget, picture, remote=folder.remote)
            planned = make_plan(picture.source, options, limits, shared=shared is not None)
        else:
            planned = _plan_left(left["record"], options)
        planned.check()
        if planned.preview_rows is not None:
            picture = replace(picture, head=(planned.time_axis, planned.preview_rows))
        self.on_plan(planned)
        if shared is None:  # nobody knows how fast a cluster is
            stages.expect(expected_seconds(planned, options))
        guesses: tuple[Guess, ...] = ()
        colour = None if left is None else left["record"]["picture"].get("median_colour")
        with stages.stage("label", 1, "share") as advance:
            if left is None:
                view = label_view(picture)
                colour = median_colour(view)
                guesses = predict_label(view, picture.full_scale, weights, normalize=options.normalize)
            digest = picture.sha256()
            machine.trim_heap()
            advance(1)
        seen = guesses[0].category if guesses and options.weights != UNTRAINED else UNTRAINED
        label = options.label or seen
        record = begin_record(
            picture, digest, weights, options, planned, compute, label, guesses, colour, notes
        )
        if left is not None:
            changed = differences(left["record"], record)
            if changed:
                raise ChangedError(
                    "the stopped run cannot be resumed, since its files would differ: "
                    f"{'; '.join(changed)}; restore that, or start again with --overwrite"
                )
            record = left["record"]
        else:
            folder.clear()  # now that nothing but the work itself can fail
        content = left or {**new_journal(record), "overwrite": overwrite}
        content["starts"] += 1
        peak, noted = content.get("peak_memory_bytes", 0), content.get("notes", [])
        notes_now: list[str] = []

        def notes_so_far() -> list[str]:
            of_workers = [] if shared is None else shared.notes
            return list(dict.fromkeys([*noted, *notes_now, *of_workers]))  # some may be noted already

        def facts() -> dict[str, Any]:
            return {
                "seconds": stages.so_far(),
                "peak_memory_bytes": max(peak, machine.peak_resident_bytes()),
                "notes": notes_so_far(),
            }

        def described(logits: Tensor) -> dict[str, Any]:
            levels = measured_levels(journal.noted_steps)
            stems = stems_facts(journal.noted_steps, options.sound)
            loudest = {} if options.sound.top is None else {"sounding": execution.sounding()}
            full = [asdict(guess) for guess in top5(logits)]
            return {
                **record,
                "prediction": {**record["prediction"], "full_picture": full},
                **facts(),
                "seconds": {name: round(seconds, 3) for name, seconds in stages.so_far().items()},
                "cuda_peak_bytes": peak_bytes(compute.device),
                "notes": [
                    *record["notes"],
                    *notes_so_far(),
                    *sound_notes(levels, options.sound),
                    *stems_notes(stems),
                ],
                "levels": levels,
                **stems,
                **loudest,
                **({} if shared is None else {"cluster": shared.facts()}),
                "starts": content["starts"],
                "overwrite": content["overwrite"],
            }

        journal = Journal(
            folder.path, content, stop=self.stop, every_seconds=self.checkpoint_seconds, facts=facts
        )
        journal.write()
        storage = folder.storage(journal)
        execution = Execution(
            picture,
            weights,
            options,
            planned,
            compute,
            record,
            folder.path,
            journal,
            stages,
            notes_now,
            shared,
            storage,
            _baselines(weights, record, options, picture),
        )
        if options.sound.preview_s is not None:
            notes_now.append(
                f"a preview: the first {options.sound.preview_s:g} s, levelled by themselves, from "
                f"{planned.rows_along} of the picture's rows in time"
            )
        try:
            with (self.stop or Stop()).observed():
                logits = execution.run(described)
        except torch.OutOfMemoryError as error:
            raise out_of_memory(gpu_budget) from error
        done = {
            **described(logits),
            **folder.contents(journal.content["checksums"], arrays=options.activations),
        }
        return as_run(folder.given, folder.finish(done))


def _baselines(
    weights: Weights, record: dict[str, Any], options: SonifyOptions, picture: Picture
) -> dict[int, Baseline]:
    """What the mix leaves out, by bank; nothing where there is no mix."""
    colour = record["picture"].get("median_colour")  # runs begun by an older version have none
    if not options.sound.mix or colour is None:
        return {}
    with threads(1):  # a last bit may depend on how many there are
        return baselines(
            weights,
            colour,
            picture.full_scale,
            picture.height,
            picture.width,
            normalize=options.normalize,
        )


def _plan_left(record: dict[str, Any], options: SonifyOptions) -> Plan:
    """Return the plan that a stopped run was begun with, with the memory budget of now."""
    budget = options.memory_bytes or machine.default_budget_bytes()
    return replace(recorded_plan(record), budget_bytes=budget, free_disk_bytes=None)


def limits_of(
    options: SonifyOptions,
    compute: Compute,
    folder: Path,
    gpu_budget: int | None,
    picture: Picture,
    *,
    remote: bool,
) -> Limits:
    """Return what a run made in `folder`, or in an object store from there, may use."""
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
