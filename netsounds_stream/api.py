"""From a picture to a finished run: the public functions `plan`, `sonify`, `activations` and `resume`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from .base.device import reserve
from .base.journal import read_journal
from .base.locations import quoted
from .base.progress import Listener, Stages, Stop
from .base.units import parse_bytes
from .cluster.checks import check_cluster, check_seen_by_workers
from .engine import RunRequest, carry_out, limits_of
from .errors import PictureError, UnfinishedError
from .graph.layers import choose_banks
from .graph.usual import USUAL_NETWORK
from .network.compute import choose_compute
from .network.networks import Network, graph_of, load_network
from .picture.in_memory import PictureInput, PixelSource, pixel_source
from .picture.opening import download_folder, is_gone, opened_picture
from .planning.how_to_run import HowToRun
from .planning.keywords import NetworkKeywords, SonifyKeywords
from .planning.network_sizes import sizes_of
from .planning.options import (
    PRETRAINED,
    UNTRAINED,
    Codec,
    SonifyOptions,
    options_from_words,
    resolve_options,
    with_whole_paths,
)
from .planning.plan import Plan
from .planning.planner import make_plan
from .run.destinations import location_of, location_to_resume
from .run.folder import RunFolder
from .run.record import command_line, recorded_options, recorded_place
from .run.result import Run


def plan(
    image: PictureInput,
    out: str | Path = ".",
    options: SonifyOptions | None = None,
    *,
    work: Path | None = None,
    load: Callable[[str, str], Network] = load_network,
    **words: Unpack[SonifyKeywords],
) -> Plan:
    """Plan a run of `sonify` on this machine, without decoding the picture or writing a file.

    Args:
        image: the picture; see `sonify`. A picture at a URL is fetched, and not kept.
        out: folder or URL of the run; the plan counts the free space of its disk.
        options: options as a value; or give them by keyword.
        work: folder that a run to a URL is worked on in; see `sonify`.
        load: loads the network; see `sonify`.
        words: options by keyword, in place of `options`; see `SonifyKeywords`.

    Returns:
        Sizes, memory and disk space of the run. Its `check` raises where memory or disk space is too small.

    Raises:
        OptionError: an option or its value is unknown.
        PictureError: the picture cannot be read, or is too small.

    Example:
        >>> from netsounds_stream import plan
        >>> planned = plan("landscape.png", banks=(1, 4), weights="untrained")
        >>> planned.width, planned.height, planned.time_axis, planned.banks[1].shape
        (240, 160, 'x', (512, 9, 14))
    """
    options = resolve_options(options, words)
    with download_folder(image) as folder:
        picture = opened_picture(image, folder, Stages(), options)
    compute = choose_compute(options.device, options.precision)
    gpu_budget = reserve(compute.device, options.gpu_memory_bytes)
    pending = 0
    usual = options.network == USUAL_NETWORK
    by_graph = options.weights == PRETRAINED and ":" not in options.network
    if by_graph or (usual and options.weights != UNTRAINED):
        graph = graph_of(options.network)  # nothing is downloaded
        banks = choose_banks(graph, options.layers, prediction=options.predicts)
        if not usual:
            pending = 4 * sizes_of(banks, "y").weights
    else:  # load what a run loads, so that the baseline is a run's
        network = load(options.network, options.weights)
        banks = network.banks(options.layers, prediction=options.predicts)
    options = options.with_banks(banks)
    location = location_of(out, work)
    limits = limits_of(options, compute, location.disk, gpu_budget, picture, remote=location.remote)
    limits = replace(limits, baseline_bytes=limits.baseline_bytes + pending)
    return make_plan(picture.source, options, limits, banks)


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
    load: Callable[[str, str], Network] = load_network,
    **words: Unpack[SonifyKeywords],
) -> Run:
    """Turn a picture into stored activations and sound, in the folder `out`.

    The call sets, for the whole process, how glibc keeps freed memory and how much torch may hold on CUDA, so
    that the run stays within the planned memory.

    Args:
        image: the picture: a file, a URL, a numpy array or a PIL image.
            An array is uint8 or uint16, `[y, x]` (grey), `[y, x, 3]` (RGB) or `[y, x, 4]` (RGB and alpha). A
            contiguous array is not copied, so do not change it before the run ends. The EXIF orientation of a
            PIL image is applied, as that of a file is. The memory budget is the process's: it includes the
            array.
        out: folder of the run, empty or new, where it appears once it is complete; or a URL in an object
            store, such as s3://BUCKET/NAME.
        options: options as a value; or give them by keyword.
        overwrite: replace a finished or stopped run at `out`.
        resume: resume the run that was stopped at `out`; begin one where there is none. Picture and options
            must be the same; for a picture in memory, its pixels.
        work: folder that a run to a URL is worked on in. None: a temporary one.
        checkpoint_seconds: seconds between checkpoints. None: 8, more in long runs.
        stop: stops the run soon after `stop.ask()`, so that it can be resumed.
        on_plan: called with the plan before the work starts.
        on_progress: called with each report of progress, from any thread.
        notes: lines for the run's record.
        cluster: Dask cluster that computes the network: 'local', 'local:4', 'tcp://HOST:PORT' or
            'tls://HOST:PORT'. Its workers must see the picture and `out` (or `work`) by the same names.
        segment_rows: about how many rows of the picture a worker of the cluster gets at a time. None: 2048.
        load: loads the network, called with the options `network` and `weights`; give one that keeps it
            between runs.
        words: options by keyword, in place of `options`; see `SonifyKeywords`.

    Returns:
        The finished run.

    Raises:
        OptionError: an option or its value is unknown, or options contradict each other.
        PictureError: the picture cannot be read, or is too small.
        BudgetError: memory or disk space is too small; nothing has been decoded yet.
        OutputError: `out` holds something else, or cannot be written.
        Stopped: the run was asked to stop; what is finished is kept.
        NetsoundsError: another error that a user can fix; nothing at `out` has changed then.

    Example:
        >>> import numpy
        >>> from netsounds_stream import sonify
        >>> run = sonify("landscape.png", "sound", weights="untrained", banks=(4,), scheme="sum", duration=1)
        >>> run.mix.path.name, run.mix.seconds, run.array(4).shape
        ('mix.wav', 1.0, (512, 9, 14))
        >>> noise = numpy.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=numpy.uint8)
        >>> run = sonify(noise, "noise", weights="untrained", banks=(4,), mix=False, report=False)
        >>> run.record["picture"]["in_memory"]["shape"]
        [64, 96, 3]
    """
    options = with_whole_paths(resolve_options(options, words))  # a resume may come from another folder
    how = HowToRun(
        checkpoint_seconds=checkpoint_seconds,
        stop=stop,
        on_plan=on_plan,
        on_progress=on_progress,
        cluster=cluster,
        segment_rows=segment_rows,
        work=work,
    )
    check_cluster(how, options.device, out)
    check_seen_by_workers(how, image)
    picture = image if isinstance(image, str | Path) else pixel_source(image, options.reading)
    request = RunRequest(image=picture, options=options, how=how, overwrite=overwrite, notes=notes, load=load)
    with location_of(out, work).folder(overwrite=overwrite) as folder:
        if isinstance(picture, PixelSource):
            folder.resumed_by = f"sonify(picture, {str(out)!r}, resume=True)"
        folder.check(overwrite=overwrite)  # again: opening it may have published a run that was complete
        journal = read_journal(folder.path) if resume or not overwrite else None
        if journal is not None and journal["steps"] and not resume:
            raise UnfinishedError(
                f"{folder.place} holds a stopped run; use --resume to continue it, or --overwrite to start "
                "again"
            )
        return carry_out(request, folder, journal)


def activations(
    image: PictureInput,
    out: str | Path,
    *,
    codec: Codec = "lz4",
    overwrite: bool = False,
    resume: bool = False,
    on_progress: Listener | None = None,
    cluster: str | None = None,
    **words: Unpack[NetworkKeywords],
) -> Run:
    """Store layers of a network over a whole picture, without any sound, in the folder `out`.

    The folder is a zarr group with an array `[channel, y, x]` for each layer, in float16, and coordinates in
    the picture's pixels: `xarray.open_zarr(out)` opens all of them.

    Args:
        image: the picture; see `sonify`.
        out: folder or URL of the run; see `sonify`.
        codec: 'lz4', 'zstd', 'pcodec' or 'none'.
        overwrite: replace a finished or stopped run at `out`.
        resume: resume the run that was stopped at `out`; begin one where there is none.
        on_progress: called with each report of progress, from any thread.
        cluster: Dask cluster that computes the network; see `sonify`.
        words: options by keyword, `network`, `layers` and `memory` among them; see `NetworkKeywords`.

    Returns:
        The finished run. Its `array` is a layer as a zarr array, its `dataarray` as an xarray one, by the
        layer's name or its place among the layers, from 1 on.

    Raises:
        NetworkError: the network, or one of the layers, cannot be streamed.
        NetsoundsError: as `sonify`.

    Example:
        >>> from netsounds_stream import activations
        >>> run = activations("landscape.png", "features", weights="untrained", layers=["features.5"])
        >>> run.array("features.5").shape
        (256, 38, 58)
    """
    options = options_from_words(**words, codec=codec, scheme=(), mix=False, report=False)
    options = replace(options, label=options.network.rpartition(":")[2])
    return sonify(
        image,
        out,
        options,
        overwrite=overwrite,
        resume=resume,
        on_progress=on_progress,
        cluster=cluster,
    )


def _require_picture(request: RunRequest, opened: RunFolder) -> None:
    """Require that a stopped run's picture is where it was.

    Args:
        request: the run.
        opened: its folder, which is told the command that resumes the run from the picture's new place.

    Raises:
        PictureError: it is not.
    """
    if not isinstance(request.image, str) or not is_gone(request.image):
        return
    work = "" if request.how.work is None else f" --work {quoted(request.how.work)}"
    command = command_line("NEW", request.options)
    opened.resumed_by = f"{command} --out {quoted(opened.place)}{work} --resume"
    raise PictureError(
        f"the picture of this run is no longer at {request.image}; if it was moved, give its new place for "
        "NEW"
    )


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
    """Resume a stopped run from its last checkpoint; return a finished run as it is.

    Args:
        folder: folder or URL of the run: the `out` of `sonify`.
        memory: memory budget in place of the recorded one, in bytes or as text such as '800MiB'.
        work: the same as it was for `sonify`.
        checkpoint_seconds: see `sonify`.
        stop: see `sonify`.
        on_plan: see `sonify`.
        on_progress: see `sonify`.
        cluster: see `sonify`; needed where the run was begun with one and its network stage is unfinished.
        segment_rows: the same as it was for `sonify`.

    Returns:
        The finished run.

    Raises:
        OutputError: there is no stopped run; its picture was in memory (use `sonify` with `resume=True`); or
            picture, weights or versions have changed, so that the files would differ.
        Stopped: the run was asked to stop; what is finished is kept.
        NetsoundsError: another error that a user can fix, as `sonify` raises them.

    Example:
        >>> from netsounds_stream import resume
        >>> resume("landscape-netsounds").label
        'untrained'
    """
    location = location_to_resume(folder, work)
    journal = location.stopped()
    if journal is not None:
        image = recorded_place(journal["record"], str(folder))
        options = recorded_options(journal["record"])
        if memory is not None:
            budget = parse_bytes(memory) if isinstance(memory, str) else memory
            options = replace(options, memory_bytes=budget)
        how = HowToRun(
            checkpoint_seconds=checkpoint_seconds,
            stop=stop,
            on_plan=on_plan,
            on_progress=on_progress,
            cluster=cluster,
            segment_rows=segment_rows,
            work=work,
        )
        check_cluster(how, options.device, folder)
        request = RunRequest(image=image, options=options, how=how, overwrite=journal["overwrite"])
        with location.folder(overwrite=journal["overwrite"]) as opened:
            journal = read_journal(opened.path)
            if journal is not None:
                _require_picture(request, opened)
                return carry_out(request, opened, journal)
    return location.finished()
