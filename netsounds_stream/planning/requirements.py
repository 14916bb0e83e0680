"""Requirements of a choice of sizes: its banks and files of sound, memory by stage, and disk space.

Everything here adds up parts of a run, whose sizes are in `memory`, `sound_plan` and `formats`. Which choices
are tried, and in which order, is never decided here but in `planner`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from ..graph.layers import Bank, Banks
from ..graph.usual import usual_banks
from ..graph.values import Axis
from .memory import (
    FINISHING_BYTES,
    OVERVIEW_BYTES,
    REPORT_DISK_BYTES,
    fetching_bytes,
    firing_disk_bytes,
    gpu_stream_bytes,
    map_writing_bytes,
    overview_disk_bytes,
    picture_bytes,
    report_bytes,
    segments_disk_bytes,
    single_file_bytes,
    sound_bytes,
    spectra_bytes,
    staging_bytes,
    state_bytes,
    store_bytes,
    stream_bytes,
    uploading_bytes,
    waves_bytes,
    windowed_bytes,
)
from .network_sizes import NetworkSizes, sizes_of
from .options import SonifyOptions, TimeAxis
from .plan import SPOOL_TILE, STORED_SPOOL, AudioPlan, BankPlan, Limits, Source, Stft
from .sound_plan import audio_plan, mixable, parts_plan, preview_rows, stems_plan, stft_plan

_SLAB_ROWS = 64  # of the picture, decoded at a time, at least

# Bytes on disk for a byte of float16 activations, by codec and bank of SqueezeNet 1.0: measured on real
# photographs with trained weights, rounded up. `benchmarks/codecs.py` prints them. Other layers without
# negative values are taken for the first bank, which has the fewest zeros.
_STORED_SHARE = {
    "zstd": {1: 0.60, 2: 0.48, 3: 0.20, 4: 0.24},
    "lz4": {1: 0.82, 2: 0.64, 3: 0.30, 4: 0.36},
    "pcodec": {1: 0.52, 2: 0.42, 3: 0.18, 4: 0.20},
    "none": {1: 1.01, 2: 1.01, 3: 1.05, 4: 1.15},  # above 1 because the last shard is padded
}


def time_axis_of(source: Source, wanted: TimeAxis) -> Axis:
    """Choose the picture's axis that becomes time.

    Args:
        source: the picture.
        wanted: 'x', 'y', or 'auto' for the long edge, as in netsounds (x for a square).

    Returns:
        'x' or 'y'.
    """
    if wanted != "auto":
        return wanted
    return "x" if source.width >= source.height else "y"


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """The arguments of `make_plan`, and the picture's sides by the axis that becomes time."""

    source: Source
    options: SonifyOptions
    limits: Limits
    banks: Banks
    shared: bool

    @cached_property
    def axis(self) -> Axis:
        """The picture's axis that becomes time, 'x' or 'y'."""
        return time_axis_of(self.source, self.options.time_axis)

    @cached_property
    def other_axis(self) -> Axis:
        """The picture's other axis."""
        return "y" if self.axis == "x" else "x"

    @cached_property
    def sizes(self) -> NetworkSizes:
        """The network's sizes for each pixel."""
        return sizes_of(self.banks, self.axis)

    @cached_property
    def along(self) -> int:
        """Length of the time axis, in pixels."""
        return self.source.width if self.axis == "x" else self.source.height

    @cached_property
    def across(self) -> int:
        """Length of the other axis, in pixels."""
        return self.source.height if self.axis == "x" else self.source.width

    @cached_property
    def preview_rows(self) -> int:
        """Rows along the time axis that the sound needs; all of them, except in a preview."""
        return preview_rows(
            self.banks, self.options.banks, self.axis, self.along, self.across, self.options.sound
        )


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One combination of the sizes that a plan is free to choose.

    Attributes:
        workers: bands that go through the network at a time.
        band_rows: rows in a band.
        shard_frames: frames in one file of the store.
        block_values: values worked on at a time when stored activations become sound.
        picture_stored: how the decoded picture is kept, as in `Plan`.
    """

    workers: int
    band_rows: int
    shard_frames: int
    block_values: int
    picture_stored: str

    @property
    def slab_rows(self) -> int:
        """Rows of the picture that are decoded at a time."""
        return max(SPOOL_TILE if self.picture_stored == STORED_SPOOL else _SLAB_ROWS, self.band_rows)


@dataclass(frozen=True, kw_only=True)
class Products:
    """The banks and sound files that a run makes.

    Attributes:
        rows: rows of the picture that are read, along the time axis.
        banks: plans of the banks, with the sound files of each.
        stft: frames of windowed signals; None if there are none.
        mix: file of the mix; None if there is none.
        stems: files of the banks' parts of the mix; None if there are none.
        parts: the same for the page; None if there is none.
    """

    rows: int
    banks: tuple[BankPlan, ...]
    stft: Stft | None
    mix: AudioPlan | None
    stems: AudioPlan | None
    parts: AudioPlan | None

    @property
    def mix_files(self) -> list[AudioPlan]:
        """The files of all banks together."""
        return [audio for audio in (self.mix, self.stems) if audio is not None]

    @property
    def files(self) -> list[AudioPlan]:
        """The files of each bank, then those of all banks together."""
        return [audio for planned in self.banks for audio in planned.audio] + self.mix_files

    @property
    def store_bytes(self) -> int:
        """Estimated size of the stored activations."""
        return sum(planned.stored_bytes_estimate for planned in self.banks)

    @property
    def mix_bytes(self) -> int:
        """Size of the files of all banks together."""
        return sum(audio.files * audio.bytes_per_file for audio in self.mix_files)

    @property
    def sound_bytes(self) -> int:
        """Size of all files."""
        return sum(planned.sound_bytes for planned in self.banks) + self.mix_bytes


def products_of(request: PlanRequest, choice: Choice) -> Products:
    """Work out what a run makes.

    Returns:
        Plans of its banks and sound files; in a preview those of as few whole bands as the sound needs.
    """
    options = request.options
    # whole bands, so that the network sees in a preview what it would see in the whole picture
    rows = min(request.along, -(-request.preview_rows // choice.band_rows) * choice.band_rows)
    stft = stft_plan(request.banks.length(1, request.axis, request.along), options.sound)
    banks = tuple(_bank_plan(number, rows, choice.shard_frames, request, stft) for number in options.banks)
    mix = None
    stems = None
    parts = None
    if options.sound.mix:
        mix = audio_plan("mix", channels=0, frames=0, frequencies=0, sound=options.sound, stft=stft)
        stems = stems_plan(mix, len(banks)) if options.sound.stems else None
        parts = parts_plan(mix, len(banks), options.sound) if options.report else None
    return Products(rows=rows, banks=banks, stft=stft, mix=mix, stems=stems, parts=parts)


def _bank_plan(
    number: int, rows: int, shard_frames: int, request: PlanRequest, stft: Stft | None
) -> BankPlan:
    """Plan one bank of a picture of which `rows` are read along the time axis."""
    options = request.options
    bank = request.banks.bank(number)
    channels = bank.channels
    frames = request.banks.length(number, request.axis, rows)
    frequencies = request.banks.length(number, request.other_axis, request.across)
    raw = 2 * channels * frames * frequencies
    return BankPlan(
        number=number,
        shape=(channels, frequencies, frames) if request.axis == "x" else (channels, frames, frequencies),
        frames=frames,
        frequencies=frequencies,
        frames_per_shard=min(shard_frames, frames),
        raw_bytes=raw,
        stored_bytes_estimate=int(raw * _stored_share(options.codec, bank)) if options.stored else 0,
        audio=tuple(
            audio_plan(scheme, channels, frames, frequencies, options.sound, stft)
            for scheme in options.sound.schemes
        ),
        whole_frames=request.banks.length(number, request.axis, request.along),
        bank=bank,
    )


def _stored_share(codec: str, bank: Bank) -> float:
    """Return the estimated bytes on disk for a byte of a bank."""
    for usual in usual_banks().banks:
        if replace(bank, number=usual.number) == usual:  # other networks have layers of the same names
            return _STORED_SHARE[codec][usual.number]
    return _STORED_SHARE[codec][1] if bank.nonnegative else 1.01


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Peaks of a run's stages, in bytes of resident memory; `gpu` is on the device."""

    forward: int
    sound: int
    report: int
    report_workers: int
    gpu: int


