"""Options of a run, as frozen values that are checked when built. Nothing here acts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from ..base.units import SHOWN_CHARACTERS, parse_bytes, parse_count
from ..errors import OptionError
from ..graph.layers import MOST_BANKS, Banks
from ..graph.usual import USUAL_NETWORK, usual_banks
from . import scala, scales
from .presets import PresetName, preset_words
from .reading import Reading, parse_stretch
from .sound_options import NO_SCHEME, SoundOptions, one_of

TimeAxis = Literal["auto", "x", "y"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Codec = Literal["lz4", "zstd", "pcodec", "none"]

TIME_AXES: tuple[TimeAxis, ...] = get_args(TimeAxis)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
DEVICES: tuple[Device, ...] = get_args(Device)
CODECS: tuple[Codec, ...] = get_args(Codec)

#: Names of weights that are not a file.
PRETRAINED = "pretrained"
UNTRAINED = "untrained"


def word_of(name: str) -> str:
    """Return the command line's word for a field of `SoundOptions`: the field's name without its unit."""
    return "scheme" if name == "schemes" else re.sub("_(hz|s|lufs|db)$", "", name)


_SOUND_WORDS = {word_of(each.name): each.name for each in fields(SoundOptions)}


@dataclass(frozen=True, kw_only=True)
class SonifyOptions:
    """All options of a run, as checked values.

    Each field is an option of `SonifyKeywords`, which describes it; budgets are in bytes, as `memory_bytes`.
    `sound` holds the options of the sound. `preset` is a note for the record and has no effect by itself. No
    `banks` are all that the network has; how many these are, other networks say when they are loaded
    (`with_banks`).

    Raises:
        OptionError: an option has a value that cannot be used, or options cannot be used together.

    Example:
        >>> from netsounds_stream import SonifyOptions, SoundOptions
        >>> options = SonifyOptions(size=512, banks=(2, 1), sound=SoundOptions(stereo=True))
        >>> options.banks, options.memory_bytes
        ((1, 2), None)
    """

    size: int | None = None
    channels: tuple[int, ...] | None = None
    page: int | None = None
    stretch: str | None = None
    profile: bool = True
    network: str = USUAL_NETWORK
    layers: tuple[str, ...] | None = None
    weights: str = "pretrained"
    normalize: bool = True
    time_axis: TimeAxis = "auto"
    precision: Precision = "auto"
    device: Device = "auto"
    banks: tuple[int, ...] = ()
    codec: Codec = "lz4"
    activations: bool = True
    sum_maps: bool = True
    report: bool = True
    single_file: bool = False
    memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None
    max_pixels: int | None = None
    label: str | None = None
    preset: PresetName | None = None
    sound: SoundOptions = field(default_factory=SoundOptions)

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise OptionError(f"size cannot be {self.size}; use 'native' or the short edge's pixels")
        self._check_reading()
        self._check_network()
        self._check_products()
        one_of("time axis", self.time_axis, TIME_AXES)
        one_of("precision", self.precision, PRECISIONS)
        one_of("device", self.device, DEVICES)
        one_of("codec", self.codec, CODECS)
        self._check_limits()
        self._check_label()

    def _check_reading(self) -> None:
        if self.channels is not None and (len(self.channels) not in (1, 3) or min(self.channels) < 1):
            raise OptionError(
                f"channels cannot be {','.join(map(str, self.channels)) or 'empty'}; give one, or three as "
                f"red, green and blue, such as 4,3,2, counted from 1"
            )
        if self.page is not None and self.page < 1:
            raise OptionError(f"page cannot be {self.page}; pages are counted from 1")
        if self.stretch is not None:
            parse_stretch(self.stretch)

    def _check_network(self) -> None:
        if not isinstance(self.network, str):
            raise OptionError(
                f"network is a {type(self.network).__name__}; give a name, or a function as file.py:function"
            )
        if not self.network:
            raise OptionError("no network is named; give one, or leave it out")
        if self.layers is not None and not 1 <= len(self.layers) <= MOST_BANKS:
            raise OptionError(f"{len(self.layers)} layers are given; give 1 to {MOST_BANKS}")
        if len(set(self.banks)) < len(self.banks):
            raise OptionError("a bank is given twice; give each once")
        object.__setattr__(self, "banks", tuple(sorted(self.banks)))
        if self.layers is not None:
            self._set_banks(len(self.layers))
        elif self.network == USUAL_NETWORK:
            self._set_banks(len(usual_banks().banks))
            self._check_filters(usual_banks())
        elif self.banks and self.banks[0] < 1:
            raise OptionError(f"there is no bank {self.banks[0]}; they are counted from 1")

    def _set_banks(self, count: int) -> None:
        """Check the banks' numbers against how many there are; all are wanted where none is named."""
        for number in self.banks:
            if number not in range(1, count + 1):
                there = ", ".join(map(str, range(1, count + 1)))
                raise OptionError(f"there is no bank {number}; use some of {there}")
        if not self.banks:
            object.__setattr__(self, "banks", tuple(range(1, count + 1)))

    def _check_products(self) -> None:
        if self.sound.preview_s is not None:  # a preview's arrays could be mistaken for the whole picture's
            object.__setattr__(self, "activations", False)
        if not (self.activations or self.report or self.sound.mix or self.sound.schemes):
            raise OptionError("the run would make no arrays, no sound and no page; ask for one of them")
        if self.report and not (self.sound.mix or self.sound.schemes):
            raise OptionError(
                "a page needs a sound: leave out --no-mix or --scheme none, or give --no-report"
            )
        if self.single_file and not self.report:
            raise OptionError("the single file holds the page: leave out --no-report, or --single-file")

    def _check_limits(self) -> None:
        for name, budget in (("memory", self.memory_bytes), ("GPU memory", self.gpu_memory_bytes)):
            if budget is not None and budget < 1:
                raise OptionError(f"{name} cannot be {budget} bytes; use a size such as 1GiB")
        if self.max_pixels is not None and self.max_pixels < 1:
            raise OptionError(f"max pixels cannot be {self.max_pixels}; use a number such as 100M")

    def _check_filters(self, banks: Banks) -> None:
        if self.sound.filters is None:
            return
        for number in self.banks:
            last = banks.bank(number).channels - 1
            if self.sound.filters[-1] > last:
                raise OptionError(
                    f"bank {number} has no filter {self.sound.filters[-1]}: its filters are 0 to {last}; "
                    f"give others, or other --banks"
                )

    def _check_label(self) -> None:
        if self.label is None:
            return
        if any("\ud800" <= character <= "\udfff" for character in self.label):  # undecoded bytes
            raise OptionError(f"the label {self.label!a} is not UTF-8; give another, or leave --label out")
        if not self.label.strip():
            raise OptionError("the label is empty; give a word, or leave --label out")

    def with_banks(self, banks: Banks) -> SonifyOptions:
        """Check banks and filters against those of the network.

        Args:
            banks: the network's banks.

        Returns:
            The options, with the numbers of all banks where none is named.

        Raises:
            OptionError: a bank or a filter does not exist.
        """
        checked = replace(self)
        checked._set_banks(len(banks.banks))
        checked._check_filters(banks)
        return checked

    @property
    def reading(self) -> Reading:
        """The options of reading the picture's file."""
        stretch = None if self.stretch is None else parse_stretch(self.stretch)
        return Reading(channels=self.channels, page=self.page, stretch=stretch, profile=self.profile)

    @property
    def predicts(self) -> bool:
        """True if the network's prediction is averaged over the whole picture.

        Where no page shows it, it is not worth the layers beyond the last bank; SqueezeNet has one of them.
        """
        return self.report or self.network == USUAL_NETWORK

    @property
    def maps(self) -> bool:
        """True if the sums that the mix is made of are kept: of a whole picture that has a mix."""
        return self.sum_maps and self.sound.mix and self.sound.preview_s is None

    @property
    def stored(self) -> bool:
        """True if activations go through a store at all, permanent or temporary."""
        return self.activations or not self.sound.one_pass


