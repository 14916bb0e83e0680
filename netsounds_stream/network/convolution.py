"""A convolution of rows, by the fastest kernel, over an input whose channels lie in one or more tensors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: A layer's rows, its channels split over one or more tensors `[1, channel, row, cross]`. A fire's two
#: expansions stay apart: concatenating them would cost a fifth of the run.
Parts = tuple[Tensor, ...]


class RowConvolution:
    """A convolution; on CUDA with its ReLU in one kernel, if asked to.

    There, adding the bias and the ReLU as passes of their own takes as long as the convolution (measured on
    an H100: 690 Mpx/s, 840 in one kernel). On a CPU oneDNN is called by its own name: torch computes 1x1
    kernels on one thread by its BLAS instead, which takes twice as long where that is MKL on an AMD
    processor. oneDNN's own ReLU is not used: it turns NaN into 0, and so hides what went wrong.

    Rows in which fewer than two whole windows fit are convolved in float64 on a CPU, which torch does by
    itself: oneDNN 3.12 reads beyond such rows, and so returns wrong values on some processors, or ends the
    process (1 wide, stride 2, padding 1). They are few and cost nothing.

    Args:
        weight: `[out channel, in channel / groups, row, cross]`.
        bias: `[out channel]`; None without.
        split: numbers of channels in each part of the input; None: it has one part.
        stride: stride along rows and across.
        dilation: distance between a window's inputs, likewise.
        groups: number of groups of channels.
        with_relu: whether to clamp at 0; on CUDA only, and with one part only.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        *,
        split: tuple[int, ...] | None,
        stride: tuple[int, int],
        dilation: tuple[int, int],
        groups: int,
        with_relu: bool,
    ) -> None:
        pieces = torch.split(weight, list(split), dim=1) if split else (weight,)
        self._weights = [piece.contiguous(memory_format=torch.channels_last) for piece in pieces]
        self._bias = bias
        self._stride = stride
        self._dilation = dilation
        self._groups = groups
        self._with_relu = with_relu
        assert not with_relu or (weight.is_cuda and len(pieces) == 1)
        self._on_cpu = weight.device.type == "cpu"
        self._onednn = (
            self._on_cpu and weight.dtype == torch.float32 and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        )
        self._two_windows = dilation[1] * (int(weight.shape[3]) - 1) + 1 + stride[1]

    def __call__(self, parts: Parts, *, padding: tuple[int, int]) -> Tensor:
        """Convolve rows.

        Args:
            parts: `[1, channel, row, cross]`, one after another along the channels.
            padding: zeros around, along rows and across.

        Returns:
            The output rows, in one part.
        """
        out = self._convolve(parts[0], self._weights[0], self._bias, padding)
        for part, weight in zip(parts[1:], self._weights[1:], strict=True):  # the sum over the parts
            out.add_(self._convolve(part, weight, None, padding))
        return out

    def _convolve(
        self, rows: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]
    ) -> Tensor:
        if self._on_cpu and rows.shape[3] < self._two_windows:
            return self._convolve_narrow(rows, weight, bias, padding)
        if self._onednn:
            return torch.mkldnn_convolution(
                rows, weight, bias, padding, self._stride, self._dilation, self._groups
            )
        if self._with_relu:
            rows = rows.contiguous(memory_format=torch.channels_last)
            return torch.cudnn_convolution_relu(
                rows, weight, bias, self._stride, padding, self._dilation, self._groups
            )
        return F.conv2d(rows, weight, bias, self._stride, padding, self._dilation, self._groups)

    def _convolve_narrow(
        self, rows: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]
    ) -> Tensor:
        wide = None if bias is None else bias.double()
        out = F.conv2d(
            rows.double(), weight.double(), wide, self._stride, padding, self._dilation, self._groups
        )
        return out.to(rows.dtype, memory_format=torch.channels_last)