def memory_of(request: PlanRequest, choice: Choice, products: Products) -> Memory:
    """Add up what each stage of a run holds at its peak.

    Returns:
        Peaks of the stages, the interpreter's own memory included, and how many workers the report can have.
    """
    limits = request.limits
    report_workers = _report_workers(limits, choice, products)
    report = limits.baseline_bytes + report_bytes(report_workers, products.banks)
    gpu = 0
    if limits.gpu_budget_bytes is not None:
        gpu = max(
            gpu_stream_bytes(
                request.sizes,
                choice.band_rows,
                request.across,
                limits.compute_bytes_per_value,
                choice.workers,
            ),
            sound_bytes(choice.block_values, products.banks, choice.workers),
        )
    return Memory(
        forward=limits.baseline_bytes + _forward_bytes(request, choice, products),
        sound=limits.baseline_bytes + _sound_stage_bytes(request, choice, products),
        report=report if request.options.report else 0,
        report_workers=report_workers,
        gpu=gpu,
    )


def _forward_bytes(request: PlanRequest, choice: Choice, products: Products) -> int:
    """Add up the network's stage: the picture, the network's bands, the store, windowed sums, overviews."""
    options = request.options
    limits = request.limits
    rows = choice.band_rows
    across = request.across
    total = picture_bytes(request.source, min(choice.slab_rows, products.rows), across, choice.picture_stored)
    total += _windowed_bytes(options, products)
    if limits.gpu_budget_bytes is None:
        total += stream_bytes(request.sizes, rows, across, limits.compute_bytes_per_value, choice.workers)
    else:
        total += staging_bytes(request.sizes, rows, across, choice.workers, stored=options.stored)
    if options.stored:
        total += store_bytes(request.sizes, products.banks, choice.workers, rows * across)
    if options.stored and limits.remote:
        total += uploading_bytes(products.banks, choice.workers)
    if options.report:
        total += OVERVIEW_BYTES
    return total


