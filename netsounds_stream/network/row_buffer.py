"""Line buffers: the rows of one layer that something computed from them still needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .convolution import Parts

_FIRST = "first"  # the name of the first row's number in a checkpoint


class RowBuffer:
    """The rows of a layer, from the first that is still needed to the last that is complete.

    Rows come in blocks. A block that comes while none waits is taken as it is; otherwise rows that wait are
    put before it, in one copy.

    Args:
        padded: whether something computed from the rows sees padding below the last one, for which it must
            know their shape when none is left.

    Attributes:
        end: number of rows so far, those forgotten included.
        ready: number of rows that there will be at the end of the present step.
    """

    def __init__(self, *, padded: bool = True) -> None:
        self._padded = padded
        self._parts: Parts = ()
        self._first = 0  # number of the first row that is kept
        self._claimed = False  # whether `_parts` are storage that may have more rows than are in use
        self.end = 0
        self.ready = 0

    def append(self, parts: Parts) -> None:
        """Add new rows, `[1, channel, row, cross]`, one part after another along the channels."""
        if self.end > self._first:
            parts = tuple(torch.cat((old, new), dim=2) for old, new in zip(self._parts, parts, strict=True))
        self._parts = parts
        self.end += int(parts[0].shape[2]) - (self.end - self._first)

    def claim(self, rows: int, shapes: Sequence[tuple[int, int]], like: Tensor) -> Parts:
        """Add rows that the caller will write, in storage that is kept from step to step.

        Args:
            rows: number of rows.
            shapes: channels of each part, and values in a row.
            like: a tensor of the same type, on the same device.

        Returns:
            Where to write them, `[1, channel, row, cross]` for each part.
        """
        used = self.end - self._first
        needed = used + rows
        if not self._parts or self._parts[0].shape[2] < needed or not self._claimed:
            grown = tuple(
                torch.empty((1, channels, needed, cross), dtype=like.dtype, device=like.device).contiguous(
                    memory_format=torch.channels_last
                )
                for channels, cross in shapes
            )
            for old, new in zip(self._parts, grown, strict=False):
                new[:, :, :used] = old[:, :, :used]
            self._parts = grown
            self._claimed = True
        self.end += rows
        return tuple(part[:, :, used:needed] for part in self._parts)

    def rows(self, first: int, stop: int) -> Parts:
        """Return rows by their numbers, of those that are kept; views, valid until the next step."""
        if first == self._first and stop == self.end and not self._claimed:
            return self._parts
        return tuple(part[:, :, first - self._first : stop - self._first] for part in self._parts)

    def forget(self, before: int) -> None:
        """Forget all rows before one, by its number; it may be yet to come."""
        before = min(before, self.end)
        used = self.end - self._first
        gone = before - self._first
        if self._claimed:
            if gone and gone < used:
                for part in self._parts:
                    part[:, :, : used - gone] = part[:, :, gone:used].clone()
        elif gone >= used and not self._padded:
            self._parts = ()
        elif gone:
            self._parts = tuple(part[:, :, gone:].clone() for part in self._parts)
        self._first = before

    def retained(self) -> dict[str, Tensor]:
        """Return the rows that wait, by their part, and the first one's number."""
        used = self.end - self._first
        rows = {str(number): part[:, :, :used] for number, part in enumerate(self._parts)}
        return {**rows, _FIRST: torch.tensor([self._first])}

    def restore(self, retained: Mapping[str, Tensor]) -> None:
        """Resume with the rows that waited in another buffer."""
        self._first = int(retained[_FIRST])
        self._parts = tuple(retained[name] for name in sorted(set(retained) - {_FIRST}, key=int))
        self._claimed = False
        self.end = self._first + (int(self._parts[0].shape[2]) if self._parts else 0)
