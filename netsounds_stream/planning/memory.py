"""What each part of a run holds in memory, and a checkpoint on disk: bytes.

Upper bounds of what was measured; the tests hold measured <= planned.
"""

from __future__ import annotations

from .plan import (
    AHEAD,
    FILTER_CELLS,
    MIB,
    PICTURE_CELLS,
    PUTS,
    STORED_MEMORY,
    STORED_STREAM,
    BankPlan,
    Source,
    Stft,
    cells_of,
)


def state_bytes(banks: tuple[BankPlan, ...], across: int, value_bytes: int) -> int:
    """A checkpoint on disk: the layers' line buffers and each bank's shard that fills."""
    shards = sum(2 * each.channels * each.frames_per_shard * each.frequencies for each in banks)
    return 512 * value_bytes * across + shards


def widest_bytes(rows: int, across: int, value_bytes: int) -> int:
    """The first layer's output for a band, 96 channels at stride 2 both ways: nothing after it is larger."""
    return 48 * rows * across // 2 * value_bytes


def stream_bytes(rows: int, across: int, value_bytes: int, workers: int) -> int:
    """A band's tensors for each worker and the heap's gaps between them, the layers' line buffers, oneDNN."""
    widest = widest_bytes(rows, across, value_bytes)
    return 48 * MIB + int(3.5 * workers * widest) + 1024 * value_bytes * across


def gpu_stream_bytes(rows: int, across: int, value_bytes: int, workers: int) -> int:
    """On the device, where bands share one stream's memory: a band at its widest, what each worker's band
    is at, copies under way, the convolutions' workspaces. Not yet measured on a device."""
    widest = widest_bytes(rows, across, value_bytes)
    return 128 * MIB + (4 + workers) * widest + 1024 * value_bytes * across


def staging_bytes(rows: int, across: int, workers: int, *, stored: bool) -> int:
    """Pinned host memory: a band's pixels in, and its activations, 50 values a pixel, out.

    Twice what they are: pinned memory may come in powers of two.
    """
    return 64 * MIB + workers * rows * across * (12 + (256 if stored else 16))


def picture_bytes(source: Source, slab_rows: int, across: int, decoded: str) -> int:
    """The decoder's buffers (libvips keeps some 20 slabs of a file that it reads row by row), and slabs."""
    slab = slab_rows * across * source.bytes_per_pixel
    whole = source.height * source.width * source.bytes_per_pixel if decoded == STORED_MEMORY else 0
    return 48 * MIB + source.decoder_bytes + whole + (24 if decoded == STORED_STREAM else 6) * slab


def store_bytes(banks: tuple[BankPlan, ...], workers: int, band_pixels: int) -> int:
    """The shard that fills of each bank, what waits to be written, and transpositions under way.

    One shard a bank waits, or all that the workers' bands hold (50 values a pixel) where they are larger.
    """
    shards = [2 * each.channels * each.frames_per_shard * each.frequencies for each in banks]
    waiting = max(sum(shards), workers * 100 * band_pixels)
    return 16 * MIB + sum(shards) + waiting + workers * max(shards)


def putting_bytes(banks: tuple[BankPlan, ...], workers: int) -> int:
    """Encoded shards on their way to an object store, those that workers hold until one has gone, a file's
    parts, and what requests take besides. Hardly a shard is as long as its values; one may be."""
    largest = max(2 * each.channels * each.frames_per_shard * each.frequencies for each in banks)
    return REQUESTS_BYTES + (PUTS + workers) * largest


def fetching_bytes(block: int, banks: tuple[BankPlan, ...]) -> int:
    """Encoded blocks that are fetched before they are due, parts of a file being put, and requests."""
    block = max(block, max(each.frames_per_shard * each.frequencies for each in banks))
    return REQUESTS_BYTES + 2 * (2 * AHEAD + 1) * block


def sound_bytes(block: int, banks: tuple[BankPlan, ...], workers: int) -> int:
    block = max(block, max(each.frames_per_shard * each.frequencies for each in banks))
    return 64 * MIB + 24 * workers * block


