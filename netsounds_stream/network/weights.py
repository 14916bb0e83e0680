"""The network's weights: downloading, reading and checking them; the class names; folding pixel scaling in.

Nothing here runs the network. torchvision is imported only when something of it is needed.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import pickle
import socket
import struct
import sys
import types
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import WeightsError, WeightsUnavailableError
from ..planning.geometry import CLASSES, CLASSIFIER_NAME, LAYERS, Conv, Fire
from ..planning.options import PRETRAINED as PRETRAINED
from ..planning.options import UNTRAINED as UNTRAINED

_UNTRAINED_SEED = 0
_DOWNLOAD_TIMEOUT_SECONDS = 20.0

#: torchvision's `SqueezeNet1_0_Weights.IMAGENET1K_V1`; the name ends in the file's hash.
PRETRAINED_URL = "https://download.pytorch.org/models/squeezenet1_0-b66bff10.pth"

# The errors that torch.load raises on damaged files, found by mutating good ones: its unpickler checks
# little.
_UNLOADABLE = (
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    EOFError,
    AssertionError,
    OverflowError,
    MemoryError,
    struct.error,
    pickle.UnpicklingError,
)

# SqueezeNet 1.0 has 1.25 million parameters: 5 MB in float32, 10 in float64. A larger file is something else,
# or a few kilobytes that unpack to gigabytes.
_LARGEST_BYTES = 256 << 20
# Errors quote names from a file up to this length.
_LONGEST_NAME = 80

#: torchvision's preprocessing for these weights: per channel, in [0, 1] units.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Weights:
    """SqueezeNet 1.0's parameters.

    Attributes:
        source: 'pretrained', 'untrained', or the name of the file that they were loaded from.
        sha256: digest of names and values, the same for the same weights in another file format.
        state: float32 tensors on the CPU, by torchvision's names.
    """

    source: str
    sha256: str
    state: Mapping[str, torch.Tensor]


def torchvision() -> types.ModuleType:
    """Import torchvision, even if its compiled operators do not load.

    Its wheel on PyPI is built against CUDA torch. Beside a CPU-only torch the operators do not load, and the
    import fails as it registers shape functions for two of them. It is enough to declare the schemas of those
    two: models, weights and transforms do not use them. Where the operators load, the first import succeeds
    and nothing is declared.

    Returns:
        The package.
    """
    try:
        import torchvision as package
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        for schema in (
            "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
            "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        ):
            torch.library.define(f"torchvision::{schema.split('(')[0]}", "(" + schema.split("(", 1)[1])
        import torchvision as package
    return package  # type: ignore[no-any-return]


def categories() -> tuple[str, ...]:
    """Return ImageNet's 1000 class names, in the order of the network's outputs.

    They come from torchvision's table of them. Its module is loaded by itself, if it is at its usual place:
    importing the whole package would cost a run 80 MB and a second.
    """
    package = importlib.util.find_spec("torchvision")
    assert package is not None
    assert package.origin is not None
    table = Path(package.origin).parent / "models" / "_meta.py"
    spec = importlib.util.spec_from_file_location("netsounds_stream_categories", table)
    if not table.is_file() or spec is None or spec.loader is None:
        return tuple(torchvision().models.SqueezeNet1_0_Weights.IMAGENET1K_V1.meta["categories"])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return tuple(module._IMAGENET_CATEGORIES)


def load_weights(source: str) -> Weights:
    """Load the network's weights and check their names, shapes and values.

    Args:
        source: 'pretrained' (downloaded once, then from torch's cache), 'untrained' (drawn with a fixed
            seed), or the path of a `squeezenet1_0` state_dict, `.pth` or `.safetensors`.

    Returns:
        The weights, in float32 on the CPU.

    Raises:
        WeightsError: they cannot be read or downloaded, or are not SqueezeNet 1.0's.

    Example:
        >>> from netsounds_stream import load_weights
        >>> weights = load_weights("untrained")
        >>> weights.source, tuple(weights.state["features.0.weight"].shape)
        ('untrained', (96, 3, 7, 7))
    """
    if source == PRETRAINED:
        state = _download()
    elif source == UNTRAINED:
        state = _untrained()
    else:
        state = _read(Path(source))
    name = source if source in (PRETRAINED, UNTRAINED) else Path(source).name
    checked = _checked(state, name)
    return Weights(name, _digest(checked), checked)


def reference_module(weights: Weights) -> torch.nn.Module:
    """Build torchvision's whole-image network with these weights, in float32 and evaluation mode."""
    module: torch.nn.Module = torchvision().models.squeezenet1_0(weights=None)
    module.load_state_dict(dict(weights.state))
    return module.eval()


