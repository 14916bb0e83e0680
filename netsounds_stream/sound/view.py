"""What of a sound file can be seen: its extremes and its spectrum over time, measured while it is written.

A file is seen as one part, or as parts of one length end to end (the filters of `concat`). A part has
columns; of a column there are its lowest and highest sample, and the power in some rows of frequencies, out
of at most four windows evenly spaced in it: a file of hours costs little more than one of minutes.
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

from ..base.spool import PlacedFile
from ..errors import StoreError, cannot_write
from ..planning.plan import AudioPlan
from ..planning.sound_options import SoundOptions
from .dsp.spectrum import FrequencyScale, interval_weights

Floats = NDArray[np.float32]
# Columns of extremes and of spectra, and rows of spectra: of a whole bank's sound, and of each filter's.
_WHOLE, _FILTER = (1024, 1024, 256), (128, 64, 32)
_WINDOW = 4096  # samples at most
_WINDOWS_A_COLUMN = 4
_AT_ONCE = 32  # windows transformed at a time


@dataclass(frozen=True)
class ViewPlan:
    """How a file of `samples` a channel is seen: as `parts` of `part_samples`; the last may be cut short.

    A part has so many `columns` of extremes, and `spectrum_columns` of `rows` of power. Frequencies from
    `low_hz` to `high_hz` are spread by `scale`: 'linear', 'mel' or 'log'.
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
        """Samples of a window: a power of two, no more than a part."""
        return min(_WINDOW, 1 << max(4, int(self.part_samples).bit_length() - 1))


def view_plan(audio: AudioPlan, sound: SoundOptions, *, windowed: bool, filter_samples: int) -> ViewPlan:
    """Of one file; `filter_samples` are a filter's where it is one of `concat`, before any resampling."""
    rate, parts, length, sizes = sound.resample_hz or sound.sample_rate_hz, 1, float(audio.samples), _WHOLE
    if audio.scheme == "concat":
        length = filter_samples * rate / sound.sample_rate_hz
        parts = parts_begun(audio.samples, filter_samples, sound)
    if audio.scheme in ("concat", "filters"):
        sizes = _FILTER
    low, high = sound.frequencies_hz if windowed else (0.0, rate / 2)
    scale = sound.frequency if windowed else "linear"
    if low >= rate / 2:  # another rate has left nothing of what sounded
        scale, low = "linear", 0.0
    return ViewPlan(
        audio.samples, audio.channels, rate, parts, length, scale, low, min(high, rate / 2), *sizes
    )


def parts_begun(samples: int, each: int, sound: SoundOptions) -> int:
    """How many parts of `each` samples, before any resampling, a file of `samples` has something of."""
    rate = sound.resample_hz or sound.sample_rate_hz
    return (samples - 1) * sound.sample_rate_hz // (each * rate) + 1


@dataclass(frozen=True)
class View:
    """What was seen: float32 `extremes` `[part, column, 2]`, lowest and highest, full scale being 1; and
    `power` `[part, column, row]`, the lowest frequency first. NaN where there was no sample.
    """

    plan: ViewPlan
    extremes: Floats
    power: Floats

    def save(self, path: Path) -> None:
        """
        Raises:
            OutputError: it cannot be written.
        """
        plan = np.array(json.dumps(asdict(self.plan)))
        try:
            with path.open("wb") as file:
                np.savez(file, plan=plan, extremes=self.extremes, power=self.power)
        except OSError as error:
            raise cannot_write(path, error) from error

    @classmethod
    def load(cls, path: Path) -> View:
        """
        Raises:
            StoreError: it is not there, or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as saved:
                plan = ViewPlan(**json.loads(str(saved["plan"])))
                return cls(plan, saved["extremes"], saved["power"])
        except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile) as error:
            raise StoreError(f"{path} cannot be read ({error}); start again with --overwrite") from error


@dataclass(frozen=True)
class Views:
    """Where a run's views wait until its report is made."""

    folder: Path

    def path(self, bank: int, scheme: str) -> Path:
        """Of a bank's file by that scheme (`filter 3` for one of `filters`); of bank 0, the mix."""
        return self.folder / f"view-{bank}-{scheme.replace(' ', '-')}.npz"

    def extremes_path(self, bank: int) -> Path:
        """Of a bank's filters where they are inverted one by one."""
        return self.folder / f"view-{bank}.extremes"


