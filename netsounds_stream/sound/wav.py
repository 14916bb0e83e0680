"""Preallocated WAV files, filled in any order, from several threads.

The header is right from the first moment and the file is sparse until filled, so sound can be written in
the order in which activations are read rather than in the order of time:

    RIFF, or RF64 past 4 GiB with its `ds64` chunk | fmt | fact (float only) | data: the samples

After Microsoft's "Multiple channel audio data and WAVE files" and EBU Tech 3306 (RF64).
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..base.checksums import FileSum, full_crc32c, linear_part, shifted
from ..base.sink import Closable
from ..base.spool import PlacedFile
from ..errors import StoreError, cannot_write
from ..planning.formats import SAMPLE_BYTES
from ..planning.plan import AudioPlan
from ..planning.sound_options import SoundOptions

_FULL_SCALE = {"PCM_16": 2**15 - 1, "PCM_24": 2**23 - 1}
# Format tags of the `fmt` chunk.
_PCM = 1
_FLOAT = 3
_IN_DS64 = 0xFFFFFFFF  # in place of a length that stands in the `ds64` chunk


def to_samples(values: Tensor, subtype: str, *, bounded: bool = True) -> Tensor:
    """Convert values to a file's samples.

    Args:
        values: float32, full scale being 1; overwritten.
        subtype: 'PCM_16', 'PCM_24' or 'FLOAT'.
        bounded: whether floats are clamped to [-1, 1], too, which rounding can pass by an ulp; integers
            always are.

    Returns:
        int16 for PCM_16, int32 with the 24 bits uppermost for PCM_24, float32 for FLOAT.
    """
    if bounded or subtype != "FLOAT":
        values.clamp_(-1, 1)
    if subtype == "FLOAT":
        return values
    values.mul_(_FULL_SCALE[subtype]).round_()
    return values.to(torch.int16) if subtype == "PCM_16" else values.to(torch.int32) << 8


def full_scale(subtype: str) -> float:
    """Return the sample that `to_samples` makes of 1."""
    return 1.0 if subtype == "FLOAT" else _FULL_SCALE[subtype] * (256.0 if subtype == "PCM_24" else 1.0)


def wav_header(audio: AudioPlan, options: SoundOptions, info: bytes = b"") -> bytes:
    """Return all bytes that precede the samples of a file of the planned length.

    Args:
        audio: plan of the file: length, channels, WAV or RF64.
        options: sample format and rate.
        info: chunk to include; see `tags.info_chunk`.
    """
    sample_bytes = SAMPLE_BYTES[options.subtype]
    frame_bytes = sample_bytes * audio.channels
    size = audio.samples * frame_bytes
    rate = options.file_rate_hz
    tag = _FLOAT if options.subtype == "FLOAT" else _PCM
    form = struct.pack("<HHII", tag, audio.channels, rate, rate * frame_bytes)
    form += struct.pack("<HH", frame_bytes, 8 * sample_bytes)
    large = audio.container == "RF64"
    chunks = _chunk(b"fmt ", form + (b"\0\0" if tag == _FLOAT else b""))
    if tag == _FLOAT:
        chunks += _chunk(b"fact", struct.pack("<I", _IN_DS64 if large else audio.samples))
    chunks += info
    after = len(b"WAVE") + len(chunks) + len(b"data") + 4 + size + size % 2
    if not large:
        return struct.pack("<4sI4s", b"RIFF", after, b"WAVE") + chunks + struct.pack("<4sI", b"data", size)
    lengths = struct.pack("<QQQI", after + 8 + 28, size, audio.samples, 0)
    start = struct.pack("<4sI4s", b"RF64", _IN_DS64, b"WAVE") + _chunk(b"ds64", lengths)
    return start + chunks + struct.pack("<4sI", b"data", _IN_DS64)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", name, len(content)) + content


def missing_bytes(path: Path) -> int:
    """Count the bytes of samples that a WAV's header promises beyond the file's end.

    libsndfile does not tell: it reads a cut file as if it were complete.

    Returns:
        The number of bytes; 0 where none is missing, or the file is no WAV.
    """
    end = path.stat().st_size
    lengths: dict[bytes, int] = {}
    with path.open("rb") as file:
        kind, riff_bytes, form = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
        if kind not in (b"RIFF", b"RF64") or form != b"WAVE":
            return 0
        while len(head := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", head)
            if name == b"ds64":
                lengths[b"data"] = struct.unpack("<Q", file.read(16)[8:].ljust(8, b"\0"))[0]
                file.seek(max(0, length - 16), 1)
                continue
            if name == b"data":
                # all ones without a ds64 chunk: the writer did not know the length
                known = lengths.get(name, 0 if length == _IN_DS64 else length)
                return max(0, int(known) - (end - file.tell()))
            file.seek(length + length % 2, 1)
    # no samples at all: the file was cut within its header
    return max(1, riff_bytes + 8 - end) if kind == b"RIFF" else 1


class LaidOutWav(Closable):
    """A preallocated WAV, or RF64 where the plan says so, open for writing at any place.

    Threads may write at the same time, each its own stretch. The file gets its name once its header and
    length are right.

    Args:
        path: path of the file.
        audio: plan of the file: length, channels, container.
        options: sample format and rate.
        checksum: the `checksum` of a file to resume; None: a new file.
        info: chunk that precedes the samples; see `tags.info_chunk`.

    Attributes:
        path: path of the file.
        bytes: size of the file.
        sample_bytes: size of a sample in all channels.
        checksum: linear checksum of the header and of all stretches that the caller has added (`^=`); see
            `base.checksums`.

    Raises:
        OutputError: the file cannot be made.
        StoreError: the file to resume is missing, or has another length.
    """

    def __init__(
        self,
        path: Path,
        audio: AudioPlan,
        options: SoundOptions,
        checksum: int | None = None,
        info: bytes = b"",
    ) -> None:
        self.path = path
        self._subtype = options.subtype
        self._length = audio.samples
        self._channels = audio.channels
        header = wav_header(audio, options, info)
        self._start = len(header)
        self.sample_bytes = SAMPLE_BYTES[options.subtype] * audio.channels
        size = audio.samples * self.sample_bytes
        self.bytes = self._start + size + size % 2
        self._file: PlacedFile | None = None
        try:
            if checksum is None:
                new = path.with_name(f"{path.name}.new")
                with new.open("wb", buffering=0) as file:
                    os.ftruncate(file.fileno(), self.bytes)
                    PlacedFile(file).put(header, 0)
                new.replace(path)  # closed, for Windows renames no open file
                checksum = shifted(linear_part(header, len(header)), self.bytes - len(header))
            elif path.stat().st_size != self.bytes:
                raise StoreError(f"{path} has been changed since; start again with --overwrite")
            self.checksum = checksum
            self._file = PlacedFile(path.open("r+b", buffering=0))
        except FileNotFoundError as error:
            raise StoreError(f"{path} is missing; start again with --overwrite") from error
        except OSError as error:
            self.close()
            raise cannot_write(self.path, error) from error

    def write(self, start: int, samples: NDArray[np.generic]) -> int:
        """Write samples at their place.

        Args:
            start: number of the first one.
            samples: `[sample, channel]`; see `to_samples` for the dtypes.

        Returns:
            The linear checksum of what was written, to be shifted by `bytes_after` its end.

        Raises:
            OutputError: they cannot be written.
        """
        assert start >= 0 and samples.size % self._channels == 0
        assert start + samples.size // self._channels <= self._length
        values = np.ascontiguousarray(samples.reshape(-1))
        if self._subtype == "PCM_24":  # the upper three of four little-endian bytes
            values = np.ascontiguousarray(values.view(np.uint8).reshape(-1, 4)[:, 1:])
        try:
            assert self._file is not None
            self._file.put(memoryview(values).cast("B"), self._start + start * self.sample_bytes)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return linear_part(values, values.nbytes)

    def bytes_after(self, end: int) -> int:
        """Return the number of bytes from sample `end` to the end of the file."""
        return self.bytes - self._start - end * self.sample_bytes

    def file_sum(self) -> FileSum:
        """Return the file's size and checksum, once the stretches of all samples were added to `checksum`."""
        return FileSum(self.bytes, full_crc32c(self.checksum, self.bytes))

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        if self._file is not None:
            self._file.close()