def options_from_words(**words: Any) -> SonifyOptions:
    """Build options from the command line's words.

    Args:
        **words: `scheme`, `sample_rate`, `duration` and the like for the sound, named without the units of
            `SoundOptions`; `root` as a note or hertz, `scale_notes` also as a Scala file, which is read;
            `memory` and `gpu_memory` as '1GiB' or bytes; `max_pixels` as '100M' or a number; `size` as pixels
            or 'native'; `channels` as '4,3,2', a number or several; the rest as the fields of
            `SonifyOptions`. A `preset` sets those of its words that are not given.

    Returns:
        The options, checked.

    Raises:
        OptionError: a word or its value is unknown.
    """
    words = {**preset_words(words.get("preset")), **words}
    sound = {name: words.pop(name) for name in list(words) if name in _SOUND_WORDS}
    for name in ("memory", "gpu_memory"):
        if name in words:
            budget = words.pop(name)
            words[f"{name}_bytes"] = parse_bytes(budget) if isinstance(budget, str) else budget
    if isinstance(words.get("max_pixels"), str):
        words["max_pixels"] = parse_count(words["max_pixels"])
    if isinstance(words.get("weights"), Path):
        words["weights"] = str(words["weights"])
    if isinstance(words.get("size"), str):
        words["size"] = parse_size(words["size"])
    if (channels := words.get("channels")) is not None:
        if isinstance(channels, str):
            channels = parse_numbers("channels", channels)
        words["channels"] = (channels,) if isinstance(channels, int) else tuple(channels)
    if "banks" in words:
        banks = words["banks"]
        if isinstance(banks, str):
            banks = parse_banks(banks)
        words["banks"] = (banks,) if isinstance(banks, int) else tuple(banks)
        if not words["banks"]:
            raise OptionError("no bank is given; give numbers such as 1,2, or leave banks out")
    if (names := words.get("layers")) is not None:
        words["layers"] = parse_names(names) if isinstance(names, str) else tuple(names)
    known = {each.name for each in fields(SonifyOptions)} - {"sound"}
    unknown = sorted(set(words) - known)
    if unknown:
        names = sorted(known - {"memory_bytes", "gpu_memory_bytes"} | {"memory", "gpu_memory", *_SOUND_WORDS})
        raise OptionError(f"there is no option {unknown[0]!r}; the options are {', '.join(names)}")
    return SonifyOptions(**words, sound=sound_from_words(**sound))