#: Of requests: connections, parts of files, a reader's own.
REQUESTS_BYTES = 64 * MIB
#: A limiter, two meters and a resampler at work on one file.
FINISHING_BYTES = 16 * MIB


#: Overviews while the network runs: rows of cells that fill, and what a piece of a band is reduced to.
OVERVIEW_BYTES = 4 * MIB
#: The page, its data and the pictures, forms of sounds apart.
REPORT_DISK_BYTES = 16 * MIB
#: The page in one file: pictures, style and scripts; and the least that a second of sound takes, as text.
_SINGLE_FILE_BYTES, _SINGLE_SECOND_BYTES = 16 * MIB, 6000
# What is seen of a bank's sound, and of a filter's.
_VIEW_BYTES, _FILTER_VIEW_BYTES = 5 << 18, 3 << 12
# A contact sheet in the making: cells, brightness, colours, the encoder's own; by the cell, and at least.
_SHEET_BYTES, _SHEET_BYTES_A_CELL, _LEAST_SHEET_BYTES = 40 * MIB, 9, 72 * MIB


def report_bytes(workers: int, banks: tuple[BankPlan, ...]) -> int:
    """The report's pictures, a sheet a worker."""
    cells = [(each.channels, cells_of(each.frames, each.frequencies, FILTER_CELLS)) for each in banks]
    most = max(channels * sheet.along * sheet.across for channels, sheet in cells)
    return 80 * MIB + workers * max(_LEAST_SHEET_BYTES, _SHEET_BYTES + _SHEET_BYTES_A_CELL * most)


def single_file_bytes(seconds: float) -> int:
    """The page in one file, with so much sound at most."""
    return _SINGLE_FILE_BYTES + int(_SINGLE_SECOND_BYTES * seconds)


def overview_disk_bytes(banks: tuple[BankPlan, ...], along: int, across: int) -> int:
    """Overviews of the banks and of a picture of that size, and views of sounds, while they wait."""
    overviews = [(cells_of(each.frames, each.frequencies, FILTER_CELLS), each.channels) for each in banks]
    overviews.append((cells_of(along, across, PICTURE_CELLS), 3))
    waiting = sum(4 * cells.along * cells.across * channels for cells, channels in overviews)
    waiting += _VIEW_BYTES * (1 + len(banks))  # of the mix and its parts
    for each in banks:
        schemes = {audio.scheme for audio in each.audio}
        waiting += _VIEW_BYTES * ("sum" in schemes)
        waiting += _FILTER_VIEW_BYTES * each.channels * len({"concat", "filters"} & schemes)
    return waiting


def segments_disk_bytes(
    banks: tuple[BankPlan, ...], along: int, across: int, *, halves: int, columns: int, report: bool
) -> int:
    """What a cluster's segments leave to be taken up: of each row of a bank so many half frames and columns,
    and the report's cells; of each row of a picture of that size its cells. All in float32."""
    waiting = 0
    for each in banks:
        cells = 2 * cells_of(each.frames, each.frequencies, FILTER_CELLS).across * each.channels * report
        waiting += each.frames * (halves * (each.frequencies // 2 + 1) + columns * each.frequencies + cells)
    if report:
        waiting += along * 2 * cells_of(along, across, PICTURE_CELLS).across * 3
    return 4 * waiting


def spectra_bytes(stft: Stft, signals: int) -> int:
    """Magnitudes of so many signals, waiting on disk."""
    return 4 * signals * stft.frames * stft.bins


def windowed_bytes(stft: Stft, banks: tuple[BankPlan, ...], iterations: int) -> int:
    """One windowed signal of two channels under way: rows on their way to frames, a block of frames in its
    forms, and what each iteration keeps."""
    rows = max(64 + 4 * each.frames // stft.frames for each in banks)
    across = max(each.frequencies for each in banks)
    block = 64 * stft.fft_size * (stft.block_frames + stft.overlap)
    return (
        8 * MIB + 16 * rows * across + 1024 * across + block + 20 * iterations * stft.fft_size * stft.overlap
    )
