"""A bank's rows as the magnitudes of windowed frames, made as they come, and kept on disk until sounded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor

from ..base.journal import Files
from ..base.sink import ResumableSink
from ..base.spool import Spool
from ..planning.geometry import inside
from ..planning.plan import Stft
from ..planning.sound_options import SoundOptions
from ..planning.steps import SpectraState
from .background import USUAL, Background
from .dsp.spectrum import FrequencyMap, FrequencyScale, TimeMap

# Rows are taken in blocks of so many, on a fixed grid: what becomes of them does not depend on how they came.
_ROWS = 32
_LEAST = 1e-30  # in place of nothing, to divide by
_FRAMES = 64  # frames made of them at a time, at most


class _MapState(TypedDict):
    seen: int
    came: int
    made: int


class SpectraMap:
    """Turns rows `[row, channel, frequency]` into magnitudes `[frame, channel, bin]`, block by block.

    Keeps the last two blocks of rows.

    Args:
        rows: how many will come, the first of `whole`, over which the picture's time is spread.
        flipped: whether the first of a row's values is the highest frequency.
        background: what of the rows to leave out; None: nothing.
    """

    def __init__(
        self,
        rows: int,
        whole: int,
        frequencies: int,
        stft: Stft,
        sound: SoundOptions,
        *,
        flipped: bool,
        background: Background | None = None,
    ) -> None:
        scale = FrequencyScale(sound.frequency, *sound.frequencies_hz)
        self._rows, self._time = rows, TimeMap(whole, stft.frames, stft.hop, stft.samples)
        self._spread = FrequencyMap(
            frequencies, stft.fft_size, sound.sample_rate_hz, scale, reversed_rows=flipped
        )
        self._contrast, self._background, self._frequencies = sound.contrast, background, frequencies
        a_frame = self._time.rows_a_frame
        self._grid = max(_ROWS, math.ceil(a_frame) + 2)
        # Frames made at a time, and the rows that they need: always as many, for a product's last bits may
        # depend on its size, and a preview's last frames are the whole's.
        self._at_a_time = min(_FRAMES, math.ceil(self._grid / a_frame) + 1)
        self._needed = math.ceil((self._at_a_time - 1) * a_frame + max(a_frame, 1)) + 2
        self._kept, self._first = torch.zeros(0), 0  # rows from there on
        self._seen = self._came = self._made = 0  # rows that came, those that were taken, frames
        self._even: Tensor | None = None
        self._margin: Tensor | None = None
        self._inside, self._layout = slice(0, rows), torch.arange(frequencies)
        if background is not None:
            self._even, self._margin = background.even[:, None], background.margin[:, None]
            time, across = inside(whole, background.border), inside(frequencies, background.border)
            self._inside = slice(min(time.start, rows - 1), min(time.stop, rows))
            self._layout = self._layout.clamp(across.start, across.stop - 1)

    @property
    def waiting(self) -> Tensor:
        """float32 `[row, channel, frequency]`: rows that frames may still need."""
        return self._kept

    def presence(self, loudest: float) -> float:
        """Return the share of content, 0 to 1, where so much is the largest energy of a frame."""
        if self._background is None:
            return 1.0
        return self._background.presence(loudest, self._frequencies, self._contrast)

    @property
    def state(self) -> _MapState:
        """How far it has come, JSON-ready."""
        return {"seen": self._seen, "came": self._came, "made": self._made}

    def restore(self, state: _MapState, waiting: Tensor) -> None:
        """Resume where another map was, whose rows are `waiting`."""
        self._came = state["came"]
        self._made = state["made"]
        self._seen = state["seen"]
        self._kept = waiting
        self._first = self._came - waiting.shape[0]

    def __call__(self, rows: Tensor) -> Iterator[Tensor]:
        """Yield the frames that these rows complete, some at a time; with the last row, all that are left."""
        seen, self._seen = self._seen, self._seen + rows.shape[0]
        first, last = (
            min(max(0, end - seen), rows.shape[0]) for end in (self._inside.start, self._inside.stop)
        )
        if seen <= self._inside.start < self._seen:  # the first row inside stands for those before it
            yield from self._taken(rows[first : first + 1].expand(self._inside.start, -1, -1), new=True)
        yield from self._taken(rows[first:last], new=True)
        if last < rows.shape[0] and self._came:  # and the last one for those behind it
            yield from self._taken(self._kept[-1:].expand(rows.shape[0] - last, -1, -1), new=False)

    def _taken(self, rows: Tensor, *, new: bool) -> Iterator[Tensor]:
        while rows.shape[0]:
            room = self._grid - self._came % self._grid
            part, rows = rows[:room], rows[room:]
            if new:
                part = raised(self._content(part), self._contrast)
            self._kept = torch.cat((self._kept, part)) if self._kept.numel() else part.clone()
            self._came += part.shape[0]
            if self._came % self._grid == 0 or self._came == self._rows:
                yield from self._made_of_kept()

    def _content(self, rows: Tensor) -> Tensor:
        if self._even is None or self._margin is None:
            return rows
        return (rows[..., self._layout] - self._even).abs_().sub_(self._margin).clamp_min_(0)

    def _made_of_kept(self) -> Iterator[Tensor]:
        time, whole = self._time, self._came == self._time.rows
        # the last row that frame n needs is below (n + 1/2) rows_a_frame, or half a row past its middle
        reach = max(time.rows_a_frame, 1) / 2
        ready = time.frames if whole else int((self._came - reach) / time.rows_a_frame)
        while self._made < ready:
            frames = slice(self._made, min(self._made + self._at_a_time, ready))
            count, channels = frames.stop - frames.start, self._kept.shape[1]
            first, found = time.weights(frames)
            here = self._kept[first - self._first :][: found.shape[1]]
            rows = here.new_zeros(self._needed, here[0].numel())
            rows[: len(here)] = here.reshape(len(here), -1)
            weights = here.new_zeros(self._at_a_time, self._needed)
            weights[:count, : found.shape[1]] = torch.from_numpy(found)
            made = self._spread((weights @ rows).view(self._at_a_time * channels, -1))
            self._made = frames.stop
            yield made.view(self._at_a_time, channels, -1)[:count]
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
    sizes /= USUAL
    whole = _root_of_squares(sizes)
    shares = (sizes / whole.clamp_min(_LEAST)).pow_(power)
    shares /= _root_of_squares(shares).clamp_min(_LEAST)
    return whole.pow_(power) * shares


def _root_of_squares(sizes: Tensor) -> Tensor:
    """Over the channels. (torch's norm over so few goes value by value, and takes 80 times as long.)"""
    return sizes.square().sum(1, keepdim=True).sqrt_()


class SpectraSpool(ResumableSink[SpectraState]):
    """Magnitudes of one signal of several channels, float32 `[frame, channel, bin]`, in a file, which stays.

    Args:
        path: the file.
        stft: sizes of the frames.
        channels: of the signal.
        spectra: makes them of rows.
        state: state of a spool to resume, whose retained rows are to be restored; None: a new one.

    Attributes:
        path: the file.
        loudest: the largest energy of a frame.
    """

    def __init__(
        self, path: Path, stft: Stft, channels: int, spectra: SpectraMap, state: SpectraState | None
    ) -> None:
        self.path = path
        self._map = spectra
        self._stft = stft
        self._energy = 0.0 if state is None else float(state["energy"])
        self.loudest = 0.0 if state is None else float(state["loudest"])
        self._spool = Spool(path, (channels, stft.bins), None if state is None else int(state["made"]))

    def close(self) -> None:
        self._spool.close()

    def state(self) -> SpectraState:
        return {**self._map.state, "energy": self._energy, "loudest": self.loudest}

    def retained(self) -> dict[str, Tensor]:
        return {"rows": self._map.waiting}

    def restore(self, state: SpectraState, retained: Mapping[str, Tensor]) -> None:
        self._map.restore(state, retained["rows"])

    def files(self, state: SpectraState, cancelled: Callable[[], bool]) -> Files:
        return {self.path: None}

    def add(self, rows: Tensor) -> None:
        """Take the next rows, float32 `[row, channel, frequency]`."""
        for made in self._map(rows):
            energies = made.double().square_().sum((1, 2))
            self._energy += float(energies.sum())
            self.loudest = max(self.loudest, float(energies.max()))
            self._spool.append(made)

    @property
    def presence(self) -> float:
        """How much content there is, from 0, nothing, to 1: see `Background.presence`."""
        return self._map.presence(self.loudest)

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
