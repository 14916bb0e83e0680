"""The part of a network that makes the prediction from the mean over the whole picture."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from .meanings import Means, flat

#: Computes the prediction from the mean over the whole picture, both `[1, channel]`.
Classifier = Callable[[Tensor], Tensor]


def prediction_from_mean(
    module: nn.Module, output: Any, env: Mapping[fx.Node, Any], tails: Mapping[str, Sequence[fx.Node]]
) -> tuple[str | None, Classifier | None]:
    """Find the node whose mean the prediction is made from, and the classifier that makes it.

    Args:
        module: the network.
        output: what it returns.
        env: what each call's result stands for.
        tails: the calls on each node's mean, in their order.

    Returns:
        The node's name and the classifier. None twice if no prediction is made from a mean; None for the
        classifier if the mean is it.
    """
    found = [each for each in flat([output]) if isinstance(each, fx.Node)]
    result = next((each for each in found if isinstance(env[each], Means)), None)
    if result is None:
        return None, None
    node = env[result].node
    tail = tails.get(node, [])
    if all(_only_shape(at, module) for at in tail):
        return node, None
    return node, _classifier(module, tail, result, env)


def _only_shape(at: fx.Node, module: nn.Module) -> bool:
    """Return whether a call on the mean leaves its values as they are."""
    if at.op == "call_module":
        return isinstance(module.get_submodule(str(at.target)), (nn.Flatten, nn.Dropout, nn.Identity))
    return str(getattr(at.target, "__name__", at.target)) in ("flatten", "view", "reshape", "squeeze")


def _classifier(
    module: nn.Module, tail: Sequence[fx.Node], result: fx.Node, env: Mapping[fx.Node, Any]
) -> Classifier:
    """Copy the part of a network that makes the prediction from the mean."""
    graph = fx.Graph()
    mean = graph.placeholder("mean")
    copies: dict[fx.Node, Any] = {}

    def copied(each: fx.Node) -> Any:
        if each not in copies:
            value = env[each]
            if isinstance(value, Means):  # each call that takes the mean has a tensor of its own
                form = (1, -1, 1, 1) if _keeps_axes(each) else (1, -1)
                copies[each] = graph.call_method("clone", (graph.call_method("reshape", (mean, form)),))
            elif isinstance(value, Tensor):
                copies[each] = graph.node_copy(each, copied)
            else:
                copies[each] = value  # a number or a setting
        return copies[each]

    for at in tail:
        copies[at] = graph.node_copy(at, copied)
    graph.output(copied(result))
    made = copy.deepcopy(fx.GraphModule(module, graph))

    @torch.inference_mode()
    def classify(mean: Tensor) -> Tensor:
        return made(mean).reshape(1, -1)  # type: ignore[no-any-return]

    return classify


def _keeps_axes(mean: fx.Node) -> bool:
    """Return whether a call that takes the mean keeps the picture's axes, of length 1."""
    if mean.op == "call_module":
        return True
    keepdim = mean.kwargs.get("keepdim", mean.args[2] if len(mean.args) > 2 else False)
    return bool(keepdim) or "adaptive" in str(mean.target)


def prediction(total: Tensor, count: int, classifier: Classifier | None) -> Tensor:
    """Make a prediction from a sum over the picture.

    Args:
        total: float64 `[channel]`, the sum.
        count: number of places that it is over.
        classifier: makes the prediction from the mean; None: the mean is the prediction.

    Returns:
        float64 `[class]`.
    """
    mean = total / max(1, count)
    return mean if classifier is None else classifier(mean[None].float())[0].double()
