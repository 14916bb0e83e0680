"""Two runs at one folder, and many runs at once."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import pyvips

from netsounds_stream import Stop, Stopped, check, resume, sonify
from netsounds_stream.errors import OutputError
from netsounds_stream.picture.demo_picture import draw
from tests.helpers.counts import AT_ONCE
from tests.helpers.forks import Command, forked
from tests.helpers.reference import command
from tests.helpers.runs import contents, has_commits

pytestmark = pytest.mark.process


def test_a_second_run_is_refused_until_the_first_is_dead(tmp_path: Path, weights_file: Path) -> None:
    picture = tmp_path / "a.png"
    pyvips.Image.new_from_array(draw(900, 700)).pngsave(str(picture))
    words = ["sonify", picture, "--out", tmp_path / "run", "--weights", weights_file, "--quiet"]
    words += ["--duration", "1", "--no-report"]
    first = Command(*words, "--checkpoint-seconds", "0")
    first.until(lambda: has_commits(tmp_path / "run"))
    first.send_signal(signal.SIGSTOP)  # it lives, however long this takes
    for second in (words, [*words, "--resume"], [*words, "--overwrite"], ["resume", tmp_path / "run"]):
        done = forked(*second)
        assert done.returncode == 1
        assert f"another run is working on {tmp_path / 'run'} (process {first.pid})" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    first.kill()
    first.wait()
    assert forked("resume", tmp_path / "run").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "run"]


def test_ten_runs_at_once(tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    words = ["sonify", picture_file, "--weights", weights_file, "--label", "a", "--banks", "1,3"]
    words += ["--duration", "1", "--no-report", "--quiet", "--checkpoint-seconds", "0", "--out"]
    assert command(*words, tmp_path / "alone").returncode == 0
    names = [f"run {number}" for number in range(AT_ONCE)]
    runs = [Command(*words, tmp_path / name) for name in names]
    assert [run.wait() for run in runs] == [0] * AT_ONCE
    for name in names:
        assert contents(tmp_path / name) == contents(tmp_path / "alone")


def test_what_came_to_the_folder_meanwhile_is_not_replaced(
    tmp_path: Path, picture_file: Path, weights_file: Path
) -> None:
    def meddle(_: object) -> None:
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / "letter").write_text("dear")

    words = {"weights": str(weights_file), "report": False, "banks": (4,), "label": "a", "duration": 1}
    with pytest.raises(OutputError, match="holds files but no run"):
        sonify(picture_file, tmp_path / "run", on_progress=meddle, **words)
    (tmp_path / "run" / "letter").rename(tmp_path / "letter")
    run = resume(tmp_path / "run")  # nothing of it was lost
    assert run.record["starts"] == 2
    assert (tmp_path / "letter").read_text() == "dear"


def test_a_kill_between_the_runs_end_and_its_place(
    tmp_path: Path, picture_file: Path, weights_file: Path
) -> None:
    words = {"weights": str(weights_file), "report": False, "banks": (4,), "label": "a", "duration": 1}
    sonify(picture_file, tmp_path / "run", **words)
    (tmp_path / "run").rename(tmp_path / ".run.partial")  # as it is before its rename
    run = resume(tmp_path / "run")
    assert run.record["starts"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    # killed between that rename and the removal of the lock: an overwriting run is not in its own way
    (tmp_path / "run" / ".lock").touch()
    sonify(picture_file, tmp_path / "run", overwrite=True, **words)
    # what is half removed is no run, and is not put back
    (tmp_path / ".run.replaced").mkdir()
    (tmp_path / ".run.replaced" / "activations-4_a_sum.wav").touch()
    (tmp_path / "run").rename(tmp_path / "moved")
    sonify(picture_file, tmp_path / "run", **words)
    assert not (tmp_path / ".run.replaced").exists()
    shutil.rmtree(tmp_path / "moved")
    # an overwriting run has put the old one aside, and is killed
    (tmp_path / "run").rename(tmp_path / ".run.replaced")
    stop = Stop()
    with pytest.raises((OutputError, Stopped), match=r"holds a run already|"):
        sonify(picture_file, tmp_path / "run", stop=stop, **words)
    assert (tmp_path / "run" / "run.json").exists()


def test_a_run_without_permission_replaces_nothing_even_when_it_is_resumed(
    tmp_path: Path, picture_file: Path, weights_file: Path
) -> None:
    words = {"weights": str(weights_file), "report": False, "banks": (4,), "duration": 1}
    sonify(picture_file, tmp_path / "run", label="first", **words)
    (tmp_path / "run").rename(tmp_path / ".run.partial")  # whole, killed before its rename
    sonify(picture_file, tmp_path / "other", label="second", **words)
    (tmp_path / "other").rename(tmp_path / "run")
    with pytest.raises(OutputError, match="holds a run already"):
        resume(tmp_path / "run")
    assert (tmp_path / "run" / "activations-4_second_sum.wav").exists()
    assert (tmp_path / ".run.partial" / "activations-4_first_sum.wav").exists()


def test_what_is_not_ours_is_in_the_way(tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    (tmp_path / ".run.partial").mkdir()
    (tmp_path / ".run.partial" / "letter").write_text("dear")
    words = ("--out", tmp_path / "run", "--weights", weights_file, "--overwrite")
    done = forked("sonify", picture_file, *words)
    assert (done.returncode, "in the way" in done.stderr) == (1, True)
    assert (tmp_path / ".run.partial" / "letter").read_text() == "dear"
    done = forked("sonify", picture_file, "--weights", weights_file, "--out", "/proc/run")
    assert (done.returncode, "choose another --out" in done.stderr) == (1, True)


def entries(folder: Path) -> dict[str, str]:
    return {name: checksum for name, checksum in contents(folder).items() if not name.startswith(".")}


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("killed_after", [0, 1, 2, 3, 5, 8, None])
def test_a_folder_that_exists_is_filled_even_after_a_kill(
    tmp_path: Path,
    picture_file: Path,
    weights_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    earlier: bool,
    killed_after: int | None,
) -> None:
    """The folder stays the same one, as for `--out .`; os.rename refuses folders, as on Windows."""
    words: dict[str, Any] = {"weights": str(weights_file), "report": False, "banks": (3, 4), "duration": 1}
    out = tmp_path / "run"
    out.mkdir()
    if earlier:
        sonify(picture_file, out, label="earlier", scheme="concat", **words)
    expected = sonify(picture_file, tmp_path / "expected", label="new", **words)
    before = out.stat().st_ino
    rename, moved = os.rename, 0

    class Killed(BaseException):
        pass

    def like_windows(source: Path, target: Path) -> None:
        nonlocal moved
        if moved == killed_after:
            raise Killed
        if Path(target).is_dir() or Path(source) == out:
            raise PermissionError(errno.EACCES, "in use", str(target))
        if Path(source).parent in (out, tmp_path / ".run.partial"):
            moved += 1
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", like_windows)
        try:
            sonify(picture_file, out, label="new", overwrite=earlier, **words)
        except Killed:
            assert killed_after is not None
    run = resume(out)
    assert run.label == "new"
    assert out.stat().st_ino == before
    assert entries(out) == entries(expected.folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected", "run"]
    check(out).require_whole()
