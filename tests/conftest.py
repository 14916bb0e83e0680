"""What several tests share: real data, weights with every parameter at work, small pictures, a small disk."""

from __future__ import annotations

import gc
import multiprocessing.process
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

# Before torch is loaded, here and in every command that is run: threads that wait sleep. They would spin, and
# keep those that have work from a busy machine's cores: ten runs at once took five times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import pyvips
import torch

from netsounds_stream import sonify
from netsounds_stream.base import machine
from netsounds_stream.graph.usual import usual_graph
from netsounds_stream.network.networks import Network, load_network
from netsounds_stream.network.weights import usual_shapes
from netsounds_stream.picture.demo_picture import draw
from tests.helpers import forks

# The files that take longest go first: two processes share files out, and what comes last must be short.
_LONGEST = (
    "batch", "cluster", "memory", "benchmarks", "resume", "remote", "page_controls", "page_views", "tutorial",
    "page", "photograph", "notebook_file", "hosts", "windowed_resume",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the rest in order."""
    places = {f"test_{name}.py": at for at, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def pytest_collection_finish() -> None:
    """What is there before the first test stays: no collection of garbage looks at it again.

    Libraries and tests are half a million objects, at which every module's end would look for 0.3 s.
    """
    platform.processor()  # asks a process, once; a run's record needs it
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _garbage() -> Iterator[None]:
    """What a module's tests leave behind is cleared away; Dask leaves variables that say how many threads."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    gc.collect()


@pytest.fixture(autouse=True)
def _own_memory() -> None:
    """A run in the tests' own process plans from what that holds: not from what others have given up."""
    machine.trim_heap()


@pytest.fixture(autouse=True)
def _processes_are_marked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that `make test-fast` runs starts no process: what does is marked."""
    if any(request.node.get_closest_marker(name) for name in ("process", "browser", "docs", "bench")):
        return

    def refuse(*_: Any, **__: Any) -> NoReturn:
        pytest.fail("this test starts a process: mark it `process`")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", refuse)
    monkeypatch.setattr(forks, "_asked", refuse)


@pytest.fixture(scope="session", autouse=True)
def _same_budget() -> Iterator[None]:
    """A run in the tests' own process has as much beyond what that holds as in a process of its own.

    For shards and blocks follow what is left, and two runs that are to be the same, byte for byte, must be
    planned alike. (The whole suite's process holds 900 MiB in the end, of the 1 GiB that a run may take; what
    a run promises is tested in fresh processes.)
    """
    usual = machine.default_budget_bytes
    with pytest.MonkeyPatch.context() as patch:
        budget = lambda device="cpu": usual(device) + machine.resident_bytes()  # noqa: E731
        patch.setattr(machine, "default_budget_bytes", budget)
        yield


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real photographs, weights and recorded sounds."""
    folder = os.environ.get("NETSOUNDS_TEST_DATA")
    if not folder:
        pytest.skip("NETSOUNDS_TEST_DATA is not set: no real photographs, weights or recorded sounds here")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """Seeded weights whose activations stay near 1 through all layers, biases included."""
    generator = torch.Generator().manual_seed(5)
    state = {}
    for name, shape in usual_shapes(usual_graph()).items():
        values = torch.randn(shape, generator=generator)
        fan_in = values[0].numel() if name.endswith("weight") else 100
        state[name] = values * (2 / fan_in) ** 0.5
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(state, path)
    return load_network(weights=str(path))


@pytest.fixture(scope="session")
def weights_file(weights: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(dict(weights.state), path)
    return path


@pytest.fixture(scope="session")
def picture_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A landscape of 331 x 230 pixels."""
    path = tmp_path_factory.mktemp("pictures") / "a landscape.png"
    pyvips.Image.new_from_array(draw(331, 230)).pngsave(str(path))
    return path


@pytest.fixture(scope="session")
def small_picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """161 x 107 pixels."""
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    pyvips.Image.new_from_array(draw(161, 107)).pngsave(str(path))
    return path


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory, small_picture: Path, weights_file: Path) -> Path:
    """A run over the small picture, to be read: the arrays of banks 1 and 3; time along x."""
    out = tmp_path_factory.mktemp("stored") / "run"
    words: dict[str, Any] = {"banks": (1, 3), "scheme": "sum", "mix": False, "report": False}
    sonify(small_picture, out, weights=str(weights_file), label="a", **words)
    return out


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As a run's workers have it; on a busy machine transforms wait for a second thread at length."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 100 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(disk)]
    if not sys.platform.startswith("linux") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this test may not mount a file system here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)
