"""Decoding pictures with libvips: a file's header, and its upright pixels as slabs along the time axis.

A slab is `[time, frequency, rgb]`, uint8 or uint16, of the upright picture: EXIF orientation applied, grey,
palette and CMYK converted to RGB, transparency composited over white. The decoded picture is never whole in
memory unless the plan says so. Rows in the file's own order are decoded as they are needed; anything else is
read from a temporary tiled TIFF (`STORED_SPOOL`) or, if small, from an array (`STORED_MEMORY`).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from ..base.locations import has_picture_suffix
from ..base.progress import Stages
from ..errors import OutputError, PictureError, StoreError
from ..planning.plan import SPOOL_TILE, STORED_MEMORY, STORED_SPOOL, STORED_STREAM, Source
from ..planning.reading import Reading
from . import heif
from .contents import Contents, contents_of, open_contents
from .conversion import as_rgb, read_channels
from .in_memory import PixelSource, contents_in_memory
from .loaders import has_field, is_picture, loader_of, reason, swallowed, undecodable, whole_bytes
from .sources import failure_in
from .stretch import measured_limits

#: EXIF orientation -> (transpose, then flip y, then flip x) from the stored rows to the upright picture.
_ORIENTATIONS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
_BOTTOM_UP = 4
# The reduction that averaging blocks of pixels leaves to the resizing filter: a filter stretched fourfold
# hides the blocks.
_RESIZE_REST = 4
# For the label, a JPEG is decoded at a reduced size that is at least this many times the size needed.
_LABEL_OVERSAMPLING = 4
_SHOWN_OVERSAMPLING = 2  # likewise, where people look at it
# A write that failed with less free disk than this failed because the disk is full.
_FULL_DISK_BYTES = 32 << 20

Slab = NDArray[np.uint8] | NDArray[np.uint16]

# libvips would otherwise keep up to 100 MiB of past operations' pixels.
pyvips.cache_set_max(0)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture as its header describes it; no pixel has been decoded.

    Attributes:
        path: the file; for a picture in memory, its name alone.
        format: name of the file format, such as 'jpeg', or the kind of the picture in memory.
        source_width: width of the upright picture before it is resized, in pixels.
        source_height: height likewise.
        width: width of the upright picture that the network sees, after `--size`.
        height: height likewise.
        contents: what the file holds and how it is read.
        orientation: EXIF orientation, 1 to 8.
        decoder_bytes: bytes of decoded pixels that its decoder holds however little is read.
        head: a time axis and a length where only that many first rows along the axis are read.
        url: the URL, without secrets, that the file was downloaded from.
        file_bytes: size of the file.
        pixels: the picture in memory that takes the place of a file.
    """

    path: Path
    format: str
    source_width: int
    source_height: int
    width: int
    height: int
    contents: Contents
    orientation: int
    decoder_bytes: int
    head: tuple[str, int] | None = None
    url: str | None = None
    file_bytes: int = 0
    pixels: PixelSource | None = None

    @property
    def origin(self) -> str | None:
        """The URL or absolute path to read the picture from again; None for a picture in memory."""
        return None if self.pixels is not None else self.url or str(self.path.absolute())

    @property
    def pending_bytes(self) -> int:
        """Bytes that a picture in memory will take beyond what the process holds now."""
        return 0 if self.pixels is None else self.pixels.pending_bytes

    @property
    def bytes_per_value(self) -> int:
        """Bytes of one channel of a pixel, 1 or 2."""
        return 2 if self.contents.deep else 1

    @property
    def has_alpha(self) -> bool:
        """True if it has transparency."""
        return self.contents.alpha is not None

    @property
    def full_scale(self) -> int:
        """The pixel value of white: 255 or 65535."""
        return 255 if self.bytes_per_value == 1 else 65535

    @property
    def source(self) -> Source:
        """The picture's sizes as input of the plan."""
        return Source(
            height=self.height,
            width=self.width,
            bytes_per_pixel=3 * self.bytes_per_value,
            decoder_bytes=self.decoder_bytes + self._resizing_bytes,
            rows_in_order=self.orientation == 1,
            file_pixels=self.source_width * self.source_height,
            name=str(self.path),
            in_memory=self.pixels is not None and not self.resized,
            measured=self.contents.unmeasured,
            notes=self.contents.notes,
        )

    @property
    def resized(self) -> bool:
        """True if the picture is resized before the network sees it."""
        return (self.width, self.height) != (self.source_width, self.source_height)

    @property
    def _resizing_bytes(self) -> int:
        """Bytes of the file's rows that libvips holds while it shrinks the picture; measured, rounded up."""
        factor = min(self.source_width, self.source_height) / min(self.width, self.height)
        rows = 0 if factor <= 1 else 700 * factor if factor < 2 * _RESIZE_REST else 2000
        return int(rows * self.source_width * 3 * self.bytes_per_value)

    def sha256(self) -> str:
        """Hash the file's bytes, or the pixels in memory.

        Returns:
            SHA-256 in hexadecimal.
        """
        if self.pixels is not None:
            return self.pixels.sha256()
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def find_picture(folder: Path, fragment: str) -> tuple[Path, list[Path]]:
    """Find the pictures in `folder` whose names contain `fragment`.

    Returns:
        The first in alphanumeric order, and all of them.

    Raises:
        PictureError: there is no such folder or picture, or the folder cannot be read.
    """
    if not folder.is_dir():
        raise PictureError(f"{folder} is not a folder; give --dpath the folder that holds the pictures")
    try:
        matches = sorted(path for path in folder.iterdir() if fragment in path.name and path.is_file())
    except PermissionError as error:
        raise PictureError(f"no permission to list {folder}; change it with chmod") from error
    if not matches:
        raise PictureError(f"no file in {folder} has {fragment!r} in its name; give another --image-name")
    pictures = [path for path in matches if has_picture_suffix(path) or is_picture(path)]
    if not pictures:
        raise PictureError(
            f"no picture in {folder} has {fragment!r} in its name, but {matches[0].name} has; give another "
            f"--image-name"
        )
    return pictures[0], pictures


