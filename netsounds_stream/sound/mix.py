"""The mix: the banks' windowed sums, each at its level, panned, added, and brought to a loudness.

A bank is the quieter the coarser its resolution is. One with hardly any content is not raised to its level,
nor a nearly even picture to that of other pictures (`background.Background.presence`).
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
from ..graph.layers import Bank
from ..planning.plan import AudioPlan
from ..planning.sound_options import MIX_LUFS, SoundOptions
from ..planning.steps import MIX
from .finished_files import with_view
from .finishing import PIECE_SAMPLES, Finish, finish, gain_for
from .levels import LevelMeter
from .spectra import SpectraSpool
from .stems import Part, part_of, write_parts
from .view import view_plan
from .windowed import (
    Windowing,
    removal,
    scaled_loudness,
    segments_of,
    signal_work,
    write_signal,
    written_state,
)

_APART = 0.7  # place of a bank, as a share of the way from the middle to a side


def write_mix(
    windowing: Windowing,
    banks: Mapping[int, SpectraSpool],
    path: Path,
    audio: AudioPlan,
    advance: Advance,
    parts: Mapping[int, Sequence[tuple[AudioPlan, Path]]],
    levels: Mapping[int, float],
) -> None:
    """Write the mix of the banks' sums as one file, and each bank's part of it.

    Args:
        windowing: makes signals of magnitudes.
        banks: magnitudes of each bank's sum, by the bank's number.
        path: path of the mix.
        audio: plan of the mix.
        advance: called with the number of samples of each pass.
        parts: plan and path of the files of each bank's part, by the bank's number; empty where parts are
            not wanted.
        levels: level of each bank in the mix, by its number; see `bank_levels`.

    Raises:
        Stopped: the run was cancelled.
    """
    context = windowing.context
    with ExitStack() as stack:

        def spool(name: str) -> Spool:
            return stack.enter_context(Spool(context.temporary / f"{name}.spool", (audio.channels,)))

        signals = {number: spool(f"mix-{number}") for number in banks}
        mixed = spool("mix")
        _synthesise(windowing, banks, signals, advance)
        levelled = _levelled(banks, signals, levels)
        target = _mix_finish(windowing, banks, levels, path, audio)
        loudness = windowing.meter(audio, target.loudness_lufs)
        level = LevelMeter(1)
        write_signal(_added(levelled, windowing.stft.sounded), mixed, 0, level, lambda amount: None, loudness)
        (segment,) = segments_of(mixed, windowing, [level.levels()])
        gain = gain_for(target, [segment], advance, scaled_loudness(loudness, segment))
        finished = finish(target, [segment], advance, gain)
        assert target.loudness_lufs is not None
        state = written_state(path, {**finished.measured, "wanted_lufs": round(target.loudness_lufs, 2)})
        files = with_view(target, finished.written)
        if any(parts.values()):
            stems = [
                Part(
                    segment=part_of(segment, gains, signal, len(banks)),
                    files=[_part_finish(windowing, number, *file) for file in parts[number]],
                )
                for number, (gains, signal) in zip(banks, levelled, strict=True)
            ]
            mix_gain = finished.gain.factor
            part_files, down_db = write_parts(stems, mix_gain, context.pipeline, context.journal, advance)
            files |= part_files
            state["stems"] = {"gain_db": round(down_db, 2)}
        temporary = [mixed.path, *(signal.path for signal in signals.values())]
    context.journal.reached(MIX, state, lambda cancelled: files, removal(*temporary))


def _synthesise(
    windowing: Windowing, banks: Mapping[int, SpectraSpool], signals: Mapping[int, Spool], advance: Advance
) -> None:
    """Synthesise each bank's signal into its spool, side by side."""

    def synthesise(number: int) -> None:
        pieces = windowing.signal(banks[number].blocks(), windowing.seed(number, 0))
        write_signal(pieces, signals[number], 0, LevelMeter(1), advance)

    windowing.context.pipeline.run(banks, synthesise, [])
    if windowing.context.journal.stopping:
        raise Stopped


def _levelled(
    banks: Mapping[int, SpectraSpool], signals: Mapping[int, Spool], levels: Mapping[int, float]
) -> list[tuple[NDArray[np.float32], Spool]]:
    """Pair each bank's signal with the gains that bring it to its level and to its place.

    Returns:
        For each bank, gains float32 `[channel]`, smaller where the bank lacks content, and its signal.
    """
    return [
        (
            place * np.float32(levels[number] * bank.presence / bank.level if bank.level else 0.0),
            signals[number],
        )
        for (number, bank), place in zip(
            banks.items(), panned([levels[number] for number in banks]), strict=True
        )
    ]


