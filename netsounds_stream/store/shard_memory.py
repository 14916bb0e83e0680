"""Memory of shards that are being filled and encoded, apart from the heap."""

from __future__ import annotations

import contextlib
import math
import mmap
import sys
import threading
from collections import deque

import torch
from torch import Tensor

# Tensors that are kept for the next shard, because a new one's pages must be cleared by the system first.
_SPARES = 2


class ShardMemory:
    """Memory of all banks' shards, in mappings of their own where the heap is glibc's.

    A shard stays in memory for many bands, the other tensors for one. In a common heap they leave gaps that
    nothing fills: 35 to 45 MiB at the peak of a 12-megapixel run.
    """

    def __init__(self) -> None:
        self._spares: deque[Tensor] = deque(maxlen=_SPARES)
        self._lock = threading.Lock()

    def take(self, shape: tuple[int, ...]) -> Tensor:
        """Return a float16 tensor of this shape, with any values."""
        values = math.prod(shape)
        with self._lock:
            for position, spare in enumerate(self._spares):
                if spare.numel() == values:
                    del self._spares[position]  # `remove` would compare values
                    return spare.view(shape)
        return _mapped(values).view(shape)

    def give_back(self, tensor: Tensor) -> None:
        """Keep a tensor that `take` has returned for another shard; the caller uses it no more."""
        with self._lock:
            self._spares.append(tensor.view(-1))


def _mapped(values: int) -> Tensor:
    if sys.platform != "linux":
        return torch.empty(values, dtype=torch.float16)
    mapping = mmap.mmap(-1, 2 * values, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without huge pages refuses
        mapping.madvise(mmap.MADV_HUGEPAGE)  # so that the system clears many pages at once
    return torch.frombuffer(mapping, dtype=torch.float16)
