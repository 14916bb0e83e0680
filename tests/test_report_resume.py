"""Reports of runs that were put down or killed where only a report can be: the same bytes, the same page."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pyvips

from netsounds_stream import check, resume, sonify
from netsounds_stream.base.journal import read_journal
from netsounds_stream.picture.demo_picture import draw

from .forks import Command, forked
from .reference import page_data
from .test_resume import contents, stopped_run


def test_stopped_within_a_row_of_the_previews_pixels(tmp_path: Path, weights_file: Path) -> None:
    """The picture is reduced by three, and bands are of 64 rows: only every third ends with a pixel."""
    picture = tmp_path / "a.png"
    pyvips.Image.new_from_array(draw(3000, 30)).pngsave(str(picture))
    words: dict[str, Any] = {"banks": (4,), "scheme": "sum", "activations": False, "mix": False}
    sonify(picture, tmp_path / "whole", weights=str(weights_file), label="a", **words)
    work = stopped_run(tmp_path, picture, weights_file, "network", report=True, **words)
    left = read_journal(work)
    assert left is not None and left["steps"]["network"]["preview"]["came"] % 3
    resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_killed_in_the_report(tmp_path: Path, small_picture: Path, weights_file: Path) -> None:
    """When some of the forms for browsers are durable: the next start goes on with the others."""
    words = ["sonify", small_picture, "--weights", weights_file, "--label", "a", "--banks", "2,4"]
    words += ["--scheme", "sum", "--scheme", "concat"]
    words += ["--subtype", "FLOAT", "--no-mix", "--checkpoint-seconds", "0", "--quiet", "--out"]
    assert forked(*words, tmp_path / "whole").returncode == 0
    process = Command(*words, tmp_path / "run")

    def forms() -> dict[str, Any]:
        steps = (read_journal(tmp_path / ".run.partial") or {"steps": {}})["steps"]
        return {name: state for name, state in steps.items() if name.startswith("form: ")}

    process.until(forms)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert 0 < sum(state["blocks"] for state in forms().values()) < 2 + 256 + 512
    done = forked("resume", tmp_path / "run", "--quiet")
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    assert page_data(tmp_path / "run") == page_data(tmp_path / "whole")
    check(tmp_path / "run").require_whole()
