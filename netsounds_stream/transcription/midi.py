"""`midi`: a finished run as notes, found, placed in channels and written.

Order of work: everything that may be refused comes first, then each bank's energies and notes, one bank after
another, then the filters that are loudest where the notes are. Files have other names until complete.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.locations import local_only
from ..base.progress import Listener, Stages
from ..base.units import SHOWN_CHARACTERS
from ..base.versions import PACKAGE, versions
from ..errors import OptionError, OutputError, StoreError
from ..planning.options import parse_banks, sound_words
from ..planning.plan import BankPlan
from ..planning.scales import frequency_of, note_name
from ..planning.sound_options import SoundOptions
from ..rendering.paths import Path as PicturePath
from ..rendering.paths import Region
from ..rendering.runs import FinishedSums, open_sums, seconds_of, way_of
from ..rendering.scans import scan_of
from ..run.notebook import RunContents
from ..sound.dsp.spectrum import FrequencyScale
from ..sound.mix import bank_levels, panned
from .channels import MOST_LANES, Channels, Placed, channels_of, placed
from .energies import energies_of, grid_of
from .events import Event, events_text
from .loudest import Loudest, loudest_by
from .midi_file import BPM, Score, midi_bytes, mido_module
from .notes import NoteRules, notes_of

#: Name of the table beside the file.
EVENTS = "events.csv"
#: Least durations of a note, in seconds.
LEAST_S = (0.02, 60.0)
# From this many cents on a note is out of tune.
_OFF_CENTS = 10


@dataclass(frozen=True, kw_only=True)
class Midi:
    """A MIDI file that was made.

    Attributes:
        path: the file.
        events_path: the table of its notes.
        notes: number of its notes.
        by_bank: number of each bank's notes, by the bank's number.
        bent: number of notes that glide.
        seconds: duration of the sound.
        filters: where the loudest filters are known from: 'activations', 'levels' (of the run's page), or ''
            if they are not.
        remarks: lines for the user.
    """

    path: Path
    events_path: Path
    notes: int
    by_bank: Mapping[int, int]
    bent: int
    seconds: float
    filters: str
    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What is written: the run, the way across it, options of its sound and of the notes."""

    source: FinishedSums
    way: PicturePath
    heard: Region
    seconds: float
    sound: SoundOptions
    rules: NoteRules
    channels: Mapping[int, Channels]


def midi(
    run: str | Path,
    out: str | Path,
    *,
    notes: int = 4,
    min_note: float = 0.15,
    scale_notes: str | Path | None = None,
    root: str | float | None = None,
    bpm: float = 120.0,
    mpe: bool = False,
    banks: Sequence[int] | str | None = None,
    path: str | None = None,
    path_width: float | None = None,
    region: str | None = None,
    duration: float | None = None,
    fmin: float | None = None,
    fmax: float | None = None,
    title: str | None = None,
    events: str | Path | None = None,
    overwrite: bool = False,
    on_progress: Listener | None = None,
) -> Midi:
    """Write a finished run as notes, a MIDI file and a table, from the sums that it keeps.

    Where a bank stays near one pitch, or glides, there is a note. Pitch, time and level are those of the mix.
    Memory is bounded whatever the picture's size.

    Args:
        run: the run's folder.
        out: the MIDI file, `.mid`.
        notes: most notes of a bank that sound at a time, 1 to 15.
        min_note: least duration of a note in seconds.
        scale_notes: a scale that pitches are brought to, by its name or as a Scala file. None: that of the
            run's sound, if any.
        root: its root, a note such as 'A2', or hertz. None: that of the run's sound.
        bpm: beats a minute that the file's times are counted in; times in seconds do not depend on it.
        mpe: give each note a channel for itself, at its exact pitch (MIDI Polyphonic Expression).
        banks: numbers of the banks. None: all that the run has.
        path: the path across the picture, as for `render`. None: along the run's time axis.
        path_width: width of the band that a line or a curve passes over, in pixels.
        region: the part of the picture, 'left,top,width,height' in pixels. None: all.
        duration: length in seconds. None: that of the run's mix, or at its pace.
        fmin: frequency of the lowest row in Hz. None: the run's.
        fmax: frequency of the highest row in Hz. None: the run's.
        title: the file's title. None: the label and the picture's name.
        events: the table. None: `events.csv` beside `out`.
        overwrite: replace files that exist.
        on_progress: called as the work goes on.

    Returns:
        What was made.

    Raises:
        OptionError: mido is not installed, or an option has a value that cannot be used.
        OutputError: `run` holds no finished run; or a file exists, or cannot be written.
        StoreError: the run keeps no sums, or has no notes.

    Example:
        >>> from netsounds_stream import midi
        >>> made = midi("landscape-netsounds", "landscape.mid", scale_notes="pentatonic")
        >>> made.notes > 0, made.events_path.name
        (True, 'events.csv')
    """
    target = Path(out)
    table = target.with_name(EVENTS) if events is None else Path(events)
    _check(target, notes, min_note, bpm)
    mido_module()
    _check_places(target, table, overwrite=overwrite)
    numbers = parse_banks(banks) if isinstance(banks, str) else banks
    source = open_sums(local_only("midi", run), numbers, otherwise="")
    words = {"scale_notes": scale_notes, "root": root, "duration": duration, "fmin": fmin, "fmax": fmax}
    sound = _sound_of(source, words)
    way, heard = way_of(source, path, region, path_width)
    wanted = _Wanted(
        source=source,
        way=way,
        heard=heard,
        seconds=seconds_of(source, sound, way),
        sound=sound,
        rules=NoteRules(most=notes, least_s=min_note, scale_hz=sound.notes.hz if sound.notes else None),
        channels=dict(zip(source.maps, channels_of(len(source.maps), mpe=mpe), strict=True)),
    )
    stages = Stages(on_progress)
    found = _found(wanted, stages)
    contents = RunContents(source.folder, dict(source.record))
    by, loudest = loudest_by(contents, source.plan.banks, source.plan.time_axis)
    lines = _events(wanted, found, loudest, stages)
    score = _score(wanted, found, title, bpm, mpe=mpe)
    _write({target: midi_bytes(score), table: events_text(lines).encode()})
    return Midi(
        path=target,
        events_path=table,
        notes=len(lines),
        by_bank={number: len(placed) for number, placed in found.items()},
        bent=sum(each.note.glides for placed in found.values() for each in placed),
        seconds=wanted.seconds,
        filters=by,
        remarks=tuple(_remarks(by, found, sound)),
    )


def _check(out: Path, notes: int, min_note: float, bpm: float) -> None:
    """Require values that can be used.

    Raises:
        OptionError: one cannot.
    """
    if out.suffix.lower() not in (".mid", ".midi"):
        raise OptionError(f"a MIDI file cannot be {out.name[:SHOWN_CHARACTERS]!r}; end its name in .mid")
    if not 1 <= notes <= MOST_LANES:
        raise OptionError(f"notes cannot be {notes}; use 1 to {MOST_LANES} that sound at a time in a bank")
    low, high = LEAST_S
    if not low <= min_note <= high:
        raise OptionError(f"min note cannot be {min_note:g} s; use {low:g} to {high:g} seconds")
    low, high = BPM
    if not low <= bpm <= high:
        raise OptionError(f"bpm cannot be {bpm:g}; use {low:g} to {high:g} beats a minute")


def _check_places(out: Path, table: Path, *, overwrite: bool) -> None:
    """Require that the files can be written where they are to be.

    Raises:
        OutputError: one exists, or its folder does not.
    """
    for path, other in ((out, "another name"), (table, "--events for another name")):
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists already; use --overwrite to replace it, or {other}")
        if not path.parent.is_dir():
            raise OutputError(f"there is no folder {path.parent}; make it, or choose another name")


def _sound_of(source: FinishedSums, words: Mapping[str, Any]) -> SoundOptions:
    """Return the run's options of the sound, with those that are given in their place."""
    given = sound_words({name: value for name, value in words.items() if value is not None})
    sound = replace(source.sound, **given, schemes=(), mix=True, stems=False, preview_s=None)
    if words["root"] is not None and sound.scale_notes is None:
        raise OptionError("--root has no effect without a scale; give --scale-notes, too")
    return sound


def _found(wanted: _Wanted, stages: Stages) -> dict[int, list[Placed]]:
    """Find each bank's notes, and place them in its channels.

    Raises:
        StoreError: there are none.
    """
    found = {}
    levels = bank_levels(wanted.source.banks, wanted.sound.bank_fall_db)
    places = panned(list(levels.values()))
    for place, (number, each) in zip(places, wanted.source.maps.items(), strict=True):
        scan = scan_of(each, wanted.way, wanted.heard)
        grid = grid_of(scan.rows, scan.frequencies, wanted.seconds, wanted.sound)
        with stages.stage(f"notes {number}", scan.rows * scan.frequencies, "values") as advance:
            energies = energies_of(each, scan, grid, wanted.sound, advance)
            notes = notes_of(energies, place.astype(np.float64), wanted.rules)
        found[number] = placed(notes, wanted.channels[number], wanted.rules.least_s)
    if not any(found.values()):
        raise StoreError(
            f"{wanted.source.folder} has no notes: nothing in its sound stands out at a pitch for "
            f"{wanted.rules.least_s:g} s; use a smaller --min-note, or a picture with lines"
        )
    return found


def _score(
    wanted: _Wanted, found: Mapping[int, Sequence[Placed]], title: str | None, bpm: float, *, mpe: bool
) -> Score:
    """Return what the file is written from."""
    record = wanted.source.record
    picture = record["picture"]["name"]
    return Score(
        title=f"{record['label']} ({picture})" if title is None else title,
        about=f"made by {PACKAGE} {versions()[PACKAGE]} from {picture}",
        bpm=bpm,
        seconds=wanted.seconds,
        tracks={
            f"bank {number} {_planned(wanted, number).bank.layer}": (wanted.channels[number], placed)
            for number, placed in found.items()
        },
        mpe=mpe,
    )


def _planned(wanted: _Wanted, number: int) -> BankPlan:
    return next(each for each in wanted.source.plan.banks if each.number == number)


def _events(
    wanted: _Wanted, found: Mapping[int, Sequence[Placed]], loudest: Loudest, stages: Stages
) -> list[Event]:
    """Return the table's lines, by the notes' beginnings."""
    lines = []
    with stages.stage("filters", max(1, sum(map(len, found.values()))), "notes") as advance:
        for number, notes in found.items():
            bank = _planned(wanted, number)
            places = _places(wanted, number, notes)
            filters = loudest(bank, places)
            for each, (x, y), filter_ in zip(notes, places.tolist(), filters, strict=True):
                lines.append(_event(each, bank, filter_, x, y))
            advance(len(notes))
    return sorted(lines, key=lambda line: (line.start_seconds, line.bank, line.midi))


def _places(wanted: _Wanted, number: int, notes: Sequence[Placed]) -> NDArray[np.float64]:
    """Return where a bank's notes come from, float64 `[note, x or y]`: where each is loudest."""
    scan = scan_of(wanted.source.maps[number], wanted.way, wanted.heard)
    rows = np.array([each.note.loudest_s / wanted.seconds * scan.rows - 0.5 for each in notes])
    hz = np.array([frequency_of(float(each.note.pitches[each.note.loudest])) for each in notes])
    share = FrequencyScale(wanted.sound.frequency, *wanted.sound.frequencies_hz).share(hz)
    if scan.top_first != wanted.sound.flip_frequency:
        share = 1 - share
    return scan.pixels(rows, share * scan.frequencies - 0.5)


def _event(each: Placed, bank: BankPlan, filter_: int | None, x: float, y: float) -> Event:
    note = each.note
    hz = frequency_of(float(note.pitches[0]))
    return Event(
        start_seconds=round(note.start_s, 4),
        end_seconds=round(note.end_s, 4),
        note=note_name(hz),
        midi=round(float(note.pitches[0]), 3),
        hz=round(hz, 2),
        end_hz=round(frequency_of(float(note.pitches[-1])), 2),
        key=each.key,
        channel=each.channel + 1,
        velocity=note.velocity,
        level_db=round(note.level_db, 1),
        pan=round(2 * note.side - 1, 2),
        bank=bank.number,
        layer=bank.bank.layer,
        filter=filter_,
        x_px=round(x, 1),
        y_px=round(y, 1),
    )


def _remarks(by: str, found: Mapping[int, Sequence[Placed]], sound: SoundOptions) -> list[str]:
    """Return what a user may want to know about the files."""
    remarks = []
    if not by:
        remarks.append(
            "the loudest filters are not known: the run keeps neither activations nor a page; make it "
            "again with --activations"
        )
    keyed = [each for placed in found.values() for each in placed if not each.alone]
    scaled = [each for each in keyed if 100 * abs(each.note.pitches[0] - each.key) > _OFF_CENTS]
    if scaled and sound.notes is not None:  # without a scale, no pitch is more right than its key
        remarks.append(
            f"{len(scaled)} of {sum(map(len, found.values()))} notes are played on the nearest key, more "
            f"than {_OFF_CENTS} cents off; --mpe plays their exact pitches"
        )
    return remarks


def _write(contents: Mapping[Path, bytes]) -> None:
    """Write files, each complete or not at all."""
    for path, content in contents.items():
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.partial-", dir=path.parent) as folder:
            partial = Path(folder) / path.name
            partial.write_bytes(content)
            partial.replace(path)
