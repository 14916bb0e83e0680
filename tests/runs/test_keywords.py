"""Options as keyword arguments: none is missing, each has its words and its type, and editors see them."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import netsounds_stream
from netsounds_stream.errors import OptionError
from netsounds_stream.planning import keywords
from netsounds_stream.planning.keywords import NetworkKeywords, RenderKeywords, SonifyKeywords
from netsounds_stream.planning.options import SonifyOptions, options_from_words, word_of
from netsounds_stream.planning.sound_options import SoundOptions
from tests.helpers import typed_use

#: Of the sound's options, those that are about several files of a run.
OF_A_RUN = {"scheme", "mix", "stems"}


def test_no_option_is_missing() -> None:
    sound = {word_of(each.name) for each in fields(SoundOptions)}
    run = {each.name.removesuffix("_bytes") for each in fields(SonifyOptions)} - {"sound"}
    assert set(SonifyKeywords.__annotations__) == sound | run
    assert set(RenderKeywords.__annotations__) == sound - OF_A_RUN
    assert set(NetworkKeywords.__annotations__) < run


def test_types_hold_what_the_options_hold() -> None:
    """A choice is a choice of the same words; and what may be None may be None."""
    types = get_type_hints(SonifyKeywords)
    for cls in (SonifyOptions, SoundOptions):
        for name, held in get_type_hints(cls).items():
            if name in ("sound", "schemes"):  # of schemes there may be several, and none of them is ()
                continue
            given = types[word_of(name).removesuffix("_bytes")]
            if "Literal" in str(held):
                assert given == held, name
            assert (type(None) in get_args(given)) == (type(None) in get_args(held)), name


def test_each_has_a_description() -> None:
    for cls in (NetworkKeywords, RenderKeywords, SonifyKeywords):
        (node,) = ast.parse(inspect.getsource(cls)).body
        assert isinstance(node, ast.ClassDef)
        keys = [
            (key.target.id, text.value.value)
            for key, text in zip(node.body[1::2], node.body[2::2], strict=True)
            if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name)
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        ]
        assert len(keys) == len(node.body) // 2
        types = get_type_hints(cls)
        for name, text in keys:
            assert re.match(r"[A-Z'].*\.$", str(text), re.DOTALL), name
            choices = [one for each in (types[name], *get_args(types[name])) for one in get_args(each)]
            choices = [each for each in choices if isinstance(each, str)]
            assert all(f"'{each}'" in str(text) for each in choices), name


def test_functions_take_them() -> None:
    """By name, so that an editor offers them."""
    takes: dict[str, str] = {"render": "RenderKeywords", "verify": "NetworkKeywords"}
    takes |= dict.fromkeys(("sonify", "plan", "batch", "plan_batch", "bench"), "SonifyKeywords")
    for name, expected in takes.items():
        (words,) = (
            each
            for each in inspect.signature(getattr(netsounds_stream, name)).parameters.values()
            if each.kind == each.VAR_KEYWORD
        )
        assert words.annotation == f"Unpack[{expected}]", name
        assert getattr(keywords, expected) is getattr(netsounds_stream, expected)


def test_type_checkers_see_every_name() -> None:
    source = Path(netsounds_stream.__file__).read_text(encoding="utf-8")
    seen = re.findall(r"^    from \.([\w.]+) import (\w+) as (\w+)$", source, re.MULTILINE)
    assert {name: home for home, name, shown in seen if name == shown} == netsounds_stream._HOMES
    for name in netsounds_stream.__all__:
        assert getattr(netsounds_stream, name).__name__ == name


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"weights": Path("a.pth")}, {"weights": "a.pth"}),
        ({"banks": 2}, {"banks": (2,)}),
        ({"banks": [3, 1]}, {"banks": (1, 3)}),
        ({"size": "native"}, {"size": None}),
        ({"memory": "1KiB"}, {"memory_bytes": 1024}),
        ({"max_pixels": "2k"}, {"max_pixels": 2000}),
    ],
)
def test_what_keywords_become(words: dict[str, Any], expected: dict[str, Any]) -> None:
    found = options_from_words(**words)
    assert {name: getattr(found, name) for name in expected} == expected


def test_an_unknown_keyword_is_refused() -> None:
    with pytest.raises(OptionError, match="szie"):
        options_from_words(szie=512)


def test_the_typed_example_runs(small_picture: Path, tmp_path: Path) -> None:
    by_words, by_value = typed_use.planned(small_picture, tmp_path / "run")
    assert [each.number for each in by_words.banks] == [2, 3]
    assert [each.number for each in by_value.banks] == [1, 2, 3, 4]
    run = typed_use.made(small_picture, tmp_path / "run")
    assert (tmp_path / "run" / "again.flac").exists()
    assert run.record["options"]["banks"] == [4]
    by_image, by_array = typed_use.in_memory(tmp_path / "pixels")
    assert (by_image.width, by_image.height, by_array.array(4).shape) == (60, 40, (512, 2, 3))
    assert "features.1" in typed_use.tapped()
    assert "features.0" not in typed_use.tapped()
