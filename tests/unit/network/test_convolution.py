"""Convolutions of narrow rows, beside torch's own in float64: oneDNN reads beyond such rows."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from netsounds_stream.network.convolution import RowConvolution

#: Kernel, stride, dilation and padding across, and the widths of the rows.
ACROSS = {
    # oneDNN 3.12 ends the process here: a window sees padding only
    "padding alone, 1 wide": (1, 2, 1, 1, (1,)),
    "padding alone, 2 wide, dilated": (2, 3, 3, 4, (1, 2)),
    # and returns what was in memory before here, on some processors
    "one window": (3, 2, 1, 0, (3, 4)),
    "two windows and more": (3, 2, 1, 1, (5, 6, 7, 20)),
}


@pytest.mark.parametrize("across", ACROSS.values(), ids=ACROSS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_narrow_rows_are_convolved_right(
    across: tuple[int, int, int, int, tuple[int, ...]], dtype: torch.dtype
) -> None:
    kernel, stride, dilation, padding, widths = across
    generator = torch.Generator().manual_seed(1)
    for width, channels, groups, down in itertools.product(widths, (1, 4), (1, 4), (1, 4)):
        if groups > channels:
            continue
        weight = torch.randn(8, channels // groups, down, kernel, generator=generator).to(dtype)
        bias = torch.randn(8, generator=generator).to(dtype)
        rows = torch.randn(1, channels, 9, width, generator=generator).to(
            dtype, memory_format=torch.channels_last
        )
        convolve = RowConvolution(
            weight,
            bias,
            split=None,
            stride=(2, stride),
            dilation=(1, dilation),
            groups=groups,
            with_relu=False,
        )
        found = convolve((rows,), padding=(0, padding))
        wanted = F.conv2d(
            rows.double(),
            weight.double(),
            bias.double(),
            (2, stride),
            (0, padding),
            (1, dilation),
            groups,
        )
        assert found.dtype == dtype
        # sums of at most 4 x 4 x 3 products; bfloat16 keeps 8 bits
        tolerance = 1e-5 if dtype == torch.float32 else 4e-2
        torch.testing.assert_close(found.double(), wanted, rtol=tolerance, atol=tolerance)
