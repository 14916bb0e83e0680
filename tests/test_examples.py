"""Docstrings of what the package offers: each says all of it, and each example in them gives what it says."""

from __future__ import annotations

import dataclasses
import doctest
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import netsounds_stream
from netsounds_stream import errors, sonify
from netsounds_stream.picture.demo_picture import draw

PUBLIC = {name: getattr(netsounds_stream, name) for name in netsounds_stream.__all__}
FUNCTIONS = [name for name, each in PUBLIC.items() if inspect.isfunction(each)]
#: Keys of these are described one by one; `test_keywords` holds them.
KEYWORDS = {name for name in PUBLIC if name.endswith("Keywords")}
#: The options are described where they are keywords.
ELSEWHERE = {"SonifyOptions", "SoundOptions"}


def examples() -> Iterator[doctest.DocTest]:
    """Of every public name, and of the methods of the classes among them."""
    for name, each in PUBLIC.items():
        for found in doctest.DocTestFinder(recurse=True).find(each, name, globs={"__name__": "example"}):
            if found.examples:
                yield found


EXAMPLES = list(examples())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples find: a picture, and a run made of it."""
    folder = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Image.fromarray(draw(240, 160)).save("landscape.png")
        words: dict[str, Any] = {"weights": "untrained", "banks": (1, 2), "duration": 1}
        sonify("landscape.png", "landscape-netsounds", **words)
    return folder


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.name)
def test_examples_give_what_they_say(
    example: doctest.DocTest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    assert runner.run(example, out=said.append).failed == 0, "".join(said)


def sections(each: Any) -> dict[str, str]:
    """A docstring's sections by their titles; what comes before them by ''."""
    parts = re.split(r"^(Args|Attributes|Returns|Raises|Example):\n", inspect.getdoc(each) or "", flags=re.M)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def entries(section: str) -> list[str]:
    return re.findall(r"^    (\w+): ", section, re.MULTILINE)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_says_all_of_itself(name: str) -> None:
    found = sections(PUBLIC[name])
    signature = inspect.signature(PUBLIC[name])
    assert re.match(r"(?!The|A|An|What|Whether|How|Of)[A-Z][a-z]+ .*\.$", found[""].splitlines()[0]), name
    assert entries(found.get("Args", "")) == list(signature.parameters), name
    assert found.get("Returns") and found.get("Example"), name
    assert found.get("Raises") or name in ("layers", "for_pixels"), name
    assert all(hasattr(errors, error) for error in entries(found.get("Raises", ""))), name


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - set(FUNCTIONS) - KEYWORDS - ELSEWHERE))
def test_a_class_says_what_it_holds(name: str) -> None:
    found = sections(PUBLIC[name])
    assert found[""].splitlines()[0].endswith("."), name
    if dataclasses.is_dataclass(PUBLIC[name]):
        assert entries(found["Attributes"]) == [each.name for each in dataclasses.fields(PUBLIC[name])], name
    for attribute, each in vars(PUBLIC[name]).items():
        if callable(each) and not attribute.startswith("_"):
            parameters = [one for one in inspect.signature(each).parameters if one != "self"]
            assert entries(sections(each).get("Args", "")) == parameters, f"{name}.{attribute}"
        elif isinstance(each, property) and not attribute.startswith("_"):
            assert sections(each)[""], f"{name}.{attribute}"
