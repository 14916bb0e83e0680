"""Make the table of docs/pictures.md: which kinds of pictures are read, by opening one of each.

    python docs/pictures.py               tries them with the libvips of the wheel, and writes the table
    python docs/pictures.py --system      likewise with a system's libvips, where pyvips finds that one

Results are kept in docs/pictures.json. A test holds them, and the table, to what this says.
"""

from __future__ import annotations

import json
import sys
import tempfile
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from netsounds_stream.base.progress import Stages
from netsounds_stream.errors import PictureError
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.picture.picture import measured, open_picture, slabs
from netsounds_stream.planning.options import options_from_words
from netsounds_stream.planning.plan import STORED_MEMORY
from tests.helpers.tiffs import Page, tiff

PAGE = Path(__file__).with_name("pictures.md")
RESULTS = Path(__file__).with_name("pictures.json")
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"

PIXELS = draw(96, 64)
IMAGE = Image.fromarray(PIXELS)
SHARE = (PIXELS / 255).astype(np.float32)
Maker = Callable[[Path], Any]


def _pil(suffix: str, mode: str = "RGB", **options: Any) -> tuple[str, Maker]:
    return suffix, lambda path: IMAGE.convert(mode).save(path, **options)


def _vips(suffix: str, **options: Any) -> tuple[str, Maker]:
    def make(path: Path) -> None:
        pyvips.Image.new_from_array(PIXELS, interpretation="srgb").write_to_file(str(path), **options)

    return suffix, make


def _tiff(*pages: Page, **layout: Any) -> tuple[str, Maker]:
    return ".tif", lambda path: path.write_bytes(tiff(*pages, **layout))


def _bytes(suffix: str, content: bytes) -> tuple[str, Maker]:
    return suffix, lambda path: path.write_bytes(content)


def _frames(suffix: str) -> tuple[str, Maker]:
    return suffix, lambda path: IMAGE.save(path, save_all=True, append_images=[IMAGE.rotate(180)])


def _heic(path: Path) -> None:
    import pillow_heif

    pillow_heif.from_pillow(IMAGE).save(path)


def _fits(packed: bool) -> Maker:
    def make(path: Path) -> None:
        from astropy.io import fits

        values = SHARE[::-1, :, 1]
        hdu = fits.CompImageHDU(values) if packed else fits.ImageHDU(values)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)

    return make


