"""What stands still in a video, drawn once: backdrop, picture, waveform, spectrogram, texts; and the clock.

The backdrop is the picture itself, out of focus and dark, so that a picture of any shape fills the video.
Letters are Pillow's own, the same on every machine. No frame is made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from ..errors import OptionError
from ..rendering.paths import Region
from ..report.charts import frequency_scale, frequency_ticks, spectrogram_pixels
from ..report.images import colour_map, coloured
from ..sound.view import View
from .layout import Layout

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_INK: Colour = (244, 243, 247)
_QUIET_INK: Colour = (178, 175, 188)
_NIGHT: Colour = (15, 13, 20)
_PANEL: Colour = (22, 20, 29)  # behind the waveform
_AHEAD: Colour = (108, 104, 122)  # of the waveform, what is still to come
_UNHEARD = 0.35  # brightness of what is not heard
_PLAYED_STEP = 186  # of the colour map
_BACKDROP = 0.28  # of the picture's brightness
_BLUR = 1 / 14  # of the short edge, as its standard deviation
_BLURRED_EDGE = 96  # pixels of the backdrop's short edge while it is blurred
_WAVE_HEIGHT = 0.92  # of its box, at the loudest
_SMOOTH = 4  # the waveform is drawn so many times larger
_LABEL_OPACITY = 225
_PLATE_OPACITY = 120  # of the dark plate behind a label
_MOST_LABELS = 5
_UNKNOWN = "\uffff"  # a character that no font has


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The still parts of a video.

    Attributes:
        layout: where they lie.
        still: the whole, before anything has been played, uint8 `[y, x, rgb]`.
        played: the waveform's box when all has been played, likewise.
    """

    layout: Layout
    still: Pixels
    played: Pixels

    def clock(self, text: str) -> Pixels:
        """Draw the clock's box.

        Args:
            text: what it shows, such as '0:07 / 0:23'.

        Returns:
            uint8 `[y, x, rgb]`.
        """
        box = self.layout.clock
        image = Image.fromarray(self.still[box.top : box.bottom, box.left : box.right])
        draw = ImageDraw.Draw(image)
        font = ImageFont.load_default(self.layout.title_px * 0.8)
        cell = max(draw.textlength(digit, font) for digit in "0123456789")
        x = float(box.width)
        for character in reversed(text):  # digits in cells of one width, or the text would jump
            width = cell if character.isdigit() else draw.textlength(character, font)
            x -= width
            draw.text((x + width / 2, box.height * 0.78), character, fill=_INK, font=font, anchor="ms")
        return np.asarray(image)


def drawn(
    layout: Layout, picture: Pixels, view: View, title: str, subtitle: str, font_file: Path | None = None
) -> Scene:
    """Draw the still parts of a video.

    Args:
        layout: where they lie.
        picture: uint8 `[y, x, rgb]`, of its box's size.
        view: waveform and spectrogram of the sound.
        title: the first line; may be empty.
        subtitle: the second.
        font_file: the font of both; None: Pillow's own.
    """
    image = _backdrop(picture, layout.width, layout.height)
    image.paste(Image.fromarray(picture), (layout.picture.left, layout.picture.top))
    ahead, played = (_waveform(view, layout, colour) for colour in (_AHEAD, _played_colour()))
    image.paste(ahead, (layout.waveform.left, layout.waveform.top))
    box = layout.spectrogram
    image.paste(_spectrogram(view, layout), (box.left, box.top))
    _draw_frequencies(image, view, layout)
    draw = ImageDraw.Draw(image)
    top = layout.header.top + layout.title_px * 0.8
    bottom = layout.header.bottom - layout.subtitle_px * 0.25
    for text, size, y, ink in (
        (title, layout.title_px, top, _INK),
        (subtitle, layout.subtitle_px, bottom, _QUIET_INK),
    ):
        font = text_font(size, font_file)
        draw.text((layout.header.left, y), _cut(draw, text, font, layout.header.width), ink, font, "ls")
    return Scene(layout=layout, still=np.array(image), played=np.asarray(played))


def dimmed(picture: Pixels, heard: Region, shown_px: tuple[int, int]) -> Pixels:
    """Darken what is not heard of a picture.

    Args:
        picture: uint8 `[y, x, rgb]`.
        heard: the part that is heard, in pixels that the network saw.
        shown_px: width and height of the picture in these pixels.
    """
    height, width = picture.shape[:2]
    across, down = width / shown_px[0], height / shown_px[1]
    rows = slice(round(heard.y * down), round((heard.y + heard.height) * down))
    columns = slice(round(heard.x * across), round((heard.x + heard.width) * across))
    dark = (picture * _UNHEARD).astype(np.uint8)
    dark[rows, columns] = picture[rows, columns]
    return dark


def text_font(size: int, file: Path | None) -> Font:
    """Open a font at a size in pixels; None: Pillow's own, which has Latin letters without accents.

    Raises:
        OptionError: the file is no font.
    """
    if file is None:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(str(file), size)
    except OSError as error:
        raise OptionError(f"{file} cannot be read as a font ({error}); give a .ttf or .otf") from error


