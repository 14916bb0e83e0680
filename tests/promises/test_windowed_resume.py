"""Runs of windowed sound that are stopped, killed and gone on with: files byte for byte the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pyvips
import torch

from netsounds_stream import check, resume, sonify
from netsounds_stream.base.checkpoint import CheckpointReader
from netsounds_stream.base.checksums import FileSum
from netsounds_stream.base.progress import Progress, Stop
from netsounds_stream.errors import Stopped
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.planning.plan import Stft
from netsounds_stream.planning.sound_options import SoundOptions
from netsounds_stream.sound.mixture import mixture_of
from netsounds_stream.sound.spectra import SpectraMap, SpectraSpool
from netsounds_stream.sound.summing import Sums
from tests.helpers.reference import command
from tests.helpers.runs import contents, kill_until_finished, stopped_run

pytestmark = pytest.mark.process

STFT = {"duration": 1, "fft_size": 256, "sample_rate": 8000}
RUNS: dict[str, dict[str, Any]] = {
    # a second pass sums, for what is summed is not known beforehand
    "weighed": {
        **STFT,
        "method": "istft",
        "scheme": ("sum", "concat", "filters"),
        "stereo": True,
        "top": 5,
        "balance": "filter",
        "format": "flac",
        "banks": (1, 4),
    },
    # the network's pass sums; and each bank's part of the mix is written, in two forms
    "one pass": {
        **STFT, "method": "griffin-lim", "iterations": 2, "stereo": True, "stems": True, "report": True,
    },
    "notes": {
        **STFT, "method": "istft", "scale_notes": "blues", "equal_loudness": True,
        "scheme": ("sum", "concat"), "top": 3, "banks": (1, 4),
    },
    "raw": {**STFT, "scheme": ("sum", "concat"), "stereo": True, "loudness": -30.0, "banks": (1, 4)},
}  # fmt: skip
STAGES = {
    "weighed": ["network", "sound 1: sums", "sound 1", "sound 4: sums", "mix"],
    "one pass": ["network", "sound 1", "mix"],
    "notes": ["network", "sound 1: sums", "sound 1", "mix"],
    "raw": ["network", "sound 1", "sound 1: finish", "mix"],
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, small_picture: Path, weights_file: Path) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    for name, words in RUNS.items():
        words = {"weights": str(weights_file), "report": False, "label": "a", **words}
        sonify(small_picture, folder / name, **words)
    return folder


@pytest.mark.parametrize(("run", "stage"), [(run, stage) for run, found in STAGES.items() for stage in found])
def test_stopped_and_gone_on_with(
    tmp_path: Path, small_picture: Path, weights_file: Path, undisturbed: Path, run: str, stage: str
) -> None:
    """Stopped in a stage, and once more where it goes on."""
    stopped_run(tmp_path, small_picture, weights_file, stage, **RUNS[run])
    stop = Stop()

    def listen(progress: Progress) -> None:
        if progress.stage == stage and progress.done > progress.earlier:
            stop.ask()

    try:
        resume(tmp_path / "run", stop=stop, on_progress=listen)
    except Stopped:
        resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(undisturbed / run)
    check(tmp_path / "run").require_whole()


def test_killed_again_and_again(tmp_path: Path, weights_file: Path) -> None:
    picture = tmp_path / "a.png"
    pyvips.Image.new_from_array(draw(500, 130)).pngsave(str(picture))
    words = ["sonify", str(picture), "--weights", str(weights_file), "--label", "a", "--banks", "1"]
    options = """--scheme sum --scheme concat --method istft --stereo --top 5 --balance filter --format flac
        --no-report --stems --duration 1 --fft-size 256 --sample-rate 8000"""
    words += options.split()
    whole = command(*words, "--out", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    words += ["--out", str(tmp_path / "run"), "--resume", "--checkpoint-seconds", "0"]
    kill_until_finished(words, tmp_path / "run", kills=3, seed=1)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_what_the_journal_speaks_of_is_not_written_over(tmp_path: Path) -> None:
    """The rows that wait go to a file of another name than the last state's, and the one before that:
    one of them is in the journal, the other may be under way to it; also after sums are taken up again."""
    sound = SoundOptions(schemes=("sum",), method="istft", fft_size=64, mix=False, sample_rate_hz=8000)
    stft, mixture = Stft(64, 16, 8000), mixture_of(3, sound)
    rows = torch.rand(300, 1, 5)

    def spool(state: dict[str, Any] | None) -> SpectraSpool:
        made_by = SpectraMap(300, 300, 5, stft, sound, flipped=False)
        return SpectraSpool(tmp_path / "a.spectra", stft, 1, made_by, state and state["spectra"][0])

    def sums(opened: SpectraSpool, state: dict[str, Any] | None) -> Sums:
        return Sums(mixture, None, [opened], tmp_path / "rows", state)

    states: list[dict[str, Any]] = []
    for start in range(0, 300, 50):
        left = states[-1] if states else None
        with spool(left) as opened:
            summing = sums(opened, left)
            for first in (start, start + 25):
                summing.add(rows[first : first + 25])
                states.append(summing.state())
                for state in states[-3:]:
                    waits = tmp_path / state["waiting"]
                    with CheckpointReader(waits, FileSum.from_json(state["waiting_sum"])):
                        pass  # whole
