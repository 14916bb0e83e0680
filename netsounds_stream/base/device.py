"""Between the host and an accelerator: copies that run beside the computation, and the memory it may use.

On CUDA three streams work at once: one brings the next band in, the default one computes, one takes the
last results out. Copies go through pinned host memory, without which they would wait for the host. The
order is kept by events: what computes waits for its input's copy, a copy out for what it copies.

    copy in    | band 2        | band 3
    compute            | band 1        | band 2
    copy out                   | band 0       | band 1

Elsewhere (CPU, MPS) the same calls copy at once, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import BudgetError, OptionError
from .units import format_bytes

_DEFAULT_BUDGET_BYTES = 2 << 30

Arrived = Callable[[], tuple[Tensor, ...]]


class Transfers:
    """Copies to and from one device. `to_device` and `to_host` may be called from several threads."""

    def __init__(self, device: torch.device | str) -> None:
        self._device = torch.device(device)
        self._pinned = self._device.type == "cuda"
        if self._pinned:
            self._in, self._out = _stream(self._device), _stream(self._device)

    @property
    def overlapped(self) -> bool:
        """Whether copies go on beside the caller: what `to_host` returns is then worth calling later."""
        return self._pinned

    def to_device(self, values: Tensor) -> Tensor:
        """`values` on the device, for the caller's stream to work on."""
        if not self._pinned:
            return values.to(self._device)
        with torch.cuda.stream(self._in):
            there = values.pin_memory().to(self._device, non_blocking=True)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._in)
        there.record_stream(computing)
        return there

    def to_host(self, *tensors: Tensor) -> Arrived:
        """Begin to copy; what is returned waits for the copies and gives them."""
        if not self._pinned:
            there = tuple(tensor.cpu() for tensor in tensors)
            return lambda: there
        self._out.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._out):
            copies = tuple(
                torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor, non_blocking=True)
                for tensor in tensors
            )
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(self._out)
        for tensor in tensors:
            tensor.record_stream(self._out)  # its memory is not given away before it is copied

        def arrived() -> tuple[Tensor, ...]:
            done.synchronize()
            return copies

        return arrived


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def own_stream(device: torch.device | str) -> None:
    """Give the calling thread a stream of its own, so that threads' work on CUDA goes side by side."""
    device = torch.device(device)
    if device.type == "cuda":
        torch.cuda.set_stream(_stream(device))


def reserve(device: str, budget_bytes: int | None) -> int | None:
    """Start the device, and hold torch's allocations there, in the whole process, to a budget; its bytes.

    None elsewhere than on CUDA. Without a budget: 2 GiB, or half of what is free if that is less.

    Raises:
        OptionError: a budget for a device that has none, or a device that cannot be used.
    """
    if torch.device(device).type != "cuda":
        if budget_bytes is not None:
            raise OptionError(f"--gpu-memory needs --device cuda; this run is on {device}")
        return None
    try:
        _wake(device)
        free, total = torch.cuda.mem_get_info(device)
    except RuntimeError as error:  # out of memory among them
        reason = str(error).splitlines()[0]
        raise OptionError(f"the GPU cannot be used ({reason}); free it, or use --device cpu") from error
    free += torch.cuda.memory_reserved(device)
    budget = min(_DEFAULT_BUDGET_BYTES, free // 2) if budget_bytes is None else min(budget_bytes, free)
    torch.cuda.set_per_process_memory_fraction(budget / total, torch.cuda.current_device())
    torch.cuda.reset_peak_memory_stats(device)
    return budget


def _wake(device: str) -> None:
    # The context and the libraries take host memory, which the plan's baseline must hold.
    image = torch.zeros(1, 3, 32, 32, device=device)
    torch.nn.functional.conv2d(image, image)
    torch.fft.rfft(image @ image)


def peak_bytes(device: str) -> int | None:
    """The most that torch held on the device since `reserve`; None elsewhere than on CUDA."""
    return torch.cuda.max_memory_reserved(device) if torch.device(device).type == "cuda" else None


def out_of_memory(budget_bytes: int | None) -> BudgetError:
    """What to say when the device's memory did not do."""
    given = "the device's memory" if budget_bytes is None else format_bytes(budget_bytes)
    return BudgetError(
        f"the GPU needs more than {given}; raise --gpu-memory, close other programs that use it, or use "
        "--device cpu"
    )
