"""What a picture's file says of itself, and how it is read: page, channels, numbers, colours, transparency.

The decoder is trusted only after this. libvips takes any last channel for transparency, floating point for
values of 0 to 255, and a file's first directory for its picture. So tags and headers decide here: a file is
read right, or refused in a line that names what it holds and the option that reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyvips

from ..errors import PictureError
from ..planning.reading import Reading, Stretch, parse_stretch
from . import fits, heif, tiff
from .headers import colours_in_numbers, jp2_has_alpha, pictures_beside, pnm_maximum
from .loaders import LoadOptions, check_file, has_field, loader_of, open_file, probe
from .profiles import ColourNumbers, Profile, colour_profile, made_profile
from .sources import image_of_rows

Reader = Literal["libvips", "fits", "heif"]
Colour = Literal["grey", "rgb", "cmyk", "cielab", "icclab", "other"]

# libvips' number formats: name for people, and the values that stand for black and white at full range.
_FORMATS = {
    "uchar": ("8-bit integers", (0.0, 255.0)),
    "char": ("signed 8-bit integers", (-128.0, 127.0)),
    "ushort": ("16-bit integers", (0.0, 65535.0)),
    "short": ("signed 16-bit integers", (-32768.0, 32767.0)),
    "uint": ("32-bit integers", (0.0, 2.0**32 - 1)),
    "int": ("signed 32-bit integers", (-(2.0**31), 2.0**31 - 1)),
    "float": ("floating-point numbers", (0.0, 1.0)),
    "double": ("floating-point numbers", (0.0, 1.0)),
}
#: libvips' number formats by numpy's names.
FORMATS_OF_DTYPES = {
    "uint8": "uchar", "int8": "char", "uint16": "ushort", "int16": "short", "uint32": "uint", "int32": "int",
    "float32": "float", "float64": "double",
}  # fmt: skip
PLAIN = ("uchar", "ushort")  # numbers that are brightness as they are

# Of a TIFF: bits that libvips reads of each sample format, and the format's name. 4 is "undefined".
_TIFF_NUMBERS = {
    tiff.UNSIGNED: ((1, 2, 4, 8, 16, 32), "integers"),
    tiff.SIGNED: ((8, 16, 32), "signed integers"),
    tiff.FLOAT: ((16, 32), "floating-point numbers"),
    4: ((1, 2, 4, 8, 16), "integers"),
    5: ((), "complex integers"),
    6: ((), "complex numbers"),
}
# Photometric interpretation -> colour, and the channels of it.
_TIFF_COLOURS: dict[int | None, tuple[Colour, int]] = {
    tiff.WHITE_IS_ZERO: ("grey", 1),
    tiff.BLACK_IS_ZERO: ("grey", 1),
    tiff.RGB: ("rgb", 3),
    tiff.PALETTE: ("rgb", 1),
    tiff.SEPARATED: ("cmyk", 4),
    tiff.YCBCR: ("rgb", 3),
    tiff.CIELAB: ("cielab", 3),
    tiff.ICCLAB: ("icclab", 3),
}
_PHOTOMETRIC_NAMES = {
    4: "a mask",
    tiff.YCBCR: "YCbCr colours without JPEG compression",
    10: "ITU L*a*b* colours",
    tiff.MOSAIC: "a sensor's mosaic",
    tiff.LINEAR_RAW: "a sensor's values",
    32844: "LogLuv luminance",
    32845: "LogLuv colours",
}
# Compressions of TIFF whose decoders turn YCbCr to RGB: JPEG, old and new, and JPEG 2000.
_TURN_YCBCR = (6, 7, 33003, 33005, 34712)
# A later page with this many times the first one's pixels, stored in tiles, is the picture of a whole-slide
# file that begins with its label or an overview.
_SLIDE_FACTOR = 4
_SIZES_SHOWN = 6
# Compressions of TIFF that every build of libvips decodes: none, CCITT, LZW, Deflate, PackBits. (JPEG may be
# of 12 bits.)
_USUAL_COMPRESSIONS = (1, 2, 3, 4, 5, 8, 32773, 32946)
_COMPRESSION_NAMES = {
    6: "old-style JPEG", 7: "JPEG", 9: "JBIG", 10: "JBIG", 32766: "NeXT", 32809: "ThunderScan",
    32908: "PixarFilm", 32909: "PixarLog", 33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000",
    34661: "JBIG", 34676: "SGILog", 34677: "SGILog24", 34712: "JPEG 2000", 34887: "LERC", 34892: "lossy JPEG",
    34925: "LZMA", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
_CMYK_CHANNELS = 4
_PROFILE = "icc-profile-data"  # libvips' field
_TURNED_BY_LOADER = ("uchar", "ushort", "uint")  # numbers that libvips inverts where white is zero
_CR2 = b"CR\x02\x00"  # at byte 8 of Canon's raw files


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a picture's file holds, and how it becomes red, green and blue.

    Attributes:
        reader: what decodes the file.
        load: options of the loader that lead to the page.
        pages: pictures in the file.
        page: the picture that is read, counted from 1.
        numbers: libvips' name of the number format.
        colour: the colour space of the channels that are read.
        channels: the channels that are read, one or three (four of CMYK), counted from 0.
        channels_in_file: all channels.
        alpha: the channel of transparency, counted from 0; None where there is none.
        stretch: how numbers become brightness; None: as they are.
        limits: the numbers that become black and white; None: not measured yet, or as they are.
        inverted: whether small numbers are bright, and the loader leaves them so.
        bottom_up: whether the loader gives the lowest row first.
        no_data: number of pixels without data; None where there is none.
        tile: width and height of a TIFF's tiles; None where it has none.
        strip_rows: rows of a TIFF's strip where libvips decodes strips whole; 0 where it does not.
        profile: the colour profile; None where there is none.
        notes: lines for the user.
    """

    reader: Reader = "libvips"
    load: LoadOptions = field(default_factory=LoadOptions)
    pages: int = 1
    page: int = 1
    numbers: str = "uchar"
    colour: Colour = "rgb"
    channels: tuple[int, ...] = (0, 1, 2)
    channels_in_file: int = 3
    alpha: int | None = None
    stretch: Stretch | None = None
    limits: tuple[float, float] | None = None
    inverted: bool = False
    bottom_up: bool = False
    no_data: float | None = None
    tile: tuple[int, int] | None = None
    strip_rows: int = 0
    profile: Profile | None = None
    notes: tuple[str, ...] = ()

    @property
    def deep(self) -> bool:
        """True if the picture is read with 16 bits a value."""
        if self.colour in ("cielab", "icclab"):
            return self.numbers != "uchar"
        return self.stretch is not None or (self.numbers == "ushort" and self.colour in ("grey", "rgb"))

    @property
    def unmeasured(self) -> bool:
        """True if black and white follow from values that have not been read yet."""
        return self.stretch is not None and self.limits is None

    def facts(self) -> dict[str, Any]:
        """Describe how the file is read, for the run's record.

        Returns:
            `page`, `pages`, `channels` (counted from 1), `channels_in_file`, the `stretch` with the numbers
            of black and white, and the colour `profile`, ready for JSON.
        """
        stretch = None
        if self.stretch is not None:
            stretch = {"kind": str(self.stretch), "limits": self.limits and list(self.limits)}
        return {
            "page": self.page,
            "pages": self.pages,
            "channels": [channel + 1 for channel in self.channels],
            "channels_in_file": self.channels_in_file,
            "stretch": stretch,
            "profile": self.profile and {"name": self.profile.name, "state": self.profile.state},
        }