def _mix_finish(
    windowing: Windowing,
    banks: Mapping[int, SpectraSpool],
    levels: Mapping[int, float],
    path: Path,
    audio: AudioPlan,
) -> Finish:
    """Return the target of the mix: the wanted loudness, less where the banks lack content."""
    context = windowing.context
    wanted = context.options.loudness_lufs
    loudness_lufs = MIX_LUFS if wanted is None else wanted
    power = sum(levels[number] ** 2 for number in banks)
    share = sum((levels[number] * bank.presence) ** 2 for number, bank in banks.items()) / power
    loudness_lufs += 10 * math.log10(share) if share else 0.0
    view = None
    if context.views is not None:
        plan = view_plan(audio, context.options, windowed=True, filter_samples=0)
        view = context.views.path(0, "mix"), plan
    return Finish(
        path=path,
        audio=audio,
        sound=context.options,
        tags=context.tags(",".join(map(str, banks)), "mix"),
        loudness_lufs=loudness_lufs,
        dithered=True,
        seed=windowing.seed(0),
        view=view,
    )


def mix_work(samples: int, sound: SoundOptions, parts: Mapping[int, Sequence[tuple[AudioPlan, Path]]]) -> int:
    """Count the samples by which a mix and its parts advance the progress.

    Args:
        samples: samples of the mix, both channels counted.
        sound: options of the sound.
        parts: the files of each bank's part, as in `write_mix`; it has an entry for every bank.
    """
    work = len(parts) * samples + signal_work(samples, sound, MIX_LUFS) - samples
    return work + sum(samples * (1 + len(files)) for files in parts.values() if files)


def bank_levels(banks: Mapping[int, Bank], fall_db: float) -> dict[int, float]:
    """Return the level of each bank in the mix, as a share of that of the finest.

    Args:
        banks: the banks by their numbers.
        fall_db: how much quieter a bank is for each halving of the resolution.
    """
    finest = min(bank.stride for bank in banks.values())
    falls = {number: fall_db * math.log2(bank.stride / finest) for number, bank in banks.items()}
    return {number: 10 ** (-fall / 20) for number, fall in falls.items()}


def panned(levels: Sequence[float]) -> NDArray[np.float32]:
    """Return gains that pan signals by constant power, so that both channels have the same power.

    All but the first lie alternately to the right and to the left, and the first where it balances them.

    Args:
        levels: levels of the signals, which are taken to have nothing in common.

    Returns:
        float32 `[signal, channel]`; a gain in the middle is 1.
    """
    sides = _APART * np.array([0, *((-1) ** at for at in range(len(levels) - 1))], dtype=np.float64)
    powers = np.square(np.asarray(levels, dtype=np.float64))
    # A signal's power on the right less that on the left is its power times sin(pi / 2 * side).
    lean = float(powers @ np.sin(np.pi / 2 * sides)) / powers[0]
    sides[0] = -min(_APART, max(-_APART, 2 / np.pi * math.asin(min(1.0, max(-1.0, lean)))))
    angles = (1 + sides) * np.pi / 4
    places = np.sqrt(2) * np.stack((np.cos(angles), np.sin(angles)), axis=1)
    return np.asarray(places, dtype=np.float32)


def _added(signals: Sequence[tuple[NDArray[np.float32], Spool]], samples: int) -> Iterator[Tensor]:
    """Add signals.

    Args:
        signals: gains float32 `[channel]` and samples of each.
        samples: length in samples of a channel.

    Yields:
        Pieces of the sum, float32 `[channel, sample]`.
    """
    for start in range(0, samples, PIECE_SAMPLES):
        count = min(PIECE_SAMPLES, samples - start)
        total = torch.zeros(count, 2)
        for factors, spool in signals:
            total += spool.read(start, count) * torch.from_numpy(factors)
        yield total.T


def _part_finish(windowing: Windowing, number: int, audio: AudioPlan, path: Path) -> Finish:
    """Return the target of a bank's part of the mix: a stem in the run's format, or a part for the page."""
    context = windowing.context
    sound = context.options
    view = None
    if audio.scheme == "part":
        sound = replace(sound, format="flac", subtype="PCM_16", scale="peak")
        if context.views is not None:
            plan = view_plan(audio, context.options, windowed=True, filter_samples=0)
            view = context.views.path(number, audio.scheme), plan
    return Finish(
        path=path,
        audio=audio,
        sound=sound,
        tags=context.tags(str(number), audio.scheme),
        loudness_lufs=None,
        dithered=True,
        seed=windowing.seed(number, crc32(audio.scheme.encode())),
        view=view,
    )
