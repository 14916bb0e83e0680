"""Graphs as JSON: how the usual network's is kept in the package."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from .values import (
    HERE,
    Affine,
    ChannelNorm,
    Convolution,
    Graph,
    Join,
    Node,
    Operator,
    Pad,
    Pointwise,
    Pool,
    Select,
    Shuffle,
    Window,
)

_OPERATORS: dict[str, type[Operator]] = {
    each.__name__: each
    for each in (Affine, ChannelNorm, Convolution, Join, Pad, Pointwise, Pool, Select, Shuffle)
}


def as_text(graph: Graph) -> str:
    """Return a graph as JSON, one node a line."""
    head = to_json(graph)
    nodes = ",\n".join(json.dumps(node) for node in head.pop("nodes"))
    return f'{json.dumps(head)[:-1]}, "nodes": [\n{nodes}\n]}}\n'


def to_json(graph: Graph) -> dict[str, Any]:
    """Return a graph without the layers that cannot be streamed, as plain values."""
    return {
        "name": graph.name,
        "channels": graph.channels,
        "mean": graph.mean,
        "scores": graph.scores,
        "nodes": [_node(node) for node in graph.nodes],
    }


def _node(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "aliases": list(node.aliases),
        "what": node.what,
        "inputs": list(node.inputs),
        "channels": node.channels,
        "operator": type(node.operator).__name__,
        "settings": _settings(node.operator),
    }


def _settings(op: Operator) -> dict[str, Any]:
    return {
        field.name: [_window(each) for each in getattr(op, field.name)]
        if field.name == "windows"
        else getattr(op, field.name)
        for field in fields(op)
    }


def _window(window: Window) -> dict[str, Any]:
    return {
        field.name: getattr(window, field.name)
        for field in fields(window)
        if getattr(window, field.name) != getattr(HERE, field.name)
    }


def from_json(content: dict[str, Any]) -> Graph:
    """Return the graph of `to_json`'s plain values."""
    return Graph(
        name=content["name"],
        channels=content["channels"],
        mean=content["mean"],
        scores=content["scores"],
        nodes=tuple(map(_read_node, content["nodes"])),
    )


def _read_node(content: dict[str, Any]) -> Node:
    settings = dict(content["settings"])
    if "windows" in settings:
        y, x = (Window(**window) for window in settings["windows"])
        settings["windows"] = (y, x)
    if "arguments" in settings:
        settings["arguments"] = tuple(settings["arguments"])
    return Node(
        name=content["name"],
        aliases=tuple(content["aliases"]),
        what=content["what"],
        inputs=tuple(content["inputs"]),
        channels=content["channels"],
        operator=_OPERATORS[content["operator"]](**settings),
    )