def open_picture(
    source: Path | PixelSource,
    size: int | None = None,
    reading: Reading = Reading(),  # noqa: B008
) -> Picture:
    """Describe a picture file by its header, or a picture in memory.

    Args:
        source: the file, or the picture in memory.
        size: the short edge to resize to, in pixels; None keeps the picture's size.
        reading: the options of reading.

    Returns:
        The picture, of which no pixel has been decoded.

    Raises:
        PictureError: there is no picture; or what the file holds is not read, or only with an option.
    """
    if isinstance(source, PixelSource):
        return _in_memory(source, size, reading)
    contents, image = contents_of(source, reading)
    orientation = image.get("orientation") if has_field(image, "orientation") else 1
    orientation = orientation if orientation in _ORIENTATIONS else 1
    orientation = _BOTTOM_UP if contents.bottom_up else orientation
    width, height = image.width, image.height
    if _ORIENTATIONS[orientation][0]:
        width, height = height, width
    scaled = (width, height) if size is None else _scaled(width, height, size)
    return Picture(
        path=source,
        format=loader_of(image),
        source_width=width,
        source_height=height,
        width=scaled[0],
        height=scaled[1],
        contents=contents,
        orientation=orientation,
        decoder_bytes=_decoder_bytes(image, contents),
        file_bytes=source.stat().st_size,
    )


def _decoder_bytes(image: Any, contents: Contents) -> int:
    """Return the bytes of decoded pixels that a file's decoder holds however little is read."""
    if contents.reader == "fits":
        return 0
    if contents.reader == "heif":
        value_bytes = 2 if contents.deep else 1
        return int(heif.DECODER_SHARE * image.width * image.height * image.bands * value_bytes)
    return whole_bytes(image, contents.tile, contents.strip_rows)


def _in_memory(pixels: PixelSource, size: int | None, reading: Reading) -> Picture:
    height, width = pixels.shape[:2]
    orientation = pixels.orientation if pixels.orientation in _ORIENTATIONS else 1
    upright = (height, width) if _ORIENTATIONS[orientation][0] else (width, height)
    scaled = upright if size is None else _scaled(*upright, size)
    return Picture(
        path=Path(pixels.name),
        format=pixels.kind,
        source_width=upright[0],
        source_height=upright[1],
        width=scaled[0],
        height=scaled[1],
        contents=contents_in_memory(pixels, reading),
        orientation=orientation,
        decoder_bytes=0,
        pixels=pixels,
    )


