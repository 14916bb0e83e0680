"""The main job, from a picture to a run's folder: `plan`, `sonify`, `resume`, `render` as users call them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Unpack

import torch
from torch import Tensor

from . import machine
from .clusters import connected
from .destinations import (
    check_seen_by_workers,
    check_shared_work,
    finished_elsewhere,
    opened_picture,
    run_folder,
    worked_in,
)
from .device import out_of_memory, peak_bytes, reserve
from .errors import ChangedError, OutputError, UnfinishedError
from .execution import Execution
from .folder import (
    RECORD_NAME,
    RunFolder,
    out_path,
    read_record,
    resolved,
    work_path,
)
from .forward import Compute, choose_compute
from .in_memory import PictureInput
from .journal import Journal, new_journal, read_journal
from .keywords import SonifyKeywords
from .locations import is_url
from .options import SonifyOptions, parse_bytes, resolve_options
from .picture import Picture
from .planning import make_plan
from .plans import Limits, Plan
from .predict import Guess, predict_label, top5
from .progress import Listener, Stages
from .record import begin_record, differences, recorded_options, recorded_place, recorded_plan
from .runs import Run, as_run
from .segment_merge import Shared, check_shared
from .stopping import Stop
from .weights import PRETRAINED, UNTRAINED, Weights, load_weights
from .windowed import measured_levels, sound_notes


def plan(
    image: PictureInput,
    out: str | Path = ".",
    options: SonifyOptions | None = None,
    *,
    work: Path | None = None,
    load: Callable[[str], Weights] = load_weights,
    **words: Unpack[SonifyKeywords],
) -> Plan:
    """What `sonify` would do with this picture here, without decoding a pixel; options as there.

    Args:
        image: the picture's file, of which the header is read. A picture at a URL is fetched for that, and
            not kept.
        out: where the run would be: the disk there is what must hold it.
        work: as for `sonify`.
        options: what would be asked for; or give it by `words`.
        load: as for `sonify`.
        words: options by the command line's words.

    Raises:
        PictureError: it cannot be read, or is too small.
    """
    options = resolve_options(options, words)
    with TemporaryDirectory() as folder:
        picture = opened_picture(image, Path(folder), Stages(), options)
    compute = choose_compute(options.device, options.precision)
    gpu_budget = reserve(compute.device, options.gpu_memory_bytes)
    if options.weights == UNTRAINED:  # load what a run loads, so that the baseline is a run's
        load(UNTRAINED)
    where = worked_in(out, work)
    return make_plan(picture.source, options, _limits(options, compute, where, gpu_budget, picture, out))


def sonify(
    image: PictureInput,
    out: str | Path,
    options: SonifyOptions | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    work: Path | None = None,
    checkpoint_seconds: float | None = None,
    stop: Stop | None = None,
    on_plan: Callable[[Plan], None] = lambda plan: None,
    on_progress: Listener | None = None,
    notes: tuple[str, ...] = (),
    cluster: str | None = None,
    segment_rows: int | None = None,
    load: Callable[[str], Weights] = load_weights,
    **words: Unpack[SonifyKeywords],
) -> Run:
    """Turn a picture into stored activations and sound, in the folder `out`.

    For the whole process, to hold the memory that was planned: sets how glibc's allocator keeps freed memory,
    and on CUDA how much torch may hold there.

    Args:
        image: the picture's file, or its URL.
        out: a folder that is empty or not there; it appears when all of it is whole. Or a URL in an object
            store, as s3://BUCKET/NAME.
        work: with such a URL, the folder that the run is worked in; None: one for temporary files.
        options: what is asked for; or give it by `words`.
        overwrite: replace a run at `out`, and one that was stopped there.
        resume: go on with a run that was stopped there; begin where there is none.
        checkpoint_seconds: how often what is finished is made durable; None: 8 s, less often in long runs.
        stop: asked, the run is put down soon, so that it can be resumed.
        on_plan: called with the plan before the work starts.
        on_progress: called as the work goes on, from any thread.
        notes: said to the user before, to be kept in the record (a fallback, say).
        cluster: a Dask cluster that the network's stage is shared out to: 'local', 'local:4', 'tcp://HOST:PORT'
            or 'tls://HOST:PORT'. All its workers must see `out`, or with a URL for it `work`, by that name.
        segment_rows: of the picture, about, that a worker gets at a time; None: 2048.
        load: gives the weights by their source, as `load_weights` does, which reads them each time.
        words: options by the command line's words, as in
            `sonify("a.jpg", "out", size=512, banks=(1, 2), scheme="sum", memory="800MiB")`.

    Raises:
        Stopped: `stop` was asked; what is finished is kept.
        NetsoundsError: one of its other kinds; nothing at `out` has changed then.
    """
    options = resolve_options(options, words)
    if options.weights not in (PRETRAINED, UNTRAINED):  # a resume may come from another folder
        options = replace(options, weights=str(Path(options.weights).absolute()))
    shared = check_shared(options.device, cluster, segment_rows)
    check_shared_work(cluster, out, work)
    check_seen_by_workers(cluster, image)
    beginning = _Beginning(options, checkpoint_seconds, stop, on_plan, on_progress, *shared, load)
    with run_folder(out, work, overwrite=overwrite) as folder:
        folder.check(overwrite=overwrite)  # again: it may have been found whole, and put there
        left = read_journal(folder.path) if resume or not overwrite else None
        if left is not None and left["steps"] and not resume:
            raise UnfinishedError(
                f"{folder.given} was begun before and stopped; use --resume to go on with it, or --overwrite "
                f"to begin afresh"
            )
        return beginning.run(image, folder, left, overwrite=overwrite, notes=notes)


def resume(
    folder: str | Path,
    *,
    memory: str | int | None = None,
    work: Path | None = None,
    checkpoint_seconds: float | None = None,
    stop: Stop | None = None,
    on_plan: Callable[[Plan], None] = lambda plan: None,
    on_progress: Listener | None = None,
    cluster: str | None = None,
    segment_rows: int | None = None,
) -> Run:
    """Go on with the run that was stopped before it became `folder`; see `sonify`.

    A finished run is returned as it is.

    Args:
        folder: the `out` of the run that was stopped.
        memory: a budget in the place of the one it was begun with, as '800MiB' or bytes.
        work: as it was for `sonify`.
        checkpoint_seconds: as for `sonify`.
        stop: as for `sonify`.
        on_plan: as for `sonify`.
        on_progress: as for `sonify`.
        cluster: as for `sonify`: where the run was begun with one and the network was not through.
        segment_rows: as for `sonify`, and as it was begun.

    Raises:
        OutputError: there is nothing to go on with, or what decides the bytes is not as it was.
    """
    away = is_url(folder)
    out = out_path(worked_in(folder, work) / "run" if away else Path(folder))
    left = read_journal(work_path(out))
    if left is not None:
        options = recorded_options(left["record"])
        if memory is not None:
            budget = parse_bytes(memory) if isinstance(memory, str) else memory
            options = replace(options, memory_bytes=budget)
        shared = check_shared(options.device, cluster, segment_rows)
        check_shared_work(cluster, folder, work)
        beginning = _Beginning(options, checkpoint_seconds, stop, on_plan, on_progress, *shared)
        given = folder if away or resolved(Path(folder)) == out else out
        with run_folder(given, work, overwrite=left["overwrite"]) as at:
            left = read_journal(at.path)
            if left is not None:
                image = recorded_place(left["record"], str(given))
                return beginning.run(image, at, left, overwrite=left["overwrite"], notes=())
    elif not away and (whole := read_record(work_path(out) / RECORD_NAME)) is not None:
        with RunFolder(out, overwrite=bool(whole.get("overwrite"))):
            pass  # puts a run in its place that was whole but for that
    if away:
        return finished_elsewhere(str(folder), work)
    record = read_record(out / RECORD_NAME)
    if record is None:
        raise OutputError(f"no run was begun at {folder}; begin one with: netsounds-stream sonify PICTURE")
    return as_run(out, record)


@dataclass(frozen=True)
class _Beginning:
    """What `sonify` and `resume` are asked, besides the folder."""

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
        image: PictureInput,
        folder: RunFolder,
        left: dict[str, Any] | None,
        *,
        overwrite: bool,
        notes: tuple[str, ...],
    ) -> Run:
        """Carry the run out in `folder`, from its beginning or from what is `left` of it there."""
        with ExitStack() as stack:
            shared = None
            if self.cluster is not None:
                cluster = stack.enter_context(connected(self.cluster))
                cluster.require_same_versions()
                shared = Shared(cluster, self.segment_rows)
            return self._run(image, folder, left, shared, overwrite=overwrite, notes=notes)

    def _run(
        self,
        image: PictureInput,
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
        if picture.pixels is not None:
            folder.resumed_by = f"sonify(picture, {str(folder.given)!r}, resume=True)"
        compute = choose_compute(options.device, options.precision)
        gpu_budget = reserve(compute.device, options.gpu_memory_bytes)
        with stages.stage("weights", 1, "share") as advance:
            weights = self.load(options.weights)
            advance(1)
        if left is None:
            limits = _limits(options, compute, folder.path, gpu_budget, picture, folder.given)
            planned = make_plan(picture.source, options, limits, shared=shared is not None)
        else:
            planned = _plan_left(left["record"], options)
        planned.check()
        if planned.preview_rows is not None:
            picture = replace(picture, head=(planned.time_axis, planned.preview_rows))
        self.on_plan(planned)
        guesses: tuple[Guess, ...] = ()
        with stages.stage("label", 1, "share") as advance:
            if left is None:
                guesses = predict_label(picture, weights, normalize=options.normalize)
            digest = picture.sha256()
            machine.trim_heap()
            advance(1)
        seen = guesses[0].category if guesses and options.weights != UNTRAINED else UNTRAINED
        label = options.label or seen
        record = begin_record(picture, digest, weights, options, planned, compute, label, guesses, notes)
        if left is not None:
            changed = differences(left["record"], record)
            if changed:
                raise ChangedError(
                    f"the stopped run cannot be gone on with, for its bytes would differ: "
                    f"{'; '.join(changed)}; put that back, or begin afresh with --overwrite"
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
            loudest = {} if options.sound.top is None else {"sounding": execution.sounding()}
            full = [asdict(guess) for guess in top5(logits)]
            return {
                **record,
                "prediction": {**record["prediction"], "full_picture": full},
                **facts(),
                "seconds": {name: round(seconds, 3) for name, seconds in stages.so_far().items()},
                "cuda_peak_bytes": peak_bytes(compute.device),
                "notes": [*record["notes"], *notes_so_far(), *sound_notes(levels, options.sound)],
                "levels": levels,
                **loudest,
                **({} if shared is None else {"cluster": shared.facts()}),
                "starts": content["starts"],
                "overwrite": content["overwrite"],
            }

        journal = Journal(
            folder.path, content, stop=self.stop, every_seconds=self.checkpoint_seconds, facts=facts
        )
        journal.write()
        depot = folder.depot(journal)
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
            depot,
        )
        if options.sound.preview_s is not None:
            notes_now.append(
                f"a preview: the first {options.sound.preview_s:g} s, levelled by themselves, from "
                f"{planned.rows_along} of the picture's rows in time"
            )
        try:
            with (self.stop or Stop()).heeded():
                logits = execution.run(described)
        except torch.OutOfMemoryError as error:
            raise out_of_memory(gpu_budget) from error
        done = {
            **described(logits),
            **folder.contents(journal.content["checksums"], arrays=options.activations),
        }
        return as_run(folder.given, folder.finish(done))


def _plan_left(record: dict[str, Any], options: SonifyOptions) -> Plan:
    """The plan that a stopped run was begun with, against the memory that may be used now."""
    budget = options.memory_bytes or machine.default_budget_bytes()
    return replace(recorded_plan(record), budget_bytes=budget, free_disk_bytes=None)


def _limits(
    options: SonifyOptions,
    compute: Compute,
    folder: Path,
    gpu_budget: int | None,
    picture: Picture,
    out: str | Path,
) -> Limits:
    """What a run to `out`, worked on in `folder`, may use."""
    fetched = 0 if picture.url is None else picture.file_bytes
    return Limits(
        baseline_bytes=machine.resident_bytes() + picture.pending_bytes,
        budget_bytes=options.memory_bytes or machine.default_budget_bytes(),
        free_disk_bytes=machine.free_disk_bytes(folder) + (fetched if picture.path.exists() else 0),
        compute_bytes_per_value=compute.dtype.itemsize,
        # torch's MPS backend is not known to stand several threads
        threads=1 if compute.device == "mps" else torch.get_num_threads(),
        gpu_budget_bytes=gpu_budget,
        remote=is_url(out),
        fetched_bytes=fetched,
    )
