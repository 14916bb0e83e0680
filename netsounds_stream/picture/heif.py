"""HEIC photographs of telephones, by pillow-heif, where libvips reads their headers but not their pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from ..errors import PictureError

#: Bytes held while a picture is decoded, for each byte of its pixels: the pixels, a copy of them, and the
#: planes of brightness and colour that they are made from; measured, rounded up.
DECODER_SHARE = 4


def require_decoder(path: Path, cause: Exception) -> None:
    """Check that pillow-heif is installed.

    Args:
        path: the picture, for the error.
        cause: libvips' error.

    Raises:
        PictureError: it is not.
    """
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        raise PictureError(
            f"{path} is compressed by HEVC, which this libvips does not read; pip install "
            f"'netsounds-stream[heif]', or save it as JPEG"
        ) from cause


def decoded(path: Path, index: int, bands: int) -> Any:
    """Decode a picture of a HEIF file.

    Args:
        path: the file.
        index: its place among the pictures, counted from 0.
        bands: channels that libvips counts by the file's header.

    Returns:
        A `pyvips.Image` of all its channels.

    Raises:
        PictureError: it cannot be decoded.
    """
    import pillow_heif

    try:
        image = pillow_heif.open_heif(path, convert_hdr_to_8bit=False)[index]
        pixels = np.ascontiguousarray(image)
    except (OSError, ValueError, SyntaxError, EOFError, RuntimeError) as error:
        raise PictureError(f"{path} cannot be decoded ({error}); get a complete copy") from error
    decoded = pyvips.Image.new_from_array(pixels, interpretation="multiband")
    if decoded.bands < 3 <= bands:  # grey, which libvips counts as three channels
        grey = decoded.extract_band(0)
        return grey.bandjoin([grey, grey, *decoded.bandsplit()[1:]])
    return decoded
