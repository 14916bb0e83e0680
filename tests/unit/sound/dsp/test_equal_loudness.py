"""Equal-loudness contours against values of ISO 226:2023's annex B, which are rounded to 0.1 dB."""

from __future__ import annotations

import numpy as np
import pytest

from netsounds_stream.sound.dsp.equal_loudness import FREQUENCIES_HZ, contour_db, gains

#: Loudness level in phon, frequency in Hz, sound pressure level in dB.
TABLE_B1 = (
    *((20, 20, 89.5), (20, 1000, 20.0), (20, 12500, 33.0), (40, 20, 99.7), (40, 63, 73.0), (40, 250, 50.3)),
    *((40, 1000, 40.0), (40, 4000, 36.7), (40, 8000, 51.6), (60, 100, 78.5), (60, 500, 62.1)),
    *((60, 2000, 60.0), (80, 20, 118.9), (80, 1000, 80.0), (80, 12500, 85.6), (90, 20, 123.6)),
    (90, 4000, 88.8),
)


@pytest.mark.parametrize(("phon", "hz", "level_db"), TABLE_B1)
def test_contours_are_those_of_the_standard(phon: float, hz: float, level_db: float) -> None:
    (found,) = contour_db(phon)[hz == FREQUENCIES_HZ]
    assert found == pytest.approx(level_db, abs=0.0501)


def test_the_threshold_is_a_contour() -> None:
    """At 2.4 phon, 1 kHz's threshold, the formula gives the table's thresholds."""
    at = {20: 78.1, 100: 26.5, 1000: 2.4, 4000: -5.4, 12500: 12.3}
    found = dict(zip(FREQUENCIES_HZ.tolist(), contour_db(2.4), strict=True))
    assert {hz: found[hz] for hz in at} == pytest.approx(at, abs=1e-6)


def test_gains_are_of_amplitude_and_1_at_1_khz() -> None:
    found = gains(np.array([1000.0, 100.0, 4000.0]), 60)
    np.testing.assert_allclose(20 * np.log10(found), [0, 18.5, -2.3], atol=0.06)


def test_between_the_frequencies_and_beyond_them() -> None:
    levels = dict(zip(FREQUENCIES_HZ.tolist(), contour_db(60) - 60, strict=True))
    low, middle, high = 20 * np.log10(gains(np.array([500.0, np.sqrt(500 * 630), 630.0]), 60))
    assert (low, high) == pytest.approx((levels[500], levels[630]))
    assert middle == pytest.approx((low + high) / 2)  # midway in pitch
    beyond = 20 * np.log10(gains(np.array([0.0, 1.0, 20.0, 12500.0, 22050.0]), 60))
    np.testing.assert_allclose(beyond, [levels[20]] * 3 + [levels[12500]] * 2)
