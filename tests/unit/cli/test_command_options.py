"""The commands' options: sections, help texts that stand alone, choices that shells complete."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from netsounds_stream.cli.commands import cli
from netsounds_stream.cli.sections import MAIN, SectionedCommand, SectionedOption, section_of
from tests.helpers.reference import PROGRAM

LONG = ("sonify", "plan", "batch", "render")


def options() -> Iterator[tuple[str, click.Option]]:
    """Every option of every command, by the command's name."""
    for name, command in cli.commands.items():
        for each in command.params:
            if isinstance(each, click.Option):
                yield name, each


def test_every_option_has_a_section_and_a_help_that_stands_alone() -> None:
    for name, each in options():
        where = f"{name} {each.opts[0]}"
        assert isinstance(each, SectionedOption), where
        text = re.sub(r"\s*\[default: .+\]$", "", each.help or "")
        assert re.fullmatch(r"[A-Z].+\.", text, re.DOTALL), where
        assert len(text.split()) > 2, where
        assert not re.match(r"(Of|With|By|In|And|The \w+'s)\b", text), where


@pytest.mark.parametrize("name", LONG)
def test_help_shows_the_main_options_and_help_all_the_rest(name: str) -> None:
    command = cli.commands[name]
    assert isinstance(command, SectionedCommand)
    short, long = (CliRunner().invoke(cli, [name, word]).output for word in ("--help", "--help-all"))
    for each in command.params:
        if isinstance(each, click.Option):
            assert each.opts[0] in long
            assert bool(re.search(rf"^  {each.opts[0]}\b", short, re.MULTILINE)) == (section_of(each) == MAIN)
    assert f"{name} --help-all shows" in short
    assert len(re.findall(r"^  -", short, re.MULTILINE)) <= 16
    for section in command.sections(click.Context(command)):
        assert f"{section}:\n" in long


def test_a_command_with_few_options_shows_them_all() -> None:
    text = CliRunner().invoke(cli, ["resume", "--help"]).output
    assert "--segment-rows" in text and "--help-all" not in text


@pytest.mark.process
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("sonify --codec ", "plain,lz4 plain,zstd plain,pcodec plain,none"),
        ("sonify --weights u", "plain,untrained"),
        ("sonify --weights x", "file,x"),
        ("plot --reduce m", "plain,mean plain,max"),
        ("pl", "plain,plan plain,plot"),
    ],
)
def test_shells_complete_choices(words: str, offered: str) -> None:
    line = f"netsounds-stream {words}".split(" ")
    asked = {
        "COMP_WORDS": " ".join(line),
        "COMP_CWORD": str(len(line) - 1),
        "_NETSOUNDS_STREAM_COMPLETE": "bash_complete",
    }
    done = subprocess.run([PROGRAM], env={**os.environ, **asked}, capture_output=True, text=True, check=False)
    assert done.stdout.split() == offered.split(), done.stderr
