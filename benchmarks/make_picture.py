"""Draw the demonstration picture at any size: `python benchmarks/make_picture.py WIDTH HEIGHT FILE`.

Memory stays small: rows go to a raw file first, from which libvips encodes what FILE's suffix says.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pyvips

from netsounds_stream.picture.demo_picture import draw_rows


def make_picture(width: int, height: int, path: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".raw") as raw:
        for rows in draw_rows(width, height, rows=64):
            raw.write(rows.tobytes())
        raw.flush()
        image = pyvips.Image.rawload(raw.name, width, height, 3, access="sequential")
        image.copy(interpretation="srgb").write_to_file(str(path))


if __name__ == "__main__":
    make_picture(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
