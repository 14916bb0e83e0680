"""`video` on real runs: the file is decoded again, and compared with the run's picture, sound and times."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import soundfile
from PIL import Image

from netsounds_stream import Video, check, sonify, video
from netsounds_stream.errors import NetsoundsError, OptionError, OutputError, StoreError
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.videos.codecs import VIDEO_ENCODERS, installed_encoders
from netsounds_stream.videos.layout import Layout, layout_for
from tests.helpers.forks import Command, forked
from tests.helpers.reference import ROOT, large_picture
from tests.helpers.videos import assert_sounds_like, decoded, heard

av = pytest.importorskip("av")
pytestmark = pytest.mark.slow

SECONDS = 2.0
SOUND = {"duration": SECONDS, "fft_size": 512, "sample_rate": 16000}
SMALL = {"size": "640x360", "fps": 20}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, weights_file: Path) -> Path:
    """Runs: along x, along y (a portrait), without a mix, of a grey picture, of a picture's beginning."""
    folder = tmp_path_factory.mktemp("runs")
    for name, width, height in (("wide.png", 400, 300), ("tall.png", 300, 400), ("long.png", 1600, 300)):
        pyvips.Image.new_from_array(draw(width, height)).pngsave(str(folder / name))
    Image.new("RGB", (300, 200), (120, 120, 120)).save(folder / "grey.png")
    words: dict[str, Any] = {"weights": str(weights_file), "banks": (4,), "activations": False, **SOUND}
    sonify(folder / "wide.png", folder / "x", **words, stems=True)
    sonify(folder / "tall.png", folder / "y", **words)
    sonify(folder / "wide.png", folder / "no mix", **words, mix=False, report=False)
    sonify(folder / "grey.png", folder / "grey", **words)
    sonify(folder / "long.png", folder / "preview", **words, scheme=(), preview=SECONDS / 4)
    sonify(folder / "wide.png", folder / "minutes", **words | {"duration": 300}, report=False)
    return folder


def line_places(frames: np.ndarray, box: Any, axis: str) -> np.ndarray:
    """Where a white line stands in each frame, in pixels of the box: the middle of what is brighter there."""
    part = frames[:, box.top : box.bottom, box.left : box.right].astype(np.float64)
    brighter = np.maximum(part - np.median(part, axis=0), 0).mean(axis=1 if axis == "x" else 2)
    brighter[brighter < brighter.max(axis=1, keepdims=True) / 2] = 0
    places = np.arange(brighter.shape[1]) + 0.5
    found: np.ndarray = (brighter * places).sum(1) / brighter.sum(1)
    return found


def assert_moves(made: Video, layout: Layout, axis: str) -> None:
    """The playheads stand, at ten times, where the time says: within a pixel, and what encoding blurs."""
    frames, times, facts = decoded(made.path)
    assert len(frames) == made.frames == round(SECONDS * made.fps)
    assert facts["size"] == (made.width, made.height) == frames.shape[:0:-1]
    assert abs(facts["seconds"] - SECONDS) <= 1.5 / made.fps  # a codec's last block may be longer
    np.testing.assert_allclose(times, np.arange(len(frames)) / made.fps, atol=1e-3)
    chosen = np.linspace(2, len(frames) - 3, 10).astype(int)
    panels = "y" if layout.turned else "x"
    for box, along in ((layout.picture, axis), (layout.spectrogram, panels)):
        places = line_places(frames, box, along)[chosen]
        length = box.width if along == "x" else box.height
        expected = np.array(times)[chosen] / SECONDS * length
        assert np.abs(places - expected).max() <= 1.0, (box, places - expected)


CODECS = sorted({each.codec for each in VIDEO_ENCODERS if each.name in installed_encoders()})


