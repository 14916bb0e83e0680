"""Which files are opened as pictures, by which of libvips' loaders, and what each holds whole in memory.

No pixel is decoded here. A file is asked what it is (its first bytes say, not its name) before anything of
it is parsed, and goes to a loader of the list below or to none.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pyvips

from ..errors import PictureError

# libvips' loaders that open a picture here, and the bytes a pixel and band that they hold of the decoded
# picture, whatever is asked of them. These formats hold pixels and nothing else. The rest of what a libvips
# may open is refused: SVG and PDF name other files, Magick and OpenSlide stand for a hundred formats each,
# CSV, MATLAB and raw are tables, `.v` is libvips' own memory. Blocking them in libvips instead
# (`block_untrusted_set`) would hold for the whole process, the caller's own pictures too.
_LOADERS = {
    "Jpeg": 0,
    "Uhdr": 1.5,  # a JPEG with a gain map, as telephones write: the map is decoded with the header
    "Png": 0,
    "Tiff": 0,
    "Ppm": 0,
    "Webp": 1.34,
    "Nsgif": 1.34,
    "Heif": 2,
    "Jp2k": 4,
    "Jxl": 4,
}
# A progressive JPEG keeps all coefficients, 16 bits each.
_COEFFICIENT_BYTES = 2
# Of a TIFF's tiles libvips keeps so many rows, and two strips where it decodes strips whole; the plan has
# room for rows of tiles up to this height. Other strips come row by row however long they are.
_TILE_ROWS, _STRIPS, _LOW_TILE = 3, 2, 256
_COMPRESSION, _ROWS_PER_STRIP, _PLANES = 259, 278, 284  # TIFF tags
_JPEG, _SEPARATE_PLANES = 7, 2
_LONGEST_REASON = 200


def open_file(path: Path, access: str, **options: Any) -> Any:
    """Open the picture at `path` with libvips; only its header is read.

    Raises:
        PictureError: there is no file, or none that holds a picture of a kind that is opened here.
    """
    try:
        if not path.exists():
            raise PictureError(f"no picture at {path}; check the name")
        if path.is_dir():
            os.listdir(path)  # a closed one is told as such
            raise PictureError(f"{path} is a folder; name a picture in it, or use --dpath with --image-name")
        if not path.is_file():
            raise PictureError(f"{path} is not an ordinary file; copy the picture to a file first")
        with path.open("rb") as file:
            if not file.read(1):
                raise PictureError(f"{path} is empty (0 bytes); copy or download the picture again")
    except PermissionError as error:
        raise PictureError(f"no permission to read {path}; change it with chmod, or copy the file") from error
    except OSError as error:
        raise PictureError(f"{path} cannot be read ({error.strerror}); check its name") from error
    name = _vips_name(path)
    kind = _recognised(name)
    if kind not in _LOADERS:
        says = f"libvips reads it as {kind}" if kind else "no known picture format"
        raise PictureError(f"{path} is not a picture ({says}); give a JPEG, PNG, TIFF, WebP, GIF or AVIF")
    try:
        # by 'truncated', a JPEG that ends too soon within a TIFF would be grey from there on
        return pyvips.Image.new_from_file(name.decode(), access=access, fail_on="error", **options)
    except pyvips.Error as error:
        raise PictureError(
            f"{path} is not a picture that libvips can read ({reason(error)}); get a complete copy"
        ) from error


def is_picture(path: Path) -> bool:
    """Return whether a file begins as a picture of a kind that is opened here; it may be damaged."""
    try:
        return path.is_file() and _recognised(_vips_name(path)) in _LOADERS
    except (OSError, PictureError):
        return False


def _recognised(name: bytes) -> str:
    """Return the loader that libvips chooses by a file's first bytes; empty where it has none."""
    found = pyvips.vips_lib.vips_foreign_find_load(name)
    if not found:
        pyvips.vips_lib.vips_error_clear()
        return ""
    loader: str = pyvips.ffi.string(found).decode()
    return loader.removeprefix("VipsForeignLoad").removesuffix("File")


def _vips_name(path: Path) -> bytes:
    try:
        str(path.absolute()).encode()  # as a run's record has it
    except UnicodeEncodeError as error:
        raise PictureError(f"{str(path)!a}: its name is not UTF-8, which libvips needs; rename it") from error
    name = str(path).encode()
    # libvips takes brackets at a name's end for options; empty ones after them leave the name as it is
    return name + b"[]" if name.endswith(b"]") else name


def loader_of(image: Any) -> str:
    """Return the format's name, such as 'jpeg' or 'png'."""
    return str(image.get("vips-loader")).removesuffix("_source").removesuffix("_buffer").removesuffix("load")


def has_field(image: Any, name: str) -> bool:
    """Return whether the metadata has a field. The list of all names may hold one that is not UTF-8."""
    return bool(image.get_typeof(name))


def whole_bytes(path: Path, image: Any, value_bytes: int) -> int:
    """Return the bytes of the picture that its loader holds at a time, whatever is read of it."""
    loader = loader_of(image)
    values = image.width * image.height * image.bands
    if has_field(image, "interlaced"):
        value_bytes = _COEFFICIENT_BYTES if loader in ("jpeg", "uhdr") else value_bytes
        return int(values * (value_bytes + _LOADERS[_kind(loader)]))
    if loader == "tiff":
        across, rows = image.width, min(_whole_strip_rows(path), image.height) * _STRIPS
        if has_field(image, "tile-width") and has_field(image, "tile-height"):
            across = -(-across // image.get("tile-width")) * image.get("tile-width")
            rows = image.get("tile-height") * _TILE_ROWS
        return across * rows * image.bands * value_bytes if rows > _LOW_TILE * _TILE_ROWS else 0
    # a palette's pixels are held as red, green, blue and alpha
    bands = max(3, image.bands)
    return int(image.width * image.height * bands * _LOADERS[_kind(loader)])


def _kind(loader: str) -> str:
    return "Nsgif" if loader == "gif" else loader.capitalize()


def _whole_strip_rows(path: Path) -> int:
    """Return the rows in a TIFF's strip where libvips decodes whole strips; 0 elsewhere.

    After the TIFF 6.0 specification, and BigTIFF's. Damaged files are libvips' to refuse.
    """
    tags: dict[int, int] = {}
    try:
        with path.open("rb") as file:
            order = {b"II": "<", b"MM": ">"}[file.read(2)]
            big = struct.unpack(f"{order}H", file.read(2))[0] == 43
            if big:
                file.seek(8)
            file.seek(struct.unpack(f"{order}{'Q' if big else 'I'}", file.read(8 if big else 4))[0])
            count = struct.unpack(f"{order}{'Q' if big else 'H'}", file.read(8 if big else 2))[0]
            for _ in range(min(count, 4096)):
                entry = file.read(20 if big else 12)
                tag, kind = struct.unpack(f"{order}HH", entry[:4])
                value = entry[12:] if big else entry[8:]
                tags[tag] = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", value)[0]
    except (OSError, KeyError, struct.error, OverflowError):
        return 0
    whole = tags.get(_COMPRESSION) == _JPEG or tags.get(_PLANES) == _SEPARATE_PLANES
    return tags.get(_ROWS_PER_STRIP, 1 << 32) if whole else 0


def reason(error: Any) -> str:
    """Return the last line of libvips' error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].split(": ", 1)[-1][:_LONGEST_REASON] if lines else "no reason given"
