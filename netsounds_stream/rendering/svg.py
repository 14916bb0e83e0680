"""The first path of an SVG file, as points."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ..errors import OptionError

Floats = NDArray[np.float64]

_POINTS = 64  # of each curve of the path
_MOST_BYTES = 16 << 20


def first_path(file: Path, picture: tuple[float, float]) -> Floats:
    """Read the first path of an SVG file.

    The file's `viewBox` lies over the whole picture; without one, the path's numbers are pixels.

    Args:
        file: the file.
        picture: width and height of the picture, in pixels.

    Returns:
        Points of its first stroke, float64 `[point, x or y]`, in pixels.

    Raises:
        OptionError: svg.path is not installed, or the file holds no path that can be used.
    """
    try:
        from svg.path import Move, parse_path
    except ImportError as error:
        raise OptionError(
            "a path from an SVG file needs another package: pip install 'netsounds-stream[svg]'"
        ) from error
    element, scale, origin = _first_element(file, picture)
    try:
        strokes = parse_path(element.attrib["d"])
    except (ValueError, LookupError, TypeError) as error:
        raise OptionError(f"the path in {file} cannot be read ({error}); draw it again") from error
    points: list[complex] = []
    for stroke in strokes:
        if isinstance(stroke, Move):
            if points:
                break
            continue
        points += [stroke.point(share) for share in np.linspace(0, 1, _POINTS)]
    placed = (np.array([(point.real, point.imag) for point in points]).reshape(-1, 2) - origin) * scale
    placed = placed[np.concatenate(([True], np.diff(placed, axis=0).any(axis=1)))] if len(placed) else placed
    if len(placed) < 2 or not np.isfinite(placed).all():
        raise OptionError(f"the first path in {file} has no length; draw a line or a curve")
    return placed


def _first_element(file: Path, picture: tuple[float, float]) -> tuple[ElementTree.Element, Floats, Floats]:
    """Return the first `path` element, and how its numbers become pixels: less an origin, times a scale."""
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise OptionError(f"{file} has more than 16 MiB; give an SVG file with one path")
        root = ElementTree.fromstring(file.read_bytes())
    except OSError as error:
        raise OptionError(f"{file} cannot be read ({error.strerror}); give an SVG file") from error
    except ElementTree.ParseError as error:
        raise OptionError(f"{file} is no SVG file ({error}); give an SVG file with a path") from error
    parents = {child: parent for parent in root.iter() for child in parent}
    element = next((each for each in root.iter() if each.tag.endswith("}path") or each.tag == "path"), None)
    if element is None or "d" not in element.attrib:
        raise OptionError(f"{file} holds no path; draw one, or turn its shapes into paths")
    above: ElementTree.Element | None = element
    while above is not None:
        if "transform" in above.attrib:
            raise OptionError(f"the path in {file} has a transform; apply it to the path's points first")
        above = parents.get(above)
    box = root.attrib.get("viewBox", "").replace(",", " ").split()
    try:
        left, top, width, height = map(float, box or (0, 0, *picture))
    except ValueError:
        width = height = 0.0
    if width <= 0 or height <= 0:
        raise OptionError(f"{file} has a viewBox that is none; give left, top, width and height in it")
    return element, np.array(picture) / (width, height), np.array((left, top))
