"""What a video takes from a run: a sound, where time lies on the picture, the picture itself, and its names.

The picture comes from the run's page where that is large enough. Otherwise the original is read anew, small:
a gigapixel's rows pass by in bounded memory. Nothing is drawn here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from ..base.locations import parse_location
from ..base.progress import Listener, Stages
from ..base.units import format_bytes
from ..errors import OptionError, PictureError, StoreError
from ..picture.picture import measured, open_picture, shown_upright
from ..planning.plan import AudioPlan, BankPlan, Plan
from ..planning.sound_options import SoundOptions
from ..rendering.paths import Along, Region
from ..rendering.paths import Path as PicturePath
from ..rendering.runs import open_sums, render_run, way_of
from ..report.page_data import time_span
from ..run.layout import PAGE_PICTURE, REPORT, picture_of_run
from ..run.notebook import RunContents
from ..run.record import recorded_options, recorded_plan
from ..run.record_file import finished_record
from ..sound.finishing import PIECE_SAMPLES
from ..sound.view import SoundMeter, View, view_plan
from .playhead import AxisPlayhead, PathPlayhead, Playhead

Pixels = NDArray[np.uint8]
# An original whose decoder would hold more than this is not read again.
_MOST_DECODER_BYTES = 512 << 20
# The page's picture may be enlarged so much before the original is read.
_ENLARGED = 1.05


@dataclass(frozen=True, kw_only=True)
class Across:
    """What is asked for of a mix that is made anew; see `render_run`.

    Attributes:
        banks: its banks.
        path: the path across the picture.
        path_width: width of the band that a line or a curve passes over.
        region: the part of the picture that is heard.
    """

    banks: Sequence[int] | str | None
    path: str | None
    path_width: float | None
    region: str | None

    @property
    def asked(self) -> bool:
        """True if anything is asked for, so that the run's own sound does not do."""
        return self != Across(banks=None, path=None, path_width=None, region=None)


@dataclass(frozen=True, kw_only=True)
class VideoSource:
    """A finished run, and the one of its sounds that a video is made with.

    Attributes:
        folder: the run's folder.
        record: its record.
        plan: its plan.
        options: options of its sound.
        path: the sound file.
        audio: plan of the sound.
        bank: the sound's bank; None: the mix, or a bank's part of it.
        windowed: frequencies of the sound are spread as the options say.
        way: the path that the sound follows; None: along the run's time axis.
        heard: the part of the picture that is heard; None: all of it.
        way_text: the path as it was given, for the second line of text; '' if none was.
    """

    folder: Path
    record: dict[str, Any]
    plan: Plan
    options: SoundOptions
    path: Path
    audio: AudioPlan
    bank: BankPlan | None
    windowed: bool
    way: PicturePath | None = None
    heard: Region | None = None
    way_text: str = ""

    @property
    def time_axis(self) -> str | None:
        """Axis of the whole picture that time runs along; None: another path."""
        if self.way is None:
            return self.plan.time_axis
        return self.way.axis if isinstance(self.way, Along) and self.heard is None else None

    @property
    def seconds(self) -> float:
        """Duration of the sound."""
        return self.audio.samples / self.options.file_rate_hz

    @property
    def aspect(self) -> float:
        """Width of the picture that is shown over its height."""
        width, height = self.shown_px
        return width / height

    @property
    def shown_px(self) -> tuple[int, int]:
        """Width and height of the part of the picture that the run read, in pixels that the network saw."""
        if self.plan.time_axis == "x":
            return self.plan.rows_along, self.plan.height
        return self.plan.width, self.plan.rows_along

    def playhead(self) -> Playhead:
        """Return the playhead: a line across the axis that time runs along, or what a path passes over."""
        if self.way is not None:
            width, height = self.shown_px
            heard = self.heard or Region(x=0, y=0, width=width, height=height)
            return PathPlayhead(path=self.way, heard=heard, seconds=self.seconds)
        start, end = time_span(self.plan, self.bank, self.audio, self.options)
        width, height = self.shown_px
        return AxisPlayhead(
            time_axis=self.plan.time_axis,
            start_px=start,
            end_px=end,
            across_px=height if self.plan.time_axis == "x" else width,
            seconds=self.seconds,
        )

    def view(self, columns: int, stages: Stages) -> View:
        """Measure waveform and spectrogram, from front to back.

        Args:
            columns: columns of both.
            stages: reports progress.

        Raises:
            StoreError: the sound cannot be read.
        """
        plan = view_plan(self.audio, self.options, windowed=self.windowed, filter_samples=0)
        meter = SoundMeter(replace(plan, columns=columns, spectrum_columns=columns))
        with stages.stage("sound", self.audio.samples, "samples") as advance:
            try:
                with soundfile.SoundFile(str(self.path)) as file:
                    for piece in file.blocks(PIECE_SAMPLES, dtype="float32", always_2d=True):
                        meter.add(piece)
                        advance(len(piece))
            except soundfile.LibsndfileError as error:
                raise unreadable(self.path, error) from error
        return meter.finish()

    def picture(self, width: int, height: int, stages: Stages) -> tuple[Pixels, str, str | None]:
        """Read the picture at the size that is shown.

        Args:
            width: its width in pixels.
            height: its height.
            stages: reports progress.

        Returns:
            Upright `[y, x, rgb]`; where it comes from, 'page' or 'original'; a note for the user, or None.

        Raises:
            StoreError: there is no picture any more.
        """
        page = picture_of_run(self.folder / REPORT / PAGE_PICTURE)
        image = _page_picture(page) if page.exists() else None
        if image is not None and (
            width <= _ENLARGED * image.width
            or image.width >= self.record["picture"]["width"]  # it has every pixel
        ):
            return _fitted(image, width, height), "page", None
        reason = self._why_not_original()
        if reason is None:
            with stages.stage("picture", 1, "share") as advance:
                pixels = self._original(width, height, stages)
                advance(1)
            return pixels, "original", None
        if image is None:
            raise StoreError(
                f"{self.folder} has no picture to show, and the original cannot be used ({reason}); put it "
                f"back, or make the run again without --no-report"
            )
        note = (
            f"the picture is shown {width / image.width:.1f} times enlarged, since the original cannot be "
            f"used ({reason})"
        )
        return _fitted(image, width, height), "page", note

    def _why_not_original(self) -> str | None:
        """Return why the picture's file cannot be shown; None where it can."""
        known = self.record["picture"]
        if known["path"] is None:
            return "it was in memory"
        path = parse_location(known["path"])
        if isinstance(path, str):
            return "it is at a URL"
        if not path.is_file():
            return f"it is no longer at {path}"
        try:
            picture = open_picture(path, None, recorded_options(self.record).reading)
            if picture.sha256() != known["sha256"]:
                return f"{path} has changed"
        except (PictureError, OSError) as error:
            return str(error).partition(";")[0]
        if picture.decoder_bytes > _MOST_DECODER_BYTES:
            return f"its decoder needs {format_bytes(picture.decoder_bytes)} of memory"
        return None

    def _original(self, width: int, height: int, stages: Stages) -> Pixels:
        """Read the original small, and cut it to the part that the run read."""
        path = Path(self.record["picture"]["path"])
        picture = measured(open_picture(path, None, recorded_options(self.record).reading), stages)
        shown_width, shown_height = self.shown_px
        whole = (
            max(1, round(width * self.plan.width / shown_width)),
            max(1, round(height * self.plan.height / shown_height)),
        )
        pixels = shown_upright(picture, *whole)[:height, :width]
        return np.ascontiguousarray(pixels)


