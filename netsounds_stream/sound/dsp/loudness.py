"""Integrated loudness and true peak of streamed sound.

Integrated loudness follows ITU-R BS.1770-4 and EBU R 128. Samples pass the K-weighting, a shelf that lifts
the treble and a high-pass, and are squared. Blocks of 400 ms, one every 100 ms, count if they are above -70
LUFS, and of those only the ones above their own mean less 10 LU. True peak follows annex 2: the largest
magnitude when oversampled to about 192 kHz.

The standard gives the K-weighting as coefficients at 48 kHz only. The analogue parameters behind them, for
any rate, are Brecht De Man's ("Evaluation of implementations of the EBU R128 loudness measurement", AES 145,
2018), which libebur128 and pyloudnorm also use. As in these, the high-pass keeps the numerator 1, -2, 1 at
every rate, so that its gain is higher at low rates: at 8 kHz by 0.2 dB over 48 kHz.
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
_SHELF_HZ = 1681.974450955533
_SHELF_DB = 3.999843853973347
_SHELF_Q = 0.7071752369554196
_SHELF_MIDDLE = 0.4996667741545416  # the gain halfway up the shelf, as a power of the whole gain
_HIGH_PASS_HZ = 38.13547087602444
_HIGH_PASS_Q = 0.5003270373238773
_RESPONSE_S = 0.08  # cuts off 3e-8 of the impulse response's summed magnitudes, at any rate
_OFFSET_LUFS = -0.691  # cancels the weighting's gain at 997 Hz
_ABSOLUTE_GATE = 10 ** ((-70 - _OFFSET_LUFS) / 10)  # as a mean square
_RELATIVE_GATE = 10 ** (-10 / 10)
_BLOCK_S = 0.4
_STEPS_PER_BLOCK = 4

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Loudness:
    """Result of a loudness measurement.

    Attributes:
        integrated_lufs: integrated loudness in LUFS; -inf if no block is above the absolute gate, or the
            sound is shorter than a block.
        true_peak: true peak, linear: 1.0 is full scale. It is at least the largest sample's magnitude.
    """

    integrated_lufs: float
    true_peak: float
    _blocks: Floats = field(default_factory=lambda: np.zeros(0), compare=False, repr=False)

    def scaled(self, gain: float) -> Loudness:
        """Return the measurement of the same sound times `gain`, for which other blocks may pass the gate."""
        blocks = self._blocks * gain**2
        return Loudness(_integrated(blocks), self.true_peak * gain, blocks)

    def gain_to(self, wanted_lufs: float) -> float | None:
        """Compute the gain that brings the sound to a loudness.

        Returns:
            A factor of the samples; None if the sound is silent or too short.
        """
        if not isfinite(self.integrated_lufs):
            return None
        gain = 1.0
        for _ in range(20):  # each step may move blocks across the gate; two or three suffice
            correction = _ratio(wanted_lufs, self.scaled(gain).integrated_lufs)
            gain *= correction
            if abs(correction - 1) < 1e-6:
                break
        return gain


def _ratio(wanted_lufs: float, measured_lufs: float) -> float:
    return float(10 ** ((wanted_lufs - measured_lufs) / 20))


def k_weighting(sample_rate_hz: int) -> tuple[Coefficients, Coefficients]:
    """Compute the filters of the K-weighting by the bilinear transform.

    Returns:
        The shelf and the high-pass, each as (b0, b1, b2, a1, a2) with a0 = 1.
    """
    k = tan(pi * _SHELF_HZ / sample_rate_hz)
    gain = 10 ** (_SHELF_DB / 20)
    middle = gain**_SHELF_MIDDLE * k / _SHELF_Q
    a0 = 1 + k / _SHELF_Q + k * k
    a1 = 2 * (k * k - 1)
    a2 = 1 - k / _SHELF_Q + k * k
    b0 = gain + middle + k * k
    b1 = 2 * (k * k - gain)
    b2 = gain - middle + k * k
    shelf = (b0 / a0, b1 / a0, b2 / a0, a1 / a0, a2 / a0)
    k = tan(pi * _HIGH_PASS_HZ / sample_rate_hz)
    a0 = 1 + k / _HIGH_PASS_Q + k * k
    a1 = 2 * (k * k - 1)
    a2 = 1 - k / _HIGH_PASS_Q + k * k
    return shelf, (1.0, -2.0, 1.0, a1 / a0, a2 / a0)


def impulse_response(sample_rate_hz: int) -> NDArray[np.float64]:
    """Compute the K-weighting's impulse response, cut after 80 ms, `[sample]`."""
    values = [1.0] + [0.0] * (round(_RESPONSE_S * sample_rate_hz) - 1)
    for b0, b1, b2, a1, a2 in k_weighting(sample_rate_hz):
        state1 = state2 = 0.0  # transposed direct form 2
        for position, value in enumerate(values):
            values[position] = out = b0 * value + state1
            state1 = b1 * value - a1 * out + state2
            state2 = b2 * value - a2 * out
    return np.array(values)


