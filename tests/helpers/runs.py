"""What tests ask of runs: their contents, that they can be resumed, that they are stopped and killed."""

from __future__ import annotations

import random
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from netsounds_stream import check, sonify
from netsounds_stream.base.checksums import file_sum
from netsounds_stream.base.journal import read_journal
from netsounds_stream.base.progress import Stop
from netsounds_stream.errors import Stopped
from netsounds_stream.run.layout import work_path
from tests.helpers.forks import LOOK_SECONDS, Command, forked
from tests.helpers.reference import TIMED


def contents(run: Path) -> dict[str, str]:
    """Every file of a run, by its checksum, but those that hold times."""
    return {
        path.relative_to(run).as_posix(): file_sum(path).to_json()
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.name not in TIMED
    }


def has_commits(run: Path) -> bool:
    """Whether an unfinished run has something on the disk to resume from."""
    left = read_journal(work_path(run))
    return left is not None and bool(left["steps"])


def kill_until_finished(words: list[str], out: Path, *, kills: int, seed: int) -> Counter[str]:
    """Start `words`, kill them with SIGKILL, `kills` times or until the network was met; then let them be.
    The steps they were killed in.

    Each time after some commits, a random number of them, and some milliseconds: so that one falls in every
    step, before, amid and after its commits. What ends them is a process of its own.
    """
    rng, steps = random.Random(seed), Counter[str]()
    work = work_path(out)
    while steps.total() < kills or not (steps["network"] or steps.total() > 4 * kills):
        process = Command(*words)
        while process.poll(LOOK_SECONDS) is None and "plan:" not in process.stderr:
            pass
        for _ in range(rng.choice((0, 1, 2, 4, 8))):
            before = _version(work)
            while process.poll(LOOK_SECONDS) is None and _version(work) == before:
                pass
        process.poll(rng.uniform(0, 0.05))
        process.kill()
        status = process.wait()
        if status == 0:  # it was through already: once more from the beginning
            shutil.rmtree(out)
            continue
        assert status == -signal.SIGKILL, process.stderr
        if out.exists():  # killed behind the last rename: whole, once more from the beginning
            check(out).require_whole()
            shutil.rmtree(out)
            steps["end"] += 1
            continue
        left = read_journal(work)
        done = list(left["steps"]) if left else []
        steps[done[-1] if done else "beginning"] += 1
        assert_wavs_are_whole(work)
    finished = forked(*words)  # what it is compared with has another hash seed
    assert finished.returncode == 0, finished.stderr
    return steps


def _version(work: Path) -> int:
    try:
        return (work / "journal.json").stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def assert_wavs_are_whole(folder: Path) -> None:
    """Every WAV that has its name has a header of the length that the plan gives it, and that length."""
    left = read_journal(folder)
    if left is None:
        return
    planned = {
        (bank["number"], audio["scheme"]): audio
        for bank in left["record"]["plan"]["banks"]
        for audio in bank["audio"]
    }
    for path in folder.rglob("*.wav"):
        scheme = "filters" if path.parent != folder else path.stem.rpartition("_")[2]
        stem = path.parent.name if scheme == "filters" else path.name
        if scheme == "mix":
            audio = left["record"]["plan"]["mix"]
        else:
            audio = planned[int(stem.removeprefix("activations-")[0]), scheme]
        content = path.open("rb").read(12)
        assert content[:4] == b"RIFF"
        assert int.from_bytes(content[4:8], "little") + 8 == path.stat().st_size
        assert path.stat().st_size >= 2 * audio["samples"]


ALL_SCHEMES = """--no-report --scheme filters --scheme sum --scheme concat --balance filter --scale minmax
    --subtype PCM_24 --banks 1,4 --codec zstd"""


def stopped_run(tmp_path: Path, picture: Path, weights_file: Path, stage: str, **words: Any) -> Path:
    """A run that was put down in `stage`; its working folder."""
    stop = Stop()
    words = {"weights": str(weights_file), "report": False, "label": "a", **words}
    with pytest.raises(Stopped):
        sonify(
            picture,
            tmp_path / "run",
            stop=stop,
            on_progress=lambda each: each.stage == stage and each.done > 0 and stop.ask(),
            **words,
        )
    return tmp_path / ".run.partial"
