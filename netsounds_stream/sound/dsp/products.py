"""Products of a matrix with many columns, by the faster of the libraries that torch brings."""

from __future__ import annotations

import torch
from torch import Tensor

# Rows from which oneDNN is called. On an AMD processor MKL, which `@` uses, reaches 110 GFLOP/s on one thread
# and oneDNN 250; with small matrices the calls cost more than that saves.
_LEAST_ROWS = 128


def product(matrix: Tensor, columns: Tensor) -> Tensor:
    """Return `matrix @ columns`.

    Args:
        matrix: float32 `[row, value]`.
        columns: float32 `[..., value, column]`.

    Returns:
        float32 `[..., row, column]`.
    """
    if matrix.device.type != "cpu" or matrix.shape[0] < _LEAST_ROWS or not _onednn():
        return matrix @ columns
    out = columns.new_empty(*columns.shape[:-2], matrix.shape[0], columns.shape[-1])
    for made, given in zip(
        out.view(-1, *out.shape[-2:]), columns.reshape(-1, *columns.shape[-2:]), strict=True
    ):
        made.copy_(torch.ops.mkldnn._linear_pointwise.default(matrix, given.t(), None, "none", [], ""))
    return out


def _onednn() -> bool:
    """Return whether torch has oneDNN, and its product of float32 matrices under the name used here."""
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and hasattr(torch.ops.mkldnn, "_linear_pointwise")
