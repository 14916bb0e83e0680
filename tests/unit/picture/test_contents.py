"""What a file says of itself decides: the network sees the picture, or the file is refused in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms

from netsounds_stream.base.progress import Stages
from netsounds_stream.errors import PictureError
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.picture.headers import jp2_has_alpha, pnm_maximum
from netsounds_stream.picture.picture import Picture, measured, open_picture, slabs
from netsounds_stream.planning.options import options_from_words
from netsounds_stream.planning.plan import STORED_MEMORY
from tests.helpers.tiffs import Page, tiff

RGB = draw(96, 64)
GREY = RGB[..., 1]
SPARE = 255 - RGB[::-1, :, 1]
CLEAR = np.full((64, 96), 51, np.uint8)  # a fifth opaque
OVER_WHITE = (RGB * 0.2 + 255 * 0.8).astype(np.uint8)


def opened(path: Path, **words: Any) -> Picture:
    return measured(open_picture(path, None, options_from_words(**words).reading), Stages())


def seen(path: Path, **words: Any) -> np.ndarray:
    """What the network sees, `[y, x, rgb]`."""
    picture = opened(path, **words)
    return np.concatenate(
        list(slabs(picture, time_axis="y", rows=50, stored=STORED_MEMORY, spool=Path("no-spool")))
    )


def grey3(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def full(values: np.ndarray) -> np.ndarray:
    """8-bit values as 16-bit ones of the same brightness."""
    return values.astype(np.uint16) * 257


def stack(*channels: np.ndarray) -> np.ndarray:
    return np.dstack(channels)


# Spare channels are no transparency; what is declared as transparency is.
CHANNELS = {
    "rgb": (Page(RGB, 2), RGB, 0),
    "rgb and near infrared": (Page(stack(RGB, SPARE), 2, [0]), RGB, 1),
    "a fourth channel without a word": (Page(stack(RGB, SPARE), 2), RGB, 1),
    "gdal's stack of three": (Page(RGB, 1, [0, 0]), RGB, 0),
    "eight bands": (Page(stack(RGB, RGB, GREY, SPARE), 1, [0] * 7), RGB, 1),
    "16-bit bands": (Page(full(stack(RGB, SPARE)), 2, [0]), full(RGB), 1),
    "a radar's pair": (Page(stack(GREY, SPARE), 1, [0]), grey3(GREY), 1),
    "alpha": (Page(stack(RGB, CLEAR), 2, [2]), OVER_WHITE, 0),
    "grey and alpha": (Page(stack(GREY, CLEAR), 1, [2]), grey3(OVER_WHITE[..., 1]), 0),
    "alpha, then a spare": (Page(stack(RGB, CLEAR, SPARE), 2, [2, 0]), OVER_WHITE, 1),
    "a spare, then alpha": (Page(stack(RGB, SPARE, CLEAR), 2, [0, 2]), OVER_WHITE, 1),
    "a stack of three with alpha": (Page(stack(RGB, CLEAR), 1, [0, 0, 2]), OVER_WHITE, 0),
    "multiplied alpha": (Page(stack((RGB * 0.2).astype(np.uint8), CLEAR), 2, [1]), OVER_WHITE, 0),
    "white is zero": (Page(GREY, 0), grey3(255 - GREY), 0),
}


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize(
    "layout", [{}, {"order": ">"}, {"big": True}], ids=["little", "big-endian", "BigTIFF"]
)
def test_channels_of_tiff(tmp_path: Path, name: str, layout: dict[str, Any]) -> None:
    page, expected, notes = CHANNELS[name]
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(page, **layout))
    tolerance = 5 if "multiplied" in name else 1  # divided by a fifth, after rounding
    np.testing.assert_allclose(seen(path).astype(int), expected.astype(int), rtol=0, atol=tolerance)
    assert len(opened(path).contents.notes) == notes
    assert all("--channels" in note for note in opened(path).contents.notes)


@pytest.mark.parametrize(
    ("page", "channels", "expected"),
    [
        (Page(stack(RGB, SPARE), 2, [0]), "4,3,2", stack(SPARE, RGB[..., 2], RGB[..., 1])),
        (Page(stack(RGB, SPARE), 2, [0]), "4", grey3(SPARE)),
        (Page(stack(RGB, CLEAR), 2, [2]), "3,2,1", OVER_WHITE[..., ::-1]),
        (Page(stack(RGB, CLEAR), 2, [2]), "4", grey3(CLEAR)),
        (Page(stack(GREY, SPARE), 1, [0]), (2,), grey3(SPARE)),
        (Page(GREY, 1), "1,1,1", grey3(GREY)),
        (Page(RGB, 2), "1,2,3", RGB),
        (Page(stack(RGB, GREY), 5), "1,2,3", RGB),  # inks' numbers as they are
        (Page(RGB, 10), "1,2,3", RGB),
    ],
)
def test_channels_that_are_chosen(tmp_path: Path, page: Page, channels: object, expected: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(page))
    np.testing.assert_allclose(seen(path, channels=channels).astype(int), expected.astype(int), atol=1)
    assert not opened(path, channels=channels).contents.notes


def test_channels_of_other_formats(tmp_path: Path) -> None:
    Image.fromarray(stack(RGB, CLEAR)).save(tmp_path / "a.png")
    np.testing.assert_allclose(seen(tmp_path / "a.png").astype(int), OVER_WHITE.astype(int), atol=1)
    np.testing.assert_array_equal(seen(tmp_path / "a.png", channels="4"), grey3(CLEAR))


SHARE = GREY / 255
NUMBERS: dict[str, np.ndarray] = {
    "float": SHARE.astype(np.float32),
    "half": SHARE.astype(np.float16),
    "signed 16": (GREY.astype(int) * 100 - 9000).astype(np.int16),
    "signed 8": (GREY.astype(int) - 128).astype(np.int8),
    "unsigned 32": GREY.astype(np.uint32) * 16843009,
    "signed 32": GREY.astype(np.int32) * 1000 - 70000,
}


def _skip_half_floats_of_old_libvips(name: str) -> None:
    if name == "half" and not pyvips.at_least_libvips(8, 18):
        pytest.skip("older versions of libvips read no half floats")


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_are_no_brightness_need_a_stretch(tmp_path: Path, name: str) -> None:
    _skip_half_floats_of_old_libvips(name)
    values = NUMBERS[name]
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(Page(values, 1)))
    with pytest.raises(PictureError, match="--stretch"):
        open_picture(path)
    exact = values.astype(np.float64)
    share = (exact - exact.min()) / (exact.max() - exact.min())
    mine = seen(path, stretch="minmax")
    assert mine.dtype == np.uint16
    np.testing.assert_allclose(mine, grey3(share * 65535), atol=1)  # a level of 65,535: rounding
    path.write_bytes(tiff(Page(values, 0)))  # small numbers are bright
    np.testing.assert_allclose(seen(path, stretch="minmax"), grey3((1 - share) * 65535), atol=1)


@pytest.mark.parametrize(
    ("name", "black", "white"),
    [
        ("float", 0, 1),
        ("half", 0, 1),
        ("signed 16", -32768, 32767),
        ("signed 8", -128, 127),
        ("unsigned 32", 0, 2**32 - 1),
        ("signed 32", -(2**31), 2**31 - 1),
    ],
)
def test_full_stretch(tmp_path: Path, name: str, black: float, white: float) -> None:
    _skip_half_floats_of_old_libvips(name)
    values = NUMBERS[name].astype(np.float64)
    (tmp_path / "a.tif").write_bytes(tiff(Page(NUMBERS[name], 1)))
    expected = (values - black) / (white - black) * 65535
    np.testing.assert_allclose(seen(tmp_path / "a.tif", stretch="full"), grey3(expected), atol=1)


@pytest.mark.parametrize("stretch", ["full", "minmax", "percentile:2,98", "asinh"])
def test_8_bits_with_a_stretch(tmp_path: Path, stretch: str) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(Page(RGB, 2)))
    mine = seen(tmp_path / "a.tif", stretch=stretch)
    if stretch == "full":
        np.testing.assert_array_equal(mine, RGB)
    else:
        assert mine.dtype == np.uint16 and mine.min() == 0 and mine.max() == 65535


def test_percentiles_and_asinh(tmp_path: Path) -> None:
    """Against numpy's percentiles and the formula written out."""
    values = np.random.default_rng(0).normal(1000, 5, (64, 96)).astype(np.float32)
    values[3, 4], values[5, 6] = 1e6, -1e6  # a cosmic ray, a dead pixel
    (tmp_path / "a.tif").write_bytes(tiff(Page(values, 1)))
    low, high = np.percentile(values, [1, 99])
    share = np.clip((values - low) / (high - low), 0, 1)
    mine = seen(tmp_path / "a.tif", stretch="percentile:1,99")
    np.testing.assert_allclose(mine, grey3(share * 65535), atol=0.002 * 65535)  # of a few thousand values
    low, high = np.percentile(values, [0.25, 99.75])
    share = np.arcsinh(np.clip((values - low) / (high - low), 0, 1) / 0.1) / np.arcsinh(1 / 0.1)
    np.testing.assert_allclose(
        seen(tmp_path / "a.tif", stretch="asinh"), grey3(share * 65535), atol=0.02 * 65535
    )


