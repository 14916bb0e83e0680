"""The integers of a graph against brute force, and those of the usual network against torchvision's."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netsounds_stream.graph.geometry import completed, lengths, places, smallest_side, waiting
from netsounds_stream.graph.usual import usual_banks, usual_graph
from netsounds_stream.graph.values import INPUT, Graph, Join, Window
from netsounds_stream.network.networks import Network
from tests.helpers.graphs import graphs
from tests.helpers.reference import whole_image

PADDING = -1  # what a value sees that sees padding


def seen_by_brute_force(graph: Graph, length: int) -> dict[str, list[set[int]]]:
    """The pixels that each value of each layer sees along y, walked window by window."""
    found: dict[str, list[set[int]]] = {INPUT: [{pixel} for pixel in range(length)]}
    for node in graph.nodes:
        inputs = [found[name] for name in node.inputs]
        if isinstance(node.operator, Join):
            found[node.name] = [set().union(*each) for each in zip(*inputs, strict=False)]
        else:
            found[node.name] = walked(node.operator.y, inputs[0])
    return found


def walked(window: Window, inputs: list[set[int]]) -> list[set[int]]:
    """What the windows over some inputs see, padding included."""
    count, outputs, start = len(inputs), list[set[int]](), -window.before
    if not inputs:  # torch refuses it, whatever the padding
        return outputs
    while start + window.extent <= count + window.after or (
        window.ceil and start + window.extent - window.stride < count + window.after and start < count
    ):
        seen = range(start, start + window.extent, window.dilation)
        inside = [inputs[place] for place in seen if 0 <= place < count]
        padded = any(place < 0 or count <= place < count + window.after for place in seen)
        outputs.append(set().union(*inside, {PADDING} if padded else set()))
        start += window.stride
    return outputs


@settings(max_examples=150, deadline=None)
@given(graphs(), st.integers(1, 70))
def test_lengths_and_fields_agree_with_brute_force(graph: Graph, length: int) -> None:
    seen = seen_by_brute_force(graph, length)
    count = lengths(graph, "y", length)
    for name, lie in places(graph, "y").items():
        assert count[name] == len(seen[name]), name
        for index, pixels in enumerate(seen[name]):
            first = lie.start + lie.stride * index
            assert pixels - {PADDING} <= set(range(max(0, first), first + lie.field)), name
            if index >= lie.before and index < count[name] - lie.after:
                assert PADDING not in pixels, name


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_a_field_is_no_longer_than_what_is_seen(graph: Graph) -> None:
    """Somewhere in a long picture a value sees the first pixel of its field, and the last."""
    length = 400
    seen = seen_by_brute_force(graph, length)
    for name, lie in places(graph, "y").items():
        index = lie.before
        first = lie.start + lie.stride * index
        if index < len(seen[name]) - lie.after and first >= 0:
            assert min(seen[name][index]) == first, name
            assert max(seen[name][index]) == first + lie.field - 1, name


@settings(max_examples=100, deadline=None)
@given(graphs(), st.integers(1, 90))
def test_rows_that_are_complete_do_not_change_with_what_follows(graph: Graph, rows: int) -> None:
    """They are those that every longer picture has, from the same pixels."""
    ready = completed(graph, "y", rows)
    now = seen_by_brute_force(graph, rows)
    longer = seen_by_brute_force(graph, rows + 150)
    for name, count in ready.items():
        assert longer[name][:count] == now[name][:count], name


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_rows_that_wait_are_counted(graph: Graph) -> None:
    """No more wait than is said, after any number of rows; and so many do, somewhere."""
    said = waiting(graph, "y")
    most = dict.fromkeys(said, 0)
    for rows in range(1, 300):
        ready = completed(graph, "y", rows)
        for name, each in said.items():
            assert (ready[name] > 0) == (rows >= each.latency), name
        for name in said:
            for node in graph.consumers[name]:
                window = node.operator.y
                needed = max(0, ready[node.name] * window.stride - window.before)
                most[name] = max(most[name], ready[name] - needed)
    assert {name: each.retained for name, each in said.items()} == most


@pytest.mark.parametrize("size", [(21, 21), (22, 40), (64, 37), (101, 103), (130, 21)])
def test_lengths_agree_with_torchvision(weights: Network, size: tuple[int, int]) -> None:
    banks, _ = whole_image(weights, torch.zeros(3, *size))
    for bank in usual_banks().banks:
        sides = (
            usual_banks().length(bank.number, "y", size[0]),
            usual_banks().length(bank.number, "x", size[1]),
        )
        assert tuple(banks[bank.number].shape) == (bank.channels, *sides)


def test_smallest_side_is_the_smallest(weights: Network) -> None:
    side = usual_banks().smallest_side
    assert usual_banks().length(4, "y", side) == 1
    assert usual_banks().length(4, "y", side - 1) == 0
    with pytest.raises(RuntimeError):
        whole_image(weights, torch.zeros(3, side - 1, side - 1))


def test_padding_alone_is_no_picture() -> None:
    """A layer whose window fits into its own padding has no value where the layer before it has none."""
    assert Window(kernel=2, before=1, after=1).length(0) == 0
    assert Window(kernel=2, before=1, after=1).length(1) == 2


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_every_side_from_the_smallest_on_will_do(graph: Graph) -> None:
    names = tuple(node.name for node in graph.nodes)
    side = smallest_side(graph, names)
    for length in range(1, side + 40):
        there = all(lengths(graph, axis, length)[name] > 0 for axis in ("y", "x") for name in names)
        assert there == (length >= side)


def test_the_usual_banks() -> None:
    """As they have been since version 0.1."""
    about = [
        (bank.layer, bank.channels, bank.stride, bank.y.offset, bank.field, bank.border)
        for bank in usual_banks().banks
    ]
    assert about == [
        ("features.1", 96, 2, 3, 7, 0),
        ("features.5", 256, 4, 5, 35, 3),
        ("features.10", 512, 8, 9, 107, 6),
        ("features.12", 512, 16, 17, 155, 5),
    ]
    assert usual_graph().mean == "classifier.2" and usual_graph().scores
