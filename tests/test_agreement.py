"""Workers of other versions than the command's are refused, and other processors told of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from distributed import Client

from netsounds_stream import sonify
from netsounds_stream.base.progress import Stop
from netsounds_stream.cluster.compatibility import (
    own_processor,
    own_versions,
    processors_note,
    require_versions,
)
from netsounds_stream.cluster.dask_cluster import connected
from netsounds_stream.errors import ClusterError

from .reference import ROOT

OTHER = "0.0.9"
REFUSED = (
    rf"workers have other versions than the command \(netsounds-stream {OTHER} instead of "
    rf"{own_versions()['netsounds-stream']} at \S+\), so the files would differ; install the same on the "
    rf"workers: pip install netsounds-stream=={own_versions()['netsounds-stream']}"
)


class Begun:
    """A scheduler, and workers as they are begun: of the command's versions, or of another."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / "scheduler.json"
        other = folder / "other" / f"netsounds_stream-{OTHER}.dist-info"  # found before the true one
        other.mkdir(parents=True)
        (other / "METADATA").write_text(f"Metadata-Version: 2.1\nName: netsounds-stream\nVersion: {OTHER}\n")
        self._log = (folder / "log").open("wb")
        self.processes: list[subprocess.Popen[bytes]] = []
        self._begin("dask_scheduler", str(ROOT), "--host", "127.0.0.1", "--port", "0")

    def worker(self, *, other: bool = False) -> None:
        path = f"{self._folder / 'other'}{os.pathsep}{ROOT}" if other else str(ROOT)
        self._begin("dask_worker", path, "--nthreads", "1", "--no-nanny", "--memory-limit", "0")

    def _begin(self, what: str, path: str, *words: str) -> None:
        common = ("--no-dashboard", "--scheduler-file", str(self._file))
        self.processes.append(
            subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{what}", *words, *common],
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": path},
                stdout=self._log,
                stderr=self._log,
            )
        )

    def address(self, workers: int) -> str:
        """When it has so many workers."""
        with Client(scheduler_file=str(self._file), timeout="60s") as client:
            client.wait_for_workers(workers, timeout=60)
        return str(json.loads(self._file.read_text())["address"])


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Begun]:
    made = Begun(tmp_path)
    try:
        yield made
    finally:
        for each in made.processes:
            each.kill()  # asked to end, a worker may wait for its scheduler
            each.wait()


def test_a_worker_of_another_version(begun: Begun, tmp_path: Path, picture_file: Path) -> None:
    """One that is there is found at once, and one that comes later by the first item that it is given."""
    begun.worker()
    with ExitStack() as stack:
        cluster = stack.enter_context(connected(begun.address(1)))
        cluster.require_same_versions()
        begun.worker(other=True)
        address = begun.address(2)
        found = [each for _, each in cluster.each(os.path.basename, ["a/b"] * 8, name="item", stop=Stop())]
        assert {"b"} < {str(each) for each in found}
        refused = [each for each in found if isinstance(each, ClusterError)]
        with pytest.raises(ClusterError, match=REFUSED):
            raise refused[0]
        assert cluster.processors == {own_processor()}
    with pytest.raises(ClusterError, match=REFUSED):
        sonify(picture_file, tmp_path / "run", weights="untrained", cluster=address)
    assert not (tmp_path / "run").exists()


def test_what_is_told_of_versions() -> None:
    expected = {"netsounds-stream": "2", "torch": "9.1", "numcodecs": "1"}
    same: dict[str, str | None] = {**expected}
    require_versions(expected, {})
    require_versions(expected, {"a": same, "b": {}})  # b could not be asked
    places = {"a": same, "b": {**same, "torch": "9.0"}, "c": {"numcodecs": None}, "d": {"torch": "9.0"}}
    with pytest.raises(ClusterError) as raised:
        require_versions(expected, places)
    assert str(raised.value) == (
        "the workers have other versions than the command (torch 9.0 instead of 9.1 at b and 1 more, "
        "numcodecs none instead of 1 at c), so the files would differ; install the same on the workers: "
        "pip install torch==9.1 numcodecs==1"
    )


def test_what_is_told_of_processors() -> None:
    own = own_processor()
    assert processors_note([]) == processors_note([own, own]) == []
    (note,) = processors_note(["A", own, "A"])
    assert note.startswith(
        f"the command and its workers run on 2 kinds of processor: {', '.join(sorted(('A', own)))};"
    )
