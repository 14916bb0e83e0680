"""A module's code as a graph of its calls, by `torch.fx`, and names for them."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import fx, nn

from ...errors import NetworkError
from ...graph.values import INPUT
from .in_place import OPERATORS, overwritten

_OUTPUTS = "outputs"  # the names of the calls that return a node, in its `meta`: the innermost first


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module in evaluation mode for a while."""
    modes = {each: each.training for each in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for each, training in modes.items():
            each.training = training


def traced(module: nn.Module, name: str) -> fx.Graph:
    """Trace a module's code.

    Args:
        module: the network.
        name: its name, for errors.

    Returns:
        The calls, in their order.

    Raises:
        NetworkError: the code asks for what only a real picture has.
    """
    try:
        return _Tracer().trace(module)
    except (
        fx.proxy.TraceError,
        TypeError,
        ValueError,
        RuntimeError,
        AttributeError,
        LookupError,
        NameError,
    ) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise NetworkError(
            f"{name} cannot be traced ({first}); its code must not branch on a picture's size or values"
        ) from error


class _Proxy(fx.Proxy):
    """A stand-in for a tensor whose augmented assignments, such as `+=`, write over it.

    fx's own knows none, so that Python computes a sum instead and other names of the tensor keep the old one.
    """


def _augmented(name: str) -> Callable[[_Proxy, Any], fx.Proxy]:
    assignment = getattr(operator, name)

    def assign(self: _Proxy, other: Any) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", assignment, (self, other), {})

    return assign


for _name in OPERATORS:
    setattr(_Proxy, f"__{_name}__", _augmented(_name))


class _Tracer(fx.Tracer):
    """A tracer that notes which modules' calls return a node."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[str, int] = {}

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

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
            self._newest(result.node).meta.setdefault(_OUTPUTS, []).append((name, before))
        return result

    def _newest(self, node: fx.Node) -> fx.Node:
        """Return the last call so far that wrote over a call's result, or the call itself."""
        for user in reversed(node.users):
            if overwritten(user, self.root) is node:
                return self._newest(user)
        return node


class Names:
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
            function = function[1:] if function in OPERATORS else function
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
