"""Views of sound files for the report: extremes and spectra over time, measured while a file is written.

A file is viewed as one part, or as parts of one length end to end (the filters of 'concat'). A part has
columns. Of each column, a view holds the lowest and the highest sample, and the power in rows of frequencies,
measured in at most four windows evenly spaced in it: a file of hours costs little more than one of minutes.
"""

from __future__ import annotations

import json
import threading
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..base.sink import Closable
from ..base.spool import PlacedFile
from ..errors import StoreError, cannot_write
from ..planning.plan import AudioPlan
from ..planning.sound_options import SoundOptions
from .dsp.spectrum import FrequencyScale, interval_weights

Floats = NDArray[np.float32]
_BANK_SIZES = {"columns": 1024, "spectrum_columns": 1024, "rows": 256}
_FILTER_SIZES = {"columns": 128, "spectrum_columns": 64, "rows": 32}
_WINDOW = 4096  # most samples of a window
_WINDOWS_A_COLUMN = 4
_AT_ONCE = 32  # windows transformed at a time


@dataclass(frozen=True, kw_only=True)
class ViewPlan:
    """The sizes of a file's view.

    Attributes:
        samples: length of the file in samples of a channel.
        channels: channels of the file.
        rate_hz: the file's sample rate.
        parts: number of parts; the last one may be cut short.
        part_samples: length of a part in samples of a channel; not always a whole number.
        scale: how frequencies are spread over rows: 'linear', 'mel' or 'log'.
        low_hz: lowest frequency of the rows.
        high_hz: highest frequency of the rows.
        columns: columns of extremes in a part.
        spectrum_columns: columns of power in a part.
        rows: rows of power.
    """

    samples: int
    channels: int
    rate_hz: int
    parts: int
    part_samples: float
    scale: str
    low_hz: float
    high_hz: float
    columns: int
    spectrum_columns: int
    rows: int

    @property
    def window(self) -> int:
        """Length of a window in samples: a power of two, no longer than a part of at least 16 samples."""
        return min(_WINDOW, 1 << max(4, int(self.part_samples).bit_length() - 1))


def view_plan(audio: AudioPlan, sound: SoundOptions, *, windowed: bool, filter_samples: int) -> ViewPlan:
    """Plan the view of a file.

    Args:
        audio: plan of the file.
        sound: options of the sound.
        windowed: whether the sound is windowed, and spread over frequencies as the options say.
        filter_samples: samples of a filter in a file of 'concat', before any resampling.
    """
    rate = sound.file_rate_hz
    parts = 1
    length = float(audio.samples)
    if audio.scheme == "concat":
        length = filter_samples * rate / sound.sample_rate_hz
        parts = parts_begun(audio.samples, filter_samples, sound)
    scale = "linear"
    low, high = 0.0, rate / 2
    if windowed and sound.frequencies_hz[0] < rate / 2:  # else resampling has left no frequency of the sound
        scale = sound.frequency
        low, high = sound.frequencies_hz
    sizes = _FILTER_SIZES if audio.scheme in ("concat", "filters") else _BANK_SIZES
    return ViewPlan(
        samples=audio.samples,
        channels=audio.channels,
        rate_hz=rate,
        parts=parts,
        part_samples=length,
        scale=scale,
        low_hz=low,
        high_hz=min(high, rate / 2),
        **sizes,
    )


def parts_begun(samples: int, part_samples: int, sound: SoundOptions) -> int:
    """Count the parts of which a file holds at least one sample.

    Args:
        samples: samples of the file, in a channel.
        part_samples: samples of a part, before any resampling.
        sound: options with the sample rates.
    """
    return (samples - 1) * sound.sample_rate_hz // (part_samples * sound.file_rate_hz) + 1


@dataclass(frozen=True)
class View:
    """A file's extremes and power over time; NaN where there was no sample.

    Attributes:
        plan: sizes of the view.
        extremes: lowest and highest sample, full scale being 1, float32 `[part, column, 2]`.
        power: mean power, the lowest frequency first, float32 `[part, column, row]`.
    """

    plan: ViewPlan
    extremes: Floats
    power: Floats

    def save(self, path: Path) -> None:
        """Save the view to a file.

        Raises:
            OutputError: the file cannot be written.
        """
        plan = np.array(json.dumps(asdict(self.plan)))
        try:
            with path.open("wb") as file:
                np.savez(file, plan=plan, extremes=self.extremes, power=self.power)
        except OSError as error:
            raise cannot_write(path, error) from error

    @classmethod
    def load(cls, path: Path) -> View:
        """Load a view from a file.

        Raises:
            StoreError: the file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as saved:
                plan = ViewPlan(**json.loads(str(saved["plan"])))
                return cls(plan, saved["extremes"], saved["power"])
        except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile) as error:
            raise StoreError(f"{path} cannot be read ({error}); start again with --overwrite") from error


@dataclass(frozen=True)
class Views:
    """The files that keep a run's views until its report is made.

    Attributes:
        folder: folder of the files.
    """

    folder: Path

    def path(self, bank: int, scheme: str) -> Path:
        """Return the path of a sound file's view.

        Args:
            bank: number of the bank; 0 for the mix.
            scheme: scheme of the file; 'filter N' for one of 'filters'.
        """
        return self.folder / f"view-{bank}-{scheme.replace(' ', '-')}.npz"

    def extremes_path(self, bank: int) -> Path:
        """Return the path of the extremes of a bank's filters, where these are inverted one by one."""
        return self.folder / f"view-{bank}.extremes"


