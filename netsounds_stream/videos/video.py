"""`video`: a finished run as a video file, planned, drawn and written.

Order of work: everything that may be refused comes first, then the picture and one pass over the sound for
its waveform and spectrogram, then frame after frame. The file has another name until it is complete.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path

from ..base.locations import local_only
from ..base.machine import cores
from ..base.progress import Listener, Stages
from ..base.units import SHOWN_CHARACTERS
from ..base.versions import PACKAGE, versions
from ..errors import OptionError, OutputError
from ..run.record_file import add_files
from .animation import Animation
from .codecs import Encoders, chosen_encoders, installed_encoders
from .encoding import opened_video
from .layout import Layout, layout_for
from .playhead import Playhead
from .scene import Scene, dimmed, drawn, letters_missing, text_font
from .source import Across, VideoSource, path_source, video_source

#: Edges of a video in pixels.
LEAST_PIXELS = 240
MOST_PIXELS = 7680
MOST_FPS = 120
# The frame rates of television, which are whole ones over 1.001.
_BROADCAST = {"23.976": 24, "29.97": 30, "59.94": 60, "119.88": 120}


@dataclass(frozen=True, kw_only=True)
class Video:
    """A video that was made.

    Attributes:
        path: the file.
        width: its width in pixels.
        height: its height.
        fps: frames a second.
        frames: number of frames.
        seconds: duration of its sound.
        codec: video codec: 'h264', 'vp9', 'av1' or 'mpeg4'.
        encoder: the encoder that was used, by FFmpeg's name.
        audio_codec: codec of the sound: 'aac' or 'opus'.
        sound: which of the run's sounds.
        picture: where the picture was taken from: 'page' or 'original'.
        notes: lines for the user.
        bytes: size of the file.
    """

    path: Path
    width: int
    height: int
    fps: float
    frames: int
    seconds: float
    codec: str
    encoder: str
    audio_codec: str
    sound: str
    picture: str
    notes: tuple[str, ...]
    bytes: int


def video(
    run: str | Path,
    out: str | Path,
    *,
    size: str | tuple[int, int] = "1920x1080",
    fps: float | str = 30,
    sound: str = "mix",
    codec: str | None = None,
    title: str | None = None,
    font: str | Path | None = None,
    banks: Sequence[int] | str | None = None,
    path: str | None = None,
    path_width: float | None = None,
    region: str | None = None,
    overwrite: bool = False,
    on_progress: Listener | None = None,
) -> Video:
    """Make a video of a finished run: its picture with a moving playhead, waveform, spectrogram, its sound.

    Memory is bounded whatever the picture's size and the sound's length. The picture is the small one of the
    run's page where that is large enough, else the original, which is read anew.

    Args:
        run: the run's folder.
        out: the video, `.mp4` or `.webm`.
        size: width and height in pixels, even numbers from 240 to 7680.
        fps: frames a second, up to 120; '29.97' and the like are those of television.
        sound: 'mix', 'bank-2' (the sum of a bank's filters) or 'stem-2' (a bank's part of the mix).
        codec: 'h264', 'vp9', 'av1' or 'mpeg4'. None: H.264 in `.mp4`, VP9 in `.webm`, or another where the
            installed PyAV lacks that; a note then says so.
        title: the first line of text. None: the picture's name.
        font: file of the text's font, `.ttf` or `.otf`. None: one that has Latin letters without accents.
        banks: numbers of the banks in a mix that is made anew. None: all that the run has.
        path: the path across the picture that a mix made anew follows, as for `render`. None: along the
            run's time axis.
        path_width: width of the band that a line or a curve passes over, in pixels; as for `render`.
        region: the part of the picture that is heard, 'left,top,width,height' in pixels. None: all.
        overwrite: replace a file that exists at `out`.
        on_progress: called as the work goes on.

    Returns:
        What was made.

    Raises:
        OptionError: PyAV or a codec is not installed, or an option has a value that cannot be used.
        OutputError: `run` holds no finished run; or `out` exists, or cannot be written.
        StoreError: the run lacks the sound or the picture, or they cannot be read.

    Example:
        >>> from netsounds_stream import video
        >>> made = video("landscape-netsounds", "landscape.mp4", size="640x360", fps=10)
        >>> made.frames == round(made.seconds * 10), made.width
        (True, 640)
    """
    target = Path(out)
    width, height = _size(size)
    rate = _frame_rate(fps)
    font_file = None if font is None else Path(font)
    text_font(1, font_file)
    encoders = chosen_encoders(target, codec, installed_encoders())
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists already; use --overwrite to replace it, or another name")
    folder = local_only("video", run)
    if not target.parent.is_dir():
        raise OutputError(f"there is no folder {target.parent}; make it, or choose another name")
    stages = Stages(on_progress)
    across = Across(banks=banks, path=path, path_width=path_width, region=region)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.partial-", dir=target.parent) as temporary:
        source = _source(folder, sound, across, Path(temporary), on_progress)
        layout = layout_for(width, height, source.aspect, source.time_axis)
        scene, picture, notes = _scene(source, layout, title, font_file, stages)
        notes = [*([encoders.note] if encoders.note else []), *notes]
        partial = Path(temporary) / target.name
        frames = _write(partial, source, scene, source.playhead(), encoders, rate, stages)
        size_bytes = partial.stat().st_size
        partial.replace(target)
    if target.parent.resolve() == source.folder.resolve():
        add_files(source.folder, source.record, target.name, [source.folder / target.name])
    return Video(
        path=target,
        width=width,
        height=height,
        fps=float(rate),
        frames=frames,
        seconds=source.seconds,
        codec=encoders.video.codec,
        encoder=encoders.video.name,
        audio_codec=encoders.audio.codec,
        sound=sound,
        picture=picture,
        notes=tuple(notes),
        bytes=size_bytes,
    )


def _source(
    folder: Path, sound: str, across: Across, temporary: Path, on_progress: Listener | None
) -> VideoSource:
    """Find the run's sound, or make a mix anew.

    Raises:
        OptionError: both are asked for.
    """
    if across.asked and sound != "mix":
        raise OptionError(f"--sound {sound} is a file of the run; leave out --path, --region and --banks")
    if across.asked:
        return path_source(folder, temporary, across, on_progress)
    return video_source(folder, sound)


def _size(size: str | tuple[int, int]) -> tuple[int, int]:
    """Return width and height that were asked for.

    Raises:
        OptionError: they cannot be used.
    """
    text = size if isinstance(size, str) else "x".join(map(str, size))
    match = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", text.strip())
    if match:
        edges = (int(match[1]), int(match[2]))
        if all(LEAST_PIXELS <= edge <= MOST_PIXELS and edge % 2 == 0 for edge in edges):
            return edges
    raise OptionError(
        f"size cannot be {text[:SHOWN_CHARACTERS]!r}; use WIDTHxHEIGHT, even numbers from {LEAST_PIXELS} to "
        f"{MOST_PIXELS}, such as 1920x1080"
    )


def _frame_rate(fps: float | str) -> Fraction:
    """Return the frames a second that were asked for.

    Raises:
        OptionError: there cannot be so many.
    """
    text = str(fps).strip()
    if text in _BROADCAST:
        return Fraction(_BROADCAST[text] * 1000, 1001)
    try:
        rate = Fraction(text).limit_denominator(1001)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 1 <= rate <= MOST_FPS:
        raise OptionError(
            f"fps cannot be {text[:SHOWN_CHARACTERS]!r}; use 1 to {MOST_FPS} frames a second, such as 30"
        )
    return rate


def _scene(
    source: VideoSource, layout: Layout, title: str | None, font: Path | None, stages: Stages
) -> tuple[Scene, str, list[str]]:
    """Draw what stands still.

    Returns:
        The scene, where the picture was taken from, and notes for the user.
    """
    pixels, where, note = source.picture(layout.picture.width, layout.picture.height, stages)
    notes = [note] if note else []
    view = source.view(layout.spectrogram.height if layout.turned else layout.spectrogram.width, stages)
    title = Path(source.record["picture"]["name"]).stem if title is None else title
    subtitle = "  ·  ".join(filter(None, (source.record["label"], source.plan.network, source.way_text)))
    if source.heard is not None:
        pixels = dimmed(pixels, source.heard, source.shown_px)
    if missing := letters_missing(title + subtitle, font):
        notes.append(
            f"the font lacks some letters ({missing[:SHOWN_CHARACTERS]}); give another --title or --font"
        )
    return drawn(layout, pixels, view, title, subtitle, font), where, notes


def _write(
    path: Path,
    source: VideoSource,
    scene: Scene,
    playhead: Playhead,
    encoders: Encoders,
    fps: Fraction,
    stages: Stages,
) -> int:
    """Write the video's file, and return the number of its frames."""
    frames = max(1, ceil(round(source.seconds * fps, 6)))
    animation = Animation(scene, playhead, shown_px=source.shown_px, seconds=source.seconds)
    layout = scene.layout
    facts = {
        "title": f"{source.record['label']} ({source.record['picture']['name']})",
        "comment": f"made by {PACKAGE} {versions()[PACKAGE]}",
    }
    with (
        stages.stage("video", frames, "frames") as advance,
        opened_video(
            path,
            encoders,
            width=layout.width,
            height=layout.height,
            fps=fps,
            sound=source.path,
            threads=cores(),
            facts=facts,
        ) as writer,
    ):
        for number in range(frames):
            writer.add(animation.at(float(number / fps)), number)
            advance(1)
    return frames
