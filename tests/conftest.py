"""What several tests share: where the real data is, weights with every parameter at work, small pictures."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

# Before torch is loaded, here and in every command that is run: threads that wait sleep. They would spin, and
# keep those that have work from a busy machine's cores: ten runs at once took five times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import pyvips
import torch

from netsounds_stream import machine
from netsounds_stream.drawing import draw
from netsounds_stream.weights import Weights, expected_shapes, load_weights


@pytest.fixture(scope="module", autouse=True)
def _garbage() -> Iterator[None]:
    """What a module's tests leave behind is cleared away."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _own_memory() -> None:
    """A run in the tests' own process plans from what that holds: not from what others have given up."""
    machine.trim_heap()


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
