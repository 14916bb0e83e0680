"""Phases from magnitudes by phase gradient heap integration, in its real-time form, without a heap.

For a Gaussian window the gradient of an STFT's phase follows from the logarithm of its magnitudes, s(m, n)
(bin m, frame n, hop a, FFT size M, window parameter g = 0.25645 M^2 for Hann's):

    along frequency   dw(m, n) = -g / (2 a M) (s(m, n + 1) - s(m, n - 1))         a bin
    along time        dt(m, n) = a M / (2 g) (s(m + 1, n) - s(m - 1, n)) + 2 pi a m / M     a frame

RTPGHI integrates it frame by frame, the largest magnitudes first. A heap starts with the previous frame's
bins. The largest entry is removed: a bin of the previous frame passes its phase to the same bin of this
frame, a bin of this frame to its neighbours. Each bin that got a phase is inserted. (Z. Průša, P.
Søndergaard, "Real-time spectrogram inversion using phase gradient heap integration", DAFx 2016; the form that
looks one frame ahead.)

The source of bin m's phase can be found without a heap. Phase spreads to m from a bin j of the previous frame
through j .. m - 1, as soon as the smallest of |c(j, n - 1)|, |c(j, n)| .. |c(m - 1, n)| is removed. So the
path with the largest smallest magnitude wins, which is a recurrence from either side,

    level(m) = max(|c(m, n - 1)|, min(|c(m - 1, n)|, level(m - 1))),

of functions x -> max(p, min(q, x)). They are closed under composition, so that a prefix scan computes all
bins of all frames of a block at once. Only the phases themselves go frame by frame, in four operations each.
The tests compare the result with the heap's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...planning.plan import Stft

Floats = NDArray[np.float64]
_HANN = 0.25645  # parameter of the Gaussian closest to Hann's window, from the paper
# Magnitudes below this share of a frame's largest get random phases, and are treated as if they were that
# large.
_TOLERANCE = 1e-6
_SILENCE = 1e-30


class PhaseGradient:
    """Phases computed from blocks of magnitudes, `delay` frames late.

    Args:
        stft: the frames.
        bins: number of bins, from the lowest.

    Attributes:
        delay: look-ahead, in frames.
    """

    delay = 1

    def __init__(self, stft: Stft, bins: int) -> None:
        self._stft = stft
        self._rows = np.zeros((0, bins))  # the last two frames: neither's successor was complete
        self._phase = np.zeros(bins)
        self._begun = 0  # frames passed in so far

    def __call__(self, magnitudes: Tensor, drawn: Floats) -> Floats:
        """Compute the phases of the next block.

        Args:
            magnitudes: float32 `[frame, bin]`.
            drawn: random phases for bins that are too faint, `[frame, bin]`.

        Returns:
            Phases `[frame, bin]` in radians, against each frame's middle, of the frames one before these.
        """
        values = magnitudes.double().numpy()
        rows = np.concatenate((self._rows, values))
        first = self._begun == 0
        # Before the first frame and after the last, magnitudes are assumed not to change.
        if first:
            rows = np.concatenate((values[:1], values[:1], values))
        last = self._stft.frames - self._begun
        if 0 < last < values.shape[0] or (last == 0 and self._begun):
            rows[2 + last] = rows[1 + last]
        self._rows = rows[-2:].copy()
        self._begun += values.shape[0]
        phases, self._phase = _integrate(rows, self._phase, drawn, self._stft, first=first)
        return phases


def _integrate(
    rows: Floats, phase: Floats, drawn: Floats, stft: Stft, *, first: bool
) -> tuple[Floats, Floats]:
    """Integrate the phase gradient over a block of frames.

    Args:
        rows: magnitudes `[frame, bin]`, with one frame before the block and one after it.
        phase: phases `[bin]` of the frame before the block.
        drawn: random phases for bins that are too faint, `[frame, bin]`.
        stft: the frames.
        first: whether the block begins before the signal's first frame; its first phases are 0 then.

    Returns:
        Phases of the block, `[frame, bin]`, and those of its last frame.
    """
    fft_size = stft.fft_size
    hop = stft.hop
    gamma = _HANN * fft_size**2
    largest = rows.max(1, keepdims=True)
    logs = np.log(np.maximum(rows, np.maximum(_TOLERANCE * largest, _SILENCE)))
    current = rows[1:-1]
    before = rows[:-2]
    loud = current > _TOLERANCE * np.maximum(largest[1:-1], largest[:-2])

    per_bin = -gamma / (2 * hop * fft_size) * (logs[2:] - logs[:-2])
    across = np.zeros_like(current)
    np.cumsum((per_bin[:, 1:] + per_bin[:, :-1]) / 2, axis=1, out=across[:, 1:])

    slope = np.zeros_like(logs[:-1])
    slope[:, 1:-1] = logs[:-1, 2:] - logs[:-1, :-2]
    per_frame = hop * fft_size / (2 * gamma) * slope
    step = (per_frame[1:] + per_frame[:-1]) / 2 + 2 * np.pi * hop / fft_size * np.arange(current.shape[1])

    source = _sources(before, current, loud)
    along = np.take_along_axis(step, source, 1) + across - np.take_along_axis(across, source, 1)
    phases = np.empty_like(current)
    for number in range(current.shape[0]):
        phase = np.where(loud[number], phase[source[number]] + along[number], drawn[number])
        if first and number == 0:
            phase = np.zeros_like(phase)
        phase = np.remainder(phase, 2 * np.pi)
        phases[number] = phase
    return phases, phase


def _sources(before: Floats, current: Floats, loud: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Find the bins of the preceding frame from which each bin's phase comes.

    Args:
        before: magnitudes of the preceding frames, `[frame, bin]`.
        current: magnitudes of the frames, `[frame, bin]`.
        loud: bins that are loud enough to pass phase on, `[frame, bin]`.

    Returns:
        Numbers of bins, `[frame, bin]`.
    """
    bins = current.shape[1]
    in_frame_before = np.where(loud, before, -1.0)
    in_frame = np.where(loud, current, -1.0)
    from_left = _from_left(in_frame_before, in_frame)
    from_right = _from_left(in_frame_before[:, ::-1], in_frame[:, ::-1])[:, ::-1]
    in_time = (in_frame_before >= from_left) & (in_frame_before >= from_right)
    index = np.arange(bins)
    left = np.maximum.accumulate(np.where(in_time, index, 0), axis=1)
    right = np.minimum.accumulate(np.where(in_time, index, bins - 1)[:, ::-1], axis=1)[:, ::-1]
    return np.where(in_time, index, np.where(from_left > from_right, left, right))


def _from_left(before: Floats, current: Floats) -> Floats:
    """Compute the level at which phase would reach each bin from its left neighbour.

    Args:
        before: magnitudes of the preceding frames, `[frame, bin]`; negative where no phase passes.
        current: magnitudes of the frames, likewise.

    Returns:
        min(current, level) of the left neighbour, `[frame, bin]`; -1 in the first bin.
    """
    # level(m) = max(before(m), min(current(m - 1), level(m - 1))), as a prefix scan of x -> max(p, min(q, x))
    p = before.copy()
    q = np.full_like(before, -1.0)
    q[:, 1:] = current[:, :-1]
    distance = 1
    while distance < before.shape[1]:
        composed_p = np.maximum(p[:, distance:], np.minimum(q[:, distance:], p[:, :-distance]))
        composed_q = np.minimum(q[:, distance:], q[:, :-distance])
        p[:, distance:] = composed_p
        q[:, distance:] = composed_q
        distance *= 2
    reached = np.full_like(before, -1.0)
    reached[:, 1:] = np.minimum(current[:, :-1], p[:, :-1])
    return reached
