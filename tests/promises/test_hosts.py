"""A cluster whose hosts and links fail: cut off, stopped, killed, and back again. The bytes stay the same.

Hosts are network namespaces of the tests' own, see `hosts`; workers are real, and begun again by their host
when they end, as a system's supervisor does it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import pyvips

from netsounds_stream import sonify
from netsounds_stream.cluster.compatibility import own_processor
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.run.layout import work_path
from tests.helpers import hosts
from tests.helpers.reference import PROGRAM, ROOT
from tests.helpers.runs import contents

pytestmark = pytest.mark.process

_PORT, _LIMIT_SECONDS = 8786, 90
_WORKERS = ("one", "two", "three")
_SAID = ("Register", "Remove")  # by the scheduler, of a worker that has come, or that is given up
_OTHER_PROCESSOR = "One of another maker"
# A worker that says nothing for 5 s is given up (by Dask's usual settings after 5 minutes). torch is imported
# before a worker says that it is there: it says nothing while it imports.
_SETTINGS = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "1s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "2s",
    "DASK_DISTRIBUTED__WORKER__PRELOAD": str(
        ["netsounds_stream.cluster.segment_merge", "netsounds_stream.sound.raw"]
    ),
}
_OPTIONS: dict[str, Any] = {"label": "a", "banks": (1, 2), "scheme": "concat", "report": False, "mix": False}
_WORDS = ("--label", "a", "--banks", "1,2", "--scheme", "concat", "--no-report", "--no-mix")
_ENDLESSLY = 'while :; do "$@"; done'
_ANOTHER_PROCESSOR = 'mount --bind cpuinfo /proc/cpuinfo; exec "$@"'


class Net:
    """A scheduler, and a worker on each of three hosts; the command is given on a fifth."""

    def __init__(self, made: hosts.Hosts, folder: Path) -> None:
        self.hosts, self._folder, self._log = made, folder, folder / "scheduler.log"
        (folder / "cpuinfo").write_text(f"model name\t: {_OTHER_PROCESSOR}\n")
        place = ("--host", made.address("scheduler"), "--port", _PORT)
        self._process = self._begin(
            "scheduler", sys.executable, "-m", "distributed.cli.dask_scheduler", *place
        )
        for name in _WORKERS:
            worker = [sys.executable, "-m", "distributed.cli.dask_worker", self.scheduler, "--no-nanny"]
            worker += ["--nthreads", "1", "--memory-limit", "0", "--name", name]
            if name == "three":
                worker = ["sh", "-c", _ANOTHER_PROCESSOR, "sh", *worker]
            self._begin(name, "sh", "-c", _ENDLESSLY, "sh", *worker)

    @property
    def scheduler(self) -> str:
        return f"tcp://{self.hosts.address('scheduler')}:{_PORT}"

    def _begin(self, name: str, *words: object) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **_SETTINGS}
        with (self._folder / f"{name}.log").open("ab") as log:
            return self.hosts.begin(
                name, *words, cwd=self._folder, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def counted(self, what: str, name: str) -> int:
        """How often the scheduler has said this, see `_SAID`, of a host's worker."""
        address = re.escape(self.hosts.address(name))
        return len(re.findall(rf"{what} worker addr: tcp://{address}:", self._log.read_text()))

    def there(self, *names: str) -> bool:
        """Whether the scheduler has the hosts' workers now."""
        return all(self.counted("Register", name) > self.counted("Remove", name) for name in names)

    def until(self, found: Callable[[], Any]) -> Any:
        """What is found at last, while the scheduler is there."""
        return _until(found, self._process)

    def begin(self, picture: Path, weights: Path, out: Path, *words: object) -> Run:
        """A run of a picture."""
        words = (PROGRAM, "sonify", picture, "--out", out, "--weights", weights, *_WORDS, *words)
        return Run(self, self._begin("driver", *words, "--cluster", self.scheduler), out)


