"""Pictures of every kind, upright along either axis, against Pillow; and those that are none."""

from __future__ import annotations

import lzma
import os
import re
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageOps

from netsounds_stream.errors import PictureError
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.picture.picture import (
    find_picture,
    open_picture,
    shown_upright,
    slabs,
    small_upright,
    write_spool,
)
from netsounds_stream.planning.plan import STORED_MEMORY, STORED_SPOOL, STORED_STREAM
from tests.helpers.tiffs import Page, tiff

STORAGES = (STORED_MEMORY, STORED_SPOOL, STORED_STREAM)


def upright(
    path: Path, tmp_path: Path, time_axis: str, stored: str, rows: int = 50, size: int | None = None
) -> np.ndarray:
    picture = open_picture(path, size)
    spool = tmp_path / "spool.tif"
    if stored == STORED_SPOOL:
        write_spool(picture, spool, lambda share: None)
    pieces = list(slabs(picture, time_axis=time_axis, rows=rows, stored=stored, spool=spool))
    assert all(piece.shape[0] == rows for piece in pieces[:-1])
    along = np.concatenate(pieces)
    assert along.dtype == (np.uint8 if picture.full_scale == 255 else np.uint16)
    return along.transpose(1, 0, 2) if time_axis == "x" else along


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("time_axis", ["x", "y"])
@pytest.mark.parametrize("stored", [STORED_MEMORY, STORED_SPOOL])
def test_every_orientation_along_both_axes(
    tmp_path: Path, orientation: int, time_axis: str, stored: str
) -> None:
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(draw(310, 270)).save(path, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    picture = open_picture(path)
    assert (picture.height, picture.width) == expected.shape[:2]
    np.testing.assert_array_equal(upright(path, tmp_path, time_axis, stored), expected)
    label = small_upright(picture, 256, 224)
    assert label.shape == (224, 224, 3)
    plain = np.asarray(Image.fromarray(expected).resize(_scaled(expected, 256), Image.Resampling.BILINEAR))
    top, left = (plain.shape[0] - 224) // 2, (plain.shape[1] - 224) // 2
    difference = label.astype(int) - plain[top : top + 224, left : left + 224]
    assert np.abs(difference).mean() < 0.5  # the same filter, rounded otherwise


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_picture_for_a_screen(tmp_path: Path, orientation: int, name: str) -> None:
    """Upright, reduced and enlarged; a JPEG is decoded at an eighth of its size. Against PIL's own filter."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(draw(1600, 1200)).save(tmp_path / name, exif=exif, quality=95)
    whole = ImageOps.exif_transpose(Image.open(tmp_path / name))
    assert whole is not None
    for width in (60, 301, 2000):
        size = (width, round(width * whole.height / whole.width))
        shown = shown_upright(open_picture(tmp_path / name), *size)
        assert shown.shape == (size[1], size[0], 3) and shown.dtype == np.uint8
        plain = np.asarray(whole.resize(size, Image.Resampling.BILINEAR))
        assert np.abs(shown.astype(int) - plain).mean() < 2


def test_a_deep_picture_for_a_screen(tmp_path: Path) -> None:
    pixels = draw(300, 200).astype(np.uint16) << 8
    pyvips.Image.new_from_array(pixels, interpretation="rgb16").pngsave(str(tmp_path / "a.png"), bitdepth=16)
    shown = shown_upright(open_picture(tmp_path / "a.png"), 300, 200)
    assert np.abs(shown.astype(int) - draw(300, 200)).max() <= 1


def _scaled(array: np.ndarray, size: int) -> tuple[int, int]:
    height, width = array.shape[:2]
    return (size, size * height // width) if width <= height else (size * width // height, size)


def test_rows_in_order_are_streamed(tmp_path: Path) -> None:
    pixels = draw(120, 400)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert open_picture(tmp_path / "a.png").source.rows_in_order
    np.testing.assert_array_equal(upright(tmp_path / "a.png", tmp_path, "y", STORED_STREAM), pixels)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {"quality": 95}),
        ("progressive.jpg", {"quality": 95, "progressive": True}),
        ("a.png", {}),
        ("a.webp", {"lossless": True}),
        ("a.gif", {}),
        ("a.tif", {}),
        ("a.avif", {"quality": 95, "subsampling": "4:4:4"}),
    ],
)
def test_formats(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    path = tmp_path / name
    Image.fromarray(draw(150, 90)).save(path, **options)
    expected = np.asarray(Image.open(path).convert("RGB")).astype(int)
    for time_axis in ("x", "y"):
        mine = upright(path, tmp_path, time_axis, STORED_MEMORY).astype(int)
        assert mine.shape == expected.shape
        # exact but for the decoders' rounding
        assert np.abs(mine - expected).mean() < 1


def test_interlaced_pictures_count_in_the_plan(tmp_path: Path) -> None:
    Image.fromarray(draw(150, 90)).save(tmp_path / "a.jpg", progressive=True)
    assert open_picture(tmp_path / "a.jpg").decoder_bytes == 150 * 90 * 6
    pyvips.Image.new_from_array(draw(150, 90)).pngsave(str(tmp_path / "a.png"), interlace=True)
    assert open_picture(tmp_path / "a.png").decoder_bytes == 150 * 90 * 3


def test_large_tiles_and_strips_count_in_the_plan(tmp_path: Path) -> None:
    """libvips holds three rows of tiles, and two strips where it decodes them whole."""
    image = pyvips.Image.new_from_array(draw(1500, 700))
    deep = image.cast("ushort").copy(interpretation="rgb16")
    for big in (False, True):
        for saved, expected in (
            (image.tiffsave_buffer(tile=True, tile_width=256, tile_height=256, bigtiff=big), 0),
            (
                image.tiffsave_buffer(tile=True, tile_width=512, tile_height=512, bigtiff=big),
                3 * 512 * 1536 * 3,
            ),
            (
                deep.tiffsave_buffer(tile=True, tile_width=512, tile_height=512, bigtiff=big),
                3 * 512 * 1536 * 6,
            ),
            (image.tiffsave_buffer(tile_height=640, compression="lzw", bigtiff=big), 0),  # row by row
            (image.tiffsave_buffer(tile_height=640, compression="jpeg", bigtiff=big), 2 * 640 * 1500 * 3),
        ):
            (tmp_path / "a.tif").write_bytes(saved)
            assert open_picture(tmp_path / "a.tif").decoder_bytes == expected


@pytest.mark.parametrize("name", ["a.svg", "a.v", "a.csv"])
def test_what_is_no_picture_format_is_not_opened(tmp_path: Path, name: str) -> None:
    if name == "a.svg":
        (tmp_path / name).write_text('<svg xmlns="http://www.w3.org/2000/svg" width="90" height="80"/>')
    else:
        pyvips.Image.new_from_array(draw(90, 60))[0].write_to_file(str(tmp_path / name))
    with pytest.raises(PictureError, match=re.escape(name)):
        open_picture(tmp_path / name)


def test_metadata_with_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    image = pyvips.Image.new_from_array(draw(90, 60)).copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    content = image.heifsave_buffer(compression="av1")
    assert b"Exif" in content
    (tmp_path / "a.avif").write_bytes(content.replace(b"Exif", b"\xa2xif", 1))
    picture = open_picture(tmp_path / "a.avif")
    assert picture.format == "heif" and {picture.width, picture.height} == {90, 60}


def test_brackets_in_a_name_are_no_options(tmp_path: Path) -> None:
    Image.fromarray(draw(150, 90)).save(tmp_path / "a.png")
    Image.fromarray(draw(70, 50)).save(tmp_path / "b.png")
    (tmp_path / "b.png").rename(tmp_path / "a.png[page=0]")
    assert open_picture(tmp_path / "a.png[page=0]").width == 70


def test_much_smaller_is_still_the_plain_filter(tmp_path: Path) -> None:
    """Blocks are averaged first there, to within four times the size."""
    pixels = draw(1999, 1501)
    Image.fromarray(pixels).save(tmp_path / "a.png", compress_level=1)
    for factor in (9, 20, 37):
        mine = upright(tmp_path / "a.png", tmp_path, "y", STORED_MEMORY, size=1501 // factor).astype(int)
        plain = np.asarray(Image.fromarray(pixels).resize(mine.shape[1::-1], Image.Resampling.BILINEAR))
        assert np.abs(mine - plain).mean() < 1.5, factor  # levels; without the blocks 0.5, 1.2 and 2.3


def test_tiled_big_tiff_and_16_bits(tmp_path: Path) -> None:
    deep = draw(300, 140).astype(np.uint16) * 257 + 3
    image = pyvips.Image.new_from_array(deep).copy(interpretation="rgb16")
    image.tiffsave(str(tmp_path / "a.tif"), tile=True, bigtiff=True)
    image.pngsave(str(tmp_path / "a.png"), bitdepth=16)
    for name in ("a.tif", "a.png"):
        assert open_picture(tmp_path / name).full_scale == 65535
        for stored in (STORED_MEMORY, STORED_SPOOL):
            np.testing.assert_array_equal(upright(tmp_path / name, tmp_path, "x", stored), deep)


def test_grey_palette_alpha_and_cmyk(tmp_path: Path) -> None:
    pixels = draw(90, 60)
    grey = Image.fromarray(pixels).convert("L")
    grey.save(tmp_path / "grey.png")
    expected = np.repeat(np.asarray(grey)[..., None], 3, axis=2)
    np.testing.assert_array_equal(upright(tmp_path / "grey.png", tmp_path, "y", STORED_MEMORY), expected)

    palette = Image.fromarray(pixels).quantize(40)
    palette.save(tmp_path / "palette.png")
    expected = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(upright(tmp_path / "palette.png", tmp_path, "x", STORED_MEMORY), expected)

    alpha = np.zeros((60, 90, 4), np.uint8)
    alpha[:, 30:, 3], alpha[:, 60:, 0] = 128, 200
    Image.fromarray(alpha).save(tmp_path / "alpha.png")
    mine = upright(tmp_path / "alpha.png", tmp_path, "y", STORED_MEMORY).astype(int)
    assert open_picture(tmp_path / "alpha.png").has_alpha
    assert (mine[:, :30] == 255).all()  # clear shows the white below
    assert (abs(mine[:, 30:60] - 127) <= 1).all()
    assert (abs(mine[:, 60:, 0] - 227) <= 1).all()

    spare = np.dstack([pixels, np.full((60, 90, 1), 255, np.uint8), np.full((60, 90, 1), 9, np.uint8)])
    pyvips.Image.new_from_array(spare).copy(interpretation="srgb").tiffsave(str(tmp_path / "spare.tif"))
    np.testing.assert_array_equal(upright(tmp_path / "spare.tif", tmp_path, "y", STORED_MEMORY), pixels)

    Image.fromarray(pixels).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    mine = upright(tmp_path / "cmyk.jpg", tmp_path, "y", STORED_MEMORY)
    assert mine.shape == (60, 90, 3)
    correlation = np.corrcoef(mine.astype(float).ravel(), pixels.astype(float).ravel())[0, 1]
    assert correlation > 0.9  # through the inks' profile: other values, the same picture


@pytest.mark.parametrize("time_axis", ["x", "y"])
@pytest.mark.parametrize("size", [61, 256, 500])
def test_size_is_the_short_edge(tmp_path: Path, size: int, time_axis: str) -> None:
    pixels = draw(411, 300)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    mine = upright(tmp_path / "a.png", tmp_path, time_axis, STORED_MEMORY, size=size).astype(int)
    assert mine.shape == (size, size * 411 // 300, 3)
    plain = np.asarray(Image.fromarray(pixels).resize(mine.shape[1::-1], Image.Resampling.BILINEAR))
    assert np.abs(mine - plain).mean() < 0.5  # the same filter, rounded otherwise


def test_a_long_strip_has_a_small_label(tmp_path: Path) -> None:
    pixels = draw(3000, 22)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    label = small_upright(open_picture(tmp_path / "a.png"), 256, 224)
    assert label.shape == (224, 224, 3)


def test_finding_by_a_fragment(tmp_path: Path) -> None:
    for name in ("b cat.png", "a cat.png", "dog.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "0 cat folder").mkdir()
    found, matches = find_picture(tmp_path, "cat")
    assert found.name == "a cat.png"
    assert [match.name for match in matches] == ["a cat.png", "b cat.png"]
    with pytest.raises(PictureError, match="bird"):
        find_picture(tmp_path, "bird")
    Image.fromarray(draw(40, 30)).save(tmp_path / "z mug.png")
    Image.fromarray(draw(40, 30)).save(tmp_path / "mug without a suffix", "png")
    for name in ("activations-1_coffee-mug_sum.wav", "a mug.txt", "beer-mug.json"):
        (tmp_path / name).write_bytes(b"no picture")
    found, matches = find_picture(tmp_path, "mug")
    assert [match.name for match in matches] == ["mug without a suffix", "z mug.png"]
    with pytest.raises(PictureError, match=r"no picture .* but activations-1_coffee-mug_sum.wav has"):
        find_picture(tmp_path, "coffee-mug")
    with pytest.raises(PictureError, match="not a folder"):
        find_picture(tmp_path / "nowhere", "cat")


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("a letter, not a picture")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for name, reason in (
        ("empty.png", "0 bytes"),
        ("text.jpg", "not a picture"),
        ("pipe.png", "not an ordinary file"),
        ("absent.png", "no picture"),
        ("loop.png", "no picture"),
        (".", "is a folder"),
    ):
        with pytest.raises(PictureError, match=reason):
            open_picture(tmp_path / name)


@pytest.mark.parametrize("stored", [STORED_MEMORY, STORED_STREAM, STORED_SPOOL])
@pytest.mark.parametrize("compression", ["deflate", "lzw", "jpeg"])
@pytest.mark.parametrize("tile", [False, True])
def test_damage_in_the_midst_of_a_tiff_is_noticed(
    tmp_path: Path, compression: str, tile: bool, stored: str
) -> None:
    """libvips 8.18 draws a tile that it cannot decode in black, and fails nowhere."""
    path = tmp_path / "a.tif"
    image = pyvips.Image.new_from_array(draw(256, 192))
    image.tiffsave(str(path), compression=compression, tile=tile, tile_width=64, tile_height=64)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle - 500 : middle + 500] = np.random.default_rng(0).bytes(1000)
    path.write_bytes(content)
    with pytest.raises(PictureError, match=r"a\.tif.*damaged"):
        upright(path, tmp_path, "y", stored)
    whole = tmp_path / "whole.tif"  # the next one is not taken for it
    image.tiffsave(str(whole), compression="deflate", tile=True)
    np.testing.assert_array_equal(upright(whole, tmp_path, "y", stored), draw(256, 192))


def test_a_codec_that_is_missing_is_named_for_tiles_too(tmp_path: Path) -> None:
    """At once, not as a black picture. (Should the wheel learn LZMA one day, the picture must be right.)"""
    pixels = draw(64, 64)
    packed = lzma.compress(pixels.tobytes(), lzma.FORMAT_XZ)
    path = tmp_path / "a.tif"
    content = bytearray(tiff(Page(pixels, 2, tile=True, tags={259: (3, [34925]), 325: (4, [len(packed)])})))
    start = content.index(pixels.tobytes())
    content[start : start + len(packed)] = packed
    path.write_bytes(content)
    try:
        read = upright(path, tmp_path, "y", STORED_MEMORY)
    except PictureError as error:
        assert "LZMA" in str(error) and "does not read" in str(error)
    else:
        np.testing.assert_array_equal(read, pixels)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_a_truncated_picture_is_refused(tmp_path: Path, name: str) -> None:
    pyvips.Image.new_from_array(draw(200, 150)).write_to_file(str(tmp_path / name))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(PictureError, match=name):
        upright(tmp_path / name, tmp_path, "y", STORED_STREAM)
