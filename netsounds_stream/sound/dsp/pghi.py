"""Phases for magnitudes by phase gradient heap integration, in its real-time form, without a heap.

For a Gaussian window the gradient of an STFT's phase follows from its magnitudes' logarithm s(m, n) (bin m,
frame n, hop a, FFT size M, window parameter g = 0.25645 M^2 for Hann's):

    along frequency   dw(m, n) = -g / (2 a M) (s(m, n + 1) - s(m, n - 1))         a bin
    along time        dt(m, n) = a M / (2 g) (s(m + 1, n) - s(m - 1, n)) + 2 pi a m / M     a frame

RTPGHI integrates it frame by frame, the largest magnitudes first: a heap holds the previous frame's bins;
the largest is taken out; if it is of the previous frame it gives its phase to the same bin of this one, else
to its neighbours, and what was given a phase is put in. (Z. Průša, P. Søndergaard, "Real-time spectrogram
inversion using phase gradient heap integration", DAFx 2016; the form that looks one frame ahead.)

Who gives bin m its phase can be told without the heap. Phase reaches m from a bin j of the previous frame
through j .. m - 1, and does so when the least of |c(j, n - 1)|, |c(j, n)| .. |c(m - 1, n)| is taken out. So
the way with the largest least magnitude wins: a recurrence from either side,

    level(m) = max(|c(m, n - 1)|, min(|c(m - 1, n)|, level(m - 1))),

of functions x -> max(p, min(q, x)), which are closed under composition: a prefix scan, for all bins of all
frames of a block at once. Only the phases themselves go frame by frame, in four operations each. The tests
compare with the heap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...planning.plan import Stft

Floats = NDArray[np.float64]
_HANN = 0.25645  # of the Gaussian that comes nearest to Hann's window, from the paper
# Below this share of a frame's largest, phases are drawn, and magnitudes taken as if they were that large.
_TOLERANCE = 1e-6
_SILENCE = 1e-30


class PhaseGradient:
    """Phases from magnitudes, block by block; gives them `delay` frames late.

    Args:
        bins: how many there are, from the lowest on.
    """

    delay = 1

    def __init__(self, stft: Stft, bins: int) -> None:
        self._stft = stft
        self._rows = np.zeros((0, bins))  # the frame before the one that is next, and that
        self._phase = np.zeros(bins)
        self._begun = 0  # frames that came

    def __call__(self, magnitudes: Tensor, drawn: Floats) -> Floats:
        """Phases `[frame, bin]` against each frame's middle, of the frames one before these, as many.

        Args:
            magnitudes: float32 `[frame, bin]`.
            drawn: phases for what is too faint to tell, `[frame, bin]`.
        """
        values, frames = magnitudes.double().numpy(), self._stft.frames
        rows = np.concatenate((self._rows, values))
        if not self._begun:  # nothing is known of what was before, or will be after: no change there
            rows = np.concatenate((values[:1], values[:1], values))
        last = frames - self._begun
        if 0 < last < values.shape[0] or (last == 0 and self._begun):
            rows[2 + last] = rows[1 + last]
        self._rows, first = rows[-2:].copy(), self._begun == 0
        self._begun += values.shape[0]
        phases, self._phase = _integrate(rows, self._phase, drawn, self._stft, first=first)
        return phases


def _integrate(
    rows: Floats, phase: Floats, drawn: Floats, stft: Stft, *, first: bool
) -> tuple[Floats, Floats]:
    """Phases of rows 1 to the last but one, and the last of them; `phase` is row 0's.

    Where `first`, row 1 stands for a frame before there was any, and its phases are 0.
    """
    fft_size, hop = stft.fft_size, stft.hop
    gamma = _HANN * fft_size**2
    largest = rows.max(1, keepdims=True)
    logs = np.log(np.maximum(rows, np.maximum(_TOLERANCE * largest, _SILENCE)))
    here, before = rows[1:-1], rows[:-2]
    loud = here > _TOLERANCE * np.maximum(largest[1:-1], largest[:-2])

    per_bin = -gamma / (2 * hop * fft_size) * (logs[2:] - logs[:-2])
    across = np.zeros_like(here)
    np.cumsum((per_bin[:, 1:] + per_bin[:, :-1]) / 2, axis=1, out=across[:, 1:])

    slope = np.zeros_like(logs[:-1])
    slope[:, 1:-1] = logs[:-1, 2:] - logs[:-1, :-2]
    per_frame = hop * fft_size / (2 * gamma) * slope
    step = (per_frame[1:] + per_frame[:-1]) / 2 + 2 * np.pi * hop / fft_size * np.arange(here.shape[1])

    source = _sources(before, here, loud)
    along = np.take_along_axis(step, source, 1) + across - np.take_along_axis(across, source, 1)
    phases = np.empty_like(here)
    for number in range(here.shape[0]):
        phase = np.where(loud[number], phase[source[number]] + along[number], drawn[number])
        if first and number == 0:
            phase = np.zeros_like(phase)
        phase = np.remainder(phase, 2 * np.pi)
        phases[number] = phase
    return phases, phase


def _sources(before: Floats, here: Floats, loud: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Which bin of the frame before each bin's phase comes from, `[frame, bin]`."""
    bins = here.shape[1]
    given = np.where(loud, before, -1.0)
    passed = np.where(loud, here, -1.0)
    from_left = _from_left(given, passed)
    from_right = _from_left(given[:, ::-1], passed[:, ::-1])[:, ::-1]
    in_time = (given >= from_left) & (given >= from_right)
    index = np.arange(bins)
    left = np.maximum.accumulate(np.where(in_time, index, 0), axis=1)
    right = np.minimum.accumulate(np.where(in_time, index, bins - 1)[:, ::-1], axis=1)[:, ::-1]
    return np.where(in_time, index, np.where(from_left > from_right, left, right))


def _from_left(given: Floats, passed: Floats) -> Floats:
    """When phase would reach each bin from its left neighbour: min(passed, level) of that."""
    most, least = given.copy(), np.full_like(given, -1.0)
    least[:, 1:] = passed[:, :-1]  # level(m) = max(given(m), min(passed(m - 1), level(m - 1)))
    distance = 1
    while distance < given.shape[1]:
        further = np.maximum(most[:, distance:], np.minimum(least[:, distance:], most[:, :-distance]))
        bound = np.minimum(least[:, distance:], least[:, :-distance])
        most[:, distance:], least[:, distance:] = further, bound
        distance *= 2
    reached = np.full_like(given, -1.0)
    reached[:, 1:] = np.minimum(passed[:, :-1], most[:, :-1])
    return reached