class SoundMeter:
    """Sees a file as its samples come, from front to back.

    Holds some windows of them, and the results.
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
        starts, self._columns = _window_starts(plan)
        self._starts, self._next = starts, 0
        self._waiting: list[Floats] = []
        self._kept, self._came = np.zeros((0, plan.channels), np.float32), 0

    def add(self, piece: Floats) -> None:
        """Take the next samples, `[sample, channel]`."""
        if not len(piece):
            return
        self._add_extremes(piece)
        self._kept = np.concatenate((self._kept, piece))
        self._came += len(piece)
        self._take_windows(self._came)

    def finish(self) -> View:
        """What was seen, every sample having come."""
        plan = self._plan
        assert self._came == plan.samples
        missing = max(0, plan.window - self._came)  # a file shorter than a window is seen beside silence
        self._kept = np.concatenate((self._kept, np.zeros((missing, plan.channels), np.float32)))
        self._take_windows(self._came + missing)
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
        a_column = self._plan.part_samples / self._plan.columns
        at, end = self._came, self._came + len(piece)
        # column n has the samples from ceil(n a_column) on; one more to either side, for what is rounded here
        first = min(max(0, int(at / a_column) - 1), len(self._low) - 1)
        last = min(int(end / a_column) + 2, len(self._low))
        bounds = np.ceil(np.arange(first, last) * a_column).astype(np.int64)
        begins = np.clip(bounds - at, 0, len(piece))
        columns, places = np.arange(first, last), begins
        kept = np.append(places[1:] > places[:-1], places[-1] < len(piece))
        columns, places = columns[kept], places[kept]
        lowest = np.minimum.reduceat(piece.min(axis=1), places)
        highest = np.maximum.reduceat(piece.max(axis=1), places)
        self._low[columns] = np.minimum(self._low[columns], lowest)
        self._high[columns] = np.maximum(self._high[columns], highest)

    def _take_windows(self, end: int) -> None:
        """Copy the windows that end by `end`; what is kept begins where the next one does."""
        first = end - len(self._kept)
        while self._next < len(self._starts) and self._starts[self._next] + self._plan.window <= end:
            start = int(self._starts[self._next]) - first
            self._waiting.append(self._kept[start : start + self._plan.window].copy())
            self._next += 1
            if len(self._waiting) == _AT_ONCE:  # always as many: a product's last bits depend on it
                self._transform()
        needed = int(self._starts[self._next]) if self._next < len(self._starts) else end
        self._kept = self._kept[max(0, min(needed, end) - first) :].copy()

    def _transform(self) -> None:
        stop = self._next
        columns = self._columns[stop - len(self._waiting) : stop]
        spectra = np.abs(np.fft.rfft(np.stack(self._waiting) * self._taper[:, None], axis=1)) ** 2
        heard = spectra.mean(2)[:, self._first_bin : self._first_bin + self._weights.shape[1]]
        # by torch, whose threads are the run's: numpy's product has some of its own, which wait by spinning
        rows = torch.from_numpy(heard.astype(np.float32)) @ self._weights.T
        np.add.at(self._power, columns, rows.numpy())
        np.add.at(self._windows, columns, 1)
        self._waiting.clear()


class FilterExtremes:
    """Extremes of a bank's filters, each a part, that are written in any order, from several threads.

    They are kept in a file at `path`, and only ever widened: so what a stopped run left there is gone on
    with whatever of it is done again.
    """

    def __init__(self, path: Path, filters: int, frames: int) -> None:
        self.path, self._lock = path, threading.Lock()
        self.columns = min(_FILTER[0], frames)
        self._frames = frames
        self._values = np.full((filters, self.columns, 2), (np.inf, -np.inf), np.float32)
        try:
            if path.exists() and path.stat().st_size == self._values.nbytes:
                self._values = np.fromfile(path, np.float32).reshape(self._values.shape)
            else:
                self._values.tofile(path)
            self._file = PlacedFile(path.open("r+b", buffering=0))
        except OSError as error:
            raise cannot_write(path, error) from error

    def __enter__(self) -> FilterExtremes:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, first: int, frame: int, low: Floats, high: Floats) -> None:
        """Widen by each frame's extremes, `[filter, frame]`, of the filters and frames from there on."""
        at = (np.arange(frame, frame + low.shape[1]) * self.columns) // self._frames
        columns, begins = np.unique(at, return_index=True)
        with self._lock:
            for number in range(len(low)):
                mine = self._values[first + number, columns[0] : columns[-1] + 1]
                mine[:, 0] = np.minimum(mine[:, 0], np.minimum.reduceat(low[number], begins))
                mine[:, 1] = np.maximum(mine[:, 1], np.maximum.reduceat(high[number], begins))
                place = ((first + number) * self.columns + int(columns[0])) * 8
                try:
                    self._file.put(memoryview(np.ascontiguousarray(mine)).cast("B"), place)
                except OSError as error:
                    raise cannot_write(self.path, error) from error


def read_filter_extremes(path: Path, filters: int, frames: int) -> Floats:
    """What `FilterExtremes` kept, `[filter, column, 2]`; NaN where nothing was written."""
    with FilterExtremes(path, filters, frames) as kept:
        values = kept._values.copy()
    values[np.isinf(values)] = np.nan
    return values


def _row_weights(plan: ViewPlan) -> tuple[int, Floats]:
    """From a window's bins to the plan's rows: `interval_weights`."""
    scale = FrequencyScale(plan.scale, plan.low_hz, plan.high_hz)
    edges = scale.at(np.linspace(0, 1, plan.rows + 1)) * plan.window / plan.rate_hz + 0.5
    return interval_weights(edges[:-1], edges[1:], plan.window // 2 + 1)


def _window_starts(plan: ViewPlan) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first sample of each window, ascending, and the column that it is of."""
    a_column = plan.part_samples / plan.spectrum_columns
    most = _WINDOWS_A_COLUMN if plan.columns == _WHOLE[0] else 1
    count = int(np.clip(a_column / (plan.window / 2), 1, most))
    columns = np.repeat(np.arange(plan.parts * plan.spectrum_columns), count)
    inside = np.tile((np.arange(count) + 0.5) / count, plan.parts * plan.spectrum_columns)
    middle = (columns + inside) * a_column
    part = (columns // plan.spectrum_columns) * plan.part_samples
    # within its part where that is long enough, and within the file
    starts = np.clip(middle - plan.window / 2, part, part + max(0.0, plan.part_samples - plan.window))
    begins = np.clip(np.floor(starts), 0, max(0, plan.samples - plan.window)).astype(np.int64)
    there = middle < plan.samples
    return begins[there], columns[there].astype(np.int64)
