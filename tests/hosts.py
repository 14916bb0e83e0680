"""Hosts of the tests' own: a network namespace each, wired to a switch whose ports can be taken down.

They share the file system, as by a network file system. On Linux, with the rights to make them.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# RFC 2544's range for networks that are tried; nobody outside hears of it anyway.
_NET, _PREFIX = "198.18.0", "24"
_SPACES = Path("/run/netns")
# By itself TCP waits twice as long before each next try: what is cut off for six seconds, for as long again.
_PATIENCE = "echo 500 > /proc/sys/net/ipv4/tcp_rto_max_ms"  # from Linux 6.15 on


class Hosts:
    """Some hosts, by their names, while they are there."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._begun: list[subprocess.Popen[bytes]] = []

    def _space(self, name: str) -> str:
        return f"netsounds-{os.getpid()}-{name}"

    def _make(self) -> None:
        switch = self._space("switch")
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for name in self._names:
            space = self._space(name)
            _ip("netns", "add", space)
            _ip(
                "-n",
                switch,
                "link",
                "add",
                _port(name),
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                space,
            )
            _ip("-n", switch, "link", "set", _port(name), "master", "bridge", "up")
            _ip("-n", space, "address", "add", f"{self.address(name)}/{_PREFIX}", "dev", "eth0")
            for each in ("lo", "eth0"):
                _ip("-n", space, "link", "set", each, "up")
            self.begin(name, "sh", "-c", _PATIENCE, stderr=subprocess.DEVNULL).wait()

    def _remove(self) -> None:
        for name in self._names:
            for process in self._processes(name):  # all that runs there is the tests'
                os.kill(process, signal.SIGKILL)
        for begun in self._begun:
            begun.wait()
        for name in ("switch", *self._names):
            subprocess.run(["ip", "netns", "delete", self._space(name)], capture_output=True, check=False)

    def _processes(self, name: str) -> list[int]:
        said = subprocess.run(["ip", "netns", "pids", self._space(name)], capture_output=True, check=False)
        return [int(each) for each in said.stdout.split()]

    def address(self, name: str) -> str:
        """Its address on the net that they share."""
        return f"{_NET}.{1 + self._names.index(name)}"

    def cut(self, name: str) -> None:
        """Nothing reaches it, and nothing comes from it."""
        _ip("-n", self._space("switch"), "link", "set", _port(name), "down")

    def break_off(self, name: str) -> None:
        """End its connections, as if a cut had lasted too long for them; nothing where the kernel cannot."""
        words = ("ss", "--kill", "dst", f"{_NET}.0/{_PREFIX}")
        self.begin(name, *words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).wait()

    def join(self, name: str) -> None:
        """Take back a cut."""
        _ip("-n", self._space("switch"), "link", "set", _port(name), "up")

    def begin(self, name: str, *words: object, **options: Any) -> subprocess.Popen[bytes]:
        """A program there, which ends with the hosts at the latest. What it mounts, it mounts for itself."""
        there = ["ip", "netns", "exec", self._space(name), *map(str, words)]
        self._begun.append(subprocess.Popen(there, **options))
        return self._begun[-1]

    def holds(self, name: str, process: int) -> bool:
        """Whether a process runs there."""
        try:
            return os.path.samefile(f"/proc/{process}/ns/net", _SPACES / self._space(name))
        except OSError:  # it has ended
            return False


def _port(name: str) -> str:
    """The switch's, where a host is plugged in."""
    return f"to-{name}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@contextmanager
def made(*names: str) -> Iterator[Hosts]:
    """Hosts of these names for a while; the test is skipped where the machine does not allow making them."""
    hosts = Hosts(names)
    try:
        try:
            hosts._make()
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            pytest.skip(f"this machine does not allow making network namespaces ({said.strip()})")
        yield hosts
    finally:
        hosts._remove()
