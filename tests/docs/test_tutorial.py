"""Pages are followed: every console and Python block is run, in order, and prints what it shows.

`...` in what is shown stands for anything. A console block's lines after a command are what that printed; a
`text` block after a Python one is what that printed, and Python without one prints nothing.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.reference import ROOT
from tests.helpers.tutorial_reader import INTERRUPT

pytestmark = pytest.mark.docs

PAGES = {
    "tutorial.md": 15,
    "networks.md": 10,
    "video.md": 4,
    "musicians.md": 4,
}  # and how many steps each has at least
# A stage that took over a second, or five, says so, where stderr is no terminal.
_STANDING = re.compile(r"^\w[\w ]*: +\d+%, .*memory .*\n", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A command or a block of Python, what is shown to come of it, and where that stands in the page."""

    line: int
    asked: dict[str, Any]
    shown: str


def steps(page: str) -> Iterator[Step]:
    blocks = [
        (page[: found.start()].count("\n") + 2, found[1], found[2])
        for found in re.finditer(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    ]
    for number, (line, kind, text) in enumerate(blocks):
        if kind == "python":
            after = blocks[number + 1][1:] if number + 1 < len(blocks) else ("", "")
            yield Step(line, {"python": text}, after[1] if after[0] == "text" else "")
        elif kind == "console":
            whole = re.sub(r"\\\n +", "", text)  # a command may go on in the next line
            for part in re.split(r"^\$ ", whole, flags=re.MULTILINE)[1:]:
                command, _, shown = part.partition("\n")
                interrupted = shown.startswith(INTERRUPT)
                shown = shown.removeprefix(f"{INTERRUPT}\n")
                yield Step(line, {"command": command, "interrupted": interrupted}, shown)
        else:
            assert kind == "text", f"line {line}: a {kind} block is not run"


def as_shown(shown: str, printed: str) -> bool:
    """Whether what was printed is what is shown, `...` standing for anything."""
    parts = (re.escape(part) for part in shown.split("..."))
    return re.fullmatch(".*?".join(parts), printed, re.DOTALL) is not None


def test_what_is_shown_is_compared() -> None:
    assert as_shown("a ... c\n", "a b c\n")
    assert not as_shown("a ... c\n", "a b c d\n")
    assert not as_shown("", "Traceback\n")
    found = list(steps("```console\n$ a \\\n    a\nb\n$ c\n```\n\n```python\nd\n```\n\n```text\ne\n```\n"))
    assert [step.shown for step in found] == ["b\n", "", "e\n"]
    assert found[0].asked["command"] == "a a"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_does_what_it_shows(tmp_path: Path, name: str) -> None:
    page = ROOT / "docs" / name
    (tmp_path / "torch").mkdir()
    nowhere = "http://127.0.0.1:9"
    with subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.tutorial_reader", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={
            **os.environ,
            "https_proxy": nowhere,
            "TORCH_HOME": str(tmp_path / "torch"),
            "OMP_NUM_THREADS": "1",  # small work, on which several threads wait for one another
        },
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        count = 0
        for step in steps(page.read_text(encoding="utf-8")):
            reader.stdin.write(json.dumps(step.asked) + "\n")
            reader.stdin.flush()
            printed = _STANDING.sub("", json.loads(reader.stdout.readline()))
            if not as_shown(step.shown, printed):
                where = f"{name}, line {step.line}: {step.asked}"
                pytest.fail(f"{where}\nprinted:\n{printed}\nis shown as:\n{step.shown}")
            count += 1
        reader.stdin.close()
        assert reader.wait(60) == 0
    assert count > PAGES[name]
