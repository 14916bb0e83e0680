"""Browser forms: FLAC copies of sound files that browsers cannot play.

Browsers play neither RF64 nor every file of floating-point samples or of gigabytes. A form has 16 bits; it is
read from the sound file and written in one pass. A `concat` file gets a form for each filter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import soundfile

from ..base.journal import Journal
from ..base.pipeline import Pipeline
from ..base.progress import Advance
from ..planning.plan import AudioPlan
from ..planning.sound_options import SoundOptions
from ..planning.steps import form_step
from ..run.layout import REPORT, browser_form, filter_stem
from ..sound.finished_files import finish_files
from ..sound.finishing import PIECE_SAMPLES, Finish, Segment
from ..sound.tags import Tags
from .charts import sound_name
from .page_data import Played

_FULL_SCALE = 1.0


@dataclass(frozen=True, kw_only=True)
class FormWriter:
    """Writes browser forms into the `report` folder of a run.

    Attributes:
        folder: the run's folder.
        options: how the run's sound was made.
        pipeline: writes several forms at a time.
        journal: records finished forms, so that a resumed run keeps them.
        tags: returns a file's tags, given the bank's number as text (empty: the mix) and the scheme.
        opened: returns what soundfile opens, given a finished sound file of the run.
    """

    folder: Path
    options: SoundOptions
    pipeline: Pipeline
    journal: Journal
    tags: Callable[[str, str], Tags]
    opened: Callable[[Path], Any] = str

    def write(self, sound: Played, advance: Advance, *, filter_samples: Fraction, peak: float) -> Played:
        """Write the forms of one sound.

        Args:
            sound: the sound, without forms.
            advance: called with the samples written, over all channels.
            filter_samples: samples of one filter of a `concat`, at the file's sample rate; a fraction where
                resampling makes it one.
            peak: the largest magnitude of a sample. Forms are scaled down where it exceeds full scale.

        Returns:
            The sound with its forms.

        Raises:
            Stopped: the run was cancelled.
            OutputError: a form cannot be written.
        """
        audio = sound.audio
        name = sound_name(sound.number, audio.scheme)
        forms: tuple[str, ...] = (f"{REPORT}/{browser_form(name)}",)
        if sound.filters:
            (self.folder / REPORT / name).mkdir(exist_ok=True)
            names = [browser_form(filter_stem(number)) for number in sound.filters]
            forms = tuple(f"{REPORT}/{name}/{form}" for form in names)
        starts = [0] * len(sound.files)
        lengths = [audio.samples] * len(sound.files)
        if audio.scheme == "concat":
            ends = [min(ceil(at * filter_samples), audio.samples) for at in range(len(sound.filters) + 1)]
            starts = ends[:-1]
            lengths = [end - start for start, end in pairwise(ends)]
        files = sound.files * (len(forms) if len(sound.files) == 1 else 1)
        jobs = []
        for form, file, start, length in zip(forms, files, starts, lengths, strict=True):
            pieces = partial(_pieces, partial(self.opened, self.folder / file), start, length)
            segment = Segment(samples=length, pieces=pieces, factor=1 / max(_FULL_SCALE, peak))
            jobs.append((self._finish(sound, form, length), [segment]))
        finish_files(self.journal, self.pipeline, form_step(name), jobs, advance)
        return replace(sound, forms=forms)

    def _finish(self, sound: Played, form: str, samples: int) -> Finish:
        """Return how a form of `samples` a channel is written: as the file is, without a further gain."""
        scheme = sound.audio.scheme
        plain = replace(
            self.options, format="flac", subtype="PCM_16", scale="peak",
            sample_rate_hz=self.options.file_rate_hz, resample_hz=None,
            loudness_lufs=None, preview_s=None, fmin_hz=None, fmax_hz=None,
        )  # fmt: skip
        return Finish(
            path=self.folder / form,
            audio=AudioPlan(
                scheme=scheme,
                files=1,
                samples=samples,
                bytes_per_file=0,
                container="FLAC",
                channels=sound.audio.channels,
            ),
            sound=plain,
            tags=self.tags(str(sound.number) if sound.number else "", scheme),
            loudness_lufs=None,
            dithered=False,
            seed=(0,),
        )


def _pieces(opened: Callable[[], Any], start: int, samples: int) -> Iterator[Any]:
    """Yield `samples` of a sound file from `start` on, float32 `[sample, channel]`."""
    with soundfile.SoundFile(opened()) as file:
        file.seek(start)
        yield from file.blocks(blocksize=PIECE_SAMPLES, frames=samples, dtype="float32", always_2d=True)
