"""Scala files: what the format's page says, and one-line errors that name the line."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsounds_stream.errors import OptionError
from netsounds_stream.planning.options import sound_from_words
from netsounds_stream.planning.scala import parse_scala, read_scala

MEANTONE = """! meanquar.scl
!
1/4-comma meantone scale. Pietro Aaron's temperament (1523)
 12
!
 76.04900
 193.15686
 310.26471
 5/4
 503.42157
 579.47057
 696.57843
 25/16
 889.73529
 1006.84314
 1082.89214
 2/1
"""


def parsed(*lines: str) -> tuple[float, ...]:
    """A file's degrees, with a description and the count before them."""
    return parse_scala("\n".join(["what it is", str(len(lines)), *lines]), "a.scl")


def cents(ratio: float) -> float:
    return 1200 * math.log2(ratio)


def test_the_example_of_the_format() -> None:
    found = parse_scala(MEANTONE, "a.scl")
    written = [0, 76.049, 193.15686, 310.26471, cents(5 / 4), 503.42157, 579.47057, 696.57843]
    written += [cents(25 / 16), 889.73529, 1006.84314, 1082.89214, 1200]
    assert found == pytest.approx(written, abs=1e-9)
    for end in ("\r\n", "\r"):
        assert parse_scala(MEANTONE.replace("\n", end), "a.scl") == found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("81/64", cents(81 / 64)), ("408.0", 408.0), ("408.", 408.0), ("5", cents(5 / 4)),
        ("-5.0", 1195.0), ("10/20", 0.0), ("100.0 cents", 100.0), (" 100.0 C#", 100.0),
        (" 5/4   E\\", cents(5 / 4)),
        ("\t3 / 2\tfifth", cents(3 / 2)), (".5", 0.5), ("100.0! sharp", 100.0),
        ("2147483647/2147483646", cents(2147483647 / 2147483646)),
    ],
)  # fmt: skip
def test_lines_that_the_format_names_as_valid(line: str, expected: float) -> None:
    """Brought into one octave; the root, 1/1, is no further degree."""
    found = parsed(line, "2/1")
    assert found == pytest.approx((0.0, expected, 1200.0) if expected > 1e-3 else (0.0, 1200.0), abs=1e-9)


@given(st.lists(st.floats(1, 1190).map(lambda value: round(value, 5)), min_size=1, max_size=30, unique=True))
def test_what_is_written_is_read(degrees: list[float]) -> None:
    degrees = sorted(degrees)
    if min((b - a for a, b in pairwise(degrees)), default=1) < 0.01:
        return
    assert parsed(*(f"{degree:.5f}" for degree in degrees), "2/1") == pytest.approx((0, *degrees, 1200))


def test_other_periods_and_orders() -> None:
    assert parsed("3/1") == pytest.approx((0, cents(3)))
    assert parsed("700.0", "200.0", "1500.0", "1200.0") == pytest.approx((0, 200, 300, 700, 1200))
    assert parse_scala("\n1\n2/1\n\n! ends\n\n", "a.scl") == (0.0, 1200.0)  # no description


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: it ends before"),
        ("! only a comment\n", "line 1: it ends before"),
        ("d\ntwelve\n2/1\n", "line 2: 'twelve' is no number of notes"),
        ("d\n12.0\n2/1\n", "line 2: '12.0' is no number"),
        ("d\n-1\n2/1\n", "line 2: '-1' is no number"),
        ("d\n0\n", "line 2: a scale without notes"),
        ("d\n2\n3/2", "line 3: it ends after 1 of 2 notes"),
        ("d\n2\n3/2\n2/1\n3/1\n", "line 5: '3/1' comes after the last of 2 notes"),
        ("! c\nd\n! c\n2\n! c\n3:2\n2/1\n", "line 6: '3:2' is no pitch"),
        ("d\n2\n1,5\n2/1\n", "line 3: '1,5' is no pitch"),
        ("d\n2\n100.0,5\n2/1\n", "line 3: '100.0,5' is no pitch"),
        ("d\n2\n3/2/4\n2/1\n", "line 3: '3/2/4' is no pitch"),
        ("d\n2\n1e3.0\n2/1\n", "line 3: '1e3.0' is no pitch"),
        ("d\n2\nnan.\n2/1\n", "line 3: 'nan.' is no pitch"),
        ("d\n2\n-5/4\n2/1\n", "line 3: the ratio '-5/4' is not above 0"),
        ("d\n2\n5/0\n2/1\n", "line 3: the ratio '5/0' is not above 0"),
        ("d\n2\n3/2\n1/1\n", "line 4: a scale repeats after its last degree, which cannot be 0 cents"),
        ("d\n2\n999999999.0\n2/1\n", "line 4: a degree of a scale cannot be 1e.09 cents"),
        ("d\n1\n\n", "line 3: '' is no pitch"),
    ],
)  # fmt: skip
def test_an_error_names_file_and_line(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=f"the scale a.scl is no Scala file: {message}") as caught:
        parse_scala(text, "a.scl")
    assert len(str(caught.value).splitlines()) == 1


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "mean.SCL"
    path.write_bytes(MEANTONE.replace("Aaron", "Åron").encode("latin-1"))
    assert read_scala(path) == parse_scala(MEANTONE, "a.scl")
    sound = sound_from_words(scale_notes=path, fmin=110.0, fmax=220.0)
    assert sound.notes is not None and len(sound.notes.hz) == 13
    path.unlink()
    # what is recorded needs the file no more
    assert sound_from_words(scale_notes=sound.scale_notes, fmin=110.0, fmax=220.0) == sound
    with pytest.raises(OptionError, match=r"cannot read the scale .*mean\.SCL \(No such file"):
        sound_from_words(scale_notes=str(path))
    path.write_bytes(b"!" * ((1 << 20) + 1))
    with pytest.raises(OptionError, match="more than 1 MiB"):
        read_scala(path)
    with pytest.raises(OptionError, match="cannot read the scale"):
        sound_from_words(scale_notes=tmp_path / "folder.scl")
