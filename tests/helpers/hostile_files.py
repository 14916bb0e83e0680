"""Files that do harm or are odd, made here: pictures of every kind, bombs, weights, arrays, sounds."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pillow_heif
import pyvips
import torch
from astropy.io import fits
from PIL import Image

from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.store.shards import encoder
from tests.helpers.profiles import DISPLAY_P3
from tests.helpers.tiffs import Page, tiff

WIDTH, HEIGHT = 96, 64
_MILLIONS = 60_000  # of pixels on a bomb's side


def _savers(folder: Path) -> dict[str, Callable[[str], object]]:
    pixels = draw(WIDTH, HEIGHT)
    plain = pyvips.Image.new_from_array(pixels)
    deep = pyvips.Image.new_from_array(pixels.astype(np.uint16) * 257).copy(interpretation="rgb16")
    alpha = plain.bandjoin(pyvips.Image.new_from_array(pixels[..., 0]))
    return {
        "plain.jpg": plain.jpegsave,
        "progressive.jpg": lambda name: plain.jpegsave(name, interlace=True),
        "cmyk.jpg": lambda name: Image.fromarray(pixels).convert("CMYK").save(name),
        "uhdr.jpg": plain.colourspace("scrgb").uhdrsave,
        "8 bit.png": plain.pngsave,
        "16 bit.png": lambda name: deep.pngsave(name, bitdepth=16),
        "interlaced.png": lambda name: plain.pngsave(name, interlace=True),
        "palette.png": lambda name: plain.pngsave(name, palette=True),
        "alpha.png": alpha.pngsave,
        "strips.tif": lambda name: plain.tiffsave(name, compression="none", tile_height=16),
        "tiles.tif": lambda name: plain.tiffsave(
            name, tile=True, tile_width=16, tile_height=16, compression="deflate"
        ),
        "lzw.tif": lambda name: plain.tiffsave(name, compression="lzw", predictor="horizontal"),
        "jpeg.tif": lambda name: plain.tiffsave(name, compression="jpeg"),
        "packbits.tif": lambda name: plain.tiffsave(name, compression="packbits"),
        "fax.tif": lambda name: plain.colourspace("b-w").tiffsave(name, compression="ccittfax4", bitdepth=1),
        "big 16 bit.tif": lambda name: deep.tiffsave(name, bigtiff=True),
        "float.tif": plain.colourspace("scrgb").tiffsave,
        "lossy.webp": plain.webpsave,
        "lossless.webp": lambda name: plain.webpsave(name, lossless=True),
        "plain.gif": plain.gifsave,
        "plain.avif": lambda name: plain.heifsave(name, compression="av1"),
        "pages.tif": lambda name: Path(name).write_bytes(
            tiff(Page(pixels, 2, below=[Page(pixels[::2], 2)]), Page(pixels[..., 0], 1), big=True)
        ),
        "bands.tif": lambda name: Path(name).write_bytes(tiff(Page(np.dstack([pixels, pixels]), 1, [0, 2]))),
        "lab.tif": lambda name: Path(name).write_bytes(tiff(Page(pixels, 8))),
        "p3.png": lambda name: Image.fromarray(pixels).save(name, icc_profile=DISPLAY_P3),
        "numbers.png": lambda name: Path(name).write_bytes(
            Path(folder / "8 bit.png").read_bytes()[:33]
            + _png_chunk(b"gAMA", struct.pack(">I", 100_000))
            + Path(folder / "8 bit.png").read_bytes()[33:]
        ),
        "animated.png": lambda name: Image.fromarray(pixels).save(
            name, save_all=True, append_images=[Image.fromarray(pixels[::-1].copy())]
        ),
        "two.mpo": lambda name: Image.fromarray(pixels).save(
            name, save_all=True, append_images=[Image.fromarray(pixels[::-1].copy())]
        ),
        "plain.heic": lambda name: pillow_heif.from_pillow(Image.fromarray(pixels)).save(name),
        "plain.fits": lambda name: _fits(name, fits.PrimaryHDU(pixels[..., 0])),
        "cube.fits.gz": lambda name: _fits(
            name, fits.PrimaryHDU(np.moveaxis(pixels, 2, 0) / np.float32(255))
        ),
        "scaled.fits": lambda name: _fits(name, fits.ImageHDU(pixels[..., 0].astype(np.uint16))),
        "packed.fits.fz": lambda name: _fits(name, fits.CompImageHDU(pixels[..., 0].astype(np.int16))),
    }


def _fits(name: str, hdu: Any) -> None:
    first = [] if isinstance(hdu, fits.PrimaryHDU) else [fits.PrimaryHDU()]
    fits.HDUList([*first, hdu]).writeto(name, overwrite=True)


def write_pictures(folder: Path) -> list[Path]:
    """One valid picture of 96 x 64 pixels of every format that is opened and that libvips writes here."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, save in _savers(folder).items():
        save(str(folder / name))
    return [folder / name for name in _savers(folder)]


