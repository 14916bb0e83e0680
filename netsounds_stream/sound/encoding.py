"""FLAC and Ogg Vorbis files written from front to back, and streaming resampling.

Both work in blocks on a grid from the first sample on, so that results do not depend on the pieces that the
sound comes in. Equal samples and tags give equal files. libsndfile alone does not promise that: it gives
every Ogg stream a random serial number, and Vorbis packs other bits where pieces end elsewhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import SEEK_CUR, SEEK_END, SEEK_SET
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ..base.sink import Closable
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

# An Ogg page (RFC 3533): a header of 27 bytes, whose last byte counts the segments; their lengths; segments.
_PAGE_START = 27
_PAGE_SERIAL = slice(14, 18)
_PAGE_CRC = slice(22, 26)
_BITS_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class SoundWriter(Closable):
    """A FLAC or Ogg Vorbis file, written from front to back by one thread.

    An exception that leaves its `with` block closes the file unfinished.

    Args:
        path: path of the file.
        format: 'flac' or 'ogg'.
        subtype: 'PCM_16' or 'PCM_24'; not used for 'ogg'.
        sample_rate_hz: the file's sample rate.
        channels: number of channels.
        tags: texts that become Vorbis comments.

    Attributes:
        path: path of the file.
        frames: number of frames (samples in all channels) that were encoded.

    Raises:
        OptionError: the format does not allow the subtype, rate or number of channels.
        OutputError: the file cannot be written; `write` and `close` raise it, too.
    """

    def __init__(
        self, path: Path, format: str, subtype: str, sample_rate_hz: int, channels: int, tags: Tags
    ) -> None:
        assert format in ("flac", "ogg")
        check_format(format, subtype, sample_rate_hz, channels, 1)
        self.path = path
        self.frames = 0
        self._closed = False
        codec = "VORBIS" if format == "ogg" else subtype
        comments = vorbis_comments(tags)
        self._blocks = _Blocks(channels, _DTYPES[codec])
        try:
            if format == "ogg":  # files may be joined end to end if their streams' serial numbers differ
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

    def write(self, samples: NDArray[Any]) -> None:
        """Append samples.

        Args:
            samples: `[frame, channel]`, any number of frames; int16 for PCM_16, int32 with the 24 bits
                uppermost for PCM_24, float32 in [-1, 1] for Ogg.
        """
        assert not self._closed
        for block in self._blocks.push(samples):
            self._encode(block)

    def close(self) -> None:
        """Finish the file and check that it is complete; closing twice does nothing."""
        if self._closed:
            return
        try:
            self._encode(self._blocks.rest())
            self._sound.close()
            self._check()
            self._file.close()
            # the encoders write the number of frames last: if it is right, nothing was lost on the way
            if soundfile.info(str(self.path)).frames != self.frames:
                raise cannot_write(self.path, "it ends too early")
        except (OSError, soundfile.LibsndfileError) as error:
            raise cannot_write(self.path, error) from error
        finally:
            self._abandon()

    def __exit__(self, *error: object) -> None:
        """Finish the file, or close it unfinished where an exception left the `with` block."""
        if error == (None, None, None):
            self.close()
        else:
            self._abandon()

    def _encode(self, block: NDArray[Any]) -> None:
        try:
            if len(block):
                self._sound.write(block)
        except (soundfile.LibsndfileError, AssertionError) as error:
            # soundfile asserts that all frames were written
            self._check()
            raise cannot_write(self.path, error) from error
        self._check()
        self.frames += len(block)

    def _check(self) -> None:
        """Raise the error of `_file`, which libsndfile swallows, or reports as another one."""
        error = self._file.error
        if isinstance(error, OSError):
            raise cannot_write(self.path, error) from error
        if error is not None:
            raise error

    def _abandon(self) -> None:
        """Close all that is open, whatever its state."""
        self._closed = True
        try:
            self._sound.close()
        except soundfile.LibsndfileError:
            pass  # the file is unfinished, and an earlier error is on its way
        finally:
            self._file.close()


class Resampler:
    """Resamples sound piece by piece, by soxr at its best quality.

    The samples that come out do not depend on the pieces that went in. Near full scale they may pass it a
    little, as the waveform between the samples does. Between calls, fewer than 4,096 samples are retained,
    besides soxr's own delay.

    Args:
        rate_in_hz: sample rate of what is pushed.
        rate_out_hz: sample rate of what is returned.
        channels: number of channels.

    Raises:
        OptionError: there is no resampling between these rates.
    """

    def __init__(self, rate_in_hz: int, rate_out_hz: int, channels: int) -> None:
        check_resampling(rate_in_hz, rate_out_hz)
        self._rates = rate_in_hz, rate_out_hz
        self._stream = soxr.ResampleStream(rate_in_hz, rate_out_hz, channels, dtype="float32", quality="VHQ")
        self._blocks = _Blocks(channels, np.dtype(np.float32))
        self._pushed = 0
        self._returned = 0
        self._flushed = False

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Push samples and return those that are ready.

        Args:
            samples: float32 `[frame, channel]`, any number of frames.

        Returns:
            float32 `[frame, channel]`, perhaps of no frames.
        """
        assert not self._flushed
        self._pushed += len(samples)
        ready = [self._stream.resample_chunk(block) for block in self._blocks.push(samples)]
        resampled = np.concatenate(ready) if ready else self._blocks.none()
        self._returned += len(resampled)
        return resampled

    def flush(self) -> NDArray[np.float32]:
        """End the sound and return the remaining samples; nothing can be pushed afterwards.

        Returns:
            float32 `[frame, channel]`. With them, exactly `resampled_length` frames were returned.
        """
        assert not self._flushed
        self._flushed = True
        rest = self._stream.resample_chunk(self._blocks.rest(), last=True)
        missing = resampled_length(self._pushed, *self._rates) - self._returned - len(rest)
        # soxr rounds to the nearest count, so that now and then one frame is missing
        assert -2 <= missing <= 2
        resampled = np.pad(rest, ((0, missing), (0, 0))) if missing > 0 else rest[: len(rest) + missing]
        self._returned += len(resampled)
        return resampled


