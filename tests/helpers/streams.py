"""Layers of a picture that a stream takes in bands."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from netsounds_stream.network.stream import RowBlock, RowStream
from netsounds_stream.network.tracing.capture import Captured


def streamed(
    network: Captured,
    picture: Tensor,
    names: Sequence[str],
    bands: Sequence[int],
    *,
    transposed: bool = False,
) -> tuple[dict[str, Tensor], Tensor | None]:
    """Layers `[channel, y, x]` of a picture in bands of these heights, again and again; and the logits."""
    rows: dict[str, list[Tensor]] = {name: [] for name in names}

    def keep(block: RowBlock) -> None:
        assert block.start == sum(piece.shape[1] for piece in rows[block.layer])
        rows[block.layer].append(block.tensor())

    stream = RowStream(network, dict.fromkeys(names, keep), transposed=transposed)
    along = picture.transpose(1, 2) if transposed else picture
    start = number = 0
    while start < along.shape[1]:
        stream.push(along[:, start : start + bands[number % len(bands)]])
        start += bands[number % len(bands)]
        number += 1
    stream.flush()
    found = {name: torch.cat(pieces, dim=1) for name, pieces in rows.items() if pieces}
    return {
        name: each.transpose(1, 2) if transposed else each for name, each in found.items()
    }, stream.logits()
