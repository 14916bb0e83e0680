"""A run's plan as values: what it is made from, and what it says. Nothing here decides or acts."""

from __future__ import annotations

from dataclasses import dataclass

from ..base.units import format_bytes
from ..errors import BudgetError

MIB = 1 << 20

#: How the decoded picture is kept while the network reads it.
STORED_STREAM, STORED_MEMORY, STORED_SPOOL = "stream", "memory", "spool"
#: Tile edge of the temporary TIFF, in pixels; columns are read out of it a tile's width at a time.
SPOOL_TILE = 128

#: Of a run in an object store: shards that are put at a time, blocks that are fetched before they are due.
PUTS, AHEAD = 4, 4

#: Cells along the long edge of a filter's picture, and pixels along the picture's own, at most.
FILTER_CELLS, PICTURE_CELLS = 128, 1280

# Of a block of windowed frames: what it takes in float32 stays in a core's cache.
_STFT_BLOCK_VALUES = 1 << 17
# Of the budget: a peak past this that was not planned is near it.
_STRAINED = 0.95


@dataclass(frozen=True)
class Cells:
    """Square cells of `factor` values over `rows` x `cross` values."""

    rows: int
    cross: int
    factor: int

    @property
    def along(self) -> int:
        return -(-self.rows // self.factor)

    @property
    def across(self) -> int:
        return -(-self.cross // self.factor)


def cells_of(rows: int, cross: int, most: int) -> Cells:
    """Cells of the least size at which neither edge has more than `most`."""
    return Cells(rows, cross, -(-max(rows, cross) // most))


@dataclass(frozen=True, kw_only=True)
class Source:
    """The picture as the plan sees it: upright size in pixels after resizing, decoded bytes a pixel.

    `decoder_bytes` is what its decoder holds whole in memory, if it does; `rows_in_order` says that the
    upright picture's rows come out of the file one after another. `file_pixels` is the file's size before
    any resizing, `name` what errors call the picture. `in_memory`: its pixels are, at their full size.
    """

    height: int
    width: int
    bytes_per_pixel: int = 3
    decoder_bytes: int = 0
    rows_in_order: bool = True
    file_pixels: int = 0
    name: str = "the picture"
    in_memory: bool = False


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the machine gives: resident bytes before the run, the budget for the peak, free disk, threads.

    `gpu_budget_bytes` is None where the CPU computes. `remote`: the run is to lie in an object store.
    `fetched_bytes` of the disk hold a picture that came from a URL; they are not among the free ones.
    """

    baseline_bytes: int
    budget_bytes: int
    free_disk_bytes: int | None = None
    compute_bytes_per_value: int = 4
    threads: int = 2
    gpu_budget_bytes: int | None = None
    remote: bool = False
    fetched_bytes: int = 0


@dataclass(frozen=True)
class Stft:
    """Windowed frames enough for `samples`; sizes in samples. Frame n is centred on sample n * hop.

    `wanted` samples of them are enough, where it is given.
    """

    fft_size: int
    hop: int
    samples: int
    wanted: int | None = None

    def __post_init__(self) -> None:
        assert self.fft_size % 2 == 0 and 0 < 2 * self.hop <= self.fft_size and self.samples > 0

    @property
    def sounded(self) -> int:
        """How many samples are made, from the first on: all, but in a preview."""
        return self.samples if self.wanted is None else min(self.samples, self.wanted)

    @property
    def frames(self) -> int:
        """The last one's centre is the first at or past the end."""
        return -(-self.samples // self.hop) + 1

    @property
    def overlap(self) -> int:
        """How many frames lie over a sample, at most."""
        return -(-self.fft_size // self.hop)

    @property
    def bins(self) -> int:
        return self.fft_size // 2 + 1

    @property
    def block_frames(self) -> int:
        """Frames worked on at a time."""
        return max(8, _STFT_BLOCK_VALUES // self.fft_size)


@dataclass(frozen=True, kw_only=True)
class AudioPlan:
    """One sound file, or several alike.

    Attributes:
        scheme: 'sum', 'concat', 'filters' or 'mix'.
        files: number of files.
        samples: samples of each channel in a file.
        bytes_per_file: size of a file.
        container: what holds the samples: 'WAV', 'RF64', 'FLAC' or 'OGG'.
        channels: 1 or 2.
        temporary_bytes: what waits on disk for all the files together while they are made.
        browser_bytes: largest size of the forms for browsers, where those do not play the files themselves.
    """

    scheme: str
    files: int
    samples: int
    bytes_per_file: int
    container: str
    channels: int = 1
    temporary_bytes: int = 0
    browser_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class BankPlan:
    """One bank: its array, the same as frames, and its sound.

    Attributes:
        number: number of the bank.
        shape: of the array, `[channel, y, x]`.
        frames: rows along the time axis.
        frequencies: values in a frame.
        frames_per_shard: frames in one file of the store.
        raw_bytes: size of the array, not compressed.
        stored_bytes_estimate: about its size on disk.
        audio: its sound files.
        whole_frames: frames of the whole picture; more than `frames` in a preview.
    """

    number: int
    shape: tuple[int, int, int]
    frames: int
    frequencies: int
    frames_per_shard: int
    raw_bytes: int
    stored_bytes_estimate: int
    audio: tuple[AudioPlan, ...]
    whole_frames: int

    @property
    def channels(self) -> int:
        return self.shape[0]

    @property
    def sound_bytes(self) -> int:
        """Of its files of sound."""
        return sum(audio.files * audio.bytes_per_file for audio in self.audio)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run in numbers: bytes and pixels. Memory is the resident peak of the whole process.

    Attributes:
        height: of the whole picture, after resizing, in pixels.
        width: likewise.
        preview_rows: rows along the time axis that are read; None: all of them.
        time_axis: 'x' or 'y'.
        workers: how many bands go through the network at a time.
        threads_each: threads of each worker.
        band_rows: rows in a band.
        slab_rows: rows decoded at a time.
        widest_bytes: the first layer's output for a band, the largest of all.
        picture_stored: how the picture is read: 'stream', 'memory' or 'spool', a temporary file.
        spool_bytes: size of that temporary file.
        stored: whether activations are stored, kept or not.
        block_values: values worked on at a time when stored activations become sound.
        banks: one plan for each bank.
        stft: frames of windowed signals; None where there are none.
        mix: file of the mix; None where there is none.
        forward_memory_bytes: peak of the network's stage.
        sound_memory_bytes: peak of the sound's stages.
        report_memory_bytes: peak of the report's stage; 0 without a report.
        report_workers: workers of the report's stage.
        gpu_memory_bytes: peak on the GPU; 0 on a CPU.
        gpu_budget_bytes: budget on the GPU; None on a CPU.
        budget_bytes: memory budget.
        disk_bytes: largest size on this machine's disk.
        final_disk_bytes: final size on this machine's disk.
        free_disk_bytes: what is free there; None: unknown.
        remote_bytes: final size in the object store, for a run to a URL.
        baseline_bytes: what Python with its libraries takes of the memory.
        stems: files of the banks' parts of the mix; None where there are none.
        parts: the same as the page plays them; None where there is no page.
    """

    height: int
    width: int
    preview_rows: int | None
    time_axis: str
    workers: int
    threads_each: int
    band_rows: int
    slab_rows: int
    widest_bytes: int
    picture_stored: str
    spool_bytes: int
    stored: bool
    block_values: int
    banks: tuple[BankPlan, ...]
    stft: Stft | None
    mix: AudioPlan | None
    forward_memory_bytes: int
    sound_memory_bytes: int
    report_memory_bytes: int
    report_workers: int
    gpu_memory_bytes: int
    gpu_budget_bytes: int | None
    budget_bytes: int
    disk_bytes: int
    final_disk_bytes: int
    free_disk_bytes: int | None
    remote_bytes: int = 0
    baseline_bytes: int = 0
    stems: AudioPlan | None = None
    parts: AudioPlan | None = None

    @property
    def largest_sound_bytes(self) -> int:
        """Of the bank whose sound takes most. Of a run elsewhere so much may wait to be put."""
        return max(each.sound_bytes for each in self.banks)

    @property
    def rows_along(self) -> int:
        """The picture's rows along the time axis, as far as it is looked at."""
        along = self.width if self.time_axis == "x" else self.height
        return along if self.preview_rows is None else self.preview_rows

    @property
    def pixels(self) -> int:
        """How many pixels are looked at."""
        return self.rows_along * (self.height if self.time_axis == "x" else self.width)

    @property
    def peak_memory_bytes(self) -> int:
        """The largest of the stages' peaks."""
        return max(self.forward_memory_bytes, self.sound_memory_bytes, self.report_memory_bytes)

    @property
    def trim_bytes(self) -> int:
        """Past this the network's stage gives freed memory back: what bands take at once still fits then."""
        return self.forward_memory_bytes - 2 * self.workers * self.widest_bytes

    @property
    def pressure_bytes(self) -> int:
        """A peak past this was not planned and is near the budget: fewer bands or blocks go on at a time."""
        return max(self.peak_memory_bytes, int(_STRAINED * self.budget_bytes))

    def check(self) -> None:
        """Require that memory and disk can hold the run.

        Raises:
            BudgetError: they cannot; the message says what is needed and what to change.
        """
        budget, gpu_budget = self.budget_bytes, self.gpu_budget_bytes
        if self.peak_memory_bytes > budget:
            raise BudgetError(
                f"this run needs {format_bytes(self.peak_memory_bytes, budget)} of memory and the budget is "
                f"{format_bytes(budget, budget)}; raise --memory, or lower --size"
            )
        if gpu_budget is not None and self.gpu_memory_bytes > gpu_budget:
            raise BudgetError(
                f"this run needs {format_bytes(self.gpu_memory_bytes, gpu_budget)} on the GPU and may have "
                f"{format_bytes(gpu_budget, gpu_budget)}; raise --gpu-memory, or use --device cpu"
            )
        if self.free_disk_bytes is not None and self.disk_bytes > self.free_disk_bytes:
            raise BudgetError(
                f"this run needs {format_bytes(self.disk_bytes)} of disk and "
                f"{format_bytes(self.free_disk_bytes)} are free; make room, choose another --out, or use "
                f"--no-activations, fewer --banks or a smaller --size"
            )
