"""The sum of a bank's filters on its way to sound: inverted as it comes, kept until its peak is known."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from .checksums import FileSum, moved
from .errors import OutputError, StoreError
from .levels import Levels, gains, require_finite
from .options import SoundOptions
from .plans import AudioPlan
from .progress import Advance
from .transform import half_length, mirrored
from .wav import LaidOutWav, to_samples


class SumSpool:
    """Half frames, float32, in a file at `path`, which stays when the `with` block is left.

    Args:
        state: of a spool left before, to go on with; see `state`.
    """

    def __init__(
        self, path: Path, frames: int, frequencies: int, state: Mapping[str, Any] | None = None
    ) -> None:
        self.path, self._frames, self._frequencies = path, frames, frequencies
        self._half = half_length(frequencies)
        self._low, self._high, self._peak, self._added = np.inf, -np.inf, 0.0, 0
        try:
            self._file: BinaryIO = path.open("w+b" if state is None else "r+b", buffering=0)
            if state is not None:
                self._low, self._high, self._peak = state["low"], state["high"], state["peak"]
                self._added = int(state["frames"])
                wanted = 4 * self._half * self._added
                if os.fstat(self._file.fileno()).st_size < wanted:
                    self._file.close()
                    raise StoreError(f"{path} was cut short; begin afresh with --overwrite")
                self._file.truncate(wanted)
                self._file.seek(0, 2)
        except FileNotFoundError as error:
            raise StoreError(f"{path} is missing; begin afresh with --overwrite") from error
        except OSError as error:
            raise self._failed(error) from error

    def __enter__(self) -> SumSpool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def state(self) -> dict[str, Any]:
        """How far it has come, JSON-ready."""
        return {"frames": self._added, "low": self._low, "high": self._high, "peak": self._peak}

    def add(self, half: Tensor) -> None:
        """Take the next summed frames, inverted: first halves, float32 `[frame, sample]`."""
        require_finite(half)
        low, high = (float(value) for value in torch.aminmax(half))
        self._low, self._high = min(self._low, low), max(self._high, high)
        self._peak = max(self._peak, abs(low), abs(high))
        self._added += int(half.shape[0])
        data = memoryview(half.contiguous().numpy()).cast("B")
        try:
            while data:  # an unbuffered write may take less than all
                data = data[self._file.write(data) :]
        except OSError as error:
            raise self._failed(error) from error

    def write_wav(
        self, path: Path, audio: AudioPlan, options: SoundOptions, block_values: int, advance: Advance
    ) -> FileSum:
        """Scale what was gathered and write it as one WAV."""
        assert self._added == self._frames
        levels = Levels(np.array([self._low]), np.array([self._high]), np.array([self._peak]))
        (factor,), (offset,) = gains(levels, options.scale)
        rows = max(1, block_values // self._frequencies)
        self._file.seek(0)
        with LaidOutWav(path, audio, options) as wav:
            for start in range(0, self._frames, rows):
                half = self._next(min(rows, self._frames - start))
                samples = to_samples(half.mul_(factor).add_(offset), options.subtype)
                sound = mirrored(samples, self._frequencies).numpy()
                at = start * self._frequencies
                wav.checksum ^= moved(wav.write(at, sound), wav.bytes_after(at + sound.size))
                advance(sound.size)
            return wav.file_sum()

    def _next(self, rows: int) -> Tensor:
        half = torch.empty(rows, self._half)
        view = memoryview(half.numpy()).cast("B")
        while view:
            taken = self._file.readinto(view)  # type: ignore[attr-defined]
            if not taken:
                raise StoreError(f"{self.path} was cut short; begin afresh with --overwrite")
            view = view[taken:]
        return half

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {self.path} ({error}); make room on the disk, or make it writable")
