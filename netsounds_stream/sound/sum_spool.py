"""The raw sum of a bank's filters, inverted as frames arrive and kept on disk until its peak is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..base.checksums import FileSum, shifted
from ..base.journal import Files
from ..base.progress import Advance
from ..base.sink import ResumableSink
from ..base.spool import Spool
from ..planning.plan import AudioPlan
from ..planning.sound_options import SoundOptions
from ..planning.steps import SumState
from .dsp.half_ifft import half_length, mirrored
from .levels import Levels, gains, require_finite
from .view import SoundMeter
from .wav import LaidOutWav, full_scale, to_samples


class SumSpool(ResumableSink[SumState]):
    """A file of the half frames of a bank's sum, float32 `[frame, channel, sample]`.

    The file stays when the spool is closed.

    Args:
        path: path of the file.
        frames: number of frames that will be added.
        frequencies: number of values of a frame.
        state: state of a spool to resume; None: a new one.
        channels: 1, or 2 for stereo.

    Attributes:
        path: path of the file.
    """

    def __init__(
        self,
        path: Path,
        frames: int,
        frequencies: int,
        state: SumState | None = None,
        channels: int = 1,
    ) -> None:
        self.path = path
        self._frames = frames
        self._frequencies = frequencies
        self._low = np.inf if state is None else state["low"]
        self._high = -np.inf if state is None else state["high"]
        self._peak = 0.0 if state is None else state["peak"]
        written = None if state is None else state["frames"]
        self._spool = Spool(path, (channels, half_length(frequencies)), written)

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        self._spool.close()

    def state(self) -> SumState:
        """Return the number of frames and their extremes, JSON-ready and exact."""
        return {"frames": self._spool.rows, "low": self._low, "high": self._high, "peak": self._peak}

    def files(self, state: SumState, cancelled: Callable[[], bool]) -> Files:
        """Return the spool's file, which must be durable for `state` to hold."""
        return {self.path: None}

    def add(self, half: Tensor) -> None:
        """Append the next frames.

        Args:
            half: first halves of inverted sums, float32 `[frame, channel, sample]`.

        Raises:
            StoreError: not all values are finite.
        """
        require_finite(half)
        low, high = (float(value) for value in torch.aminmax(half))
        self._low = min(self._low, low)
        self._high = max(self._high, high)
        self._peak = max(self._peak, abs(low), abs(high))
        self._spool.append(half)

    def write_wav(
        self,
        path: Path,
        audio: AudioPlan,
        options: SoundOptions,
        *,
        block_values: int,
        advance: Advance,
        info: bytes = b"",
        meter: SoundMeter | None = None,
    ) -> FileSum:
        """Scale the sum and write it as one WAV.

        Args:
            path: path of the WAV.
            audio: plan of the WAV.
            options: options of the sound: scale, sample format and rate.
            block_values: number of values that are processed at a time.
            advance: called with the number of samples.
            info: chunk that precedes the samples; see `tags.info_chunk`.
            meter: measures the samples for the report; None without a report.

        Returns:
            Size and checksum of the WAV.

        Raises:
            OutputError: the WAV cannot be written.
        """
        assert self._spool.rows == self._frames
        levels = Levels(low=np.array([self._low]), high=np.array([self._high]), peak=np.array([self._peak]))
        (factor,), (offset,) = gains(levels, options.scale)
        rows = max(1, block_values // (self._frequencies * audio.channels))
        with LaidOutWav(path, audio, options, info=info) as wav:
            needed = -(-audio.samples // self._frequencies)  # fewer in a preview
            for start in range(0, needed, rows):
                half = self._spool.read(start, min(rows, needed - start))
                half.mul_(factor).add_(offset)
                samples = to_samples(half, options.subtype, bounded=options.scale != "none")
                first = start * self._frequencies
                frames = mirrored(samples.numpy(), self._frequencies)
                sound = frames.transpose(0, 2, 1).reshape(-1, audio.channels)[: audio.samples - first]
                part = wav.write(first, sound)
                wav.checksum ^= shifted(part, wav.bytes_after(first + len(sound)))
                if meter is not None:
                    meter.add(sound.astype(np.float32) / np.float32(full_scale(options.subtype)))
                advance(sound.size)
            return wav.file_sum()
