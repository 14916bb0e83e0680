"""Runs with other networks than the usual one: what is stored, resumed, shared out and refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import soundfile
import torch
import zarr

from netsounds_stream import (
    Stop,
    Stopped,
    activations,
    check,
    layers,
    load_network,
    plan,
    resume,
    sonify,
    verify,
)
from netsounds_stream.base.progress import Progress
from netsounds_stream.batches.batch import batch
from netsounds_stream.errors import (
    ChangedError,
    NetworkError,
    OptionError,
    RangeError,
    StoreError,
    WeightsError,
)
from netsounds_stream.network.networks import whole_module
from netsounds_stream.network.tracing.capture import whole_layers
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.rendering.arrays import known_of
from netsounds_stream.store.arrays import open_activations
from tests.helpers.forks import forked
from tests.helpers.reference import PROGRAM, ROOT
from tests.helpers.runs import contents

OWN = '''
import torch
from torch import nn


class Own(nn.Module):
    """Kernels that are not square, and values below zero."""

    def __init__(self):
        super().__init__()
        self.wide = nn.Conv2d(3, 6, (1, 7), padding=(0, 3))
        self.down = nn.Conv2d(6, 8, (5, 3), stride=2, padding=(2, 1))
        self.last = nn.Conv2d(8, 4, 3, stride=2, padding=1)

    def forward(self, picture):
        return self.last(torch.relu(self.down(self.wide(picture))))


def make():
    return Own()


def seven():
    return 7
'''
SHORT: dict[str, Any] = {"duration": 1, "scheme": "sum"}


@pytest.fixture
def own(tmp_path: Path) -> str:
    (tmp_path / "own.py").write_text(OWN)
    return f"{tmp_path / 'own.py'}:make"


def stored(run: Path) -> dict[str, np.ndarray]:
    """The arrays of a run by their layers' names."""
    record = json.loads((run / "run.json").read_text())
    found = {}
    for bank in record["plan"]["banks"]:
        (path,) = run.glob(f"activations-{bank['number']}_*.zarr")
        found[bank["bank"]["layer"]] = np.asarray(zarr.open_array(path, mode="r")[:])
    return found


def attributes_of(array: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((array / "zarr.json").read_text())["attributes"]
    return found


def whole(
    network: str, picture: Path, names: Sequence[str], weights: str = "untrained"
) -> dict[str, np.ndarray]:
    """Layers of the whole picture by torch."""
    pixels = pyvips.Image.new_from_file(str(picture))[0:3].numpy()
    known = load_network(network, weights)
    values = known.normalised(torch.from_numpy(pixels).permute(2, 0, 1).float(), 255, normalize=True)
    found, _ = whole_layers(whole_module(network, weights), values[None], names)
    return {name: found[name].numpy() for name in names}


def assert_stored(run: Path, expected: dict[str, np.ndarray]) -> None:
    """The stored values are torch's, rounded to float16: 11 bits, of which the last may differ."""
    found = stored(run)
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].shape == values.shape
        np.testing.assert_allclose(
            found[name].astype(np.float32), values, rtol=2e-3, atol=1e-5 * np.abs(values).max() + 1e-7
        )


@pytest.mark.parametrize("time_axis", ["x", "y"])
def test_a_run_stores_what_torch_computes(tmp_path: Path, picture_file: Path, time_axis: str) -> None:
    run = sonify(
        picture_file, tmp_path / "run", network="resnet18", weights="untrained", time_axis=time_axis, **SHORT
    )
    names = ["relu", "layer1.1", "layer2.1", "layer3.1"]
    assert_stored(run.folder, whole("resnet18", picture_file, names))
    check(run.folder).require_whole()
    assert run.label == "untrained"
    assert run.record["options"]["network"] == "resnet18"
    assert "--network resnet18" in run.record["command"]
    assert len(run.record["prediction"]["full_picture"]) == 5
    attributes = json.loads((run.folder / "activations-2_untrained.zarr" / "zarr.json").read_text())[
        "attributes"
    ]
    assert attributes["layer"] == "layer1.1" and attributes["stride_pixels"] == 4
    assert "resnet18's activations" in (run.folder / "zarr.json").read_text()


def test_layers_are_chosen_by_name_in_any_order(tmp_path: Path, picture_file: Path) -> None:
    words: dict[str, Any] = {"network": "resnet18", "weights": "untrained", **SHORT}
    run = sonify(picture_file, tmp_path / "run", layers="layer2,bn1,layer1.0.add", banks=(1, 2), **words)
    assert_stored(run.folder, whole("resnet18", picture_file, ["layer2.1", "bn1"]))
    assert "--layers layer2,bn1,layer1.0.add --weights untrained --banks 1,2" in run.record["command"]
    planned = plan(picture_file, layers=("layer2", "bn1"), network="resnet18", weights="untrained")
    assert [bank.bank.layer for bank in planned.banks] == ["layer2.1", "bn1"]
    usual = plan(picture_file, layers=["features.12", "features.3.squeeze"])
    assert [(bank.number, bank.channels) for bank in usual.banks] == [(1, 512), (2, 16)]