def contents_of(path: Path, reading: Reading) -> tuple[Contents, Any]:
    """Find out what a picture's file holds and how it is to be read.

    Args:
        path: the file.
        reading: the options of reading.

    Returns:
        The contents; and the `pyvips.Image` of the page, of which only the header was read.

    Raises:
        PictureError: there is no picture; or what it holds is not read, or only with an option.
    """
    check_file(path)
    if fits.is_fits(path):
        return _fits_contents(path, reading)
    directories = tiff.directories_of(path)
    if directories:
        page = _tiff_page(path, directories, reading)
        directory = directories[page]
        _check_tiff(path, directory)
        load = LoadOptions(page=directory.index, subifd=directory.sub_index, change=_change(path, directory))
        image = open_file(path, "sequential", load)
        contents = _tiff_contents(path, directory, image, reading)
        note = _pages_note(path, directories, page)
        contents = replace(contents, load=load, pages=len(directories), page=page + 1, notes=note)
    else:
        contents, image = _other_contents(path, reading)
    contents = completed(path, contents, reading)
    content = image.get(_PROFILE) if has_field(image, _PROFILE) else b""
    in_numbers = colours_in_numbers(path, loader_of(image), icc=bool(content))
    return with_profile(path.name, contents, content, in_numbers, reading), image


