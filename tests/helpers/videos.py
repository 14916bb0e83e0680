"""Videos decoded again: frames, times, sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile


def decoded(path: Path) -> tuple[np.ndarray, list[float], Any]:
    """Every frame's brightness `[frame, y, x]`, their times, and facts of the stream."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames, times = [], []
        for frame in container.decode(stream):
            frames.append(frame.to_ndarray(format="gray"))
            times.append(float(frame.pts * frame.time_base))
        facts = {
            "codec": stream.codec_context.codec.canonical_name,
            "seconds": container.duration / 1e6,
            "size": (stream.codec_context.width, stream.codec_context.height),
        }
        return np.stack(frames), times, facts


def heard(path: Path, rate: int) -> np.ndarray:
    """The sound, one channel `[sample]`, from time 0 on."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
        blocks: list[np.ndarray] = []
        start = None
        for frame in container.decode(stream):
            start = float(frame.pts * frame.time_base) if start is None else start
            blocks += [each.to_ndarray()[0] for each in resampler.resample(frame)]
        blocks += [each.to_ndarray()[0] for each in resampler.resample(None)]
    assert start is not None
    samples = np.concatenate(blocks)
    lead = round(start * rate)
    return np.concatenate((np.zeros(max(0, lead)), samples[max(0, -lead) :]))


def assert_sounds_like(made: Path, sound: Path) -> None:
    """By cross-correlation: no later or earlier than 2 ms, where a frame lasts 33 and ears notice 20."""
    samples, rate = soundfile.read(sound)
    expected, found = samples.mean(1), heard(made, rate)
    assert abs(len(found) - len(expected)) <= 0.05 * rate  # whole blocks of the codec
    length = 1 << (len(expected) + len(found)).bit_length()
    product = np.fft.irfft(np.fft.rfft(found, length) * np.fft.rfft(expected, length).conj(), length)
    lag = int(np.argmax(product))
    lag -= length if lag > length // 2 else 0
    assert abs(lag) <= 0.002 * rate
    shared = min(len(found), len(expected))
    assert np.corrcoef(found[:shared], expected[:shared])[0, 1] > 0.95