class SoundMeter:
    """Measures a file's view, given its samples from front to back.

    Between calls it retains less than two windows of samples, up to 32 windows that wait for their transform,
    and the results.

    Args:
        plan: sizes of the view.
    """

    def __init__(self, plan: ViewPlan) -> None:
        self._plan = plan
        self._low = np.full(plan.parts * plan.columns, np.inf, np.float32)
        self._high = np.full(plan.parts * plan.columns, -np.inf, np.float32)
        self._power = np.zeros((plan.parts * plan.spectrum_columns, plan.rows), np.float32)
        self._windows = np.zeros(plan.parts * plan.spectrum_columns, np.int64)
        self._taper = np.hanning(plan.window + 1)[:-1].astype(np.float32)
        self._first_bin, weights = _row_weights(plan)
        self._weights = torch.from_numpy(weights)
        self._starts, self._columns = _window_starts(plan)
        self._next = 0  # number of the next window
        self._waiting: list[Floats] = []
        self._retained = np.zeros((0, plan.channels), np.float32)
        self._came = 0  # samples so far

    def add(self, piece: Floats) -> None:
        """Measure the next samples, float32 `[sample, channel]`."""
        if not len(piece):
            return
        self._add_extremes(piece)
        self._retained = np.concatenate((self._retained, piece))
        self._came += len(piece)
        self._cut_windows(self._came)

    def finish(self) -> View:
        """Return the view; all samples of the plan must have come."""
        plan = self._plan
        assert self._came == plan.samples
        missing = max(0, plan.window - self._came)  # a file shorter than a window is filled up with silence
        self._retained = np.concatenate((self._retained, np.zeros((missing, plan.channels), np.float32)))
        self._cut_windows(self._came + missing)
        if self._waiting:
            self._transform()
        extremes = np.stack((self._low, self._high), 1)
        extremes[np.isinf(extremes)] = np.nan
        with np.errstate(invalid="ignore"):
            power = np.divide(self._power, self._windows[:, None], dtype=np.float32)
        return View(
            plan,
            extremes.reshape(plan.parts, plan.columns, 2),
            power.reshape(plan.parts, plan.spectrum_columns, plan.rows),
        )

    def _add_extremes(self, piece: Floats) -> None:
        column_samples = self._plan.part_samples / self._plan.columns
        start = self._came
        end = start + len(piece)
        # column n begins at ceil(n column_samples); one column more to either side, for rounding
        first = min(max(0, int(start / column_samples) - 1), len(self._low) - 1)
        last = min(int(end / column_samples) + 2, len(self._low))
        columns = np.arange(first, last)
        bounds = np.ceil(columns * column_samples).astype(np.int64)
        begins = np.clip(bounds - start, 0, len(piece))
        filled = np.append(begins[1:] > begins[:-1], begins[-1] < len(piece))
        columns = columns[filled]
        begins = begins[filled]
        lowest = np.minimum.reduceat(piece.min(axis=1), begins)
        highest = np.maximum.reduceat(piece.max(axis=1), begins)
        self._low[columns] = np.minimum(self._low[columns], lowest)
        self._high[columns] = np.maximum(self._high[columns], highest)

    def _cut_windows(self, end: int) -> None:
        """Copy the windows that end by sample `end`, and drop the samples before the next one."""
        first = end - len(self._retained)
        while self._next < len(self._starts) and self._starts[self._next] + self._plan.window <= end:
            start = int(self._starts[self._next]) - first
            self._waiting.append(self._retained[start : start + self._plan.window].copy())
            self._next += 1
            if len(self._waiting) == _AT_ONCE:  # a fixed number: a product's last bits depend on its size
                self._transform()
        needed = int(self._starts[self._next]) if self._next < len(self._starts) else end
        self._retained = self._retained[max(0, min(needed, end) - first) :].copy()

    def _transform(self) -> None:
        """Add the power of the windows that wait to that of their columns."""
        stop = self._next
        columns = self._columns[stop - len(self._waiting) : stop]
        spectra = np.abs(np.fft.rfft(np.stack(self._waiting) * self._taper[:, None], axis=1)) ** 2
        bins = spectra.mean(2)[:, self._first_bin : self._first_bin + self._weights.shape[1]]
        # by torch, whose threads are the run's: numpy's product has its own, which wait by spinning
        rows = torch.from_numpy(bins.astype(np.float32)) @ self._weights.T
        np.add.at(self._power, columns, rows.numpy())
        np.add.at(self._windows, columns, 1)
        self._waiting.clear()


