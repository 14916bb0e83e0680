"""Magnitudes of windowed frames, made of a bank's rows as they arrive and kept on disk until synthesis."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from ..base.journal import Files
from ..base.sink import ResumableSink
from ..base.spool import Spool
from ..graph.geometry import inside
from ..planning.plan import Stft
from ..planning.sound_options import LISTENING_PHON, SoundOptions
from ..planning.steps import SpectraState
from .background import USUAL, Background
from .dsp.equal_loudness import gains
from .dsp.notes import NoteMap
from .dsp.spectrum import FrequencyMap, FrequencyScale, TimeMap

# Rows of a block. Blocks lie on a fixed grid, so that results do not depend on the pieces that rows come in.
_ROWS = 32
_LEAST = 1e-30  # stands for 0 in divisors
_FRAMES = 64  # most frames made at a time


class _MapState(TypedDict):
    """Progress of a `SpectraMap`.

    Attributes:
        seen: rows that were pushed.
        came: rows that were processed, those at the border replaced.
        made: frames that were made.
    """

    seen: int
    came: int
    made: int


class SpectraMap:
    """Maps rows `[row, channel, frequency]` to magnitudes `[frame, channel, bin]`, block by block.

    Where rows fall on notes, a frame has levels of notes in place of magnitudes of bins. Between calls it
    retains the last two blocks of rows.

    Args:
        rows: number of rows that will come: all, or a preview's, which are the first ones.
        whole: number of rows of the whole picture, over which its time is spread.
        frequencies: number of a row's values.
        stft: sizes of the frames.
        sound: options of the sound: scale of frequencies, notes, contrast, sample rate.
        flipped: whether the first of a row's values is the highest frequency.
        background: content is the difference from it; None: values are content as they are.
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
        self._rows = rows
        self._time = TimeMap(whole, stft.frames, stft.hop, stft.samples)
        self._spread: FrequencyMap | NoteMap
        if sound.notes is None:
            self._spread = FrequencyMap(
                frequencies, stft.fft_size, sound.sample_rate_hz, scale, reversed_rows=flipped
            )
        else:
            self._spread = NoteMap(frequencies, sound.notes.hz, scale, reversed_rows=flipped)
        self._gains: Tensor | None = None
        if sound.equal_loudness:
            self._gains = torch.from_numpy(gains(self._spread.hz, LISTENING_PHON)).float()
        self._contrast = sound.contrast
        self._background = background
        self._frequencies = frequencies
        rows_a_frame = self._time.rows_a_frame
        self._grid = max(_ROWS, math.ceil(rows_a_frame) + 2)
        # Frames made at a time, and the rows that they need. The numbers are fixed, since a product's last
        # bits may depend on its size, and a preview's last frames are to be those of the whole sound.
        self._at_a_time = min(_FRAMES, math.ceil(self._grid / rows_a_frame) + 1)
        self._needed = math.ceil((self._at_a_time - 1) * rows_a_frame + max(rows_a_frame, 1)) + 2
        self._retained = torch.zeros(0)
        self._first = 0  # number of the first retained row
        self._seen = self._came = self._made = 0  # see `_MapState`
        self._even: Tensor | None = None
        self._margin: Tensor | None = None
        self._inside = slice(0, rows)
        self._layout = torch.arange(frequencies)
        if background is not None:
            self._even = background.even[:, None]
            self._margin = background.margin[:, None]
            time = inside(whole, background.border)
            across = inside(frequencies, background.border)
            self._inside = slice(min(time.start, rows - 1), min(time.stop, rows))
            self._layout = self._layout.clamp(across.start, across.stop - 1)

    @property
    def retained(self) -> Tensor:
        """Rows that frames may still need, float32 `[row, channel, frequency]`."""
        return self._retained

    def weighted(self, frames: Tensor) -> Tensor:
        """Weigh magnitudes so that equal ones are equally loud, if that is wanted.

        It is apart from making them: content is measured as the network sees it.
        """
        return frames if self._gains is None else frames * self._gains

    def presence(self, loudest: float) -> float:
        """Return the share of content in the loudest frame; see `Background.presence`.

        Args:
            loudest: largest energy of a frame.

        Returns:
            From 0 to 1; 1 where no background is known.
        """
        if self._background is None:
            return 1.0
        return self._background.presence(loudest, self._frequencies, self._contrast)

    @property
    def state(self) -> _MapState:
        """Progress so far, JSON-ready."""
        return {"seen": self._seen, "came": self._came, "made": self._made}

    def restore(self, state: _MapState, retained: Tensor) -> None:
        """Resume where another map was.

        Args:
            state: its `state`.
            retained: the rows that it had retained.
        """
        self._came = state["came"]
        self._made = state["made"]
        self._seen = state["seen"]
        self._retained = retained
        self._first = self._came - retained.shape[0]

    def __call__(self, rows: Tensor) -> Iterator[Tensor]:
        """Push the next rows.

        Args:
            rows: float32 `[row, channel, frequency]`, any number of rows.

        Yields:
            Magnitudes of the frames that these rows complete, float32 `[frame, channel, bin]`, some frames at
            a time; with the last row, those of all remaining frames.
        """
        seen = self._seen
        self._seen += rows.shape[0]
        first, last = (
            min(max(0, end - seen), rows.shape[0]) for end in (self._inside.start, self._inside.stop)
        )
        if seen <= self._inside.start < self._seen:  # the first row inside stands for those before it
            yield from self._pushed(rows[first : first + 1].expand(self._inside.start, -1, -1), new=True)
        yield from self._pushed(rows[first:last], new=True)
        if last < rows.shape[0] and self._came:  # and the last one for those behind it
            yield from self._pushed(self._retained[-1:].expand(rows.shape[0] - last, -1, -1), new=False)

    def _pushed(self, rows: Tensor, *, new: bool) -> Iterator[Tensor]:
        """Retain rows up to the end of each block, and yield the frames that it completes.

        Args:
            rows: the rows.
            new: whether they are still to be reduced to content and raised to the contrast.

        Yields:
            Magnitudes, float32 `[frame, channel, bin]`.
        """
        while rows.shape[0]:
            room = self._grid - self._came % self._grid
            part = rows[:room]
            rows = rows[room:]
            if new:
                part = raised(self._content(part), self._contrast)
            self._retained = torch.cat((self._retained, part)) if self._retained.numel() else part.clone()
            self._came += part.shape[0]
            if self._came % self._grid == 0 or self._came == self._rows:
                yield from self._complete_frames()

    def _content(self, rows: Tensor) -> Tensor:
        """Return how far rows differ from the background, by more than its margin; else 0."""
        if self._even is None or self._margin is None:
            return rows
        return (rows[..., self._layout] - self._even).abs_().sub_(self._margin).clamp_min_(0)

    def _complete_frames(self) -> Iterator[Tensor]:
        """Yield the frames whose rows are all there, and drop rows that no later frame needs."""
        time = self._time
        # the last row that frame n needs is below (n + 1/2) rows_a_frame, or half a row past its middle
        reach = max(time.rows_a_frame, 1) / 2
        complete = self._came == time.rows
        ready = time.frames if complete else int((self._came - reach) / time.rows_a_frame)
        channels = self._retained.shape[1]
        while self._made < ready:
            frames = slice(self._made, min(self._made + self._at_a_time, ready))
            count = frames.stop - frames.start
            first, factors = time.weights(frames)
            used = self._retained[first - self._first :][: factors.shape[1]]
            rows = used.new_zeros(self._needed, used[0].numel())
            rows[: len(used)] = used.reshape(len(used), -1)
            weights = used.new_zeros(self._at_a_time, self._needed)
            weights[:count, : factors.shape[1]] = torch.from_numpy(factors)
            magnitudes = self._spread((weights @ rows).view(self._at_a_time * channels, -1))
            self._made = frames.stop
            yield magnitudes.view(self._at_a_time, channels, -1)[:count]
        needed = max(self._first, min(self._came, self._came - 2 * self._grid))
        self._retained = self._retained[needed - self._first :].clone()
        self._first = needed