def test_code_of_ones_own(tmp_path: Path, picture_file: Path, own: str) -> None:
    """Kernels that are not square, time along both axes; the places of values are right for their axis."""
    names = ["wide", "down", "last"]
    for time_axis in ("x", "y"):
        out = tmp_path / f"run-{time_axis}"
        words: dict[str, Any] = {"layers": names, "time_axis": time_axis, **SHORT}
        run = sonify(picture_file, out, network=own, **words)
        assert_stored(run.folder, whole(own, picture_file, names, "pretrained"))
        assert run.label == "make" and run.record["prediction"]["full_picture"] == []
        attributes = attributes_of(out / "activations-1_make.zarr")
        assert attributes["receptive_field_pixels"] == [1, 7]
    assert verify(picture_file, network=own, size=100).agreed
    with pytest.raises(NetworkError, match="returns a value of type int"):
        load_network(own.replace(":make", ":seven"))


def test_raw_sound_of_values_below_zero_fills_the_scale(tmp_path: Path, picture_file: Path, own: str) -> None:
    """Its loudest sample is not known from the means alone, as it is after a ReLU."""
    run = sonify(picture_file, tmp_path / "run", network=own, scheme="concat", mix=False, report=False)
    for path in run.folder.glob("*_concat.wav"):
        samples, _ = soundfile.read(path, dtype="int16")
        assert np.abs(samples.astype(int)).max() >= 32766


def begun_and_stopped(picture: Path, out: Path, **words: Any) -> None:
    """A run that is stopped in the network's stage."""
    stop = Stop()

    def listen(progress: Progress) -> None:
        if progress.stage == "network" and progress.done > progress.earlier:
            stop.ask()

    with pytest.raises(Stopped):
        sonify(picture, out, stop=stop, on_progress=listen, **words)


def test_a_stopped_run_resumes_to_the_same_bytes(tmp_path: Path, picture_file: Path) -> None:
    words: dict[str, Any] = {
        "network": "resnet18",
        "weights": "untrained",
        "checkpoint_seconds": 0.0,
        **SHORT,
    }
    sonify(picture_file, tmp_path / "whole", **words)
    begun_and_stopped(picture_file, tmp_path / "run", **words)
    resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_stopped_run_of_code_that_has_changed_is_not_resumed(
    tmp_path: Path, picture_file: Path, own: str
) -> None:
    """Though its parameters are the same."""
    begun_and_stopped(picture_file, tmp_path / "run", network=own, checkpoint_seconds=0.0, **SHORT)
    code = tmp_path / "own.py"
    code.write_text(OWN.replace("torch.relu", "torch.abs"))
    with pytest.raises(ChangedError, match="other weights or code"):
        resume(tmp_path / "run")
    code.write_text(OWN)
    assert resume(tmp_path / "run").label == "make"


@pytest.mark.process
@pytest.mark.parametrize(
    ("network", "layers", "segments"),
    [
        ("resnet18", ("relu", "layer2"), 3),
        ("resnet18", ("layer4",), 2),  # the layer whose mean is the prediction
        ("googlenet", ("inception3b", "inception4a.branch3"), 3),
    ],
)
def test_a_cluster_makes_the_same_bytes(
    tmp_path: Path, network: str, layers: tuple[str, ...], segments: int
) -> None:
    """Of networks whose branches wait for one another, and whose fields are longer than a band."""
    picture = tmp_path / "long.png"
    pyvips.Image.new_from_array(draw(2300, 130)).pngsave(str(picture))
    words: dict[str, Any] = {"network": network, "weights": "untrained", "layers": layers, **SHORT}
    alone = sonify(picture, tmp_path / "alone", **words)
    shared = sonify(picture, tmp_path / "shared", cluster="local:2", segment_rows=512, **words)
    assert shared.record["cluster"]["segments"] >= segments
    assert contents(shared.folder) == contents(alone.folder)
    assert shared.record["prediction"] == alone.record["prediction"]


