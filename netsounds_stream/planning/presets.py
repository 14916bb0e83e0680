"""Presets: several options under one name, in the command line's words.

Options given besides a preset override it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

from .sound_options import NO_SCHEME, one_of

PresetName = Literal["netsounds", "features", "listen"]
PRESET_NAMES: tuple[PresetName, ...] = get_args(PresetName)


@dataclass(frozen=True)
class Preset:
    """Several options under one name.

    Attributes:
        makes: description of what such a run makes, in a few words.
        words: the options that differ from their defaults, as `options_from_words` takes them.
    """

    makes: str
    words: Mapping[str, Any]

    @property
    def options(self) -> str:
        """The same options as a command line."""
        arguments = []
        for name, value in self.words.items():
            option = f"--{name.replace('_', '-')}"
            if isinstance(value, bool):
                arguments.append(option if value else f"--no-{name}")
            else:
                values = (value,) if isinstance(value, str) else tuple(value) or (NO_SCHEME,)
                arguments += [f"{option} {each}" for each in values]
        return " ".join(arguments)


#: Presets by name. Unlike netsounds, which resized pictures to 256 pixels on the short edge, `netsounds`
#: keeps the picture's size.
PRESETS: Mapping[PresetName, Preset] = MappingProxyType(
    {
        "netsounds": Preset(
            "the sounds of netsounds, computed as it did",
            MappingProxyType(
                {
                    "scheme": ("sum", "concat"),
                    "balance": "filter",
                    "scale": "minmax",
                    "subtype": "FLOAT",
                    "normalize": False,
                    "mix": False,
                    "report": False,
                }
            ),
        ),
        "features": Preset(
            "the activations alone", MappingProxyType({"scheme": (), "mix": False, "report": False})
        ),
        "listen": Preset("the page and the sounds, no activations", MappingProxyType({"activations": False})),
    }
)


def preset_words(name: str | None) -> Mapping[str, Any]:
    """Look up a preset's options.

    Args:
        name: name of the preset; None for no preset.

    Returns:
        The options that it sets, as `options_from_words` takes them.

    Raises:
        OptionError: there is no such preset.
    """
    if name is None:
        return {}
    one_of("preset", name, PRESET_NAMES)
    return PRESETS[cast(PresetName, name)].words


def presets_help() -> str:
    """Describe for help texts what each preset makes and sets."""
    return "; ".join(f"{name}: {each.makes} ({each.options})" for name, each in PRESETS.items())
