"""Accelerators: copies between host and device that overlap with the computation, and the device's memory.

On CUDA three streams work at once: one copies the next band in, the default stream computes, one copies the
last results out. Copies go through pinned host memory; otherwise they would block the host. Events keep the
order: a computation waits for its input, a copy out for the results that it copies.

    copy in    | band 2        | band 3
    compute            | band 1        | band 2
    copy out                   | band 0       | band 1

On other devices (CPU, MPS) the same calls copy synchronously, or not at all.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import BudgetError, OptionError
from .units import format_bytes

_DEFAULT_BUDGET_BYTES = 2 << 30

#: Waits for copies to arrive, and returns them.
Arrived = Callable[[], tuple[Tensor, ...]]


class Transfers:
    """Copies to and from one device. Its methods may be called from several threads."""

    def __init__(self, device: torch.device | str) -> None:
        self._device = torch.device(device)
        self._pinned = self._device.type == "cuda"
        if self._pinned:
            self._in = _stream(self._device)
            self._out = _stream(self._device)

    @property
    def overlapped(self) -> bool:
        """True if copies overlap with the caller's work, so that `to_host`'s result should be called late."""
        return self._pinned

    def to_device(self, values: Tensor) -> Tensor:
        """Copy `values` to the device.

        Returns:
            The copy, which the caller's current stream may use at once.
        """
        if not self._pinned:
            return values.to(self._device)
        with torch.cuda.stream(self._in):
            on_device = values.pin_memory().to(self._device, non_blocking=True)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._in)
        on_device.record_stream(computing)
        return on_device

    def to_host(self, *tensors: Tensor) -> Arrived:
        """Begin to copy tensors to the host.

        Returns:
            A function that waits for the copies and returns them, in the order of `tensors`.
        """
        if not self._pinned:
            on_host = tuple(tensor.cpu() for tensor in tensors)
            return lambda: on_host
        self._out.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._out):
            copies = tuple(
                torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor, non_blocking=True)
                for tensor in tensors
            )
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(self._out)
        for tensor in tensors:
            tensor.record_stream(self._out)  # keeps torch from reusing its memory before it is copied

        def arrived() -> tuple[Tensor, ...]:
            done.synchronize()
            return copies

        return arrived


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def own_stream(device: torch.device | str) -> None:
    """Give the calling thread a CUDA stream of its own, so that the work of several threads overlaps."""
    device = torch.device(device)
    if device.type == "cuda":
        torch.cuda.set_stream(_stream(device))


def reserve(device: str, budget_bytes: int | None) -> int | None:
    """Start the device and limit this process's allocations on it to a budget.

    Args:
        device: name of the device, such as 'cuda'.
        budget_bytes: the budget, for the whole process. None: 2 GiB more than it holds already, or half of
            the free memory if that is less.

    Returns:
        What of the budget is left for the run, in bytes; None for devices other than CUDA.

    Raises:
        OptionError: the device cannot be used, or takes no budget.
    """
    if torch.device(device).type != "cuda":
        if budget_bytes is not None:
            raise OptionError(f"--gpu-memory needs --device cuda; this run is on {device}")
        return None
    gc.collect()  # what an earlier run's error still holds
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        # Each thread's stream has had a workspace of 32 MiB, which torch keeps when the thread has ended.
        torch._C._cuda_clearCublasWorkspaces()
        torch.cuda.empty_cache()
    try:
        _wake(device)
        free, total = torch.cuda.mem_get_info(device)
    except RuntimeError as error:  # its subclasses include torch's OutOfMemoryError
        reason = str(error).splitlines()[0]
        raise OptionError(f"the GPU cannot be used ({reason}); free it, or use --device cpu") from error
    held = torch.cuda.memory_reserved(device)
    if budget_bytes is None:
        budget = held + min(_DEFAULT_BUDGET_BYTES, free // 2)
    else:
        budget = min(budget_bytes, held + free)
    torch.cuda.set_per_process_memory_fraction(budget / total, torch.cuda.current_device())
    torch.cuda.reset_peak_memory_stats(device)
    return max(0, budget - held)


def _wake(device: str) -> None:
    # The context and the libraries take host memory, which the plan's baseline must include.
    image = torch.zeros(1, 3, 32, 32, device=device)
    torch.nn.functional.conv2d(image, image)
    torch.fft.rfft(image @ image)


def peak_bytes(device: str) -> int | None:
    """Return the most that torch held on the device since `reserve`; None for devices other than CUDA."""
    return torch.cuda.max_memory_reserved(device) if torch.device(device).type == "cuda" else None


def out_of_memory(budget_bytes: int | None) -> BudgetError:
    """Return the error for a computation that ran out of the device's memory."""
    limit = "the device's memory" if budget_bytes is None else format_bytes(budget_bytes)
    return BudgetError(
        f"the GPU needs more than {limit}; raise --gpu-memory, close other programs that use it, or use "
        "--device cpu"
    )
