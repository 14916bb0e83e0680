"""What moves in a video: three playheads, the part of the waveform that has been played, the clock.

Each frame is the last one with only these changed. Nothing is encoded here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .canvas import Canvas, planes_of
from .layout import Box
from .playhead import Playhead, Segment
from .scene import Scene

if TYPE_CHECKING:
    from av import VideoFrame


class Animation:
    """A scene at a time. Times ascend from call to call.

    Args:
        scene: what stands still.
        playhead: the playhead on the picture.
        shown_px: width and height of the picture that is shown, in the playhead's pixels.
        seconds: duration of the sound.
    """

    def __init__(
        self, scene: Scene, playhead: Playhead, *, shown_px: tuple[int, int], seconds: float
    ) -> None:
        self._scene = scene
        self._layout = scene.layout
        self._playhead = playhead
        self._seconds = seconds
        self._canvas = Canvas(scene.still)
        self._played = planes_of(scene.played)
        self._played_px = 0  # of the waveform, along time
        self._clock = ""
        picture = self._layout.picture
        self._scale = (picture.width / shown_px[0], picture.height / shown_px[1])

    def at(self, seconds: float) -> VideoFrame:
        """Return the frame at a time; it is valid until the next call."""
        self._canvas.wipe()
        self._show_played(seconds)
        self._show_clock(seconds)
        layout = self._layout
        box = layout.picture
        line = self._playhead.at(seconds)
        if line is not None:
            self._canvas.draw(line.placed(box.left, box.top, *self._scale), layout.line_px, box)
        for box in (layout.waveform, layout.spectrogram):
            self._canvas.draw(self._across(box, seconds), layout.line_px, box)
        return self._canvas.frame

    def _share(self, seconds: float) -> float:
        return min(1.0, max(0.0, seconds / self._seconds))

    def _across(self, box: Box, seconds: float) -> Segment:
        """Return the playhead of waveform or spectrogram."""
        if self._layout.turned:
            y = box.top + self._share(seconds) * box.height
            return Segment(x0=box.left, y0=y, x1=box.right, y1=y)
        x = box.left + self._share(seconds) * box.width
        return Segment(x0=x, y0=box.top, x1=x, y1=box.bottom)

    def _show_played(self, seconds: float) -> None:
        """Light up the waveform, up to the playhead, in whole pixels of colour."""
        box = self._layout.waveform
        length = box.height if self._layout.turned else box.width
        to = int(self._share(seconds) * length) // 2 * 2
        if to == self._played_px:
            return
        if self._layout.turned:
            part = replace(box, top=box.top + self._played_px, height=to - self._played_px)
        else:
            part = replace(box, left=box.left + self._played_px, width=to - self._played_px)
        self._canvas.put(box.left, box.top, self._played, part)
        self._played_px = to

    def _show_clock(self, seconds: float) -> None:
        """Write the time, once a second."""
        text = f"{clock_text(seconds, self._seconds)} / {clock_text(self._seconds, self._seconds)}"
        if text == self._clock:
            return
        box = self._layout.clock
        self._canvas.put(box.left, box.top, planes_of(self._scene.clock(text)), box)
        self._clock = text


def clock_text(seconds: float, longest: float) -> str:
    """Return a time in whole seconds, such as 0:07, or 0:00:07 where the longest takes an hour."""
    whole = int(seconds + 1e-6)
    if longest >= 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}"
