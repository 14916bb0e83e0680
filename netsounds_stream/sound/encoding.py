"""FLAC and Ogg Vorbis written from front to back, and sound brought to another rate, a piece at a time.

Both work in blocks on a grid from the first sample on, so that nothing depends on the pieces that the sound
comes in. Equal samples and tags give equal files, which libsndfile alone does not: it gives every Ogg stream
a random serial number, and Vorbis packs other bits where pieces end elsewhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import SEEK_CUR, SEEK_END, SEEK_SET
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ..errors import cannot_write
from ..planning.formats import check_format, check_resampling, resampled_length
from .tags import Tags, vorbis_comments

# libvorbis puts all frames of a write on the stack: two million overflow it (xiph/vorbis issue 99).
_BLOCK_FRAMES = 4096
_DTYPES: dict[str, np.dtype[Any]] = {
    "PCM_16": np.dtype(np.int16),
    "PCM_24": np.dtype(np.int32),
    "VORBIS": np.dtype(np.float32),
}

# An Ogg page: 27 bytes, the count of its segments last; the segments' lengths; the segments.
_PAGE_START = 27
_PAGE_SERIAL, _PAGE_CRC = slice(14, 18), slice(22, 26)
_BITS_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class SoundWriter:
    """One FLAC or Ogg Vorbis file, written from front to back by one thread.

    Leaving it by an error closes the file as it is, unfinished.

    Args:
        format: 'flac' or 'ogg'.
        subtype: 'PCM_16' or 'PCM_24'; not used for 'ogg'.

    Attributes:
        frames: how many have been written.

    Raises:
        OptionError: the format does not take the subtype, rate or channels.
        OutputError: the file cannot be written, here or in `write` or `close`.
    """

    def __init__(
        self, path: Path, format: str, subtype: str, sample_rate_hz: int, channels: int, tags: Tags
    ) -> None:
        assert format in ("flac", "ogg")
        check_format(format, subtype, sample_rate_hz, channels, 1)
        self.path, self.frames, self._closed = path, 0, False
        codec, comments = "VORBIS" if format == "ogg" else subtype, vorbis_comments(tags)
        self._blocks = _Blocks(channels, _DTYPES[codec])
        try:
            if format == "ogg":  # files may be joined end to end, if their streams have other numbers
                self._file: _File = _OggFile(path, zlib.crc32(repr((sample_rate_hz, comments)).encode()))
            else:
                self._file = _File(path)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        try:
            self._sound = soundfile.SoundFile(
                self._file, "w", sample_rate_hz, channels, codec, format=format.upper()
            )
            for name, text in comments.items():
                setattr(self._sound, name, text)
        except soundfile.LibsndfileError as error:
            self._file.close()
            raise cannot_write(self.path, error) from error

    def __enter__(self) -> SoundWriter:
        return self

    def write(self, samples: NDArray[Any]) -> None:
        """Append `samples` [frame, channel], any number of frames.

        int16 for PCM_16, int32 with the 24 bits uppermost for PCM_24, float32 in [-1, 1] for Ogg.
        """
        assert not self._closed
        for block in self._blocks.push(samples):
            self._encode(block)

    def close(self) -> None:
        """Finish the file, and make sure that all of it is there; closing twice does nothing."""
        if self._closed:
            return
        try:
            self._encode(self._blocks.rest())
            self._sound.close()
            self._check()
            self._file.close()
            # whatever else was lost on the way: the count of frames is what the encoders write last
            if soundfile.info(str(self.path)).frames != self.frames:
                raise cannot_write(self.path, "it ends too early")
        except (OSError, soundfile.LibsndfileError) as error:
            raise cannot_write(self.path, error) from error
        finally:
            self._abandon()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._abandon()

    def _encode(self, block: NDArray[Any]) -> None:
        try:
            if len(block):
                self._sound.write(block)
        except (soundfile.LibsndfileError, AssertionError) as error:  # soundfile asserts that all were taken
            self._check()
            raise cannot_write(self.path, error) from error
        self._check()
        self.frames += len(block)

    def _check(self) -> None:
        """Raise what went wrong in `_file`, which libsndfile does not tell, or not as what it was."""
        error = self._file.error
        if isinstance(error, OSError):
            raise cannot_write(self.path, error) from error
        if error is not None:
            raise error

    def _abandon(self) -> None:
        """Close all that is open, whatever state it is in."""
        self._closed = True
        try:
            self._sound.close()
        except soundfile.LibsndfileError:
            pass  # the file is unfinished, and whoever gave it up has an error of their own
        finally:
            self._file.close()


class Resampler:
    """Sound brought from one rate to another, a piece at a time, by soxr at its best quality.

    The same samples come out however they were put in. Near full scale they may pass it a little, as the
    waveform between the samples does.

    Raises:
        OptionError: there is no resampling between these rates.
    """

    def __init__(self, rate_in_hz: int, rate_out_hz: int, channels: int) -> None:
        check_resampling(rate_in_hz, rate_out_hz)
        self._rates = rate_in_hz, rate_out_hz
        self._stream = soxr.ResampleStream(rate_in_hz, rate_out_hz, channels, dtype="float32", quality="VHQ")
        self._blocks = _Blocks(channels, np.dtype(np.float32))
        self._taken = self._given = 0
        self._flushed = False

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is ready after `samples`, both [frame, channel], any number of frames."""
        assert not self._flushed
        self._taken += len(samples)
        ready = [self._stream.resample_chunk(block) for block in self._blocks.push(samples)]
        found = np.concatenate(ready) if ready else self._blocks.none()
        self._given += len(found)
        return found

    def flush(self) -> NDArray[np.float32]:
        """The rest: with it there are exactly `resampled_length` frames. Nothing can be pushed after it."""
        assert not self._flushed
        self._flushed = True
        rest = self._stream.resample_chunk(self._blocks.rest(), last=True)
        missing = resampled_length(self._taken, *self._rates) - self._given - len(rest)
        # soxr rounds to the nearest count, so that now and then one frame is missing
        assert -2 <= missing <= 2
        found = np.pad(rest, ((0, missing), (0, 0))) if missing > 0 else rest[: len(rest) + missing]
        self._given += len(found)
        return found


