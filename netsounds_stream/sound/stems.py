"""The parts of the mix, one a bank: as long as the mix, and at its gain.

They add up to the mix before its limiter, to rounding. Where one of them would exceed the ceiling, all are
turned down by as much.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.checksums import FileSum
from ..base.journal import Journal
from ..base.pipeline import Pipeline
from ..base.progress import Advance
from ..base.spool import Spool
from ..errors import Stopped
from ..planning.sound_options import SoundOptions
from .finished_files import with_view
from .finishing import (
    CEILING,
    CEILING_DBTP,
    PIECE_SAMPLES,
    UNCOUNTED,
    Finish,
    Gain,
    Segment,
    decoded_loudness,
    finish,
    true_peak,
)

# Of all parts, until none exceeds the ceiling once it is decoded; each time a little below what would do.
_MOST_WRITINGS = 4
_MARGIN = 10 ** (-0.05 / 20)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One bank's part of the mix.

    Attributes:
        segment: its sound.
        files: the files that it is written to, all with the same samples.
    """

    segment: Segment
    files: Sequence[Finish]


def part_of(mix: Segment, gains: NDArray[np.float32], spool: Spool, banks: int) -> Segment:
    """Return a bank's part of the mix, scaled and faded as the mix is.

    Args:
        mix: the mix.
        gains: gains of the bank's signal in the mix, float32 `[channel]`.
        spool: the bank's signal.
        banks: number of banks in the mix, among which its offset is divided.
    """

    def pieces() -> Iterator[Any]:
        for start in range(0, mix.samples, PIECE_SAMPLES):
            yield spool.read(start, min(PIECE_SAMPLES, mix.samples - start)).numpy() * gains

    return replace(mix, pieces=pieces, offset=mix.offset / banks)


def write_parts(
    parts: Sequence[Part], gain: float, pipeline: Pipeline, journal: Journal, advance: Advance
) -> tuple[dict[Path, FileSum | None], float]:
    """Write all parts, side by side.

    Args:
        parts: the parts.
        gain: the mix's gain.
        pipeline: the workers.
        journal: says whether the run is cancelled.
        advance: called with the number of samples of each pass: one over each part, and one for each file.

    Returns:
        Every file that was written, with its checksum; and the gain of all parts relative to the mix, in dB:
        0 or less.

    Raises:
        Stopped: the run was cancelled.
    """
    peaks: list[float] = []

    def measure(part: Part) -> float:
        _check_stop(journal)
        return true_peak(part.files[0], [part.segment], advance)

    pipeline.run(parts, measure, [peaks.append])
    highest = max(peaks) * gain
    down = min(1.0, CEILING / highest) if highest else 1.0
    written: dict[Path, FileSum | None] = {}
    counted = advance

    def write(part: Part) -> dict[Path, FileSum | None]:
        files: dict[Path, FileSum | None] = {}
        for target in part.files:
            _check_stop(journal)
            target.path.parent.mkdir(exist_ok=True)
            finished = finish(target, [part.segment], counted, Gain(gain * down))
            files |= with_view(target, finished.written)
        return files

    for _ in range(_MOST_WRITINGS):
        pipeline.run(parts, write, [written.update])
        loudest = max((_decoded_peak(part) for part in parts), default=0.0)
        if loudest <= CEILING:
            break
        down *= CEILING / loudest * _MARGIN
        counted = UNCOUNTED  # the plan foresees one writing
    return written, 20 * math.log10(down)


def _decoded_peak(part: Part) -> float:
    """Return the true peak of a part's Ogg files, which coding raises; 0 where it has none."""
    paths = (target.path for target in part.files if target.audio.container == "OGG")
    return max((decoded_loudness(path).true_peak for path in paths), default=0.0)


def stems_facts(steps: Mapping[str, Any], sound: SoundOptions) -> dict[str, Any]:
    """Return the fields of a run's record about its stems.

    Args:
        steps: states of the run's steps, by their names.
        sound: options of the sound.

    Returns:
        `stems`, with their gain relative to the mix; nothing where the run has no stems.
    """
    return {"stems": steps["mix"]["stems"]} if sound.stems and "stems" in steps.get("mix", {}) else {}


def stems_notes(facts: Mapping[str, Any]) -> list[str]:
    """Explain that stems are quieter than they are in the mix.

    Args:
        facts: what `stems_facts` returned.

    Returns:
        One sentence; nothing where they are at the mix's gain.
    """
    down_db = -facts["stems"]["gain_db"] if facts else 0.0
    if not down_db:
        return []
    return [
        f"the stems are {down_db:.2f} dB quieter than in the mix, so that none of them exceeds "
        f"{CEILING_DBTP:g} dBTP"
    ]


def _check_stop(journal: Journal) -> None:
    if journal.stopping:
        raise Stopped
