"""`plot`: the images of a finished run, made again from its arrays and sound files."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import soundfile
import torch

from ..base.progress import Advance, Listener, Stages
from ..errors import OptionError, OutputError, StoreError
from ..picture.overview import Overview, across_cells
from ..planning.plan import FILTER_CELLS, AudioPlan, Plan, cells_of
from ..planning.sound_options import SoundOptions, one_of
from ..run.layout import PICTURES, Layout, file_label
from ..run.record import recorded_options, recorded_plan
from ..run.record_file import add_files, finished_record
from ..sound.view import SoundMeter, View, view_plan
from ..store.arrays import Activations, open_activations
from ..store.blocks import blocks_of
from .charts import sound_name, sound_title, write_charts
from .contact_sheets import (
    MAXIMA,
    MEANS,
    PLANES,
    SINGLE_PIXELS,
    BankPictures,
    filter_picture,
    filter_picture_name,
)
from .images import save

FORMATS = ("jpg", "png")
_BLOCK_VALUES = 1 << 20
_PIECE_SAMPLES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A finished run whose images are made.

    Attributes:
        folder: the run's folder.
        record: its record.
        plan: its plan.
        sound: how its sound was made.
    """

    folder: Path
    record: dict[str, Any]
    plan: Plan
    sound: SoundOptions

    @property
    def layout(self) -> Layout:
        """Names of the run's files."""
        return Layout(self.folder, file_label(self.record["label"]), self.sound.format)


def plot(
    folder: str | Path,
    *,
    bank: int | None = None,
    filter: int | None = None,
    reduce: Literal["mean", "max"] = "mean",
    size: int = SINGLE_PIXELS,
    format: Literal["jpg", "png"] = "jpg",
    out: str | Path | None = None,
    on_progress: Listener | None = None,
) -> list[Path]:
    """Make a finished run's images again, from its arrays and sound files.

    Without `filter`, these are each bank's contact sheets of means and maxima, and the spectrograms and
    waveforms of the sums and of the mix. With `filter`, it is the image of that filter.

    Args:
        folder: the run's folder.
        bank: number of the only bank to show, without the mix.
        filter: number of the only filter of that bank to show, counted from 0.
        reduce: what a pixel of a filter's image shows: 'mean' or 'max' of its activations.
        size: longest edge of a filter's image in pixels, at most.
        format: file format of a filter's image: 'jpg' or 'png'.
        out: folder for the images. None: the run's `pictures`.
        on_progress: called as the work goes on, from any thread.

    Returns:
        The paths of the images.

    Raises:
        OptionError: the run has no such bank, or the bank no such filter.
        OutputError: `folder` holds no finished run, or `out` cannot be written.
        StoreError: the run keeps no arrays, or one cannot be read.

    Example:
        >>> from netsounds_stream import plot
        >>> [path.name for path in plot("landscape-netsounds", bank=2, filter=17)]
        ['bank-2_filter-017.jpg']
    """
    one_of("reduce", reduce, tuple(PLANES.values()))
    one_of("format", format, FORMATS)
    if size < 1:
        raise OptionError(f"size cannot be {size}; use the long edge's pixels")
    run = _finished_run(folder)
    numbers = [bank_plan.number for bank_plan in run.plan.banks]
    if bank is not None and bank not in numbers:
        raise OptionError(f"the run has no bank {bank}; use one of {', '.join(map(str, numbers))}")
    if filter is not None and bank is None:
        raise OptionError("--filter needs --bank; give both")
    arrays = {number: _array(run.layout, number) for number in (numbers if bank is None else [bank])}
    if bank is not None and filter is not None and not 0 <= filter < arrays[bank].channels:
        last = arrays[bank].channels - 1
        raise OptionError(f"bank {bank} has no filter {filter}: its filters are 0 to {last}")
    pictures = run.folder / PICTURES
    into = pictures if out is None else Path(out)
    try:
        into.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {into} ({error.strerror}); choose another --out") from error
    stages = Stages(on_progress)
    written: list[Path] = []
    if bank is not None and filter is not None:
        path = into / filter_picture_name(bank, filter, _plane(reduce), format)
        with stages.stage(f"filter {filter}", 1, "share") as advance:
            save(filter_picture(arrays[bank], filter, _plane(reduce), size), path)
            advance(1)
        written.append(path)
    else:
        for number, array in arrays.items():
            written += _plot_bank(array, number, into, stages)
            written += _plot_sum(run, number, into, stages)
        if bank is None and run.plan.mix is not None:
            written += _plot_sound(run, run.layout.mix, run.plan.mix, 0, into, stages)
    if into.resolve() == pictures.resolve():
        add_files(run.folder, run.record, PICTURES, [pictures / path.name for path in written])
    return written