def open_contents(path: Path, contents: Contents, **options: Any) -> Any:
    """Open a file of known contents.

    Args:
        path: the file.
        contents: what it holds.
        options: further options of libvips' loader.

    Returns:
        A `pyvips.Image`, for sequential access.
    """
    if contents.reader == "heif":
        return heif.decoded(path, contents.page - 1, contents.channels_in_file)
    if contents.reader == "fits":
        return _fits_image(fits.fits_images(path)[contents.page - 1], contents.channels)
    return open_file(path, "sequential", contents.load, **options)


def _fits_contents(path: Path, reading: Reading) -> tuple[Contents, Any]:
    """Describe a picture of a FITS file; its numbers are stretched by asinh."""
    images = fits.fits_images(path)
    if reading.page is not None:
        _check_page(path, reading.page, len(images))
    page = reading.page or 1
    image = images[page - 1]
    contents = Contents(
        reader="fits",
        pages=len(images),
        page=page,
        numbers=FORMATS_OF_DTYPES[image.dtype],
        colour="rgb" if image.planes == 3 else "grey",
        # the planes of a cube are seldom colours
        channels=(0, 1, 2) if image.planes == 3 else (0,),
        channels_in_file=image.planes,
        stretch=parse_stretch("asinh"),
        bottom_up=True,
        no_data=image.no_data,
        notes=(pages_note(path, len(images), page),) if len(images) > 1 else (),
    )
    contents = completed(path, contents, reading)
    return contents, _fits_image(image, contents.channels)


def _fits_image(image: fits.FitsImage, planes: tuple[int, ...]) -> Any:
    rows = fits.row_reader(image, planes)
    opened = image_of_rows(
        image.width, image.height, len(planes), np.dtype(image.dtype), rows, "sequential"
    ).copy()
    opened.set_type(pyvips.GValue.gstr_type, "vips-loader", "fitsload")
    return opened


def completed(path: Path, contents: Contents, reading: Reading) -> Contents:
    """Complete what a file holds by the channels and the stretch that are asked for.

    Args:
        path: the file, for errors and notes.
        contents: the contents; `channels` are those of the file's colours, or all where it has none.
        reading: the options of reading.

    Raises:
        PictureError: the file has no such channels; or its numbers need a stretch, and none is given.
    """
    return _with_stretch(path, _with_channels(path, contents, reading), reading)