def measured(picture: Picture, stages: Stages) -> Picture:
    """Find the numbers that become black and white, by one pass over the file, where a stretch needs that.

    Args:
        picture: the picture.
        stages: reports the pass as stage `range`.

    Returns:
        The picture, ready to be decoded.

    Raises:
        PictureError: the picture cannot be decoded, or has no values.
    """
    contents = picture.contents
    if not contents.unmeasured:
        return picture
    assert contents.stretch is not None
    stretch = contents.stretch
    image = _decoding(picture.path, lambda: read_channels(_opened(picture), contents))
    with stages.stage("range", image.width * image.height, "px") as advance:
        limits = _decoding(
            picture.path,
            lambda: measured_limits(
                image, stretch, contents.no_data, lambda rows: advance(rows * image.width)
            ),
        )
    if limits is None:
        raise PictureError(
            f"{picture.path} has no values (all are NaN or without data); give another picture"
        )
    return replace(picture, contents=replace(contents, limits=limits))


def slabs(
    picture: Picture,
    *,
    time_axis: str,
    rows: int,
    stored: str,
    spool: Path,
    first: int = 0,
) -> Iterator[Slab]:
    """Decode the upright picture along the time axis, slab by slab.

    Args:
        picture: the picture.
        time_axis: 'x' (left to right) or 'y' (top to bottom).
        rows: rows along the time axis in a slab; the last slab may have fewer.
        stored: how the plan keeps the decoded picture, one of planning's `STORED_*`.
        spool: the file that `write_spool` wrote, for `STORED_SPOOL`.
        first: row to begin with. The slabs' borders do not depend on it; the first slab is cut.

    Yields:
        Slabs `[time, frequency, rgb]`, uint8 or uint16.

    Raises:
        PictureError: the picture cannot be decoded.
        StoreError: the spool file cannot be read.
    """
    transposed, flip_y, flip_x = _ORIENTATIONS[picture.orientation]
    along_rows = (time_axis == "y") != transposed
    flip_time, flip_frequency = (flip_y, flip_x) if time_axis == "y" else (flip_x, flip_y)
    length = picture.height if time_axis == "y" else picture.width
    if picture.head is not None:
        assert picture.head[0] == time_axis
        length = picture.head[1]
    across = picture.width if time_axis == "y" else picture.height
    read = _box_reader(picture, stored, spool)
    for start in range(first - first % rows, length, rows):
        count = min(rows, length - start)
        offset = length - start - count if flip_time else start
        slab = read(0, offset, across, count) if along_rows else read(offset, 0, count, across)
        if not along_rows:
            slab = slab.transpose(1, 0, 2)
        upright = slab[:: -1 if flip_time else 1, :: -1 if flip_frequency else 1]
        if first < start + count:
            yield upright[max(0, first - start) :]


def _box_reader(picture: Picture, stored: str, spool: Path) -> Callable[[int, int, int, int], Slab]:
    """Open the stored picture, not yet upright, for reading boxes of it.

    Returns:
        A function of left, top, width and height that returns `[y, x, rgb]`.
    """
    if stored == STORED_MEMORY:
        array: Slab = _decoding(picture.path, lambda: _at_size(picture).numpy())
        return lambda left, top, width, height: array[top : top + height, left : left + width]
    dtype: Any = np.uint16 if picture.contents.deep else np.uint8
    run: Callable[[Callable[[], Any]], Any]
    if stored == STORED_SPOOL:
        run = partial(_reading_spool, spool)
        image = run(lambda: pyvips.Image.new_from_file(str(spool), access="random"))
    else:
        assert stored == STORED_STREAM
        run = partial(_decoding, picture.path)
        image = run(lambda: _at_size(picture))

    def read(left: int, top: int, width: int, height: int) -> Slab:
        # A region that all boxes shared would keep twice the memory (measured).
        content = run(partial(pyvips.Region.new(image).fetch, left, top, width, height))
        box: Slab = np.frombuffer(content, dtype).reshape(height, width, 3)
        return box

    return read