def _finished_run(folder: str | Path) -> _Run:
    """Read a finished run's record.

    Raises:
        OutputError: `folder` holds no finished run.
        StoreError: the record cannot be understood.
    """
    record = finished_record(Path(folder))
    try:
        return _Run(
            folder=Path(folder),
            record=record,
            plan=recorded_plan(record),
            sound=recorded_options(record).sound,
        )
    except (LookupError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{folder} was written by another version of netsounds-stream; make the run again"
        ) from error


def _array(layout: Layout, number: int) -> Activations:
    """Open and check a bank's array.

    Raises:
        StoreError: the run keeps no arrays, or this one is damaged.
    """
    path = layout.array(number)
    if not path.exists():
        raise StoreError(
            f"{layout.folder} has no array of bank {number}, which its pictures need; make the run again "
            "without --no-activations"
        )
    array = open_activations(path)
    array.check()
    return array


def _plane(reduce: str) -> int:
    return next(plane for plane, name in PLANES.items() if name == reduce)


def _plot_bank(array: Activations, number: int, into: Path, stages: Stages) -> list[Path]:
    """Write a bank's contact sheets, from an overview made of its array; return their paths."""
    cells = cells_of(array.frames, array.frequencies, FILTER_CELLS)
    values = array.channels * array.frames * array.frequencies
    with (
        tempfile.TemporaryDirectory(prefix="netsounds-plot-") as temporary,
        Overview(Path(temporary) / "overview", cells, array.channels, None) as overview,
        stages.stage(f"bank {number}", values, "values") as advance,
    ):
        sums: list[torch.Tensor] = []
        maxima: list[torch.Tensor] = []
        for block in blocks_of(array, _BLOCK_VALUES, frames_first=True):
            read = array.read(block.channels, block.frames).float().permute(1, 2, 0).contiguous()
            block_sums, block_maxima = across_cells(read, cells.factor)
            sums.append(block_sums)
            maxima.append(block_maxima)
            advance(read.numel())
            if block.channels.stop == array.channels:  # these frames are complete
                overview.add(torch.cat(sums, 2), torch.cat(maxima, 2))
                sums = []
                maxima = []
        pictures = BankPictures(number, overview, array.channels, array.time_axis)
        for plane in (MEANS, MAXIMA):
            pictures.write_sheet(plane, into)
        return [into / pictures.name(plane) for plane in (MEANS, MAXIMA)]


def _plot_sum(run: _Run, number: int, into: Path, stages: Stages) -> list[Path]:
    """Write the charts of a bank's sum, if the run has one; return their paths."""
    bank_plan = next(bank_plan for bank_plan in run.plan.banks if bank_plan.number == number)
    for audio in bank_plan.audio:
        if audio.scheme == "sum":
            return _plot_sound(run, run.layout.sound(number, "sum"), audio, number, into, stages)
    return []


def _plot_sound(
    run: _Run, path: Path, audio: AudioPlan, number: int, into: Path, stages: Stages
) -> list[Path]:
    """Write the charts of a sound file; return their paths.

    Args:
        run: the run.
        path: the sound file.
        audio: its plan.
        number: number of its bank; 0: the mix.
        into: folder for the charts.
        stages: reports progress.
    """
    name = sound_name(number, audio.scheme)
    with stages.stage(name, audio.samples, "samples") as advance:
        view = _view(path, audio, run.sound, windowed=not number or run.sound.windowed, advance=advance)
        write_charts(view, sound_title(number, audio.scheme), into, name)
    return [into / f"{name}_{chart}.png" for chart in ("spectrogram", "waveform")]


def _view(path: Path, audio: AudioPlan, sound: SoundOptions, *, windowed: bool, advance: Advance) -> View:
    """Measure a sound file's extremes and spectra.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        with soundfile.SoundFile(str(path)) as file:
            plan = view_plan(replace(audio, samples=file.frames), sound, windowed=windowed, filter_samples=0)
            meter = SoundMeter(plan)
            for piece in file.blocks(blocksize=_PIECE_SAMPLES, dtype="float32", always_2d=True):
                meter.add(piece)
                advance(len(piece))
    except soundfile.LibsndfileError as error:
        raise StoreError(f"{path} cannot be read ({error}); make the run again") from error
    return meter.finish()
