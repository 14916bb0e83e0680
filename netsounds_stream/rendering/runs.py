"""`render RUN`: the mix of a finished run made again from its sum maps, without the network."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..base import machine
from ..base.journal import Journal
from ..base.pipeline import Pipeline, workers
from ..base.progress import Listener, Stages
from ..errors import OptionError, OutputError, StoreError
from ..graph.layers import Bank
from ..planning.options import parse_banks, sound_words
from ..planning.plan import AudioPlan, Plan, Stft
from ..planning.planner import split_threads
from ..planning.sound_options import FORMATS, SoundOptions
from ..planning.sound_plan import audio_plan, clipped_duration_s, stems_plan, stft_of
from ..run.layout import Layout, file_label
from ..run.record import recorded_options, recorded_plan, tags_of
from ..run.record_file import finished_record
from ..sound.background import Background
from ..sound.context import StageContext
from ..sound.mix import bank_levels, mix_work, write_mix
from ..sound.spectra import SpectraMap, SpectraSpool
from ..sound.windowed import Windowing
from ..store.sum_maps import SIDES, SumMap
from .paths import Along, Region, parse_path, parse_region
from .paths import Path as PicturePath
from .scans import BankMap, rows_of, scan_of

# Options that the sums in a map follow from.
_SUMMED = ("balance", "pan", "top", "filters")


@dataclass(frozen=True, kw_only=True)
class FinishedSums:
    """The sum maps of a finished run, and what is recorded of it.

    Attributes:
        folder: the run's folder.
        record: its record.
        plan: its plan.
        sound: its options of the sound.
        maps: its sum maps, by the banks' numbers.
        picture: the whole picture.
    """

    folder: Path
    record: Mapping[str, Any]
    plan: Plan
    sound: SoundOptions
    maps: Mapping[int, BankMap]
    picture: Region

    @property
    def banks(self) -> dict[int, Bank]:
        """The maps' banks by their numbers."""
        return {number: each.bank for number, each in self.maps.items()}


def open_sums(
    folder: Path, banks: Sequence[int] | None = None, *, otherwise: str = ", or give one of its arrays"
) -> FinishedSums:
    """Open the sum maps of a finished run.

    Args:
        folder: the run's folder.
        banks: numbers of the banks; None: all that the run has.
        otherwise: what else can be done where it keeps none, as the end of a message.

    Returns:
        The maps, of which nothing is read yet.

    Raises:
        OptionError: the run has no such bank.
        OutputError: there is no finished run.
        StoreError: the run keeps no sum maps, or one is damaged.
    """
    record = finished_record(folder)
    plan = recorded_plan(record)
    if not plan.sum_maps:
        raise StoreError(
            f"{folder} keeps no sums of its banks; make the run again with --sum-maps and a mix{otherwise}"
        )
    planned = {bank.number: bank.bank for bank in plan.banks}
    for number in banks or ():
        if number not in planned:
            raise OptionError(f"the run has no bank {number}; use some of {', '.join(map(str, planned))}")
    layout = Layout(folder, file_label(record["label"]), "")
    picture = Region(x=0, y=0, width=plan.width, height=plan.height)
    maps = {}
    for number in banks or planned:
        stored = SumMap(layout.sum_map(number))
        known = stored.attributes["background"]
        background = Background(
            even=torch.tensor(known["even"]),
            margin=torch.tensor(known["margin"]),
            noise=known["noise"],
            border=known["border"],
        )
        maps[number] = BankMap(bank=planned[number], stored=stored, background=background, picture=picture)
    sound = recorded_options(dict(record)).sound
    return FinishedSums(folder=folder, record=record, plan=plan, sound=sound, maps=maps, picture=picture)


