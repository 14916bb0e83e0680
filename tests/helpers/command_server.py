"""Real commands, each in a fork of an interpreter that has imported everything already.

Run as `python -m tests.helpers.command_server`; `forks` speaks with it, a line of JSON each way. A fork has
everything that a process of its own has (streams, signals, exit status, limits, threads that are waited for
at its end), but not its second of importing, and not a hash seed and an address space of its own.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import traceback
from typing import Any, NoReturn

from netsounds_stream import api as api  # what the commands import when they are called
from netsounds_stream.cli import main as command


def begin(
    words: list[str], folder: str, streams: list[str], limits: dict[str, int], environment: dict[str, str]
) -> int:
    """Begin a command in `folder`, its standard output and errors into the files `streams`; its process.

    `environment` is the command's; variables that count when a library is loaded, as the number of its
    threads, come too late.
    """
    assert threading.active_count() == 1  # a fork has one thread only: what others have locked stays so
    opened = [os.open(os.devnull, os.O_RDONLY)]
    opened += [os.open(path, os.O_WRONLY | os.O_CREAT) for path in streams]
    child = os.fork()
    if child == 0:
        _be_the_command(words, folder, opened, limits, environment)
    for stream in opened:
        os.close(stream)
    return child


def limit(limits: dict[str, int]) -> None:
    """Limit this process: by names of `resource`, and in 'seconds'."""
    for name, most in limits.items():
        if name == "seconds":
            signal.alarm(most)  # not caught: it ends a loader that hangs, too
        else:
            resource.setrlimit(getattr(resource, name), (most, most))


def _be_the_command(
    words: list[str], folder: str, streams: list[int], limits: dict[str, int], environment: dict[str, str]
) -> NoReturn:
    status = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        limit(limits)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["netsounds-stream", *map(os.fsdecode, map(os.fsencode, words))]
        command()
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else 1
    except BaseException:  # noqa: BLE001  (as the interpreter does)
        traceback.print_exc()
    finally:
        try:
            threading._shutdown()  # type: ignore[attr-defined]  # as at an interpreter's end, of which the rest takes a quarter of a second
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def end(process: int) -> dict[str, Any]:
    """Wait for a command's end: its exit status (minus the signal that ended it), and its peak memory."""
    _, status, used = os.wait4(process, 0)
    return {"status": os.waitstatus_to_exitcode(status), "peak_bytes": used.ru_maxrss * 1024}


def main() -> None:
    """Answer `["begin", *arguments of begin]` and `["end", process]`, until stdin is closed."""
    for line in sys.stdin:
        asked, *given = json.loads(line)
        print(json.dumps(begin(*given) if asked == "begin" else end(*given)), flush=True)


if __name__ == "__main__":
    main()