def with_profile(
    name: str, contents: Contents, content: bytes, in_numbers: ColourNumbers | None, reading: Reading
) -> Contents:
    """Add the colour profile, and a note where it cannot be applied.

    Args:
        name: the picture's name.
        contents: the contents, complete otherwise.
        content: the file's ICC profile; empty where it has none.
        in_numbers: the file's colours in numbers, where these count.
        reading: the options of reading.
    """
    as_they_are = reading.channels is not None and contents.channels not in ((0,), (0, 1, 2))
    measured = contents.stretch is not None and contents.stretch.measured
    if contents.colour not in ("grey", "rgb", "cmyk") or as_they_are or measured:
        return contents
    wanted = reading.profile
    channels = len(contents.channels)
    if in_numbers is not None and in_numbers.hdr:
        profile = Profile(
            name=in_numbers.hdr,
            state="left",
            note=f"{name}: its colours are HDR ({in_numbers.hdr}), and were read as if they were sRGB",
        )
    elif in_numbers is not None:
        profile = colour_profile(name, made_profile(in_numbers), 3, cmyk=False, wanted=wanted)
    elif content:
        profile = colour_profile(name, content, channels, cmyk=contents.colour == "cmyk", wanted=wanted)
    else:
        return contents
    notes = (*contents.notes, profile.note) if profile.note else contents.notes
    return replace(contents, profile=profile, notes=notes)


def _tiff_page(path: Path, directories: tuple[tiff.Directory, ...], reading: Reading) -> int:
    """Return the place of the directory to read: the one asked for, or the main picture."""
    if reading.page is not None:
        _check_page(path, reading.page, len(directories), directories)
        return reading.page - 1
    if _is_raw(path, directories):
        previews = [str(number) for number, each in enumerate(directories, 1) if not each.is_sensor]
        others = f", or read a preview in it with --page {' or '.join(previews)}" if previews else ""
        raise PictureError(
            f"{path} is a camera's raw file, whose sensor values are not read; develop it to TIFF or JPEG in "
            f"a raw converter{others}"
        )
    # A file may begin with a thumbnail, a slide with its label.
    own = [place for place, each in enumerate(directories) if not each.reduced] or [0]
    first = own[0]
    largest = max(own, key=lambda place: directories[place].pixels)
    if directories[largest].tile and directories[largest].pixels >= _SLIDE_FACTOR * directories[first].pixels:
        return largest
    return first


def _is_raw(path: Path, directories: tuple[tiff.Directory, ...]) -> bool:
    with path.open("rb") as file:
        canon = file.read(12)[8:] == _CR2
    return canon or any(each.is_raw for each in directories)


def _check_page(path: Path, page: int, pages: int, directories: tuple[tiff.Directory, ...] = ()) -> None:
    if page <= pages:
        return
    if pages == 1:
        raise PictureError(f"{path} holds one picture; leave --page out")
    sizes = [f"{each.width} x {each.height}" for each in directories[:_SIZES_SHOWN]]
    listed = f" ({', '.join(sizes)}{', ...' if pages > len(sizes) else ''})" if sizes else ""
    raise PictureError(f"{path} holds {pages} pictures{listed} and no number {page}; give another --page")


def _pages_note(path: Path, directories: tuple[tiff.Directory, ...], page: int) -> tuple[str, ...]:
    if len(directories) == 1:
        return ()
    size = f"{directories[page].width} x {directories[page].height} pixels"
    return (pages_note(path, len(directories), page + 1, f", {size},"),)


def pages_note(path: Path, pages: int, page: int, about: str = "") -> str:
    """Return the note that a file holds several pictures.

    Args:
        path: the file.
        pages: number of pictures in it.
        page: the one that is read, counted from 1.
        about: words on that one.
    """
    return f"{path.name} holds {pages} pictures; number {page}{about} is read, --page chooses another"


def _change(path: Path, directory: tiff.Directory) -> tuple[int, bytes] | None:
    """Return the change with which 8-bit CIELAB is opened, as RGB, since libvips fails to; else None."""
    if directory.photometric != tiff.CIELAB or directory.bits != 8:
        return None
    with path.open("rb") as file:
        return directory.as_rgb(file.read(2) == b"II")


def _check_tiff(path: Path, directory: tiff.Directory) -> None:
    """Refuse numbers that libvips does not read, or would misread."""
    if not directory.uniform:
        raise PictureError(
            f"{path} holds channels of different number formats, which are not read; save them with one"
        )
    bits, name = _TIFF_NUMBERS.get(directory.sample_format, ((), "numbers of an unknown format"))
    if directory.bits not in bits:
        fewer = "8, 16 or 32" if directory.sample_format == tiff.UNSIGNED else "16 or 32"
        size = f"{directory.bits}-bit " if bits else ""
        raise PictureError(
            f"{path} holds {size}{name}, which are not read; save it with {fewer} bits a value"
        )


