"""Many real commands in one process: each in a fork of an interpreter that has imported everything already.

Run as `python -m tests.command_server`, with the cases on stdin as JSON; the answers come on stdout, a line
of JSON each. A fork has everything that a process of its own has (streams, exit status, limits), but not
its second of importing.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from netsounds_stream import cli
from netsounds_stream import engine as engine  # what the commands import when they are called

LIMIT_SECONDS = 60
LIMIT_BYTES = 6 << 30  # of addresses, of which torch alone takes some


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every path below `folder`, with its size and time of change."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            about = os.lstat(os.path.join(parent, name))
            size = 0 if name in folders else about.st_size
            found[os.path.relpath(os.path.join(parent, name), folder)] = (
                size,
                about.st_mtime_ns * (size > 0),
            )
    return found


def run(words: list[str], folder: Path) -> dict[str, Any]:
    """One command in `folder`: its exit status (minus the signal that ended it), streams and new paths."""
    before, start = listing(folder), time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _be_the_command([os.fsencode(word) for word in words], folder, out.fileno(), err.fileno())
        _, status, used = os.wait4(child, 0)
        streams = []
        for stream in (out, err):
            stream.seek(0)
            streams.append(stream.read().decode(errors="backslashreplace"))
    after = listing(folder)
    return {
        "status": os.waitstatus_to_exitcode(status),
        "stdout": streams[0],
        "stderr": streams[1],
        "changed": sorted(
            path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
        ),
        "seconds": time.monotonic() - start,
        "peak_bytes": used.ru_maxrss * 1024,
    }


def _be_the_command(words: list[bytes], folder: Path, out: int, err: int) -> None:
    code = 1
    try:
        signal.alarm(LIMIT_SECONDS)  # not caught: it ends a loader that hangs, too
        resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
        os.chdir(folder)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.argv = ["netsounds-stream", *map(os.fsdecode, words)]
        cli.sys.argv = sys.argv
        cli.main()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
    except BaseException:  # noqa: BLE001  (as the interpreter does)
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def main() -> None:
    """Answer the cases on stdin: `[[words, ...], folder]` each."""
    for words, folder in json.load(sys.stdin):
        print(json.dumps(run(words, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
