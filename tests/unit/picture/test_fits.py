"""FITS files by astropy: every number format upright, extensions and cubes, packed ones; and damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from netsounds_stream.base.progress import Stages
from netsounds_stream.errors import PictureError
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.picture.picture import Picture, measured, open_picture, slabs, write_spool
from netsounds_stream.planning.options import options_from_words
from netsounds_stream.planning.plan import STORED_MEMORY, STORED_SPOOL

RGB = draw(96, 64)
GREY = RGB[..., 1]
STORED = GREY[::-1]  # FITS begins at the bottom


def opened(path: Path, **words: Any) -> Picture:
    return measured(open_picture(path, None, options_from_words(**words).reading), Stages())


def seen(path: Path, **words: Any) -> np.ndarray:
    picture = opened(path, **words)
    return np.concatenate(list(slabs(picture, time_axis="y", rows=50, stored=STORED_MEMORY, spool=Path("x"))))


def grey3(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def between(values: np.ndarray) -> np.ndarray:
    """Values from the smallest to the largest as 16-bit grey."""
    values = values.astype(np.float64)
    low, high = np.nanmin(values), np.nanmax(values)
    return grey3(np.nan_to_num((values - low) / (high - low)) * 65535)


NUMBERS: dict[str, np.ndarray] = {
    "uint8": STORED,
    "int16": (STORED.astype(int) * 100 - 9000).astype(np.int16),
    "uint16": STORED.astype(np.uint16) * 257,
    "int32": STORED.astype(np.int32) * 100_000 - 9_000_000,
    "uint32": STORED.astype(np.uint32) * 16_843_009,
    "int64": STORED.astype(np.int64) * 10**9,
    "float32": (STORED / 255).astype(np.float32),
    "float64": STORED / 255 + 1,
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("packed", ["", ".gz", "rice"])
def test_number_formats(tmp_path: Path, name: str, packed: str) -> None:
    """A level of 65,535 where numbers are rounded to 24 bits; astropy quantises floats that it packs."""
    values = NUMBERS[name]
    if packed == "rice":
        if name == "int64":
            pytest.skip("FITS packs no integers of 64 bits by Rice")
        path = tmp_path / "a.fits.fz"
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(values)]).writeto(path)
    else:
        path = tmp_path / f"a.fits{packed}"
        fits.PrimaryHDU(values).writeto(path)
    tolerance = 0.01 * 65535 if packed == "rice" and "float" in name else 1
    np.testing.assert_allclose(seen(path, stretch="minmax"), between(values[::-1]), atol=tolerance)
    if name in ("uint8", "uint16"):  # brightness as it is, if one asks for it
        np.testing.assert_array_equal(seen(path, stretch="full"), grey3(values[::-1]))


def test_asinh_is_the_default(tmp_path: Path) -> None:
    fits.PrimaryHDU(NUMBERS["float32"]).writeto(tmp_path / "a.fits")
    assert opened(tmp_path / "a.fits").contents.facts()["stretch"]["kind"] == "asinh"
    np.testing.assert_array_equal(seen(tmp_path / "a.fits"), seen(tmp_path / "a.fits", stretch="asinh"))


def test_scaled_numbers_and_no_data(tmp_path: Path) -> None:
    for name, scale, zero in (("plain", 1, 0), ("unsigned", 1, 32768), ("scaled", 0.5, 3)):
        stored = (STORED.astype(int) * 100 - 9000).astype(np.int16)
        stored[:7] = -32000
        hdu = fits.PrimaryHDU(stored)
        hdu.header["BLANK"] = -32000
        hdu.writeto(tmp_path / f"{name}.fits")
        with fits.open(tmp_path / f"{name}.fits", mode="update", do_not_scale_image_data=True) as file:
            file[0].header["BSCALE"], file[0].header["BZERO"] = scale, zero
        expected = (zero + scale * stored.astype(float))[::-1].copy()
        expected[-7:] = np.nan
        np.testing.assert_allclose(
            seen(tmp_path / f"{name}.fits", stretch="minmax"), between(expected), atol=1
        )


def test_extensions_and_cubes(tmp_path: Path) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("a", "E", array=np.zeros(3))])
    both = [fits.ImageHDU(STORED), table, fits.ImageHDU(255 - STORED), fits.ImageHDU(np.zeros(9, np.uint8))]
    fits.HDUList([fits.PrimaryHDU(), *both]).writeto(tmp_path / "a.fits")
    (note,) = opened(tmp_path / "a.fits").contents.notes
    assert "2 pictures; number 1" in note
    np.testing.assert_array_equal(seen(tmp_path / "a.fits", stretch="full"), grey3(GREY))
    np.testing.assert_array_equal(seen(tmp_path / "a.fits", stretch="full", page=2), grey3(255 - GREY))
    with pytest.raises(PictureError, match="2 pictures and no number 3"):
        opened(tmp_path / "a.fits", page=3)

    planes = np.moveaxis(RGB[::-1], 2, 0)
    for suffix in ("", ".gz"):
        fits.PrimaryHDU(planes).writeto(tmp_path / f"rgb.fits{suffix}")
        np.testing.assert_array_equal(seen(tmp_path / f"rgb.fits{suffix}", stretch="full"), RGB)
    cube = np.stack([STORED, 255 - STORED, STORED // 2, STORED // 3])
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(cube)]).writeto(tmp_path / "packed.fits")
    fits.PrimaryHDU(cube[None]).writeto(tmp_path / "cube.fits")
    for name in ("packed.fits", "cube.fits"):
        (note,) = opened(tmp_path / name).contents.notes
        assert "4 channels; number 1 is read" in note
        np.testing.assert_array_equal(seen(tmp_path / name, stretch="full"), grey3(GREY))
        chosen = seen(tmp_path / name, stretch="full", channels="4,2,1")
        np.testing.assert_array_equal(chosen, np.dstack([GREY // 3, 255 - GREY, GREY]))
    fits.PrimaryHDU(STORED[None, None]).writeto(tmp_path / "radio.fits")
    np.testing.assert_array_equal(seen(tmp_path / "radio.fits", stretch="full"), grey3(GREY))


def test_along_x_and_resized(tmp_path: Path) -> None:
    fits.PrimaryHDU(STORED).writeto(tmp_path / "a.fits")
    reading = options_from_words(stretch="full").reading
    picture = open_picture(tmp_path / "a.fits", None, reading)
    assert not picture.source.rows_in_order
    write_spool(picture, tmp_path / "spool.tif", lambda share: None)
    along = np.concatenate(
        list(slabs(picture, time_axis="x", rows=40, stored=STORED_SPOOL, spool=tmp_path / "spool.tif"))
    )
    np.testing.assert_array_equal(along, grey3(GREY).transpose(1, 0, 2))
    small = open_picture(tmp_path / "a.fits", 32, reading)
    assert (small.width, small.height) == (48, 32)


def test_what_is_refused(tmp_path: Path) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("a", "E", array=np.zeros(3))])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "table.fits")
    fits.PrimaryHDU(NUMBERS["float32"]).writeto(tmp_path / "a.fits")
    content = (tmp_path / "a.fits").read_bytes()
    (tmp_path / "cut.fits").write_bytes(content[:9000])
    (tmp_path / "header.fits").write_bytes(content[:1000])
    fits.PrimaryHDU(NUMBERS["float32"]).writeto(tmp_path / "b.fits.gz")
    (tmp_path / "cut.fits.gz").write_bytes((tmp_path / "b.fits.gz").read_bytes()[:3000])
    for name, message in (
        ("table.fits", "no picture"),
        ("cut.fits", "cut short"),
        ("header.fits", "astropy can read"),
        ("cut.fits.gz", "complete copy"),
    ):
        with pytest.raises(PictureError, match=message) as error:
            seen(tmp_path / name)
        assert "\n" not in str(error.value) and "; " in str(error.value)
