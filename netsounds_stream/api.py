"""What people call, from a picture to a finished run: `plan`, `sonify`, `resume`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Unpack

from .destinations import (
    check_seen_by_workers,
    check_shared_work,
    finished_elsewhere,
    opened_picture,
    run_folder,
    worked_in,
)
from .device import reserve
from .engine import Beginning, limits_of
from .errors import OutputError, UnfinishedError
from .folder import RECORD_NAME, RunFolder, out_path, read_record, resolved, work_path
from .forward import choose_compute
from .in_memory import PictureInput
from .journal import read_journal
from .keywords import SonifyKeywords
from .locations import is_url
from .options import SonifyOptions, parse_bytes, resolve_options
from .planning import make_plan
from .plans import Plan
from .progress import Listener, Stages
from .record import recorded_options, recorded_place
from .runs import Run, as_run
from .segment_merge import check_shared
from .stopping import Stop
from .weights import PRETRAINED, UNTRAINED, Weights, load_weights


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
    return make_plan(picture.source, options, limits_of(options, compute, where, gpu_budget, picture, out))


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
    beginning = Beginning(options, checkpoint_seconds, stop, on_plan, on_progress, *shared, load)
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
        beginning = Beginning(options, checkpoint_seconds, stop, on_plan, on_progress, *shared)
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
