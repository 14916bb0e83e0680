"""Workers for a while: threads of which each uses its share of the cores.

torch splits an operation among OpenMP threads, which wait for one another by spinning. Beside other
programs that holds up everyone: a thread that has work waits for a core on which another one spins. So
workers, and the caller meanwhile, split nothing as long as there is a worker for each core.
"""

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
    """Open a line of workers whose torch uses so many threads each, as does the caller's for that while.

    On a GPU named `device` each has a stream of its own, for work that needs no order. Where memory is
    `strained` fewer work at a time.
    """
    before = torch.get_num_threads()

    def begin() -> None:
        torch.set_num_threads(threads_each)
        own_stream(device)

    torch.set_num_threads(threads_each)
    try:
        yield Line(count, begin, strained)
    finally:
        torch.set_num_threads(before)  # what a worker sets, threads made later would take over
