"""Networks as users name them: their graph, weights, preprocessing and class names."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from ..errors import NetsoundsError, NetworkError, OptionError, WeightsError
from ..graph.geometry import window_of
from ..graph.layers import Banks, Layer, choose_banks, layers_of
from ..graph.serial import as_text
from ..graph.usual import USUAL_NETWORK, usual_graph
from ..graph.values import AXES, INPUT, Convolution, Graph
from ..planning.options import PRETRAINED, UNTRAINED
from .agreement import capture_checked
from .model_zoo import (
    Preprocessing,
    build,
    categories,
    require_known,
    takes_other_scale,
    torchvision,
    trained_with,
)
from .tracing.capture import Captured, capture
from .weights import (
    Shapes,
    all_finite,
    digest,
    download,
    downloading,
    read_state,
    untrained_usual,
    usual_shapes,
)


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network with weights.

    Attributes:
        name: its name, or that of the code that it is made by.
        source: 'pretrained', 'untrained', or the name of the file that its weights were loaded from.
        sha256: digest of the names and values of all its parameters; of own code, of its layers, too.
        captured: its layers and their parameters.
        preprocessing: what its weights were trained with.
        categories: names of its classes, in the order of its predictions; empty if they are not known.
        module: the network as a module, for a prediction that no stream makes; None if it is not needed.
    """

    name: str
    source: str
    sha256: str
    captured: Captured
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    categories: tuple[str, ...] = ()
    module: nn.Module | None = field(default=None, repr=False)

    def banks(self, layers: tuple[str, ...] | None = None, *, prediction: bool = True) -> Banks:
        """Make banks of layers.

        Args:
            layers: their names; None: the usual ones.
            prediction: whether the network's prediction is wanted, too.

        Returns:
            The banks, numbered in the order of the names.

        Raises:
            OptionError: a name is no layer's, or two are of the same one.
            NetworkError: a layer cannot be streamed.
        """
        return choose_banks(self.captured.graph, layers, prediction=prediction)

    @property
    def label(self) -> str:
        """A word for file names where no class names the picture."""
        if self.source == UNTRAINED:
            return UNTRAINED
        return self.name.rpartition(":")[2]

    @property
    def state(self) -> Mapping[str, Tensor]:
        """Parameters by the names that the graph's operators have for them."""
        return self.captured.state

    def for_pixels(self, full_scale: int, *, normalize: bool) -> Captured | None:
        """Fold the scaling of pixels into the first convolutions, so that they take integer pixels.

        With x = (pixel / full_scale - mean) / std the fold is exact algebra: w' = w / (full_scale std) and
        b' = b - sum(w mean / std), unless there is padding, whose zeros are zeros of x. It is for float32
        only: in half precision the pixels would overflow and the weights lose digits.

        Args:
            full_scale: the pixel value of white, 255 or 65535.
            normalize: whether mean and deviation of the training are applied; else they are 0 and 1.

        Returns:
            The network that takes pixels; None if the first layers are padded, or no convolutions.
        """
        firsts = self.captured.graph.consumers[INPUT]
        if any(
            not isinstance(node.operator, Convolution)
            or node.operator.groups > 1
            or node.operator.bias is None
            or any(window_of(node, axis).padded for axis in AXES)
            for node in firsts
        ):
            return None
        mean, std = self._mean_and_std(normalize, torch.float64)
        state = dict(self.state)
        for node in firsts:
            op = node.operator
            assert isinstance(op, Convolution) and op.bias is not None
            weight = self.state[op.weight].double() / std
            bias = self.state[op.bias].double() - (weight * mean).sum(dim=(1, 2, 3))
            state |= {op.weight: (weight / full_scale).float(), op.bias: bias.float()}
        return replace(self.captured, state=state)

    def normalised(self, pixels: Tensor, full_scale: int, *, normalize: bool) -> Tensor:
        """Scale integer pixels as in training: (pixel / full_scale - mean) / std.

        Args:
            pixels: `[rgb, y, x]`, 0 to `full_scale`.
            full_scale: the pixel value of white, 255 or 65535.
            normalize: whether mean and deviation of the training are applied; else they are 0 and 1.

        Returns:
            float32 `[rgb, y, x]`, on the device of `pixels`.
        """
        mean, std = (values.to(pixels.device) for values in self._mean_and_std(normalize, torch.float32))
        return (pixels / full_scale - mean) / std

    def _mean_and_std(self, normalize: bool, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the mean and the deviation of each channel, `[rgb, 1, 1]`."""
        known = self.preprocessing
        statistics = (known.mean, known.std) if normalize else ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        mean, std = (torch.tensor(values, dtype=dtype).view(3, 1, 1) for values in statistics)
        return mean, std


def load_network(name: str = USUAL_NETWORK, weights: str | Path = PRETRAINED) -> Network:
    """Load a network with its weights, whose names, shapes and values are checked.

    Args:
        name: one of torchvision's classifiers, or code that returns a `torch.nn.Module` when it is called
            without arguments: 'package.module:function' or 'file.py:function'. It is run.
        weights: 'pretrained' (downloaded once, then from torch's cache; of own code, what it returns),
            'untrained' (drawn with a fixed seed), or the path of the network's state_dict, `.pth` or
            `.safetensors`.

    Returns:
        The network.

    Raises:
        OptionError: there is no such network.
        NetworkError: it cannot be traced, or its code fails.
        WeightsError: the weights cannot be read or downloaded, or are not the network's.

    Example:
        >>> from netsounds_stream import load_network
        >>> network = load_network(weights="untrained")
        >>> network.source, tuple(network.state["features.0.weight"].shape)
        ('untrained', (96, 3, 7, 7))
    """
    weights = str(weights)
    if name == USUAL_NETWORK:
        return _usual(weights)
    module = whole_module(name, weights)
    parameters = {key: value for key, value in module.state_dict().items() if value.is_floating_point()}
    for key, value in parameters.items() if ":" in name else ():
        if not all_finite(value):
            raise WeightsError(f"{name}: {key} holds NaN or infinity; mend what gives it its values")
    captured = (capture_checked if ":" in name else capture)(module, name, copies=False)
    if captured.graph.channels != 3:
        raise NetworkError(f"{name} takes pictures of {captured.graph.channels} channels, not of 3")
    preprocessing, names = (Preprocessing(), ()) if ":" in name else trained_with(name)
    code = ""
    if ":" in name:  # it may change, and have tensors that are no parameters
        parameters |= captured.state
        code = as_text(replace(captured.graph, name=""))
    return Network(
        name=name,
        source=weights if weights in (PRETRAINED, UNTRAINED) else Path(weights).name,
        sha256=digest(parameters, code),
        captured=captured,
        preprocessing=preprocessing,
        categories=names,
        module=module if names and captured.graph.mean is None else None,
    )


def whole_module(name: str, weights: str) -> nn.Module:
    """Make a network as a module, for whole pictures.

    Args:
        name: see `load_network`.
        weights: likewise.

    Returns:
        The module, in float32 on the CPU and in evaluation mode.

    Raises:
        NetsoundsError: as `load_network`.
    """
    if ":" in name:
        module = _own(name)
    else:
        require_known(name)
        with downloading(name):
            module = build(name, pretrained=weights == PRETRAINED)
    if weights not in (PRETRAINED, UNTRAINED):
        shapes: Shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
        module.load_state_dict(read_state(Path(weights), name, shapes), strict=False)
        if takes_other_scale(name):
            module.transform_input = True  # type: ignore[assignment]  # a plain attribute of these two
    return module


def _usual(weights: str) -> Network:
    """Load SqueezeNet 1.0, without torchvision's code."""
    shapes = usual_shapes(usual_graph())
    if weights == PRETRAINED:
        state = download(USUAL_NETWORK, shapes)
    elif weights == UNTRAINED:
        state = untrained_usual(usual_graph())
    else:
        state = read_state(Path(weights), USUAL_NETWORK, shapes)
    source = weights if weights in (PRETRAINED, UNTRAINED) else Path(weights).name
    return Network(
        name=USUAL_NETWORK,
        source=source,
        sha256=digest(state),
        captured=Captured(graph=usual_graph(), state=state),
        categories=categories(),
    )


def _own(name: str) -> nn.Module:
    """Make a module by a function of the user's own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            module = _called(name)
        except NetworkError as error:
            if "torchvision::nms" not in str(error):
                raise
            torchvision()  # which imports it beside a CPU-only torch, too
            torch.manual_seed(0)
            module = _called(name)
    if not isinstance(module, nn.Module):
        raise NetworkError(
            f"{name} returns a value of type {type(module).__name__}; it must return a torch.nn.Module"
        )
    return module.to("cpu").float().eval()


def _called(name: str) -> object:
    """Import a user's code, and call its function.

    Raises:
        OptionError: there is no such file, module or function.
        NetworkError: the code fails.
    """
    place, _, function = name.rpartition(":")
    if not place or not function:
        raise OptionError(f"{name} names no function; give file.py:function or package.module:function")
    make = getattr(_imported(place), function, None)
    if isinstance(make, nn.Module):
        raise OptionError(f"{name} is a module; give a function that returns it")
    if not callable(make):
        raise OptionError(f"{place} has no function {function!r}; give the name of one")
    try:
        inspect.signature(make).bind()
    except TypeError as error:
        raise OptionError(f"{name} takes arguments; give a function that takes none") from error
    except ValueError:
        pass  # a function in C, which tells nothing of its arguments
    with _explained(name):
        return make()


def _imported(place: str) -> ModuleType:
    """Import a user's code: a file, or a module by its name."""
    if place.endswith(".py"):
        path = Path(place)
        if not path.is_file():
            raise OptionError(f"there is no file {place}; give file.py:function")
        spec = importlib.util.spec_from_file_location(f"netsounds_stream_own_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = loaded  # dataclasses look their module up there
        with _explained(place):
            spec.loader.exec_module(loaded)
        return loaded
    with _explained(place):
        try:
            found = importlib.util.find_spec(place)
        except (ImportError, ValueError) as error:
            missing = getattr(error, "name", None) or place
            if not f"{place}.".startswith(f"{missing}."):
                raise  # a module that the code imports
            found = None
    if found is None:
        raise OptionError(
            f"there is no module {place} that Python can import; for a file give file.py:function"
        )
    with _explained(place):
        return importlib.import_module(place)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn whatever a user's code raises into one line that says where it failed."""
    try:
        yield
    except NetsoundsError:
        raise
    except SyntaxError as error:
        raise NetworkError(f"{error.filename}, line {error.lineno}: {error.msg}; mend the code") from error
    except Exception as error:
        words = (str(error).strip().splitlines() or [""])[0]
        at = traceback.extract_tb(error.__traceback__)[-1]
        raise NetworkError(
            f"{name} fails at {at.filename}, line {at.lineno}: {type(error).__name__}: {words}"
        ) from error


def graph_of(name: str) -> Graph:
    """Capture a network without its weights.

    Args:
        name: see `load_network`.

    Returns:
        Its graph.

    Raises:
        OptionError: there is no such network.
        NetworkError: it cannot be traced.
    """
    if name == USUAL_NETWORK:
        return usual_graph()
    if ":" in name:
        return capture(_own(name), name, copies=False).graph
    require_known(name)
    try:
        with torch.device("meta"):  # which keeps shapes only
            module = build(name, pretrained=False)
    except NotImplementedError:  # its sizes are themselves computed by torch (RegNet)
        module = build(name, pretrained=False)
    return capture(module, name, copies=False).graph


def layers(network: str | nn.Module = USUAL_NETWORK) -> tuple[Layer, ...]:
    """List every layer whose rows `RowStream` can pass to a hook, in the network's order.

    Args:
        network: name of a network, as `load_network` takes it, or a module.

    Returns:
        One `Layer` for each, with its name, the kind of its values and their places on the picture.

    Raises:
        OptionError: there is no such network.
        NetworkError: it cannot be traced.

    Example:
        >>> from netsounds_stream import layers
        >>> for layer in layers()[:3]:
        ...     print(layer.name, layer.channels, layer.stride, layer.what)
        features.0 96 2 7x7 convolution
        features.1 96 2 ReLU
        features.2 96 4 3x3 max pooling
    """
    if isinstance(network, nn.Module):
        return layers_of(capture(network).graph)
    return layers_of(graph_of(network))
