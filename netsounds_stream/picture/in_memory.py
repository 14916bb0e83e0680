"""Pictures in memory: numpy arrays and PIL images, as pixels that libvips reads in place.

A contiguous array in the machine's byte order is used as it is. Anything else is copied once, when a pixel is
first needed. `pending_bytes` gives the size of that copy, so that the plan can refuse it beforehand.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyvips
from numpy.typing import NDArray

from ..errors import PictureError
from ..planning.reading import Reading
from .contents import FORMATS_OF_DTYPES, Contents, completed, with_profile

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[Any]
#: The forms in which callers may pass a picture: a path or URL, an array `[y, x]`, `[y, x, 3]` or
#: `[y, x, 4]`, a PIL image.
PictureInput: TypeAlias = "str | Path | NDArray[np.uint8] | NDArray[np.uint16] | Image.Image"

_MOST_CHANNELS = 1000  # of an array; more are its height or width
_ORIENTATION = 0x0112  # the EXIF tag
_STRIP_BYTES = 4 << 20  # bytes of a PIL image copied at a time
# PIL's mode -> the mode it is converted to, and the dtype of its values. Other modes are refused.
_MODES = {
    "1": ("L", "u1"),
    "L": ("L", "u1"),
    "LA": ("LA", "u1"),
    "La": ("LA", "u1"),
    "P": ("RGB", "u1"),
    "PA": ("RGBA", "u1"),
    "RGB": ("RGB", "u1"),
    "RGBX": ("RGB", "u1"),
    "RGBA": ("RGBA", "u1"),
    "RGBa": ("RGBA", "u1"),
    "I;16": ("I;16", "<u2"),
    "I;16L": ("I;16L", "<u2"),
    "I;16B": ("I;16B", ">u2"),
    "I;16N": ("I;16N", "=u2"),
}
_NUMBER_MODES = {"I": ("I", "=i4"), "F": ("F", "=f4")}  # read with a stretch only
# dtypes that libvips has not -> the one that holds their values.
_WIDER = {"float16": "float32", "int64": "float64", "uint64": "float64"}
_TRANSPARENT = {"1": "RGBA", "L": "RGBA", "RGB": "RGBA", "P": "RGBA"}  # modes with one transparent colour
# Bytes a pixel takes in PIL's memory; 4 in modes that are not here.
_STORED_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelSource:
    """A picture in memory.

    Attributes:
        image: the array or the PIL image.
        name: what to call the picture.
        kind: 'numpy array' or 'PIL image'.
        shape: shape of the stored pixels, before `orientation`: `[y, x]` or `[y, x, band]`.
        dtype: dtype of the pixels, in the machine's byte order.
        orientation: EXIF orientation, 1 to 8, which turns the stored pixels upright.
        mode: the mode that a PIL image is converted to; empty for an array.
        profile: a PIL image's ICC profile; empty where there is none.
    """

    image: Any
    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    orientation: int = 1
    mode: str = ""
    profile: bytes = b""

    @cached_property
    def pixels(self) -> Pixels:
        """The pixels, contiguous and in the machine's byte order; copied on first use if need be."""
        if self.kind == "numpy array":
            native: Pixels = np.ascontiguousarray(self.image, dtype=self.dtype)
            return native
        pixels = np.empty(self.shape, self.dtype)
        rows = max(1, _STRIP_BYTES // (self.shape[1] * max(4, pixels[:1, :1].nbytes)))
        for top in range(0, self.shape[0], rows):  # of a whole image PIL would make several copies
            strip = self.image.crop((0, top, self.shape[1], min(top + rows, self.shape[0])))
            if strip.mode != self.mode:
                strip = strip.convert(self.mode)
            stored = _MODES.get(self.mode) or _NUMBER_MODES.get(self.mode) or (self.mode, "u1")
            values = np.frombuffer(strip.tobytes(), stored[1])
            pixels[top : top + rows] = values.reshape(pixels[top : top + rows].shape)
        return pixels

    @property
    def pending_bytes(self) -> int:
        """Bytes that using the pixels will add to what the process holds now."""
        if "pixels" in self.__dict__:
            return 0
        pixels = int(np.prod(self.shape)) * self.dtype.itemsize
        if self.kind == "PIL image":
            stored = _STORED_BYTES.get(self.image.mode, 4) * self.shape[0] * self.shape[1]
            return pixels + (stored if _undecoded(self.image) else 0)
        used_in_place = self.image.flags.c_contiguous and self.image.dtype == self.dtype
        return pixels if not used_in_place or _mapped(self.image) else 0

    def vips_image(self) -> Any:
        """Return the pixels as an image of libvips, without a copy."""
        return pyvips.Image.new_from_array(self.pixels, interpretation="multiband")

    def sha256(self) -> str:
        """Hash the pixels `[y, x, band]` in C order.

        Returns:
            SHA-256 in hexadecimal.
        """
        return hashlib.sha256(self.pixels.reshape(-1).data).hexdigest()

    def facts(self) -> dict[str, Any]:
        """Describe the picture for the run's record.

        Returns:
            `kind`, `shape`, `dtype` and `orientation`, ready for JSON.
        """
        return {
            "kind": self.kind,
            "shape": list(self.shape),
            "dtype": self.dtype.name,
            "orientation": self.orientation,
        }


def pixel_source(image: object, reading: Reading = Reading()) -> PixelSource:  # noqa: B008
    """Describe a numpy array or a PIL image as a picture; no pixel is read.

    Args:
        image: an array uint8 or uint16, `[y, x]` (grey), `[y, x, 3]` (RGB) or `[y, x, 4]` (RGB and alpha);
            or a PIL image, whose EXIF orientation is applied as for a file.
        reading: the options of reading: with a stretch the array may hold any numbers, with channels any
            number of them.

    Returns:
        The picture, which refers to `image` and copies nothing yet.

    Raises:
        PictureError: it is neither, or holds something else; the message says how to convert it.
    """
    if isinstance(image, np.ndarray):
        return _array_source(image, reading)
    pil = sys.modules.get("PIL.Image")  # a caller who has such an image has imported this module
    if pil is not None and isinstance(image, pil.Image):
        return _pil_source(image, reading)
    raise PictureError(
        f"a picture cannot be a {type(image).__name__}; give a path, a URL, a numpy array or a PIL image (of "
        f"a tensor: numpy.asarray(tensor.cpu()))"
    )


def _array_source(array: NDArray[Any], reading: Reading) -> PixelSource:
    numbers = _WIDER.get(array.dtype.name, array.dtype.name)
    stretchable = numbers in FORMATS_OF_DTYPES and reading.stretch is not None
    if numbers not in ("uint8", "uint16") and not stretchable:
        also = " or give stretch='minmax'," if numbers in FORMATS_OF_DTYPES else ""
        raise PictureError(
            f"an array of {array.dtype} is not a picture;{also} convert it to uint8 or uint16, values of "
            f"0 to 1 with (255 * array).round().astype('uint8')"
        )
    channels = (3, 4) if reading.channels is None else range(1, _MOST_CHANNELS)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in channels):
        remedy = "convert it to [y, x], [y, x, 3] or [y, x, 4]"
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            remedy = f"{remedy}, from [channel, y, x] with array.transpose(1, 2, 0)"
        if array.ndim == 3 and 1 in (array.shape[0], array.shape[2]):
            remedy = f"convert it to [y, x] with array.squeeze({0 if array.shape[0] == 1 else 2})"
        raise PictureError(f"an array of shape {array.shape} is not a picture; {remedy}")
    if 0 in array.shape:
        raise PictureError(f"an array of shape {array.shape} has no pixels; give another")
    return PixelSource(
        image=array,
        name="array",
        kind="numpy array",
        shape=tuple(map(int, array.shape)),
        dtype=np.dtype(numbers),
    )


