"""Plans as frozen values: the facts that a plan is made from, and its sizes. Nothing here decides or acts."""

from __future__ import annotations

from dataclasses import dataclass

from ..base.units import format_bytes
from ..errors import BudgetError
from ..graph.geometry import Places
from ..graph.layers import Bank
from .scales import Notes

MIB = 1 << 20

#: Ways to keep the decoded picture while the network reads it.
STORED_STREAM = "stream"
STORED_MEMORY = "memory"
STORED_SPOOL = "spool"
#: Edge of the temporary TIFF's tiles, in pixels; columns are read from it in steps of a tile's width.
SPOOL_TILE = 128

#: Shards of a run in an object store that are uploaded at a time.
PUTS = 4
#: Blocks of such a run that are fetched ahead.
AHEAD = 4
#: Filters of a shard that are transposed at a time: 64 bytes, a line of the processor's cache.
TRANSPOSED_FILTERS = 32

#: Edge of a sum map's chunks, in values.
MAP_TILE = 128

#: Largest number of cells along the long edge of a filter's overview.
FILTER_CELLS = 128
#: Largest number of cells along the long edge of the picture's overview.
PICTURE_CELLS = 1280
#: Largest number of steps of time in which filters' levels are measured.
FIRING_STEPS = 400

_STFT_BLOCK_VALUES = 1 << 17  # a block of windowed frames in float32 then stays in a core's cache
_PRESSURE_SHARE = 0.95  # of the budget: an unplanned peak above it may soon exceed the budget


