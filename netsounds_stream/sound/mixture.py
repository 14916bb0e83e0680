"""Weights of a bank's sums: which filters are selected, at which level, at which place in the panorama."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..planning.sound_options import SoundOptions
from .levels import Levels, gains

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Weights by which a bank's filters are summed to mixed channels: raw sum, windowed sum, mix.

    A mixed channel is the left, the right or the only channel of one of these sums. One product of the
    weights with the activations makes all of them.

    Attributes:
        weights: float32 `[filter, mixed channel]`: the channels of the raw sum first, then those of the
            windowed sum, then those of the mix.
        raw: how many mixed channels are the raw sum's, which is inverted frame by frame; 0 where it is plain.
        windowed: how many are the windowed sum's, of which magnitudes are made.
        mix: how many are the bank's part of the mix, of which magnitudes are made.
        plain: whether the raw sum is that of all filters, each with weight 1, in one channel; it needs no
            weights.
    """

    weights: NDArray[np.float32]
    raw: int
    windowed: int
    mix: int
    plain: bool

    @property
    def mix_weights(self) -> NDArray[np.float32]:
        """The weights of the mix's channels, float32 `[filter, channel]`."""
        return self.weights[:, self.weights.shape[1] - self.mix :]

    @property
    def spectra(self) -> tuple[tuple[str, slice], ...]:
        """The sums that become magnitudes: name, 'sum' or 'mix', and mixed channels of each."""
        windowed = slice(self.raw, self.raw + self.windowed)
        mix = slice(windowed.stop, windowed.stop + self.mix)
        named = (("sum", windowed), ("mix", mix))
        return tuple((name, channels) for name, channels in named if channels.stop > channels.start)


def selected_filters(channels: int, sound: SoundOptions, levels: Levels | None) -> tuple[int, ...]:
    """Select the filters that the options ask for.

    Args:
        channels: number of the bank's filters.
        sound: options that name filters, or how many of the loudest; neither selects all.
        levels: levels of the filters, with energies where `sound.top` asks for the loudest.

    Returns:
        Numbers of the filters, ascending.
    """
    if sound.filters is not None:
        return sound.filters
    if sound.top is None or sound.top >= channels:
        return tuple(range(channels))
    assert levels is not None and levels.energy is not None
    loudest = np.argsort(-levels.energy, kind="stable")[: sound.top]
    return tuple(sorted(int(number) for number in loudest))


def mixture_of(channels: int, sound: SoundOptions, levels: Levels | None = None) -> Mixture:
    """Return the weights of the sums that the options ask for.

    A filter is panned by constant power: the squares of its left and right gains add up to 1.

    Args:
        channels: number of the bank's filters.
        sound: options of the sound.
        levels: levels of the filters, where `sound.needs_second_pass`; with the lowest samples where a raw
            sum is balanced by filter and scaled by 'minmax'. None: weights must be known before the network
            runs.

    Returns:
        The mixture; sums that are not wanted have no mixed channels in it.
    """
    numbers = list(selected_filters(channels, sound, levels))
    none = np.zeros((channels, 0))
    angles = _places(channels, sound, levels) * np.pi / 2
    panned = np.stack((np.cos(angles), np.sin(angles)), axis=1)

    def weighted(scale: str, panning: Floats) -> Floats:
        weights = np.zeros(channels)
        weights[numbers] = 1
        if sound.balance == "filter":
            assert levels is not None
            weights *= gains(levels, scale)[0]
        return weights[:, None] * panning

    summed = "sum" in sound.schemes
    panning = panned if sound.stereo else np.ones((channels, 1))
    raw = weighted(sound.scale, panning) if summed and not sound.windowed else none
    plain = levels is None and raw.shape[1] == 1 and bool((raw == 1).all())
    raw = none if plain else raw
    # windowed signals have no lowest sample of a filter, by which 'minmax' would level them
    level = "none" if sound.scale == "none" else "peak"
    windowed = weighted(level, panning) if summed and sound.windowed else none
    mix = weighted(level, panned) if sound.mix else none
    return Mixture(
        weights=np.concatenate((raw, windowed, mix), axis=1).astype(np.float32),
        raw=raw.shape[1],
        windowed=windowed.shape[1],
        mix=mix.shape[1],
        plain=plain,
    )


def _places(channels: int, sound: SoundOptions, levels: Levels | None) -> Floats:
    """Return each filter's place between the loudspeakers.

    Returns:
        float64 `[filter]`, from 0, all the way left, to 1, all the way right.
    """
    if sound.pan == "centroid" and (sound.mix or sound.stereo):
        assert levels is not None and levels.centroid is not None
        return levels.centroid
    return np.asarray((np.arange(channels) + 0.5) / channels)
