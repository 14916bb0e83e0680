"""Pictures in FITS files, by astropy: which extensions hold one, and rows of numbers from any of them.

Rows are read by ordinary reads of the file, so that no mapped page counts as resident; those of a compressed
extension are unpacked by astropy, a few at a time. FITS counts rows from the bottom of the picture.
"""

from __future__ import annotations

import gzip
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import PictureError

_FIRST_BYTES = b"SIMPLE  ="
_GZIP = b"\x1f\x8b"
# BITPIX, and BZERO where it makes unsigned numbers of signed ones -> the number format of the values.
_INTEGERS = {
    (8, 0): "uint8",
    (8, -128): "int8",
    (16, 0): "int16",
    (16, 32768): "uint16",
    (32, 0): "int32",
    (32, 2147483648): "uint32",
}
# What a damaged file leads to in astropy, which checks little of it.
_DAMAGE = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, TypeError, ValueError,
    zlib.error,
)  # fmt: skip
_FLOAT = "float32"  # of all other numbers: libvips reads no wider ones


@dataclass(frozen=True, kw_only=True)
class FitsImage:
    """An extension of a FITS file that holds a picture.

    Attributes:
        path: the file.
        extension: its place among all extensions, counted from 0.
        width: values of a row.
        height: rows.
        planes: pictures above one another, of a cube.
        dtype: number format of the values, numpy's name.
        no_data: number of pixels without data; None where there is none, or where they are NaN.
        bitpix: the stored number format, by FITS.
        zero: what is added to a stored number.
        scale: by what it is multiplied before.
        blank: the stored number of pixels without data.
        offset: place of the first value in the file, in bytes; None where rows are compressed.
    """

    path: Path
    extension: int
    width: int
    height: int
    planes: int
    dtype: str
    no_data: float | None
    bitpix: int
    zero: float
    scale: float
    blank: int | None
    offset: int | None


def is_fits(path: Path) -> bool:
    """Return whether a file's first bytes, unpacked if need be, are those of a FITS file."""
    with path.open("rb") as file:
        first = file.read(len(_FIRST_BYTES))
    if not first.startswith(_GZIP):
        return first == _FIRST_BYTES
    try:
        with gzip.open(path) as unpacked:
            return unpacked.read(len(_FIRST_BYTES)) == _FIRST_BYTES
    except (OSError, EOFError, zlib.error):
        return False


def fits_images(path: Path) -> tuple[FitsImage, ...]:
    """List the extensions of a FITS file that hold pictures.

    Args:
        path: the file.

    Raises:
        PictureError: astropy is missing, or cannot read the file; or it is cut short.
    """
    fits = _astropy(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of astropy, on cards that break a rule
        try:
            with fits.open(path, memmap=False, lazy_load_hdus=True, disable_image_compression=False) as file:
                images = [_described(path, place, hdu) for place, hdu in enumerate(file)]
        except (*_DAMAGE, fits.VerifyError) as error:
            raise PictureError(
                f"{path} is not a FITS file that astropy can read ({error}); get a complete copy"
            ) from error
    found = tuple(image for image in images if image is not None)
    if not found:
        raise PictureError(f"{path} holds no picture, only tables or spectra; give another file")
    _check_length(path, found)
    return found


def _astropy(path: Path) -> Any:
    try:
        from astropy.io import fits
    except ImportError as error:
        raise PictureError(
            f"{path}: reading FITS needs another package: pip install 'netsounds-stream[fits]'"
        ) from error
    return fits


def _described(path: Path, place: int, hdu: Any) -> FitsImage | None:
    """Describe an extension; None where it holds no picture."""
    header = hdu.header
    compressed = type(hdu).__name__ == "CompImageHDU"
    if not hdu.is_image and not compressed:
        return None
    shape = tuple(int(length) for length in hdu.shape or ())
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) < 2 or min(shape) < 1 or min(shape[-2:]) < 2:
        return None
    bitpix = int(header["BITPIX"])
    # astropy takes these out of the header where it applies them itself
    zero = float(getattr(hdu, "_orig_bzero", header.get("BZERO", 0)))
    scale = float(getattr(hdu, "_orig_bscale", header.get("BSCALE", 1)))
    blank = header.get("BLANK") if bitpix > 0 else None
    dtype = _INTEGERS.get((bitpix, int(zero)), _FLOAT) if scale == 1 and zero == int(zero) else _FLOAT
    if compressed and blank is not None:  # astropy makes it NaN
        dtype = _FLOAT
    no_data = None if blank is None or dtype == _FLOAT else blank + zero
    offset = None if compressed else int(hdu.fileinfo()["datLoc"])
    return FitsImage(
        path=path,
        extension=place,
        width=shape[-1],
        height=shape[-2],
        planes=int(np.prod(shape[:-2], dtype=np.int64)),
        dtype=dtype,
        no_data=no_data,
        bitpix=bitpix,
        zero=zero,
        scale=scale,
        blank=blank,
        offset=offset,
    )


