"""Pictures through libvips: what a file holds, and its upright pixels as slabs along the time axis.

A slab is `[time, frequency, rgb]`, uint8 or uint16, the picture upright: EXIF orientation applied, grey,
palette and CMYK turned to RGB, transparency laid over white. The decoded picture is never whole in memory
unless the plan says so: rows in the file's own order are decoded as they are needed, anything else comes
out of a temporary tiled TIFF (`STORED_SPOOL`) or, where small, of an array (`STORED_MEMORY`).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from ..errors import OutputError, PictureError, StoreError
from ..planning.plan import SPOOL_TILE, STORED_MEMORY, STORED_SPOOL, STORED_STREAM, Source
from .in_memory import PixelSource
from .loaders import has_field, loader_of, open_file, reason, whole_bytes

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
# What blocks of pixels leave to the resizing filter: where it is stretched fourfold, blocks do not show.
_RESIZE_REST = 4
# Past this many pixels on the short edge a JPEG is decoded smaller for the label's 256.
_LABEL_OVERSAMPLING = 4
# Less than this left on the disk, and a failed write is the disk's fault.
_FULL_DISK_BYTES = 32 << 20

Slab = NDArray[np.uint8] | NDArray[np.uint16]

# libvips would otherwise keep up to 100 MiB of past operations' pixels.
pyvips.cache_set_max(0)


@dataclass(frozen=True)
class Picture:
    """A picture as its header describes it; no pixel has been decoded.

    `width` and `height` are of the upright picture, after `--size`; `source_*` before it. Where `head` gives
    a time axis and a length, only so many of its first rows along that axis are read. `url`, without secrets,
    is where the file came from, if it was fetched. A picture in memory has its `pixels` in place of a file;
    its `path` is a name alone.
    """

    path: Path
    format: str
    source_width: int
    source_height: int
    width: int
    height: int
    bytes_per_value: int
    orientation: int
    has_alpha: bool
    decoder_bytes: int
    head: tuple[str, int] | None = None
    url: str | None = None
    file_bytes: int = 0
    pixels: PixelSource | None = None

    @property
    def place(self) -> str | None:
        """Where it can be read again: its URL, or the file's whole path. None of a picture in memory."""
        return None if self.pixels is not None else self.url or str(self.path.absolute())

    @property
    def pending_bytes(self) -> int:
        """Memory that a picture in memory will take beyond what the process holds now."""
        return 0 if self.pixels is None else self.pixels.pending_bytes

    @property
    def full_scale(self) -> int:
        """The value of white: 255 or 65535."""
        return 255 if self.bytes_per_value == 1 else 65535

    @property
    def source(self) -> Source:
        """What the plan needs to know."""
        return Source(
            height=self.height,
            width=self.width,
            bytes_per_pixel=3 * self.bytes_per_value,
            decoder_bytes=self.decoder_bytes + self._resizing_bytes,
            rows_in_order=self.orientation == 1,
            file_pixels=self.source_width * self.source_height,
            name=str(self.path),
            in_memory=self.pixels is not None and not self.resized,
        )

    @property
    def resized(self) -> bool:
        """Whether it is resized on its way to the network."""
        return (self.width, self.height) != (self.source_width, self.source_height)

    @property
    def _resizing_bytes(self) -> int:
        """The file's rows that are held while it is made smaller; measured, rounded up."""
        factor = min(self.source_width, self.source_height) / min(self.width, self.height)
        rows = 0 if factor <= 1 else 700 * factor if factor < 2 * _RESIZE_REST else 2000
        return int(rows * self.source_width * 3 * self.bytes_per_value)

    def sha256(self) -> str:
        """Return the digest of the file's bytes, or of the pixels in memory, in hexadecimal."""
        if self.pixels is not None:
            return self.pixels.sha256()
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def find_picture(folder: Path, fragment: str) -> tuple[Path, list[Path]]:
    """Find the files in `folder` whose names hold `fragment`: the first in alphanumeric order, and all."""
    if not folder.is_dir():
        raise PictureError(f"{folder} is not a folder; give --dpath the folder that holds the pictures")
    try:
        matches = sorted(path for path in folder.iterdir() if fragment in path.name and path.is_file())
    except PermissionError as error:
        raise PictureError(f"no permission to list {folder}; change it with chmod") from error
    if not matches:
        raise PictureError(f"no file in {folder} has {fragment!r} in its name; give another --image-name")
    return matches[0], matches


