"""What a report's page is told, and reading it back: links, samples, peaks, tiles."""

from __future__ import annotations

import html.parser
import json
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from netsounds_stream.report.images import colour_map
from tests.helpers.reference import page_data

WIDTH = 161


HEIGHT = 107


# Short windowed sound; what else is not said is as usual.
SHORT = {"duration": 1.0, "fft_size": 512, "sample_rate": 8000, "label": "a"}


class Links(html.parser.HTMLParser):
    """Every reference of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("href", "src", "poster")]


def references(folder: Path) -> list[str]:
    """Of the page, of what its script is told, and of what the banks' scripts say: all that are relative."""
    page = (folder / "index.html").read_text(encoding="utf-8")

    def inside(value: Any) -> list[str]:
        if isinstance(value, dict):
            named = [
                value[name] for name in ("src", "file", "play", "script") if isinstance(value.get(name), str)
            ]
            plays = value.get("plays") or []
            return named + plays + [each for one in value.values() for each in inside(one)]
        return [each for one in value for each in inside(one)] if isinstance(value, list) else []

    data = page_data(folder)
    scripts = [script_of(folder, each["script"]) for each in data["banks"]]
    links = [link for link in Links(page).found if not link.startswith(("data:", "#"))]
    return links + inside(data) + inside(scripts)


def script_of(folder: Path, name: str) -> dict[str, Any]:
    text = (folder / name).read_text(encoding="ascii")
    assert text.startswith("netsoundsBank(") and text.endswith(");\n")
    return dict(json.loads(text.removeprefix("netsoundsBank(").removesuffix(");\n").partition(", ")[2]))


def assert_links_lead_somewhere(folder: Path) -> None:
    found = references(folder)
    assert len(found) > 10
    for link in found:
        assert ":" not in link.split("/")[0] and not link.startswith("/") and link.isascii(), link
        target = folder / unquote(link, errors="surrogateescape")
        assert target.is_dir() if link.endswith("/") else target.is_file(), link


def peaks_of(found: dict[str, Any], parts: int) -> NDArray[np.float64]:
    """Lowest and highest, `[part, column, 2]`, full scale being 1."""
    values = np.frombuffer(b64decode(found.get("data") or found["peaks"]), np.int8).astype(float) / 127
    peak = np.atleast_1d(found["peak"])
    shaped: NDArray[np.float64] = values.reshape(parts, found["columns"], 2) * peak[:, None, None]
    return shaped


def samples_of(folder: Path, link: str) -> NDArray[np.float64]:
    found: NDArray[np.float64] = soundfile.read(folder / unquote(link), always_2d=True)[0]
    return found


def cell_means(values: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    _, height, width = values.shape
    rows, columns = (np.arange(0, length, factor) for length in (height, width))
    sums = np.add.reduceat(np.add.reduceat(values, rows, 1), columns, 2)
    counts = np.add.reduceat(np.add.reduceat(np.ones((height, width)), rows, 0), columns, 1)
    return np.asarray(sums / counts)


def assert_tiles(path: Path, sheet: dict[str, Any], expected: NDArray[np.uint8]) -> None:
    """Against the lightness of each tile; WebP's loss is some levels."""
    lightness = colour_map().astype(float) @ [0.3, 0.59, 0.11]
    with Image.open(path) as image:
        shown = np.asarray(image.convert("RGB")).astype(float) @ [0.3, 0.59, 0.11]
    high, wide = sheet["tile_height"], sheet["tile_width"]
    assert expected.shape[1:] == (high, wide)
    for number, tile in enumerate(expected):
        row, column = divmod(number, sheet["columns"])
        top, left = row * sheet["cell_height"], column * sheet["cell_width"]
        found = shown[top : top + high, left : left + wide]
        assert np.abs(found - lightness[tile]).mean() < 12, number
