"""Every size decision of a run, before a pixel is decoded: pure functions of integers.

What acts (engine, store, sound) receives a finished `Plan` and decides nothing. Neither torch nor libvips
nor a disk is needed here.

Peak memory is the interpreter with its libraries (measured by the caller, `Limits.baseline_bytes`), plus
the larger of two stages. The forward stage holds the stream's bands, one a worker, the picture's slabs, and
of each bank the shard that fills and what is on its way to the disk. The sound stage holds a block of
samples a worker. The factors are upper bounds of what was measured on real runs; the tests hold
measured <= planned.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from ..errors import PictureError
from .geometry import SMALLEST_SIDE, bank, bank_length
from .memory import (
    FINISHING_BYTES,
    OVERVIEW_BYTES,
    REPORT_DISK_BYTES,
    fetching_bytes,
    gpu_stream_bytes,
    overview_disk_bytes,
    picture_bytes,
    putting_bytes,
    report_bytes,
    segments_disk_bytes,
    single_file_bytes,
    sound_bytes,
    spectra_bytes,
    staging_bytes,
    state_bytes,
    store_bytes,
    stream_bytes,
    widest_bytes,
    windowed_bytes,
)
from .options import SonifyOptions
from .plan import (
    MIB,
    SPOOL_TILE,
    STORED_MEMORY,
    STORED_SPOOL,
    STORED_STREAM,
    AudioPlan,
    BankPlan,
    Limits,
    Plan,
    Source,
    Stft,
)
from .sound_plan import audio_plan, parts_plan, preview_rows, stems_plan, stft_plan

# Band heights and frames a shard that are tried, best first. Bands of 32 to 64 rows are fastest as long
# as the widest activation stays in the last-level cache. Longer shards are written and read faster, by a
# tenth or so from 32 frames to 64; past `_STORE_BYTES` in all, frugality is worth more.
_BAND_ROWS = (64, 32, 16, 8, 4)
_GPU_BAND_ROWS = (512, 256, 128, 64, 32, 16, 8)
_SHARD_FRAMES = (64, 48, 32, 16, 8)
_STORE_BYTES = 192 * MIB
_WIDEST_ACTIVATION_BYTES = 16 * MIB
_WORKERS = 4
# A picture is decoded into memory, not to a temporary file, up to this size.
_MEMORY_PICTURE_BYTES = 64 * MIB
# Values worked on at a time when activations become sound.
_BLOCK_VALUES = (1 << 20, 1 << 20, 1 << 20, 1 << 19, 1 << 18)

# Bytes on disk for a byte of float16 activations, by codec and bank: measured on real photographs with
# trained weights, rounded up. `benchmarks/codecs.py` prints them.
_STORED_SHARE = {
    "zstd": {1: 0.60, 2: 0.48, 3: 0.20, 4: 0.24},
    "lz4": {1: 0.82, 2: 0.64, 3: 0.30, 4: 0.36},
    "pcodec": {1: 0.52, 2: 0.42, 3: 0.18, 4: 0.20},
    "none": {1: 1.01, 2: 1.01, 3: 1.05, 4: 1.15},  # past 1: the last shard is padded
}


def split_threads(threads: int) -> tuple[int, int]:
    """Workers, and the threads that each of them uses inside an operation.

    One thread a worker loses nothing to waiting for the others at every operation's end; but each worker
    holds a band of its own, and the first layer, a fifth of the work, takes one band at a time: past four
    workers they would wait for it. Threads left over stay idle (3 of 7).
    """
    workers = min(threads, _WORKERS)
    return workers, threads // workers


def time_axis_of(source: Source, wanted: str) -> str:
    """'x' or 'y': the long edge where `wanted` is 'auto', as in netsounds (x for a square)."""
    if wanted != "auto":
        return wanted
    return "x" if source.width >= source.height else "y"


def make_plan(source: Source, options: SonifyOptions, limits: Limits, *, shared: bool = False) -> Plan:
    """The plan that is fastest within the budget; the smallest there is where none is (see `Plan.check`).

    Args:
        shared: whether it is for a cluster: the picture is spooled in any case, for all to read it anywhere,
            and there is room for what segments leave.

    Raises:
        PictureError: the picture is too small for the network, or has more pixels than are allowed.
    """
    pixels = max(source.file_pixels, source.height * source.width)
    if options.max_pixels is not None and pixels > options.max_pixels:
        raise PictureError(
            f"{source.name} has {pixels} pixels and --max-pixels allows {options.max_pixels}; raise it if "
            f"you trust the file, or give a smaller picture"
        )
    if min(source.height, source.width) < SMALLEST_SIDE:
        raise PictureError(
            f"{source.name} is {source.width} x {source.height} pixels and the network needs at least "
            f"{SMALLEST_SIDE} x {SMALLEST_SIDE}; use a larger one, or --size to enlarge it"
        )
    axis = time_axis_of(source, options.time_axis)
    across, along = (source.height, source.width) if axis == "x" else (source.width, source.height)
    widest_row = widest_bytes(1, across, limits.compute_bytes_per_value)
    if limits.gpu_budget_bytes is None:
        bands = [
            rows
            for rows in _BAND_ROWS
            if rows * widest_row <= _WIDEST_ACTIVATION_BYTES * (2 if rows <= 16 else 1) or rows <= 8
        ]
    else:
        bands = list(_GPU_BAND_ROWS)
    rows_wanted = preview_rows(along, across, options.banks, options.sound)
    smallest: Plan | None = None
    # Short shards cost less than short bands.
    # Fewer workers, of more threads each, only where bands of any height are too much for all of them.
    for workers, rows, (frames, blocks), decoded in product(
        range(split_threads(limits.threads)[0], 0, -1),
        bands,
        list(zip(_SHARD_FRAMES, _BLOCK_VALUES, strict=True)),
        (STORED_SPOOL,) if shared else _picture_choices(source, options),
    ):
        candidate = _candidate(
            source, options, limits, workers, rows, frames, blocks, decoded, rows_wanted, shared
        )
        stores = store_bytes(candidate.banks, candidate.workers, rows * across) if options.stored else 0
        if stores > _STORE_BYTES and frames > _SHARD_FRAMES[-1]:
            continue
        gpu_fits = candidate.gpu_memory_bytes <= (limits.gpu_budget_bytes or 0)
        if candidate.peak_memory_bytes <= limits.budget_bytes and gpu_fits:
            return candidate
        if smallest is None or candidate.peak_memory_bytes < smallest.peak_memory_bytes:
            smallest = candidate
    assert smallest is not None
    return smallest


def _picture_choices(source: Source, options: SonifyOptions) -> tuple[str, ...]:
    if source.in_memory or (source.rows_in_order and time_axis_of(source, options.time_axis) == "y"):
        return (STORED_STREAM,)
    if source.height * source.width * source.bytes_per_pixel <= _MEMORY_PICTURE_BYTES:
        return (STORED_MEMORY, STORED_SPOOL)
    return (STORED_SPOOL,)


def _candidate(
    source: Source,
    options: SonifyOptions,
    limits: Limits,
    workers: int,
    rows: int,
    frames: int,
    block: int,
    decoded: str,
    rows_wanted: int,
    shared: bool,
) -> Plan:
    axis = time_axis_of(source, options.time_axis)
    across, along = (source.height, source.width) if axis == "x" else (source.width, source.height)
    stft = stft_plan(bank_length(1, along), options.sound)
    # in whole bands, so that the network sees what it would see of the whole
    preview = min(along, -(-rows_wanted // rows) * rows)
    size = (across, preview) if axis == "x" else (preview, across)
    banks = tuple(_bank_plan(number, size, along, axis, frames, options, stft) for number in options.banks)
    mix = audio_plan("mix", 0, 0, 0, options.sound, stft) if options.sound.mix else None
    stems = parts = None
    if mix is not None:
        stems = stems_plan(mix, len(banks)) if options.sound.stems else None
        parts = parts_plan(mix, len(banks), options.sound) if options.report else None
    tiles = -(-across // SPOOL_TILE) * -(-preview // SPOOL_TILE)
    slab_rows = max(SPOOL_TILE if decoded == STORED_SPOOL else 64, rows)
    kept, final = _disk(banks, mix, stems, parts, stft, options, (preview, across), shared)
    spool = tiles * SPOOL_TILE**2 * source.bytes_per_pixel if decoded == STORED_SPOOL else 0
    threads_each = limits.threads // workers
    plan = Plan(
        height=source.height,
        width=source.width,
        preview_rows=None if options.sound.preview_s is None else preview,
        time_axis=axis,
        workers=workers,
        threads_each=threads_each,
        band_rows=rows,
        slab_rows=slab_rows,
        widest_bytes=widest_bytes(rows, across, limits.compute_bytes_per_value),
        picture_stored=decoded,
        spool_bytes=spool,
        stored=options.stored,
        block_values=block,
        banks=banks,
        stft=stft,
        mix=mix,
        stems=stems,
        parts=parts,
        forward_memory_bytes=0,
        sound_memory_bytes=0,
        report_memory_bytes=0,
        report_workers=workers,
        gpu_memory_bytes=0,
        gpu_budget_bytes=limits.gpu_budget_bytes,
        budget_bytes=limits.budget_bytes,
        disk_bytes=kept
        + spool
        + 2 * state_bytes(banks if options.stored else (), across, limits.compute_bytes_per_value),
        final_disk_bytes=final,
        free_disk_bytes=limits.free_disk_bytes,
    )
    plan = _elsewhere(plan, options) if limits.remote else plan
    plan = replace(plan, disk_bytes=plan.disk_bytes + limits.fetched_bytes)
    value_bytes, on_gpu = limits.compute_bytes_per_value, limits.gpu_budget_bytes is not None
    forward = picture_bytes(source, min(slab_rows, preview), across, decoded)
    forward += store_bytes(banks, workers, rows * across) if options.stored else 0
    windowed = windowed_bytes(stft, banks, options.sound.griffin_lim_iterations) if stft is not None else 0
    forward += windowed + (OVERVIEW_BYTES if options.report else 0)
    if on_gpu:
        forward += staging_bytes(rows, across, workers, stored=options.stored)
    else:
        forward += stream_bytes(rows, across, value_bytes, workers)
    sounding = sound_bytes(block, banks, workers)
    if windowed:  # signals, then the mix; after these its parts, side by side
        sounding += max(workers * windowed + FINISHING_BYTES, workers * FINISHING_BYTES)
    if limits.remote:
        forward += putting_bytes(banks, workers) if options.stored else 0
        sounding += fetching_bytes(block, banks)
    reporting = workers
    while reporting > 1 and limits.baseline_bytes + report_bytes(reporting, banks) > limits.budget_bytes:
        reporting -= 1
    return replace(
        plan,
        baseline_bytes=limits.baseline_bytes,
        forward_memory_bytes=limits.baseline_bytes + forward,
        sound_memory_bytes=limits.baseline_bytes + sounding,
        report_memory_bytes=limits.baseline_bytes + report_bytes(reporting, banks) if options.report else 0,
        report_workers=reporting,
        gpu_memory_bytes=max(
            gpu_stream_bytes(rows, across, value_bytes, workers), sound_bytes(block, banks, workers)
        )
        if on_gpu
        else 0,
    )


def _elsewhere(plan: Plan, options: SonifyOptions) -> Plan:
    """The same in an object store: no array lies here, and of the sound only what is made and what waits.

    That is the bank at work, and what one bank's files take at most.
    """
    store = sum(each.stored_bytes_estimate for each in plan.banks)
    mixed = sum(each.files * each.bytes_per_file for each in (plan.mix, plan.stems) if each is not None)
    sound = sum(each.sound_bytes for each in plan.banks) + mixed
    here = min(sound, 2 * plan.largest_sound_bytes + mixed)
    kept = plan.final_disk_bytes if options.activations else plan.final_disk_bytes + store
    return replace(
        plan, disk_bytes=plan.disk_bytes - store - sound + here, final_disk_bytes=0, remote_bytes=kept
    )


def _bank_plan(
    number: int,
    size: tuple[int, int],
    whole: int,
    axis: str,
    frames: int,
    options: SonifyOptions,
    stft: Stft | None,
) -> BankPlan:
    """Of a picture `size` [height, width], which is `whole` rows long in time or the first of them."""
    channels = bank(number).channels
    height, width = bank_length(number, size[0]), bank_length(number, size[1])
    along, across = (width, height) if axis == "x" else (height, width)
    raw = 2 * channels * height * width
    return BankPlan(
        number=number,
        shape=(channels, height, width),
        frames=along,
        frequencies=across,
        frames_per_shard=min(frames, along),
        raw_bytes=raw,
        stored_bytes_estimate=int(raw * _STORED_SHARE[options.codec][number]) if options.stored else 0,
        audio=tuple(
            audio_plan(scheme, channels, along, across, options.sound, stft)
            for scheme in options.sound.schemes
        ),
        whole_frames=bank_length(number, whole),
    )


def _disk(
    banks: tuple[BankPlan, ...],
    mix: AudioPlan | None,
    stems: AudioPlan | None,
    parts: AudioPlan | None,
    stft: Stft | None,
    options: SonifyOptions,
    looked_at: tuple[int, int],
    shared: bool,
) -> tuple[int, int]:
    """While it is made, and in the end; `looked_at` are the picture's rows and columns in time order."""
    store = sum(each.stored_bytes_estimate for each in banks)
    files = [audio for each in banks for audio in each.audio]
    files += [each for each in (mix, stems) if each is not None]
    sound = sum(audio.files * audio.bytes_per_file for audio in files)
    waiting = sum(audio.temporary_bytes for audio in files)
    waiting += 0 if mix is None else len(banks) * mix.temporary_bytes  # each bank's part of it
    if "sum" in options.sound.schemes and not options.sound.windowed:
        # The sum's half frames wait in float32 until their peak is known.
        channels = options.sound.sum_channels
        waiting += sum(4 * channels * each.frames * (each.frequencies // 2 + 1) for each in banks)
    if stft is not None:
        signals = 2 * options.sound.mix + options.sound.sum_channels * options.sound.windowed
        waiting += len(banks) * spectra_bytes(stft, signals)
    report = 0
    if options.report:
        waiting += overview_disk_bytes(banks, *looked_at)
        report = REPORT_DISK_BYTES + sum(audio.browser_bytes for audio in files)
        report += 0 if parts is None else parts.files * parts.bytes_per_file
        if options.single_file:
            rate = options.sound.resample_hz or options.sound.sample_rate_hz
            report += single_file_bytes(sum(audio.samples for audio in files) / rate)
    if shared:
        asked, halves, columns = options.sound, 0, 0
        if not asked.needs_second_pass:
            halves = asked.sum_channels * ("sum" in asked.schemes)
            columns = asked.sum_channels + 2 * asked.mix
        waiting += segments_disk_bytes(
            banks, *looked_at, halves=halves, columns=columns, report=options.report
        )
    return store + sound + waiting + report, (store if options.activations else 0) + sound + report


def sound_block_channels(
    plan_block_values: int, frames_per_shard: int, frequencies: int, channels: int
) -> int:
    """Filters read from the store at a time, so that a block holds about `plan_block_values` values."""
    return max(1, min(channels, plan_block_values // (frames_per_shard * frequencies)))
