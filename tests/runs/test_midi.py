"""Runs as notes: drawn lines are the notes that they look like, and the file says what the table says."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import zarr
from PIL import Image, ImageDraw

from netsounds_stream import midi, sonify
from netsounds_stream.errors import NetsoundsError, OptionError, OutputError, StoreError
from netsounds_stream.planning.scales import frequency_of, midi_number, notes_of
from tests.helpers.forks import forked
from tests.helpers.reference import ROOT
from tests.helpers.runs import contents

WORDS: dict[str, Any] = {"label": "a", "banks": (1, 2), "scheme": "none", "duration": 10.0, "iterations": 0}
EDGE = 400  # of the drawn pictures, in pixels
SECONDS = 10.0


VALUES = 197  # along an edge of bank 1, whose fields are 7 pixels, 2 apart; the first one's middle is pixel 3


def pitch_at(y_px: float) -> float:
    """The pitch at a height of the picture: bank 1's values are spread from 40 to 12000 Hz."""
    value = (y_px - 0.5 - 3) / 2
    return midi_number(40 * (12000 / 40) ** (1 - (value + 0.5) / VALUES))


def drawn(path: Path, name: str) -> Path:
    image = Image.new("RGB", (EDGE, EDGE), (0, 0, 0))
    draw = ImageDraw.Draw(image)
    match name:
        case "diagonal":
            draw.line((-10, 330, 410, 70), fill=(255, 255, 255), width=2)
        case "rows":
            for y in range(60, 360, 60):
                draw.rectangle((40, y - 2, 360, y + 2), fill=(255, 255, 255))
        case "columns":
            for x in range(60, 360, 60):
                draw.rectangle((x - 6, 198, x + 6, 202), fill=(255, 255, 255))
    image.save(path)
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, weights_file: Path) -> Path:
    """Runs of the drawn pictures."""
    folder = tmp_path_factory.mktemp("notes")
    for name in ("diagonal", "rows", "columns", "black"):
        picture = drawn(folder / f"{name}.png", name)
        sonify(picture, folder / name, weights=str(weights_file), report=name == "rows", **WORDS)
    return folder


@dataclass
class Played:
    """A note as a player plays it."""

    track: str
    channel: int
    key: int
    velocity: int
    start_s: float
    end_s: float
    bends: list[tuple[float, float]]  # seconds, semitones
    pan: int


def played(path: Path) -> list[Played]:
    """Play a file's notes: a second way to read them, by seconds."""
    file = mido.MidiFile(path)
    tempo = next(each.tempo for each in file.tracks[0] if each.type == "set_tempo")
    found = []
    for track in file.tracks[1:]:
        ticks, bends, pans, reach = 0, {}, {}, {}
        chosen: dict[int, int] = {}
        sounding: dict[tuple[int, int], Played] = {}
        for each in track:
            ticks += each.time
            now = mido.tick2second(ticks, file.ticks_per_beat, tempo)
            if each.is_meta:
                continue
            channel = each.channel
            if each.type == "control_change":
                if each.control == 10:
                    pans[channel] = each.value
                elif each.control == 100:
                    chosen[channel] = each.value
                elif each.control == 6 and chosen[channel] == 0:
                    reach[channel] = each.value
            elif each.type == "pitchwheel":
                bends[channel] = each.pitch / 8192 * reach[channel]
                for (other, _), note in sounding.items():
                    if other == channel:
                        note.bends.append((now, bends[channel]))
            elif each.type == "note_on":
                assert (channel, each.note) not in sounding
                first = [(now, bends.get(channel, 0.0))]
                note = Played(
                    track.name, channel, each.note, each.velocity, now, 0.0, first, pans.get(channel, 64)
                )
                sounding[channel, each.note] = note
            else:
                note = sounding.pop((channel, each.note))
                note.end_s = now
                found.append(note)
        assert not sounding
    return sorted(found, key=lambda note: (note.start_s, note.track, note.key))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def written(run: Path, tmp_path: Path, **words: Any) -> tuple[list[Played], list[dict[str, str]]]:
    made = midi(run, tmp_path / "a.mid", **words)
    notes, lines = played(made.path), table(made.events_path)
    assert len(notes) == len(lines) == made.notes
    return notes, lines