def write_spool(picture: Picture, spool: Path, on_spooled: Callable[[float], None]) -> None:
    """Decode the picture into a temporary tiled TIFF, from which any column can be read cheaply.

    Args:
        picture: the picture.
        spool: the file to write.
        on_spooled: called with the share decoded so far, 0 to 1. An exception that it raises, and Ctrl-C,
            stop the decoding and are raised here again, since none can pass through libvips.

    Raises:
        PictureError: the picture cannot be decoded.
        OutputError: the disk is full.
    """
    raised: list[BaseException] = []
    image = _decoding(picture.path, lambda: _at_size(picture))

    def listen(_: Any, progress: Any) -> None:
        try:
            on_spooled(progress.percent / 100)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  (raised again below)
            raised.append(error)
            image.set_kill(True)

    image.set_progress(True)
    image.signal_connect("eval", listen)
    try:
        save = {"tile": True, "tile_width": SPOOL_TILE, "tile_height": SPOOL_TILE, "bigtiff": True}
        _decoding(picture.path, lambda: image.tiffsave(str(spool), compression="none", **save))
    except PictureError as error:
        if raised:
            raise raised[0] from None
        if shutil.disk_usage(spool.parent).free < _FULL_DISK_BYTES:
            raise OutputError(
                f"the disk of {spool.parent} is full; make room, or choose another --out"
            ) from error
        raise


def small_upright(picture: Picture, short_edge: int, crop: int) -> Slab:
    """Resize the picture to a short edge and crop its centre, as the weights' preprocessing does.

    A large JPEG is decoded at a reduced size, see `_reduced`.

    Args:
        picture: the picture.
        short_edge: the short edge after resizing, in pixels.
        crop: edge of the square crop, in pixels.

    Returns:
        Upright `[y=crop, x=crop, rgb]`.
    """
    image = _reduced(picture, _LABEL_OVERSAMPLING * short_edge)
    width, height = _scaled(image.width, image.height, short_edge)
    transposed, flip_y, flip_x = _ORIENTATIONS[picture.orientation]

    def crop_at(length: int, flipped: bool) -> int:
        # Where the centre crop of the upright picture begins in the stored one.
        start = (length - crop) // 2
        return length - crop - start if flipped else start

    flip_down, flip_across = (flip_x, flip_y) if transposed else (flip_y, flip_x)
    box = crop_at(width, flip_across), crop_at(height, flip_down), crop, crop
    # Crop before converting to an array: with a short edge of 256 a panorama is still very long.
    resized = _decoding(picture.path, lambda: _resized(image, width, height).crop(*box).numpy())
    if transposed:
        resized = resized.transpose(1, 0, 2)
    return np.ascontiguousarray(resized[:: -1 if flip_y else 1, :: -1 if flip_x else 1])


def shown_upright(picture: Picture, width: int, height: int) -> NDArray[np.uint8]:
    """Resize the whole picture for a screen. Memory is that of its rows, however large the picture is.

    A large JPEG is decoded at a reduced size, see `_reduced`.

    Args:
        picture: the picture.
        width: width of the result in pixels.
        height: its height.

    Returns:
        Upright `[y, x, rgb]`, uint8.

    Raises:
        PictureError: the picture cannot be decoded.
    """
    image = _reduced(picture, _SHOWN_OVERSAMPLING * min(width, height))
    transposed, flip_y, flip_x = _ORIENTATIONS[picture.orientation]
    size = (height, width) if transposed else (width, height)
    pixels = _decoding(picture.path, lambda: _resized(image, *size).numpy())
    if picture.contents.deep:
        pixels = (pixels >> 8).astype(np.uint8)
    if transposed:
        pixels = pixels.transpose(1, 0, 2)
    upright: NDArray[np.uint8] = np.ascontiguousarray(pixels[:: -1 if flip_y else 1, :: -1 if flip_x else 1])
    return upright


