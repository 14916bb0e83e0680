"""`render ARRAY`: sound from stored activations, without the network."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ..base import machine
from ..base.journal import Journal
from ..base.pipeline import workers
from ..base.progress import Listener, Stages
from ..base.versions import PACKAGE, versions
from ..errors import OptionError, OutputError
from ..graph.layers import Bank
from ..graph.usual import usual_banks
from ..planning.options import sound_from_words
from ..planning.plan import AudioPlan, Stft
from ..planning.planner import split_threads
from ..planning.sound_options import FORMATS, SoundOptions
from ..planning.sound_plan import audio_plan, stft_plan
from ..sound.bank import BankSound, BankSums
from ..sound.context import StageContext
from ..sound.raw import RawSound
from ..sound.tags import Tags
from ..sound.windowed import Windowing
from ..store.arrays import Activations, open_activations

_BLOCK_VALUES = 1 << 20


def render_array(
    array: Path,
    target: Path,
    *,
    scheme: str,
    time_axis: str | None,
    overwrite: bool = False,
    on_progress: Listener | None = None,
    words: Mapping[str, Any],
) -> AudioPlan:
    """Make a sound file from stored activations; see `render.render`.

    Args:
        array: the activations.
        target: the sound file.
        scheme: 'sum' or 'concat'.
        time_axis: 'x' or 'y'; None: what the array's attributes say, else its long edge.
        overwrite: replace a file that exists.
        on_progress: called as the work goes on, from any thread.
        words: options of the sound by keyword.

    Returns:
        The plan of the file.

    Raises:
        OptionError: an option or its value is unknown.
        StoreError: the array cannot be read.
        OutputError: the file exists, or cannot be written; an existing file is kept.
    """
    if scheme not in ("sum", "concat"):
        raise OptionError(f"render writes one file: scheme cannot be {scheme!r}; use sum or concat")
    sound = _options_of(target, scheme, words)
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists already; use --overwrite to replace it, or another name")
    machine.tune_heap()
    source = open_activations(array, time_axis)
    if sound.filters is not None and sound.filters[-1] >= source.channels:
        raise OptionError(
            f"{array} has no filter {sound.filters[-1]}: its filters are 0 to {source.channels - 1}; give "
            f"others"
        )
    _, rows, _, _ = known_of(source)
    stft = stft_plan(rows, sound)
    audio = audio_plan(scheme, source.channels, source.frames, source.frequencies, sound, stft)
    with (
        tempfile.TemporaryDirectory(prefix=f".{target.name}.partial-", dir=target.parent) as temporary,
        workers(*split_threads(torch.get_num_threads())) as pipeline,
    ):
        partial = Path(temporary) / target.name
        (folder := Path(temporary) / "temporary").mkdir()
        context = StageContext(
            options=sound,
            journal=Journal.nowhere(),
            pipeline=pipeline,
            temporary=folder,
            tags=_tagging(source, sound),
        )
        bank = _bank_sound(source, context, stft)
        bank.write([(audio, [partial])], Stages(on_progress), BankSums(spectra={}))
        partial.replace(target)
    return audio


def _options_of(target: Path, scheme: str, words: Mapping[str, Any]) -> SoundOptions:
    """Return the options of the sound; the format is that of the file's suffix, unless it is named."""
    named = dict(words)
    if target.suffix[1:] in FORMATS:
        named.setdefault("format", target.suffix[1:])
    if named.pop("mix", False):
        raise OptionError("a mix is made of several banks: give a run in place of an array")
    return sound_from_words(**{**named, "scheme": scheme, "mix": False})


def _tagging(source: Activations, sound: SoundOptions) -> Callable[[str, str], Tags]:
    """Return what tags a file, given the number of its bank and its scheme."""
    _, _, picture, label = known_of(source)

    def tags(bank: str, scheme: str) -> Tags:
        return Tags(
            title=f"{label}, {scheme}",
            picture=picture,
            label=label,
            scheme=scheme,
            method="notes" if sound.windowed and sound.scale_notes else sound.method,
            software=f"{PACKAGE} {versions()[PACKAGE]}",
            bank=bank,
        )

    return tags


def _bank_sound(source: Activations, context: StageContext, stft: Stft | None) -> BankSound:
    """Return the sound of an array's bank; `stft`, sizes of frames where it is windowed."""
    number, _, _, _ = known_of(source)
    windowing = None
    if stft is not None:
        flipped = (source.time_axis == "x") != context.options.flip_frequency
        windowing = Windowing(context=context, stft=stft, flipped=flipped)
    raw = RawSound(context=context, number=number, stage="sound", stored=source, block_values=_BLOCK_VALUES)
    return BankSound(raw=raw, windowing=windowing, whole_frames=source.frames)


def known_of(source: Activations) -> tuple[int, int, str, str]:
    """Read an array's origin from its attributes.

    Returns:
        The bank's number (0: unknown), bank 1's rows along time, the picture's name, and the label. The rows
        are the array's own where it is none of the usual banks: what bank 1 was is not known then.
    """
    about = source.attributes
    try:
        picture = about["picture"]
        along = int(picture["resized_width" if source.time_axis == "x" else "resized_height"])
        rows = source.frames
        if any(_is_of(about, bank) for bank in usual_banks().banks):
            rows = usual_banks().length(1, "x" if source.time_axis == "x" else "y", along)
        return int(about["bank"]), rows, str(picture["name"]), str(about["label"])
    except (LookupError, TypeError, ValueError):  # an array of another origin
        return 0, source.frames, "", ""


def _is_of(about: Mapping[str, Any], bank: Bank) -> bool:
    """Return whether an array's attributes are a bank's; other networks have layers of the same names."""
    facts = ("bank", "layer", "stride_pixels", "offset_pixels", "receptive_field_pixels")
    return [about[fact] for fact in facts] == [
        bank.number,
        bank.layer,
        bank.stride,
        bank.y.offset,
        bank.y.field,
    ]