def test_a_diagonal_is_one_gliding_voice(runs: Path, tmp_path: Path) -> None:
    notes, lines = written(runs / "diagonal", tmp_path, banks="1")
    (note,) = notes
    assert note.track == "bank 1 features.1" and note.channel == 1  # a lane: channel 1 is for keys
    assert note.start_s == 0 and abs(note.end_s - SECONDS) < 1e-3
    off = []
    for now, bend in note.bends:
        x = 2 * (VALUES * now / SECONDS - 0.5) + 3.5
        off.append(note.key + bend - pitch_at(330 - (x + 10) * 260 / 420))
    # a semitone is 4 pixels: untrained filters answer to one edge of a line more than to the other
    assert np.abs(off).max() < 2 and abs(np.mean(off)) < 1 and np.std(off) < 0.5
    assert len(note.bends) > 150
    x, y = (float(lines[0][each]) for each in ("x_px", "y_px"))
    assert abs(y - (330 - (x + 10) * 260 / 420)) < 4


def test_even_stripes_are_even_notes(runs: Path, tmp_path: Path) -> None:
    notes, lines = written(runs / "rows", tmp_path, banks="1", notes=8)
    pitches = sorted(float(line["midi"]) for line in lines)
    np.testing.assert_allclose(pitches, [pitch_at(y + 0.5) for y in range(300, 59, -60)], atol=0.5)
    assert {round(note.start_s, 1) for note in notes} <= {0.9, 1.0}
    assert all(note.end_s > 8.9 for note in notes)


def test_even_marks_are_notes_at_even_times(runs: Path, tmp_path: Path) -> None:
    notes, _ = written(runs / "columns", tmp_path, banks="1")
    starts = sorted(note.start_s for note in notes)
    assert len(starts) == 5
    np.testing.assert_allclose(
        np.diff(starts), 30 / VALUES * SECONDS, atol=0.061
    )  # a step of 30 ms at either end
    assert len({note.key for note in notes}) == 1


@pytest.mark.parametrize("words", [{}, {"mpe": True}, {"scale_notes": "pentatonic"}, {"bpm": 93.7}])
@pytest.mark.parametrize("name", ["diagonal", "rows"])
def test_the_file_says_what_the_table_says(
    runs: Path, tmp_path: Path, name: str, words: dict[str, Any]
) -> None:
    notes, lines = written(runs / name, tmp_path, **words)
    tick_s = 60 / words.get("bpm", 120) / 960
    by_start = sorted(lines, key=lambda e: (float(e["start_seconds"]), int(e["bank"]), int(e["key"])))
    for note, line in zip(notes, by_start, strict=True):
        assert abs(note.start_s - float(line["start_seconds"])) <= tick_s
        assert abs(note.end_s - float(line["end_seconds"])) <= tick_s
        assert (note.channel + 1, note.key, note.velocity) == tuple(
            int(line[each]) for each in ("channel", "key", "velocity")
        )
        assert note.track == f"bank {line['bank']} {line['layer']}"
        assert line["filter"] != ""
        assert 0 <= float(line["x_px"]) <= EDGE and 0 <= float(line["y_px"]) <= EDGE
        assert abs(frequency_of(float(line["midi"])) - float(line["hz"])) < 0.01 * float(line["hz"])
        if words.get("mpe"):  # exact: half a step of the table's three digits, and of the bend
            assert abs(note.key + note.bends[0][1] - float(line["midi"])) < 0.005
            assert note.channel > 0
        assert note.channel != 9 or words.get("mpe")
    file = mido.MidiFile(tmp_path / "a.mid")
    assert file.tracks[0].name == f"a ({name}.png)"
    assert abs(file.length - SECONDS) < 2 * tick_s


def test_a_scale_makes_steps_of_a_glide(runs: Path, tmp_path: Path) -> None:
    _, lines = written(runs / "diagonal", tmp_path, scale_notes="pentatonic", root="C3", banks="1")
    scale = notes_of("pentatonic", frequency_of(48), 110, 4200).hz
    hz = [float(line["hz"]) for line in lines]
    assert len(hz) > 15 and hz == sorted(hz)
    for each in hz:
        assert min(abs(each / note - 1) for note in scale) < 1e-3
    starts, ends = ([float(line[each]) for line in lines] for each in ("start_seconds", "end_seconds"))
    assert starts[1:] == ends[:-1]