def _png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_bomb(width: int, height: int, *, interlaced: bool = False, rows: int | None = None) -> bytes:
    """A PNG of one bit a pixel, all black, that unpacks to `width` x `height`; `rows` fewer cut it short."""
    row, packed = bytes(1 + (width + 7) // 8), zlib.compressobj(9)
    content = b"".join(packed.compress(row * 500) for _ in range((rows or height) // 500)) + packed.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, interlaced)
    chunks = _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", content) + _png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def write_bombs(folder: Path) -> None:
    """Small files that unpack to gigabytes."""
    side = _MILLIONS
    (folder / "bomb.png").write_bytes(png_bomb(side, side))
    # a spool of 1.2 GB, for which any disk has room: it is begun
    (folder / "few rows bomb.png").write_bytes(png_bomb(20_000, 20_000, rows=500))
    (folder / "interlaced bomb.png").write_bytes(png_bomb(side, side, interlaced=True, rows=500))
    frame = b"\x2c\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x44\x01\0\x3b"  # one pixel of the 65,535 x 65,535
    colours = b"\0\0\0\xff\xff\xff"
    (folder / "bomb.gif").write_bytes(
        b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + colours + frame
    )
    (folder / "bomb.tif").write_bytes(fax_bomb(side, side))
    size = (16383 - 1) | (16383 - 1) << 14
    pixels = b"VP8L" + struct.pack("<IBI", 16, 0x2F, size) + bytes(11)
    (folder / "bomb.webp").write_bytes(b"RIFF" + struct.pack("<I", 4 + len(pixels)) + b"WEBP" + pixels)


def fax_bomb(width: int, height: int) -> bytes:
    """A TIFF of one white strip by fax compression, which takes one bit a row."""
    packed = b"\xff" * (-(-height // 8)) + b"\0\x10\x01"
    tags = {256: width, 257: height, 258: 1, 259: 4, 262: 0, 273: 8, 277: 1, 278: height, 279: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    start = struct.pack("<2sHI", b"II", 42, 8 + len(packed))
    return start + packed + struct.pack("<H", len(tags)) + entries + bytes(4)


def write_exif(folder: Path, pixels: np.ndarray) -> None:
    """`pixels` under every EXIF orientation, upright when turned, and under some that do not exist."""
    turned = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels),
        7: pixels.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(pixels, -1),
    }
    for orientation in (*range(10), 65535):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = np.ascontiguousarray(turned.get(orientation, pixels))
        Image.fromarray(stored).save(folder / f"exif {orientation}.png", exif=exif)
    plain = folder / "plain exif.jpg"
    Image.fromarray(pixels).save(plain, quality=95)
    for name, junk in (
        ("noise", bytes(range(256)) * 20),
        ("cut", b"II*\0\x08\0\0\0\xff\xff"),
        ("loop", _LOOP),
    ):
        content = b"Exif\0\0" + junk
        segment = b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
        whole = plain.read_bytes()
        (folder / f"exif {name}.jpg").write_bytes(whole[:2] + segment + whole[2:])


# A directory of tags whose next directory is itself.
_LOOP = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\x08\0\0\0"


class Dangerous:
    """Pickled, it is an order to make the file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.path}'",)


def write_weights(folder: Path, state: dict[str, torch.Tensor]) -> None:
    """Weights that are none, in every way; `folder`/ran appears if code in one of them runs."""
    name, ran = "features.0.weight", folder / "ran"
    torch.save(state, folder / "good.pth")
    good = (folder / "good.pth").read_bytes()
    torch.save({**state, name: Dangerous(ran)}, folder / "code.pth")
    (folder / "plain code.pth").write_bytes(pickle.dumps(Dangerous(ran)))
    (folder / "code.safetensors").write_bytes(pickle.dumps(Dangerous(ran)))
    torch.save({**state, name: torch.full(state[name].shape, torch.nan)}, folder / "nan.pth")
    torch.save({**state, name: torch.zeros(state[name].shape, device="meta")}, folder / "meta.pth")
    torch.save({**state, name: state[name].to_sparse()}, folder / "sparse.pth")
    torch.save({**state, "x" * 100_000 + "\n\x1b[31m": torch.zeros(1)}, folder / "long name.pth")
    (folder / "cut.pth").write_bytes(good[: len(good) // 2])
    (folder / "bytearray.pth").write_bytes(b"\x80\x02c__builtin__\nbytearray\n(L100000000000L\ntR.")
    with (
        zipfile.ZipFile(io.BytesIO(good)) as parts,
        zipfile.ZipFile(folder / "bomb.pth", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bomb,
    ):
        for part in parts.namelist():
            bomb.writestr(part, parts.read(part) if not part.endswith("data/0") else bytes(300 << 20))
    os.mkfifo(folder / "fifo.pth")
    (folder / "folder.pth").mkdir()


def write_arrays(folder: Path) -> None:
    """Stored arrays that are none."""
    values = np.zeros((2, 8, 8), np.float16)
    np.save(folder / "good.npy", values)
    good = (folder / "good.npy").read_bytes()
    (folder / "cut.npy").write_bytes(good[:-9])
    np.save(folder / "objects.npy", np.array([Dangerous(folder / "ran")]), allow_pickle=True)
    deep = ("{'descr': " + "(" * 5000).encode()
    (folder / "deep.npy").write_bytes(b"\x93NUMPY\x01\0" + struct.pack("<H", len(deep)) + deep)
    with (folder / "archive.npy").open("wb") as file:
        np.savez(file, values)
    os.mkfifo(folder / "fifo.npy")
    os.mkfifo(folder / "fifo.zarr")
    old = folder / "pickle.zarr"
    old.mkdir()
    about = {"zarr_format": 2, "shape": [2, 8, 8], "chunks": [2, 8, 8], "dtype": "<f2", "order": "C"}
    about |= {"compressor": None, "fill_value": 0, "filters": [{"id": "pickle"}]}
    (old / ".zarray").write_text(json.dumps(about))
    (old / "0.0.0").write_bytes(pickle.dumps(Dangerous(folder / "ran")))


def shard_of_a_short_chunk(content: bytes, channels: int = 96) -> bytes:
    """A shard by LZ4 whose first chunk is whole in itself and decodes to fewer values than it should."""
    size = 16 * channels
    index = np.frombuffer(content[-size - 4 : -4], "<u8").reshape(-1, 2).copy()
    chunk = encoder("lz4")(np.ones(10, np.float16))
    grown = len(chunk) - int(index[0, 1])
    index[0, 1] = len(chunk)
    index[1:, 0] = index[1:, 0].astype(np.int64) + grown
    table = index.tobytes()
    rest = content[int(index[0, 0]) + len(chunk) - grown : -size - 4]
    return chunk + rest + table + google_crc32c.value(table).to_bytes(4, "little")


def rf64(samples: int, present: int) -> bytes:
    """An RF64 header for `samples` of 16 bits, and `present` of them."""
    size = 2 * samples
    lengths = struct.pack("<QQQI", size + 72, size, samples, 0)
    form = struct.pack("<HHIIHH", 1, 1, 44100, 88200, 2, 16)
    start = b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<I", len(lengths)) + lengths
    return start + b"fmt " + struct.pack("<I", 16) + form + b"data\xff\xff\xff\xff" + bytes(2 * present)
