"""Which filters sound, how loud, and where between the loudspeakers: weights, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..planning.sound_options import SoundOptions
from .levels import Levels, gains

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mixture:
    """The signals that are summed over a bank's filters, side by side.

    Attributes:
        weights: float32 `[filter, column]`.
        raw, voice, mix: how many of the columns are the raw sum's, the windowed sum's, the mix's; in this
            order. A raw sum that is plain has no columns.
        plain: the raw sum is every filter's, once.
    """

    weights: NDArray[np.float32]
    raw: int
    voice: int
    mix: int
    plain: bool

    @property
    def spectra(self) -> tuple[tuple[str, slice], ...]:
        """What is windowed, by name, and its columns."""
        voice = slice(self.raw, self.raw + self.voice)
        mix = slice(voice.stop, voice.stop + self.mix)
        return tuple((name, part) for name, part in (("sum", voice), ("mix", mix)) if part.stop > part.start)


def chosen(channels: int, sound: SoundOptions, levels: Levels | None) -> tuple[int, ...]:
    """The filters that sound, in order. `levels` with energies where `sound.top` asks for them."""
    if sound.filters is not None:
        return sound.filters
    if sound.top is None or sound.top >= channels:
        return tuple(range(channels))
    assert levels is not None and levels.energy is not None
    loudest = np.argsort(-levels.energy, kind="stable")[: sound.top]
    return tuple(sorted(int(number) for number in loudest))


def mixture_of(channels: int, sound: SoundOptions, levels: Levels | None = None) -> Mixture:
    """What a bank's filters are summed to.

    Args:
        levels: of the bank's filters, where `sound.needs_second_pass`; the lowest samples, too, where a raw
            sum is balanced by filter and scaled by 'minmax'. None: it is summed as the network gives it.
    """
    numbers, none = list(chosen(channels, sound, levels)), np.zeros((channels, 0))
    places = _layout(channels, sound, levels)
    panned = np.stack((np.cos(places * np.pi / 2), np.sin(places * np.pi / 2)), axis=1)

    def weighted(scale: str, places: Floats) -> Floats:
        weights = np.zeros(channels)
        weights[numbers] = 1
        if sound.balance == "filter":
            assert levels is not None
            weights *= gains(levels, scale)[0]
        return weights[:, None] * places

    summed = "sum" in sound.schemes
    wanted = panned if sound.stereo else np.ones((channels, 1))
    raw = weighted(sound.scale, wanted) if summed and not sound.windowed else none
    plain = levels is None and raw.shape[1] == 1 and bool((raw == 1).all())
    raw = none if plain else raw
    # of the filters' lowest samples only raw sound has any
    level = "none" if sound.scale == "none" else "peak"
    voice = weighted(level, wanted) if summed and sound.windowed else none
    mix = weighted(level, panned) if sound.mix else none
    weights = np.concatenate((raw, voice, mix), axis=1).astype(np.float32)
    return Mixture(weights, raw.shape[1], voice.shape[1], mix.shape[1], plain)


def _layout(channels: int, sound: SoundOptions, levels: Levels | None) -> Floats:
    """From 0, all the way left, to 1. Panned by constant power: the gains' squares add up to 1."""
    if sound.pan == "centroid" and (sound.mix or sound.stereo):
        assert levels is not None and levels.centroid is not None
        return levels.centroid
    return np.asarray((np.arange(channels) + 0.5) / channels)
