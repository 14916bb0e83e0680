"""Levels and places as the page gets them: packed, unpacked and held to what was packed."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest

from netsounds_stream.errors import OutputError
from netsounds_stream.report.byte_scripts import bytes_of_script, write_byte_script
from netsounds_stream.report.firing_data import level_codes, packed


def test_levels_within_half_a_code() -> None:
    """A code is 255 times the root of a share, so half a code is that much of the root."""
    levels = np.random.default_rng(0).exponential(3.0, (40, 7)).astype(np.float32)
    levels[:, 3] = 0
    codes = level_codes(levels)
    assert codes.dtype == np.uint8 and codes.max() == 255 and not codes[:, 3].any()
    np.testing.assert_allclose(codes / 255, np.sqrt(levels / levels.max()), atol=0.5 / 255 + 1e-6)
    assert not level_codes(np.zeros((2, 3), np.float32)).any()


def test_what_is_packed_comes_out_by_filters() -> None:
    generator = np.random.default_rng(1)
    banks = []
    for steps, channels in ((40, 7), (5, 12)):
        levels = np.maximum(generator.normal(size=(steps, channels)), 0).astype(np.float32)
        banks.append((levels, generator.integers(0, 128, (steps, channels)).astype(np.uint8)))
    plain = zlib.decompress(packed(banks))
    for levels, places in banks:
        steps, channels = levels.shape
        codes, held = (
            np.frombuffer(plain[at * levels.size :][: levels.size], np.uint8).reshape(channels, steps)
            for at in (0, 1)
        )
        plain = plain[2 * levels.size :]
        assert np.array_equal(codes, level_codes(levels).T)
        for number in range(channels):  # a place is kept while the filter is quiet
            expected = places[0, number]
            for step in range(steps):
                expected = places[step, number] if codes[number, step] else expected
                assert held[number, step] == expected
    assert not plain


class Hesitant(io.BytesIO):
    """A file that gives less than is asked for, as an object store does."""

    def read(self, count: int | None = -1, /) -> bytes:
        return super().read(min(count or 1, 1000) if count != -1 else -1)


def test_short_reads_do_not_show_in_the_script(tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(10_001)
    write_byte_script(tmp_path / "a.js", "a.js", Hesitant(content))
    assert bytes_of_script(tmp_path / "a.js") == content


@pytest.mark.parametrize("size", [0, 1, 2, 3 << 18, (3 << 18) + 1, 2_000_003])
def test_bytes_come_out_of_their_script(tmp_path: Path, size: int) -> None:
    content = np.random.default_rng(size).bytes(size)
    path = tmp_path / "a.js"
    write_byte_script(path, "report/a.js", io.BytesIO(content))
    text = path.read_text(encoding="ascii")
    assert text.startswith('netsoundsBytes("report/a.js", "') and text.endswith('");\n')
    assert text.count('"') == 4
    assert bytes_of_script(path) == content


def test_a_script_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        write_byte_script(tmp_path / "nowhere" / "a.js", "a.js", io.BytesIO(b"a"))