def test_no_data_and_nan_are_left_out_and_black(tmp_path: Path) -> None:
    values = SHARE.astype(np.float32) + 5
    values[:8], values[8:12], values[12:14] = np.nan, -9999, np.inf
    page = Page(values, 1, tags={42113: (2, b"-9999\0")})
    (tmp_path / "a.tif").write_bytes(tiff(page))
    mine = seen(tmp_path / "a.tif", stretch="minmax")
    low, high = values[14:].min(), values[14:].max()
    assert not mine[:12].any()
    assert (mine[12:14] == 65535).all()
    expected = (values[14:].astype(np.float64) - low) / (high - low) * 65535
    np.testing.assert_allclose(mine[14:], grey3(expected), atol=1)
    values[:] = np.nan
    (tmp_path / "b.tif").write_bytes(tiff(Page(values, 1)))
    with pytest.raises(PictureError, match="no values"):
        opened(tmp_path / "b.tif", stretch="minmax")
    (tmp_path / "c.tif").write_bytes(tiff(Page(np.full((64, 64), 7, np.float32), 1)))
    assert not seen(tmp_path / "c.tif", stretch="minmax").any()


REFUSED = {
    "64-bit floats": (Page(SHARE, 1), "64-bit floating"),
    "complex": (Page(SHARE.astype(np.complex64), 1), "complex"),
    "64-bit integers": (Page(GREY.astype(np.uint64), 1), "64-bit integers"),
    "12 bits": (Page(GREY, 1, tags={258: (3, [12])}), "12-bit integers"),
    "unequal bits": (Page(RGB, 2, tags={258: (3, [8, 8, 16])}), "different number formats"),
    "ITU Lab": (Page(RGB, 10), "ITU L.*--channels 1,2,3"),
    "YCbCr": (Page(RGB, 6), "YCbCr colours without JPEG.*--channels 1,2,3"),
    "unknown colours": (Page(GREY, 51177), "unknown kind.*--channels 1"),
    "three inks": (Page(RGB, 5), "inks other than CMYK"),
    "a sensor's mosaic": (Page(GREY, 32803), "raw file"),
    "linear raw": (Page(RGB, 34892), "raw file"),
    "no such channel": (Page(RGB, 2), "3 channels and no number 4"),
    "stretched inks": (Page(stack(RGB, GREY), 5), "CMYK colours"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_a_line(tmp_path: Path, name: str) -> None:
    page, message = REFUSED[name]
    (tmp_path / "a.tif").write_bytes(tiff(page))
    words = {"no such channel": {"channels": "4"}, "stretched inks": {"stretch": "minmax"}}.get(name, {})
    with pytest.raises(PictureError, match=message) as error:
        opened(tmp_path / "a.tif", **words)
    assert "\n" not in str(error.value) and "; " in str(error.value)


SMALL = draw(24, 16)
OTHER = RGB[:, ::-1]
REDUCED = {254: (4, [1])}


def big(pixels: np.ndarray) -> np.ndarray:
    return pixels.repeat(4, axis=0).repeat(4, axis=1)


PAGES = {
    "one": ([Page(RGB, 2)], RGB, 1),
    "a document": ([Page(RGB, 2), Page(OTHER, 2), Page(SMALL, 2)], RGB, 3),
    "a thumbnail first": ([Page(SMALL, 2, tags=REDUCED), Page(RGB, 2)], RGB, 2),
    "a thumbnail above": ([Page(SMALL, 2, tags=REDUCED, below=[Page(RGB, 2, tags={254: (4, [0])})])], RGB, 2),
    "a pyramid": ([Page(RGB, 2), Page(SMALL, 2, tags=REDUCED)], RGB, 2),
    "a pyramid below": ([Page(RGB, 2, below=[Page(SMALL, 2, tags=REDUCED)])], RGB, 2),
    "a mask first": ([Page(GREY, 1, tags={254: (4, [4])}), Page(RGB, 2)], RGB, 2),
    "thumbnails alone": ([Page(SMALL, 2, tags=REDUCED), Page(RGB, 2, tags=REDUCED)], SMALL, 2),
}


@pytest.mark.parametrize("name", PAGES)
def test_pages_of_tiff(tmp_path: Path, name: str) -> None:
    pages, expected, count = PAGES[name]
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(*pages))
    np.testing.assert_array_equal(seen(path), expected)
    contents = opened(path).contents
    assert contents.pages == count
    assert len(contents.notes) == (count > 1)
    every = [*pages, *(below for page in pages for below in page.below)]
    for number, page in enumerate(every, 1):
        pixels = page.pixels if page.pixels.ndim == 3 else grey3(page.pixels)
        np.testing.assert_array_equal(seen(path, page=number), pixels)
    with pytest.raises(PictureError, match=r"one picture|no number"):
        open_picture(path, None, options_from_words(page=count + 1).reading)


def test_a_slide_that_begins_with_its_label(tmp_path: Path) -> None:
    """Its full level is much larger, and in tiles; a later page that is only larger is a page."""
    level = big(OTHER)
    for tile in (True, False):
        (tmp_path / "a.tif").write_bytes(tiff(Page(RGB, 2), Page(level, 2, tile=tile), Page(SMALL, 2)))
        assert opened(tmp_path / "a.tif").contents.page == (2 if tile else 1)
        np.testing.assert_array_equal(seen(tmp_path / "a.tif"), level if tile else RGB)


def test_raw_files_are_refused_and_their_previews_can_be_read(tmp_path: Path) -> None:
    sensor = Page(full(GREY), 32803, tags={254: (4, [0])})
    dng = Page(
        SMALL, 2, tags={**REDUCED, 50706: (1, [1, 4, 0, 0])}, below=[sensor, Page(RGB, 2, tags=REDUCED)]
    )
    nef = Page(SMALL, 2, tags=REDUCED, below=[sensor])
    for page, previews in ((dng, "1 or 3"), (nef, "1")):
        (tmp_path / "a.dng").write_bytes(tiff(page))
        with pytest.raises(PictureError, match=f"raw file.*--page {previews}$"):
            open_picture(tmp_path / "a.dng")
        np.testing.assert_array_equal(seen(tmp_path / "a.dng", page=1), SMALL)
    (tmp_path / "a.dng").write_bytes(tiff(dng))
    np.testing.assert_array_equal(seen(tmp_path / "a.dng", page=3), RGB)


@pytest.mark.parametrize("suffix", ["gif", "webp", "avif"])
def test_pages_of_animations(tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(np.full((40, 50, 3), value, np.uint8)) for value in (0, 120, 240)]
    path = tmp_path / f"a.{suffix}"
    if suffix == "avif":
        frames[0].save(path)
        assert opened(path).contents.pages == 1
        return
    frames[0].save(path, save_all=True, append_images=frames[1:])
    for number, value in ((None, 0), (1, 0), (2, 120), (3, 240)):
        assert abs(seen(path, page=number).astype(int) - value).max() < 6
    (note,) = opened(path).contents.notes
    assert "3 pictures; number 1" in note
    with pytest.raises(PictureError, match="3 pictures and no number 4"):
        opened(path, page=4)


def test_pictures_that_libvips_passes_over_are_said(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((40, 50, 3), value, np.uint8)) for value in (0, 120)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "a.mpo", save_all=True, append_images=frames[1:])
    for name in ("a.png", "a.mpo"):
        (note,) = opened(tmp_path / name).contents.notes
        assert "2 pictures; the first is read" in note


