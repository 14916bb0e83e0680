"""From a `torch.nn.Module` to a graph of operations on rows, and the parameters that they take.

The module is traced by `torch.fx`, which runs its Python code with stand-ins for tensors. Then each traced
call is lowered to a node of the graph, by what its arguments stand for: rows of the picture, a size, a
constant. A call that looks at the whole picture, or that no rule knows, is refused together with everything
that is computed from it. The layers before it can still be streamed.

fx rather than `torch.export`: DESIGN.md, "Any network".
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ...errors import NetworkError
from ...graph.values import INPUT, Graph
from . import shape_rules, value_rules, window_rules
from .classifier import Classifier, prediction_from_mean
from .draft import Blocked, Draft, nodes_of
from .in_place import MAY_COPY, overwritten, same_memory
from .meanings import Channel, Grouped, Means, Refusal, Rows, Shape, Size, flat, module_rule, rule_for
from .trace import evaluating, traced

_RULES = (shape_rules, value_rules, window_rules)  # imported for the rules that they register
# Calls after which a picture still has its channels.
_WHOLE = frozenset({"add", "sub", "mul", "truediv", "div", "pad", "clamp", "float", "clone", "contiguous"})
_MEAN = "takes a mean over the whole picture"
_STANDING_FOR = (Rows, Size, Shape, Grouped, Channel, Means)


@dataclass(frozen=True, kw_only=True)
class Captured:
    """A network as data.

    Attributes:
        graph: the network's layers.
        state: float32 parameters on the CPU, by the names that the graph's operators have for them.
        classifier: computes the prediction from the mean of `graph.mean`; None if the mean is the prediction,
            or if there is none.
        outputs: for each tensor that the module returns, the node whose values it is; None: it is none's.
    """

    graph: Graph
    state: Mapping[str, Tensor]
    outputs: tuple[str | None, ...] = ()
    classifier: Classifier | None = field(default=None, repr=False)


def capture(module: nn.Module, name: str | None = None, *, copies: bool = True) -> Captured:
    """Capture a network as data.

    Args:
        module: the network, which takes a picture `[1, channel, y, x]`.
        name: name of the network; None: that of the module's class.
        copies: copy the parameters, so that changes of the module's own do not reach them.

    Returns:
        The graph of its layers, with their parameters.

    Raises:
        NetworkError: its code cannot be traced.
    """
    with evaluating(module):
        return _lowered(module, name or type(module).__name__, copies=copies).run()


def whole_layers(module: nn.Module, picture: Tensor, names: Collection[str]) -> tuple[dict[str, Tensor], Any]:
    """Run a network on a whole picture, as torch does it: what a stream is compared with.

    Args:
        module: the network.
        picture: its input, `[1, channel, y, x]`.
        names: names of the layers that are kept, as the captured graph has them.

    Returns:
        The layers `[channel, y, x]` by their names, and the network's output.
    """
    with evaluating(module), torch.inference_mode():
        lowering = _lowered(module, type(module).__name__)
        lowering.run()
        kept: dict[fx.Node, list[tuple[str, bool]]] = {}
        for name in names:
            at, channels_last = lowering.made[name]
            kept.setdefault(at, []).append((name, channels_last))
        found: dict[str, Tensor] = {}

        class Keeping(fx.Interpreter):
            def run_node(self, n: fx.Node) -> Any:
                value = super().run_node(n)
                for name, channels_last in kept.get(n, ()):
                    rows = value[0].permute(2, 0, 1) if channels_last else value[0]
                    found[name] = rows.clone()  # a later layer may work in place
                return value

        return found, Keeping(fx.GraphModule(module, lowering.calls)).run(picture.clone())


def _lowered(module: nn.Module, name: str, *, copies: bool = False) -> _Lowering:
    return _Lowering(module, traced(module, name), name, copies=copies)


class _Lowering:
    """The lowering of a traced network, call by call.

    Attributes:
        calls: the traced network.
        made: for each node of the graph, the call that it was made of, and whether its channels are last.
    """

    def __init__(self, module: nn.Module, calls: fx.Graph, name: str, *, copies: bool) -> None:
        self._module = module
        self.calls = calls
        self.made: dict[str, tuple[fx.Node, bool]] = {}
        self._name = name
        self._draft = Draft(module, copies=copies)
        self._env: dict[fx.Node, Any] = {}
        self._may_be_copied: set[str] = set()  # nodes whose values another name may have a copy of
        self._tail: dict[str, list[fx.Node]] = {}
        self._means: dict[str, Blocked] = {}  # by node: where its mean is in the way of a stream
        self._channels = 3

    @torch.inference_mode()
    def run(self) -> Captured:
        """Lower all calls.

        Returns:
            The network.
        """
        output: Any = None
        for at in self.calls.nodes:
            self._draft.at = at
            if at.op == "output":
                output = at.args[0]
            elif at.op == "placeholder":
                self._env[at] = self._placeholder(at)
            elif at.op == "get_attr":
                self._env[at] = operator.attrgetter(str(at.target))(self._module)
            else:
                self._lower(at)
        self._refuse_means()
        graph = self._draft.graph(self._name, self._channels)
        mean, classifier = prediction_from_mean(self._module, output, self._env, self._tail)
        if mean is not None:
            graph = replace(graph, mean=mean, scores=classifier is None)
        returned = [self._env[each] for each in flat([output]) if isinstance(each, fx.Node)]
        return Captured(
            graph=graph,
            state=self._draft.state,
            classifier=classifier,
            outputs=tuple(
                each.node if isinstance(each, Rows) else None
                for each in flat(returned)
                if not isinstance(each, (Size, Shape, int, float))
            ),
        )

    def _refuse_means(self) -> None:
        """Say of all calls on means that no stream has their values, only the prediction made from them."""
        for at, value in self._env.items():
            if isinstance(value, Means):
                self._draft.at = at
                if value.node not in self._means:
                    self._means[value.node] = self._draft.refuse_for(_MEAN, [], [value.node])
                self._draft.refuse(self._means[value.node])

    def _placeholder(self, at: fx.Node) -> Any:
        if not self._env:
            self._channels = _channels_of(at, self._module)
            return Rows(INPUT, self._channels)
        if at.args:
            return at.args[0]  # its default
        raise NetworkError(
            f"{self._name} takes more than a picture: {at.target}; wrap it so that it does not"
        )

    def _lower(self, at: fx.Node) -> None:
        """Find out what a call's result stands for, and what its inputs do if it writes over them."""
        written = overwritten(at, self._module)
        nodes = set(self._draft.nodes)
        result = self._env[at] = self._value(at, written)
        if written is None:
            return
        value = self._env[written]
        if isinstance(value, (Rows, Grouped, Channel, tuple, list)):
            self._write_over(at, value, set(self._draft.nodes) - nodes)
        elif isinstance(value, Tensor) and isinstance(result, Blocked):
            self._env[written] = result

    def _value(self, at: fx.Node, written: fx.Node | None) -> Any:
        """Return what a call's result stands for."""
        arguments = fx.node.map_arg(at.args, self._env.__getitem__)
        settings = dict(fx.node.map_arg(at.kwargs, self._env.__getitem__))
        inputs = [self._env[each] for each in at.all_input_nodes]
        blocked = [each for each in flat(inputs) if isinstance(each, Blocked)]
        if blocked:
            return self._draft.refuse(blocked[0])
        if not any(isinstance(each, _STANDING_FOR) for each in flat([*arguments, *settings.values()])):
            if isinstance(written and self._env[written], Tensor):
                return self._draft.refuse_for("changes a constant in place", inputs)
            return _computed(self._module, at, arguments, settings)
        try:
            if any(isinstance(each, Means) for each in flat(inputs)):
                return self._after_mean(at, inputs, arguments, settings)
            return self._ruled(at, inputs, arguments, settings)
        except Refusal as refusal:
            return self._draft.refuse_for(str(refusal), inputs)

    def _ruled(self, at: fx.Node, inputs: list[Any], arguments: Any, settings: dict[str, Any]) -> Any:
        """Apply the rule for a call.

        Raises:
            Refusal: it cannot be streamed.
        """
        if at.op == "call_module":
            module = self._module.get_submodule(str(at.target))
            rule = module_rule(module)
            arguments = (module, *arguments)
            called = type(module).__name__
        else:
            rule = rule_for(at.target)
            if "input" in settings:  # torch's name of the first argument
                arguments = (settings.pop("input"), *arguments)
            called = getattr(at.target, "__name__", str(at.target))
        if rule is None and any(isinstance(each, (Size, Shape)) for each in flat(inputs)):
            raise Refusal("computes with the picture's size")
        if rule is None:
            raise Refusal(f"calls {called}, which no rule here knows")
        try:
            result = rule(self._draft, *arguments, **settings)
        except (TypeError, ValueError, RuntimeError, LookupError) as error:
            first = str(error).splitlines()[0]
            raise Refusal(f"calls {called} as no rule here knows it ({first})") from error
        if isinstance(result, Rows):
            self.made.setdefault(result.node, (at, result.channels_last))
            self._draft.returned(result)
            if called in MAY_COPY and result.node in _all_nodes_of(inputs):
                self._may_be_copied.add(result.node)
        return result

    def _after_mean(self, at: fx.Node, inputs: list[Any], arguments: Any, settings: dict[str, Any]) -> Means:
        """Take a call on means as part of the classifier.

        Raises:
            Refusal: it drops values by chance.
        """
        if rule_for(at.target) is value_rules.dropped:
            value_rules.dropped(self._draft, *arguments, **settings)
        means = {each.node for each in flat(inputs) if isinstance(each, Means)}
        if any(isinstance(each, (Size, Shape)) for each in flat(inputs)):
            raise Refusal("computes with the picture's size")
        if len(means) > 1 or _all_nodes_of(inputs):
            blocked = self._draft.refuse_for(_MEAN, inputs, means)
            self._means |= dict.fromkeys(means - self._means.keys(), blocked)
            return blocked  # type: ignore[return-value]
        node = means.pop()
        self._tail.setdefault(node, []).append(at)
        return Means(node)

    def _write_over(self, at: fx.Node, value: Any, added: set[str]) -> None:
        """Let every name of values that a call writes over stand for the new values, or refuse it.

        Args:
            at: the call.
            value: the values that it writes over.
            added: names of the nodes that it has added.
        """
        result = self._env[at]
        old = value.node if isinstance(value, Rows) else None
        if isinstance(result, Rows) and result.node == old:
            return  # nothing done, as by dropout but in training
        names = nodes_of([value]) or {INPUT}
        memory = {each for name in names for each in same_memory(name, self._draft.nodes)}
        sharing = [known for known in self._env.values() if memory & _all_nodes_of(known)]
        parts = any(not isinstance(known, Rows) or known.node != old for known in sharing)
        if not isinstance(result, Blocked) and (parts or not isinstance(result, Rows)):
            self._draft.drop(added)
            result = self._draft.refuse_for("changes some channels in place", [value])
        elif not isinstance(result, Blocked) and old in self._may_be_copied:
            self._draft.drop(added)
            result = self._draft.refuse_for("changes what may be a copy in place", [value])
        self._env[at] = result
        for each, known in self._env.items():
            if not memory & _all_nodes_of(known):
                continue
            if isinstance(result, Blocked):
                self._env[each] = result
            elif isinstance(result, Rows):
                self._env[each] = replace(known, node=result.node)


