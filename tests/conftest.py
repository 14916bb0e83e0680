"""What several tests share: real data, weights with every parameter at work, small pictures, a browser."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

# Before torch is loaded, here and in every command that is run: threads that wait sleep. They would spin, and
# keep those that have work from a busy machine's cores: ten runs at once took five times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import pyvips
import torch

from netsounds_stream import sonify
from netsounds_stream.base import machine
from netsounds_stream.network.weights import Weights, expected_shapes, load_weights
from netsounds_stream.picture.demo_picture import draw

from .browser import DESK, Open, started, tab
from .report_sample import make_run, render

# The files that take longest go first: two processes share files out, and what comes last must be short.
_LONGEST = ("cluster", "memory", "resume", "plan", "batch", "benchmarks", "tutorial", "remote")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the rest in order."""
    places = {f"test_{name}.py": at for at, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(scope="module", autouse=True)
def _garbage() -> Iterator[None]:
    """What a module's tests leave behind is cleared away."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _own_memory() -> None:
    """A run in the tests' own process plans from what that holds: not from what others have given up."""
    machine.trim_heap()


@pytest.fixture(scope="session", autouse=True)
def _same_budget() -> Iterator[None]:
    """A run in the tests' own process has as much beyond what that holds as in a process of its own.

    For shards and blocks follow what is left, and two runs that are to be the same, byte for byte, must be
    planned alike. (The whole suite's process holds 900 MiB in the end, of the 1 GiB that a run may take; what
    a run promises is tested in fresh processes.)
    """
    usual = machine.default_budget_bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "default_budget_bytes", lambda: usual() + machine.resident_bytes())
        yield


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real photographs, weights and recorded sounds."""
    folder = os.environ.get("NETSOUNDS_TEST_DATA")
    if not folder:
        pytest.skip("NETSOUNDS_TEST_DATA is not set: no real photographs, weights or recorded sounds here")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """Seeded weights whose activations stay near 1 through all layers, biases included."""
    generator = torch.Generator().manual_seed(5)
    state = {}
    for name, shape in expected_shapes().items():
        values = torch.randn(shape, generator=generator)
        fan_in = values[0].numel() if name.endswith("weight") else 100
        state[name] = values * (2 / fan_in) ** 0.5
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(state, path)
    return load_weights(str(path))


@pytest.fixture(scope="session")
def weights_file(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(dict(weights.state), path)
    return path


@pytest.fixture(scope="session")
def picture_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A landscape of 331 x 230 pixels."""
    path = tmp_path_factory.mktemp("pictures") / "a landscape.png"
    pyvips.Image.new_from_array(draw(331, 230)).pngsave(str(path))
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser a module; it keeps an event loop in this thread, so it does not outlive that."""
    with started() as found:
        yield found


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A name of the kind that people have: with what an address cannot hold as it is."""
    return tmp_path / "a bowl #1, 100 %"


@pytest.fixture
def opened(browser: Any, run_folder: Path) -> Iterator[Open]:
    """Makes a sample run (`run`: of what kind; `change`: its page's variables), and opens its page.

    `options` are of the browser's context; `script` runs before the page's own. Afterwards nothing may have
    gone wrong in the page: no error, no failed request, no word in the console.
    """
    with ExitStack() as tabs:
        problems: list[list[str]] = []

        def open_run(
            change: Callable[[dict[str, Any]], None] | None = None,
            options: dict[str, Any] | None = None,
            script: str = "",
            **run: Any,
        ) -> Any:
            variables = make_run(run_folder, **run)
            if change:
                change(variables)
            found = tabs.enter_context(tab(browser, **{"viewport": DESK} | (options or {})))
            problems.append(found.problems)
            if script:
                found.page.add_init_script(script)
            return found.open(render(run_folder, variables))

        yield open_run
        assert not any(problems), problems


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
