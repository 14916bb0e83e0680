"""Sound by the plain way, in float64 and all in memory: what runs and renders are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import zarr
from numpy.typing import NDArray

from netsounds_stream.planning.plan import Stft
from netsounds_stream.sound.dsp.spectrum import FrequencyMap, FrequencyScale, interval_weights


def plain_sound(array: np.ndarray, scheme: str, balance: str, scale: str, time_axis: str) -> np.ndarray:
    """The whole array at once, in float64: samples of `sum` or `concat`, or `[filter, sample]`."""
    frames = array.astype(np.float64)
    if time_axis == "x":
        frames = frames.transpose(0, 2, 1)
    sound = np.fft.ifft(frames, axis=-1).real.reshape(len(array), -1)

    def scaled(signal: np.ndarray) -> np.ndarray:
        if scale == "peak":
            peak = np.abs(signal).max()
            return signal / peak if peak > 0 else signal * 0
        low, span = signal.min(), signal.max() - signal.min()
        return 2 * (signal - low) / span - 1 if span > 0 else signal * 0 - 1

    if balance == "filter":
        sound = np.stack([scaled(each) for each in sound])
    if scheme == "sum":
        return scaled(sound.sum(axis=0))
    return (sound if balance == "filter" else scaled(sound)).reshape(
        sound.shape if scheme == "filters" else -1
    )


Array = NDArray[np.float64]


STFT = {"duration": 1.2, "fft_size": 256, "sample_rate": 8000}


ATOL = 2e-5


def array_of(run: Path, bank: int) -> Array:
    """A run's whole array in order of time: `[filter, frame, frequency]`; time along x."""
    array = np.asarray(zarr.open_array(str(run / f"activations-{bank}_a.zarr"), mode="r")[:], np.float64)
    return array.transpose(0, 2, 1)


def read(path: Path) -> Array:
    return np.asarray(soundfile.read(path, always_2d=True)[0])


def to_peak(samples: Array) -> Array:
    return samples / np.abs(samples).max()


def inverted(frames: Array) -> Array:
    """Raw sound, `[..., sample]`."""
    sound = np.fft.ifft(frames, axis=-1).real
    return np.asarray(sound.reshape(*frames.shape[:-2], -1))


def faded(samples: Array, rate: int = 8000) -> Array:
    """`[sample, channel]`, by 10 ms at both ends."""
    count = rate // 100
    fade = (1 - np.cos(np.pi * (np.arange(count) + 0.5) / count)) / 2
    made = samples.copy()
    made[:count] *= fade[:, None]
    made[-count:] *= fade[::-1, None]
    return made


def windowed(rows: Array, stft: Stft, sound: dict[str, Any], *, flipped: bool = True) -> Array:
    """Rows `[frame, frequency]` by 'istft' with phase 'zero', not levelled: all in memory, float64."""
    a_frame = len(rows) * stft.hop / stft.samples
    centres = np.arange(stft.frames) * a_frame
    first, weights = interval_weights(centres - a_frame / 2, centres + a_frame / 2, len(rows))
    powers = (rows / 1000) ** sound.get("contrast", 3.0)
    in_time = weights.astype(np.float64) @ powers[first : first + weights.shape[1]]
    scale = FrequencyScale(sound.get("frequency", "log"), sound.get("fmin", 40.0), sound.get("fmax", 4000.0))
    spread = FrequencyMap(rows.shape[1], stft.fft_size, 8000, scale, reversed_rows=flipped)
    magnitudes = spread(torch.from_numpy(in_time).float()).double().numpy()
    window = np.sin(np.pi * np.arange(stft.fft_size) / stft.fft_size) ** 2
    total, norm = np.zeros((2, stft.frames * stft.hop + stft.fft_size))
    for number, frame in enumerate(np.fft.irfft(magnitudes, axis=1)):
        here = slice(number * stft.hop, number * stft.hop + stft.fft_size)
        total[here] += np.fft.fftshift(frame) * window  # a pulse at its middle
        norm[here] += window**2
    middle = slice(stft.fft_size // 2, stft.fft_size // 2 + stft.samples)
    return np.asarray(total[middle] / norm[middle])


RAISED = {"contrast": 1.0}  # of rows that are raised already


def raised(summed: Array) -> Array:
    """By the usual contrast, `[channel, ...]`: the whole, and what each channel has of it, to whole power."""
    whole = np.sqrt((summed**2).sum(0)) / 1000
    shares = np.divide(summed / 1000, whole, out=np.zeros_like(summed), where=whole > 0) ** 3
    of_all = np.sqrt((shares**2).sum(0))
    return 1000 * whole**3 * np.divide(shares, of_all, out=np.zeros_like(shares), where=of_all > 0)


def numbers_of(array: Array, words: dict[str, Any]) -> list[int]:
    """The filters that sound."""
    if "top" in words:
        return sorted(np.argsort(-(array**2).sum((1, 2)), kind="stable")[: words["top"]].tolist())
    if "filters" in words:
        given = words["filters"]
        return [int(each) for each in (given.split(",") if isinstance(given, str) else given)]
    return list(range(len(array)))


def panned(array: Array, words: dict[str, Any]) -> Array:
    """Weights `[filter, channel]`, all filters'."""
    if not words.get("stereo"):
        return np.ones((len(array), 1))
    places = (np.arange(len(array)) + 0.5) / len(array)
    if words.get("pan") == "centroid":
        energy, across = (array**2).sum(1), (np.arange(array.shape[2]) + 0.5) / array.shape[2]
        total = energy.sum(1)
        places = np.where(total > 0, energy @ across / np.where(total > 0, total, 1), 0.5)
    return np.stack((np.cos(places * np.pi / 2), np.sin(places * np.pi / 2)), axis=1)


def level_of(summed: Array) -> float:
    """The root of the mean over frames of the magnitudes' energies; of all channels `[channel, ...]`."""
    stft, energy = Stft(256, 64, 9600), 0.0
    for rows in summed:
        a_frame = len(rows) * stft.hop / stft.samples
        centres = np.arange(stft.frames) * a_frame
        first, weights = interval_weights(centres - a_frame / 2, centres + a_frame / 2, len(rows))
        in_time = weights @ (rows / 1000)[first : first + weights.shape[1]]
        scale = FrequencyScale("log", 40.0, 4000.0)
        spread = FrequencyMap(rows.shape[1], 256, 8000, scale, reversed_rows=True)
        energy += float(spread(torch.from_numpy(in_time).float()).double().square().sum())
    return float(np.sqrt(energy / stft.frames))
