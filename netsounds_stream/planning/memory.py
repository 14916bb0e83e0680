"""Sizes in bytes of a run's parts: what each holds in memory, and temporary files and checkpoints on disk.

All are upper bounds of measurements; the tests hold measured <= planned. In the arguments, `rows` are the
rows of a band and `across` is the picture's other side, in pixels; `value_bytes` is the size of the network's
values.
"""

from __future__ import annotations

from .network_sizes import NetworkSizes
from .plan import (
    AHEAD,
    FILTER_CELLS,
    FIRING_STEPS,
    MAP_TILE,
    MIB,
    PICTURE_CELLS,
    PUTS,
    STORED_MEMORY,
    STORED_STREAM,
    TRANSPOSED_FILTERS,
    BankPlan,
    Source,
    Stft,
    cells_of,
)

# SqueezeNet 1.0's retained values and weights. The bounds below were measured on it; those of other networks
# are larger or smaller in proportion.
_RETAINED = 458
_WEIGHTS = 1_244_448


def state_bytes(sizes: NetworkSizes, banks: tuple[BankPlan, ...], across: int, value_bytes: int) -> int:
    """Return the size of a checkpoint on disk: the layers' line buffers, and each bank's unfinished shard."""
    return _lines(sizes, across, value_bytes) // 2 + sum(_shard_bytes(bank) for bank in banks)


def widest_bytes(sizes: NetworkSizes, rows: int, across: int, value_bytes: int) -> int:
    """Return the size of the largest layer's output for a band."""
    return int(2 * sizes.widest) * rows * across // 2 * value_bytes


def stream_bytes(sizes: NetworkSizes, rows: int, across: int, value_bytes: int, workers: int) -> int:
    """Bound the network's memory on a CPU.

    Returns:
        Bytes: a band's tensors for each worker with gaps in the heap between them, the layers' line buffers,
        the weights as they are folded, and oneDNN's own memory.
    """
    band = int(2 * sizes.live * rows * across * value_bytes)
    return 48 * MIB + _weights(sizes) + workers * band + _lines(sizes, across, value_bytes)


def _weights(sizes: NetworkSizes) -> int:
    """Bound the weights as a stream keeps them, beyond SqueezeNet's, with those of a layer at work.

    4 bytes each; how much of a second copy stays in the heap differs by run (ConvNeXt: 0 to 100 MiB).
    """
    return 9 * max(0, sizes.weights - _WEIGHTS)


