"""What is asked for, by words and as recorded."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from netsounds_stream.errors import OptionError
from netsounds_stream.options import SonifyOptions, options_from_words
from netsounds_stream.record import recorded_options


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        (None, ("sum",)),
        ((), ()),
        ("none", ()),
        (("none",), ()),
        ("concat", ("concat",)),
        (["sum", "filters"], ("sum", "filters")),
    ],
)
def test_schemes_by_words(scheme: Any, expected: tuple[str, ...]) -> None:
    options = options_from_words(scheme=scheme)
    assert options.sound.schemes == expected
    assert options_from_words(method="istft").sound.schemes == SonifyOptions().sound.schemes == ("sum",)
    assert recorded_options(json.loads(json.dumps({"options": asdict(options)}))) == options


def test_no_scheme_beside_another() -> None:
    with pytest.raises(OptionError, match="alone"):
        options_from_words(scheme=("sum", "none"))


def test_nothing_to_make() -> None:
    words: dict[str, Any] = {"scheme": (), "mix": False, "report": False}
    assert options_from_words(**words).activations
    for more in ({"activations": False}, {"preview": 1.0}):
        with pytest.raises(OptionError, match="nothing is to be made"):
            options_from_words(**words, **more)
