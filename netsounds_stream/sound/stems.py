"""The mix's parts: each bank's share of it, as long as the mix and at one gain with it.

They add up to the mix before its limiter, to rounding. Where one of them would pass the ceiling, all are
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
from .finishing import CEILING, CEILING_DBTP, PIECE_SAMPLES, Finish, Gain, Segment, finish, true_peak


@dataclass(frozen=True, kw_only=True)
class Part:
    """One bank's part of the mix, and the files that it is written to, all with the same samples."""

    segment: Segment
    files: Sequence[Finish]


def part_of(mix: Segment, gains: NDArray[np.float32], spool: Spool, banks: int) -> Segment:
    """Return a bank's part of the mix, faded as the mix is.

    Args:
        mix: the mix.
        gains: the bank's in it, float32 `[channel]`.
        spool: the bank's signal.
        banks: how many banks the mix has.
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
        journal: says whether the run was asked to stop.
        advance: called with every sample of the passes: one, and another for each file.

    Returns:
        Every file that was written, and the decibels that all parts are turned down by: 0 or less.

    Raises:
        Stopped: the run was asked to stop.
    """
    peaks: list[float] = []

    def measure(part: Part) -> float:
        _check_stop(journal)
        return true_peak(part.files[0], [part.segment], advance)

    pipeline.run(parts, measure, [peaks.append])
    highest = max(peaks) * gain
    down = min(1.0, CEILING / highest) if highest else 1.0
    written: dict[Path, FileSum | None] = {}

    def write(part: Part) -> dict[Path, FileSum | None]:
        found: dict[Path, FileSum | None] = {}
        for to in part.files:
            _check_stop(journal)
            to.path.parent.mkdir(exist_ok=True)
            found[to.path] = finish(to, [part.segment], advance, Gain(gain * down))[0]
            if to.view is not None:
                found[to.view[0]] = None
        return found

    pipeline.run(parts, write, [written.update])
    return written, 20 * math.log10(down)


def stems_facts(steps: Mapping[str, Any], sound: SoundOptions) -> dict[str, Any]:
    """Return what a run's record says of its stems, by name; nothing where it has none."""
    return {"stems": steps["mix"]["stems"]} if sound.stems and "stems" in steps.get("mix", {}) else {}


def stems_notes(facts: Mapping[str, Any]) -> list[str]:
    """Return what to tell of stems that are quieter than they are in the mix, of what `stems_facts` gave."""
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
