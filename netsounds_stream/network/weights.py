"""A network's weights: downloading, reading and checking them. Nothing here runs the network."""

from __future__ import annotations

import contextlib
import hashlib
import math
import pickle
import socket
import struct
import sys
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import WeightsError, WeightsUnavailableError
from ..graph.values import Convolution, Graph

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

# A file that is larger than the network's parameters in float64 and this much beside is something else, or a
# few kilobytes that unpack to gigabytes.
_SPARE_BYTES = 246 << 20
# Errors quote names from a file up to this length.
_LONGEST_NAME = 80

#: Shapes of a network's parameters, by their names.
Shapes = Mapping[str, tuple[int, ...]]
# What batch normalisation counts in training; older files lack it, and nothing here needs it.
_COUNTER = "num_batches_tracked"


def usual_shapes(graph: Graph) -> Shapes:
    """Return the shapes of the parameters of a network of convolutions alone, by torchvision's names."""
    shapes: dict[str, tuple[int, ...]] = {}
    for node in graph.nodes:
        op = node.operator
        if isinstance(op, Convolution) and op.bias is not None:
            shapes[op.weight] = (node.channels, op.in_channels // op.groups, op.y.kernel, op.x.kernel)
            shapes[op.bias] = (node.channels,)
    return shapes


def untrained_usual(graph: Graph) -> dict[str, torch.Tensor]:
    """Draw the weights that torchvision's SqueezeNet has after `torch.manual_seed`, to the same bits.

    Importing torchvision for this would cost 90 MiB for the rest of the run, 160 with torch's CUDA build.
    """
    shapes = usual_shapes(graph)
    names = [name.removesuffix(".weight") for name in shapes if name.endswith(".weight")]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_UNTRAINED_SEED)
        # Each layer draws parameters when it is constructed, which advances the generator.
        layers = {}
        for name in names:
            out_channels, in_channels, kernel, _ = shapes[f"{name}.weight"]
            layers[name] = torch.nn.Conv2d(in_channels, out_channels, kernel)
        for name, layer in layers.items():
            if name == names[-1]:  # the classifier
                torch.nn.init.normal_(layer.weight, std=0.01)
            else:
                torch.nn.init.kaiming_uniform_(layer.weight)
            assert layer.bias is not None
            torch.nn.init.zeros_(layer.bias)
    return {
        f"{name}.{key}": value.detach() for name in names for key, value in layers[name].state_dict().items()
    }