def _untrained() -> Mapping[str, torch.Tensor]:
    """Draw the weights that torchvision's network has after `torch.manual_seed`, to the same bits.

    Importing torchvision for this would cost 90 MiB for the rest of the run, 160 with torch's CUDA build.
    """
    shapes = expected_shapes()
    names = [name.removesuffix(".weight") for name in shapes if name.endswith(".weight")]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_UNTRAINED_SEED)
        # Each layer draws parameters when it is constructed, which advances the generator.
        layers = {}
        for name in names:
            out_channels, in_channels, kernel, _ = shapes[f"{name}.weight"]
            layers[name] = torch.nn.Conv2d(in_channels, out_channels, kernel)
        for name, layer in layers.items():
            if name == CLASSIFIER_NAME:
                torch.nn.init.normal_(layer.weight, std=0.01)
            else:
                torch.nn.init.kaiming_uniform_(layer.weight)
            assert layer.bias is not None
            torch.nn.init.zeros_(layer.bias)
    return {f"{name}.{key}": value for name in names for key, value in layers[name].state_dict().items()}


def _download() -> Mapping[str, Any]:
    if torch.hub.get_dir().startswith("~"):  # no HOME, and no such user: a folder of that name would be made
        raise WeightsUnavailableError(
            "there is no home folder to keep the pretrained weights in; set TORCH_HOME to a folder, or give "
            "--weights FILE"
        )
    try:
        # torch prints that it downloads, and stdout is for results.
        with contextlib.redirect_stdout(sys.stderr), _download_timeout():
            return torch.hub.load_state_dict_from_url(
                PRETRAINED_URL, map_location="cpu", progress=False, check_hash=True, weights_only=True
            )
    except _UNLOADABLE as error:
        raise WeightsError(
            f"the pretrained weights in {torch.hub.get_dir()}/checkpoints are damaged "
            f"({type(error).__name__}); delete that file and try again, or give --weights FILE"
        ) from error
    except OSError as error:  # URLError is one
        reason = getattr(error, "reason", error)
        raise WeightsUnavailableError(
            f"the pretrained weights cannot be downloaded ({reason}); connect to the internet once, give a "
            "torchvision state_dict with --weights FILE, or use --weights untrained"
        ) from error


@contextlib.contextmanager
def _download_timeout() -> Iterator[None]:
    """Limit how long a connection may be silent; torch itself would wait for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _read(path: Path) -> Mapping[str, Any]:
    remedy = "give a torchvision squeezenet1_0 state_dict (.pth or .safetensors), 'pretrained' or 'untrained'"
    if any("\ud800" <= character <= "\udfff" for character in str(path.absolute())):
        raise WeightsError(f"{str(path)!a}: its name is not UTF-8, which the record needs; rename it")
    if not path.exists():
        raise WeightsError(f"no weights at {path}; {remedy}")
    if not path.is_file():
        raise WeightsError(f"{path} is not a file; {remedy}")
    try:
        size = max(path.stat().st_size, _unpacked_bytes(path))
        if size > _LARGEST_BYTES:
            raise WeightsError(f"{path} holds {size} bytes and SqueezeNet 1.0 takes some 5 million; {remedy}")
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged file may warn before it fails
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"cannot read {path} ({error.strerror or error}); {remedy}") from error
    except _UNLOADABLE as error:
        first = str(error).splitlines()[0][:200] if str(error).strip() else type(error).__name__
        if isinstance(error, pickle.UnpicklingError):  # torch's own text advises to run the file's code
            first = "it is damaged, or holds code, which is not run"
        raise WeightsError(
            f"{path} holds no weights that can be loaded safely ({first}); {remedy}"
        ) from error
    if not isinstance(loaded, Mapping):
        raise WeightsError(f"{path} holds a {type(loaded).__name__}, not a state_dict; {remedy}")
    return loaded


def _unpacked_bytes(path: Path) -> int:
    """Add up the unpacked sizes that a zip archive, which torch saves, declares; 0 for any other file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, LookupError, struct.error):
        return 0


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ModuleNotFoundError as error:
        raise WeightsError(
            "reading .safetensors needs another package: pip install 'netsounds-stream[safetensors]'"
        ) from error
    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a safetensors file ({error}); get a complete copy") from error


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter of SqueezeNet 1.0, by torchvision's names."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, out_channels: int, in_channels: int, kernel: int) -> None:
        shapes[f"{name}.weight"] = (out_channels, in_channels, kernel, kernel)
        shapes[f"{name}.bias"] = (out_channels,)

    channels = 0
    for layer in LAYERS:
        if isinstance(layer, Conv):
            conv(layer.name, layer.out_channels, layer.in_channels, layer.kernel)
        elif isinstance(layer, Fire):
            conv(f"{layer.name}.squeeze", layer.squeeze, layer.in_channels, 1)
            conv(f"{layer.name}.expand1x1", layer.expand, layer.squeeze, 1)
            conv(f"{layer.name}.expand3x3", layer.expand, layer.squeeze, 3)
            channels = layer.out_channels
    conv(CLASSIFIER_NAME, CLASSES, channels, 1)
    return shapes


