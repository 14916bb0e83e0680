"""A disk that fills, a limit on files' size, a folder that vanishes or is read-only, in the midst of a run.

On a real small file system where the test may mount one; else by the system's limit on file sizes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pyvips

from netsounds_stream import check, resume, sonify
from netsounds_stream.base.progress import Progress
from netsounds_stream.errors import OutputError
from netsounds_stream.picture.demo_picture import draw

from .forks import LOOK_SECONDS, Command, forked
from .reference import command, page_data
from .test_resume import contents, has_commits

Whole = dict[str, str]
_DISK_BYTES = 100 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 100 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(disk)]
    if not sys.platform.startswith("linux") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this test may not mount a file system here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "a.png"
    pyvips.Image.new_from_array(draw(700, 500)).pngsave(str(path))
    return path


def words_for(picture: Path, weights_file: Path) -> list[object]:
    words = ["sonify", picture, "--out", "run", "--weights", weights_file, "--label", "a", "--banks", "1,2"]
    words += ["--scheme", "sum", "--scheme", "concat"]
    return [*words, "--duration", 1, "--no-report", "--checkpoint-seconds", 0]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, picture: Path, weights_file: Path) -> Whole:
    """What an undisturbed run makes of the picture."""
    folder = tmp_path_factory.mktemp("whole")
    assert command(*words_for(picture, weights_file), cwd=folder).returncode == 0
    return contents(folder / "run")


def start(words: list[object], cwd: Path, **limits: int) -> Command:
    """The command, when a first commit of its is on the disk."""
    process = Command(*words, cwd=cwd, limits=limits)
    process.until(lambda: has_commits(cwd / "run"))
    return process


def error_line(process: Command) -> str:
    status, errors = process.wait(), process.stderr
    assert status == 1, errors
    lines = [line for line in errors.splitlines() if line.startswith("netsounds-stream: ")]
    assert len(lines) == 1 and "Traceback" not in errors, errors
    return lines[0]


def test_the_disk_fills(small_disk: Path, picture: Path, weights_file: Path, whole: Whole) -> None:
    process = start(words_for(picture, weights_file), small_disk)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while process.poll() is None:  # as fast as the run makes room for itself, it is taken
            try:
                file.write(bytes(1 << 20))
            except OSError:
                process.poll(LOOK_SECONDS)
    line = error_line(process)
    assert "disk" in line and "netsounds-stream resume run" in line
    again = forked("resume", "run", cwd=small_disk)
    assert again.returncode == 1 and "netsounds-stream resume run" in again.stderr  # as long as it is full
    ballast.unlink()
    done = forked("resume", "run", cwd=small_disk)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in small_disk.iterdir()) == ["run"]
    assert contents(small_disk / "run") == whole


def test_the_disk_is_read_only(small_disk: Path, picture: Path, weights_file: Path, whole: Whole) -> None:
    process = start(words_for(picture, weights_file), small_disk)
    process.kill()
    process.wait()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for words in (["resume", "run"], [*words_for(picture, weights_file), "--resume"]):
        done = forked(*words, cwd=small_disk)
        assert done.returncode == 1, done.stderr
        assert done.stderr.startswith("netsounds-stream: ") and "Read-only" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    done = forked("resume", "run", cwd=small_disk)
    assert done.returncode == 0, done.stderr
    assert contents(small_disk / "run") == whole


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_file_may_not_grow(tmp_path: Path, picture: Path, weights_file: Path, whole: Whole) -> None:
    """As a quota would: the second bank's `concat` file is larger than the system lets it be."""
    process = start(words_for(picture, weights_file), tmp_path, RLIMIT_FSIZE=8 << 20)
    line = error_line(process)
    assert "too large" in line and "netsounds-stream resume run" in line
    assert forked("resume", "run", cwd=tmp_path).returncode == 0
    assert contents(tmp_path / "run") == whole


def test_the_folder_vanishes(tmp_path: Path, picture: Path, weights_file: Path, whole: Whole) -> None:
    process = start(words_for(picture, weights_file), tmp_path)
    os.rename(tmp_path / ".run.partial", tmp_path / "elsewhere")
    assert "elsewhere" not in error_line(process)
    os.rename(tmp_path / "elsewhere", tmp_path / ".run.partial")  # the disk is plugged in again
    done = forked("resume", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "run") == whole


def test_the_disk_fills_in_the_report(small_disk: Path, picture_file: Path, weights_file: Path) -> None:
    """Nothing is lost, and the page is that of a run that was never stopped."""
    words: dict[str, Any] = {"weights": str(weights_file), "label": "a", "banks": (4,), "duration": 1}
    words |= {
        "subtype": "FLOAT",
        "scheme": ("sum", "concat"),
    }  # which has forms for browsers, written in this stage
    sonify(picture_file, small_disk.parent / "whole", **words)
    ballast = small_disk / "ballast"

    def listen(progress: Progress) -> None:
        if progress.stage == "report" and not ballast.exists():
            with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(bytes(1 << 16)):
                    pass

    for _ in range(2):  # as long as it is full
        with pytest.raises((OutputError, OSError), match=r"cannot|No space"):
            sonify(picture_file, small_disk / "run", resume=True, on_progress=listen, **words)
    assert not (small_disk / "run").exists()
    ballast.unlink()
    resume(small_disk / "run")
    assert contents(small_disk / "run") == contents(small_disk.parent / "whole")
    assert page_data(small_disk / "run") == page_data(small_disk.parent / "whole")
    check(small_disk / "run").require_whole()
