"""The real command in a fork (see `command_server`): for what a run does, not how a process begins.

A process of its own (`reference.command`) is for what forks share: memory that is measured, how the command
is started, and hash seeds, where bytes are compared.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from tests.helpers.reference import PROGRAM, ROOT

#: Of any command of `many_commands`. Addresses: torch alone takes some.
_LIMITS = {"seconds": 60, "RLIMIT_AS": 6 << 30}


T = TypeVar("T")
#: Between two looks at what a command has done.
LOOK_SECONDS = 0.002


class Command:
    """A command under way. Where forks are not safe, which is off Linux, in a process of its own.

    Args:
        limits: by their names in `resource`; and 'seconds'.
        environment: variables beside those of the tests' process, or in their place.
    """

    def __init__(
        self,
        *words: object,
        cwd: Path | None = None,
        limits: Mapping[str, int] = MappingProxyType({}),
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._ended: dict[str, Any] | None = None
        self._folder = tempfile.TemporaryDirectory()
        self._streams = {name: Path(self._folder.name) / name for name in ("stdout", "stderr")}
        said, paths = [str(word) for word in words], [str(path) for path in self._streams.values()]
        if sys.platform == "linux":
            now = {**os.environ, **environment}  # a test may have set some since the server began
            self.pid = int(_asked("begin", said, os.path.abspath(cwd or "."), paths, dict(limits), now))
            self._watched = os.pidfd_open(self.pid)
        else:
            from tests.helpers.command_server import limit

            into: dict[str, Any] = {name: path.open("wb") for name, path in self._streams.items()}
            begin = partial(limit, dict(limits))
            into["env"] = {**os.environ, **environment}
            self._own = subprocess.Popen([PROGRAM, *said], cwd=cwd, preexec_fn=begin, **into)
            self.pid = self._own.pid

    @property
    def stdout(self) -> str:
        """What it has said so far."""
        return self._said("stdout")

    @property
    def stderr(self) -> str:
        """Likewise."""
        return self._said("stderr")

    def _said(self, stream: str) -> str:
        if self._ended is not None:
            return str(self._ended[stream])
        return self._streams[stream].read_bytes().decode(errors="backslashreplace")

    @property
    def peak_bytes(self) -> int:
        """The most memory that it held, once it has ended (Linux)."""
        assert self._ended is not None
        return int(self._ended["peak_bytes"])

    def poll(self, seconds: float = 0) -> int | None:
        """Its exit status (minus the signal that ended it), or None if it still runs after so long."""
        if self._ended is None and (ended := self._end(seconds)) is not None:
            self._ended = {**ended, **{stream: self._said(stream) for stream in self._streams}}
            self._folder.cleanup()
        return None if self._ended is None else int(self._ended["status"])

    def _end(self, seconds: float) -> dict[str, Any] | None:
        if sys.platform != "linux":
            try:
                return {"status": self._own.wait(seconds)}
            except subprocess.TimeoutExpired:
                return None
        poll = select.poll()
        poll.register(self._watched, select.POLLIN)
        if not poll.poll(1000 * seconds):
            return None
        os.close(self._watched)
        return dict(_asked("end", self.pid))

    def until(self, found: Callable[[], T], seconds: float = 120) -> T:
        """Wait until `found()` is true, and return what it gave; the command must be running until then.

        Between two looks its end is waited for, for a moment: a wait that spins takes half of a small
        machine from the command that it waits for.
        """
        deadline = time.monotonic() + seconds
        while not (what := found()):
            assert self.poll(LOOK_SECONDS) is None, f"it ended before: {self.stderr}"
            assert time.monotonic() < deadline, "it never came"
        return what

    def wait(self, seconds: float = 300) -> int:
        """Its exit status."""
        status = self.poll(seconds)
        assert status is not None, f"process {self.pid} has not ended in {seconds} s"
        return status

    def send_signal(self, number: signal.Signals) -> None:
        if self._ended is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def forked(
    *words: object, cwd: Path | None = None, environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """The real command, as `reference.command` runs it, in a fork."""
    done = Command(*words, cwd=cwd, environment=environment)
    return subprocess.CompletedProcess(words, done.wait(), done.stdout, done.stderr)


def many_commands(cases: Sequence[tuple[Sequence[str], Path]]) -> list[dict[str, Any]]:
    """The real command many times, within limits: words, and the folder to be in, whose changes are told."""
    return [_watched(words, folder) for words, folder in cases]


def _watched(words: Sequence[str], folder: Path) -> dict[str, Any]:
    before, start = _listing(folder), time.monotonic()
    done = Command(*words, cwd=folder, limits=_LIMITS)
    status, seconds, after = done.wait(), time.monotonic() - start, _listing(folder)
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    said = {"stdout": done.stdout, "stderr": done.stderr}
    return {"status": status, **said, "changed": changed, "seconds": seconds, "peak_bytes": done.peak_bytes}


def _listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every path below `folder`, with its size and time of change."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            about = os.lstat(os.path.join(parent, name))
            size = 0 if name in folders else about.st_size
            path = os.path.relpath(os.path.join(parent, name), folder)
            found[path] = (size, about.st_mtime_ns * (size > 0))
    return found


def _asked(*request: object) -> Any:
    server = _server()
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


@cache
def _server() -> subprocess.Popen[str]:
    """One for all tests. In a session of its own: what stops the tests by Ctrl-C does not reach it twice."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    words = [sys.executable, "-m", "tests.helpers.command_server"]
    server = subprocess.Popen(words, cwd=ROOT, start_new_session=True, **pipes)
    atexit.register(server.communicate)  # which closes its stdin
    return server
