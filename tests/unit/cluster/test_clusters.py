"""What a cluster's items come to: none waits for another's result, and a scheduler that is gone is told."""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from netsounds_stream.base.progress import Stop
from netsounds_stream.cluster import dask_cluster
from netsounds_stream.cluster.dask_cluster import connected
from netsounds_stream.errors import ClusterError
from tests.helpers.dask_workers import Begun

pytestmark = pytest.mark.process

_LIMIT_SECONDS = 20


class _Held:
    """A result that its worker does not hand out before a file is there, as one on a host that is cut off."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        (self._folder / "asked for").touch()
        _wait(self._folder / "release")
        return str, ("held",)


def _wait(until: Path) -> None:
    deadline = time.monotonic() + _LIMIT_SECONDS
    look = threading.Event()
    while not until.exists() and time.monotonic() < deadline:
        look.wait(0.005)


def _result(folder: Path, number: int) -> Any:
    """The first one's is held; the others' are made when that one's has been asked for."""
    if number == 0:
        return _Held(folder)
    _wait(folder / "asked for")
    return "free"


def test_a_result_that_cannot_be_had_yet(tmp_path: Path) -> None:
    """Another's comes meanwhile; how many, is Dask's affair, which may queue some behind the held one."""
    found = []
    with connected("local:2") as cluster:
        for _, each in cluster.as_completed(partial(_result, tmp_path), range(10), name="item", stop=Stop()):
            found.append(each)
            (tmp_path / "release").touch()
    assert found[0] == "free"
    assert sorted(map(str, found)) == ["free"] * 9 + ["held"]


def test_the_scheduler_is_killed(begun: Begun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "_PATIENCE", "1s")
    begun.worker()
    with connected(begun.address(1)) as cluster:
        found = cluster.as_completed(os.path.basename, ["a/b"] * 1000, name="item", stop=Stop())
        assert next(found) == ("a/b", "b")
        begun.processes[0].kill()
        with pytest.raises(ClusterError, match="--resume"):
            list(found)
