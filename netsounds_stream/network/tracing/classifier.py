"""The part of a network that makes the prediction from the mean over the whole picture."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
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
    name = str(getattr(at.target, "__name__", at.target))
    return name in ("flatten", "view", "reshape", "squeeze", "size", "getattr", "getitem")


def _classifier(
    module: nn.Module, tail: Sequence[fx.Node], result: fx.Node, env: Mapping[fx.Node, Any]
) -> Classifier:
    """Copy the part of a network that makes the prediction from the mean."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}

    def copied(each: fx.Node) -> fx.Node:
        if each not in copies:
            copies[each] = (
                graph.placeholder("mean") if isinstance(env[each], Means) else graph.node_copy(each, copied)
            )
        return copies[each]

    for at in tail:
        copies[at] = graph.node_copy(at, copied)
    graph.output(copies[result])
    made = copy.deepcopy(fx.GraphModule(module, graph))
    keeps_axes = _keeps_axes(tail[0], tail)

    @torch.inference_mode()
    def classify(mean: Tensor) -> Tensor:
        value = mean[:, :, None, None] if keeps_axes else mean.clone()
        return made(value).reshape(1, -1)  # type: ignore[no-any-return]

    return classify


def _keeps_axes(first: fx.Node, tail: Collection[fx.Node]) -> bool:
    """Return whether the mean that a classifier begins with keeps the picture's axes, of length 1."""
    mean = next(each for each in first.all_input_nodes if each not in tail)
    if mean.op == "call_module":
        return True
    keepdim = mean.kwargs.get("keepdim", mean.args[2] if len(mean.args) > 2 else False)
    return bool(keepdim) or "adaptive" in str(mean.target)
