"""Banks in the report: their entries in the page's data, their images, and the views of their filters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..planning.plan import AudioPlan, BankPlan
from ..planning.sound_options import SoundOptions
from ..run.layout import PICTURES, REPORT, page_script, page_sheet, spectra_sheet
from ..sound.dsp.spectrum import FrequencyScale
from ..sound.firing import Firing
from ..sound.view import View, Views, read_filter_extremes
from ..store.arrays import Activations
from . import page_data
from .charts import frequency_scale
from .contact_sheets import (
    MAXIMA,
    MEANS,
    BankPictures,
    filter_picture,
    filter_picture_name,
    spectra_tiles,
)
from .firing_data import firing_entry
from .images import save

#: Filters of each bank that get an image of their own: those with the highest mean.
SINGLES = 8
_SPECTRA_QUALITY = 40
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class FilterViews:
    """Views of the sounds of a bank's filters.

    Attributes:
        extremes: lowest and highest sample `[filter, column, 2]`; NaN where a column has no sample.
        power: returns the spectra `[filter, column, row]`, the lowest frequency first.
        scale: frequency scale of the rows.
    """

    extremes: Floats
    power: Callable[[], Floats]
    scale: FrequencyScale

    @property
    def peak(self) -> float:
        """The largest magnitude of a sample."""
        return float(np.nanmax(np.abs(self.extremes), initial=0))


@dataclass(frozen=True, kw_only=True)
class BankReport:
    """One bank of the report.

    Attributes:
        planned: the bank's plan.
        pictures: its contact sheets.
        source: its activations, where the run keeps them.
        files: its sound files, with their plan, for each scheme.
        filters: numbers of its audible filters, in order.
        means: each filter's mean activation.
        parts: its part of the mix, with its plan: the stem, and what the page plays.
        firing: its filters' levels over time, with all rows; None: they were not measured.
    """

    planned: BankPlan
    pictures: BankPictures
    source: Activations | None
    files: Sequence[tuple[AudioPlan, Sequence[Path]]]
    filters: tuple[int, ...]
    means: Sequence[float]
    parts: Sequence[tuple[AudioPlan, Path]] = ()
    firing: Firing | None = None

    def entry(self) -> dict[str, Any]:
        """Describe the bank for the page.

        Returns:
            The bank's entry in the page's data: its layer, geometry, script, contact sheets and steps.
        """
        firing = None
        if self.firing is not None:
            firing = firing_entry(self.planned, self.firing.grid, self.pictures.time_axis, self.filters)
        spec = self.planned.bank
        pictures = self.pictures
        return {
            "number": spec.number,
            "layer": spec.layer,
            "channels": self.planned.channels,
            "stride_px": spec.stride,
            "offset_px": spec.y.offset,
            "field_px": spec.field,
            "height": self.planned.shape[1],
            "width": self.planned.shape[2],
            "script": f"{REPORT}/{page_script(spec.number)}",
            "sheet": page_data.sheet(f"{REPORT}/{page_sheet(spec.number)}", pictures.small),
            "mean": page_data.sheet(f"{PICTURES}/{pictures.name(MEANS)}", pictures.sheet),
            "max": page_data.sheet(f"{PICTURES}/{pictures.name(MAXIMA)}", pictures.sheet),
            "levels_db": page_data.levels_db(self.means),
            "firing": firing,
        }

    def jobs(self, folder: Path, views: Views, sound: SoundOptions) -> Iterator[Callable[[], None]]:
        """Yield what writes the bank's files, piece by piece.

        Args:
            folder: the run's folder.
            views: where the views of the run's sounds lie.
            sound: how the sounds were made.

        Yields:
            Functions without arguments; each writes one or two files and may run in any thread.
        """
        yield partial(self.pictures.write_sheet, MEANS, folder / PICTURES, folder / REPORT)
        yield partial(self.pictures.write_sheet, MAXIMA, folder / PICTURES)
        yield partial(self.write_script, folder / REPORT, views, sound)
        if self.source is not None:
            loudest = np.argsort(-np.array(self.means), kind="stable")[:SINGLES]
            for number in sorted(loudest.tolist()):
                path = folder / PICTURES / filter_picture_name(self.planned.number, number)
                yield partial(_write_filter_picture, self.source, number, path)

    def write_script(self, report: Path, views: Views, sound: SoundOptions) -> None:
        """Write the script that brings the waveforms and spectra of the bank's filters to the page.

        The page loads it when the bank is chosen: a page of a file system may load scripts, but not data.
        """
        number = self.planned.number
        content: dict[str, Any] = {"columns": 0, "peaks": None, "spectra": None}
        filter_views = self.filter_views(views, sound)
        if filter_views is not None:
            image, layout = spectra_tiles(filter_views.power())
            save(image, report / spectra_sheet(number), _SPECTRA_QUALITY)
            waveforms = page_data.peaks(filter_views.extremes)
            content = {
                "columns": waveforms["columns"],
                "peaks": waveforms["data"],
                "peak": waveforms["peak"],
                "spectra": {
                    **page_data.sheet(f"{REPORT}/{spectra_sheet(number)}", layout),
                    "scale": filter_views.scale.name,
                    "low_hz": filter_views.scale.low_hz,
                    "high_hz": filter_views.scale.high_hz,
                },
            }
        path = report / page_script(number)
        path.write_text(f"netsoundsBank({number}, {json.dumps(content)});\n", encoding="ascii")

    def filter_views(self, views: Views, sound: SoundOptions) -> FilterViews | None:
        """Collect the views of the filters that are heard one by one.

        Raw filters were measured without their spectra, which are estimated from the overview.

        Returns:
            The views of the audible filters, in order; None if the run has no such sounds.
        """
        schemes = {audio.scheme for audio, _ in self.files}
        number = self.planned.number
        if "filters" in schemes and views.path(number, f"filter {self.filters[0]}").exists():
            by_filter = [View.load(views.path(number, f"filter {index}")) for index in self.filters]
            return FilterViews(
                extremes=np.stack([view.extremes[0] for view in by_filter]),
                power=lambda: np.stack([view.power[0] for view in by_filter]),
                scale=frequency_scale(by_filter[0]),
            )
        if "concat" in schemes and (path := views.path(number, "concat")).exists():
            view = View.load(path)
            return FilterViews(extremes=view.extremes, power=lambda: view.power, scale=frequency_scale(view))
        if not {"concat", "filters"} & schemes:
            return None
        path = views.extremes_path(number)
        return FilterViews(
            extremes=read_filter_extremes(path, len(self.filters), self.planned.frames),
            power=lambda: self.pictures.spectra(self.filters),
            scale=FrequencyScale("linear", 0.0, sound.sample_rate_hz / 2),
        )


def _write_filter_picture(source: Activations, number: int, path: Path) -> None:
    save(filter_picture(source, number), path)
