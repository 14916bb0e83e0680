"""Every size decision of a run, before a pixel is decoded: pure functions of integers.

The code that acts (engine, store, sound) receives a finished `Plan` and decides nothing. Neither torch nor
libvips nor a disk is needed here.

Peak memory is the interpreter with its libraries (measured by the caller, `Limits.baseline_bytes`), plus the
largest of the stages. The network's stage holds one band a worker, the picture's slabs, and for each bank the
shard that is being filled and those on their way to the disk. The sound's stage holds a block of samples a
worker. The factors are upper bounds of measurements on real runs; the tests hold measured <= planned.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from ..errors import PictureError
from ..graph.geometry import Places, period, places
from ..graph.layers import Banks
from ..graph.usual import usual_banks
from .memory import shards_bytes, widest_bytes
from .options import SonifyOptions
from .plan import MIB, STORED_MEMORY, STORED_SPOOL, STORED_STREAM, Limits, Plan, Source
from .requirements import Choice, PlanRequest, disk_of, memory_of, products_of, spool_bytes

# Band heights that are tried, best first. Bands of 32 to 64 rows are fastest as long as the widest activation
# stays in the last-level cache.
_BAND_ROWS = (64, 32, 16, 8, 4)
_GPU_BAND_ROWS = (512, 256, 128, 64, 32, 16, 8)
# Every band and every chunk costs some Python, so a narrow picture's are longer: a band has about as many
# pixels as one of 64 rows of this length. But a short picture needs some bands for workers to overlap, and
# a cluster some shards to share out.
_USUAL_ACROSS = 1024
_LEAST_BANDS = 24
_WIDEST_ACTIVATION_BYTES = 16 * MIB
# Frames in a shard and values in a block of sound that are tried, best first. Longer shards are written and
# read faster, by a tenth or so from 32 frames to 64; but beyond `_SHARDS_BYTES` in all, less memory is
# better.
_SHARDS_AND_BLOCKS = ((64, 1 << 20), (48, 1 << 20), (32, 1 << 20), (16, 1 << 19), (8, 1 << 18))
_SHORTEST_SHARD = _SHARDS_AND_BLOCKS[-1][0]
_SHARDS_BYTES = 176 * MIB
_WORKERS = 4
# A picture up to this size is decoded into memory, a larger one to a temporary file.
_MEMORY_PICTURE_BYTES = 64 * MIB


def split_threads(threads: int) -> tuple[int, int]:
    """Divide threads among workers.

    Workers of one thread each lose no time waiting for other threads at the end of every operation. But each
    worker holds a band of its own, and the first layer, a fifth of the work, takes one band at a time: beyond
    four workers they would wait for it.

    Returns:
        The number of workers, and the threads that each uses inside an operation. Their product may be less
        than `threads`, as 4 for 7.
    """
    workers = min(threads, _WORKERS)
    return workers, threads // workers


def make_plan(
    source: Source,
    options: SonifyOptions,
    limits: Limits,
    banks: Banks | None = None,
    *,
    shared: bool = False,
) -> Plan:
    """Choose the fastest plan within the budget.

    Args:
        source: the picture.
        options: what to make of it.
        limits: what the machine allows.
        banks: the network's banks, among them all that the options name; None: the usual network's.
        shared: whether the plan is for a cluster. Then the picture is always spooled, so that every worker
            can read any part of it, and there is disk space for the segments' results.

    Returns:
        The plan. If none fits the budget, the one that needs the least memory; `Plan.check` refuses it.

    Raises:
        PictureError: the picture is too small for the network, or has more pixels than allowed.
    """
    banks = banks or usual_banks()
    _check_picture(source, options, banks)
    request = PlanRequest(source=source, options=options, limits=limits, banks=banks, shared=shared)
    smallest: Plan | None = None
    for choice in _choices(request):
        plan = _plan(request, choice)
        if _is_lavish(plan, choice, request):
            continue
        if _fits(plan):
            return plan
        if smallest is None or plan.peak_memory_bytes < smallest.peak_memory_bytes:
            smallest = plan
    assert smallest is not None
    return smallest


def _check_picture(source: Source, options: SonifyOptions, banks: Banks) -> None:
    pixels = max(source.file_pixels, source.height * source.width)
    if options.max_pixels is not None and pixels > options.max_pixels:
        raise PictureError(
            f"{source.name} has {pixels} pixels and --max-pixels allows {options.max_pixels}; raise it if "
            f"you trust the file, or give a smaller picture"
        )
    smallest = banks.smallest_side
    if min(source.height, source.width) < smallest:
        raise PictureError(
            f"{source.name} is {source.width} x {source.height} pixels and the network needs at least "
            f"{smallest} x {smallest}; use a larger one, or --size to enlarge it"
        )


def _fits(plan: Plan) -> bool:
    gpu_fits = plan.gpu_memory_bytes <= (plan.gpu_budget_bytes or 0)
    return plan.peak_memory_bytes <= plan.budget_bytes and gpu_fits


def _is_lavish(plan: Plan, choice: Choice, request: PlanRequest) -> bool:
    """Return whether shorter shards would save much memory at little cost in speed."""
    if not plan.stored or choice.shard_frames == _SHORTEST_SHARD * _lengthening(request):
        return False
    return (
        shards_bytes(request.sizes, plan.banks, plan.workers, plan.band_rows * request.across) > _SHARDS_BYTES
    )


def _choices(request: PlanRequest) -> Iterator[Choice]:
    """Yield the combinations to try, best first.

    Shards are shortened before bands, because that costs less speed. Fewer workers, of more threads each, are
    tried only when bands of every height take too much memory.
    """
    most_workers, _ = split_threads(request.limits.threads)
    longer = _lengthening(request)
    for workers, rows, (frames, block), stored in product(
        range(most_workers, 0, -1), _band_heights(request), _SHARDS_AND_BLOCKS, _picture_choices(request)
    ):
        yield Choice(
            workers=workers,
            band_rows=rows * longer,
            shard_frames=frames * longer,
            block_values=block,
            picture_stored=stored,
        )


def _lengthening(request: PlanRequest) -> int:
    """Choose how many times longer bands and shards are than in a wide picture.

    Returns:
        1 from `_USUAL_ACROSS` / 2 pixels across on, otherwise a power of 2.
    """
    usual = _BAND_ROWS[0]
    longer = 1
    while (
        2 * longer * request.across <= _USUAL_ACROSS
        and 2 * longer * usual * _LEAST_BANDS <= request.preview_rows
    ):
        longer *= 2
    return longer


def _band_heights(request: PlanRequest) -> tuple[int, ...]:
    """List the heights of bands to try: on a CPU those whose widest activation stays in the cache.

    In a narrow picture `_lengthening` multiplies them.
    """
    if request.limits.gpu_budget_bytes is not None:
        return _GPU_BAND_ROWS
    row = widest_bytes(request.sizes, 1, request.across, request.limits.compute_bytes_per_value)
    return tuple(
        rows
        for rows in _BAND_ROWS
        if rows * row <= _WIDEST_ACTIVATION_BYTES * (2 if rows <= 16 else 1) or rows <= 8
    )


def _picture_choices(request: PlanRequest) -> tuple[str, ...]:
    """List the ways to keep the decoded picture that are worth trying, best first."""
    source = request.source
    if request.shared:
        return (STORED_SPOOL,)
    if source.in_memory or (source.rows_in_order and request.axis == "y"):
        return (STORED_STREAM,)
    if source.height * source.width * source.bytes_per_pixel <= _MEMORY_PICTURE_BYTES:
        return (STORED_MEMORY, STORED_SPOOL)
    return (STORED_SPOOL,)


def _plan(request: PlanRequest, choice: Choice) -> Plan:
    """Work out the plan that follows from a choice, whether it fits the limits or not."""
    limits = request.limits
    products = products_of(request, choice)
    memory = memory_of(request, choice, products)
    disk = disk_of(request, choice, products)
    return Plan(
        height=request.source.height,
        width=request.source.width,
        preview_rows=None if request.options.sound.preview_s is None else products.rows,
        time_axis=request.axis,
        workers=choice.workers,
        threads_each=limits.threads // choice.workers,
        band_rows=choice.band_rows,
        slab_rows=choice.slab_rows,
        widest_bytes=widest_bytes(
            request.sizes, choice.band_rows, request.across, limits.compute_bytes_per_value
        ),
        picture_stored=choice.picture_stored,
        spool_bytes=spool_bytes(request, choice, products.rows),
        stored=request.options.stored,
        block_values=choice.block_values,
        banks=products.banks,
        network=request.banks.graph.name,
        multiplications=request.sizes.multiplications,
        network_stride=period(request.banks.graph),
        classified=_classified(request),
        stft=products.stft,
        mix=products.mix,
        stems=products.stems,
        parts=products.parts,
        sum_maps=request.options.maps,
        forward_memory_bytes=memory.forward,
        sound_memory_bytes=memory.sound,
        report_memory_bytes=memory.report,
        report_workers=memory.report_workers,
        gpu_memory_bytes=memory.gpu,
        gpu_budget_bytes=limits.gpu_budget_bytes,
        budget_bytes=limits.budget_bytes,
        disk_bytes=disk.peak,
        final_disk_bytes=disk.final,
        free_disk_bytes=limits.free_disk_bytes,
        remote_bytes=disk.remote,
        baseline_bytes=limits.baseline_bytes,
        measured_pixels=request.source.file_pixels if request.source.measured else 0,
        notes=request.source.notes,
        scale=None if products.stft is None else request.options.sound.notes,
        equal_loudness=products.stft is not None and request.options.sound.equal_loudness,
    )


def _classified(request: PlanRequest) -> Places | None:
    """Return where the values lie whose mean is the prediction."""
    graph = request.banks.graph
    return None if graph.mean is None else places(graph, request.axis)[graph.mean]


def sound_block_channels(
    plan_block_values: int, frames_per_shard: int, frequencies: int, channels: int
) -> int:
    """Return how many filters to read from the store at a time.

    Args:
        plan_block_values: values that a block should hold, about.
        frames_per_shard: frames in one file of the store.
        frequencies: values in a frame.
        channels: filters of the bank.

    Returns:
        1 to `channels` filters.
    """
    return max(1, min(channels, plan_block_values // (frames_per_shard * frequencies)))