PNM = {
    "10 bits": (b"P5\n# a comment\n96 64\n1023\n" + np.round(SHARE * 1023).astype(">u2").tobytes(), 1023),
    "4 bits": (b"P5 96 64 15\n" + np.round(SHARE * 15).astype(np.uint8).tobytes(), 15),
    "colours": (b"P6\n96 64\n4095\n" + np.round(RGB / 255 * 4095).astype(">u2").tobytes(), 4095),
    "in text": (
        b"P2\n96 64\n100\n" + " ".join(map(str, np.round(SHARE * 100).astype(int).ravel())).encode(),
        100,
    ),
    "8 bits": (b"P6\n96 64\n255\n" + RGB.tobytes(), 255),
    "16 bits": (b"P5\n96 64\n65535\n" + full(GREY).astype(">u2").tobytes(), 65535),
    "one bit": (b"P4\n96 64\n" + np.packbits(GREY < 128, axis=1).tobytes(), None),
    "floats": (b"Pf\n96 64\n-1.0\n" + SHARE[::-1].astype("<f4").tobytes(), None),
}


@pytest.mark.parametrize("name", PNM)
def test_pnm(tmp_path: Path, name: str) -> None:
    content, largest = PNM[name]
    path = tmp_path / "a.pnm"
    path.write_bytes(content)
    assert pnm_maximum(path) == largest
    if not pyvips.type_find("VipsForeignLoad", "ppmload"):
        pytest.skip("this libvips reads no PNM files; a system's does")
    if name == "floats":
        with pytest.raises(PictureError, match="--stretch"):
            open_picture(path)
        np.testing.assert_allclose(seen(path, stretch="full"), grey3(SHARE * 65535), atol=1)
        return
    expected = {"colours": RGB, "8 bits": RGB, "one bit": grey3((GREY >= 128) * 255)}.get(name, grey3(GREY))
    scale = 257 if largest not in (255, None) else 1
    step = 65535 / largest if largest else 1  # of the coarsest numbers
    np.testing.assert_allclose(seen(path), expected * float(scale), atol=step / 2 + 1)