def _check_length(path: Path, images: tuple[FitsImage, ...]) -> None:
    with path.open("rb") as file:
        if file.read(2) == _GZIP:
            return
    length = path.stat().st_size
    for image in images:
        values = image.width * image.height * image.planes
        if image.offset is not None and image.offset + values * abs(image.bitpix) // 8 > length:
            raise PictureError(
                f"{path} is cut short: its picture is larger than the file; get a complete copy"
            )


def row_reader(image: FitsImage, planes: tuple[int, ...]) -> Callable[[int, int], NDArray[Any]]:
    """Open an extension for reading rows.

    Args:
        image: the extension.
        planes: the planes to read, counted from 0.

    Returns:
        A function of a first row, counted from the bottom of the picture, and a number of rows, that returns
        `[y, x, plane]`.
    """
    if image.offset is None:
        return _compressed_reader(image, planes)
    files = {plane: _opened(image.path) for plane in planes}  # each reads on, where going back is slow
    row_bytes = image.width * abs(image.bitpix) // 8
    offset = image.offset

    def read(first: int, rows: int) -> NDArray[Any]:
        values = np.empty((rows, image.width, len(planes)), image.dtype)
        for index, plane in enumerate(planes):
            file = files[plane]
            file.seek(offset + (plane * image.height + first) * row_bytes)
            content = file.read(rows * row_bytes)
            if len(content) < rows * row_bytes:
                raise EOFError("it ends before its last row")
            values[..., index] = _values(content, image).reshape(rows, image.width)
        return values

    return read


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    return gzip.open(path) if packed else path.open("rb")  # type: ignore[return-value]  # read and seek


def _values(content: bytes, image: FitsImage) -> NDArray[Any]:
    """Turn stored numbers into values: zero + scale x stored, NaN where there are no data."""
    stored = np.frombuffer(
        content, {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}[image.bitpix]
    )
    if image.dtype != _FLOAT:
        return (stored.astype(np.int64) + int(image.zero)).astype(image.dtype) if image.zero else stored
    if image.scale == 1 and image.zero == 0 and image.bitpix < 0:
        return stored.astype(np.float32)
    values = image.zero + image.scale * stored.astype(np.float64)
    if image.blank is not None:
        values[stored == image.blank] = np.nan
    return values.astype(np.float32)


def _compressed_reader(image: FitsImage, planes: tuple[int, ...]) -> Callable[[int, int], NDArray[Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hdu = _astropy(image.path).open(image.path, memmap=False)[image.extension]
    degenerate = len(hdu.shape) - (2 if image.planes == 1 else 3)

    def read(first: int, rows: int) -> NDArray[Any]:
        rows_of = slice(first, first + rows)
        values = np.empty((rows, image.width, len(planes)), image.dtype)
        for index, plane in enumerate(planes):
            where = (0,) * degenerate + ((plane,) if image.planes > 1 else ())
            values[..., index] = hdu.section[(*where, rows_of)]
        return values

    return read
