"""The same runs on a GPU. Skipped, saying so, where there is none.

Tolerances, of a bank's largest value: 1e-5 in float32, as between any two splits (`test_stream`), and a step
of float16 more where activations are stored; 1e-2 in float16 and 5e-2 in bfloat16, as on the CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import zarr

from netsounds_stream import check, resume, sonify, verify
from netsounds_stream.base.device import Transfers, own_stream
from netsounds_stream.errors import BudgetError, OptionError, RangeError
from netsounds_stream.graph.usual import usual_banks
from netsounds_stream.network.networks import Network
from netsounds_stream.network.stream import RowBlock, RowStream
from netsounds_stream.picture.demo_picture import draw
from tests.helpers.reference import TRAINED, large_picture, normalised, whole_image
from tests.helpers.runs import contents, stopped_run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")

TOLERANCES = {"fp32": 1e-5, "fp16": 1e-2, "bf16": 5e-2}
ALONE: dict[str, Any] = {"mix": False, "report": False}
MIB = 1 << 20


@pytest.fixture(autouse=True)
def _all_of_the_device() -> Any:
    """A run limits its process's allocations on the device; the next test begins without that limit."""
    yield
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.parametrize("splits", [1, 7, 64, 200])
@pytest.mark.parametrize("transposed", [False, True])
def test_any_split_gives_the_whole(weights: Network, splits: int, transposed: bool) -> None:
    pixels = normalised(draw(229, 173))
    along = (pixels.transpose(1, 2) if transposed else pixels).cuda()
    rows: dict[str, list[torch.Tensor]] = {bank.layer: [] for bank in usual_banks().banks}

    def keep(block: RowBlock) -> None:
        rows[block.layer].append(block.tensor().cpu())

    stream = RowStream(weights.captured, dict.fromkeys(rows, keep), transposed=transposed, device="cuda")
    for piece in along.split(splits, dim=1):
        stream.push(piece)
    stream.flush()
    theirs, logits = whole_image(weights, pixels)
    for bank in usual_banks().banks:
        mine = torch.cat(rows[bank.layer], dim=1)
        mine = mine.transpose(1, 2) if transposed else mine
        largest = float(theirs[bank.number].abs().max())
        assert float((mine - theirs[bank.number]).abs().max()) <= TOLERANCES["fp32"] * largest
    torch.testing.assert_close(stream.logits().cpu().double(), logits.double(), rtol=1e-4, atol=1e-4)


def test_copies_arrive_whole() -> None:
    """In and out at once, from threads with streams of their own, the device's memory used again."""
    transfers = Transfers("cuda")
    own_stream("cuda")
    generator = torch.Generator().manual_seed(0)
    sent = [torch.randn(1 << 20, generator=generator) for _ in range(20)]
    arrived = []
    for values in sent:
        on_device = transfers.to_device(values)
        arrived.append(transfers.to_host(on_device * 2, on_device + 1))
        del on_device
    for values, each in zip(sent, arrived, strict=True):
        doubled, higher = each()
        assert torch.equal(doubled, values * 2) and torch.equal(higher, values + 1)
    torch.cuda.set_stream(torch.cuda.default_stream())


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory: pytest.TempPathFactory, picture_file: Path, weights_file: Path) -> Path:
    out = tmp_path_factory.mktemp("cpu") / "run"
    sonify(picture_file, out, weights=str(weights_file), scheme=("filters", "sum"), label="a")
    return out


