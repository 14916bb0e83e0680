"""Presets: options under one name, by the words that the command line has for them.

Single options given beside a preset win over it.
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
    """Options under one name.

    Attributes:
        makes: what a run with it makes, in a few words.
        words: the options that differ from their defaults, as `options_from_words` takes them.
    """

    makes: str
    words: Mapping[str, Any]

    @property
    def options(self) -> str:
        """The same as options of the command line."""
        found = []
        for name, value in self.words.items():
            option = f"--{name.replace('_', '-')}"
            if isinstance(value, bool):
                found.append(option if value else f"--no-{name}")
            else:
                given = (value,) if isinstance(value, str) else tuple(value) or (NO_SCHEME,)
                found += [f"{option} {each}" for each in given]
        return " ".join(found)


#: By name. `netsounds` leaves the picture its size, which netsounds made 256 pixels on the short edge.
PRESETS: Mapping[PresetName, Preset] = MappingProxyType(
    {
        "netsounds": Preset(
            "what netsounds made, as it made it",
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
    """Return the options of the preset of that name; none for None.

    Raises:
        OptionError: there is no such preset.
    """
    if name is None:
        return {}
    one_of("preset", name, PRESET_NAMES)
    return PRESETS[cast(PresetName, name)].words


def presets_help() -> str:
    """Return what each preset makes and sets, for help texts."""
    return "; ".join(f"{name}: {each.makes} ({each.options})" for name, each in PRESETS.items())
