"""A convolution with its ReLU, over an input whose channels lie in one or more tensors."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
import torch.nn.functional as F
from torch import Tensor

#: A layer's rows, its channels split over one or more tensors `[1, channel, row, cross]`. A fire's two
#: expansions stay apart: concatenating them would cost a fifth of the run.
Parts = tuple[Tensor, ...]
#: Called with a layer's name and its new rows.
Emit = Callable[[str, Parts], None]


class ActivatedConv:
    """A convolution with its ReLU; on CUDA in one kernel where nobody asks for what lies between.

    There, adding the bias and the ReLU as passes of their own takes as long as the convolution (measured on
    an H100: 690 Mpx/s, 840 in one kernel). On a CPU oneDNN is called by its own name: torch computes 1x1
    kernels on one thread by its BLAS instead, which takes twice as long where that is MKL on an AMD
    processor. oneDNN's own ReLU is not used: it turns NaN into 0, and so hides what went wrong.

    Args:
        names: the layers of the convolution and of the ReLU.
        weight: `[out channel, in channel, row, cross]`.
        bias: `[out channel]`.
        split: numbers of channels in each part of the input; None: it has one part.
        emit: called with each layer's new rows.
        wanted: names of the layers that have hooks.
    """

    def __init__(
        self,
        names: tuple[str, str],
        weight: Tensor,
        bias: Tensor,
        *,
        split: tuple[int, ...] | None = None,
        emit: Emit,
        wanted: Collection[str],
    ) -> None:
        self._names = names
        pieces = torch.split(weight, list(split), dim=1) if split else (weight,)
        self._weights = [piece.contiguous(memory_format=torch.channels_last) for piece in pieces]
        self._bias = bias
        self._emit = emit
        self._fused = weight.is_cuda and len(pieces) == 1 and names[0] not in wanted
        on_cpu = weight.device.type == "cpu" and weight.dtype == torch.float32
        self._onednn = on_cpu and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]

    def __call__(self, parts: Parts, *, stride: int = 1, padding: tuple[int, int] = (0, 0)) -> Tensor:
        """Convolve rows and clamp them at 0, with both layers emitted.

        Args:
            parts: `[1, channel, row, cross]`, one after another along the channels.
            stride: stride along both axes.
            padding: zeros around, along rows and across.

        Returns:
            The ReLU's output, in the same form.
        """
        name, activation_name = self._names
        out = self._convolve(parts[0], self._weights[0], self._bias, stride, padding)
        for part, weight in zip(parts[1:], self._weights[1:], strict=True):  # the sum over the parts
            out.add_(self._convolve(part, weight, None, stride, padding))
        self._emit(name, (out,))  # of a fused one the rows are counted; nobody sees them
        if not self._fused:
            out.relu_()
        self._emit(activation_name, (out,))
        return out

    def _convolve(
        self, rows: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: tuple[int, int]
    ) -> Tensor:
        """Convolve one part, by the fastest kernel; on CUDA with the ReLU if it is fused."""
        if self._onednn:
            return torch.mkldnn_convolution(rows, weight, bias, padding, (stride, stride), (1, 1), 1)
        if self._fused:
            rows = rows.contiguous(memory_format=torch.channels_last)
            return torch.cudnn_convolution_relu(rows, weight, bias, (stride, stride), padding, (1, 1), 1)
        return F.conv2d(rows, weight, bias, stride, padding)