def test_the_loudest_filter_is_that_of_the_array(runs: Path, tmp_path: Path) -> None:
    _, lines = written(runs / "rows", tmp_path)
    for line in lines:
        array = zarr.open_array(str(runs / "rows" / f"activations-{line['bank']}_a.zarr"), mode="r")
        record = json.loads((runs / "rows/run.json").read_text())
        bank = next(b for b in record["plan"]["banks"] if b["number"] == int(line["bank"]))
        stride, offset = array.attrs["stride_pixels"], array.attrs["offset_pixels"]
        y, x = (round((float(line[each]) - 0.5 - offset) / stride) for each in ("y_px", "x_px"))
        near = np.asarray(array[:, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2], dtype=np.float64)
        # the table's tenths of pixels may round to the neighbour
        assert int(line["filter"]) in near.argmax(axis=0), (bank["number"], line)


def test_without_arrays_the_page_knows_filters(tmp_path: Path, runs: Path, weights_file: Path) -> None:
    words = {**WORDS, "weights": str(weights_file), "activations": False}
    for name, report in (("page", True), ("bare", False)):
        sonify(runs / "rows.png", tmp_path / name, report=report, **words)
    made = midi(tmp_path / "page", tmp_path / "a.mid", banks="1", notes=8)
    known = {line["filter"] for line in table(made.events_path)}
    assert made.filters == "levels" and known != {""}
    made = midi(tmp_path / "bare", tmp_path / "a.mid", banks="1", overwrite=True)
    assert made.filters == "" and {line["filter"] for line in table(made.events_path)} == {""}
    assert "--activations" in made.remarks[0]


def test_other_paths_give_other_notes(runs: Path, tmp_path: Path) -> None:
    """Down the picture, rows of stripes are marks in time; and back from them come their pixels."""
    made = midi(runs / "columns", tmp_path / "a.mid", path="y", banks="1", notes=8)
    lines = table(made.events_path)
    # each mark has two edges, 12 pixels apart
    for x in range(60, 360, 60):
        assert min(abs(float(line["x_px"]) - x) for line in lines) < 12
    assert all(185 < float(line["y_px"]) < 215 for line in lines)


def failing(
    runs: Path, tmp_path: Path
) -> Iterator[tuple[type[NetsoundsError], str, Path, str, dict[str, Any]]]:
    yield StoreError, "no notes", runs / "black", "a.mid", {}
    yield OutputError, "no finished run", tmp_path, "a.mid", {}
    yield OptionError, "end its name in .mid", runs / "rows", "a.wav", {}
    yield OptionError, "notes cannot be 16", runs / "rows", "a.mid", {"notes": 16}
    yield OptionError, "min note", runs / "rows", "a.mid", {"min_note": 0.0}
    yield OptionError, "bpm", runs / "rows", "a.mid", {"bpm": 2000}
    yield OptionError, "--scale-notes", runs / "rows", "a.mid", {"root": "C3"}
    yield OptionError, "no bank 7", runs / "rows", "a.mid", {"banks": "7"}
    yield OutputError, "no folder", runs / "rows", "x/a.mid", {}


def test_what_cannot_be_is_refused_in_a_line(runs: Path, tmp_path: Path) -> None:
    for error, told, run, out, words in failing(runs, tmp_path):
        with pytest.raises(error, match=told) as raised:
            midi(run, tmp_path / out, **words)
        assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_sums_says_how_to_make_them(tmp_path: Path, runs: Path, weights_file: Path) -> None:
    run = sonify(runs / "rows.png", tmp_path / "run", weights=str(weights_file), sum_maps=False, **WORDS)
    with pytest.raises(StoreError, match=r"--sum-maps and a mix$"):
        midi(run.folder, tmp_path / "a.mid")


@pytest.mark.process
def test_the_command_keeps_files_and_runs(runs: Path, tmp_path: Path) -> None:
    before = contents(runs / "rows")
    done = forked("midi", runs / "rows", "a.mid", "--json", cwd=tmp_path)
    told = json.loads(done.stdout)
    assert (
        told["path"] == "a.mid" and told["events_path"] == "events.csv" and told["filters"] == "activations"
    )
    done = forked("midi", runs / "rows", "b.mid", cwd=tmp_path)
    assert done.returncode == 1 and "events.csv exists already" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mid", "events.csv"]
    done = forked("midi", runs / "rows", "b.mid", "--events", "b.csv", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == "b.mid\n"
    assert (tmp_path / "b.mid").read_bytes() == (tmp_path / "a.mid").read_bytes()
    assert contents(runs / "rows") == before


@pytest.mark.process
def test_without_mido_a_line_says_what_to_install(runs: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['mido'] = None; from netsounds_stream.cli import main; "
        f"sys.argv = ['x', 'midi', {str(runs / 'rows')!r}, 'a.mid']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "pip install 'netsounds-stream[midi]'" in line
    assert list(tmp_path.iterdir()) == []