class Run:
    """One under way."""

    def __init__(self, net: Net, process: subprocess.Popen[bytes], out: Path) -> None:
        self.net, self.process, self.out = net, process, out
        self.temporary = work_path(out) / "temporary"

    def until(self, found: Callable[[], Any]) -> Any:
        """What is found at last, while the run goes on."""
        return _until(found, self.process)

    def whole(self) -> int:
        """How many segments are."""
        return len(list(self.temporary.glob("segment-*.json")))

    def under_way(self, name: str) -> dict[int, Path]:
        """The workers of a host that are at a segment, and the file that they write."""
        files = self.temporary.glob("segment-*.npz.*.part")
        found = {int(path.name.split(".")[-3]): path for path in files}  # as `do_segment` names them
        return {process: path for process, path in found.items() if self.net.hosts.holds(name, process)}

    def end(self) -> dict[str, Any]:
        """Its record."""
        assert self.process.wait(_LIMIT_SECONDS) == 0
        assert not list(self.out.rglob("*.part"))
        record: dict[str, Any] = json.loads((self.out / "run.json").read_text())
        return record


def _until(found: Callable[[], Any], process: subprocess.Popen[bytes]) -> Any:
    deadline = time.monotonic() + _LIMIT_SECONDS
    while not (what := found()):
        assert time.monotonic() < deadline, "it never came"
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"{process.args!r} ended with {process.wait(0.005)} before")
    return what


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    pyvips.Image.new_from_array(draw(9_000, 513)).pngsave(str(path))
    return path


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    with hosts.made("driver", "scheduler", *_WORKERS) as made:
        yield Net(made, tmp_path_factory.mktemp("net"))


@pytest.fixture(scope="module")
def alone(
    net: Net, picture: Path, weights_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What the run leaves that has one machine (made while the hosts begin)."""
    out = tmp_path_factory.mktemp("alone") / "run"
    return contents(sonify(picture, out, weights=str(weights_file), **_OPTIONS).folder)


def test_hosts_are_cut_off_and_come_back(
    net: Net, picture: Path, weights_file: Path, tmp_path: Path, alone: dict[str, str]
) -> None:
    """A worker is stopped and a host cut off, for longer than the scheduler waits; both work on, and come
    back while the run goes on. Then the command is cut off for a while, and a host for good.
    """
    net.until(lambda: net.there(*_WORKERS))
    run = net.begin(picture, weights_file, tmp_path / "run", "--segment-rows", "128")
    three, stopped = run.until(lambda: _stopped_at_a_segment(run, "three"))
    two, cut_off = run.until(lambda: run.under_way("two")).popitem()
    before = Counter({(what, name): net.counted(what, name) for what in _SAID for name in _WORKERS})
    net.hosts.cut("two")

    def happened(what: str, *names: str) -> bool:
        return all(net.counted(what, name) > before[what, name] for name in names)

    whole = run.whole()
    run.until(lambda: run.whole() >= whole + 6)  # by those that are left
    run.until(_result(cut_off).exists)  # worked on: nobody else is given it yet
    run.process.send_signal(signal.SIGSTOP)  # or the run were through before the others are back
    run.until(lambda: happened("Remove", "two", "three"))
    run.until(_result(stopped).exists)
    assert stopped.exists(), "the stopped worker's own is not finished"
    net.hosts.join("two")
    os.kill(three, signal.SIGCONT)
    run.until(lambda: not stopped.exists())  # late, and put in the place of the other's
    run.until(lambda: happened("Register", "two", "three"))
    run.process.send_signal(signal.SIGCONT)
    run.until(lambda: run.under_way("two").keys() - {two})
    run.until(lambda: run.under_way("three").keys() - {three})

    net.hosts.cut("three")
    net.hosts.cut("driver")
    net.hosts.break_off("driver")
    whole = run.whole()
    run.until(lambda: run.whole() >= whole + 2)
    net.hosts.join("driver")
    record = run.end()
    assert contents(run.out) == alone
    assert record["cluster"]["processors"] == sorted((own_processor(), _OTHER_PROCESSOR))
    (note,) = record["notes"]
    assert re.fullmatch("the command and its workers run on 2 kinds of processor: .*", note)


def _stopped_at_a_segment(run: Run, name: str) -> tuple[int, Path] | None:
    """A host's worker, stopped in the middle of a segment, and the file that it was writing."""
    for process, path in run.under_way(name).items():
        os.kill(process, signal.SIGSTOP)
        run.until(lambda: psutil.Process(process).status() == psutil.STATUS_STOPPED)  # noqa: B023
        if path.exists():
            return process, path
        os.kill(process, signal.SIGCONT)
    return None


def _result(unfinished: Path) -> Path:
    """What is there when a segment is whole, whoever has made it."""
    return unfinished.with_name(unfinished.name.partition(".")[0] + ".json")