def _sound_stage_bytes(request: PlanRequest, choice: Choice, products: Products) -> int:
    """Add up the sound's stage: blocks of activations, then windowed signals or the finishing of files."""
    total = sound_bytes(choice.block_values, products.banks, choice.workers)
    if request.options.maps:
        total = max(total, map_writing_bytes(products.banks))
    windowed = _windowed_bytes(request.options, products)
    if windowed:  # signals, then the mix; after these its parts, concurrently
        total += max(choice.workers * windowed + FINISHING_BYTES, choice.workers * FINISHING_BYTES)
    if products.stft is not None:
        total += waves_bytes(products.stft)
    if request.limits.remote:
        total += fetching_bytes(choice.block_values, products.banks)
    return total


def _windowed_bytes(options: SonifyOptions, products: Products) -> int:
    if products.stft is None:
        return 0
    return windowed_bytes(products.stft, products.banks, options.sound.griffin_lim_iterations)


def _report_workers(limits: Limits, choice: Choice, products: Products) -> int:
    """Choose the number of workers for the report.

    Returns:
        As many as the budget holds, at least one.
    """
    workers = choice.workers
    while workers > 1 and limits.baseline_bytes + report_bytes(workers, products.banks) > limits.budget_bytes:
        workers -= 1
    return workers


@dataclass(frozen=True, kw_only=True)
class Disk:
    """Bytes that a run takes: the largest and the final size on this disk, the final size in a store."""

    peak: int
    final: int
    remote: int


