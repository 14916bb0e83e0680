"""Opening picture files with libvips' loaders, and the memory that each loader holds.

No pixel is decoded here. A file's type follows from its first bytes, not from its name, and is known before
anything is parsed. Only the loaders listed below are used.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyvips
from pyvips import ffi, vips_lib

from ..errors import PictureError, limit_met
from .fits import is_fits
from .sources import changed_file
from .tiff import begins_as_tiff

# The loaders of libvips that may open a picture here, and the bytes per pixel and band that each holds of
# the decoded picture however little of it is read. These formats hold pixels and nothing else. Everything
# else that libvips may open is refused: SVG and PDF name other files, Magick and OpenSlide stand for a
# hundred formats each, CSV, MATLAB and raw are tables, `.v` is libvips' own memory. Blocking them in libvips
# instead (`block_untrusted_set`) would affect the whole process, the caller's own pictures too.
_LOADERS = {
    "Jpeg": 0,
    "Uhdr": 1.5,  # a JPEG with a gain map, as phones write it: the map is decoded with the header
    "Png": 0,
    "Tiff": 0,
    "Ppm": 0,
    "Webp": 1.34,
    "Nsgif": 1.34,
    "Heif": 2,
    "Jp2k": 4,
    "Jxl": 4,
}
# A progressive JPEG keeps all its coefficients, 16 bits each.
_COEFFICIENT_BYTES = 2
# libvips keeps three rows of a TIFF's tiles, and two strips where it decodes strips whole. The plan has room
# for rows of tiles up to `_LOW_TILE` high. Other strips are decoded row by row, however long they are.
_TILE_ROWS = 3
_STRIPS = 2
_LOW_TILE = 256
_LONGEST_REASON = 200
# Bytes of a value, by libvips' name of the number format.
_VALUE_BYTES = {"uchar": 1, "char": 1, "ushort": 2, "short": 2, "uint": 4, "int": 4, "float": 4}
# libvips' and its libraries' words for a kind of file that they were built without, and for damage.
_UNKNOWN_KIND = (
    "not configured",
    "not support",
    "unsupport",
    "not been built",
    "not implemented",
    "no codec",
)
_DAMAGE = (
    "premature", "truncat", "corrupt", "end of", "eof", "short", "invalid", "read error", "crc",
    "missing", "not enough", "decode error", "out of range", "marker", "checksum", "broken", "syntax",
    "unable to parse", "not yet in table", "decoding error", "decompress error",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """Options of libvips' loaders that lead to one of a file's pictures.

    Attributes:
        page: the picture, counted from 0; None for the one that the loader chooses.
        subifd: of a TIFF, a picture below that one, counted from 0; None for that one itself.
        change: a place and bytes, with which the file is read as if they stood there; None: as it is.
    """

    page: int | None = None
    subifd: int | None = None
    change: tuple[int, bytes] | None = None

    def words(self) -> dict[str, int]:
        """Return the options as libvips takes them."""
        words = {"page": self.page, "subifd": self.subifd}
        return {name: value for name, value in words.items() if value is not None}


def open_file(path: Path, access: str, load: LoadOptions = LoadOptions(), **options: Any) -> Any:
    """Open the picture at `path` with libvips; only its header is read.

    Args:
        path: the file.
        access: libvips' access hint, 'sequential' or 'random'.
        load: which of the file's pictures.
        options: further options of the loader.

    Returns:
        A `pyvips.Image`.

    Raises:
        PictureError: there is no file, or it holds no picture of a supported format.
    """
    check_file(path)
    name = _vips_name(path)
    kind = _recognised(name)
    if not kind and begins_as_tiff(path):
        raise PictureError(
            f"{path} begins as a TIFF, but its directory cannot be read; the file is damaged or cut "
            f"short, get a complete copy"
        )
    if kind not in _LOADERS:
        cause = f"libvips reads it as {kind}" if kind else "no known picture format"
        raise PictureError(f"{path} is not a picture ({cause}); give a JPEG, PNG, TIFF, WebP, GIF or AVIF")
    forget_swallowed()
    try:
        # With fail_on="truncated", a JPEG cut short within a TIFF would be grey from there on.
        options = {**load.words(), **options}
        if load.change is not None:
            return changed_file(path, dict([load.change]), access, **options)
        if not _is_utf8(name):  # of a system whose names have another encoding; pyvips decodes names as UTF-8
            source = pyvips.Source.new_from_file(os.fsencode(path))
            return pyvips.Image.new_from_source(source, "", access=access, fail_on="error", **options)
        return pyvips.Image.new_from_file(name.decode(), access=access, fail_on="error", **options)
    except pyvips.Error as error:
        raise PictureError(
            f"{path} is not a picture that libvips can read ({reason(error)}); {_remedy(error)}"
        ) from error


def check_file(path: Path) -> None:
    """Check that there is an ordinary file that can be read, and that it is not empty.

    Raises:
        PictureError: there is none.
    """
    try:
        if not path.exists():
            raise PictureError(f"no picture at {path}; check the name")
        if path.is_dir():
            os.listdir(path)  # a folder without read permission gets the error that says so
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


def is_picture(path: Path) -> bool:
    """Return whether a file's first bytes are those of a supported format; the rest may be damaged."""
    try:
        return path.is_file() and (is_fits(path) or _recognised(_vips_name(path)) in _LOADERS)
    except (OSError, PictureError):
        return False


