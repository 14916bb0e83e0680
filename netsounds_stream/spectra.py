"""A bank's rows as the magnitudes of windowed frames, made as they come, and kept on disk until sounded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from .plans import Stft
from .sound_options import SoundOptions
from .spectrum import FrequencyMap, FrequencyScale, TimeMap
from .spool import Spool

# Rows are taken in blocks of so many, on a fixed grid: what becomes of them does not depend on how they came.
_ROWS = 32
_USUAL = 1e3  # activations are divided by it first, so that powers stay in float32's range
_LEAST = 1e-30  # in place of nothing, to divide by
_FRAMES = 32  # frames made of them at a time


class SpectraMap:
    """Turns rows `[row, channel, frequency]` into magnitudes `[frame, channel, bin]`, block by block.

    Keeps the last two blocks of rows.

    Args:
        rows: how many will come, the first of `whole`, over which the picture's time is spread.
        flipped: whether the first of a row's values is the highest frequency.
    """

    def __init__(
        self, rows: int, whole: int, frequencies: int, stft: Stft, sound: SoundOptions, *, flipped: bool
    ) -> None:
        scale = FrequencyScale(sound.frequency, *sound.frequencies_hz)
        self._rows, self._time = rows, TimeMap(whole, stft.frames, stft.hop, stft.samples)
        self._spread = FrequencyMap(
            frequencies, stft.fft_size, sound.sample_rate_hz, scale, reversed_rows=flipped
        )
        self._contrast = sound.contrast
        self._grid = max(_ROWS, math.ceil(self._time.rows_a_frame) + 2)
        self._kept, self._first = torch.zeros(0), 0  # rows from there on
        self._came = self._made = 0

    @property
    def waiting(self) -> Tensor:
        """float32 `[row, channel, frequency]`: rows that frames may still need."""
        return self._kept

    @property
    def state(self) -> dict[str, int]:
        return {"came": self._came, "made": self._made}

    def restore(self, state: Mapping[str, Any], waiting: Tensor) -> None:
        """Go on where another was."""
        self._came, self._made, self._kept = int(state["came"]), int(state["made"]), waiting
        self._first = self._came - waiting.shape[0]

    def __call__(self, rows: Tensor) -> Iterator[Tensor]:
        """The frames that these rows complete, some at a time; with the last row, all that are left."""
        while rows.shape[0]:
            room = self._grid - self._came % self._grid
            part, rows = rows[:room], rows[room:]
            part = raised(part, self._contrast)
            self._kept = torch.cat((self._kept, part)) if self._kept.numel() else part
            self._came += part.shape[0]
            if self._came % self._grid == 0 or self._came == self._rows:
                yield from self._made_of_kept()

    def _made_of_kept(self) -> Iterator[Tensor]:
        time, whole = self._time, self._came == self._time.rows
        # the last row that frame n needs is below (n + 1/2) rows_a_frame, or half a row past its middle
        reach = max(time.rows_a_frame, 1) / 2
        ready = time.frames if whole else int((self._came - reach) / time.rows_a_frame)
        while self._made < ready:
            frames = slice(self._made, min(self._made + _FRAMES, ready))
            first, weights = time.weights(frames)
            here = self._kept[first - self._first :][: weights.shape[1]]
            made = torch.from_numpy(weights) @ here.reshape(here.shape[0], -1)
            made = made.view(-1, here.shape[2])
            self._made = frames.stop
            yield self._spread(made).view(frames.stop - frames.start, here.shape[1], -1)
        needed = max(self._first, min(self._came, self._came - 2 * self._grid))
        self._kept, self._first = self._kept[needed - self._first :].clone(), needed


def raised(rows: Tensor, power: float) -> Tensor:
    """Magnitudes `[row, channel, frequency]` to a power, their places between the channels, too.

    The whole, the root of the channels' squares, is raised; what each channel has of it is raised likewise,
    and brought back to whole power. So what lies in the middle stays as loud as what lies at a side, and
    what lies aside moves further there.
    """
    # arrays of another origin may hold negative values, of which not every power is a number
    # into one layout, whatever the rows': the last bit of what follows may depend on it
    sizes = torch.abs(rows, out=torch.empty(rows.shape))
    if power == 1:
        return sizes
    sizes /= _USUAL
    whole = _root_of_squares(sizes)
    shares = (sizes / whole.clamp_min(_LEAST)).pow_(power)
    shares /= _root_of_squares(shares).clamp_min(_LEAST)
    return whole.pow_(power) * shares


def _root_of_squares(sizes: Tensor) -> Tensor:
    """Over the channels. (torch's norm over so few goes value by value, and takes 80 times as long.)"""
    return sizes.square().sum(1, keepdim=True).sqrt_()


class SpectraSpool:
    """Magnitudes of one signal of several channels, float32 `[frame, channel, bin]`, in a file, which stays.

    Args:
        state: of a spool left before, to go on with; `made_by` is to be restored, too.

    Attributes:
        made_by: what makes them of rows.
    """

    def __init__(
        self, path: Path, stft: Stft, channels: int, made_by: SpectraMap, state: Mapping[str, Any] | None
    ) -> None:
        self.path, self.made_by, self._stft = path, made_by, stft
        self._energy = 0.0 if state is None else float(state["energy"])
        self._spool = Spool(path, (channels, stft.bins), None if state is None else int(state["made"]))

    def __enter__(self) -> SpectraSpool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()

    def state(self) -> dict[str, Any]:
        """How far it is, JSON-ready and exact."""
        return {**self.made_by.state, "energy": self._energy}

    def add(self, rows: Tensor) -> None:
        """Take the next rows, float32 `[row, channel, frequency]`."""
        for made in self.made_by(rows):
            self._energy += float(made.double().square_().sum())
            self._spool.append(made)

    @property
    def level(self) -> float:
        """The root of what a frame's magnitudes' squares add up to, on average."""
        return math.sqrt(self._energy / max(1, self._spool.rows))

    def blocks(self) -> Iterator[Tensor]:
        """All of it from the beginning: `[channel, frame, bin]`, see `synthesis.synthesised`."""
        return in_blocks(self._rows(), self._stft)

    def _rows(self) -> Iterator[Tensor]:
        count = self._stft.block_frames
        for start in range(0, self._spool.rows, count):
            yield self._spool.read(start, min(count, self._spool.rows - start))


def in_blocks(pieces: Iterator[Tensor], stft: Stft) -> Iterator[Tensor]:
    """Magnitudes `[frame, channel, bin]` in any pieces as `SpectraSpool.blocks` gives them."""
    count, kept = stft.block_frames, torch.zeros(0)
    for piece in pieces:
        kept = torch.cat((kept, piece)) if kept.numel() else piece
        while kept.shape[0] >= count:
            yield kept[:count].transpose(0, 1)
            kept = kept[count:]
    if kept.numel() and kept.shape[0]:
        rest = kept.new_zeros(count, *kept.shape[1:])
        rest[: kept.shape[0]] = kept
        yield rest.transpose(0, 1)
