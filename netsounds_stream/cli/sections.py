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
# Up to so many options are read at a glance.
_SHOWN_WHOLE = 14


class SectionedOption(click.Option):
    """An option that belongs to one of `SECTIONS`."""

    def __init__(self, *words: Any, section: str = MAIN, **more: Any) -> None:
        super().__init__(*words, **more)
        assert section in SECTIONS, section
        self.section = section


def option(section: str, *names: str, **more: Any) -> Decorator:
    """Add an option to a command, in a section; arguments are those of `click.option`."""
    more.setdefault("show_default", True)
    return click.option(*names, cls=SectionedOption, section=section, **more)


def stacked(*decorators: Decorator) -> Decorator:
    """Join several decorators into one."""

    def apply(command: Callable[..., None]) -> Callable[..., None]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


class SectionedCommand(click.Command):
    """A command whose help has sections; `--help-all` is there where `--help` leaves some out."""

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        options = [each for each in self.params if isinstance(each, click.Option)]
        self.shortened = len(options) > _SHOWN_WHOLE
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
                    formatter.write_dl([record for each in options if (record := each.get_help_record(ctx))])
        if not everything:
            formatter.write_paragraph()
            formatter.write_text(f"{ctx.command_path} --help-all shows the other options too.")

    def sections(self, context: click.Context) -> dict[str, list[click.Parameter]]:
        """Return this command's options by section, both in the order of help."""
        found: dict[str, list[click.Parameter]] = {name: [] for name in SECTIONS}
        for each in self.get_params(context):
            if each.param_type_name == "option":
                found[section_of(each)].append(each)
        return {name: options for name, options in found.items() if options}


def given_options() -> set[str]:
    """Return the names of the options that were given to the command now running."""
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
