"""A module's own forward pass against what was captured of it: whether its code runs as it was traced.

Tracing runs a module's code once, with stand-ins for tensors. Code that asks what a stand-in is, that changes
its own weights, or that hooks change, computes something else with a picture; nothing in the traced calls
shows it. So a small picture of noise goes both ways, and every layer is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import NetworkError
from ..graph.values import INPUT
from .convolution import Parts
from .folding import folded, oriented
from .stages import MeanOverPicture, Step, row_stages
from .tracing.capture import Captured, capture
from .tracing.classifier import prediction
from .tracing.meanings import flat
from .tracing.trace import evaluating

# Height and width of the noise; the larger one for networks that take no smaller picture.
_SIZES = ((72, 88), (224, 224))
#: Largest difference allowed, as a share of a layer's largest value: rounding through some hundred layers in
#: float32, and in half precision, which a module's own parameters may have while the stream has float32.
_TOLERANCE = 1e-4
_HALF_TOLERANCE = 5e-2


def capture_checked(module: nn.Module, name: str | None = None, *, copies: bool = True) -> Captured:
    """Capture a network as data, and require that its own code computes the same.

    Args:
        module: see `capture`.
        name: likewise.
        copies: likewise.

    Returns:
        The graph of its layers, with their parameters.

    Raises:
        NetworkError: its code cannot be traced, fails, or computes something else than was traced.
    """
    name = name or type(module).__name__
    captured = capture(module, name, copies=copies)
    parameter = next((each for each in module.parameters() if each.is_floating_point()), torch.zeros(0))
    noise, theirs, returned = _run(module, name, captured.graph.channels, parameter)
    allowed = _TOLERANCE if parameter.dtype == torch.float32 else _HALF_TOLERANCE
    ours, logits = _streamed(captured, noise)
    for layer, values in theirs.items():
        node = captured.graph.by_name.get(layer)
        if node is not None and not _agree(ours[node.name], values, allowed):
            raise _differs(name, layer)
    for node_name, values in zip(captured.outputs, returned, strict=True):
        if node_name is not None and node_name in ours and not _agree(ours[node_name], values, allowed):
            raise _differs(name, "its output")
    if logits is not None and not any(_agree(logits, each, allowed) for each in returned):
        raise _differs(name, "its prediction")
    return captured


def _differs(name: str, what: str) -> NetworkError:
    return NetworkError(
        f"{name}: {what} has other values when its code runs than as it was traced; write forward so that it "
        f"neither asks for a tensor's type nor changes weights, and give no hooks that change values"
    )


def _run(
    module: nn.Module, name: str, channels: int, parameter: Tensor
) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
    """Run a module's own forward pass on noise.

    Args:
        module: the network.
        name: its name, for errors.
        channels: number of channels of a picture.
        parameter: one of the network's parameters, whose dtype and device a picture has.

    Returns:
        The noise, float32 `[channel, y, x]`; what each module returned, by the layers' names; and the
        tensors that the network returned.

    Raises:
        NetworkError: the code fails.
    """
    for size in _SIZES:
        noise = torch.randn(channels, *size, generator=torch.Generator().manual_seed(1))
        picture = noise[None].to(parameter.device, parameter.dtype)
        try:
            with evaluating(module), _outputs(module) as found, torch.inference_mode():
                output = module(picture)
        except (RuntimeError, ValueError, TypeError, AssertionError, LookupError) as error:
            if size == _SIZES[-1]:
                first = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise NetworkError(
                    f"{name} fails on a picture of {size[1]} x {size[0]} pixels: {first}"
                ) from error
        else:
            return (
                picture[0].float().cpu(),
                found,
                [each for each in flat([output]) if isinstance(each, Tensor)],
            )
    raise AssertionError("every size returns or raises")


@contextmanager
def _outputs(module: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Collect copies of what modules return, by the layers' names: `path`, `path_1` of a second call."""
    found: dict[str, Tensor] = {}
    calls: dict[str, int] = {}

    def hook(path: str) -> Any:
        def keep(called: nn.Module, arguments: Any, output: Any) -> None:
            before = calls.get(path, 0)
            calls[path] = before + 1
            if isinstance(output, Tensor):
                found[path if before == 0 else f"{path}_{before}"] = output.clone()

        return keep

    handles = [each.register_forward_hook(hook(path)) for path, each in module.named_modules() if path]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _streamed(captured: Captured, noise: Tensor) -> tuple[Mapping[str, Tensor], Tensor | None]:
    """Stream a picture.

    Args:
        captured: the network.
        noise: the picture, `[channel, y, x]`.

    Returns:
        All its layers `[channel, y, x]` by their names, and its prediction `[class]` if it makes one.
    """
    graph = captured.graph
    names = [node.name for node in graph.nodes]
    rows: dict[str, list[Tensor]] = {name: [] for name in names}
    mean: MeanOverPicture | None = None
    if graph.mean is not None:
        total = torch.zeros(graph.by_name[graph.mean].channels, dtype=torch.float64)
        mean = MeanOverPicture(source=graph.mean, total=total)

    def keep(layer: str, start: int, parts: Parts) -> None:
        rows[layer].append(torch.cat(parts, dim=1)[0])

    ready, state = oriented(
        *folded(graph, captured.state, names),
        device=torch.device("cpu"),
        dtype=torch.float32,
        transposed=False,
    )
    steps: list[Step] = [{INPUT: (noise[None].contiguous(memory_format=torch.channels_last),)}]
    with torch.inference_mode():
        for stage in row_stages(ready, state, wanted=rows, mean=mean, emit=keep):
            steps = [*(stage.push(step) for step in steps), stage.flush()]
        logits = None if mean is None else prediction(mean.total, mean.count, captured.classifier)
    return {name: torch.cat(parts, dim=1) for name, parts in rows.items()}, logits


def _agree(ours: Tensor, theirs: Tensor, allowed: float) -> bool:
    """Return whether values agree, `theirs` with any axes of length 1 and with its channels last or not."""
    expected = theirs.detach().float().cpu().squeeze()
    found = ours.float().squeeze()
    if expected.shape != found.shape and expected.ndim == 3:
        expected = expected.permute(2, 0, 1)
    if expected.shape != found.shape:
        return False
    numbers = expected[expected.isfinite()]
    largest = float(numbers.abs().max()) if numbers.numel() else 0.0
    return bool(torch.allclose(found, expected, rtol=0, atol=allowed * largest + 1e-12, equal_nan=True))