def _all_nodes_of(value: Any) -> set[str]:
    """Return the names of the nodes that a value is of, and `INPUT` for the picture's."""
    if isinstance(value, Blocked):
        return set()
    picture = any(
        getattr(getattr(each, "rows", each), "node", None) == INPUT
        for each in flat([value])
        if isinstance(each, (Rows, Grouped, Channel))
    )
    return nodes_of([value]) | ({INPUT} if picture else set())


def _computed(module: nn.Module, at: fx.Node, arguments: Any, settings: Mapping[str, Any]) -> Any:
    """Compute what depends on constants only, such as standardised weights."""
    if at.op == "call_module":
        return module.get_submodule(str(at.target))(*arguments, **settings)
    if at.op == "call_method":
        return getattr(arguments[0], str(at.target))(*arguments[1:], **settings)
    assert callable(at.target)
    return at.target(*arguments, **settings)


def _channels_of(picture: fx.Node, module: nn.Module) -> int:
    """Return the number of channels of a picture: what the first convolution that sees it whole takes."""
    whole = [picture]
    for at in whole:  # which grows
        for user in at.users:
            called = module.get_submodule(str(user.target)) if user.op == "call_module" else None
            if isinstance(called, nn.Conv2d):
                return called.in_channels
            if user.target in (F.conv2d, torch.conv2d) and getattr(user.args[1], "op", None) == "get_attr":
                return int(operator.attrgetter(str(user.args[1].target))(module).shape[1])  # type: ignore
            if called is not None or str(getattr(user.target, "__name__", user.target)) in _WHOLE:
                whole.append(user)
    return 3
