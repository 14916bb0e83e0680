"""Somebody who follows the tutorial: real commands and Python, block after block, in one folder.

Run as `python -m tests.helpers.tutorial_reader FOLDER`; a block comes as a line of JSON on stdin, what was
printed goes back as one. Commands run in forks of a process that has imported everything
(`command_server`), Python in one more process, whose names stay from block to block. There is no network,
and so there are no trained weights.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from netsounds_stream import Run, api
from netsounds_stream.base.progress import Progress
from tests.helpers import command_server

PROGRAM = "netsounds-stream"
INTERRUPT = "^C"
_sonify = api.sonify


def run_command(line: str, folder: Path, *, interrupted: bool) -> str:
    """What a line of the shell prints, errors first; by Ctrl-C in the network's stage where `interrupted`."""
    name, *words = shlex.split(line)
    if name != PROGRAM:
        done = subprocess.run(["sh", "-c", line], cwd=folder, capture_output=True, text=True, check=False)
        return done.stderr + done.stdout
    api.sonify = _interrupted if interrupted else _sonify
    with tempfile.TemporaryDirectory() as streams:
        printed = [Path(streams) / name for name in ("stdout", "stderr")]
        begun = command_server.begin(words, str(folder), [*map(str, printed)], {}, dict(os.environ))
        command_server.end(begun)
        out, errors = (each.read_text(encoding="utf-8", errors="replace") for each in printed)
    return f"{errors}{out}"


def _interrupted(*args: Any, **words: Any) -> Run:
    """`sonify`, with a Ctrl-C as soon as some of the picture is through the network."""
    shown, stop = words["on_progress"], words["stop"]

    def listen(progress: Progress) -> None:
        shown(progress)
        if progress.stage == "network" and progress.done and not stop.asked:
            os.kill(os.getpid(), signal.SIGINT)
            while not stop.asked:  # until the main thread has heard it
                time.sleep(0.001)

    return _sonify(*args, **{**words, "on_progress": listen})


def python(folder: Path) -> subprocess.Popen[str]:
    """The process of Python blocks: code in, what was printed out, a line of JSON each."""
    return subprocess.Popen(
        [sys.executable, "-c", "from tests.helpers.tutorial_reader import be_python; be_python()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def be_python() -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for line in sys.stdin:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                exec(compile(json.loads(line), "the tutorial", "exec"), names)
            except BaseException:  # noqa: BLE001  (as the interpreter does)
                traceback.print_exc()
        print(json.dumps(printed.getvalue()), flush=True)


def main() -> None:
    folder = Path(sys.argv[1])
    with python(folder) as inner:
        assert inner.stdin is not None
        assert inner.stdout is not None
        for line in sys.stdin:
            asked = json.loads(line)
            if "python" in asked:
                inner.stdin.write(json.dumps(asked["python"]) + "\n")
                inner.stdin.flush()
                printed = json.loads(inner.stdout.readline())
            else:
                printed = run_command(asked["command"], folder, interrupted=asked["interrupted"])
            print(json.dumps(printed), flush=True)
        inner.stdin.close()


if __name__ == "__main__":
    main()
