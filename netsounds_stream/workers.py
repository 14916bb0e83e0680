"""Workers for a while: threads of which each uses its share of the cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from .device import own_stream
from .overlap import Line


@contextmanager
def threads(count: int) -> Iterator[None]:
    """The calling thread's torch uses so many for a while, and what that begins."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def workers(
    count: int,
    threads_each: int,
    device: str = "cpu",
    strained: Callable[[], bool] = lambda: False,
) -> Iterator[Line]:
    """Workers whose torch uses so many threads each; the caller's own number of threads is kept.

    On a GPU named `device` each has a stream of its own, for work that needs no order. Where memory is
    `strained` fewer work at a time.
    """
    before = torch.get_num_threads()

    def begin() -> None:
        torch.set_num_threads(threads_each)
        own_stream(device)

    try:
        yield Line(count, begin, strained)
    finally:
        torch.set_num_threads(before)  # what a worker sets, threads made later would take over