@dataclass(frozen=True)
class Cells:
    """Square cells of an overview.

    Attributes:
        rows: rows of values that it covers.
        cross: values in a row.
        factor: edge of a cell, in values.
    """

    rows: int
    cross: int
    factor: int

    @property
    def along(self) -> int:
        """Number of cells along the rows' axis."""
        return -(-self.rows // self.factor)

    @property
    def across(self) -> int:
        """Number of cells along a row."""
        return -(-self.cross // self.factor)


def cells_of(rows: int, cross: int, most: int) -> Cells:
    """Choose the cells of an overview.

    Args:
        rows: rows of values.
        cross: values in a row.
        most: largest number of cells along either edge.

    Returns:
        The smallest square cells that suffice.
    """
    return Cells(rows, cross, -(-max(rows, cross) // most))


def firing_rows(rows: int) -> int:
    """Choose how many of a bank's rows make a step of its filters' levels: the fewest that suffice."""
    return -(-rows // FIRING_STEPS)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Facts about the picture that a plan depends on.

    Attributes:
        height: height of the upright picture after resizing, in pixels.
        width: its width, likewise.
        bytes_per_pixel: size of a decoded pixel.
        decoder_bytes: memory that the decoder takes for the whole picture, if it holds that.
        rows_in_order: whether the decoder delivers the upright picture's rows one after another.
        file_pixels: number of pixels in the file, before resizing.
        name: name of the picture in errors.
        in_memory: whether the pixels are already in memory, at full size.
        measured: whether the file is read once before, for the numbers that become black and white.
        notes: lines for the user on how the file is read.
    """

    height: int
    width: int
    bytes_per_pixel: int = 3
    decoder_bytes: int = 0
    rows_in_order: bool = True
    file_pixels: int = 0
    name: str = "the picture"
    in_memory: bool = False
    measured: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits that the machine and the user set to a run.

    Attributes:
        baseline_bytes: resident memory before the run.
        budget_bytes: budget for the peak of resident memory.
        free_disk_bytes: free disk space; None: unknown.
        compute_bytes_per_value: size of the network's values.
        threads: threads that the run may use.
        gpu_budget_bytes: budget for the GPU's memory; None if the network runs on a CPU.
        remote: whether the run goes to an object store.
        fetched_bytes: disk space taken by a downloaded picture, and not counted as free.
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
    """Windowed frames of a signal. Frame n is centred on sample n * hop.

    Attributes:
        fft_size: length of a frame, in samples.
        hop: distance between frames, in samples.
        samples: length of the whole signal.
        wanted: length of a preview, in samples; None for the whole signal.
        notes: number of notes that a frame has levels of; 0: it has magnitudes of an FFT's bins.
    """

    fft_size: int
    hop: int
    samples: int
    wanted: int | None = None
    notes: int = 0

    def __post_init__(self) -> None:
        assert self.fft_size % 2 == 0 and 0 < 2 * self.hop <= self.fft_size and self.samples > 0

    @property
    def sounded(self) -> int:
        """Samples that are made, from the first: all of them, except in a preview."""
        return self.samples if self.wanted is None else min(self.samples, self.wanted)

    @property
    def frames(self) -> int:
        """Number of frames: the last one's centre is the first at or beyond the signal's end."""
        return -(-self.samples // self.hop) + 1

    @property
    def overlap(self) -> int:
        """Largest number of frames that cover a sample."""
        return -(-self.fft_size // self.hop)

    @property
    def bins(self) -> int:
        """Number of frequency bins of a frame."""
        return self.fft_size // 2 + 1

    @property
    def values(self) -> int:
        """Number of a frame's values: levels of notes, or magnitudes of bins."""
        return self.notes or self.bins

    @property
    def block_frames(self) -> int:
        """Frames that are computed at a time."""
        return max(8, _STFT_BLOCK_VALUES // self.fft_size)


@dataclass(frozen=True, kw_only=True)
class AudioPlan:
    """One sound file, or several of the same size and format.

    Attributes:
        scheme: 'sum', 'concat', 'filters', 'mix', 'stem' or 'part'.
        files: number of files.
        samples: samples of each channel in a file.
        bytes_per_file: size of a file.
        container: file format: 'WAV', 'RF64', 'FLAC' or 'OGG'.
        channels: 1 or 2.
        temporary_bytes: size of temporary files while these are made, for all of them together.
        browser_bytes: largest size of copies for browsers, if those cannot play the files themselves.
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
    """One bank: its array, its frames and its sound files.

    Attributes:
        number: number of the bank.
        shape: shape of the array, `[channel, y, x]`.
        frames: rows along the time axis.
        frequencies: values in a frame.
        frames_per_shard: frames in one file of the store.
        raw_bytes: size of the array, not compressed.
        stored_bytes_estimate: estimated size on disk.
        audio: its sound files.
        whole_frames: frames of the whole picture; more than `frames` in a preview.
        bank: its layer, and where the values lie on the picture.
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
    bank: Bank

    @property
    def channels(self) -> int:
        """Number of filters."""
        return self.shape[0]

    @property
    def map_bytes(self) -> int:
        """Size of its sum map, not compressed: two sides in float32."""
        return 8 * self.frames * self.frequencies

    @property
    def sound_bytes(self) -> int:
        """Size of its sound files."""
        return sum(audio.files * audio.bytes_per_file for audio in self.audio)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All sizes of a run, in bytes and pixels. Memory is the resident peak of the whole process.

    Attributes:
        height: height of the whole picture after resizing, in pixels.
        width: its width, likewise.
        preview_rows: rows along the time axis that are read; None: all of them.
        time_axis: 'x' or 'y'.
        workers: bands that go through the network at a time.
        threads_each: threads of each worker.
        band_rows: rows in a band.
        slab_rows: rows decoded at a time.
        widest_bytes: size of the largest layer's output for a band.
        picture_stored: how the decoded picture is kept: 'stream' (not at all), 'memory', or 'spool', a
            temporary file.
        spool_bytes: size of that temporary file.
        stored: whether activations are stored, permanently or not.
        block_values: values worked on at a time when stored activations become sound.
        banks: one plan for each bank.
        network: the network's name.
        multiplications: the network's multiplications for each pixel of the picture.
        network_stride: the network's whole stride: rows of the picture after which all of it repeats.
        classified: where the values lie, along the time axis, whose mean is the prediction; None where the
            network makes none in this way.
        stft: frames of windowed signals; None if there are none.
        mix: file of the mix; None if there is none.
        forward_memory_bytes: peak of the network's stage.
        sound_memory_bytes: peak of the sound's stages.
        report_memory_bytes: peak of the report's stage; 0 without a report.
        report_workers: workers of the report's stage.
        gpu_memory_bytes: peak on the GPU; 0 on a CPU.
        gpu_budget_bytes: budget on the GPU; None on a CPU.
        budget_bytes: memory budget.
        disk_bytes: largest size on this machine's disk.
        final_disk_bytes: final size on this machine's disk.
        free_disk_bytes: free space there; None: unknown.
        remote_bytes: final size in the object store, for a run to a URL.
        baseline_bytes: memory of Python with its libraries.
        stems: files of the banks' parts of the mix; None if there are none.
        parts: the same parts for the page; None if there is no page.
        sum_maps: whether the sums that the mix is made of are kept.
        measured_pixels: pixels of the file that are read once before, for the numbers that become black and
            white.
        notes: lines for the user on how the file is read.
        scale: the notes that rows of windowed signals fall on; None: they are spread over all frequencies.
        equal_loudness: whether low and high frequencies of windowed signals are made equally loud.

    Example:
        >>> from netsounds_stream import plan
        >>> planned = plan("landscape.png", weights="untrained", banks=(3, 4))
        >>> [bank.number for bank in planned.banks], planned.peak_memory_bytes <= planned.budget_bytes
        ([3, 4], True)
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
    network: str
    multiplications: float
    network_stride: int
    classified: Places | None
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
    sum_maps: bool = False
    measured_pixels: int = 0
    notes: tuple[str, ...] = ()
    scale: Notes | None = None
    equal_loudness: bool = False

    @property
    def largest_sound_bytes(self) -> int:
        """Largest size of a bank's sound files; a run to a URL lets so much wait to be uploaded."""
        return max(bank.sound_bytes for bank in self.banks)

    @property
    def rows_along(self) -> int:
        """Rows of the picture along the time axis that are read."""
        along = self.width if self.time_axis == "x" else self.height
        return along if self.preview_rows is None else self.preview_rows

    @property
    def pixels(self) -> int:
        """Pixels of the picture that are read."""
        return self.rows_along * (self.height if self.time_axis == "x" else self.width)

    @property
    def peak_memory_bytes(self) -> int:
        """Largest of the stages' peaks."""
        return max(self.forward_memory_bytes, self.sound_memory_bytes, self.report_memory_bytes)

    @property
    def trim_bytes(self) -> int:
        """Resident memory above which the network's stage returns freed memory to the system.

        It leaves room below the planned peak for the largest tensors of all bands in flight.
        """
        return self.forward_memory_bytes - 2 * self.workers * self.widest_bytes

    @property
    def pressure_bytes(self) -> int:
        """Peak above which fewer bands or blocks are in flight: neither planned nor far from the budget."""
        return max(self.peak_memory_bytes, int(_PRESSURE_SHARE * self.budget_bytes))

    def check(self) -> None:
        """Require that memory and disk can hold the run.

        Raises:
            BudgetError: they cannot; the message says how much is needed and what to change.
        """
        budget = self.budget_bytes
        gpu_budget = self.gpu_budget_bytes
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
