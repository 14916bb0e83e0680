"""Options without effect: the table of conditions, each met and not met."""

from __future__ import annotations

from typing import Any

import pytest

from netsounds_stream.cli.commands import cli
from netsounds_stream.planning.option_effects import CONDITIONS, Request, without_effect
from netsounds_stream.planning.options import options_from_words

RAW: dict[str, Any] = {"mix": False}  # nothing windowed is made
HOW = ("cluster", "url")

#: Options that were given; words with which they have no effect; words with which they have one.
TABLE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("iterations", {"method": "istft"}, {"method": "griffin-lim"}),
    ("iterations", {"scale_notes": "major"}, {"mix": True}),
    ("phase", {"scale_notes": "major"}, {"mix": True}),
    ("root", {"root": "A2"}, {"scale_notes": "major"}),
    ("root", {**RAW, "scale_notes": "major"}, {**RAW, "scale_notes": "major", "method": "istft"}),
    *(
        (name, RAW, words)
        for name in (
            "duration",
            "frequency",
            "fmin",
            "fmax",
            "flip_frequency",
            "scale_notes",
            "equal_loudness",
            "contrast",
            "phase",
            "fft_size",
            "hop",
            "seed",
        )
        for words in ({"mix": True}, {"mix": False, "method": "istft"})
    ),
    *(
        (name, {**RAW, "scheme": "none", "report": False}, RAW)  # a page needs a sound
        for name in (
            "method",
            "balance",
            "scale",
            "top",
            "filters",
            "loudness",
            "sample_rate",
            "resample",
            "format",
        )
    ),
    ("bank_fall", {**RAW, "method": "istft"}, {"mix": True}),
    ("pan", RAW, {"mix": True}),
    ("pan", {**RAW, "stereo": True, "scheme": "concat"}, {**RAW, "stereo": True, "scheme": "sum"}),
    ("stereo", {"stereo": True, "scheme": "filters"}, {"stereo": True, "scheme": ("sum", "concat")}),
    ("subtype", {"format": "ogg"}, {"format": "flac"}),
    ("codec", {"activations": False, "scheme": "sum"}, {"activations": False, "scheme": "concat"}),
    ("activations", {"preview": 1.0}, {}),
    ("sum_maps", {"preview": 1.0}, {}),
    ("sum_maps", {"mix": False}, {}),
    ("gpu_memory", {"device": "cpu"}, {"device": "cuda"}),
    ("segment_rows", {}, {"cluster": True}),
    ("work", {}, {"url": True}),
]


def request(words: dict[str, Any]) -> Request:
    how = {name: words[name] for name in HOW if name in words}
    return Request(options_from_words(**{name: words[name] for name in words if name not in HOW}), **how)


@pytest.mark.parametrize(("name", "idle", "needed"), TABLE)
def test_an_option_without_effect(name: str, idle: dict[str, Any], needed: dict[str, Any]) -> None:
    (note,) = without_effect(request(idle), {name})
    assert note.startswith(f"--{name.replace('_', '-')} has no effect without ")
    assert not without_effect(request(needed), {name})
    assert not without_effect(request(idle), {"banks"})  # nobody gave it


def test_options_of_one_condition_share_a_note() -> None:
    assert without_effect(request(RAW), {"hop", "fmin", "pan"}) == (
        "--fmin and --hop have no effect without windowed sound (the mix, or --method istft or griffin-lim)",
        "--pan has no effect without stereo (the mix, or --stereo with --scheme sum)",
    )


def test_the_table_is_whole_and_names_options() -> None:
    named = {name for condition in CONDITIONS for name in condition.names}
    assert named == {name for name, _, _ in TABLE}
    assert named <= {each.name for each in cli.commands["sonify"].params}