@pytest.mark.process
@pytest.mark.parametrize("network", ["squeezenet1_1", "own.py:make"])
def test_a_batch_has_its_network(
    tmp_path: Path,
    picture_file: Path,
    small_picture: Path,
    own: str,
    monkeypatch: pytest.MonkeyPatch,
    network: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    words: dict[str, Any] = {"network": network, "weights": "untrained", **SHORT}
    for status in ("done", "skipped"):
        made = batch([picture_file, small_picture], tmp_path / "runs", **words)
        assert [result.status for result in made.results] == [status] * 2
    for run in (tmp_path / "runs").glob("*/run.json"):
        assert json.loads(run.read_text())["options"]["network"] == {"own.py:make": own}.get(network, network)


def test_weights_of_a_file_are_checked(tmp_path: Path, picture_file: Path) -> None:
    state = whole_module("resnet18", "untrained").state_dict()
    path = tmp_path / "resnet18.pth"
    torch.save(state, path)
    loaded = load_network("resnet18", path)
    assert loaded.source == "resnet18.pth"
    assert loaded.sha256 == load_network("resnet18", "untrained").sha256
    torch.save({name: value for name, value in state.items() if "num_batches" not in name}, path)
    assert load_network("resnet18", path).sha256 == loaded.sha256  # as older files are
    torch.save({**state, "conv1.weight": torch.zeros(64, 3, 5, 5)}, path)
    with pytest.raises(WeightsError, match=r"conv1\.weight is \(64, 3, 5, 5\), resnet18 has"):
        load_network("resnet18", path)
    del state["fc.bias"]
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"lacks fc\.bias"):
        sonify(picture_file, tmp_path / "run", network="resnet18", weights=path)


def test_what_is_asked_for_amiss_is_refused_before_any_work(tmp_path: Path, picture_file: Path) -> None:
    def refused(error: type[Exception], words: str, **more: Any) -> None:
        with pytest.raises(error, match=words):
            sonify(picture_file, tmp_path / "run", weights="untrained", **more)
        assert not (tmp_path / "run").exists()

    refused(OptionError, "no network 'resnet19' .resnet18", network="resnet19")
    refused(OptionError, "no module nowhere", network="nowhere:make")
    refused(OptionError, "no file", network="nowhere.py:make")
    refused(OptionError, "no layer 'layer9'", network="resnet18", layers="layer9")
    refused(OptionError, "given twice", network="resnet18", layers="layer2,layer2.1")
    refused(OptionError, "17 layers", layers=[f"a{number}" for number in range(17)])
    refused(OptionError, "no bank 5; use some of 1, 2, 3, 4", network="resnet18", banks=(1, 5))
    refused(OptionError, "no bank 2; use some of 1", layers="features.12", banks=(2,))
    refused(OptionError, "bank 1 has no filter 64", network="resnet18", filters=(64,))
    refused(
        NetworkError, "takes a mean over the whole picture", network="efficientnet_b0", layers="features.3"
    )


AMISS = {
    "arguments": ("def arguments(one):\n    return one", OptionError, "takes arguments; give a function"),
    "ready": ("from torch import nn\nready = nn.ReLU()", OptionError, "is a module; give a function"),
    "absent": ("", OptionError, "no function 'absent'"),
    "": ("", OptionError, "names no function; give file.py:function"),
    "failing": ("def failing():\n    return {}['a']", NetworkError, r"own\.py, line 2: KeyError: 'a'"),
    "broken": ("def broken(:", NetworkError, r"own\.py, line 1: .*; mend the code"),
    "lacking": ("import nothing_of_the_kind", NetworkError, r"own\.py, line 1: ModuleNotFoundError"),
    "number": ("def number():\n    return 7", NetworkError, "returns a value of type int; it must return"),
    "spoilt": (
        "from torch import nn\ndef spoilt():\n    made = nn.Conv2d(3, 4, 3)\n"
        "    made.bias.data[1] = float('nan')\n    return nn.Sequential(made)",
        WeightsError,
        r"0\.bias holds NaN or infinity",
    ),
    "grey": (
        "from torch import nn\ndef grey():\n    return nn.Conv2d(1, 4, 3)",
        NetworkError,
        "takes pictures of 1 channels, not of 3",
    ),
}