def resolve_options(options: SonifyOptions | None, words: Mapping[str, Any]) -> SonifyOptions:
    """Accept options as a value or as keywords.

    Args:
        options: the options as a value, or None.
        words: the options as keywords, see `options_from_words`.

    Returns:
        The options, checked.

    Raises:
        OptionError: both forms are given; or a keyword, or its value, is unknown.
    """
    if options is not None and words:
        raise OptionError(f"give options, or words such as {next(iter(words))}=, not both")
    return options or options_from_words(**words)


def sound_from_words(**words: Any) -> SoundOptions:
    """Build the sound's options from the command line's words.

    Args:
        **words: as `options_from_words` takes them. `scheme` may be one or several; 'none' or () for no file
            of any bank; None for the default.

    Returns:
        The options, checked.

    Raises:
        OptionError: a word or its value is unknown.
    """
    sound = sound_words(words)
    if (wanted := sound.pop("schemes", None)) is not None:
        schemes = (wanted,) if isinstance(wanted, str) else tuple(wanted)
        if NO_SCHEME in schemes and len(schemes) > 1:
            raise OptionError(f"scheme {NO_SCHEME!r} means no scheme at all; give it alone")
        sound["schemes"] = () if schemes == (NO_SCHEME,) else schemes
    if (filters := sound.get("filters")) is not None:
        sound["filters"] = parse_numbers("filters", filters) if isinstance(filters, str) else tuple(filters)
    return SoundOptions(**sound)


def sound_words(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sound's options by the names of `SoundOptions`.

    Args:
        words: options by the command line's words.

    Raises:
        OptionError: a word is unknown.
    """
    unknown = sorted(set(words) - set(_SOUND_WORDS))
    if unknown:
        raise OptionError(
            f"there is no option {unknown[0]!r}; the options are {', '.join(sorted(_SOUND_WORDS))}"
        )
    sound = {_SOUND_WORDS[name]: value for name, value in words.items()}
    if isinstance(root := sound.get("root_hz"), str):
        sound["root_hz"] = scales.parse_root(root)
    if (notes := sound.get("scale_notes")) is not None and scala.is_scala(str(notes)):
        sound["scale_notes"] = scales.in_cents(scala.read_scala(Path(notes)))
    return sound


def parse_size(text: str) -> int | None:
    """Parse the option `size`.

    Returns:
        The short edge in pixels; None for 'native'.

    Raises:
        OptionError: `text` is neither.
    """
    if text == "native":
        return None
    if not re.fullmatch(r"-?[0-9]{1,8}", text):
        raise OptionError(
            f"size cannot be {text[:SHOWN_CHARACTERS]!r}; use 'native' or the short edge's pixels"
        )
    return int(text)


def parse_banks(text: str) -> tuple[int, ...]:
    """Parse bank numbers, such as '1,2,4'."""
    return parse_numbers("banks", text)


def with_whole_paths(options: SonifyOptions) -> SonifyOptions:
    """Return options that hold in any folder: weights and code in files by their whole paths."""
    if options.weights not in (PRETRAINED, UNTRAINED):
        options = replace(options, weights=str(Path(options.weights).absolute()))
    place, separator, function = options.network.rpartition(":")
    if separator and place.endswith(".py"):
        options = replace(options, network=f"{Path(place).absolute()}:{function}")
    return options


def parse_names(text: str) -> tuple[str, ...]:
    """Parse names of layers, such as 'layer1,layer2'."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_numbers(name: str, text: str) -> tuple[int, ...]:
    """Parse a list of numbers such as '1,2,4'.

    Args:
        name: name of the option, for the error.
        text: numbers with commas between them.

    Raises:
        OptionError: `text` is not a list of numbers.
    """
    if not re.fullmatch(r"\s*-?[0-9]{1,8}(\s*,\s*-?[0-9]{1,8})*\s*", text):
        raise OptionError(f"{name} cannot be {text[:SHOWN_CHARACTERS]!r}; write them as 1,2,3")
    return tuple(int(number) for number in text.split(","))
