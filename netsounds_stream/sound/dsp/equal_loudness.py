"""Equal-loudness contours: how many decibels a tone needs to be as loud as another of 1 kHz.

ISO 226:2023, "Acoustics - Normal equal-loudness-level contours", formula (1) with the parameters of its
table 1. A tone of f Hz has the loudness level L_N (in phon) at the sound pressure level

    L_f = 10 / a_f lg((4e-10)^(0.3 - a_f) (10^(0.03 L_N) - 10^0.072) + 10^(a_f (T_f + L_U) / 10)) - L_U,

a_f being the exponent of loudness perception, L_U the magnitude of the linear transfer function (0 dB at
1 kHz) and T_f the threshold of hearing, all for f. The edition of 2003 has other exponents (0.25 at 1 kHz
instead of 0.3), and contours within 0.4 dB of these. The standard gives 29 frequencies and levels of 20 to 90
phon (80 above 4 kHz). Between the frequencies the levels are interpolated here, linearly over the
logarithm of frequency; beyond them the outermost are used.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Table 1: frequency in Hz, a_f, L_U in dB, T_f in dB.
_TABLE = np.array(
    (
        (20, 0.635, -31.5, 78.1),
        (25, 0.602, -27.2, 68.7),
        (31.5, 0.569, -23.1, 59.5),
        (40, 0.537, -19.3, 51.1),
        (50, 0.509, -16.1, 44.0),
        (63, 0.482, -13.1, 37.5),
        (80, 0.456, -10.4, 31.5),
        (100, 0.433, -8.2, 26.5),
        (125, 0.412, -6.3, 22.1),
        (160, 0.391, -4.6, 17.9),
        (200, 0.373, -3.2, 14.4),
        (250, 0.357, -2.1, 11.4),
        (315, 0.343, -1.2, 8.6),
        (400, 0.330, -0.5, 6.2),
        (500, 0.320, 0.0, 4.4),
        (630, 0.311, 0.4, 3.0),
        (800, 0.303, 0.5, 2.2),
        (1000, 0.300, 0.0, 2.4),
        (1250, 0.295, -2.7, 3.5),
        (1600, 0.292, -4.2, 1.7),
        (2000, 0.290, -1.2, -1.3),
        (2500, 0.290, 1.4, -4.2),
        (3150, 0.289, 2.3, -6.0),
        (4000, 0.289, 1.0, -5.4),
        (5000, 0.289, -2.3, -1.5),
        (6300, 0.293, -7.2, 6.0),
        (8000, 0.303, -11.2, 12.6),
        (10000, 0.323, -10.9, 13.9),
        (12500, 0.354, -3.5, 12.3),
    )
).T
_EXPONENT, _TRANSFER_DB, _THRESHOLD_DB = _TABLE[1:]
#: Frequencies of the contours in Hz, a third of an octave apart.
FREQUENCIES_HZ = _TABLE[0]


def contour_db(phon: float) -> Floats:
    """Return the sound pressure levels in dB at which tones of `FREQUENCIES_HZ` are equally loud.

    Args:
        phon: their loudness level: the level in dB of one of 1 kHz.
    """
    above = (4e-10) ** (0.3 - _EXPONENT) * (10 ** (0.03 * phon) - 10**0.072)
    threshold = 10 ** (_EXPONENT * (_THRESHOLD_DB + _TRANSFER_DB) / 10)
    return np.asarray(10 / _EXPONENT * np.log10(above + threshold) - _TRANSFER_DB)


def gains(frequencies_hz: Floats, phon: float) -> Floats:
    """Return factors of amplitude that make tones as loud as one of 1 kHz, whose factor is 1.

    Args:
        frequencies_hz: the tones' frequencies, at 0 Hz and above.
        phon: loudness level at which they are heard.
    """
    octaves = np.log2(np.maximum(frequencies_hz, FREQUENCIES_HZ[0]))
    level_db = np.interp(octaves, np.log2(FREQUENCIES_HZ), contour_db(phon))
    return np.asarray(10 ** ((level_db - phon) / 20))