def _reduced(picture: Picture, enough: int) -> Any:
    """Open the picture as RGB, not yet upright, for a much smaller size.

    A large JPEG is decoded at a half, a quarter or an eighth of its size where that leaves a short edge of
    at least `enough` pixels.
    """
    shrink = 1
    source_edge = min(picture.source_width, picture.source_height)
    while picture.format == "jpeg" and shrink < 8 and source_edge >= 2 * shrink * enough:
        shrink *= 2
    options = {"shrink": shrink} if shrink > 1 else {}
    return _decoding(picture.path, lambda: _as_rgb(picture, **options))


def _as_rgb(picture: Picture, **options: Any) -> Any:
    """Open the picture and convert it to three bands of RGB, 8 or 16 bit, not yet upright."""
    return as_rgb(_opened(picture, **options), picture.contents)


def _opened(picture: Picture, **options: Any) -> Any:
    if picture.pixels is not None:
        return picture.pixels.vips_image()
    return open_contents(picture.path, picture.contents, **options)


def _at_size(picture: Picture) -> Any:
    """Convert the picture to RGB, resize it and cut it to its `head`; not yet upright."""
    image = _as_rgb(picture)
    transposed, flip_y, flip_x = _ORIENTATIONS[picture.orientation]
    if picture.resized:
        size = (picture.height, picture.width) if transposed else (picture.width, picture.height)
        image = _resized(image, *size)
    if picture.head is None:
        return image
    axis, length = picture.head
    along_rows = (axis == "y") != transposed
    at_end = flip_y if axis == "y" else flip_x
    if along_rows:
        return image.crop(0, image.height - length if at_end else 0, image.width, length)
    return image.crop(image.width - length if at_end else 0, 0, length, image.height)


def _scaled(width: int, height: int, size: int) -> tuple[int, int]:
    """Return width and height scaled so that the short edge is `size`."""
    scaled_long = max(size, size * max(width, height) // min(width, height))
    return (size, scaled_long) if width <= height else (scaled_long, size)


def _resized(image: Any, width: int, height: int) -> Any:
    """Resize as PIL's and torchvision's antialiased bilinear filter does, within a level or two."""
    scale_x = width / image.width
    scale_y = height / image.height
    if max(scale_x, scale_y) > 1:
        # vips_resize shifts enlarged pixels by half a pixel; centre on centre is (x + 1/2) s - 1/2.
        centred = {"idx": 0.5, "idy": 0.5, "odx": -0.5, "ody": -0.5, "extend": "copy"}
        bilinear = pyvips.Interpolate.new("bilinear")
        area = [0, 0, width, height]
        return image.affine([scale_x, 0, 0, scale_y], interpolate=bilinear, oarea=area, **centred)
    # First average blocks of pixels, along the row and then down, to within `_RESIZE_REST` of the size. With
    # a filter stretched 60 times, as for the preview of a gigapixel, libvips would hold gigabytes of rows.
    block_x = int(1 / scale_x / _RESIZE_REST)
    block_y = int(1 / scale_y / _RESIZE_REST)
    if block_x > 1:
        image = image.shrinkh(block_x, ceil=True)
    if block_y > 1:
        image = image.shrinkv(block_y, ceil=True)
    # Then filter by a triangle stretched by the factor; gap=0 keeps libvips from averaging blocks itself.
    rest_x = scale_x * max(block_x, 1)
    rest_y = scale_y * max(block_y, 1)
    resized = image.resize(rest_x, vscale=rest_y, kernel="linear", gap=0)
    if (resized.width, resized.height) != (width, height):  # a partial last block may add a pixel
        resized = resized.embed(0, 0, width, height, extend="copy")
    return resized


def _decoding(path: Path, decode: Callable[[], Any]) -> Any:
    """Call `decode`, and raise PictureError where libvips fails in it, or has failed beside it."""
    try:
        decoded = decode()
    except pyvips.Error as error:
        raise failure_in(path) or undecodable(path, error) from error
    if words := swallowed():
        raise undecodable(path, words)
    return decoded


def _reading_spool(spool: Path, read: Callable[[], Any]) -> Any:
    """Call `read`, and raise StoreError where libvips fails in it."""
    try:
        return read()
    except pyvips.Error as error:  # the spool was left by a run that was interrupted
        raise StoreError(f"{spool} cannot be read ({reason(error)}); start again with --overwrite") from error
