"""Options in named sections: `--help` shows the main ones, `--help-all` every section.

click has no sections of its own; DESIGN.md says why these few lines stand here and no library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

MAIN = "Options"
PICTURE = "Picture and network"
FILES = "What is written"
SOUND = "Sound"
WINDOWED = "Windowed sound (the mix, and --method istft or griffin-lim)"
MACHINE = "Memory and devices"
LONG = "Long runs, clusters and object stores"
MESSAGES = "Messages"

#: In the order in which help shows them.
SECTIONS = (MAIN, PICTURE, FILES, SOUND, WINDOWED, MACHINE, LONG, MESSAGES)

_ALL = "netsounds_stream.help_all"  # in a context's meta: every section is shown
# A command with no more options shows them all.
_MOST_SHOWN = 14


class SectionedOption(click.Option):
    """An option of a section.

    Attributes:
        section: one of `SECTIONS`.
    """

    def __init__(self, *words: Any, section: str = MAIN, **more: Any) -> None:
        super().__init__(*words, **more)
        assert section in SECTIONS, section
        self.section = section


def option(section: str, *names: str, **more: Any) -> Decorator:
    """Return a decorator that adds an option to a command.

    Args:
        section: one of `SECTIONS`.
        names: names of the option.
        more: the other arguments of `click.option`. The default is shown unless they say otherwise.
    """
    more.setdefault("show_default", True)
    return click.option(*names, cls=SectionedOption, section=section, **more)


def stacked(*decorators: Decorator) -> Decorator:
    """Return one decorator that applies several, the first outermost."""

    def apply(command: Callable[..., None]) -> Callable[..., None]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


class SectionedCommand(click.Command):
    """A command whose help has sections.

    Attributes:
        shortened: whether `--help` shows the main section alone, and `--help-all` the others.
    """

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        options = [parameter for parameter in self.params if isinstance(parameter, click.Option)]
        self.shortened = len(options) > _MOST_SHOWN
        if self.shortened:
            self.params.append(
                SectionedOption(
                    ["--help-all"],
                    is_flag=True,
                    is_eager=True,
                    expose_value=False,
                    callback=_show_all,
                    help="Show all options and exit.",
                )
            )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections that this help shows."""
        everything = not self.shortened or ctx.meta.get(_ALL, False)
        for name, options in self.sections(ctx).items():
            if name == MAIN or everything:
                with formatter.section(name):
                    rows = [row for parameter in options if (row := parameter.get_help_record(ctx))]
                    formatter.write_dl(rows)
        if not everything:
            formatter.write_paragraph()
            formatter.write_text(f"{ctx.command_path} --help-all shows the other options too.")

    def sections(self, context: click.Context) -> dict[str, list[click.Parameter]]:
        """Sort this command's options into sections.

        Returns:
            The options by the name of their section, both in the order of help; no section is empty.
        """
        by_section: dict[str, list[click.Parameter]] = {name: [] for name in SECTIONS}
        for parameter in self.get_params(context):
            if parameter.param_type_name == "option":
                by_section[section_of(parameter)].append(parameter)
        return {name: options for name, options in by_section.items() if options}


def given_options() -> set[str]:
    """Return the names of the options that were given to the command that runs now."""
    context = click.get_current_context()
    defaults = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP, None)
    return {name for name in context.params if context.get_parameter_source(name) not in defaults}


def section_of(parameter: click.Parameter) -> str:
    """Return the section of an option; click's own are main ones."""
    return parameter.section if isinstance(parameter, SectionedOption) else MAIN


def _show_all(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        context.meta[_ALL] = True
        click.echo(context.get_help(), color=context.color)
        context.exit()
