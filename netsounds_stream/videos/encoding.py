"""A video file as it is written, frame by frame and block by block of its sound, by PyAV.

What is encoded is handed in; no pixel is drawn here. The sound is read from its file a block at a time, so
much as belongs to the frames so far, and players find both side by side in the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from ..errors import OutputError, cannot_write
from .codecs import KEY_SECONDS, Encoders
from .source import unreadable

if TYPE_CHECKING:
    from av import VideoFrame

_BT709 = 1  # of colour space, primaries and transfer, in FFmpeg's numbers
_LIMITED = 1  # brightness 16 to 235
_BLOCK_SAMPLES = 1 << 13
_OPUS_HZ = 48_000
_LAYOUTS = {1: "mono", 2: "stereo"}
#: Threads of the encoder: of many, each holds frames of its own.
_MOST_THREADS = 8
_QUIET_SVT = {"SVT_LOG": "1"}  # errors alone; it reads this once


class VideoWriter:
    """Writes one video file. Use it in `opened_video`, which closes it.

    Retains what the encoders do: a few frames, and a block of sound. Sound is encoded while another thread
    encodes the frame.

    Args:
        container: PyAV's output.
        encoders: encoders of pictures and sound.
        width: width of the frames in pixels.
        height: their height.
        fps: frames a second.
        sound: the opened sound file, of one or two channels.
        threads: threads of the encoder.
        thread: runs the encoder of frames.
    """

    def __init__(
        self,
        container: Any,
        encoders: Encoders,
        *,
        width: int,
        height: int,
        fps: Fraction,
        sound: Any,
        threads: int,
        thread: Executor,
    ) -> None:
        self._container = container
        self._thread = thread
        self._sound = sound
        self._fps = fps
        stream = container.add_stream(encoders.video.name, rate=fps, options=dict(encoders.video.options))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = 1 / fps
        context = stream.codec_context
        context.gop_size = max(1, round(KEY_SECONDS * fps))
        context.thread_type = "FRAME"
        context.thread_count = max(1, min(_MOST_THREADS, threads))
        context.color_range = _LIMITED
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        self._video = stream
        rate = sound.samplerate
        rates = [each for each in stream_rates(encoders.audio.name) if each >= rate]
        layout = _LAYOUTS[sound.channels]
        self._audio = container.add_stream(
            encoders.audio.name,
            rate=rate if rate in rates or not rates else min(rates),
            layout=layout,
            bit_rate=encoders.audio.bits_a_channel * sound.channels,
        )
        self._layout = layout
        self._read = 0
        container.start_encoding()

    def add(self, frame: VideoFrame, number: int) -> None:
        """Encode a frame, and the sound up to its end.

        Args:
            frame: yuv420p.
            number: its number, counted from 0; frames come in order.
        """
        frame.pts = number
        frame.time_base = 1 / self._fps
        encoded = self._thread.submit(self._video.encode, frame)
        try:
            self._add_sound(ceil((number + 1) * self._sound.samplerate / self._fps))
        finally:
            packets = encoded.result()
        self._container.mux(packets)

    def finish(self) -> None:
        """Encode the rest of the sound, and all that the encoders still hold."""
        self._add_sound(None)
        self._container.mux(self._audio.encode(None))
        self._container.mux(self._video.encode(None))

    def _add_sound(self, until: int | None) -> None:
        """Encode the sound up to a sample; None: to its end."""
        import av

        while until is None or self._read < until:
            block = self._sound.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)
            if not len(block):
                return
            frame = av.AudioFrame.from_ndarray(
                np.clip(block, -1, 1).reshape(1, -1), format="flt", layout=self._layout
            )
            frame.sample_rate = self._sound.samplerate
            frame.pts = self._read
            frame.time_base = Fraction(1, self._sound.samplerate)
            self._read += len(block)
            self._container.mux(self._audio.encode(frame))


def stream_rates(encoder: str) -> list[int]:
    """Return the sample rates that an encoder of sound takes, in Hz; empty: any."""
    import av

    return list(av.Codec(encoder, "w").audio_rates or ())


@contextmanager
def opened_video(
    path: Path,
    encoders: Encoders,
    *,
    width: int,
    height: int,
    fps: Fraction,
    sound: Path,
    threads: int,
    facts: dict[str, str],
) -> Iterator[VideoWriter]:
    """Open a video file for writing.

    Args:
        path: the file, which is replaced.
        encoders: encoders of pictures and sound.
        width: width of the frames in pixels.
        height: their height.
        fps: frames a second.
        sound: the sound file.
        threads: threads of the encoder.
        facts: what the file says of itself: 'title', 'comment' and the like.

    Yields:
        What writes its frames. The file is complete when the `with` block has ended without an error.

    Raises:
        OutputError: the file cannot be written.
        StoreError: the sound cannot be read.
    """
    import av

    for name, value in _QUIET_SVT.items():
        os.environ.setdefault(name, value)
    options = {"movflags": "+faststart"} if encoders.container == "mp4" else {}
    try:
        with (
            soundfile.SoundFile(str(sound)) as file,
            av.open(str(path), "w", format=encoders.container, options=options) as container,
            ThreadPoolExecutor(1) as thread,
        ):
            container.metadata.update(facts)
            writer = VideoWriter(
                container,
                encoders,
                width=width,
                height=height,
                fps=fps,
                sound=file,
                threads=threads,
                thread=thread,
            )
            yield writer
            writer.finish()
    except soundfile.LibsndfileError as error:
        raise unreadable(sound, error) from error
    except av.FFmpegError as error:
        raise _failed(path, error, encoders) from error


def _failed(path: Path, error: Exception, encoders: Encoders) -> OutputError:
    """Return the error for what FFmpeg refuses: the disk's, or an encoder's."""
    if isinstance(error, OSError):
        return cannot_write(Path(path.name), OSError(error.errno, error.strerror))
    return OutputError(f"{encoders.video.title} cannot be encoded ({error}); use another --size or --codec")
