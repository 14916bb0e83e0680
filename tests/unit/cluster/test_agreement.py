"""Workers of other versions than the command's are refused, and other processors told of."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

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
from tests.helpers.dask_workers import OTHER, Begun

REFUSED = (
    rf"workers have other versions than the command \(netsounds-stream {OTHER} instead of "
    rf"{own_versions()['netsounds-stream']} at \S+\), so the files would differ; install the same on the "
    rf"workers: pip install netsounds-stream=={own_versions()['netsounds-stream']}"
)


@pytest.mark.process
def test_a_worker_of_another_version(begun: Begun, tmp_path: Path, picture_file: Path) -> None:
    """One that is there is found at once, and one that comes later by the first item that it is given."""
    begun.worker()
    with ExitStack() as stack:
        cluster = stack.enter_context(connected(begun.address(1)))
        cluster.require_same_versions()
        begun.worker(other=True)
        address = begun.address(2)
        found = [
            each for _, each in cluster.as_completed(os.path.basename, ["a/b"] * 8, name="item", stop=Stop())
        ]
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