_REDUCED = {254: (4, [1])}
_TAGGED = {254: (4, [1]), 50706: (1, [1, 4, 0, 0])}
_SMALL = draw(48, 32)
# A ramp of 40 x 30 pixels, written by a libvips that has an encoder; the wheel's has none.
_JXL = (
    "/wrosAEBhAGTYQkAgAqVUcYNXs71fPmhw2LaxnWGttq2sISx2V4YJCQcIJv7CtRmiWMd50AH2fOd2S2ECxXLw2f+sxwAAAAAgBiiBwIAAFRI"
    "gYRWjIyMwckoXhjvBaruXhMZGgf0B0ke"
)
_MOSAIC = Page(PIXELS[..., 1], 32803)
#: Kind -> the file's suffix and its maker; the options that it is read with.
KINDS: dict[str, tuple[tuple[str, Maker], dict[str, Any]]] = {
    "JPEG": (_pil(".jpg"), {}),
    "JPEG, progressive": (_pil(".jpg", progressive=True), {}),
    "JPEG, grey": (_pil(".jpg", "L"), {}),
    "JPEG, CMYK": (_pil(".jpg", "CMYK"), {}),
    "PNG, 8 bits": (_pil(".png"), {}),
    "PNG, 16 bits": (_vips(".png", bitdepth=16), {}),
    "PNG, palette": (_pil(".png", "P"), {}),
    "PNG, animated": (_frames(".png"), {}),
    "TIFF, none": (_tiff(Page(PIXELS, 2)), {}),
    "TIFF, LZW": (_pil(".tif", compression="tiff_lzw"), {}),
    "TIFF, Deflate": (_pil(".tif", compression="tiff_adobe_deflate"), {}),
    "TIFF, PackBits": (_pil(".tif", compression="packbits"), {}),
    "TIFF, CCITT": (_pil(".tif", "1", compression="group4"), {}),
    "TIFF, JPEG": (_pil(".tif", compression="jpeg"), {}),
    "TIFF, Zstandard": (_pil(".tif", compression="zstd"), {}),
    "TIFF, LZMA": (_pil(".tif", compression="lzma"), {}),
    "TIFF, tiled": (_vips(".tif", tile=True, pyramid=True), {}),
    "TIFF, BigTIFF": (_tiff(Page(PIXELS, 2), big=True), {}),
    "TIFF, thumbnail first": (_tiff(Page(_SMALL, 2, tags=_REDUCED), Page(PIXELS, 2)), {}),
    "TIFF, 16 bits": (_tiff(Page(PIXELS.astype(np.uint16) * 257, 2)), {}),
    "TIFF, 32-bit floating point": (_tiff(Page(SHARE, 2)), {"stretch": "full"}),
    "TIFF, 16-bit floating point": (_tiff(Page(SHARE.astype(np.float16), 2)), {"stretch": "full"}),
    "TIFF, 64-bit floating point": (_tiff(Page(SHARE.astype(np.float64), 2)), {"stretch": "full"}),
    "TIFF, signed or 32-bit integers": (_tiff(Page(PIXELS.astype(np.int16), 2)), {"stretch": "minmax"}),
    "TIFF, spare channels": (_tiff(Page(np.dstack([PIXELS, PIXELS]), 1, [0] * 5)), {"channels": "3,2,1"}),
    "TIFF, CMYK": (_pil(".tif", "CMYK"), {}),
    "TIFF, L*a*b*": (_tiff(Page(PIXELS, 8)), {}),
    "WebP": (_pil(".webp"), {}),
    "WebP, animated": (_frames(".webp"), {}),
    "GIF": (_pil(".gif", "P"), {}),
    "AVIF": (_pil(".avif"), {}),
    "HEIC": ((".heic", _heic), {}),
    "JPEG 2000": (_pil(".jp2"), {}),
    "JPEG XL": (_bytes(".jxl", b64decode(_JXL)), {}),
    "PGM, PPM": (_pil(".ppm"), {}),
    "PFM": (_bytes(".pfm", b"PF\n96 64\n-1.0\n" + SHARE[::-1].tobytes()), {"stretch": "full"}),
    "FITS": ((".fits", _fits(packed=False)), {}),
    "FITS, packed or gzip": ((".fits.fz", _fits(packed=True)), {}),
    "camera raw (DNG, NEF, CR2, ARW)": (_tiff(Page(_SMALL, 2, tags=_TAGGED, below=[_MOSAIC])), {}),
    "SVG": (_bytes(".svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"/>'), {}),
    "PDF": (_bytes(".pdf", b"%PDF-1.4\n%%EOF\n"), {}),
}


def tried(kind: str, folder: Path) -> str:
    """Open a picture of a kind and decode it: 'yes', the extra or option that it is read with, or 'no'."""
    (suffix, make), words = KINDS[kind]
    path = folder / f"a{suffix}"
    make(path)
    try:
        picture = measured(open_picture(path, None, options_from_words(**words).reading), Stages())
        list(slabs(picture, time_axis="y", rows=64, stored=STORED_MEMORY, spool=path))
    except PictureError:
        return "no"
    reader = picture.contents.reader
    said = [] if reader == "libvips" else [f"extra `{reader}`"]
    return ", ".join([*said, *(f"`--{name}`" for name in words)]) or "yes"


def everything() -> dict[str, str]:
    """Try every kind."""
    found = {}
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            found[kind] = tried(kind, Path(folder))
    return found


def table(results: dict[str, Any]) -> str:
    """Lay out the results as Markdown."""
    wheel, system = results["wheel"], results["system"]
    lines = [
        f"| picture | libvips {wheel['libvips']} of the wheel | a system's libvips {system['libvips']} |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {kind} | {wheel['kinds'][kind]} | {system['kinds'][kind]} |" for kind in KINDS]
    return "\n".join(lines) + "\n"


def page(results: dict[str, Any]) -> str:
    """Return docs/pictures.md with the table of these results."""
    text = PAGE.read_text(encoding="utf-8")
    return text[: text.index(BEGIN) + len(BEGIN)] + "\n" + table(results) + "\n" + text[text.index(END) :]


def libvips() -> str:
    """Return the version of libvips."""
    return ".".join(str(pyvips.version(part)) for part in range(3))


if __name__ == "__main__":
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["system" if "--system" in sys.argv else "wheel"] = {"libvips": libvips(), "kinds": everything()}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if {"system", "wheel"} <= set(results):
        PAGE.write_text(page(results), encoding="utf-8")
