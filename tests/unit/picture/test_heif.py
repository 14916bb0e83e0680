"""HEIC by pillow-heif, where this libvips has no decoder for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from netsounds_stream.errors import PictureError
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.picture.picture import open_picture, slabs
from netsounds_stream.planning.options import options_from_words
from netsounds_stream.planning.plan import STORED_MEMORY
from tests.helpers.profiles import DISPLAY_P3

RGB = draw(198, 130)
QUALITY = {"quality": 95}


def seen(path: Path, **words: Any) -> np.ndarray:
    picture = open_picture(path, None, options_from_words(**words).reading)
    return np.concatenate(list(slabs(picture, time_axis="y", rows=50, stored=STORED_MEMORY, spool=Path("x"))))


def close(mine: np.ndarray, expected: np.ndarray) -> bool:
    """Whether the two differ by no more than the compression: a few levels on average."""
    return bool(np.abs(mine.astype(float) - expected).mean() < 4)


def test_kinds(tmp_path: Path) -> None:
    image = Image.fromarray(RGB)
    pillow_heif.from_pillow(image).save(tmp_path / "a.heic", **QUALITY)
    picture = open_picture(tmp_path / "a.heic")
    assert (picture.format, picture.contents.reader, picture.width) == ("heif", "heif", 198)
    assert picture.decoder_bytes >= 2 * RGB.size
    assert close(seen(tmp_path / "a.heic"), RGB)

    deep = pillow_heif.from_bytes("RGB;16", image.size, (RGB.astype(np.uint16) * 257).tobytes())
    deep.save(tmp_path / "deep.heic", **QUALITY)
    mine = seen(tmp_path / "deep.heic")
    assert mine.dtype == np.uint16 and close(mine / 257, RGB)

    clear = image.convert("RGBA")
    clear.putalpha(51)
    pillow_heif.from_pillow(clear).save(tmp_path / "alpha.heic", **QUALITY)
    assert close(seen(tmp_path / "alpha.heic"), RGB * 0.2 + 255 * 0.8)

    grey = image.convert("L")
    pillow_heif.from_pillow(grey).save(tmp_path / "grey.heic", **QUALITY)
    assert close(seen(tmp_path / "grey.heic"), np.asarray(grey)[..., None])


def test_several_pictures_and_a_profile(tmp_path: Path) -> None:
    image = Image.fromarray(RGB)
    mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    file = pillow_heif.from_pillow(image)
    file.add_from_pillow(mirrored)
    file.save(tmp_path / "two.heic", primary_index=1, **QUALITY)
    (note,) = open_picture(tmp_path / "two.heic").contents.notes
    assert "2 pictures; number 2" in note
    assert close(seen(tmp_path / "two.heic"), np.asarray(mirrored))
    assert close(seen(tmp_path / "two.heic", page=1), RGB)
    with pytest.raises(PictureError, match="no number 3"):
        seen(tmp_path / "two.heic", page=3)

    image.info["icc_profile"] = DISPLAY_P3
    pillow_heif.from_pillow(image).save(tmp_path / "p3.heic", **QUALITY)
    profile = open_picture(tmp_path / "p3.heic").contents.profile
    assert profile is not None and profile.state == "applied"


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pillow_heif.from_pillow(Image.fromarray(RGB)).save(tmp_path / "a.heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PictureError, match=r"HEVC.*netsounds-stream\[heif\]"):
        open_picture(tmp_path / "a.heic")
    monkeypatch.setitem(sys.modules, "astropy.io", None)
    (tmp_path / "a.fits").write_bytes(b"SIMPLE  =" + bytes(3000))
    with pytest.raises(PictureError, match=r"netsounds-stream\[fits\]"):
        open_picture(tmp_path / "a.fits")
