"""Calls that write over a tensor, and what else lies in its memory."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping

from torch import fx, nn

from ...graph.values import INPUT, Node, Select

#: Methods and functions that return their argument, or a copy if it has another form.
MAY_COPY = frozenset({"contiguous", "float", "reshape", "flatten", "cat", "concat"})
#: Names of augmented assignments in the module `operator`; on a tensor they write over it.
OPERATORS = frozenset(
    {"iadd", "iand", "ifloordiv", "ilshift", "imatmul", "imod", "imul", "ior", "ipow", "irshift", "isub"}
    | {"itruediv", "ixor"}
)


def overwritten(at: fx.Node, module: nn.Module) -> fx.Node | None:
    """Return the call whose result a call writes over; None if it writes over none.

    Args:
        at: a call.
        module: the network.
    """
    written = at.kwargs.get("out")
    if written is None and at.args and _changes_its_first(at, module):
        written = at.args[0]
    elif written is None and _changes_its_first(at, module):
        written = at.kwargs.get("input")
    return written if isinstance(written, fx.Node) else None


def _changes_its_first(at: fx.Node, module: nn.Module) -> bool:
    if at.op == "call_module":
        return bool(getattr(module.get_submodule(str(at.target)), "inplace", False))
    if at.kwargs.get("inplace", False) or _positional_inplace(at):
        return True
    name = str(getattr(at.target, "__name__", at.target))
    if getattr(at.target, "__module__", "") == "_operator":
        return name in OPERATORS or name == "setitem"
    return name.endswith("_") and not name.endswith("__")


def _positional_inplace(at: fx.Node) -> bool:
    """Return whether a function's `inplace` is given by its place among the arguments."""
    if at.op != "call_function" or not inspect.isfunction(at.target):
        return False
    names = list(inspect.signature(at.target).parameters)
    position = names.index("inplace") if "inplace" in names else len(at.args)
    return position < len(at.args) and bool(at.args[position])


def same_memory(name: str, nodes: Mapping[str, Node]) -> Collection[str]:
    """Return the names of a node and of all whose values lie in the same memory.

    Args:
        name: the node's name, or `INPUT`.
        nodes: the graph's nodes.
    """
    while name != INPUT and isinstance(nodes[name].operator, Select):
        name = nodes[name].inputs[0]
    found = {name}
    for node in nodes.values():
        if isinstance(node.operator, Select) and node.inputs[0] in found:
            found.add(node.name)
    return found