class _Blocks:
    """Samples [frame, channel] of any lengths in, blocks on a grid from the first one on out.

    A block is to be used before the next one is asked for.
    """

    def __init__(self, channels: int, dtype: np.dtype[Any]) -> None:
        self._held, self._count = np.empty((_BLOCK_FRAMES, channels), dtype), 0

    def push(self, samples: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """Every block that `samples` fill; all must be taken."""
        assert samples.ndim == 2 and samples.shape[1] == self._held.shape[1]
        assert samples.dtype == self._held.dtype
        start = 0
        while start < len(samples):
            taken = min(_BLOCK_FRAMES - self._count, len(samples) - start)
            self._held[self._count : self._count + taken] = samples[start : start + taken]
            self._count, start = self._count + taken, start + taken
            if self._count == _BLOCK_FRAMES:
                self._count = 0
                yield self._held

    def rest(self) -> NDArray[Any]:
        """What fills no block, once."""
        count, self._count = self._count, 0
        return self._held[:count]

    def none(self) -> NDArray[Any]:
        return np.empty((0, self._held.shape[1]), self._held.dtype)


class _File:
    """What libsndfile writes to in place of a path, for it swallows errors: at the end even a full disk's.

    Nothing can be raised out of its calls, so the first error is kept, and nothing is written after it.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.error: BaseException | None = None
        self._file = path.open("wb", buffering=0)
        self._place = self._end = 0

    def write(self, content: bytes) -> int:
        try:
            if self.error is None:
                self._put(content)
        except BaseException as error:  # noqa: BLE001  (raised again by SoundWriter)
            self.error = error
        return len(content) if self.error is None else 0

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        self._place = offset + {SEEK_SET: 0, SEEK_CUR: self._place, SEEK_END: self._end}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def close(self) -> None:
        self._file.close()

    def _put(self, content: bytes) -> None:
        self._file.seek(self._place)
        rest = memoryview(content)
        while rest:  # the system may take less than all
            taken = self._file.write(rest)
            rest, self._place = rest[taken:], self._place + taken
        self._end = max(self._end, self._place)


class _OggFile(_File):
    """Gives every page the stream number `serial`, and a checksum that is right again."""

    def __init__(self, path: Path, serial: int) -> None:
        super().__init__(path)
        self._serial, self._rest = serial.to_bytes(4, "little"), b""

    def _put(self, content: bytes) -> None:
        self._rest += content
        while length := _page_length(self._rest):
            page, self._rest = bytearray(self._rest[:length]), self._rest[length:]
            page[_PAGE_SERIAL], page[_PAGE_CRC] = self._serial, bytes(4)
            page[_PAGE_CRC] = _ogg_crc(page).to_bytes(4, "little")
            super()._put(bytes(page))


def _page_length(content: bytes) -> int:
    """Of the Ogg page that `content` begins with; 0 where it is not all there."""
    if len(content) < _PAGE_START:
        return 0
    segments = content[_PAGE_START : _PAGE_START + content[_PAGE_START - 1]]
    length = _PAGE_START + content[_PAGE_START - 1] + sum(segments)
    return length if len(content) >= length else 0


def _ogg_crc(page: bytearray) -> int:
    """zlib's CRC-32 with the bits the other way round in every byte and in the result, and no inversions."""
    crc = zlib.crc32(page.translate(_BITS_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)