def letters_missing(text: str, font_file: Path | None) -> str:
    """Return the letters of a text that a font lacks, each once."""
    font = text_font(20, font_file)
    unknown = bytes(font.getmask(_UNKNOWN))
    return "".join(dict.fromkeys(each for each in text if bytes(font.getmask(each)) == unknown))


def _backdrop(picture: Pixels, width: int, height: int) -> Image.Image:
    """Return the picture out of focus and dark, enlarged until it covers the video."""
    scale = _BLURRED_EDGE / min(width, height)
    small = (round(width * scale), round(height * scale))
    source = Image.fromarray(picture)
    factor = max(small[0] / source.width, small[1] / source.height)
    left = max(0.0, (source.width - small[0] / factor) / 2)
    top = max(0.0, (source.height - small[1] / factor) / 2)
    part = (left, top, source.width - left, source.height - top)
    covering = source.resize(small, Image.Resampling.BOX, box=part)
    blurred = covering.filter(ImageFilter.GaussianBlur(_BLUR * _BLURRED_EDGE))
    values = np.asarray(blurred, np.float32) * _BACKDROP + (1 - _BACKDROP) * np.array(_NIGHT, np.float32)
    shades = np.rint(values).astype(np.uint8)
    return Image.fromarray(shades).resize((width, height), Image.Resampling.BICUBIC)


def _played_colour() -> Colour:
    red, green, blue = (int(value) for value in colour_map()[_PLAYED_STEP])
    return red, green, blue


def _waveform(view: View, layout: Layout, colour: Colour) -> Image.Image:
    """Draw the waveform's box: lowest and highest sample of each column, the loudest filling the box."""
    box = layout.waveform
    along, across = (box.height, box.width) if layout.turned else (box.width, box.height)
    extremes = np.nan_to_num(view.extremes[0])
    extremes *= _WAVE_HEIGHT / max(float(np.abs(extremes).max()), 1e-9)
    columns = np.arange(along) * len(extremes) // along
    middle = across * _SMOOTH / 2
    low, high = (np.rint(middle * (1 - extremes[columns, side])).astype(int)[None] for side in (0, 1))
    rows = np.arange(across * _SMOOTH)[:, None]
    inside = (rows >= np.minimum(high, middle - _SMOOTH / 2)) & (rows < np.maximum(low, middle + _SMOOTH / 2))
    opacity = inside.reshape(across, _SMOOTH, along).mean(1, dtype=np.float32)[..., None]
    if layout.turned:  # time runs down, and what is positive points right
        opacity = opacity[::-1].transpose(1, 0, 2)
    values = opacity * np.array(colour, np.float32) + (1 - opacity) * np.array(_PANEL, np.float32)
    return Image.fromarray(np.rint(values).astype(np.uint8))


def _spectrogram(view: View, layout: Layout) -> Image.Image:
    """Draw the spectrogram's box: high frequencies on top, or on the right where time runs down."""
    box = layout.spectrogram
    pixels = spectrogram_pixels(view)
    if layout.turned:
        pixels = np.ascontiguousarray(pixels[::-1].T)
    shown = Image.fromarray(pixels).resize((box.width, box.height), Image.Resampling.BICUBIC)
    return coloured(np.asarray(shown)).convert("RGB")


def _draw_frequencies(image: Image.Image, view: View, layout: Layout) -> None:
    """Write a few frequencies on the spectrogram, at its left edge, or its top where time runs down."""
    box = layout.spectrogram
    font = ImageFont.load_default(layout.label_px)
    labels = Image.new("L", (box.width, box.height))
    plates = labels.copy()
    write, plate = ImageDraw.Draw(labels), ImageDraw.Draw(plates)
    length = box.width if layout.turned else box.height
    room = layout.label_px * (5 if layout.turned else 3)
    last = -float(room)
    inset = layout.label_px * 0.6
    for tick in sorted(frequency_ticks(frequency_scale(view), _MOST_LABELS), key=lambda each: each.place):
        place = tick.place * length
        if place - last < room or not room / 2 < place < length - room / 2:
            continue
        last = place
        at = (place, inset) if layout.turned else (inset, length - place)
        anchor = "mt" if layout.turned else "lm"
        text = f"{tick.text[:-1]} kHz" if tick.text.endswith("k") else f"{tick.text} Hz"
        left, top, right, bottom = write.textbbox(at, text, font, anchor)
        edge = inset / 2
        plate.rounded_rectangle(
            (left - edge, top - edge, right + edge, bottom + edge), edge, fill=_PLATE_OPACITY
        )
        write.text(at, text, _LABEL_OPACITY, font, anchor)
    for colour, mask in ((_NIGHT, plates), (_INK, labels)):
        image.paste(colour, (box.left, box.top), mask)


def _cut(draw: ImageDraw.ImageDraw, text: str, font: Font, width: int) -> str:
    """Shorten a text to a width, with dots in the place of its end."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(f"{text}...", font) > width:
        text = text[:-1]
    return f"{text}..." if text else ""
