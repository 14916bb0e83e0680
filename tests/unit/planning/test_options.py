"""What is asked for, by words and as recorded."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from netsounds_stream.errors import OptionError
from netsounds_stream.planning.options import SonifyOptions, options_from_words
from netsounds_stream.run.record import changes, recorded_options


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


def test_a_record_of_before_an_option_was_there() -> None:
    """It loads with the default, and is not taken for another run."""
    now: dict[str, Any] = json.loads(json.dumps(asdict(SonifyOptions(size=100))))
    then = {name: value for name, value in now.items() if name not in ("preset", "single_file", "sound")}
    then["sound"] = {name: value for name, value in now["sound"].items() if name != "stems"}
    assert recorded_options({"options": then}) == SonifyOptions(size=100)
    same = {"picture": {"sha256": ""}, "weights": {"sha256": ""}, "computed": {}}
    assert changes({**same, "options": then}, {**same, "options": now}) == []
    stems = {**now, "sound": {**now["sound"], "stems": True}}
    assert changes({**same, "options": then}, {**same, "options": stems}) == ["stems True instead of False"]


def test_no_scheme_beside_another() -> None:
    with pytest.raises(OptionError, match="alone"):
        options_from_words(scheme=("sum", "none"))


def test_nothing_to_make() -> None:
    words: dict[str, Any] = {"scheme": (), "mix": False, "report": False}
    assert options_from_words(**words).activations
    for more in ({"activations": False}, {"preview": 1.0}):
        with pytest.raises(OptionError, match="no arrays, no sound and no page"):
            options_from_words(**words, **more)
