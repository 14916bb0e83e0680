"""The mix: the banks' windowed sums at one level, set beside each other, added, and brought to a loudness.

A bank with next to nothing to say is not raised to the others' level, nor a nearly even picture to that of
full ones (`spectra.Background.presence`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..base.progress import Advance
from ..base.spool import Spool
from ..errors import Stopped
from ..planning.plan import AudioPlan
from ..planning.sound_options import MIX_LUFS, SoundOptions
from .finished_files import with_view
from .finishing import PIECE_SAMPLES, Finish, finish, gain_for
from .levels import LevelMeter
from .spectra import SpectraSpool
from .stems import Part, part_of, write_parts
from .view import view_plan
from .windowed import Windowing, ended, known, removal, segments_of, signal_work, spooled

_APART = 0.35  # of the way from the middle to a side, at which the banks are set


def write_mix(
    to: Windowing,
    banks: Mapping[int, SpectraSpool],
    path: Path,
    audio: AudioPlan,
    advance: Advance,
    parts: Mapping[int, Sequence[tuple[AudioPlan, Path]]],
) -> None:
    """Lay the banks' sums over one another and write them as one file; and each bank's part of it.

    Args:
        parts: by bank, the files that its part goes to; none where parts are not wanted.
    """
    with ExitStack() as stack:

        def spool(name: str) -> Spool:
            return stack.enter_context(Spool(to.folder / f"{name}.spool", (audio.channels,)))

        signals, mixed = {number: spool(f"mix-{number}") for number in banks}, spool("mix")

        def signal(number: int) -> None:
            stretches = to.signal(banks[number].blocks(), to.seed(number, 0))
            spooled(stretches, signals[number], 0, LevelMeter(1), advance)

        to.pipeline.run(banks, signal, [])
        if to.journal.stopping:
            raise Stopped
        level = LevelMeter(1)
        present = {number: each.presence for number, each in banks.items()}
        # each at one level, less where a bank has next to nothing to say
        levelled = [
            (place * np.float32(present[number] / each.level if each.level else 0.0), signals[number])
            for (number, each), place in zip(banks.items(), _layout(len(banks)), strict=True)
        ]
        wanted = MIX_LUFS if to.sound.loudness_lufs is None else to.sound.loudness_lufs
        share = sum(each**2 for each in present.values()) / len(present)
        wanted += 10 * math.log10(share) if share else 0.0
        heard = to.meter(audio, wanted)
        spooled(_added(levelled, to.stft.sounded), mixed, 0, level, lambda amount: None, heard)
        (segment,) = segments_of(mixed, to, [level.levels()])
        tags = to.tags(",".join(map(str, banks)), "mix")
        view = None
        if to.views is not None:
            plan = view_plan(audio, to.sound, windowed=True, filter_samples=0)
            view = to.views.path(0, "mix"), plan
        target = Finish(path, audio, to.sound, tags, wanted, True, to.seed(0), view)
        gain = gain_for(target, [segment], advance, known(heard, segment))
        written, measured = finish(target, [segment], advance, gain)
        measured = {**measured, "wanted_lufs": round(wanted, 2)}
        files, facts = with_view(target, written), ended(path, measured)
        if any(parts.values()):
            made = [
                Part(
                    part_of(segment, *of, len(banks)),
                    [_part_file(to, number, *each) for each in parts[number]],
                )
                for number, of in zip(banks, levelled, strict=True)
            ]
            more, down_db = write_parts(made, gain.factor, to.pipeline, to.journal, advance)
            files, facts = {**files, **more}, {**facts, "stems": {"gain_db": round(down_db, 2)}}
        waiting = [mixed.path, *(each.path for each in signals.values())]
    to.journal.reached("mix", facts, lambda cancelled: files, removal(*waiting))


def mix_work(samples: int, sound: SoundOptions, parts: Mapping[int, Sequence[tuple[AudioPlan, Path]]]) -> int:
    """Return what a mix of so many samples, in both channels, and its parts advance by."""
    work = len(parts) * samples + signal_work(samples, sound, MIX_LUFS) - samples
    return work + sum(samples * (1 + len(files)) for files in parts.values() if files)


def _layout(count: int) -> NDArray[np.float32]:
    """Return gains `[signal, channel]` that set signals beside each other: left and right in turn, a last
    one without a partner in the middle; by constant power."""
    sides = np.array([(-1) ** (at + 1) for at in range(count)], dtype=np.float64)
    if count % 2:
        sides[-1] = 0
    angles = (1 + _APART * sides) * np.pi / 4
    places = np.sqrt(2) * np.stack((np.cos(angles), np.sin(angles)), axis=1)
    return np.asarray(places, dtype=np.float32)


def _added(signals: Sequence[tuple[NDArray[np.float32], Spool]], samples: int) -> Iterator[Tensor]:
    """Add signals, each by its gains `[channel]`: `[channel, sample]`, by pieces."""
    for start in range(0, samples, PIECE_SAMPLES):
        count = min(PIECE_SAMPLES, samples - start)
        total = torch.zeros(count, 2)
        for factors, spool in signals:
            total += spool.read(start, count) * torch.from_numpy(factors)
        yield total.T


def _part_file(to: Windowing, number: int, audio: AudioPlan, path: Path) -> Finish:
    """Return how a bank's part of the mix is written: as a stem, in the run's format, or for the page."""
    sound, view = to.sound, None
    if audio.scheme == "part":
        sound = replace(sound, format="flac", subtype="PCM_16", scale="peak")
        if to.views is not None:
            plan = view_plan(audio, to.sound, windowed=True, filter_samples=0)
            view = to.views.path(number, audio.scheme), plan
    seed = to.seed(number, crc32(audio.scheme.encode()))
    return Finish(path, audio, sound, to.tags(str(number), audio.scheme), None, True, seed, view)
