"""How loud sound is to the ear, and how high it peaks between its samples; measured as it comes.

Integrated loudness after ITU-R BS.1770-4 and EBU R 128: frames pass the K-weighting, a shelf that lifts
the treble and a high-pass, and are squared. Blocks of 400 ms, one beginning every 100 ms, count where they
are above -70 LUFS, and of those again the ones above their own mean less 10 LU. True peak after its annex 2:
the largest magnitude when oversampled to 192 kHz or thereabouts.

The K-weighting is given in the standard by its coefficients at 48 kHz alone; the analogue parameters behind
them, for any rate, are Brecht De Man's ("Evaluation of implementations of the EBU R128 loudness
measurement", AES 145, 2018), as libebur128 and pyloudnorm have them. As there, the high-pass keeps the
numerator 1, -2, 1 at every rate, so that its gain rises as rates fall: 0.2 dB at 8 kHz above that at 48.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from math import inf, isfinite, log10, pi, tan

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from ...errors import OptionError

Coefficients = tuple[float, float, float, float, float]

LOWEST_RATE_HZ = 8000
_SHELF_HZ, _SHELF_DB, _SHELF_Q = 1681.974450955533, 3.999843853973347, 0.7071752369554196
_SHELF_MIDDLE = 0.4996667741545416  # the gain halfway up, as a power of the whole
_HIGH_PASS_HZ, _HIGH_PASS_Q = 38.13547087602444, 0.5003270373238773
_RESPONSE_S = 0.08  # what the impulse response has left then is 3e-8 of its magnitudes' sum, at any rate
_OFFSET_LUFS = -0.691  # what 997 Hz gains by the weighting, taken off again
_ABSOLUTE_GATE = 10 ** ((-70 - _OFFSET_LUFS) / 10)  # as mean squares
_RELATIVE_GATE = 10 ** (-10 / 10)
_STEPS_PER_BLOCK, _BLOCK_S = 4, 0.4


Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Loudness:
    """What a meter found.

    Attributes:
        integrated_lufs: -inf where no block is above the absolute gate, or all is shorter than one.
        true_peak: linear, 1.0 is full scale; at least the highest sample's magnitude.
    """

    integrated_lufs: float
    true_peak: float
    _blocks: Floats = field(default_factory=lambda: np.zeros(0), compare=False, repr=False)

    def scaled(self, gain: float) -> Loudness:
        """What a meter finds of the same sound times `gain`: other blocks may pass the absolute gate."""
        blocks = self._blocks * gain**2
        return Loudness(_integrated(blocks), self.true_peak * gain, blocks)

    def gain_to(self, wanted_lufs: float) -> float | None:
        """What brings it to this loudness; None where nothing does: it is silent, or too short."""
        if not isfinite(self.integrated_lufs):
            return None
        gain = 1.0
        for _ in range(20):  # each turn may bring other blocks over the gate; two or three do
            more = _ratio(wanted_lufs, self.scaled(gain).integrated_lufs)
            gain *= more
            if abs(more - 1) < 1e-6:
                break
        return gain


def _ratio(wanted_lufs: float, found_lufs: float) -> float:
    return float(10 ** ((wanted_lufs - found_lufs) / 20))


def k_weighting(sample_rate_hz: int) -> tuple[Coefficients, Coefficients]:
    """The shelf and the high-pass, each as (b0, b1, b2, a1, a2) with a0 = 1, by the bilinear transform."""
    k = tan(pi * _SHELF_HZ / sample_rate_hz)
    gain = 10 ** (_SHELF_DB / 20)
    middle = gain**_SHELF_MIDDLE * k / _SHELF_Q
    a0, a1, a2 = 1 + k / _SHELF_Q + k * k, 2 * (k * k - 1), 1 - k / _SHELF_Q + k * k
    b0, b1, b2 = gain + middle + k * k, 2 * (k * k - gain), gain - middle + k * k
    shelf = (b0 / a0, b1 / a0, b2 / a0, a1 / a0, a2 / a0)
    k = tan(pi * _HIGH_PASS_HZ / sample_rate_hz)
    a0, a1, a2 = 1 + k / _HIGH_PASS_Q + k * k, 2 * (k * k - 1), 1 - k / _HIGH_PASS_Q + k * k
    return shelf, (1.0, -2.0, 1.0, a1 / a0, a2 / a0)


def impulse_response(sample_rate_hz: int) -> NDArray[np.float64]:
    """The K-weighting's answer to a 1 and then silence, cut after 80 ms; `[frame]`."""
    values = [1.0] + [0.0] * (round(_RESPONSE_S * sample_rate_hz) - 1)
    for b0, b1, b2, a1, a2 in k_weighting(sample_rate_hz):
        kept1 = kept2 = 0.0  # transposed direct form 2
        for place, value in enumerate(values):
            values[place] = out = b0 * value + kept1
            kept1, kept2 = b1 * value - a1 * out + kept2, b2 * value - a2 * out
    return np.array(values)


def oversampling(sample_rate_hz: int) -> int:
    """How many times as many samples are looked at for the true peak; BS.1770-4, annex 2."""
    return 4 if sample_rate_hz < 96_000 else 2 if sample_rate_hz < 192_000 else 1