class FilterExtremes(Closable):
    """A file of the extremes of a bank's filters, float32 `[filter, column, 2]`: lowest and highest sample.

    Each filter is a part. Threads may add frames in any order. Extremes are only ever widened, so that those
    of a stopped run stay right when some of its frames are added again. They are written by `flush`, and when
    the file is closed.

    Args:
        path: path of the file, which is resumed where it exists with the right length.
        filters: number of filters.
        frames: number of frames of each.

    Attributes:
        path: path of the file.
        columns: columns of a filter.

    Raises:
        OutputError: the file cannot be written; `flush` and `close` raise it, too.
    """

    def __init__(self, path: Path, filters: int, frames: int) -> None:
        self.path = path
        self.columns = min(_FILTER_SIZES["columns"], frames)
        self._lock = threading.Lock()
        self._frames = frames
        self._values = np.full((filters, self.columns, 2), (np.inf, -np.inf), np.float32)
        self._changed: dict[int, range] = {}  # columns that are not written yet, by the filter's position
        try:
            if path.exists() and path.stat().st_size == self._values.nbytes:
                self._values = np.fromfile(path, np.float32).reshape(self._values.shape)
            else:
                self._values.tofile(path)
            self._file = PlacedFile(path.open("r+b", buffering=0))
        except OSError as error:
            raise cannot_write(path, error) from error

    def close(self) -> None:
        """Write what has changed, and close the file; closing twice does nothing."""
        try:
            self.flush()
        finally:
            self._file.close()

    def flush(self) -> None:
        """Write what has changed since the last time: no other columns, which other machines may write."""
        with self._lock:
            changed, self._changed = self._changed, {}
            for number, columns in changed.items():
                values = memoryview(self._values[number, columns.start : columns.stop]).cast("B")
                try:
                    self._file.put(values, (number * self.columns + columns.start) * 8)
                except OSError as error:
                    raise cannot_write(self.path, error) from error

    def add(self, first: int, frame: int, low: Floats, high: Floats) -> None:
        """Widen the extremes by those of some frames.

        Args:
            first: position of the first filter.
            frame: number of the first frame.
            low: lowest samples, full scale being 1, float32 `[filter, frame]`.
            high: highest samples, likewise.
        """
        column_of_frame = (np.arange(frame, frame + low.shape[1]) * self.columns) // self._frames
        columns, begins = np.unique(column_of_frame, return_index=True)
        lowest = np.minimum.reduceat(low, begins, axis=1)
        highest = np.maximum.reduceat(high, begins, axis=1)
        with self._lock:
            widened = self._values[first : first + len(low), columns[0] : columns[-1] + 1]
            np.minimum(widened[..., 0], lowest, out=widened[..., 0])
            np.maximum(widened[..., 1], highest, out=widened[..., 1])
            for number in range(first, first + len(low)):
                before = self._changed.get(number, range(int(columns[0]), int(columns[-1]) + 1))
                self._changed[number] = range(
                    min(before.start, int(columns[0])), max(before.stop, int(columns[-1]) + 1)
                )


def read_filter_extremes(path: Path, filters: int, frames: int) -> Floats:
    """Read the file of a `FilterExtremes`.

    Args:
        path: path of the file.
        filters: number of filters.
        frames: number of frames of each.

    Returns:
        float32 `[filter, column, 2]`; NaN where no frame was added.
    """
    with FilterExtremes(path, filters, frames) as extremes:
        values = extremes._values.copy()
    values[np.isinf(values)] = np.nan
    return values


def _row_weights(plan: ViewPlan) -> tuple[int, Floats]:
    """Return the weights that map a window's bins to the plan's rows; see `interval_weights`."""
    scale = FrequencyScale(plan.scale, plan.low_hz, plan.high_hz)
    edges = scale.at(np.linspace(0, 1, plan.rows + 1)) * plan.window / plan.rate_hz + 0.5
    return interval_weights(edges[:-1], edges[1:], plan.window // 2 + 1)


def _window_starts(plan: ViewPlan) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Place the windows of a view.

    Returns:
        The first sample of each window, ascending, and the column whose power it measures; each int64
        `[window]`.
    """
    column_samples = plan.part_samples / plan.spectrum_columns
    most = _WINDOWS_A_COLUMN if plan.columns == _BANK_SIZES["columns"] else 1
    count = int(np.clip(column_samples / (plan.window / 2), 1, most))
    columns = np.repeat(np.arange(plan.parts * plan.spectrum_columns), count)
    inside = np.tile((np.arange(count) + 0.5) / count, plan.parts * plan.spectrum_columns)
    middle = (columns + inside) * column_samples
    part = (columns // plan.spectrum_columns) * plan.part_samples
    # within its part where that is long enough, and within the file
    starts = np.clip(middle - plan.window / 2, part, part + max(0.0, plan.part_samples - plan.window))
    begins = np.clip(np.floor(starts), 0, max(0, plan.samples - plan.window)).astype(np.int64)
    in_file = middle < plan.samples
    return begins[in_file], columns[in_file].astype(np.int64)