def _lines(sizes: NetworkSizes, across: int, value_bytes: int) -> int:
    """Bound the line buffers of the layers, with the rows that are being put behind those that wait."""
    return int(1024 * value_bytes * across * sizes.retained // _RETAINED)


def gpu_stream_bytes(sizes: NetworkSizes, rows: int, across: int, value_bytes: int, workers: int) -> int:
    """Bound the network's memory on a GPU, where bands share one stream's memory.

    Measured on an H100, 12 megapixels and 4 workers: 254, 368 and 972 MiB in bands of 64, 128 and 512 rows.

    Returns:
        Bytes: a band at its widest, the tensors of each worker's band, copies in flight and the convolutions'
        workspaces.
    """
    widest = int(sizes.live * rows * across * 4 / 7) * value_bytes  # SqueezeNet's largest layer
    return 192 * MIB + _weights(sizes) + (8 + 2 * workers) * widest + _lines(sizes, across, value_bytes)


def staging_bytes(sizes: NetworkSizes, rows: int, across: int, workers: int, *, stored: bool) -> int:
    """Bound the pinned host memory of copies to and from a GPU.

    Returns:
        Bytes: a band's pixels on the way in and its activations on the way out; both twice, for pinned memory
        may be allocated in powers of two. And the kernels that cuDNN loads when a
        shape first asks for them, which took 290 MiB of the host's memory on an H100.
    """
    out = 16 + int(4.8 * sizes.banked) if stored else 16
    return 384 * MIB + workers * rows * across * (12 + out)


def picture_bytes(source: Source, slab_rows: int, across: int, decoded: str) -> int:
    """Bound the memory of decoding a picture.

    Args:
        source: the picture.
        slab_rows: rows decoded at a time.
        across: length of a row along the other axis, in pixels.
        decoded: how the decoded picture is kept, see `Plan.picture_stored`.

    Returns:
        Bytes: the decoder's buffers, and slabs. libvips keeps some 20 slabs of a file that it reads row by
            row.
    """
    slab = slab_rows * across * source.bytes_per_pixel
    whole = source.height * source.width * source.bytes_per_pixel if decoded == STORED_MEMORY else 0
    return 48 * MIB + source.decoder_bytes + whole + (24 if decoded == STORED_STREAM else 6) * slab


def store_bytes(sizes: NetworkSizes, banks: tuple[BankPlan, ...], workers: int, band_pixels: int) -> int:
    """Bound the memory of the store of activations.

    Returns:
        Bytes: the shard being filled of each bank, the queue of those to be written, and the filters that
        each worker transposes at a time. The queue, with the memory kept for later shards, holds one shard
        of each bank, or the activations of the workers' bands if those are larger.
    """
    transposed = max(2 * TRANSPOSED_FILTERS * bank.frames_per_shard * bank.frequencies for bank in banks)
    return 16 * MIB + _held_bytes(sizes, banks, workers, band_pixels) + workers * transposed


def shards_bytes(sizes: NetworkSizes, banks: tuple[BankPlan, ...], workers: int, band_pixels: int) -> int:
    """Return the size of the shards by which the planner chooses their length.

    Returns:
        Bytes: the shards that fill and wait, and the largest for each worker. Another formula would choose
        other lengths, and so make other files of the same activations.
    """
    return _held_bytes(sizes, banks, workers, band_pixels) + workers * max(map(_shard_bytes, banks))


def _held_bytes(sizes: NetworkSizes, banks: tuple[BankPlan, ...], workers: int, band_pixels: int) -> int:
    """Bound the size of the shards that fill and of what waits to be written."""
    filling = sum(map(_shard_bytes, banks))
    return filling + max(filling, workers * int(2 * sizes.banked) * band_pixels)


def uploading_bytes(banks: tuple[BankPlan, ...], workers: int) -> int:
    """Bound the memory of uploads to an object store.

    Returns:
        Bytes: encoded shards in flight, those that workers hold meanwhile, the parts of a file and the
        requests. An encoded shard may be as long as its values, though it hardly ever is.
    """
    return REQUESTS_BYTES + (PUTS + workers) * max(_shard_bytes(bank) for bank in banks)


def fetching_bytes(block: int, banks: tuple[BankPlan, ...]) -> int:
    """Bound the memory of reading an object store: encoded blocks fetched ahead, a file's parts, requests.

    Args:
        block: values in a block.
        banks: the banks that are read.

    Returns:
        Bytes: blocks fetched ahead, encoded and decoded, and the requests.
    """
    return REQUESTS_BYTES + 2 * (2 * AHEAD + 1) * _largest_block(block, banks)


def sound_bytes(block: int, banks: tuple[BankPlan, ...], workers: int) -> int:
    """Bound the memory of turning blocks of `block` values into sound, one block a worker."""
    return 64 * MIB + 24 * workers * _largest_block(block, banks)


def _largest_block(block: int, banks: tuple[BankPlan, ...]) -> int:
    """Return the values in the largest block: `block`, or one filter's values in a shard if that is more."""
    return max(block, max(bank.frames_per_shard * bank.frequencies for bank in banks))


def _shard_bytes(bank: BankPlan) -> int:
    """Return the size of a bank's shard, not encoded."""
    return 2 * bank.channels * bank.frames_per_shard * bank.frequencies


#: Requests to an object store: connections, parts of files, the reader's own memory.
REQUESTS_BYTES = 64 * MIB
#: A limiter, two meters and a resampler at work on one file.
FINISHING_BYTES = 16 * MIB
#: Overviews while the network runs: rows of cells and steps that fill, and reductions of a piece of a band.
OVERVIEW_BYTES = 5 * MIB
#: Size on disk of the page, its data and the pictures, without sounds in browsers' formats. Cells and columns
#: bound it, not the picture: 17 MB of photographs, 20.6 MB of a square of noise, which compresses worst.
REPORT_DISK_BYTES = 24 * MIB
# The page in one file: pictures, style and scripts; and a second of sound at the lowest bit rate, as text.
_SINGLE_FILE_BYTES = 16 * MIB
_SINGLE_SECOND_BYTES = 6000
# Views of a bank's sound, and of a filter's.
_VIEW_BYTES = 5 << 18
_FILTER_VIEW_BYTES = 3 << 12
# A contact sheet being made: cells, brightness, colours and the encoder's own memory.
_SHEET_BYTES = 40 * MIB
_SHEET_BYTES_A_CELL = 9
_LEAST_SHEET_BYTES = 72 * MIB


def report_bytes(workers: int, banks: tuple[BankPlan, ...]) -> int:
    """Bound the memory of the report's pictures, one contact sheet a worker."""
    cells = [(bank.channels, cells_of(bank.frames, bank.frequencies, FILTER_CELLS)) for bank in banks]
    most = max(channels * sheet.along * sheet.across for channels, sheet in cells)
    return 80 * MIB + workers * max(_LEAST_SHEET_BYTES, _SHEET_BYTES + _SHEET_BYTES_A_CELL * most)


def firing_disk_bytes(banks: tuple[BankPlan, ...]) -> int:
    """Bound the page's levels and places of all filters over time, a byte each, as text."""
    values = sum(2 * FIRING_STEPS * bank.channels for bank in banks)
    return 4 * (values + values // 512) // 3 + 1024  # zlib lengthens what it cannot pack by less than that


def single_file_bytes(seconds: float) -> int:
    """Bound the size of the page in one file, with `seconds` of sound."""
    return _SINGLE_FILE_BYTES + int(_SINGLE_SECOND_BYTES * seconds)


def overview_disk_bytes(banks: tuple[BankPlan, ...], along: int, across: int) -> int:
    """Bound the temporary files of overviews and of views of sounds.

    Args:
        banks: the banks with their sound files.
        along: length of the picture's time axis, in pixels.
        across: length of its other axis, in pixels.

    Returns:
        Bytes: overviews of the banks and of the picture, views of the mix with its parts, and of each sound.
    """
    overviews = [(cells_of(bank.frames, bank.frequencies, FILTER_CELLS), bank.channels) for bank in banks]
    overviews.append((cells_of(along, across, PICTURE_CELLS), 3))
    waiting = sum(4 * cells.along * cells.across * channels for cells, channels in overviews)
    waiting += sum(8 * FIRING_STEPS * bank.channels for bank in banks)
    waiting += _VIEW_BYTES * (1 + len(banks))  # the mix and its parts
    for bank in banks:
        schemes = {audio.scheme for audio in bank.audio}
        waiting += _VIEW_BYTES * ("sum" in schemes)
        waiting += _FILTER_VIEW_BYTES * bank.channels * len({"concat", "filters"} & schemes)
    return waiting


def segments_disk_bytes(
    banks: tuple[BankPlan, ...], along: int, across: int, *, halves: int, columns: int, report: bool
) -> int:
    """Return the size of the results that a cluster's segments leave to be merged, in float32.

    Args:
        banks: the banks.
        along: length of the picture's time axis, in pixels.
        across: length of its other axis, in pixels.
        halves: half frames of raw sums for each row of a bank.
        columns: mixed channels for each row of a bank.
        report: whether there are cells of overviews, too, for each row of the banks and of the picture.
    """
    waiting = 0
    for bank in banks:
        cells = 2 * cells_of(bank.frames, bank.frequencies, FILTER_CELLS).across * bank.channels * report
        waiting += bank.frames * (halves * (bank.frequencies // 2 + 1) + columns * bank.frequencies + cells)
    if report:
        waiting += along * 2 * cells_of(along, across, PICTURE_CELLS).across * 3
    return 4 * waiting


def spectra_bytes(stft: Stft, signals: int) -> int:
    """Return the size of the magnitudes of `signals` windowed signals, on disk."""
    return 4 * signals * stft.frames * stft.values


def map_writing_bytes(banks: tuple[BankPlan, ...]) -> int:
    """Bound the memory of writing a sum map: a shard's rows, its chunks in order, and those encoded."""
    across = max(-(-bank.frequencies // MAP_TILE) * MAP_TILE for bank in banks)
    return 4 * 8 * MAP_TILE * across


def windowed_bytes(stft: Stft, banks: tuple[BankPlan, ...], iterations: int) -> int:
    """Bound the memory of synthesising one windowed signal of two channels.

    Returns:
        Bytes: rows that become frames, a block of frames as magnitudes, spectra and samples, and the state of
        each iteration.
    """
    rows = max(64 + 4 * bank.frames // stft.frames for bank in banks)
    across = max(bank.frequencies for bank in banks)
    block = 64 * stft.fft_size * (stft.block_frames + stft.overlap)
    return (
        8 * MIB + 16 * rows * across + 1024 * across + block + 20 * iterations * stft.fft_size * stft.overlap
    )


def waves_bytes(stft: Stft) -> int:
    """Return the size of the notes' waves, which all signals share: two for each, as long as a frame."""
    return 8 * stft.notes * stft.fft_size