@pytest.mark.parametrize("codec", CODECS)
def test_the_playhead_is_where_the_sound_is(runs: Path, tmp_path: Path, codec: str) -> None:
    """With each encoder that there is: those that keep frames, those that refine them later."""
    out = tmp_path / ("a.webm" if codec in ("vp9", "av1") else "a.mp4")
    made = video(runs / "x", out, codec=codec, **SMALL)
    assert made.codec == codec and made.notes == () and made.bytes == out.stat().st_size
    assert decoded(out)[2]["codec"] == codec
    assert_moves(made, layout_for(640, 360, 4 / 3, "x"), "x")
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (400, 400)])
def test_time_runs_down_a_portrait(runs: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    made = video(runs / "y", tmp_path / "a.mp4", size=size, fps="20")
    layout = layout_for(*size, 3 / 4, "y")
    assert layout.turned == (size != (360, 640))
    assert_moves(made, layout, "y")


def test_an_upright_video(runs: Path, tmp_path: Path) -> None:
    made = video(runs / "x", tmp_path / "a.mp4", size="360x640", fps=20)
    assert_moves(made, layout_for(360, 640, 4 / 3, "x"), "x")


def test_the_waveform_lights_up_as_it_is_played(runs: Path, tmp_path: Path) -> None:
    made = video(runs / "x", tmp_path / "a.mp4", **SMALL)
    box = layout_for(640, 360, 4 / 3, "x").waveform
    frames = decoded(made.path)[0][:, box.top : box.bottom, box.left : box.right].astype(int)
    half = len(frames) // 2
    changed = np.abs(frames[half] - frames[0]).max(axis=0)
    middle = box.width // 2
    assert (changed[8 : middle - 12] > 20).mean() > 0.9
    assert (changed[middle + 12 :] > 20).mean() < 0.05


@pytest.mark.parametrize("name", ["a.mp4", "a.webm"])
def test_the_sound_is_the_mix(runs: Path, tmp_path: Path, name: str) -> None:
    made = video(runs / "x", tmp_path / name, size="640x360", fps=30)
    assert made.seconds == soundfile.info(str(runs / "x" / "mix.wav")).duration
    assert_sounds_like(made.path, runs / "x" / "mix.wav")


@pytest.mark.parametrize("sound", ["bank-4", "stem-4"])
def test_other_sounds(runs: Path, tmp_path: Path, sound: str) -> None:
    made = video(runs / "x", tmp_path / "a.mp4", sound=sound, **SMALL)
    (name,) = (runs / "x").glob("stem-4_*.wav" if sound == "stem-4" else "activations-4_*_sum.wav")
    assert made.seconds == soundfile.info(str(name)).duration
    frames = decoded(made.path)[0]
    assert len(frames) == -(-round(made.seconds * 20, 6) // 1)


def picture_shown(path: Path, layout: Layout) -> np.ndarray:
    """The picture's part of the last frame but the right fifth, `[y, x, rgb]`: no line is there any more."""
    with av.open(str(path)) as container:
        *_, last = container.decode(video=0)
        shown = last.to_ndarray(format="rgb24")
    box = layout.picture
    part: np.ndarray = shown[box.top : box.bottom, box.left : box.right - box.width // 5]
    return part.astype(int)


def resized(path: Path, layout: Layout, crop: tuple[int, int] | None = None) -> np.ndarray:
    box = layout.picture
    with Image.open(path) as image:
        whole = image.convert("RGB").crop((0, 0, *(crop or image.size)))
        pixels = np.asarray(whole.resize((box.width, box.height), Image.Resampling.LANCZOS), int)
    return pixels[:, : -(box.width // 5)]


def test_the_picture_is_shown(runs: Path, tmp_path: Path) -> None:
    """From the page, and from the original where there is no page: to what encoding changes."""
    layout = layout_for(640, 360, 4 / 3, "x")
    expected = resized(runs / "wide.png", layout)
    words: dict[str, Any] = {**SMALL, "sound": "bank-4"}
    for name, whence in (("x", "page"), ("no mix", "original")):
        made = video(runs / name, tmp_path / f"{name}.mp4", **words)
        assert made.picture == whence
        assert np.abs(picture_shown(made.path, layout) - expected).mean() < 8


def test_a_preview_shows_what_was_read(runs: Path, tmp_path: Path) -> None:
    """And its playhead reaches the end of that, from the page and from the original."""
    record = json.loads((runs / "preview" / "run.json").read_text())
    read = record["plan"]["preview_rows"]
    assert read < 1200
    bare = tmp_path / "bare"
    shutil.copytree(runs / "preview", bare)
    shutil.rmtree(bare / "report")
    layout = layout_for(640, 360, read / 300, "x")
    for run in (runs / "preview", bare):
        made = video(run, tmp_path / "a.mp4", overwrite=True, **SMALL)
        assert made.picture == ("original" if run == bare else "page")
        expected = resized(runs / "long.png", layout, (read, 300))
        assert np.abs(picture_shown(made.path, layout) - expected).mean() < 8
        frames, times, _ = decoded(made.path)
        places = line_places(frames, layout.picture, "x")[1:-1]
        covered = made.seconds / SECONDS * 1600 / read  # of what is shown
        expected_places = np.array(times)[1:-1] / made.seconds * covered * layout.picture.width
        assert np.abs(places - expected_places).max() <= 1.5


def test_a_picture_that_is_gone(runs: Path, tmp_path: Path, weights_file: Path) -> None:
    """The page's small one is shown with a note; without that there is nothing to show."""
    original = tmp_path / "a.png"
    pyvips.Image.new_from_array(draw(400, 300)).pngsave(str(original))
    words: dict[str, Any] = {"weights": str(weights_file), "banks": (4,), "activations": False, **SOUND}
    run = tmp_path / "run"
    sonify(original, run, size=60, **words)
    made = video(run, tmp_path / "a.mp4", **SMALL)
    assert made.picture == "original"
    pyvips.Image.new_from_array(draw(400, 301)).pngsave(str(original))
    (note,) = video(run, tmp_path / "b.mp4", **SMALL).notes
    assert "enlarged" in note and "has changed" in note
    original.unlink()
    made = video(run, tmp_path / "c.mp4", **SMALL)
    assert made.picture == "page" and "no longer" in made.notes[0]
    shutil.rmtree(run / "report")
    with pytest.raises(StoreError, match="no picture to show"):
        video(run, tmp_path / "d.mp4", **SMALL)
    assert not (tmp_path / "d.mp4").exists()


def test_a_silent_run(runs: Path, tmp_path: Path) -> None:
    assert not soundfile.read(runs / "grey" / "mix.wav")[0].any()
    made = video(runs / "grey", tmp_path / "a.mp4", **SMALL)
    assert np.abs(heard(made.path, 16000)).max() < 1e-3
    frames, times, _ = decoded(made.path)
    layout = layout_for(640, 360, 3 / 2, "x")
    places = line_places(frames, layout.picture, "x")[2:-2]
    expected = np.array(times)[2:-2] / made.seconds * layout.picture.width
    assert np.abs(places - expected).max() <= 1.0


@pytest.mark.parametrize(
    ("error", "said", "words"),
    [
        (StoreError, "has no mix", {"run": "no mix"}),
        (StoreError, "has no stem of bank 4.*--stems", {"run": "y", "sound": "stem-4"}),
        (OptionError, "there is no bank 9", {"sound": "bank-9"}),
        (OptionError, "sound cannot be 'both'", {"sound": "both"}),
        (OutputError, "holds no finished run", {"run": "none"}),
        (OutputError, "local files", {"run": "s3://bucket/run"}),
        (OutputError, "no folder", {"out": "none/a.mp4"}),
        (OptionError, r"a video cannot be a.avi", {"out": "a.avi"}),
        (OptionError, "size cannot be '641x360'", {"size": "641x360"}),
        (OptionError, "size cannot be 'large'", {"size": "large"}),
        (OptionError, "size cannot be '100x100'", {"size": (100, 100)}),
        (OptionError, "fps cannot be '0'", {"fps": 0}),
        (OptionError, "fps cannot be 'film'", {"fps": "film"}),
        (OptionError, "cannot be read as a font", {"font": "run.json"}),
    ],
)
def test_what_cannot_be(
    runs: Path, tmp_path: Path, error: type[NetsoundsError], said: str, words: dict[str, Any]
) -> None:
    given = {"run": "x", "out": "a.mp4", **SMALL, **words}
    run, out = given.pop("run"), tmp_path / given.pop("out")
    with pytest.raises(error, match=said) as raised:
        video(run if "://" in run else runs / run, out, **given)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_only_when_asked(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"
    out.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        video(runs / "x", out, **SMALL)
    assert out.read_bytes() == b"mine"
    video(runs / "x", out, overwrite=True, **SMALL)
    assert out.read_bytes()[4:8] == b"ftyp"


def test_rates_of_frames(runs: Path, tmp_path: Path) -> None:
    made = video(runs / "x", tmp_path / "a.mp4", size="240x240", fps="29.97")
    with av.open(str(made.path)) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)
    assert made.frames == 60


def test_letters_that_the_font_lacks_are_said(runs: Path, tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    (note,) = video(runs / "x", tmp_path / "a.mp4", title="Größe λ", **SMALL).notes
    assert "(öß" in note and "--font" in note
    font = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    assert video(runs / "x", tmp_path / "b.mp4", title="Größe λ", font=font, **SMALL).notes == ()


def test_a_video_in_the_runs_folder_is_a_part_of_it(runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs / "x", run)
    video(run, run / "a.mp4", **SMALL)
    result = check(run)
    result.require_whole()
    assert result.unknown == ()
    assert "a.mp4" in json.loads((run / "run.json").read_text())["files"]


@pytest.mark.process
def test_the_command(runs: Path, tmp_path: Path) -> None:
    done = forked("video", runs / "x", "a.webm", "--size", "320x240", "--fps", "10", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["path"], made["width"], made["frames"]) == ("a.webm", 320, 20)
    done = forked("video", runs / "x", "a.webm", cwd=tmp_path)
    assert done.returncode == 1 and "exists already" in done.stderr
    words = ("video", runs / "x", "b.mp4", "--size", "320x240", "--fps", "10", "--title", "ß")
    done = forked(*words, cwd=tmp_path)
    assert done.stdout == "b.mp4\n" and "note: the font" in done.stderr
    done = forked(*words, "--overwrite", "--quiet", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.process
def test_without_the_extra(runs: Path, tmp_path: Path) -> None:
    """The command says in one line what to install."""
    code = (
        "import sys; sys.modules['av'] = None; from netsounds_stream.cli import main; "
        f"sys.argv = ['x', 'video', {str(runs / 'x')!r}, 'a.mp4']; main()"
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
    assert "pip install 'netsounds-stream[video]'" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_a_command_that_is_stopped_leaves_nothing(runs: Path, tmp_path: Path) -> None:
    """Ctrl-C while it encodes 36,000 frames of this size, which is never over by then."""
    words = ("video", runs / "minutes", "a.mp4", "--size", "3840x2160", "--fps", "120")
    process = Command(*words, cwd=tmp_path)
    # some frames are in the file: FFmpeg's encoder is set up
    process.until(
        lambda: any(each.stat().st_size > 200_000 for each in tmp_path.glob(".a.mp4.partial-*/a.mp4"))
    )
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert process.stderr.splitlines()[-1] == "netsounds-stream: stopped; nothing was kept"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="no limit on the size of files there")
def test_a_disk_that_is_full(runs: Path, tmp_path: Path) -> None:
    words = ("video", runs / "x", "a.mp4", "--size", "1280x720")
    process = Command(*words, cwd=tmp_path, limits={"RLIMIT_FSIZE": 20_000})
    assert process.wait() == 1
    assert process.stderr.splitlines()[-1].startswith("netsounds-stream: cannot write a.mp4 (")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are those of Linux")
def test_memory_does_not_grow_with_the_picture(runs: Path, tmp_path: Path, weights_file: Path) -> None:
    """48 megapixels, 144 MB, read anew in the place of 0.1: within 40 MiB of the same."""
    large_picture(8000, 6000, tmp_path / "large.tif")
    words = {"weights": str(weights_file), "banks": (4,), "activations": False, "report": False, **SOUND}
    sonify(tmp_path / "large.tif", tmp_path / "large", size=100, **words)
    sonify(runs / "wide.png", tmp_path / "small", size=100, **words)
    peaks = []
    for name in ("small", "large"):
        process = Command("video", tmp_path / name, f"{name}.mp4", cwd=tmp_path)
        assert process.wait() == 0, process.stderr
        peaks.append(process.peak_bytes)
    assert peaks[1] - peaks[0] < 40 << 20, peaks