@pytest.mark.parametrize("function", AMISS)
def test_own_code_that_cannot_be_used_is_explained_in_a_line(tmp_path: Path, function: str) -> None:
    code, error, words = AMISS[function]
    (tmp_path / "own.py").write_text(code)
    with pytest.raises(error, match=words) as caught:
        load_network(f"{tmp_path / 'own.py'}:{function}")
    assert "\n" not in str(caught.value)


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is measured on Linux")
def test_loading_own_code_takes_no_more_memory_than_its_parameters(tmp_path: Path) -> None:
    """Of 256 MiB in one layer nothing is copied, neither to be checked nor to be compared."""
    (tmp_path / "own.py").write_text(
        "from torch import nn\n\nKEPT = []\n\ndef module():\n"
        "    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())\n"
        "    net[1].held = nn.Linear(8192, 8192)\n"
        "    KEPT.append(net)\n    return net\n"
    )
    code = (
        "from netsounds_stream import load_network\n"
        "from netsounds_stream.base.machine import peak_resident_bytes, resident_bytes\n"
        "load_network('own.py:module')\n"
        "print(peak_resident_bytes() - resident_bytes())\n"
    )
    done = subprocess.run(
        (sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 64 << 20


@pytest.mark.process
def test_own_code_may_import_torchvision(tmp_path: Path) -> None:
    """In a process of its own, where nothing has imported it before."""
    (tmp_path / "own.py").write_text(
        "import torchvision\n\ndef make():\n    return torchvision.models.squeezenet1_1(weights=None)\n"
    )
    done = subprocess.run(
        (PROGRAM, "layers", "own.py:make"), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "features.12.expand3x3_activation" in done.stdout


def test_activations_take_a_name_rather_than_a_module(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"network is a ReLU; give a name"):
        activations("absent.png", tmp_path / "out", network=torch.nn.ReLU(), layers=["a"])  # type: ignore[arg-type]


def test_an_overflow_is_named_by_its_layer(tmp_path: Path, picture_file: Path) -> None:
    state = whole_module("resnet18", "untrained").state_dict()
    state["bn1.weight"] *= 1e6
    torch.save(state, tmp_path / "loud.pth")
    with pytest.raises(RangeError, match=r"bank 1 \(relu\)"):
        sonify(picture_file, tmp_path / "run", network="resnet18", weights=tmp_path / "loud.pth", **SHORT)


def test_layers_lists_what_there_is() -> None:
    found = {layer.name: layer for layer in layers("resnet18")}
    assert found["layer2.1"].channels == 128 and found["layer2.1"].stride == 8
    assert found["layer2.1"].nonnegative and not found["bn1"].nonnegative
    assert layers("squeezenet1_0") == layers()


@pytest.mark.process
def test_the_command_lists_layers(tmp_path: Path, own: str) -> None:
    text = forked("layers", "efficientnet_b0")
    assert text.returncode == 0
    assert "1  features.1.0.block.0.2" in text.stdout
    assert "cannot be streamed: 243 layers from features.1.0.block.1 on" in text.stdout
    described = json.loads(forked("layers", own, "--json").stdout)
    assert described["banks"] == ["relu", "last"]
    assert [each["receptive_field"] for each in described["layers"][:2]] == [[1, 7], [5, 9]]
    wrong = forked("layers", "resnet19")
    assert wrong.returncode == 2 and "(resnet18?)" in wrong.stderr and wrong.stderr.count("\n") == 1


def test_features_without_sound(tmp_path: Path, picture_file: Path) -> None:
    xarray = pytest.importorskip("xarray")
    words: dict[str, Any] = {"network": "resnet18", "layers": ["layer2", "conv1"], "weights": "untrained"}
    run = activations(picture_file, tmp_path / "features", **words)
    assert [path.name for path in run.folder.glob("*.wav")] == []
    expected = whole("resnet18", picture_file, ["layer2.1", "conv1"])
    assert_stored(run.folder, expected)
    assert run.array("layer2").shape == run.array("layer2.1").shape == run.array(1).shape
    values = run.dataarray("conv1")
    assert values.x.values[:3].tolist() == [0, 2, 4]
    assert values.sel(x=100, y=50).shape == (64,)
    opened = xarray.open_zarr(run.folder)
    assert opened["activations-1_resnet18.zarr"].shape == run.array("layer2").shape
    with pytest.raises(StoreError, match="no layer 'layer3'"):
        run.array("layer3")


@pytest.mark.parametrize(("network", "layer"), [("alexnet", "features.1"), ("squeezenet1_0", "features.12")])
def test_an_array_is_not_taken_for_a_usual_bank_by_its_layers_name(
    tmp_path: Path, picture_file: Path, network: str, layer: str
) -> None:
    """So that `render` makes sound of the length that the run's has, which follows from bank 1's rows."""
    words: dict[str, Any] = {"network": network, "layers": [layer], "weights": "untrained"}
    run = activations(picture_file, tmp_path / "run", **words)
    (path,) = run.folder.glob("*.zarr")
    array = open_activations(path)
    assert known_of(array)[:2] == (1, array.frames)


def test_without_a_page_no_layer_is_computed_for_the_prediction_alone(
    tmp_path: Path, picture_file: Path
) -> None:
    words: dict[str, Any] = {"network": "resnet18", "layers": ["layer1"], "weights": "untrained"}
    shown, alone = (plan(picture_file, report=report, **words) for report in (True, False))
    assert alone.classified is None and shown.classified is not None
    assert alone.multiplications < shown.multiplications / 2
    assert activations(picture_file, tmp_path / "run", **words).record["prediction"]["full_picture"] == []
    usual = plan(picture_file, weights="untrained", report=False)
    assert usual.classified is not None  # as it has been since version 0.1