def test_transparency_of_jpeg_2000(tmp_path: Path) -> None:
    """By its channel definitions; the boxes are made here, since the wheel's libvips writes none."""

    def box(name: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4, "big") + name + content

    def cdef(*kinds: int) -> bytes:
        entries = b"".join(
            index.to_bytes(2, "big") + kind.to_bytes(2, "big") + b"\0\0" for index, kind in enumerate(kinds)
        )
        return box(b"cdef", len(kinds).to_bytes(2, "big") + entries)

    for kinds, expected in (
        ((0, 0, 0, 1), True),
        ((0, 0, 0, 2), True),
        ((0, 0, 0), False),
        ((0, 0, 0, 65535), False),
    ):
        header = box(b"jp2h", box(b"ihdr", bytes(14)) + cdef(*kinds))
        (tmp_path / "a.jp2").write_bytes(
            box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 ") + header + box(b"jp2c", b"")
        )
        assert jp2_has_alpha(tmp_path / "a.jp2") == expected
    (tmp_path / "a.j2k").write_bytes(b"\xff\x4f\xff\x51" + bytes(40))
    assert not jp2_has_alpha(tmp_path / "a.j2k")


def test_lab_is_that_of_littlecms(tmp_path: Path) -> None:
    """CIELAB and ICCLAB, 8 and 16 bits; 8 bits of Lab are coarse: levels apart in strong colours."""
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    there = ImageCms.profileToProfile(Image.fromarray(RGB), srgb, lab, outputMode="LAB")
    assert there is not None
    back = ImageCms.profileToProfile(there, lab, srgb, outputMode="RGB")
    signed = np.asarray(there)
    unsigned = signed.copy()
    unsigned[..., 1:] ^= 128
    deep = unsigned.astype(np.uint16) * 256  # ICC's 16-bit encoding: 0xFF00 is L* = 100
    wide = signed.astype(np.uint16)
    cie = np.dstack([wide[..., 0] * 257, wide[..., 1:] * 256])
    there.save(tmp_path / "pillow.tif")
    pages = {"cielab": Page(signed, 8), "icclab": Page(unsigned, 9), "icclab 16": Page(deep, 9)}
    pages |= {"cielab 16": Page(cie, 8)}
    for name, page in pages.items():
        (tmp_path / f"{name}.tif").write_bytes(tiff(page))
        (tmp_path / f"{name} big.tif").write_bytes(tiff(page, order=">", big=True))
    for path in tmp_path.iterdir():
        mine = seen(path)
        assert mine.dtype == (np.uint16 if "16" in path.name else np.uint8)
        difference = np.abs(mine / (257 if "16" in path.name else 1) - np.asarray(back, float))
        assert difference.mean() < 1 and difference.max() < 12, (path, difference.max())
