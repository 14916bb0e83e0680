"""What a listener notices in a sound file, as figures. Needs scipy; `mel_levels` needs librosa."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.ndimage
import scipy.signal
import soundfile
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Of the envelope, in hertz.
BANDS = ((300, 1000), (1000, 3000), (3000, 10000))
_SILENT_DB = -60.0  # of a twentieth of a second


def read(path: Path) -> tuple[Floats, int]:
    """Return a file's samples `[sample, channel]` and its rate in hertz."""
    samples, rate = soundfile.read(str(path), always_2d=True)
    return samples, int(rate)


def buzz_db(mono: Floats, rate: int, hop: int) -> list[float]:
    """Return how far the envelope's line at the frames' rate stands out, in dB, in each band.

    Frames that are laid over one another without regard to each other's phases pulse at their rate. An
    envelope is divided by its own slow part, so that what the picture does there is no part of it.

    Args:
        mono: `[sample]`, of some seconds.
        hop: samples between frames.
    """
    found = []
    slow = scipy.signal.butter(2, 5, "low", fs=rate, output="sos")
    for band in BANDS:
        sound = scipy.signal.sosfiltfilt(scipy.signal.butter(4, band, "band", fs=rate, output="sos"), mono)
        envelope = np.abs(scipy.signal.hilbert(sound))
        envelope = envelope / (scipy.signal.sosfiltfilt(slow, envelope) + 1e-6) - 1
        inner = envelope[rate // 4 : -rate // 4]
        frequencies, power = scipy.signal.welch(inner, rate, nperseg=1 << 15)
        at = int(np.argmin(np.abs(frequencies - rate / hop)))
        around = np.r_[at - 25 : at - 6, at + 7 : at + 26]
        found.append(float(10 * np.log10(power[at - 1 : at + 2].max() / np.median(power[around]))))
    return found


def level_db(samples: Floats) -> float:
    """Return the mean square in dB."""
    return float(10 * np.log10(np.mean(samples**2) + 1e-12))


def swell_db(mono: Floats, rate: int) -> tuple[float, float]:
    """Return how much louder the first and the last fifth of a second are than the second inside, in dB."""
    edge, beside, fade = rate // 5, rate, rate // 20
    first = level_db(mono[fade:edge]) - level_db(mono[edge : edge + beside])
    last = level_db(mono[-edge:-fade]) - level_db(mono[-edge - beside : -edge])
    return first, last


def levels(samples: Floats, rate: int) -> dict[str, float]:
    """Return a stereo file's range, crest, silent share and width.

    Returns:
        `range_db` between the 5th and the 95th percentile of the level, by twentieths of a second;
        `silent_share` of those; `crest_db` of the peak over the mean; `side_db` of the channels' difference
        over their mean, all of the channels' mean where nothing else is said.
    """
    mono, step = samples.mean(1), rate // 20
    steps = mono[: len(mono) // step * step].reshape(-1, step)
    over_time = 10 * np.log10((steps**2).mean(1) + 1e-18)
    low, high = np.percentile(over_time, (5, 95))
    return {
        "range_db": float(high - low),
        "silent_share": float((over_time < _SILENT_DB).mean()),
        "crest_db": float(20 * np.log10(np.abs(samples).max() + 1e-12) - level_db(mono)),
        "side_db": level_db((samples[:, 0] - samples[:, 1]) / 2) - level_db(mono),
    }


def mel_levels(mono: Floats, rate: int) -> Floats:
    """Return a spectrogram as the ear has it: dB below its highest value, 80 at most, `[mel band, frame]`."""
    import librosa

    power = librosa.feature.melspectrogram(y=mono, sr=rate, n_mels=128, fmin=30, fmax=16000)
    return np.asarray(librosa.power_to_db(power, ref=np.max, top_db=80), dtype=np.float64)


def alike(one: Floats, other: Floats) -> float:
    """Return the correlation of two of `mel_levels`, the second stretched to the first one's length."""
    if one.shape[1] != other.shape[1]:
        other = scipy.ndimage.zoom(other, (1, one.shape[1] / other.shape[1]), order=1)
    length = min(one.shape[1], other.shape[1])
    flat = one[:, :length].ravel(), other[:, :length].ravel()
    if min(each.std() for each in flat) == 0:
        return 0.0
    return float(np.corrcoef(*flat)[0, 1])