class _Blocks:
    """Cuts samples `[frame, channel]` that come in any pieces into blocks on a grid from the first one on.

    All blocks share one buffer: a block is valid until the next one is requested.
    """

    def __init__(self, channels: int, dtype: np.dtype[Any]) -> None:
        self._buffer = np.empty((_BLOCK_FRAMES, channels), dtype)
        self._count = 0

    def push(self, samples: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """Push samples and yield every block that they fill; the caller must consume all of them."""
        assert samples.ndim == 2 and samples.shape[1] == self._buffer.shape[1]
        assert samples.dtype == self._buffer.dtype
        start = 0
        while start < len(samples):
            count = min(_BLOCK_FRAMES - self._count, len(samples) - start)
            self._buffer[self._count : self._count + count] = samples[start : start + count]
            self._count += count
            start += count
            if self._count == _BLOCK_FRAMES:
                self._count = 0
                yield self._buffer

    def rest(self) -> NDArray[Any]:
        """Return the samples that fill no block, and forget them."""
        count = self._count
        self._count = 0
        return self._buffer[:count]

    def none(self) -> NDArray[Any]:
        """Return an array of no frames, `[frame=0, channel]`."""
        return np.empty((0, self._buffer.shape[1]), self._buffer.dtype)


class _File:
    """A file object for libsndfile that keeps errors, since libsndfile swallows even that of a full disk.

    Nothing can be raised out of its calls. So the first error is kept, and nothing is written after it.

    Attributes:
        error: the first error; None: there was none.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.error: BaseException | None = None
        self._file = path.open("wb", buffering=0)
        self._place = 0
        self._end = 0

    def write(self, content: bytes) -> int:
        """Write bytes at the current place.

        Returns:
            The number of bytes; 0 from the first error on.
        """
        try:
            if self.error is None:
                self._put(content)
        except BaseException as error:  # noqa: BLE001  (raised again by SoundWriter)
            self.error = error
        return len(content) if self.error is None else 0

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Move to another place and return it."""
        self._place = offset + {SEEK_SET: 0, SEEK_CUR: self._place, SEEK_END: self._end}[whence]
        return self._place

    def tell(self) -> int:
        """Return the current place."""
        return self._place

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        self._file.close()

    def _put(self, content: bytes) -> None:
        self._file.seek(self._place)
        rest = memoryview(content)
        while rest:  # the system may write less than all
            written = self._file.write(rest)
            rest = rest[written:]
            self._place += written
        self._end = max(self._end, self._place)


class _OggFile(_File):
    """An Ogg file each of whose pages gets the stream number `serial`, and a new checksum."""

    def __init__(self, path: Path, serial: int) -> None:
        super().__init__(path)
        self._serial = serial.to_bytes(4, "little")
        self._rest = b""

    def _put(self, content: bytes) -> None:
        self._rest += content
        while length := _page_length(self._rest):
            page = bytearray(self._rest[:length])
            self._rest = self._rest[length:]
            page[_PAGE_SERIAL] = self._serial
            page[_PAGE_CRC] = bytes(4)  # the checksum counts itself as 0
            page[_PAGE_CRC] = _ogg_crc(page).to_bytes(4, "little")
            super()._put(bytes(page))


def _page_length(content: bytes) -> int:
    """Return the length of the Ogg page that `content` begins with; 0 where the page is incomplete."""
    if len(content) < _PAGE_START:
        return 0
    segments = content[_PAGE_START : _PAGE_START + content[_PAGE_START - 1]]
    length = _PAGE_START + content[_PAGE_START - 1] + sum(segments)
    return length if len(content) >= length else 0


def _ogg_crc(page: bytearray) -> int:
    """Return an Ogg page's checksum: CRC-32 with the highest bit first, and without inversions.

    zlib's CRC-32 has the lowest bit first; so bits are reversed in every byte, and in the result.
    """
    crc = zlib.crc32(page.translate(_BITS_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)