def _recognised(name: bytes) -> str:
    """Return the loader that libvips chooses by a file's first bytes; empty if it has none."""
    operation = pyvips.vips_lib.vips_foreign_find_load(name)
    if not operation:
        pyvips.vips_lib.vips_error_clear()
        return ""
    loader: str = pyvips.ffi.string(operation).decode()
    return loader.removeprefix("VipsForeignLoad").removesuffix("File")


def _vips_name(path: Path) -> bytes:
    try:
        str(path.absolute()).encode()  # as the run's record holds it
    except UnicodeEncodeError as error:
        raise PictureError(f"{str(path)!a}: its name is not UTF-8, which libvips needs; rename it") from error
    name = os.fsencode(path)
    # libvips takes brackets at the end of a name for options; empty ones behind them keep it from that.
    return name + b"[]" if name.endswith(b"]") else name


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def loader_of(image: Any) -> str:
    """Return the name of the format that an image was loaded from, such as 'jpeg' or 'png'."""
    return str(image.get("vips-loader")).removesuffix("_source").removesuffix("_buffer").removesuffix("load")


def has_field(image: Any, name: str) -> bool:
    """Return whether an image's metadata has the field `name`."""
    # Not by the list of all names, which may hold one that is not UTF-8.
    return bool(image.get_typeof(name))


def whole_bytes(image: Any, tile: tuple[int, int] | None, strip_rows: int) -> int:
    """Estimate the decoded pixels that a loader holds at a time, however little is read.

    Args:
        image: the `pyvips.Image` of the picture.
        tile: width and height of a TIFF's tiles; None where it has none.
        strip_rows: rows of a TIFF's strip, where libvips decodes strips whole.

    Returns:
        Bytes; 0 where the loader decodes row by row.
    """
    loader = loader_of(image)
    value_bytes = _VALUE_BYTES.get(image.format, 8)
    values = image.width * image.height * image.bands
    if has_field(image, "interlaced"):
        value_bytes = _COEFFICIENT_BYTES if loader in ("jpeg", "uhdr") else value_bytes
        return int(values * (value_bytes + _LOADERS[_kind(loader)]))
    if loader == "tiff":
        width = image.width
        rows = min(strip_rows, image.height) * _STRIPS
        if tile is not None:
            width = -(-width // tile[0]) * tile[0]
            rows = tile[1] * _TILE_ROWS
        return width * rows * image.bands * value_bytes if rows > _LOW_TILE * _TILE_ROWS else 0
    # Pixels of a palette are held as red, green and blue at least.
    bands = max(3, image.bands)
    return int(image.width * image.height * bands * _LOADERS[_kind(loader)])


def _kind(loader: str) -> str:
    return "Nsgif" if loader == "gif" else loader.capitalize()


def reason(error: Any) -> str:
    """Return the last line of libvips' error, without the name of the operation."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].split(": ", 1)[-1][:_LONGEST_REASON] if lines else "no reason given"


def undecodable(path: Path, error: Any, codec: str = "") -> PictureError:
    """Return the error for a picture that libvips fails to decode, with the remedy for its cause.

    Args:
        path: the file.
        error: libvips' error.
        codec: name of the file's compression, if it is an unusual one.
    """
    return PictureError(f"{path} cannot be decoded ({reason(error)}); {_remedy(error, codec)}")


def _remedy(error: Any, codec: str = "") -> str:
    """Tell damage from what libvips was built without, by libvips' and its libraries' words."""
    words = str(error).lower().replace("unsupported marker", "marker")  # in the midst of a JPEG: damage
    if "maximum memory" in words or "memory allocation of" in words:  # libtiff's limit on a strip or tile
        return "its strips are larger than libvips decodes, save it in tiles"
    if (limit := limit_met(words)) is not None:
        return limit
    damaged = any(word in words for word in _DAMAGE)
    if any(word in words for word in _UNKNOWN_KIND) or (codec and not damaged):
        kind = codec or "this kind of file"
        return f"this libvips does not read {kind}, save it as PNG, or as TIFF without compression"
    if damaged:
        return "the file is damaged or cut short, get a complete copy"
    return "save it anew from a program that shows it"


def forget_swallowed() -> None:
    """Forget what `swallowed` would return, since it belongs to a picture that was read before."""
    vips_lib.vips_error_clear()


def swallowed() -> str:
    """Return, and forget, what libvips has noted of a TIFF that it fails to decode.

    Its version 8.18 draws a tile that it cannot decode in black, and says so in its notes alone.

    Returns:
        The words; empty where nothing failed.
    """
    noted: str = ffi.string(vips_lib.vips_error_buffer()).decode(errors="replace")
    if not noted:
        return ""
    vips_lib.vips_error_clear()
    return next((line for line in noted.splitlines() if line.startswith("tiff2vips: ")), "")


def probe(path: Path, image: Any, codec: str) -> None:
    """Decode a first pixel, so that a file of a kind that libvips does not decode is refused at once.

    Args:
        path: the file.
        image: its `pyvips.Image`, which can be read on from.
        codec: name of the file's compression, for the error.

    Raises:
        PictureError: it cannot be decoded.
    """
    try:
        pyvips.Region.new(image).fetch(0, 0, 1, 1)
    except pyvips.Error as error:
        raise undecodable(path, error, codec) from error
    if words := swallowed():
        raise undecodable(path, words, codec)