def render_run(
    run: Path,
    out: Path,
    *,
    banks: Sequence[int] | str | None = None,
    path: str | None = None,
    path_width: float | None = None,
    region: str | None = None,
    stems: bool = False,
    overwrite: bool = False,
    on_progress: Listener | None = None,
    words: Mapping[str, Any],
) -> AudioPlan:
    """Make a finished run's mix again; see `render`.

    Args:
        run: the run's folder.
        out: the sound file.
        banks: numbers of the banks in the mix; None: all that the run has.
        path: the path across the picture; None: along the run's time axis.
        path_width: width of the band that a line or a curve passes over, in pixels.
        region: the part of the picture that is heard; None: all of it.
        stems: write each bank's part beside the mix.
        overwrite: replace files that exist.
        on_progress: called as the work goes on, from any thread.
        words: options of the sound that differ from the run's.

    Returns:
        The plan of the mix.

    Raises:
        NetsoundsError: an option cannot be used, the run keeps no sum maps, or a file cannot be written.
    """
    numbers = parse_banks(banks) if isinstance(banks, str) else banks
    source = open_sums(run, numbers)
    way, heard = way_of(source, path, region, path_width)
    sound = _sound_of(source, out, words, stems=stems)
    stft = _stft_of(source, sound, way)
    audio = audio_plan("mix", channels=0, frames=0, frequencies=0, sound=sound, stft=stft)
    stem = stems_plan(audio, len(source.maps)) if stems else None
    targets = {number: out.with_name(f"{out.stem}-stem-{number}{out.suffix}") for number in source.maps}
    for target in (out, *(targets.values() if stems else ())):
        if target.exists() and not overwrite:
            raise OutputError(f"{target} exists already; use --overwrite to replace it, or another name")
    machine.tune_heap()
    with (
        tempfile.TemporaryDirectory(prefix=f".{out.name}.partial-", dir=out.parent) as folder,
        workers(*split_threads(torch.get_num_threads())) as pipeline,
        ExitStack() as stack,
    ):
        partial_of = {target: Path(folder) / target.name for target in (out, *targets.values())}
        (temporary := Path(folder) / "temporary").mkdir()
        windowing = _windowing(source, sound, stft, temporary, pipeline)
        stages = Stages(on_progress)
        spools = _spectra(source, way, heard, windowing, stages, stack)
        parts = {
            number: [] if stem is None else [(stem, partial_of[targets[number]])] for number in source.maps
        }
        levels = bank_levels(source.banks, sound.bank_fall_db)
        with stages.stage("mix", mix_work(audio.temporary_bytes // 4, sound, parts), "samples") as advance:
            write_mix(windowing, spools, partial_of[out], audio, advance, parts, levels)
        for target, made in partial_of.items():
            if made.exists():
                made.replace(target)
    return audio


def way_of(
    source: FinishedSums, path: str | None, region: str | None, path_width: float | None
) -> tuple[PicturePath, Region]:
    """Return the way across a run's picture, and the part of it that is heard.

    Args:
        source: the run.
        path: the path; None: along the run's time axis.
        region: the part; None: the whole picture.
        path_width: width of the band that a line or a curve passes over, in pixels.

    Raises:
        OptionError: one of them cannot be used.
    """
    heard = source.picture if region is None else parse_region(region, source.plan.width, source.plan.height)
    return parse_path(path or source.plan.time_axis, source.picture, heard, path_width), heard


def _sound_of(source: FinishedSums, out: Path, words: Mapping[str, Any], *, stems: bool) -> SoundOptions:
    """Return the run's options of the sound, with those that are given in their place."""
    given = dict(words)
    for name in ("scheme", "stereo", *_SUMMED):
        if name in given:
            raise OptionError(
                f"--{name} has no effect on a run's sums; give one of its arrays, or make the run again"
            )
    if out.suffix[1:] in FORMATS:
        given.setdefault("format", out.suffix[1:])
    if "scale_notes" in given and (given["scale_notes"] is None) != (source.sound.scale_notes is None):
        given.setdefault("fft_size", None)  # the usual one: it is another with notes
    return replace(source.sound, **sound_words(given), schemes=(), mix=True, stems=stems, preview_s=None)


def _stft_of(source: FinishedSums, sound: SoundOptions, way: PicturePath) -> Stft:
    """Plan the frames: as long as they are wanted, or at the pace of the run's own mix."""
    return stft_of(seconds_of(source, sound, way), sound)


def seconds_of(source: FinishedSums, sound: SoundOptions, way: PicturePath) -> float:
    """Return how long a path sounds: as long as is wanted, or at the pace of the run's own mix.

    Args:
        source: the run.
        sound: options of the sound.
        way: the path.

    Returns:
        Seconds.
    """
    made = source.plan.stft
    assert made is not None
    if sound.duration_s is not None:
        return sound.duration_s
    seconds = made.samples / source.sound.sample_rate_hz
    plan = source.plan
    if isinstance(way, Along) and way.axis == plan.time_axis and way.region == source.picture:
        return seconds
    along = plan.width if plan.time_axis == "x" else plan.height
    return clipped_duration_s(seconds * way.length / along)


def _windowing(
    source: FinishedSums, sound: SoundOptions, stft: Stft, temporary: Path, pipeline: Pipeline
) -> Windowing:
    record = dict(source.record)
    record["options"] = {**record["options"], "sound": asdict(sound)}
    context = StageContext(
        options=sound,
        journal=Journal.nowhere(),
        pipeline=pipeline,
        temporary=temporary,
        tags=partial(tags_of, record),
    )
    return Windowing(context=context, stft=stft, flipped=False)


def _spectra(
    source: FinishedSums,
    way: PicturePath,
    heard: Region,
    windowing: Windowing,
    stages: Stages,
    stack: ExitStack,
) -> dict[int, SpectraSpool]:
    """Make each bank's magnitudes of its sums along the path."""
    context = windowing.context
    spools = {}
    for number, each in source.maps.items():
        scan = scan_of(each, way, heard)
        spectra = SpectraMap(
            scan.rows,
            scan.rows,
            scan.frequencies,
            windowing.stft,
            context.options,
            flipped=scan.top_first != context.options.flip_frequency,
            background=replace(each.background, border=0),  # the scan leaves it out
        )
        path = context.temporary / f"mix-{number}.spectra"
        spool = stack.enter_context(SpectraSpool(path, windowing.stft, len(SIDES), spectra, None))
        with stages.stage(f"sums {number}", scan.rows * scan.frequencies, "values") as advance:
            for rows in rows_of(scan):
                spool.add(rows)
                advance(rows.shape[0] * rows.shape[2])
        spools[number] = spool
    return spools
