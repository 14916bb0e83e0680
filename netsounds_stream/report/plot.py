"""`plot`: a finished run's pictures again, out of its arrays and its sound files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import soundfile
import torch

from ..base.progress import Listener, Stages
from ..errors import OptionError, OutputError, StoreError
from ..picture.overview import Overview, across_cells
from ..planning.plan import FILTER_CELLS, AudioPlan, Plan, cells_of
from ..planning.sound_options import SoundOptions, one_of
from ..run.layout import PICTURES, RECORD_NAME, Layout, file_label
from ..run.record import recorded_options, recorded_plan
from ..run.record_file import add_files, read_record
from ..sound.view import SoundMeter, View, view_plan
from ..store.arrays import Activations, open_activations
from ..store.blocks import blocks_of
from .charts import sound_name, sound_title, write_charts
from .contact_sheets import MAXIMA, MEANS, PLANES, SINGLE_PIXELS, BankPictures, filter_picture
from .images import save

FORMATS = ("webp", "png")
_BLOCK_VALUES, _PIECE_SAMPLES = 1 << 20, 1 << 16


def plot(
    folder: str | Path,
    *,
    bank: int | None = None,
    filter: int | None = None,
    reduce: Literal["mean", "max"] = "mean",
    size: int = SINGLE_PIXELS,
    format: Literal["webp", "png"] = "webp",
    out: str | Path | None = None,
    on_progress: Listener | None = None,
) -> list[Path]:
    """Make a finished run's pictures again, from its arrays and sound files.

    Without `filter`: each bank's contact sheets of area means and maxima, and the spectrograms and waveforms
    of the sums and of the mix. With it: the picture of one filter.

    Args:
        folder: the run's folder.
        bank: this bank only, without the mix.
        filter: number of a filter of that bank, counted from 0.
        reduce: of a filter's picture: 'mean' or 'max' of the activations in a pixel.
        size: of a filter's picture: its longest edge in pixels, at most.
        format: of a filter's picture: 'webp' or 'png'.
        out: folder for the pictures. None: the run's `pictures`.
        on_progress: called as the work goes on, from any thread.

    Returns:
        The paths of the pictures.

    Raises:
        OptionError: the run has no such bank, or the bank no such filter.
        OutputError: `folder` holds no finished run, or `out` cannot be written.
        StoreError: the run keeps no arrays, or one cannot be read.

    Example:
        >>> from netsounds_stream import plot
        >>> [path.name for path in plot("landscape-netsounds", bank=2, filter=17)]
        ['bank-2_filter-017.webp']
    """
    one_of("reduce", reduce, tuple(PLANES.values()))
    one_of("format", format, FORMATS)
    if size < 1:
        raise OptionError(f"size cannot be {size}; use the long edge's pixels")
    top = Path(folder)
    record = read_record(top / RECORD_NAME)
    if record is None:
        raise OutputError(f"{folder} holds no finished run; give a run's folder")
    try:
        planned, sound = recorded_plan(record), recorded_options(record).sound
    except (LookupError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{folder} was written by another version of netsounds-stream; make the run again"
        ) from error
    numbers = [each.number for each in planned.banks]
    if bank is not None and bank not in numbers:
        raise OptionError(f"the run has no bank {bank}; use one of {', '.join(map(str, numbers))}")
    if filter is not None and bank is None:
        raise OptionError("--filter needs --bank; give both")
    places = Layout(top, file_label(record["label"]), sound.format)
    sources = {number: _array(places, number) for number in (numbers if bank is None else [bank])}
    if bank is not None and filter is not None and not 0 <= filter < sources[bank].channels:
        last = sources[bank].channels - 1
        raise OptionError(f"bank {bank} has no filter {filter}: its filters are 0 to {last}")
    into = top / PICTURES if out is None else Path(out)
    try:
        into.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {into} ({error.strerror}); choose another --out") from error
    stages = Stages(on_progress)
    if bank is not None and filter is not None:
        written = [_plot_filter(sources[bank], bank, filter, reduce, size, format, into, stages)]
    else:
        written = []
        for number, source in sources.items():
            written += _plot_bank(source, number, into, stages)
            written += _plot_sum(places, planned, sound, number, into, stages)
        if bank is None and planned.mix is not None:
            written += _plot_sound(places.mix, planned.mix, sound, 0, into, stages)
    if into.resolve() == (top / PICTURES).resolve():
        add_files(top, record, PICTURES, [top / PICTURES / path.name for path in written])
    return written


def _array(places: Layout, number: int) -> Activations:
    path = places.array(number)
    if not path.exists():
        raise StoreError(
            f"{places.folder} has no array of bank {number}, which its pictures need; make the run again "
            "without --no-activations"
        )
    source = open_activations(path)
    source.check()
    return source


def _plot_filter(
    source: Activations,
    bank: int,
    number: int,
    reduce: str,
    size: int,
    form: str,
    into: Path,
    stages: Stages,
) -> Path:
    plane = next(plane for plane, name in PLANES.items() if name == reduce)
    ending = "" if plane == MEANS else f"_{reduce}"
    path = into / f"bank-{bank}_filter-{number:03d}{ending}.{form}"
    with stages.stage(f"filter {number}", 1, "share") as advance:
        save(filter_picture(source, number, plane, size), path)
        advance(1)
    return path


def _plot_bank(source: Activations, number: int, into: Path, stages: Stages) -> list[Path]:
    cells = cells_of(source.frames, source.frequencies, FILTER_CELLS)
    values = source.channels * source.frames * source.frequencies
    with (
        tempfile.TemporaryDirectory(prefix="netsounds-plot-") as temporary,
        Overview(Path(temporary) / "overview", cells, source.channels, None) as overview,
        stages.stage(f"bank {number}", values, "values") as advance,
    ):
        sums: list[torch.Tensor] = []
        highest: list[torch.Tensor] = []
        for block in blocks_of(source, _BLOCK_VALUES, frames_first=True):
            read = source.read(block.channels, block.frames).float().permute(1, 2, 0).contiguous()
            for gathered, found in zip((sums, highest), across_cells(read, cells.factor), strict=True):
                gathered.append(found)
            advance(read.numel())
            if block.channels.stop == source.channels:
                overview.add(torch.cat(sums, 2), torch.cat(highest, 2))
                sums, highest = [], []
        pictures = BankPictures(number, overview, source.channels, source.time_axis)
        for plane in (MEANS, MAXIMA):
            pictures.write_sheet(plane, into)
        return [into / pictures.name(plane) for plane in (MEANS, MAXIMA)]


def _plot_sum(
    places: Layout,
    planned: Plan,
    sound: SoundOptions,
    number: int,
    into: Path,
    stages: Stages,
) -> list[Path]:
    (each,) = [each for each in planned.banks if each.number == number]
    for audio in each.audio:
        if audio.scheme == "sum":
            return _plot_sound(places.sound(number, "sum"), audio, sound, number, into, stages)
    return []


def _plot_sound(
    path: Path, audio: AudioPlan, sound: SoundOptions, number: int, into: Path, stages: Stages
) -> list[Path]:
    name = sound_name(number, audio.scheme)
    with stages.stage(name, audio.samples, "samples") as advance:
        seen = _seen(path, audio, sound, windowed=not number or sound.windowed, advance=advance)
        write_charts(seen, sound_title(number, audio.scheme), into, name)
    return [into / f"{name}_{what}.png" for what in ("spectrogram", "waveform")]


def _seen(path: Path, audio: AudioPlan, sound: SoundOptions, *, windowed: bool, advance: Any) -> View:
    try:
        with soundfile.SoundFile(str(path)) as file:
            plan = view_plan(replace(audio, samples=file.frames), sound, windowed=windowed, filter_samples=0)
            meter = SoundMeter(plan)
            for piece in _pieces(file):
                meter.add(piece)
                advance(len(piece))
    except soundfile.LibsndfileError as error:
        raise StoreError(f"{path} cannot be read ({error}); make the run again") from error
    return meter.finish()


def _pieces(file: soundfile.SoundFile) -> Iterator[Any]:
    return iter(file.blocks(blocksize=_PIECE_SAMPLES, dtype="float32", always_2d=True))