def video_source(folder: Path, sound: str) -> VideoSource:
    """Find a run's sound.

    Args:
        folder: the run's folder.
        sound: 'mix', 'bank-N' (the sum of a bank's filters) or 'stem-N' (a bank's part of the mix).

    Raises:
        OptionError: there is no such kind of sound.
        OutputError: `folder` holds no finished run.
        StoreError: the run has no such sound, or it cannot be read.
    """
    match = re.fullmatch(r"mix|(bank|stem)-(\d+)", sound)
    if match is None:
        raise OptionError(f"sound cannot be {sound!r}; use mix, bank-2 or stem-2, with the bank's number")
    record = finished_record(folder)
    contents = RunContents(folder, record)
    try:
        plan = recorded_plan(record)
        options = recorded_options(record).sound
    except (LookupError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{folder} was written by another version of netsounds-stream; make the run again"
        ) from error
    bank = None
    windowed = True
    if match[1] is None:
        path = contents.sound("mix", "sum").path
        audio = plan.mix
    else:
        number = int(match[2])
        path = contents.sound(number, "sum" if match[1] == "bank" else "stem").path
        audio = plan.stems
        if match[1] == "bank":
            bank = next(each for each in plan.banks if each.number == number)
            audio = next(each for each in bank.audio if each.scheme == "sum")
            windowed = options.windowed
    assert audio is not None
    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, OSError) as error:
        raise unreadable(path, error) from error
    if not info.frames:
        raise StoreError(f"{path} holds no sound; make the run again")
    return VideoSource(
        folder=folder,
        record=record,
        plan=plan,
        options=options,
        path=path,
        audio=replace(audio, samples=info.frames, channels=info.channels),
        bank=bank,
        windowed=windowed,
    )


def path_source(folder: Path, temporary: Path, across: Across, on_progress: Listener | None) -> VideoSource:
    """Make a run's mix anew, along a path across its picture.

    Args:
        folder: the run's folder.
        temporary: folder for the sound.
        across: the path, and what is heard.
        on_progress: called as the work goes on.

    Raises:
        OptionError: a bank, the path or the region cannot be used.
        OutputError: `folder` holds no finished run.
        StoreError: the run keeps no sum maps.
    """
    sums = open_sums(folder, otherwise="")
    way, heard = way_of(sums, across.path, across.region, across.path_width)
    sound = temporary / "sound.wav"
    words = {"format": "wav", "subtype": "PCM_16"}
    audio = render_run(
        folder,
        sound,
        banks=across.banks,
        path=across.path,
        path_width=across.path_width,
        region=across.region,
        on_progress=on_progress,
        words=words,
    )
    return VideoSource(
        folder=folder,
        record=dict(sums.record),
        plan=sums.plan,
        options=sums.sound,
        path=sound,
        audio=audio,
        bank=None,
        windowed=True,
        way=way,
        heard=None if across.region is None else heard,
        way_text=Path((across.path or "").partition(":")[0]).stem,
    )


def unreadable(path: Path, error: object) -> StoreError:
    """Return the error for a file of a run that cannot be read."""
    return StoreError(f"{path} cannot be read ({error}); make the run again")


def _page_picture(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except OSError as error:
        raise unreadable(path, error) from error


def _fitted(image: Image.Image, width: int, height: int) -> Pixels:
    """Resize an image whose proportions are those of the size, to rounding."""
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