def oversampling(sample_rate_hz: int) -> int:
    """Return the factor by which sound is oversampled for its true peak; BS.1770-4, annex 2."""
    return 4 if sample_rate_hz < 96_000 else 2 if sample_rate_hz < 192_000 else 1


class LoudnessMeter:
    """Meter of the loudness and true peak of streamed sound.

    The sound may come in pieces of any length, which do not change a bit of the result. The meter holds one
    block of 0.35 to 0.6 s, and 8 bytes for every 100 ms. Its transforms are too short to split among threads:
    if cores are busy, torch should use one thread in the caller.

    Args:
        sample_rate_hz: 8000 or more; at lower rates the shelf lies too close to half the rate.
        channels: 1 or 2, with equal weights.

    Raises:
        OptionError: the rate is too low.
    """

    def __init__(self, sample_rate_hz: int, channels: int) -> None:
        assert channels in (1, 2)
        if sample_rate_hz < LOWEST_RATE_HZ:
            raise OptionError(
                f"loudness cannot be measured at {sample_rate_hz} Hz; use {LOWEST_RATE_HZ} Hz or more"
            )
        self._rate = sample_rate_hz
        self._channels = channels
        # The filter is one long convolution, by overlap-save. A recursion in Python would go sample by
        # sample, and scipy.signal, which has one in C, costs every run 53 MiB and a second to import.
        response = impulse_response(sample_rate_hz)
        # At most a fifth of it is the response. MKL is 2 to 3 times as fast at 5 * 2^n as at 2^n.
        self._length = 5 * 2 ** (response.size - 1).bit_length()
        spectrum: torch.Tensor = torch.fft.rfft(torch.from_numpy(response), n=self._length)
        # Rounding to float32 is 140 dB below the block's level, twice as far down as the gate.
        self._spectrum = spectrum.to(torch.complex64)
        self._before = response.size - 1  # samples in the buffer that precede the block
        # One buffer for all blocks: equal addresses make equal bits.
        self._buffer = torch.zeros(channels, self._length)
        self._fresh = self._buffer.numpy()[:, self._before :]
        self._filled = 0  # samples in the block so far
        self._start = 0  # number of the block's first sample
        # energy of each step of 100 ms, summed over samples and channels; the last step is incomplete
        self._energies = array("d", [0.0])
        times = oversampling(sample_rate_hz)
        # one for each channel, because soxr takes 1.5 times as long for interleaved channels
        self._resamplers = [
            soxr.ResampleStream(sample_rate_hz, times * sample_rate_hz, 1, dtype="float32", quality="HQ")
            for _ in range(channels if times > 1 else 0)
        ]
        self._peak = 0.0
        self._finished = False

    def add(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples, `[sample, channel]`, which must be finite but may exceed full scale."""
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
        """Return the measurement of all samples; call this once, at the end."""
        assert not self._finished
        self._finished = True
        samples = self._start + self._filled
        self._fresh[:, self._filled :] = 0
        self._measure(last=True)
        while self._energies and self._edge(len(self._energies)) > samples:
            self._energies.pop()  # incomplete steps do not count
        energies = np.array(self._energies)
        blocks = np.zeros(0)
        if energies.size >= _STEPS_PER_BLOCK:
            blocks = np.lib.stride_tricks.sliding_window_view(energies, _STEPS_PER_BLOCK).sum(-1)
            blocks /= _BLOCK_S * self._rate
        return Loudness(_integrated(blocks), self._peak, blocks)

    def _edge(self, step: int) -> int:
        """Return the number of the first sample of a step of 100 ms."""
        return round(step * self._rate / 10)

    def _measure(self, *, last: bool) -> None:
        """Measure the full block's peak and its steps' energies, and begin the next block."""
        self._raise_peak(self._fresh)
        for samples, resampler in zip(self._fresh, self._resamplers, strict=False):  # none at 192 kHz
            self._raise_peak(resampler.resample_chunk(samples, last=last))
        spectrum = torch.fft.rfft(self._buffer).mul_(self._spectrum)
        weighted = torch.fft.irfft(spectrum, n=self._length)[:, self._before :].numpy()
        squares = np.einsum("cn,cn->n", weighted, weighted)
        end = self._start + squares.size
        cuts: list[int] = []
        while (edge := self._edge(len(self._energies) + len(cuts))) < end:
            cuts.append(edge - self._start)
        first, *others = (float(part.sum(dtype=np.float64)) for part in np.split(squares, cuts))
        self._energies[-1] += first
        self._energies.extend(others)
        self._buffer[:, : self._before] = self._buffer[:, self._length - self._before :]
        self._start = end
        self._filled = 0

    def _raise_peak(self, samples: NDArray[np.float32]) -> None:
        if samples.size:  # a resampler may return nothing for a block
            self._peak = max(self._peak, float(samples.max()), -float(samples.min()))


def _integrated(blocks: Floats) -> float:
    """Compute the integrated loudness in LUFS from the mean squares of blocks of 400 ms, gated twice."""
    loud = blocks[blocks > _ABSOLUTE_GATE]
    if not loud.size:
        return -inf
    return _OFFSET_LUFS + 10 * log10(loud[loud > _RELATIVE_GATE * loud.mean()].mean())