def _pil_source(image: Image.Image, reading: Reading) -> PixelSource:
    import PIL.Image

    modes = _MODES if reading.stretch is None else _MODES | _NUMBER_MODES
    if image.mode not in modes:
        remedy = "image.convert('RGB')"
        if image.mode in _NUMBER_MODES:
            remedy = "stretch='minmax', or numpy.asarray(image) scaled to uint8 or uint16"
        raise PictureError(f"a PIL image of mode {image.mode} cannot be read as a picture; give {remedy}")
    mode, dtype = modes[image.mode]
    if "transparency" in image.info:
        mode = _TRANSPARENT.get(image.mode, mode)
    bands = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,)}.get(mode, ())
    width, height = image.size
    if 0 in image.size:
        raise PictureError("the PIL image has no pixels; give another")
    name = Path(os.fsdecode(getattr(image, "filename", "") or "image")).name
    name = name.encode(errors="replace").decode()
    # PIL turns a TIFF upright when it decodes it.
    turned_later = image.format == "TIFF" and _undecoded(image)
    # The base class's method: that of a PNG would decode the image first.
    orientation = 1 if turned_later else int(PIL.Image.Image.getexif(image).get(_ORIENTATION, 1))
    return PixelSource(
        image=image,
        name=name,
        kind="PIL image",
        shape=(height, width, *bands),
        dtype=np.dtype(dtype).newbyteorder("="),
        orientation=orientation,
        mode=mode,
        profile=image.info.get("icc_profile") or b"",
    )


def contents_in_memory(source: PixelSource, reading: Reading) -> Contents:
    """Describe a picture in memory as a file's contents are described.

    Args:
        source: the picture.
        reading: the options of reading.

    Raises:
        PictureError: it has no such page, or no such channels.
    """
    name = Path(source.name)
    if reading.page not in (None, 1):
        raise PictureError(f"{name} is one picture; leave the page out")
    bands = source.shape[2] if len(source.shape) == 3 else 1
    transparent = bands in (2, 4) if source.mode or reading.channels is None else False
    contents = Contents(
        numbers=FORMATS_OF_DTYPES[source.dtype.name],
        colour="grey" if bands < 3 else "rgb",
        channels=tuple(range(bands - transparent)),
        channels_in_file=bands,
        alpha=bands - 1 if transparent else None,
    )
    contents = completed(name, contents, reading)
    return with_profile(str(name), contents, source.profile, None, reading)


def _undecoded(image: Image.Image) -> bool:
    """Return whether a PIL image still has to be decoded; PIL then decodes all of it at once."""
    return bool(getattr(image, "tile", ()))


def _mapped(array: NDArray[Any]) -> bool:
    """Return whether an array lies in a mapped file, whose pages become resident as they are read."""
    base: Any = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.obj if isinstance(base, memoryview) else base.base
    return isinstance(base, mmap.mmap)