class LoudnessMeter:
    """Measures sound that comes in pieces of any length; what they are makes no difference to any bit.

    It holds one block of 0.35 to 0.6 s, and 8 bytes for every 100 ms. Its transforms are too short to be
    split among threads: where cores are busy, torch had better have one thread where it is called.

    Args:
        sample_rate_hz: 8000 or more; below, the shelf comes too near to half the rate.
        channels: 1 or 2, of equal weight; a single one counts once.

    Raises:
        OptionError: the rate is too low.
    """

    def __init__(self, sample_rate_hz: int, channels: int) -> None:
        assert channels in (1, 2)
        if sample_rate_hz < LOWEST_RATE_HZ:
            raise OptionError(
                f"loudness cannot be measured at {sample_rate_hz} Hz; use {LOWEST_RATE_HZ} Hz or more"
            )
        self._rate, self._channels = sample_rate_hz, channels
        # The filter as one long convolution, by overlap-save: a recursion has to go sample by sample, and
        # scipy.signal, which has one in C, costs every run 53 MiB and a second to import.
        response = impulse_response(sample_rate_hz)
        # The response is a fifth of it at most; and MKL is 2 to 3 times as fast at 5 * 2^n as at 2^n.
        self._length = 5 * 2 ** (response.size - 1).bit_length()
        spectrum: torch.Tensor = torch.fft.rfft(torch.from_numpy(response), n=self._length)
        # float32: its rounding is 140 dB below the block's level, twice as far down as the gate
        self._spectrum = spectrum.to(torch.complex64)
        self._before = response.size - 1  # samples that stand before the block's own
        # one buffer, used for every block, so that every block's samples lie on equal addresses
        self._buffer = torch.zeros(channels, self._length)
        self._fresh = self._buffer.numpy()[:, self._before :]
        self._filled = self._start = 0  # frames in the block; the block's first frame
        self._energies = array("d", [0.0])  # of steps: the sum over frames and channels; the last is open
        times = oversampling(sample_rate_hz)
        # one a channel: soxr takes 1.5 times as long for interleaved channels
        self._resamplers = [
            soxr.ResampleStream(sample_rate_hz, times * sample_rate_hz, 1, dtype="float32", quality="HQ")
            for _ in range(channels if times > 1 else 0)
        ]
        self._peak = 0.0
        self._finished = False

    def add(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples, finite, `[frame, channel]` in [-1, 1] or beyond."""
        assert not self._finished and samples.ndim == 2 and samples.shape[1] == self._channels
        taken = 0
        while taken < samples.shape[0]:
            piece = samples[taken : taken + self._fresh.shape[1] - self._filled]
            self._fresh[:, self._filled : self._filled + piece.shape[0]] = piece.T
            taken += piece.shape[0]
            self._filled += piece.shape[0]
            if self._filled == self._fresh.shape[1]:
                self._measure(last=False)

    def finish(self) -> Loudness:
        """What all the samples measure; once, and nothing can be added afterwards."""
        assert not self._finished
        self._finished = True
        frames = self._start + self._filled
        self._fresh[:, self._filled :] = 0
        self._measure(last=True)
        while self._energies and self._edge(len(self._energies)) > frames:
            self._energies.pop()  # steps that did not come to their end
        energies = np.array(self._energies)
        blocks = np.zeros(0)
        if energies.size >= _STEPS_PER_BLOCK:
            blocks = np.lib.stride_tricks.sliding_window_view(energies, _STEPS_PER_BLOCK).sum(-1)
            blocks /= _BLOCK_S * self._rate
        return Loudness(_integrated(blocks), self._peak, blocks)

    def _edge(self, step: int) -> int:
        """The first frame of a step of 100 ms."""
        return round(step * self._rate / 10)

    def _measure(self, *, last: bool) -> None:
        """Take the full block: its peak and its steps' energies; then begin the next one."""
        self._raise_peak(self._fresh)
        for samples, resampler in zip(self._fresh, self._resamplers, strict=False):  # none at 192 kHz
            self._raise_peak(resampler.resample_chunk(samples, last=last))
        spectrum = torch.fft.rfft(self._buffer).mul_(self._spectrum)
        weighted = torch.fft.irfft(spectrum, n=self._length)[:, self._before :].numpy()
        squares = np.einsum("cn,cn->n", weighted, weighted)
        end, cuts = self._start + squares.size, list[int]()
        while (edge := self._edge(len(self._energies) + len(cuts))) < end:
            cuts.append(edge - self._start)
        first, *others = (float(part.sum(dtype=np.float64)) for part in np.split(squares, cuts))
        self._energies[-1] += first
        self._energies.extend(others)
        self._buffer[:, : self._before] = self._buffer[:, self._length - self._before :]
        self._start, self._filled = end, 0

    def _raise_peak(self, samples: NDArray[np.float32]) -> None:
        if samples.size:  # a resampler may hold all of a block back
            self._peak = max(self._peak, float(samples.max()), -float(samples.min()))


def _integrated(blocks: Floats) -> float:
    """LUFS of blocks of 400 ms by their mean squares, gated twice."""
    loud = blocks[blocks > _ABSOLUTE_GATE]
    if not loud.size:
        return -inf
    return _OFFSET_LUFS + 10 * log10(loud[loud > _RELATIVE_GATE * loud.mean()].mean())
