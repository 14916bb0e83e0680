"""A run's report: its pictures, forms of sounds that browsers play, and the page that shows them.

Made at the run's end, of what was reduced and seen while it went on; of stored activations only single
filters' pictures are. It begins again where the run was stopped in it, but for the forms.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..base import machine
from ..base.journal import Journal
from ..base.pipeline import Pipeline
from ..base.progress import Advance, Stages
from ..errors import Stopped
from ..picture.overview import Overview
from ..planning.geometry import bank
from ..planning.plan import AudioPlan, BankPlan, Plan
from ..planning.sound_options import SoundOptions
from ..report import page_data
from ..run.layout import PAGE, PICTURES, RECORD_NAME, REPORT, SINGLE_FILE
from ..run.storage import StorageBackend
from ..sound.dsp.spectrum import FrequencyScale
from ..sound.tags import Tags
from ..sound.view import View, Views, parts_begun, read_filter_extremes
from ..store.arrays import Activations
from .browser_forms import write_forms
from .charts import sound_name, sound_title, spectrogram_pixels, waveform, write_charts
from .contact_sheets import MAXIMA, MEANS, BankPictures, filter_picture, spectra_tiles
from .images import coloured, save
from .page import write_page
from .page_data import Played, peaks, sound_entry
from .single_file import write_single_file

STEP = "report"
#: Filters of each bank that get a picture of their own: those with the highest mean.
SINGLES = 8
_PICTURE_QUALITY, _SPECTRA_QUALITY = 82, 40
_CHART_COLUMNS = 1024
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class BankReport:
    """One bank, as the report has it.

    Attributes:
        source: its activations, where they are kept.
        files: by scheme, the sound files.
        filters: those that sound, in order.
        means: each filter's mean activation.
        parts: its part of the mix, by scheme: 'stem' and 'part'.
    """

    planned: BankPlan
    pictures: BankPictures
    source: Activations | None
    files: Sequence[tuple[AudioPlan, Sequence[Path]]]
    filters: tuple[int, ...]
    means: Sequence[float]
    parts: Sequence[tuple[AudioPlan, Path]] = ()


#: A sound, and the bank that it is of; None: the mix.
Sounding = tuple[BankReport | None, Played]


@dataclass(frozen=True)
class Report:
    """Writes the report of the run in `folder`."""

    folder: Path
    plan: Plan
    sound: SoundOptions
    views: Views
    pipeline: Pipeline
    journal: Journal
    tags: Callable[[str, str], Tags]
    banks: Sequence[BankReport]
    mix: Path | None
    preview: Overview
    storage: StorageBackend
    single_file: bool = False

    def write(self, record: Callable[[], Mapping[str, Any]], names: Sequence[str], stages: Stages) -> None:
        """Write all of it.

        Args:
            record: the run's, as far as it is known when the page is written.
            names: of the run's sounds and arrays, for links.

        Raises:
            Stopped: the run was asked to stop.
        """
        for name in (PICTURES, REPORT):
            (self.folder / name).mkdir(exist_ok=True)
        played = self._with_forms(self._played(), stages)
        jobs = list(self._jobs(played))
        with stages.stage(STEP, len(jobs), "pictures") as advance:

            def do(job: Callable[[], None]) -> None:
                if self.journal.stopping:
                    raise Stopped
                job()
                machine.trim_heap()  # sheets are large, and of many sizes
                advance(1)

            self.pipeline.run(jobs, do, [])
        self._write_page(record(), played, names, stages)

    def _write_page(
        self, record: Mapping[str, Any], played: Sequence[Sounding], names: Sequence[str], stages: Stages
    ) -> None:
        data = {
            "format": 1,
            "title": str(record["label"]),
            "picture": self._picture_entry(record),
            "time_axis": self.plan.time_axis,
            "sounds": [self._entry(each, sound) for each, sound in played],
            "banks": [self._bank_entry(each) for each in self.banks],
        }
        names = [*names, PICTURES, REPORT, RECORD_NAME]
        if self.single_file:
            alone = self.folder / SINGLE_FILE
            write_single_file(alone, self.folder, record, data, stages, self.storage.opened)
            names.insert(0, SINGLE_FILE)
        write_page(self.folder, record, data, names)

    def _jobs(self, played: Sequence[Sounding]) -> Iterable[Callable[[], None]]:
        for each in self.banks:
            yield partial(each.pictures.write_sheet, MEANS, self.folder / PICTURES, self.folder / REPORT)
            yield partial(each.pictures.write_sheet, MAXIMA, self.folder / PICTURES)
            yield partial(self._write_bank_script, each)
            if each.source is not None:
                yield from self._singles(each, each.source)
        yield self._write_picture
        for each_bank, sound in played:
            if sound.audio.scheme != "filters":
                yield partial(self._write_charts, each_bank, sound)

    def _singles(self, each: BankReport, source: Activations) -> Iterable[Callable[[], None]]:
        loudest = np.argsort(-np.array(each.means), kind="stable")[:SINGLES]
        for number in sorted(loudest.tolist()):
            path = self.folder / PICTURES / f"bank-{each.planned.number}_filter-{number:03d}.webp"
            yield partial(_write_single, source, number, path)

    def _write_picture(self) -> None:
        values = self.preview.read(MEANS).float().round().clamp(0, 255).to(torch.uint8).numpy()
        upright = values.transpose(1, 0, 2) if self.plan.time_axis == "x" else values
        save(
            Image.fromarray(np.ascontiguousarray(upright)),
            self.folder / REPORT / "picture.webp",
            _PICTURE_QUALITY,
        )

    def _picture_entry(self, record: Mapping[str, Any]) -> dict[str, Any]:
        cells, axis = self.preview.cells, self.plan.time_axis
        sizes = ((cells.along, cells.across), (cells.rows, cells.cross))
        (width, height), (full_width, full_height) = (each if axis == "x" else each[::-1] for each in sizes)
        return {
            "name": record["picture"]["name"],
            "src": f"{REPORT}/picture.webp",
            "width": width,
            "height": height,
            "full_width": full_width,
            "full_height": full_height,
        }

    def _played(self) -> list[Sounding]:
        found: list[Sounding] = []
        if self.mix is not None and self.plan.mix is not None:
            found.append((None, Played(0, self.plan.mix, (self.mix.name,), (), ())))
        for each in self.banks:
            by_scheme = {audio.scheme: (audio, path) for audio, path in each.parts}
            if "part" in by_scheme:
                audio, form = by_scheme["part"]
                stems = [self._name(path) for scheme, (_, path) in by_scheme.items() if scheme == "stem"]
                found.append(
                    (each, Played(each.planned.number, audio, tuple(stems), (self._name(form),), ()))
                )
            for audio, paths in each.files:
                names = tuple(map(self._name, paths))
                filters = () if audio.scheme == "sum" else each.filters
                if audio.scheme == "concat":  # a preview may be through before the last one
                    filters = filters[: parts_begun(audio.samples, self._filter_samples(each), self.sound)]
                found.append((each, Played(each.planned.number, audio, names, (), filters)))
        return found

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _filter_samples(self, each: BankReport) -> int:
        """Of one filter, before any resampling."""
        windowed = self.plan.stft if self.sound.windowed else None
        return each.planned.frames * each.planned.frequencies if windowed is None else windowed.samples

    def _part_samples(self, each: BankReport) -> Fraction:
        """The same at the rate of the file."""
        rate = self.sound.resample_hz or self.sound.sample_rate_hz
        return Fraction(self._filter_samples(each) * rate, self.sound.sample_rate_hz)

    def _with_forms(self, played: Sequence[Sounding], stages: Stages) -> list[Sounding]:
        """The sounds with forms that a browser plays, where they need some; those are written here."""
        wanted = [sound.audio for _, sound in played if sound.audio.browser_bytes]
        if not wanted:
            return list(played)
        work = sum(audio.files * audio.samples * audio.channels for audio in wanted)
        with stages.stage("forms", work, "samples") as advance:
            return [
                (each, self._with_form(each, sound, advance) if sound.audio.browser_bytes else sound)
                for each, sound in played
            ]

    def _with_form(self, each: BankReport | None, sound: Played, advance: Advance) -> Played:
        return write_forms(
            sound,
            self.sound,
            Fraction(0) if each is None else self._part_samples(each),
            self.folder,
            REPORT,
            self.pipeline,
            self.journal,
            self.tags,
            self._peak(each, sound) if self.sound.scale == "none" else 1.0,
            advance,
            self.storage.opened,
        )

    def _peak(self, each: BankReport | None, sound: Played) -> float:
        found = self._seen_by_filter(each) if each is not None and sound.filters else None
        if found is not None:
            return float(np.nanmax(np.abs(found[0]), initial=0))
        return float(np.nanmax(np.abs(View.load(self._view_path(sound)).extremes), initial=0))

    def _view_path(self, sound: Played) -> Path:
        return self.views.path(sound.number, sound.audio.scheme)

    def _entry(self, each: BankReport | None, sound: Played) -> dict[str, Any]:
        size = sum(self.storage.size(self.folder / name) for name in sound.files or sound.forms)
        entry = sound_entry(self.plan, None if each is None else each.planned, sound, self.sound, size)
        if sound.filters:
            return entry
        seen = View.load(self._view_path(sound))
        entry["peaks"] = peaks(seen.extremes[0])
        entry["spectrogram"] = {
            "src": f"{REPORT}/{sound_name(sound.number, sound.audio.scheme)}.webp",
            "width": seen.plan.spectrum_columns,
            "height": seen.plan.rows,
            "scale": seen.plan.scale,
            "low_hz": seen.plan.low_hz,
            "high_hz": seen.plan.high_hz,
        }
        return entry

    def _bank_entry(self, each: BankReport) -> dict[str, Any]:
        about, planned, of = bank(each.planned.number), each.planned, each.pictures
        return {
            "number": about.number,
            "layer": about.layer,
            "channels": planned.channels,
            "stride_px": about.stride,
            "offset_px": about.offset,
            "field_px": about.field,
            "height": planned.shape[1],
            "width": planned.shape[2],
            "script": f"{REPORT}/bank-{about.number}.js",
            "sheet": page_data.sheet(f"{REPORT}/bank-{about.number}.webp", of.small),
            "mean": page_data.sheet(f"{PICTURES}/{of.name(MEANS)}", of.sheet),
            "max": page_data.sheet(f"{PICTURES}/{of.name(MAXIMA)}", of.sheet),
            "levels_db": page_data.levels_db(each.means),
        }

    def _write_bank_script(self, each: BankReport) -> None:
        """What is seen of its filters' sounds, loaded by the page when it is wanted."""
        number, found = each.planned.number, self._seen_by_filter(each)
        content: dict[str, Any] = {"columns": 0, "peaks": None, "spectra": None}
        if found is not None:
            extremes, power, scale = found
            image, of = spectra_tiles(power())
            save(image, self.folder / REPORT / f"bank-{number}_spectra.webp", _SPECTRA_QUALITY)
            seen = peaks(extremes)
            content = {
                "columns": seen["columns"],
                "peaks": seen["data"],
                "peak": seen["peak"],
                "spectra": {
                    **page_data.sheet(f"{REPORT}/bank-{number}_spectra.webp", of),
                    "scale": scale.name,
                    "low_hz": scale.low_hz,
                    "high_hz": scale.high_hz,
                },
            }
        path = self.folder / REPORT / f"bank-{number}.js"
        path.write_text(f"netsoundsBank({number}, {json.dumps(content)});\n", encoding="ascii")

    def _seen_by_filter(self, each: BankReport) -> tuple[Floats, Callable[[], Floats], FrequencyScale] | None:
        """Extremes and power `[filter, column, ...]` of the filters that sound one by one, if any do; the
        power when it is asked for."""
        schemes = {audio.scheme for audio, _ in each.files}
        number, filters = each.planned.number, each.filters
        if "filters" in schemes and self.views.path(number, f"filter {filters[0]}").exists():
            views = [View.load(self.views.path(number, f"filter {at}")) for at in filters]
            extremes, power = ([getattr(view, name)[0] for view in views] for name in ("extremes", "power"))
            return np.stack(extremes), lambda: np.stack(power), _scale(views[0])
        if "concat" in schemes and (path := self.views.path(number, "concat")).exists():
            seen = View.load(path)
            return seen.extremes, lambda: seen.power, _scale(seen)
        if not {"concat", "filters"} & schemes:
            return None
        path = self.views.extremes_path(number)
        extremes_found = read_filter_extremes(path, len(filters), each.planned.frames)
        scale = FrequencyScale("linear", 0.0, self.sound.sample_rate_hz / 2)
        return extremes_found, lambda: each.pictures.spectra(filters), scale

    def _write_charts(self, each: BankReport | None, sound: Played) -> None:
        """The spectrogram and the waveform of a sum, the waveform of `concat`."""
        number, scheme = sound.number, sound.audio.scheme
        title, name, pictures = (
            sound_title(number, scheme),
            sound_name(number, scheme),
            self.folder / PICTURES,
        )
        if scheme == "part":  # what the page shows is enough: the mix has charts
            save(
                coloured(spectrogram_pixels(View.load(self._view_path(sound)))),
                self.folder / REPORT / f"{name}.webp",
            )
            return
        if not sound.filters:
            shown = write_charts(View.load(self._view_path(sound)), title, pictures, name)
            save(coloured(shown), self.folder / REPORT / f"{name}.webp")
            return
        assert each is not None
        if (path := self._view_path(sound)).exists():
            found, part_samples = View.load(path).extremes, View.load(path).plan.part_samples
        else:
            by_filter, part_samples = self._seen_by_filter(each), float(self._part_samples(each))
            assert by_filter is not None
            found = by_filter[0]
        columns = ceil(sound.audio.samples / part_samples * found.shape[1])  # fewer in a preview
        extremes = _about(found.reshape(-1, 2)[:columns], _CHART_COLUMNS)
        seconds = sound.audio.samples / (self.sound.resample_hz or self.sound.sample_rate_hz)
        save(waveform(extremes, seconds, f"{title}: waveform"), pictures / f"{name}_waveform.png")


def report_files(folder: Path) -> list[Path]:
    """What a report consists of, forms of sounds apart: those are known from their writing."""
    inside = [path for name in (PICTURES, REPORT) for path in (folder / name).iterdir() if path.is_file()]
    forms = [path for path in inside if path.suffix == ".flac"]
    pages = [path for path in (folder / PAGE, folder / SINGLE_FILE) if path.exists()]
    return [*pages, *sorted({*inside} - {*forms})]


def _write_single(source: Activations, number: int, path: Path) -> None:
    save(filter_picture(source, number), path)


def _scale(seen: View) -> FrequencyScale:
    return FrequencyScale(seen.plan.scale, seen.plan.low_hz, seen.plan.high_hz)


def _about(extremes: Floats, most: int) -> Floats:
    """Extremes `[column, 2]` over half as many columns as `most` or more: of some, or each several times."""
    if len(extremes) < most:
        return np.repeat(extremes, most // len(extremes), axis=0)
    factor = -(-len(extremes) // most)
    starts = np.arange(0, len(extremes), factor)
    low = np.fmin.reduceat(extremes[:, 0], starts)
    return np.stack((low, np.fmax.reduceat(extremes[:, 1], starts)), 1)
