"""Scala files (`.scl`): degrees of a scale as musicians exchange them.

The format is that of https://www.huygens-fokker.org/scala/scl_format.html. Lines that begin with '!' are
comments. The first other line is a description, the second the number of degrees, then comes one line for
each: cents where the number has a point, else a ratio; what follows behind a space is ignored. The root is
not written, and the last degree is the period. It is read strictly: what would be passed over elsewhere, a
comma in a number or a line too many, would make another scale.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..base.units import SHOWN_CHARACTERS
from ..errors import OptionError
from .scales import cents, ordered

_MOST_BYTES = 1 << 20
_CENTS = re.compile(r"[ \t]*(-?[0-9]+\.[0-9]*|-?\.[0-9]+)(?:[ \t!].*)?")
_RATIO = re.compile(r"[ \t]*(-?[0-9]{1,30})(?:[ \t]*/[ \t]*(-?[0-9]{1,30}))?(?:[ \t!].*)?")


def is_scala(name: str) -> bool:
    """Return whether a name is that of a Scala file."""
    return name.lower().endswith(".scl")


def read_scala(path: Path) -> tuple[float, ...]:
    """Read a Scala file.

    Returns:
        Degrees in cents, as `scales.degrees_of` has them.

    Raises:
        OptionError: the file cannot be read, or is not of this format; the text names the line.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise OptionError(
            f"cannot read the scale {path} ({error.strerror or error}); check the name"
        ) from error
    if len(content) > _MOST_BYTES:
        raise OptionError(f"the scale {path} has more than {_MOST_BYTES >> 20} MiB; name a Scala file")
    return parse_scala(content.decode("latin-1"), str(path))


def parse_scala(text: str, name: str) -> tuple[float, ...]:
    """Parse the text of a Scala file.

    Args:
        text: its text.
        name: its name, for the error.

    Returns:
        Degrees in cents, as `scales.degrees_of` has them.

    Raises:
        OptionError: the text is not of this format.
    """
    numbered = enumerate(re.split("\r\n|\n|\r", text), start=1)
    lines = [(number, line) for number, line in numbered if not line.startswith("!")]
    if len(lines) < 2:
        raise _refused(name, len(lines), "it ends before the number of notes")
    number, line = lines[1]
    if not re.fullmatch(r"[ \t]*[0-9]{1,5}[ \t]*", line):
        raise _refused(name, number, f"{_shown(line)} is no number of notes")
    count = int(line)
    if not count:
        raise _refused(name, number, "a scale without notes has no period")
    pitches, rest = lines[2 : 2 + count], lines[2 + count :]
    if len(pitches) < count:
        raise _refused(name, lines[-1][0], f"it ends after {len(pitches)} of {count} notes")
    for number, line in rest:
        if line.strip():
            raise _refused(name, number, f"{_shown(line)} comes after the last of {count} notes")
    degrees = [_degree(name, number, line) for number, line in pitches]
    try:
        return ordered(degrees)
    except OptionError as error:
        raise _refused(name, pitches[-1][0], str(error).partition(";")[0]) from error


def _degree(name: str, number: int, line: str) -> float:
    """Return a line's degree in cents."""
    if found := _CENTS.fullmatch(line):
        return float(found[1])
    if found := _RATIO.fullmatch(line):
        above, below = int(found[1]), int(found[2] or 1)
        if above > 0 and below > 0:
            return cents(above) - cents(below) if max(above, below) > 1 << 53 else cents(above / below)
        raise _refused(name, number, f"the ratio {_shown(line)} is not above 0")
    raise _refused(name, number, f"{_shown(line)} is no pitch (701.955 in cents, or 3/2)")


def _shown(line: str) -> str:
    return repr(line.strip()[:SHOWN_CHARACTERS])


def _refused(name: str, number: int, reason: str) -> OptionError:
    return OptionError(f"the scale {name} is no Scala file: line {number}: {reason}; mend that line")
