"""Memory of shards: kept for shards of the same size, a few of them, and never given out twice."""

from __future__ import annotations

import errno
import mmap

import pytest
import torch

from netsounds_stream.store.shard_memory import ShardMemory


def test_memory_is_used_again_by_a_shard_of_as_many_values() -> None:
    memory = ShardMemory()
    first = memory.take((2, 3, 4))
    assert (first.shape, first.dtype) == ((2, 3, 4), torch.float16)
    second = memory.take((2, 3, 4))
    assert second.data_ptr() != first.data_ptr()  # that one is in use
    memory.give_back(first)
    assert memory.take((2, 3, 5)).data_ptr() != first.data_ptr()
    assert memory.take((4, 6)).data_ptr() == first.data_ptr()
    assert memory.take((4, 6)).data_ptr() not in (first.data_ptr(), second.data_ptr())


def test_a_kernel_without_huge_pages_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(mmap.mmap):
        def madvise(self, *advice: int) -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(mmap, "mmap", Refusing)
    assert ShardMemory().take((2, 3)).fill_(1).sum() == 6


def test_little_is_kept() -> None:
    memory = ShardMemory()
    given = [memory.take((8,)) for _ in range(5)]
    for tensor in given:
        memory.give_back(tensor)
    again = [memory.take((8,)).data_ptr() for _ in range(5)]
    assert set(again[:2]) == {given[3].data_ptr(), given[4].data_ptr()}
    assert not set(again[2:]) & {tensor.data_ptr() for tensor in given}
