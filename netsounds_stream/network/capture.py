"""From a `torch.nn.Module` to a graph of operations on rows, and the parameters that they take.

The module is traced by `torch.fx`, which runs its Python code with stand-ins for tensors. Then each traced
call is lowered to a node of the graph, by what its arguments stand for: rows of the picture, a size, a
constant. A call that looks at the whole picture, or that no rule knows, is refused together with everything
that is computed from it. The layers before it can still be streamed.

fx rather than `torch.export`: DESIGN.md, "Any network".
"""

from __future__ import annotations

import copy
import itertools
import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from ..errors import NetworkError
from ..graph.values import AXES, INPUT, Axis, Graph, Join, Node, Operator, Refused, Select, Window
from . import shape_rules, value_rules, window_rules
from .lowering import Channel, Grouped, Means, Refusal, Rows, Shape, Size, module_rule, rule_for

#: Computes the prediction from the mean over the whole picture, both `[1, channel]`.
Classifier = Callable[[Tensor], Tensor]

_RULES = (shape_rules, value_rules, window_rules)  # imported for the rules that they register
_STANDING_FOR = (Rows, Size, Shape, Grouped, Channel, Means)
# Lengths of a picture for which joined layers are compared: more than a field and the whole stride.
_LENGTHS = 4096
_OUTPUTS = "outputs"  # the names of the calls that return a node, in its `meta`: the innermost first


@dataclass(frozen=True, kw_only=True)
class Captured:
    """A network as data.

    Attributes:
        graph: the network's layers.
        state: float32 parameters on the CPU, by the names that the graph's operators have for them.
        classifier: computes the prediction from the mean of `graph.mean`; None if the mean is the prediction,
            or if there is none.
    """

    graph: Graph
    state: Mapping[str, Tensor]
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
    with _evaluating(module):
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
    with _evaluating(module), torch.inference_mode():
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

        return found, Keeping(fx.GraphModule(module, lowering.traced)).run(picture.clone())


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module in evaluation mode for a while."""
    modes = {each: each.training for each in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for each, training in modes.items():
            each.training = training


def _lowered(module: nn.Module, name: str, *, copies: bool = False) -> _Lowering:
    return _Lowering(module, _traced(_Tracer(), module, name), name, copies=copies)


class _Tracer(fx.Tracer):
    """A tracer that notes which modules' calls return a node."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[str, int] = {}

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        result = super().call_module(m, forward, args, kwargs)
        path = self.path_of_module(m)
        before = self._calls.get(path, 0)
        self._calls[path] = before + 1
        if isinstance(result, fx.Proxy):
            name = path if before == 0 else f"{path}_{before}"
            result.node.meta.setdefault(_OUTPUTS, []).append((name, before))
        return result