def open_picture(given: Path | PixelSource, size: int | None = None) -> Picture:
    """Read a picture's header, or take a picture that is in memory.

    Args:
        size: the short edge to resize to, in pixels; None keeps it.

    Raises:
        PictureError: there is no picture there that libvips can read.
    """
    if isinstance(given, PixelSource):
        return _in_memory(given, size)
    path = given
    image = open_file(path, "sequential")
    orientation = image.get("orientation") if has_field(image, "orientation") else 1
    orientation = orientation if orientation in _ORIENTATIONS else 1
    bytes_per_value = 2 if _deep(image) else 1
    width, height = image.width, image.height
    if _ORIENTATIONS[orientation][0]:
        width, height = height, width
    scaled = (width, height) if size is None else _scaled(width, height, size)
    return Picture(
        path=path,
        format=loader_of(image),
        source_width=width,
        source_height=height,
        width=scaled[0],
        height=scaled[1],
        bytes_per_value=bytes_per_value,
        orientation=orientation,
        has_alpha=bool(image.hasalpha()),
        decoder_bytes=whole_bytes(path, image, bytes_per_value),
        file_bytes=path.stat().st_size,
    )


def _in_memory(pixels: PixelSource, size: int | None) -> Picture:
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
        bytes_per_value=pixels.dtype.itemsize,
        orientation=orientation,
        has_alpha=len(pixels.shape) == 3 and pixels.shape[2] in (2, 4),
        decoder_bytes=0,
        pixels=pixels,
    )


def slabs(
    picture: Picture,
    *,
    time_axis: str,
    rows: int,
    stored: str,
    spool: Path,
    first: int = 0,
) -> Iterator[Slab]:
    """Yield the upright picture along `time_axis` ('x' or 'y'), `rows` at a time, the last slab shorter.

    Args:
        first: the row to begin with. Slabs lie where they would lie otherwise, the first of them cut.
        stored: how the plan keeps the decoded picture: one of planning's `STORED_*`.
        spool: what `write_spool` wrote, for `STORED_SPOOL`.
    """
    transposed, flip_y, flip_x = _ORIENTATIONS[picture.orientation]
    dtype = np.uint8 if picture.bytes_per_value == 1 else np.uint16
    whole: Any = None
    if stored == STORED_MEMORY:
        whole = _checked(picture.path, lambda: _at_size(picture).numpy())
    elif stored == STORED_SPOOL:
        image = _of_spool(spool, lambda: pyvips.Image.new_from_file(str(spool), access="random"))
    else:
        assert stored == STORED_STREAM
        image = _checked(picture.path, lambda: _at_size(picture))
    read = partial(_of_spool, spool) if stored == STORED_SPOOL else partial(_checked, picture.path)
    along_rows = (time_axis == "y") != transposed
    flip_time, flip_frequency = (flip_y, flip_x) if time_axis == "y" else (flip_x, flip_y)
    length = picture.height if time_axis == "y" else picture.width
    if picture.head is not None:
        assert picture.head[0] == time_axis
        length = picture.head[1]
    across = picture.width if time_axis == "y" else picture.height
    for start in range(first - first % rows, length, rows):
        count = min(rows, length - start)
        place = length - start - count if flip_time else start
        left, top, width, height = (0, place, across, count) if along_rows else (place, 0, count, across)
        if whole is not None:
            slab = whole[top : top + height, left : left + width]
        else:
            # One region for all slabs keeps twice the memory (measured).
            fetch = partial(pyvips.Region.new(image).fetch, left, top, width, height)
            slab = np.frombuffer(read(fetch), dtype=dtype).reshape(height, width, 3)
        if not along_rows:
            slab = slab.transpose(1, 0, 2)
        upright = slab[:: -1 if flip_time else 1, :: -1 if flip_frequency else 1]
        if first < start + count:
            yield upright[max(0, first - start) :]


def write_spool(picture: Picture, spool: Path, on_spooled: Callable[[float], None]) -> None:
    """Decode the picture into a temporary tiled TIFF, out of which any column can be read cheaply.

    `on_spooled` is called with the share decoded so far, 0 to 1. What it raises, and Ctrl-C, stop the
    decoding and come out of here: out of libvips' own call nothing can be raised.
    """
    raised: list[BaseException] = []
    image = _checked(picture.path, lambda: _at_size(picture))

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
        _checked(picture.path, lambda: image.tiffsave(str(spool), compression="none", **save))
    except PictureError as error:
        if raised:
            raise raised[0] from None
        if shutil.disk_usage(spool.parent).free < _FULL_DISK_BYTES:
            raise OutputError(
                f"the disk of {spool.parent} is full; make room, or choose another --out"
            ) from error
        raise