def _tiff_contents(path: Path, directory: tiff.Directory, image: Any, reading: Reading) -> Contents:
    """Describe a picture of a TIFF by its tags."""
    colour, own = _TIFF_COLOURS.get(directory.photometric, ("other", 1))
    channels = directory.channels
    if directory.photometric == tiff.YCBCR and directory.compression not in _TURN_YCBCR:
        colour, own = "other", 1
    if directory.photometric == tiff.PALETTE:  # libvips looks its colours up
        channels = image.bands
        own = channels - len(directory.extra_samples)
        colour = "rgb" if own >= 3 else "grey"
    if channels < own and colour == "rgb":  # against the specification
        colour, own = "grey", 1
    if channels < own or (colour == "other" and reading.channels is None):
        name = _PHOTOMETRIC_NAMES.get(directory.photometric or 0, "colours of an unknown kind")
        if colour == "cmyk":
            name = "inks other than CMYK"
        wanted = "1,2,3" if channels >= 3 else "1"
        raise PictureError(
            f"{path} holds {name}, which are not read; --channels {wanted} reads its numbers as they are"
        )
    extra = directory.extra_samples
    alphas = [own + place for place, kind in enumerate(extra[: channels - own]) if kind in tiff.ALPHA]
    alpha = alphas[0] if alphas and colour != "other" else None
    # Without colours of its own a file may hold any channels: of a satellite, a radar, a microscope.
    of_picture = range(channels if own == 1 else own)
    if directory.compression not in _USUAL_COMPRESSIONS:
        probe(path, image, _COMPRESSION_NAMES.get(directory.compression, f"number {directory.compression}"))
    return Contents(
        numbers=str(image.format),
        colour=colour,
        channels=tuple(channel for channel in of_picture if channel not in alphas),
        channels_in_file=channels,
        alpha=alpha,
        inverted=directory.photometric == tiff.WHITE_IS_ZERO and image.format not in _TURNED_BY_LOADER,
        no_data=directory.no_data,
        tile=directory.tile,
        strip_rows=directory.whole_strip_rows,
    )


def _other_contents(path: Path, reading: Reading) -> tuple[Contents, Any]:
    """Describe a picture of any format but TIFF by what libvips says of it."""
    image = open_file(path, "sequential", LoadOptions())
    loader = loader_of(image)
    pages = int(image.get("n-pages")) if has_field(image, "n-pages") else 1
    page = 1 + (int(image.get("heif-primary")) if has_field(image, "heif-primary") else 0)
    load = LoadOptions()
    if reading.page is not None and reading.page != page:
        _check_page(path, reading.page, pages)
        page = reading.page
        load = LoadOptions(page=page - 1)
        image = open_file(path, "sequential", load)
    reader: Reader = "libvips"
    if loader in ("jpeg", "uhdr") and not has_field(image, "interlaced"):
        probe(path, image, "")
    if loader == "heif" and image.get("heif-compression") != "av1":
        try:
            probe(path, image, "")
        except PictureError as error:
            heif.require_decoder(path, error)
            reader = "heif"
    count = pages if pages > 1 else pictures_beside(path, loader)
    notes: tuple[str, ...] = ()
    if pages > 1:
        notes = (pages_note(path, pages, page),)
    elif count > 1:
        notes = (f"{path.name} holds {count} pictures; the first is read",)
    alpha = image.bands - 1 if _has_alpha(path, image, loader) else None
    of_picture = image.bands - (alpha is not None)
    if image.interpretation == "cmyk":
        of_picture = min(_CMYK_CHANNELS, of_picture)
    contents = Contents(
        reader=reader,
        load=load,
        pages=pages,
        page=page,
        numbers=str(image.format),
        colour=_colour_of(image, of_picture),
        channels=tuple(range(of_picture)),
        channels_in_file=image.bands,
        alpha=alpha,
        notes=notes,
    )
    if loader == "ppm":  # libvips reads numbers and rows as they are, whatever they mean
        contents = replace(contents, bottom_up=image.format == "float")
        largest = pnm_maximum(path)
        if largest is not None and largest not in (255, 65535):
            contents = replace(contents, stretch=Stretch("full"), limits=(0.0, float(largest)))
    return contents, image