def raised(rows: Tensor, power: float) -> Tensor:
    """Raise magnitudes to a power, and with them their places between the channels.

    The size over all channels, the root of their squares' sum, is raised to the power. Each channel's share
    of it is raised likewise, and the shares are scaled so that their squares add up to 1 again. So what lies
    in the middle stays as loud as what lies at a side, and what lies aside moves further there.

    Args:
        rows: `[row, channel, frequency]`; negative values count by their magnitude.
        power: the power; 1 leaves magnitudes as they are, others divide them by `USUAL` first.

    Returns:
        float32 `[row, channel, frequency]`, contiguous: the last bit of later results may depend on the
        layout.
    """
    sizes = torch.abs(rows, out=torch.empty(rows.shape))
    if power == 1:
        return sizes
    sizes /= USUAL
    total = _root_of_squares(sizes)
    shares = _power(sizes / total.clamp_min(_LEAST), power)
    shares /= _root_of_squares(shares).clamp_min(_LEAST)
    return _power(total, power) * shares


def _power(values: Tensor, power: float) -> Tensor:
    """Raise values to a power in place, each to the same bits wherever in the tensor it lies.

    torch's own has other last bits for the values at the end of a thread's share, which no vector holds, so
    that a sound would depend on how its rows come.
    """
    if power in (2, 3):  # products
        return values.pow_(power)
    array = values.numpy()
    np.power(array, np.float32(power), out=array)
    return values


def _root_of_squares(sizes: Tensor) -> Tensor:
    """Return the root of the sum of the channels' squares, `[row, channel=1, frequency]`."""
    # torch's norm over so few channels goes value by value, and takes 80 times as long
    return sizes.square().sum(1, keepdim=True).sqrt_()