def _traced(tracer: fx.Tracer, module: nn.Module, name: str) -> fx.Graph:
    try:
        return tracer.trace(module)
    except (fx.proxy.TraceError, TypeError, ValueError, RuntimeError, AttributeError, LookupError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise NetworkError(
            f"{name} cannot be traced ({first}); its code must not branch on a picture's size or values"
        ) from error


@dataclass(frozen=True)
class _Blocked:
    """What is computed from a call that cannot be streamed: the names of that call and of those before it."""

    by: str
    reason: str
    last: tuple[str, ...]


@dataclass(frozen=True)
class _Lie:
    """How a layer's values lie along an axis: their stride, and how many a picture of each length has."""

    stride: int = 1
    lengths: NDArray[np.int64] = field(default_factory=lambda: np.arange(_LENGTHS, dtype=np.int64))

    def seen_through(self, window: Window) -> _Lie:
        """Return how windows over the values lie."""
        if window.single:
            return self
        return _Lie(self.stride * window.stride, _lengths(window, self.lengths))


class _Names:
    """The names of calls, each given once.

    Attributes:
        taken: all names that are given.
    """

    def __init__(self) -> None:
        self.taken: set[str] = {INPUT}

    def of(self, at: fx.Node) -> list[str]:
        """Return the names of a call's result, the usual one first.

        The usual one is that of one of torch's own modules at its first call. Otherwise it is that of the
        innermost module that returns the result, or the function's, in the module that calls it.
        """
        if "names" in at.meta:
            return list(at.meta["names"])
        outputs = at.meta.get(_OUTPUTS, [])
        own = [name for name, _ in outputs]
        if at.op == "call_module" and outputs and outputs[0][1] > 0:
            own = [*own[1:], own[0]]  # called before: the name of the block that returns it says more
        if at.op != "call_module":
            stack = at.meta.get("nn_module_stack") or {}
            path = next(reversed(stack.values()))[0] if stack else ""
            function = str(getattr(at.target, "__name__", at.target)).strip("_")
            name = f"{path}.{function}" if path else function
            if not own or name in self.taken:
                name = name if name not in self.taken else self.free(f"{name}_{{}}")
            own.append(name)
        first = own[0]
        own = [name for name in dict.fromkeys(own) if name not in self.taken]
        own = own or [self.free(f"{first}_{{}}")]
        self.taken.update(own)
        at.meta["names"] = tuple(own)
        return own

    def free(self, form: str) -> str:
        """Return a name that is not taken, of a form with a place for a number."""
        return next(name for name in map(form.format, itertools.count(1)) if name not in self.taken)


class _Lowering:
    """The lowering of a traced network, call by call.

    It is the `Place` of each call: rules add nodes by it.

    Attributes:
        traced: the traced network.
        made: for each node of the graph, the call that it was made of, and whether its channels are last.
    """

    def __init__(self, module: nn.Module, traced: fx.Graph, name: str, *, copies: bool) -> None:
        self._module = module
        self._copies = copies
        self.traced = traced
        self.made: dict[str, tuple[fx.Node, bool]] = {}
        self._name = name
        self._nodes: dict[str, Node] = {}
        self._refused: dict[str, Refused] = {}
        self._state: dict[str, Tensor] = {}
        self._names_of_tensors = _tensor_names(module)
        self._env: dict[fx.Node, Any] = {}
        self._at: fx.Node | None = None
        self._names = _Names()
        self._tail: dict[str, list[fx.Node]] = {}
        self._lie: dict[tuple[str, Axis], _Lie] = {(INPUT, axis): _Lie() for axis in AXES}
        self._channels = 3

    def run(self) -> Captured:
        """Lower all calls.

        Returns:
            The network.
        """
        with torch.inference_mode():
            return self._run()

    def _run(self) -> Captured:
        output: Any = None
        for at in self.traced.nodes:
            self._at = at
            if at.op == "output":
                output = at.args[0]
            elif at.op == "placeholder":
                self._env[at] = self._placeholder(at)
            else:
                self._env[at] = self._value(at)
        graph = Graph(
            name=self._name,
            nodes=tuple(self._nodes.values()),
            channels=self._channels,
            refused=tuple(self._refused.values()),
        )
        mean, classifier = _prediction(self._module, output, self._env, self._tail)
        if mean is not None:
            graph = replace(graph, mean=mean, scores=classifier is None)
        return Captured(graph=graph, state=self._state, classifier=classifier)

    def node(self, op: Operator, inputs: Sequence[Rows], channels: int, what: str) -> Rows:
        """Add a node to the graph: see `Place`."""
        assert self._at is not None
        if isinstance(op, Join):
            _require_same_places(self._lie, inputs)
        name, *aliases = self._names.of(self._at)
        if name in self._nodes:  # a call that becomes several nodes
            name, aliases = self._names.free(f"{name}_{{}}"), []
        self._names.taken.add(name)
        for axis in AXES:
            window = op.y if axis == "y" else op.x
            self._lie[name, axis] = self._lie[inputs[0].node, axis].seen_through(window)
        self._nodes[name] = Node(
            name=name,
            aliases=tuple(aliases),
            what=what,
            inputs=tuple(rows.node for rows in inputs),
            operator=op,
            channels=channels,
        )
        return Rows(name, channels)

    def parameter(self, value: Tensor, role: str) -> str:
        """Name a constant tensor: see `Place`."""
        assert self._at is not None
        name = self._names_of_tensors.get(id(value))
        if name is None:
            name = f"{self._names.of(self._at)[0]}.{role}"
            while not value.is_meta and name in self._state and not torch.equal(self._state[name], value):
                name += "_"
        if not value.is_meta:  # of a network without weights, whose graph alone is wanted
            self._state[name] = value.detach().to("cpu", torch.float32, copy=self._copies).contiguous()
        return name

    def _placeholder(self, at: fx.Node) -> Any:
        if not self._env:
            self._channels = _first_channels(self._module)
            return Rows(INPUT, self._channels)
        if at.args:
            return at.args[0]  # its default
        raise NetworkError(
            f"{self._name} takes more than a picture: {at.target}; wrap it so that it does not"
        )

    def _value(self, at: fx.Node) -> Any:
        """Return what a call's result stands for."""
        if at.op == "get_attr":
            return operator.attrgetter(str(at.target))(self._module)
        arguments = self._known(at.args)
        settings = self._known(at.kwargs)
        inputs = [self._env[each] for each in at.all_input_nodes]
        blocked = [each for each in inputs if isinstance(each, _Blocked)]
        if blocked:
            return self._refuse(at, blocked[0])
        if not any(isinstance(each, _STANDING_FOR) for each in _flat([*arguments, *settings.values()])):
            return _computed(self._module, at, arguments, settings)
        means = {each.node for each in _flat(inputs) if isinstance(each, Means)}
        if means:
            return self._after_mean(at, inputs, means)
        if at.op == "call_module":
            module = self._module.get_submodule(str(at.target))
            rule = module_rule(module)
            arguments = (module, *arguments)
            called = type(module).__name__
        else:
            rule = rule_for(at.target)
            if "input" in settings:  # torch's name of the first argument
                arguments = (settings["input"], *arguments)
                settings = {name: value for name, value in settings.items() if name != "input"}
            called = getattr(at.target, "__name__", str(at.target))
        if rule is None and any(isinstance(each, (Size, Shape)) for each in _flat(inputs)):
            return self._refuse(at, self._blocked(at, "computes with the picture's size"))
        if rule is None:
            return self._refuse(at, self._blocked(at, f"calls {called}, which no rule here knows"))
        try:
            result = rule(self, *arguments, **settings)
        except Refusal as refusal:
            return self._refuse(at, self._blocked(at, str(refusal)))
        except TypeError as error:
            return self._refuse(at, self._blocked(at, f"calls {called} as no rule here knows it ({error})"))
        if isinstance(result, Rows):
            self.made.setdefault(result.node, (at, result.channels_last))
            self._alias(result, at)
            if _in_place(at, self._module):
                return self._changed(at, arguments, result)
        return result

    def _known(self, value: Any) -> Any:
        return fx.node.map_arg(value, lambda each: self._env[each])

    def _after_mean(self, at: fx.Node, inputs: list[Any], means: set[str]) -> Any:
        """Take a call on means as part of the classifier; refuse it if it also takes rows."""
        rows = [each for each in _flat(inputs) if isinstance(each, (Rows, Grouped, Channel))]
        if not rows and len(means) == 1:
            self._tail.setdefault(next(iter(means)), []).append(at)
            return Means(next(iter(means)))
        last = {each.node for each in rows if isinstance(each, Rows) and each.node != INPUT} | means
        reason = "takes a mean over the whole picture"
        return self._refuse(at, _Blocked(self._names.of(at)[0], reason, self._deepest(last)))

    def _blocked(self, at: fx.Node, reason: str) -> _Blocked:
        values = _flat([self._env[each] for each in at.all_input_nodes])
        last = {value.node for value in values if isinstance(value, Rows) and value.node != INPUT}
        last |= {value.rows.node for value in values if isinstance(value, (Grouped, Channel))} - {INPUT}
        return _Blocked(self._names.of(at)[0], reason, self._deepest(last))

    def _deepest(self, names: set[str]) -> tuple[str, ...]:
        """Sort out of some nodes those that no other of them is computed from."""
        before: set[str] = set()
        for node in reversed(list(self._nodes.values())):
            if node.name in before or node.name in names:
                before.update(node.inputs)
        return tuple(name for name in self._nodes if name in names - before)

    def _refuse(self, at: fx.Node, blocked: _Blocked) -> _Blocked:
        name, *aliases = self._names.of(at)
        self._names.taken.add(name)
        self._refused.setdefault(
            name,
            Refused(
                name=name,
                aliases=tuple(aliases),
                blocked_by=blocked.by,
                reason=blocked.reason,
                last=blocked.last,
            ),
        )
        return blocked

    def _changed(self, at: fx.Node, arguments: tuple[Any, ...], result: Rows) -> Rows | _Blocked:
        """Let every name of values that a call changes in place stand for the changed values."""
        value = next(each for each in arguments if isinstance(each, Rows))
        node = self._nodes.get(value.node)
        views = [each for each in self._nodes.values() if isinstance(each.operator, Select)]
        if any(view is node or value.node in view.inputs for view in views):
            del self._nodes[result.node]
            return self._refuse(at, self._blocked(at, "changes some channels in place"))
        for each, known in self._env.items():
            if isinstance(known, Rows) and known.node == value.node:
                self._env[each] = replace(known, node=result.node)
        return result

    def _alias(self, rows: Rows, at: fx.Node) -> None:
        """Give a node the further names of modules that return its values unchanged."""
        node = self._nodes.get(rows.node)
        if node is None:
            return
        names = [name for name in self._names.of(at) if name != node.name and name not in node.aliases]
        if names:
            self._nodes[node.name] = replace(node, aliases=(*node.aliases, *names))


def _require_same_places(lie: Mapping[tuple[str, Axis], _Lie], inputs: Sequence[Rows]) -> None:
    """Refuse to join values that do not lie at the same places of every picture.

    Raises:
        Refusal: they do not.
    """
    first, *others = dict.fromkeys(rows.node for rows in inputs)
    for axis in AXES:
        for other in others:
            if lie[first, axis].stride != lie[other, axis].stride:
                raise Refusal("joins values of different resolution")
            ours, theirs = lie[first, axis].lengths, lie[other, axis].lengths
            if bool(((ours != theirs) & (ours > 0) & (theirs > 0)).any()):
                raise Refusal("joins values that differ in number at some sizes of the picture")


def _prediction(
    module: nn.Module, output: Any, env: Mapping[fx.Node, Any], tails: Mapping[str, list[fx.Node]]
) -> tuple[str | None, Classifier | None]:
    """Return the node whose mean the prediction is made from, and the classifier that makes it.

    Returns:
        None twice if no prediction is made from a mean; None for the classifier if the mean is it.
    """
    found = [each for each in _flat([output]) if isinstance(each, fx.Node)]
    result = next((each for each in found if isinstance(env[each], Means)), None)
    if result is None:
        return None, None
    node = env[result].node
    tail = tails.get(node, [])
    if all(_only_shape(at, module) for at in tail):
        return node, None
    return node, _classifier(module, tail, result, env)


def _computed(module: nn.Module, at: fx.Node, arguments: Sequence[Any], settings: Mapping[str, Any]) -> Any:
    """Compute what depends on constants only, such as standardised weights."""
    if at.op == "call_module":
        return module.get_submodule(str(at.target))(*arguments, **settings)
    if at.op == "call_method":
        return getattr(arguments[0], str(at.target))(*arguments[1:], **settings)
    assert callable(at.target)
    return at.target(*arguments, **settings)


def _tensor_names(module: nn.Module) -> dict[int, str]:
    named = itertools.chain(module.named_parameters(), module.named_buffers())
    return {id(value): name for name, value in named}


def _first_channels(module: nn.Module) -> int:
    """Return the number of channels of a picture: what the first convolution takes."""
    first = next((each for each in module.modules() if isinstance(each, nn.Conv2d)), None)
    return 3 if first is None else first.in_channels


def _flat(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [each for part in value for each in _flat(part)]
    if isinstance(value, Mapping):
        return _flat(list(value.values()))
    if isinstance(value, slice):
        return _flat([value.start, value.stop, value.step])
    return [value]


def _in_place(at: fx.Node, module: nn.Module) -> bool:
    """Return whether a call changes its first argument."""
    if at.op == "call_module":
        return bool(getattr(module.get_submodule(str(at.target)), "inplace", False))
    if at.kwargs.get("inplace", False):
        return True
    name = str(getattr(at.target, "__name__", at.target))
    if getattr(at.target, "__module__", "") == "_operator":
        return name in ("iadd", "isub", "imul", "itruediv")
    return name.endswith("_") and not name.endswith("__")


def _only_shape(at: fx.Node, module: nn.Module) -> bool:
    """Return whether a call on the mean leaves its values as they are."""
    if at.op == "call_module":
        return isinstance(module.get_submodule(str(at.target)), (nn.Flatten, nn.Dropout, nn.Identity))
    name = str(getattr(at.target, "__name__", at.target))
    return name in ("flatten", "view", "reshape", "squeeze", "dropout", "size", "getattr", "getitem")


def _classifier(
    module: nn.Module, tail: list[fx.Node], result: fx.Node, env: Mapping[fx.Node, Any]
) -> Classifier:
    """Copy the part of a network that makes the prediction from the mean."""
    graph = fx.Graph()
    first = tail[0]
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
    keeps_axes = _keeps_axes(first, tail)

    @torch.inference_mode()
    def classify(mean: Tensor) -> Tensor:
        value = mean[:, :, None, None] if keeps_axes else mean
        return made(value).reshape(1, -1)  # type: ignore[no-any-return]

    return classify


def _keeps_axes(first: fx.Node, tail: list[fx.Node]) -> bool:
    """Return whether the mean that a classifier begins with keeps the picture's axes, of length 1."""
    mean = next(each for each in first.all_input_nodes if each not in tail)
    if mean.op == "call_module":
        return True
    keepdim = mean.kwargs.get("keepdim", mean.args[2] if len(mean.args) > 2 else False)
    return bool(keepdim) or "adaptive" in str(mean.target)


def _lengths(window: Window, inputs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Compute `Window.length` of many lengths."""
    found = {int(length): window.length(int(length)) for length in np.unique(inputs)}
    return np.array([found[int(length)] for length in inputs], dtype=np.int64)