def download(network: str, shapes: Shapes) -> dict[str, torch.Tensor]:
    """Load SqueezeNet 1.0's pretrained weights, from torch's cache once they have been downloaded."""
    with downloading(network):
        state = torch.hub.load_state_dict_from_url(
            PRETRAINED_URL, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    return checked(state, "pretrained", network, shapes)


@contextlib.contextmanager
def downloading(network: str) -> Iterator[None]:
    """Say in one line what keeps pretrained weights from being downloaded or read.

    Args:
        network: the network's name.

    Raises:
        WeightsError: they are damaged.
        WeightsUnavailableError: they cannot be downloaded.
    """
    if torch.hub.get_dir().startswith("~"):  # no HOME, and no such user: a folder of that name would be made
        raise WeightsUnavailableError(
            "there is no home folder to keep the pretrained weights in; set TORCH_HOME to a folder, or give "
            "--weights FILE"
        )
    try:
        # torch prints that it downloads, and stdout is for results.
        with contextlib.redirect_stdout(sys.stderr), _download_timeout():
            yield
    except _UNLOADABLE as error:
        raise WeightsError(
            f"the pretrained weights in {torch.hub.get_dir()}/checkpoints are damaged "
            f"({type(error).__name__}); delete that file and try again, or give --weights FILE"
        ) from error
    except OSError as error:  # URLError is one
        reason = getattr(error, "reason", error)
        raise WeightsUnavailableError(
            f"the pretrained weights cannot be downloaded ({reason}); connect to the internet once, give a "
            f"state_dict of torchvision's {network} with --weights FILE, or use --weights untrained"
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


def read_state(path: Path, network: str, shapes: Shapes) -> dict[str, torch.Tensor]:
    """Read a network's parameters from a file, and check them.

    Args:
        path: a state_dict, `.pth` or `.safetensors`.
        network: the network's name, for errors.
        shapes: shapes of its parameters.

    Returns:
        float32 tensors on the CPU, by their names.

    Raises:
        WeightsError: the file cannot be read, or holds something else.
    """
    return checked(_read(path, network, shapes), path.name, network, shapes)


def _read(path: Path, network: str, shapes: Shapes) -> Mapping[str, Any]:
    remedy = f"give a state_dict of {network} (.pth or .safetensors), 'pretrained' or 'untrained'"
    if any("\ud800" <= character <= "\udfff" for character in str(path.absolute())):
        raise WeightsError(f"{str(path)!a}: its name is not UTF-8, which the record needs; rename it")
    if not path.exists():
        raise WeightsError(f"no weights at {path}; {remedy}")
    if not path.is_file():
        raise WeightsError(f"{path} is not a file; {remedy}")
    parameters = sum(math.prod(shape) for shape in shapes.values())
    try:
        size = max(path.stat().st_size, _unpacked_bytes(path))
        if size > 8 * parameters + _SPARE_BYTES:
            raise WeightsError(
                f"{path} holds {size} bytes and {network} takes some {4 * parameters / 1e6:.0f} million; "
                f"{remedy}"
            )
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


def checked(state: Mapping[str, Any], source: str, network: str, shapes: Shapes) -> dict[str, torch.Tensor]:
    """Check names, shapes and values of parameters against a network's, and convert them.

    Args:
        state: the parameters.
        source: where they come from, for errors.
        network: the network's name.
        shapes: shapes of its parameters.

    Returns:
        float32 tensors on the CPU, by their names.

    Raises:
        WeightsError: they are not the network's, or hold no finite numbers.
    """
    shapes = {name: shape for name, shape in shapes.items() if not name.endswith(_COUNTER)}
    remedy = f"give the state_dict of {network}"
    missing = [name for name in shapes if name not in state]
    if missing:
        raise WeightsError(
            f"{source} lacks {missing[0]} ({len(missing)} of {len(shapes)} parameters); {remedy}"
        )
    foreign = sorted(str(name) for name in state if name not in shapes and not str(name).endswith(_COUNTER))
    if foreign:
        raise WeightsError(
            f"{source} holds {foreign[0][:_LONGEST_NAME]}, which is no parameter of {network}; {remedy}"
        )
    for name, shape in shapes.items():
        value = state[name]
        if not isinstance(value, torch.Tensor) or tuple(value.shape) != shape:
            actual = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise WeightsError(f"{source}: {name} is {actual}, {network} has {shape}; {remedy}")
        # Sparse, quantised and complex tensors have no plain values, those on the meta device none at all.
        if value.layout != torch.strided or value.is_quantized or value.is_complex() or value.is_meta:
            raise WeightsError(f"{source}: {name} is not a tensor of numbers; {remedy}")
        if not all_finite(value):
            raise WeightsError(f"{source}: {name} holds NaN or infinity; {remedy}")
    return {name: state[name].detach().to("cpu", torch.float32).contiguous() for name in shapes}


def all_finite(value: torch.Tensor) -> bool:
    """Return whether all of a parameter's values are finite numbers."""
    if not value.numel():
        return True
    # `isfinite` would take as much memory again, and more
    low, high = torch.aminmax((value if value.is_floating_point() else value.float()).detach())
    return math.isfinite(float(low)) and math.isfinite(float(high))


def digest(state: Mapping[str, torch.Tensor], code: str = "") -> str:
    """Return the SHA-256 of names and values, the same for the same weights in another file format.

    Args:
        state: the parameters.
        code: text for what is computed with them, where the network's name does not say it.
    """
    digest = hashlib.sha256(code.encode())
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].contiguous().numpy().data)  # not copied: it may be large
    return digest.hexdigest()