class SpectraSpool(ResumableSink[SpectraState]):
    """A file of the magnitudes of one signal of several channels, float32 `[frame, channel, bin]`.

    The file stays when the spool is closed.

    Args:
        path: path of the file.
        stft: sizes of the frames.
        channels: number of the signal's channels.
        spectra: maps rows to magnitudes.
        state: state of a spool to resume, whose retained rows are to be restored; None: a new one.
        rows_path: path of a file that the rows themselves are appended to, float32
            `[row, channel, frequency]`; None: they are not kept.

    Attributes:
        path: path of the file.
        loudest: largest energy of a frame, before it is weighted.
    """

    def __init__(
        self,
        path: Path,
        stft: Stft,
        channels: int,
        spectra: SpectraMap,
        state: SpectraState | None,
        rows_path: Path | None = None,
    ) -> None:
        self.path = path
        self._rows_path = rows_path
        self._rows_spool: Spool | None = None  # opened with the first rows, since a spool may only be read
        self._map = spectra
        self._stft = stft
        self._energy = 0.0 if state is None else float(state["energy"])
        self.loudest = 0.0 if state is None else float(state["loudest"])
        self._spool = Spool(path, (channels, stft.values), None if state is None else int(state["made"]))

    def close(self) -> None:
        """Close the files; closing twice does nothing."""
        self._spool.close()
        if self._rows_spool is not None:
            self._rows_spool.close()

    def state(self) -> SpectraState:
        """Return the progress and the energies so far, JSON-ready and exact."""
        return {**self._map.state, "energy": self._energy, "loudest": self.loudest}

    def retained(self) -> dict[str, Tensor]:
        """Return the rows that frames may still need, as 'rows'."""
        return {"rows": self._map.retained}

    def restore(self, state: SpectraState, retained: Mapping[str, Tensor]) -> None:
        """Resume where another spool was that had this state and retained these rows."""
        self._map.restore(state, retained["rows"])

    def files(self, state: SpectraState, cancelled: Callable[[], bool]) -> Files:
        """Return the spool's files, which must be durable for `state` to hold."""
        return dict.fromkeys(self.paths)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Paths of the files that there are."""
        return (self.path,) if self._rows_spool is None else (self.path, self._rows_spool.path)

    def add(self, rows: Tensor) -> None:
        """Append the frames that the next rows complete.

        Args:
            rows: float32 `[row, channel, frequency]`, any number of rows.
        """
        if self._rows_path is not None:
            self._keep(self._rows_path, rows)
        for frames in self._map(rows):
            self.loudest = max(self.loudest, float(_energies(frames).max()))
            weighted = self._map.weighted(frames)
            for energy in _energies(weighted).tolist():  # one by one: however rows come, the same sum
                self._energy += energy
            self._spool.append(weighted)

    @property
    def presence(self) -> float:
        """Share of content in the loudest frame, from 0 to 1; see `Background.presence`."""
        return self._map.presence(self.loudest)

    @property
    def level(self) -> float:
        """Root of the mean energy of a frame."""
        return math.sqrt(self._energy / max(1, self._spool.rows))

    def blocks(self) -> Iterator[Tensor]:
        """Read all magnitudes from the beginning.

        Returns:
            Blocks `[channel, frame, bin]` of `stft.block_frames` frames, as `synthesis.synthesised` needs
            them; the last one is filled up with zeros.
        """
        return in_blocks(self._rows(), self._stft)

    def _keep(self, path: Path, rows: Tensor) -> None:
        """Append rows to the file that keeps them, behind those that the map has seen."""
        if self._rows_spool is None:
            self._rows_spool = Spool(path, tuple(rows.shape[1:]), self._map.state["seen"] or None)
        self._rows_spool.append(rows)

    def _rows(self) -> Iterator[Tensor]:
        count = self._stft.block_frames
        for start in range(0, self._spool.rows, count):
            yield self._spool.read(start, min(count, self._spool.rows - start))


def _energies(frames: Tensor) -> Tensor:
    """Return the energy of each frame, float64 `[frame]`."""
    return frames.double().square_().sum((1, 2))


def in_blocks(pieces: Iterator[Tensor], stft: Stft) -> Iterator[Tensor]:
    """Cut magnitudes into the blocks that `synthesis.synthesised` needs.

    Args:
        pieces: magnitudes `[frame, channel, bin]`, any number of frames in each.
        stft: sizes of the frames and of a block.

    Yields:
        Blocks `[channel, frame, bin]` of `stft.block_frames` frames; the last one is filled up with zeros.
    """
    count = stft.block_frames
    pending = torch.zeros(0)
    for piece in pieces:
        pending = torch.cat((pending, piece)) if pending.numel() else piece
        while pending.shape[0] >= count:
            yield pending[:count].transpose(0, 1)
            pending = pending[count:]
    if pending.numel() and pending.shape[0]:
        last = pending.new_zeros(count, *pending.shape[1:])
        last[: pending.shape[0]] = pending
        yield last.transpose(0, 1)
