"""Forms of sound files for browsers, which play neither RF64 nor every file of floats or of gigabytes.

Each is FLAC in 16 bits, read from the file and written from front to back; of `concat` there is one a filter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
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
from ..sound.finished_files import finish_files
from ..sound.finishing import PIECE_SAMPLES, Finish, Segment
from ..sound.tags import Tags
from .page_data import Played

_LOUDEST = 1.0


def write_forms(
    sound: Played,
    options: SoundOptions,
    part_samples: Fraction,
    folder: Path,
    into: str,
    pipeline: Pipeline,
    journal: Journal,
    tags: Callable[[str, str], Tags],
    peak: float,
    advance: Advance,
    opened: Callable[[Path], Any] = str,
) -> Played:
    """`sound` with its forms, which are written into the folder `into` of the run's.

    Args:
        part_samples: of one filter of `concat`, at the file's rate: a fraction where that is another one.
        peak: the largest magnitude of a sample, where that may pass full scale: the forms are brought within.
        opened: what soundfile reads a file of the run through.

    Raises:
        Stopped: the run was asked to stop.
    """
    audio, name = sound.audio, "mix" if not sound.number else f"bank-{sound.number}_{sound.audio.scheme}"
    starts, lengths = [0] * len(sound.files), [audio.samples] * len(sound.files)
    names = [f"{into}/{name}.flac"]
    if sound.filters:
        (folder / into / name).mkdir(exist_ok=True)
        names = [f"{into}/{name}/{number:03d}.flac" for number in sound.filters]
    if audio.scheme == "concat":
        ends = [min(ceil(at * part_samples), audio.samples) for at in range(len(sound.filters) + 1)]
        starts, lengths = ends[:-1], [end - start for start, end in pairwise(ends)]
    files = sound.files * (len(names) if len(sound.files) == 1 else 1)
    rate = options.resample_hz or options.sample_rate_hz
    plain = replace(
        options, format="flac", subtype="PCM_16", scale="peak", sample_rate_hz=rate, resample_hz=None,
        loudness_lufs=None, preview_s=None, fmin_hz=None, fmax_hz=None,
    )  # fmt: skip
    about = tags(str(sound.number) if sound.number else "", audio.scheme)
    factor = 1 / max(_LOUDEST, peak)
    jobs = [
        (
            Finish(
                folder / form,
                AudioPlan(
                    scheme=audio.scheme,
                    files=1,
                    samples=length,
                    bytes_per_file=0,
                    container="FLAC",
                    channels=audio.channels,
                ),
                plain,
                about,
                None,
                False,
                (0,),
            ),
            [Segment(length, partial(_pieces, partial(opened, folder / file), start, length), factor)],
        )
        for form, file, start, length in zip(names, files, starts, lengths, strict=True)
    ]
    finish_files(journal, pipeline, f"form: {name}", jobs, advance)
    return replace(sound, forms=tuple(names))


def _pieces(opened: Callable[[], Any], start: int, samples: int) -> Iterator[Any]:
    with soundfile.SoundFile(opened()) as file:
        file.seek(start)
        yield from file.blocks(blocksize=PIECE_SAMPLES, frames=samples, dtype="float32", always_2d=True)
