"""WAV files laid out at full length first, then filled in any order.

The header is right from the first moment and the file is sparse until filled, so sound can be written in
the order in which activations are read rather than in the order of time.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import OutputError
from .options import SoundOptions
from .planning import AudioPlan

_FULL_SCALE = {"PCM_16": 2**15 - 1, "PCM_24": 2**23 - 1}


def to_samples(values: Tensor, subtype: str) -> Tensor:
    """`values` in [-1, 1] (clamped there; rounding can pass it by an ulp) as the file's samples.

    int16 for PCM_16, int32 with the 24 bits uppermost for PCM_24, float32 for FLOAT. `values` is
    overwritten.
    """
    values.clamp_(-1, 1)
    if subtype == "FLOAT":
        return values
    values.mul_(_FULL_SCALE[subtype]).round_()
    return values.to(torch.int16) if subtype == "PCM_16" else values.to(torch.int32) << 8


class LaidOutWav:
    """A mono WAV (RF64 where the plan says so) of exactly the planned length, open for writing anywhere."""

    def __init__(self, path: Path, audio: AudioPlan, options: SoundOptions) -> None:
        self._frames = audio.samples
        try:
            with soundfile.SoundFile(
                path,
                "w",
                samplerate=options.sample_rate_hz,
                channels=1,
                format=audio.container,
                subtype=options.subtype,
            ) as empty:
                empty.seek(audio.samples - 1)
                empty.write(np.zeros(1, np.float32 if options.subtype == "FLOAT" else np.int16))
            self._file = soundfile.SoundFile(path, "r+")
        except soundfile.LibsndfileError as error:
            raise OutputError(
                f"cannot write {path.name} ({error}); is the disk full or read-only?"
            ) from error

    def __enter__(self) -> LaidOutWav:
        return self

    def write(self, start: int, samples: NDArray[np.generic]) -> None:
        """Fill the samples from `start` on; see `to_samples` for the dtypes."""
        assert start >= 0 and start + samples.size <= self._frames
        try:
            self._file.seek(start)
            self._file.write(samples.reshape(-1))
        except soundfile.LibsndfileError as error:
            raise OutputError(f"cannot write sound ({error}); is the disk full or read-only?") from error

    def close(self) -> None:
        """Write what is buffered and close the file; closing twice does nothing."""
        try:
            self._file.close()
        except soundfile.LibsndfileError as error:
            raise OutputError(f"cannot write sound ({error}); is the disk full or read-only?") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