@pytest.mark.parametrize("precision", list(TOLERANCES))
def test_a_run_agrees_with_the_cpu(
    tmp_path: Path, picture_file: Path, weights_file: Path, on_cpu: Path, precision: str
) -> None:
    """Arrays, and every sound: arrays by their values, sounds by the difference's level."""
    words: dict[str, Any] = {"weights": str(weights_file), "scheme": ("filters", "sum"), "label": "a"}
    sonify(picture_file, tmp_path / "run", device="cuda", precision=precision, **words)
    check(tmp_path / "run").require_whole()
    assert sorted(contents(tmp_path / "run")) == sorted(contents(on_cpu))
    for bank in usual_banks().banks:
        name = next(on_cpu.glob(f"*-{bank.number}*.zarr")).name
        mine, theirs = (np.asarray(zarr.open_array(run / name)[:]) for run in (tmp_path / "run", on_cpu))
        rounded = 2.0**-11 * np.abs(theirs.astype(np.float32))  # half a step of float16, in both
        wrong = np.abs(mine.astype(np.float32) - theirs.astype(np.float32)) - 2 * rounded
        assert wrong.max() <= TOLERANCES[precision] * float(theirs.max())
    levels, errors = [], []
    for path in sorted(on_cpu.rglob("*.wav")):
        theirs, rate = soundfile.read(path)
        mine, my_rate = soundfile.read(tmp_path / "run" / path.relative_to(on_cpu))
        assert rate == my_rate and mine.shape == theirs.shape
        levels.append(np.sqrt(np.mean(theirs**2)))
        errors.append(np.sqrt(np.mean((mine - theirs) ** 2)))
    # Of the loudest: a filter that hardly fires is as loud beside it as its rounding.
    assert max(errors) <= {"fp32": 1e-3, "fp16": 2e-2, "bf16": 0.1}[precision] * max(levels) + 2**-15


@pytest.mark.parametrize(
    "options", [{}, {"method": "istft"}, {"time_axis": "y", "precision": "fp32"}], ids=str
)
def test_a_stopped_run_ends_the_same(
    tmp_path: Path, picture_file: Path, weights_file: Path, options: dict[str, Any]
) -> None:
    words: dict[str, Any] = {"device": "cuda", "duration": 1, "scheme": ("sum",), **options}
    stopped_run(tmp_path, picture_file, weights_file, "network", **words)
    resume(tmp_path / "run")
    sonify(picture_file, tmp_path / "whole", weights=str(weights_file), report=False, label="a", **words)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_gpu_memory_is_a_promise(tmp_path: Path, weights_file: Path) -> None:
    """At any size of the picture the device holds no more than the budget."""
    large_picture(6000, 4000, tmp_path / "a.png")
    budget = 600 * MIB
    words: dict[str, Any] = {"weights": str(weights_file), "device": "cuda", "scheme": ("sum",), **ALONE}
    done = sonify(tmp_path / "a.png", tmp_path / "run", gpu_memory=budget, activations=False, **words)
    assert 0 < done.record["cuda_peak_bytes"] <= budget


def test_too_little_gpu_memory_is_said(tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    words: dict[str, Any] = {"weights": str(weights_file), "device": "cuda", **ALONE}
    with pytest.raises(BudgetError, match="--gpu-memory"):
        sonify(picture_file, tmp_path / "run", gpu_memory=2 * MIB, **words)
    with pytest.raises(OptionError, match="--gpu-memory needs --device cuda"):
        sonify(
            picture_file, tmp_path / "run", gpu_memory=MIB, weights=str(weights_file), device="cpu", **ALONE
        )


def test_overflow_is_named(tmp_path: Path, picture_file: Path, weights: Network) -> None:
    state = {name: values * (30 if name.endswith("weight") else 1) for name, values in weights.state.items()}
    torch.save(state, tmp_path / "loud.pth")
    with pytest.raises(RangeError, match=r"overflow|beyond float16"):
        sonify(picture_file, tmp_path / "run", weights=str(tmp_path / "loud.pth"), device="cuda", **ALONE)


@pytest.mark.parametrize("precision", list(TOLERANCES))
def test_verify(picture_file: Path, weights_file: Path, precision: str) -> None:
    assert verify(picture_file, weights=str(weights_file), device="cuda", precision=precision).agreed


def test_a_photograph(tmp_path: Path, data: Path) -> None:
    """Real weights, all defaults; the label is the CPU's."""
    picture = next((data / "images").glob("*.jpg"))
    words: dict[str, Any] = {"weights": str(data / TRAINED)}
    on_device = sonify(picture, tmp_path / "cuda", device="cuda", **words)
    on_host = sonify(picture, tmp_path / "cpu", device="cpu", **words)
    check(tmp_path / "cuda").require_whole()
    assert on_device.record["label"] == on_host.record["label"]