def _checked(state: Mapping[str, Any], source: str) -> dict[str, torch.Tensor]:
    """Check names, shapes and values against SqueezeNet 1.0's, and convert to float32 on the CPU."""
    shapes = expected_shapes()
    remedy = "give the state_dict of torchvision's squeezenet1_0"
    missing = [name for name in shapes if name not in state]
    if missing:
        raise WeightsError(
            f"{source} lacks {missing[0]} ({len(missing)} of {len(shapes)} parameters); {remedy}"
        )
    foreign = sorted(str(name) for name in state if name not in shapes)
    if foreign:
        raise WeightsError(
            f"{source} holds {foreign[0][:_LONGEST_NAME]}, which is no parameter of SqueezeNet 1.0; {remedy}"
        )
    for name, shape in shapes.items():
        value = state[name]
        if not isinstance(value, torch.Tensor) or tuple(value.shape) != shape:
            actual = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise WeightsError(f"{source}: {name} is {actual}, SqueezeNet 1.0 has {shape}; {remedy}")
        # Sparse, quantised and complex tensors have no plain values, those on the meta device none at all.
        if value.layout != torch.strided or value.is_quantized or value.is_complex() or value.is_meta:
            raise WeightsError(f"{source}: {name} is not a tensor of numbers; {remedy}")
        if not bool(torch.isfinite(value.float()).all()):
            raise WeightsError(f"{source}: {name} holds NaN or infinity; {remedy}")
    return {name: state[name].detach().to("cpu", torch.float32).contiguous() for name in shapes}


def _digest(state: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].numpy().tobytes())
    return digest.hexdigest()


def for_pixels(weights: Weights, full_scale: int, normalize: bool) -> dict[str, torch.Tensor]:
    """Fold the scaling of pixels into the first convolution, so that it takes integer pixels as they are.

    The first convolution has no padding, so with x = (pixel / full_scale - mean) / std the fold is exact
    algebra: w' = w / (full_scale std) and b' = b - sum(w mean / std). It is for float32 only: in half
    precision the pixels would overflow and the weights lose digits.

    Args:
        weights: the network's weights.
        full_scale: the pixel value of white, 255 or 65535.
        normalize: whether ImageNet's mean and deviation are applied; else the mean is 0 and the deviation 1.

    Returns:
        Parameters by torchvision's names, for `RowStream`.

    Example:
        >>> import torch
        >>> from netsounds_stream import RowStream, for_pixels, load_weights
        >>> state = for_pixels(load_weights("untrained"), full_scale=255, normalize=True)
        >>> stream = RowStream(state, {"features.1": lambda block: print(block.rows)})
        >>> stream.push(torch.randint(0, 256, (3, 21, 40)).float())
        8
    """
    name = LAYERS[0].name
    mean, std = _mean_and_std(normalize, torch.float64)
    weight = weights.state[f"{name}.weight"].double() / std
    bias = weights.state[f"{name}.bias"].double() - (weight * mean).sum(dim=(1, 2, 3))
    folded = {f"{name}.weight": (weight / full_scale).float(), f"{name}.bias": bias.float()}
    return {**weights.state, **folded}


def normalised(pixels: torch.Tensor, full_scale: int, normalize: bool) -> torch.Tensor:
    """Scale integer pixels as in training: (pixel / full_scale - mean) / std.

    Args:
        pixels: `[rgb, y, x]`, 0 to `full_scale`.
        full_scale: the pixel value of white, 255 or 65535.
        normalize: whether ImageNet's mean and deviation are applied; else the mean is 0 and the deviation 1.

    Returns:
        float32 `[rgb, y, x]`, on the device of `pixels`.
    """
    mean, std = (values.to(pixels.device) for values in _mean_and_std(normalize, torch.float32))
    return (pixels / full_scale - mean) / std


def _mean_and_std(normalize: bool, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and the deviation of each channel, `[rgb, 1, 1]`."""
    statistics = (MEAN, STD) if normalize else ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    mean, std = (torch.tensor(values, dtype=dtype).view(3, 1, 1) for values in statistics)
    return mean, std