def disk_of(request: PlanRequest, choice: Choice, products: Products) -> Disk:
    """Add up what a run writes.

    Returns:
        The largest and the final size on this machine, and the final size in an object store.
    """
    options = request.options
    limits = request.limits
    report = _report_disk_bytes(options, products)
    maps = sum(planned.map_bytes for planned in products.banks) if options.maps else 0
    final = products.sound_bytes + report + maps
    if options.activations:
        final += products.store_bytes
    temporary = _waiting_bytes(request, products) + spool_bytes(request, choice, products.rows)
    stored = products.banks if options.stored else ()
    # a checkpoint replaces the last one only when it is complete
    temporary += 2 * state_bytes(request.sizes, stored, request.across, limits.compute_bytes_per_value)
    temporary += limits.fetched_bytes
    if maps:  # all banks' sums wait as rows while the first of the maps is written
        temporary += maps + max(planned.map_bytes for planned in products.banks)
    if not limits.remote:
        peak = products.store_bytes + products.sound_bytes + report + temporary
        return Disk(peak=peak, final=final, remote=0)
    # Of a run to a URL no array lies here, and of the sound only the bank at work and what waits to be
    # uploaded, one bank's files at most.
    largest = max(planned.sound_bytes for planned in products.banks)
    sound = min(products.sound_bytes, 2 * largest + products.mix_bytes)
    return Disk(
        peak=sound + report + temporary,
        final=0,
        remote=final if options.activations else final + products.store_bytes,
    )


def spool_bytes(request: PlanRequest, choice: Choice, rows: int) -> int:
    """Compute the size of the temporary TIFF of the decoded picture, whose tiles are padded.

    Returns:
        Bytes; 0 if the plan has none.
    """
    if choice.picture_stored != STORED_SPOOL:
        return 0
    tiles = -(-request.across // SPOOL_TILE) * -(-rows // SPOOL_TILE)
    return tiles * SPOOL_TILE**2 * request.source.bytes_per_pixel


def _report_disk_bytes(options: SonifyOptions, products: Products) -> int:
    """Return the size of the page with everything that belongs to it; 0 without one."""
    if not options.report:
        return 0
    total = REPORT_DISK_BYTES + sum(audio.browser_bytes for audio in products.files)
    if products.parts is not None:
        total += products.parts.files * products.parts.bytes_per_file
        if mixable(products.parts):
            total += products.parts.files * (4 * products.parts.bytes_per_file // 3 + 1024)
    firing = firing_disk_bytes(products.banks)
    total += firing
    if options.single_file:
        rate = options.sound.file_rate_hz
        total += single_file_bytes(sum(audio.samples for audio in products.files) / rate) + firing
    return total


def _waiting_bytes(request: PlanRequest, products: Products) -> int:
    """Add up intermediate results on disk: sums, spectra, overviews, a cluster's segments."""
    sound = request.options.sound
    banks = products.banks
    total = sum(audio.temporary_bytes for audio in products.files)
    if products.mix is not None:
        total += len(banks) * products.mix.temporary_bytes  # each bank's part of it
    if "sum" in sound.schemes and not sound.windowed:
        # The sum's half frames wait in float32 until their peak is known.
        total += sum(
            4 * sound.sum_channels * planned.frames * (planned.frequencies // 2 + 1) for planned in banks
        )
    if products.stft is not None:
        signals = 2 * sound.mix + sound.sum_channels * sound.windowed
        total += len(banks) * spectra_bytes(products.stft, signals)
    if request.options.report:
        total += overview_disk_bytes(banks, products.rows, request.across)
    if request.shared:
        halves = 0
        columns = 0
        if not sound.needs_second_pass:
            halves = sound.sum_channels * ("sum" in sound.schemes)
            columns = sound.sum_channels + 2 * sound.mix
        total += segments_disk_bytes(
            banks,
            products.rows,
            request.across,
            halves=halves,
            columns=columns,
            report=request.options.report,
        )
    return total