def small_upright(picture: Picture, short_edge: int, crop: int) -> Slab:
    """Return the centre `[crop, crop, rgb]` of the picture, resized so that its short edge is `short_edge`.

    The size that the weights were trained at. A large JPEG is decoded at a half, quarter or eighth where
    that leaves at least four times the size asked for.
    """
    shrink = 1
    least = min(picture.source_width, picture.source_height)
    while picture.format == "jpeg" and shrink < 8 and least >= 2 * shrink * _LABEL_OVERSAMPLING * short_edge:
        shrink *= 2
    image = _checked(picture.path, lambda: _prepared(picture, **({"shrink": shrink} if shrink > 1 else {})))
    width, height = _scaled(image.width, image.height, short_edge)
    transposed, flip_y, flip_x = _ORIENTATIONS[picture.orientation]

    def crop_at(length: int, flipped: bool) -> int:
        # The upright centre crop, counted from the stored picture's side.
        start = (length - crop) // 2
        return length - crop - start if flipped else start

    flip_down, flip_across = (flip_x, flip_y) if transposed else (flip_y, flip_x)
    box = crop_at(width, flip_across), crop_at(height, flip_down), crop, crop
    # Cropped before it becomes an array: a strip's short edge of 256 may be a very long picture.
    resized = _checked(picture.path, lambda: _resized(image, width, height).crop(*box).numpy())
    if transposed:
        resized = resized.transpose(1, 0, 2)
    return np.ascontiguousarray(resized[:: -1 if flip_y else 1, :: -1 if flip_x else 1])


def _prepared(picture: Picture, **options: Any) -> Any:
    """Return the stored rows as 3-band RGB, 8 or 16 bit, not yet upright."""
    if picture.pixels is not None:
        image = picture.pixels.image()
    else:
        image = open_file(picture.path, "sequential", **options)
    if image.interpretation == "cmyk":
        image = image.icc_transform("srgb", input_profile="cmyk", embedded=True)
    elif _deep(image):
        image = image.colourspace("rgb16")
    elif image.interpretation != "srgb" or image.bands < 3:
        image = image.colourspace("srgb")
    if image.hasalpha():
        if image.bands > 4:  # spare bands between the colours and the alpha
            image = image.extract_band(0, n=3).bandjoin(image.extract_band(image.bands - 1))
        image = image.flatten(background=[picture.full_scale])
    if image.bands > 3:
        image = image.extract_band(0, n=3)
    return image.cast("uchar" if picture.bytes_per_value == 1 else "ushort")


def _at_size(picture: Picture) -> Any:
    """Return `_prepared` at the size asked for; its head only, where there is one."""
    image = _prepared(picture)
    transposed, flip_y, flip_x = _ORIENTATIONS[picture.orientation]
    if picture.resized:
        size = (picture.height, picture.width) if transposed else (picture.width, picture.height)
        image = _resized(image, *size)
    if picture.head is None:
        return image
    axis, length = picture.head
    along_rows, at_end = (axis == "y") != transposed, flip_y if axis == "y" else flip_x
    if along_rows:
        return image.crop(0, image.height - length if at_end else 0, image.width, length)
    return image.crop(image.width - length if at_end else 0, 0, length, image.height)


def _deep(image: Any) -> bool:
    return bool(image.format == "ushort" and image.interpretation in ("rgb16", "grey16"))


def _scaled(width: int, height: int, size: int) -> tuple[int, int]:
    short, long = min(width, height), max(width, height)
    scaled_long = max(size, size * long // short)
    return (size, scaled_long) if width <= height else (scaled_long, size)


def _resized(image: Any, width: int, height: int) -> Any:
    """Resize as PIL's and torchvision's antialiased bilinear filter does, within a level or two."""
    across, down = width / image.width, height / image.height
    if max(across, down) > 1:
        # vips_resize places enlarged pixels half a pixel aside; centre on centre is (x + 1/2) s - 1/2
        centred = {"idx": 0.5, "idy": 0.5, "odx": -0.5, "ody": -0.5, "extend": "copy"}
        bilinear = pyvips.Interpolate.new("bilinear")
        area = [0, 0, width, height]
        return image.affine([across, 0, 0, down], interpolate=bilinear, oarea=area, **centred)
    # Averaged in blocks first, along the row and then down, to within `_RESIZE_REST` of the size. A filter
    # stretched by 60, as a gigapixel's preview needs, would have libvips hold gigabytes of rows.
    blocks = [int(1 / each / _RESIZE_REST) for each in (across, down)]
    if blocks[0] > 1:
        image = image.shrinkh(blocks[0], ceil=True)
    if blocks[1] > 1:
        image = image.shrinkv(blocks[1], ceil=True)
    # A triangle filter stretched by the factor; gap=0 keeps libvips from averaging blocks of pixels itself.
    rest = [each * max(block, 1) for each, block in zip((across, down), blocks, strict=True)]
    resized = image.resize(rest[0], vscale=rest[1], kernel="linear", gap=0)
    if (resized.width, resized.height) != (width, height):  # a last, partial block may make a pixel more
        resized = resized.embed(0, 0, width, height, extend="copy")
    return resized


def _checked(path: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except pyvips.Error as error:
        says, mend = reason(error), "the file is damaged or cut short, get a complete copy"
        if "memory allocation" in str(error):  # libtiff's limit on what a strip or tile may take
            mend = "its strips are larger than libvips decodes, save it in tiles"
        raise PictureError(f"{path} cannot be decoded ({says}); {mend}") from error


def _of_spool(spool: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except pyvips.Error as error:  # it was left by a run that was stopped
        raise StoreError(f"{spool} cannot be read ({reason(error)}); start again with --overwrite") from error
