"""The report of a run: images, charts, browser forms, and the page that shows them.

It is made at the end of a run from overviews and views, which were measured while the run went on; only the
images of single filters read stored activations. A run that was stopped within its report makes it again,
except for browser forms that are complete.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..base.journal import Journal
from ..base.pipeline import Pipeline
from ..base.progress import Stages
from ..errors import Stopped
from ..picture.overview import Overview
from ..planning import steps
from ..planning.plan import Plan
from ..planning.sound_options import SoundOptions
from ..planning.sound_plan import mixable
from ..run.layout import (
    FIRING_SCRIPT,
    PAGE,
    PAGE_PICTURE,
    PICTURES,
    RECORD_NAME,
    REPORT,
    SINGLE_FILE,
    part_script,
)
from ..run.storage import StorageBackend
from ..sound.tags import Tags
from ..sound.view import Views
from .banks import BankReport
from .browser_forms import FormWriter
from .byte_scripts import write_byte_script
from .contact_sheets import MEANS
from .firing_data import packed
from .images import save
from .page import write_page
from .single_file import write_single_file
from .sounds import ReportSound, ReportSounds

__all__ = ["BankReport", "Report", "report_files"]

_PICTURE_QUALITY = 82


@dataclass(frozen=True, kw_only=True)
class Report:
    """Writes the report of a run.

    Attributes:
        folder: the run's folder.
        plan: its plan.
        sound: how its sound was made.
        views: where the views of its sounds lie.
        pipeline: writes several files at a time.
        journal: records finished browser forms, and knows whether the run was cancelled.
        tags: returns a sound file's tags, given the bank's number as text (empty: the mix) and the scheme.
        banks: its banks.
        mix: the mix's file; None: the run has no mix.
        preview: overview of the picture.
        storage: where finished files lie.
        parts_gain_db: gain of the banks' parts against the mix, 0 or less.
        single_file: write the page as one file, too.
    """

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
    parts_gain_db: float = 0.0
    single_file: bool = False

    def write(self, record: Callable[[], Mapping[str, Any]], names: Sequence[str], stages: Stages) -> None:
        """Write the whole report.

        Args:
            record: returns the run's record, as far as it is known when the page is written.
            names: names of the run's sounds and arrays, which the page links to.
            stages: reports progress.

        Raises:
            Stopped: the run was cancelled.
            OutputError: a file cannot be written.
        """
        for name in (PICTURES, REPORT):
            (self.folder / name).mkdir(exist_ok=True)
        sounds = self._sounds.listed(self.banks, self.mix)
        sounds = self._sounds.with_forms(sounds, self._form_writer, stages)
        self._write_images(sounds, stages)
        self._write_pages(record(), sounds, names, stages)

    @property
    def _sounds(self) -> ReportSounds:
        return ReportSounds(
            folder=self.folder, plan=self.plan, sound=self.sound, views=self.views, storage=self.storage
        )

    @property
    def _form_writer(self) -> FormWriter:
        return FormWriter(
            folder=self.folder,
            options=self.sound,
            pipeline=self.pipeline,
            journal=self.journal,
            tags=self.tags,
            opened=self.storage.opened,
        )

    def _write_images(self, sounds: Sequence[ReportSound], stages: Stages) -> None:
        """Write all images and charts, and the banks' scripts."""
        jobs = list(self._jobs(sounds))
        with stages.stage(steps.REPORT.name, len(jobs), "pictures") as advance:

            def do(job: Callable[[], None]) -> None:
                if self.journal.stopping:
                    raise Stopped
                job()
                advance(1)

            self.pipeline.run(jobs, do, [])

    def _jobs(self, sounds: Sequence[ReportSound]) -> Iterator[Callable[[], None]]:
        for bank in self.banks:
            yield from bank.jobs(self.folder, self.views, self.sound)
        yield self._write_picture
        for sound in sounds:
            if sound.played.audio.scheme != "filters":
                yield partial(self._sounds.write_charts, sound)
            if self._mixed(sound):
                yield partial(self._write_part_script, sound)
        yield self._write_firing

    def _mixed(self, sound: ReportSound) -> bool:
        """Return whether a sound is a bank's part of the mix that the page can mix with the others."""
        return sound.played.audio.scheme == "part" and mixable(sound.played.audio)

    def _write_part_script(self, sound: ReportSound) -> None:
        """Write the script with the bytes of a bank's part of the mix."""
        (form,) = sound.played.forms
        name = part_script(sound.played.number)
        with ExitStack() as stack:
            content = self.storage.opened(self.folder / form)
            if isinstance(content, str):
                content = stack.enter_context(Path(content).open("rb"))
            write_byte_script(self.folder / REPORT / name, f"{REPORT}/{name}", content)

    def _write_firing(self) -> None:
        """Write the script with the filters' levels over time, if they were measured."""
        measured = [bank.firing.read() for bank in self.banks if bank.firing is not None]
        if measured:
            script = self.folder / REPORT / FIRING_SCRIPT
            write_byte_script(script, f"{REPORT}/{FIRING_SCRIPT}", io.BytesIO(packed(measured)))

    def _write_picture(self) -> None:
        """Write the picture, reduced, as the page shows it."""
        values = self.preview.read(MEANS).float().round().clamp(0, 255).to(torch.uint8).numpy()
        upright = values.transpose(1, 0, 2) if self.plan.time_axis == "x" else values
        image = Image.fromarray(np.ascontiguousarray(upright))
        save(image, self.folder / REPORT / PAGE_PICTURE, _PICTURE_QUALITY)

    def _write_pages(
        self,
        record: Mapping[str, Any],
        sounds: Sequence[ReportSound],
        names: Sequence[str],
        stages: Stages,
    ) -> None:
        """Write the page and, if it was asked for, the page as one file."""
        banks = [bank.entry() for bank in self.banks]
        data = {
            "format": 1,
            "title": str(record["label"]),
            "picture": self._picture_entry(record),
            "time_axis": self.plan.time_axis,
            "sounds": [self._sound_entry(sound) for sound in sounds],
            "banks": banks,
            "parts_gain_db": self.parts_gain_db,
            "firing": f"{REPORT}/{FIRING_SCRIPT}" if any(bank["firing"] for bank in banks) else None,
        }
        names = [*names, PICTURES, REPORT, RECORD_NAME]
        if self.single_file:
            out = self.folder / SINGLE_FILE
            write_single_file(out, self.folder, record, data, stages, self.storage.opened)
            names.insert(0, SINGLE_FILE)
        write_page(self.folder, record, data, names)

    def _sound_entry(self, sound: ReportSound) -> dict[str, Any]:
        """Describe a sound for the page, with the script by which the page mixes it; None: it does not."""
        script = f"{REPORT}/{part_script(sound.played.number)}" if self._mixed(sound) else None
        return {**self._sounds.entry(sound), "bytes_script": script}

    def _picture_entry(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Describe the picture for the page."""
        cells = self.preview.cells
        shown = (cells.along, cells.across)
        full = (cells.rows, cells.cross)
        (width, height), (full_width, full_height) = (
            size if self.plan.time_axis == "x" else size[::-1] for size in (shown, full)
        )
        return {
            "name": record["picture"]["name"],
            "src": f"{REPORT}/{PAGE_PICTURE}",
            "width": width,
            "height": height,
            "full_width": full_width,
            "full_height": full_height,
        }


def report_files(folder: Path) -> list[Path]:
    """Return a report's files without the browser forms, which were recorded when they were written."""
    inside = [path for name in (PICTURES, REPORT) for path in (folder / name).iterdir() if path.is_file()]
    forms = [path for path in inside if path.suffix == ".flac"]
    pages = [path for path in (folder / PAGE, folder / SINGLE_FILE) if path.exists()]
    return [*pages, *sorted({*inside} - {*forms})]
