"""Sounds in the report: what the page plays, its entries in the page's data, and the charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.progress import Stages
from ..planning.plan import Plan
from ..planning.sound_options import SoundOptions
from ..planning.sound_plan import filter_samples
from ..run.layout import PICTURES, REPORT
from ..run.storage import StorageBackend
from ..sound.view import View, Views, parts_begun
from .banks import BankReport
from .browser_forms import FormWriter
from .charts import sound_name, sound_title, spectrogram_pixels, waveform, write_charts
from .images import coloured, save
from .page_data import Played, peaks, sound_entry

_CHART_COLUMNS = 1024
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class ReportSound:
    """A sound of the report.

    Attributes:
        played: the sound as the page plays it.
        bank: its bank; None: the mix.
    """

    played: Played
    bank: BankReport | None = None


@dataclass(frozen=True, kw_only=True)
class ReportSounds:
    """Lists and shows the sounds of a run.

    Attributes:
        folder: the run's folder.
        plan: its plan.
        sound: how its sounds were made.
        views: where the sounds' views lie.
        storage: where finished sound files lie.
    """

    folder: Path
    plan: Plan
    sound: SoundOptions
    views: Views
    storage: StorageBackend

    def listed(self, banks: Sequence[BankReport], mix: Path | None) -> list[ReportSound]:
        """Return the run's sounds in the page's order, without browser forms.

        Args:
            banks: the banks.
            mix: the mix's file; None: the run has no mix.
        """
        sounds: list[ReportSound] = []
        if mix is not None and self.plan.mix is not None:
            sounds.append(ReportSound(played=Played(number=0, audio=self.plan.mix, files=(mix.name,))))
        for bank in banks:
            sounds += [ReportSound(played=played, bank=bank) for played in self._of_bank(bank)]
        return sounds

    def with_forms(
        self, sounds: Sequence[ReportSound], writer: FormWriter, stages: Stages
    ) -> list[ReportSound]:
        """Write the browser forms that the run's plan asks for.

        Args:
            sounds: the sounds without forms.
            writer: writes the forms.
            stages: reports progress.

        Returns:
            The sounds with their forms.

        Raises:
            Stopped: the run was cancelled.
        """
        unplayable = [sound.played.audio for sound in sounds if sound.played.audio.browser_bytes]
        if not unplayable:
            return list(sounds)
        work = sum(audio.files * audio.samples * audio.channels for audio in unplayable)
        result = []
        with stages.stage("forms", work, "samples") as advance:
            for sound in sounds:
                played = sound.played
                if played.audio.browser_bytes:
                    samples = Fraction(0) if sound.bank is None else self._filter_samples(sound.bank)
                    peak = self._peak(sound) if self.sound.scale == "none" else 1.0
                    played = writer.write(played, advance, filter_samples=samples, peak=peak)
                result.append(replace(sound, played=played))
        return result

    def entry(self, sound: ReportSound) -> dict[str, Any]:
        """Describe a sound for the page.

        Returns:
            The sound's entry in the page's data; with waveform and spectrogram, unless its filters are heard
            one by one: those come with the bank's script.
        """
        played = sound.played
        size = sum(self.storage.size(self.folder / name) for name in played.files or played.forms)
        bank_plan = None if sound.bank is None else sound.bank.planned
        entry = sound_entry(self.plan, bank_plan, played, self.sound, size)
        if played.filters:
            return entry
        view = View.load(self._view_path(played))
        entry["peaks"] = peaks(view.extremes[0])
        entry["spectrogram"] = {
            "src": f"{REPORT}/{sound_name(played.number, played.audio.scheme)}.jpg",
            "width": view.plan.spectrum_columns,
            "height": view.plan.rows,
            "scale": view.plan.scale,
            "low_hz": view.plan.low_hz,
            "high_hz": view.plan.high_hz,
        }
        return entry

    def write_charts(self, sound: ReportSound) -> None:
        """Write a sound's charts, and the spectrogram that the page shows.

        A `concat` gets a waveform alone. A part of the mix gets no charts: the mix has them.
        """
        played = sound.played
        title = sound_title(played.number, played.audio.scheme)
        name = sound_name(played.number, played.audio.scheme)
        pictures = self.folder / PICTURES
        if sound.bank is not None and played.filters:
            chart = self._filters_waveform(sound.bank, played, f"{title}: waveform")
            save(chart, pictures / f"{name}_waveform.png")
            return
        view = View.load(self._view_path(played))
        if played.audio.scheme == "part":
            pixels = spectrogram_pixels(view)
        else:
            pixels = write_charts(view, title, pictures, name)
        save(coloured(pixels), self.folder / REPORT / f"{name}.jpg")

    def _of_bank(self, bank: BankReport) -> list[Played]:
        """Return the sounds of a bank: its part of the mix, then one for each scheme."""
        number = bank.planned.number
        played: list[Played] = []
        parts = {audio.scheme: (audio, self._name(path)) for audio, path in bank.parts}
        if "part" in parts:
            audio, form = parts["part"]
            stems = (parts["stem"][1],) if "stem" in parts else ()
            played.append(Played(number=number, audio=audio, files=stems, forms=(form,)))
        for audio, paths in bank.files:
            filters = () if audio.scheme == "sum" else bank.filters
            if audio.scheme == "concat":  # a preview may end before the last filter
                samples = filter_samples(self.plan, bank.planned, self.sound)
                filters = filters[: parts_begun(audio.samples, samples, self.sound)]
            files = tuple(map(self._name, paths))
            played.append(Played(number=number, audio=audio, files=files, filters=filters))
        return played

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _view_path(self, played: Played) -> Path:
        return self.views.path(played.number, played.audio.scheme)

    def _filter_samples(self, bank: BankReport) -> Fraction:
        """Return the samples of one filter's sound at the files' sample rate."""
        samples = filter_samples(self.plan, bank.planned, self.sound)
        return Fraction(samples * self.sound.file_rate_hz, self.sound.sample_rate_hz)

    def _peak(self, sound: ReportSound) -> float:
        """Return the largest magnitude of a sound's samples."""
        if sound.bank is not None and sound.played.filters:
            filter_views = sound.bank.filter_views(self.views, self.sound)
            if filter_views is not None:
                return filter_views.peak
        return float(np.nanmax(np.abs(View.load(self._view_path(sound.played)).extremes), initial=0))

    def _filters_waveform(self, bank: BankReport, played: Played, title: str) -> Any:
        """Draw the waveform of a `concat` from its view, or from those of its filters."""
        if (path := self._view_path(played)).exists():
            view = View.load(path)
            extremes = view.extremes
            part_samples = view.plan.part_samples
        else:
            filter_views = bank.filter_views(self.views, self.sound)
            assert filter_views is not None
            extremes = filter_views.extremes
            part_samples = float(self._filter_samples(bank))
        columns = ceil(played.audio.samples / part_samples * extremes.shape[1])  # fewer in a preview
        drawn = _resized(extremes.reshape(-1, 2)[:columns], _CHART_COLUMNS)
        return waveform(drawn, played.audio.samples / self.sound.file_rate_hz, title)


def _resized(extremes: Floats, most: int) -> Floats:
    """Return extremes `[column, 2]` with between half of `most` and `most` columns.

    Neighbouring columns are merged, or each column is repeated.
    """
    if len(extremes) < most:
        return np.repeat(extremes, most // len(extremes), axis=0)
    factor = -(-len(extremes) // most)
    starts = np.arange(0, len(extremes), factor)
    low = np.fmin.reduceat(extremes[:, 0], starts)
    return np.stack((low, np.fmax.reduceat(extremes[:, 1], starts)), 1)
