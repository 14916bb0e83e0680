"""Writes commands.md out of the commands themselves: `python docs/commands.py [--check]`.

By `--check` nothing is written; the exit status says whether the page is as it would be.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from netsounds_stream import errors
from netsounds_stream.cli.commands import cli
from netsounds_stream.cli.sections import MAIN, SectionedCommand

PAGE = Path(__file__).parent / "commands.md"
PROGRAM = "netsounds-stream"

_INTRODUCTION = r"""
# Commands

Written by `python docs/commands.py` out of the commands themselves; not edited. Results go to stdout,
progress and errors to stderr. An error is one line, which says what is wrong and how to fix it;
[Troubleshooting](troubleshooting.md) has more about each.

`--help` of a command with many options shows the main ones, `--help-all` shows all.

## Completion

A shell completes commands, options, choices and file names with Tab, after one line in its start-up file:

| shell | file | line |
| --- | --- | --- |
| bash 4.4 or later | `~/.bashrc` | `eval "$(_NETSOUNDS_STREAM_COMPLETE=bash_source netsounds-stream)"` |
| zsh | `~/.zshrc` | `eval "$(_NETSOUNDS_STREAM_COMPLETE=zsh_source netsounds-stream)"` |
| fish | `config.fish` | `env _NETSOUNDS_STREAM_COMPLETE=fish_source netsounds-stream \| source` |

## All commands
"""

_INTERRUPTED = "Stopped by Ctrl-C or a termination signal before anything was kept."
_SYSTEM = "The operating system refused a file or a folder."


def page() -> str:
    """All of commands.md."""
    with click.Context(cli, info_name=PROGRAM, **cli.context_settings) as context:
        parts = [_INTRODUCTION, *_overview(context), *_exit_statuses()]
        for name, command in cli.commands.items():
            with click.Context(command, info_name=name, parent=context) as inner:
                parts += _command(command, inner)
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _overview(context: click.Context) -> Iterator[str]:
    commands = [
        (f"[`{name}`](#{PROGRAM}-{name})", _prose(command).partition("\n\n")[0])
        for name, command in cli.commands.items()
    ]
    yield f"    {PROGRAM} [OPTIONS] COMMAND [ARGS]..."
    yield _table(("command", "what it does"), commands)
    yield _options(cli.get_params(context), context)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {PROGRAM} {context.info_name}"
    yield "    " + command.get_usage(context).removeprefix("Usage: ")
    yield _prose(command)
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    if arguments:
        told = ", ".join(
            f"`{each.human_readable_name.upper()}`" + ("" if each.required else " (may be left out)")
            for each in arguments
        )
        yield f"Arguments: {told}."
    assert isinstance(command, SectionedCommand)
    for section, options in command.sections(context).items():
        if section != MAIN:
            yield f"*{section}*"
        yield _options(options, context)


def _options(options: Iterable[click.Parameter], context: click.Context) -> str:
    rows = []
    for option in options:
        record = option.get_help_record(context) if isinstance(option, click.Option) else None
        if record is None:
            continue
        words, text = record
        default = re.search(r"\s*\[default: (.+?)\]", text)
        if default:
            text = text.replace(default[0], "")
        text = " ".join(text.split())
        rows.append((f"`{words}`", f"{default[1]}" if default else "", text))
    return _table(("option", "default", "what it does"), rows)


def _exit_statuses() -> Iterator[str]:
    rows = [(0, "", "Done."), (1, "", _SYSTEM), (130, "", _INTERRUPTED)]
    rows += [(kind.exit_status, f"`{kind.__name__}`", _first_line(kind)) for kind in _kinds()]
    yield "## Exit statuses"
    yield "From Python, the error of that name is raised."
    yield _table(("status", "error", "when"), [(str(status), *rest) for status, *rest in sorted(rows)])


def _kinds() -> Iterator[type[errors.NetsoundsError]]:
    """The kinds of error in `errors`, in their order there."""
    base = errors.NetsoundsError
    for each in vars(errors).values():
        if isinstance(each, type) and issubclass(each, base) and each is not base:
            yield each


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").splitlines()[0]


def _prose(command: click.Command) -> str:
    """A command's help, its paragraphs each on one line."""
    return "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    heads = tuple(heads)
    return "\n".join((line(heads), line("---" for _ in heads), *map(line, rows)))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the page is current")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == page():
        return 0
    print(f"{PAGE.name} is not what the commands are: python docs/commands.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