def _colour_of(image: Any, channels: int) -> Colour:
    if image.interpretation == "cmyk":
        return "cmyk"
    return "rgb" if channels >= 3 else "grey"


def _has_alpha(path: Path, image: Any, loader: str) -> bool:
    if loader == "ppm":  # which has colours only
        return False
    if loader == "jp2k":
        return jp2_has_alpha(path)
    return bool(image.hasalpha())


def _with_channels(path: Path, contents: Contents, reading: Reading) -> Contents:
    """Choose the channels to read: those asked for, or the first ones, with a note where there are more."""
    there = contents.channels_in_file
    if reading.channels is not None:
        if max(reading.channels) > there:
            channels = "1 channel" if there == 1 else f"{there} channels"
            raise PictureError(
                f"{path} has {channels} and no number {max(reading.channels)}; give other --channels"
            )
        chosen = tuple(number - 1 for number in reading.channels)
        colour: Colour = contents.colour
        if chosen != contents.channels[: len(chosen)] or colour not in ("rgb", "grey"):
            colour = "rgb" if len(chosen) == 3 else "grey"  # the numbers as they are
        if len(chosen) == 1:
            colour = "grey"
        alpha = None if contents.alpha in chosen else contents.alpha
        return replace(contents, channels=chosen, colour=colour, alpha=alpha)
    if contents.colour == "cmyk":
        chosen = contents.channels[:_CMYK_CHANNELS]
    else:
        chosen = contents.channels[: 3 if len(contents.channels) >= 3 else 1]
    colour = contents.colour
    if colour == "grey" and len(chosen) == 3:
        colour = "rgb"
    read = replace(contents, channels=chosen, colour=colour)
    unread = there - len(chosen) - (contents.alpha is not None)
    if unread <= 0:
        return read
    names = {1: "number 1 is read", 3: "numbers 1, 2 and 3 are read as red, green and blue"}
    words = names.get(len(chosen), "the first four are read as CMYK")
    note = f"{path.name} has {there} channels; {words}, --channels chooses others"
    return replace(read, notes=(*read.notes, note))


def _with_stretch(path: Path, contents: Contents, reading: Reading) -> Contents:
    """Choose how the numbers become brightness: as asked for, or as the format does."""
    stretch = reading.stretch or contents.stretch
    name, full = _FORMATS.get(contents.numbers, (f"numbers ({contents.numbers})", None))
    if full is None:
        raise PictureError(f"{path} holds {name}, which are not read; save it with 8 or 16 bits a value")
    if stretch is None and (contents.numbers in PLAIN or contents.colour not in ("grey", "rgb")):
        return contents
    if stretch is None:
        ends = "0 to 1" if contents.numbers in ("float", "double") else "the format's range"
        raise PictureError(
            f"{path} holds {name}, and what is black and white it does not say; choose with --stretch: full "
            f"({ends}), minmax, percentiles such as percentile:1,99, or asinh"
        )
    if contents.colour not in ("grey", "rgb"):
        raise PictureError(
            f"{path} holds {contents.colour.upper()} colours, which cannot be stretched; leave --stretch "
            f"out, or give --channels to read the numbers as they are"
        )
    if stretch.measured:
        return replace(contents, stretch=stretch, limits=None)
    if contents.limits is None and contents.numbers in PLAIN:
        return replace(contents, stretch=None)
    return replace(contents, stretch=stretch, limits=contents.limits or full)
