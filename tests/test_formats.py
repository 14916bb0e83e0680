"""What each format can hold: what passes can be written and is as long as estimated, the rest is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from netsounds_stream.errors import OptionError
from netsounds_stream.planning.formats import check_format, estimated_bytes
from netsounds_stream.sound.tags import info_chunk

from .encoded import LONGEST, noise, written

FLAC_RATES = [1, 7999, 8000, 44100, 65_535, 65_540, 96_000, 192_010, 384_000, 655_350]
FLAC_REFUSED = [0, -1, 65_536, 65_541, 88_201, 655_349, 655_351, 655_360, 768_000]
OGG_RATES = [1, 999, 8000, 8999, 9000, 15_000, 19_000, 26_000, 40_000, 44_100, 50_000, 96_000, 200_000]
OGG_REFUSED = [0, -1, 200_001, 384_000, 768_000]
NO_SUBTYPES = [("mp3", "PCM_16"), ("wav", "PCM_8"), ("flac", "ULAW"), ("flac", "FLOAT")]
NO_CHANNELS = [("flac", 0), ("flac", 9), ("ogg", 0), ("ogg", 9), ("wav", 0), ("wav", 1025)]
NO_LENGTHS = [("flac", 2**36), ("flac", 0), ("ogg", 0)]


@pytest.mark.parametrize(
    ("format", "rate"), [("flac", rate) for rate in FLAC_RATES] + [("ogg", rate) for rate in OGG_RATES]
)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_passes_can_be_written(tmp_path: Path, format: str, rate: int, channels: int) -> None:
    for subtype in ("PCM_16", "PCM_24") if format == "flac" else ("VORBIS",):
        check_format(format, subtype, rate, channels, 5000)
        path = written(tmp_path / "a", noise(5000, channels, subtype), format, subtype, rate)
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.frames) == (rate, channels, 5000)


@pytest.mark.parametrize(("format", "channels"), [("flac", 8), ("ogg", 8)])
def test_all_the_channels_that_pass(tmp_path: Path, format: str, channels: int) -> None:
    samples = noise(600, channels, "PCM_16" if format == "flac" else "VORBIS")
    assert soundfile.info(written(tmp_path / "a", samples, format)).channels == channels
    assert (tmp_path / "a").stat().st_size <= estimated_bytes(format, "PCM_16", channels, 600, 44100)


@pytest.mark.parametrize("rate", FLAC_REFUSED)
def test_libsndfile_refuses_these_too(tmp_path: Path, rate: int) -> None:
    """The table of refusals is no stricter than the encoder. (Ogg's cannot be tried: it crashes.)"""
    with pytest.raises((soundfile.LibsndfileError, AssertionError)):
        soundfile.write(tmp_path / "a.flac", noise(5000, 1, "PCM_16"), rate)
        if rate < 1 or soundfile.info(tmp_path / "a.flac").samplerate != rate:
            raise soundfile.LibsndfileError(0)


@pytest.mark.parametrize(
    "asked",
    [
        *((format, subtype, 44100, 1, 1) for format, subtype in NO_SUBTYPES),
        *((format, "PCM_16", 44100, channels, 1) for format, channels in NO_CHANNELS),
        *((format, "PCM_16", 44100, 1, frames) for format, frames in NO_LENGTHS),
        *(("wav", "PCM_16", rate, 1, 1) for rate in (0, 768_001)),
        *(("flac", "PCM_24", rate, 1, 1) for rate in FLAC_REFUSED),
        *(("ogg", "PCM_16", rate, 1, 1) for rate in OGG_REFUSED),
    ],
)
def test_refusals_are_one_line(asked: tuple[str, str, int, int, int]) -> None:
    with pytest.raises(OptionError) as raised:
        check_format(*asked)
    assert "\n" not in str(raised.value) and "use " in str(raised.value)


def test_the_limits_themselves_pass() -> None:
    check_format("wav", "FLOAT", 1, 1, 1)
    check_format("wav", "PCM_24", 768_000, 1024, 2**40)
    check_format("flac", "PCM_24", 655_350, 8, 2**36 - 1)
    check_format("ogg", "anything", 200_000, 8, 2**40)


@pytest.mark.parametrize(("rate", "nearest"), [(65_537, 65_540), (88_201, 88_210), (655_349, 655_350)])
def test_flac_names_a_rate_that_it_takes(rate: int, nearest: int) -> None:
    with pytest.raises(OptionError, match=f"as {nearest},"):
        check_format("flac", "PCM_16", rate, 1, 1)
    check_format("flac", "PCM_16", nearest, 1, 1)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", OGG_RATES)
def test_estimates_bound_ogg(tmp_path: Path, rate: int, channels: int) -> None:
    frames, rng = 80_000, np.random.default_rng(3)
    hiss = np.sign(rng.uniform(-1, 1, (frames, channels)))
    bursts = hiss * (np.arange(frames) // 300 % 2)[:, None]
    clicks = (rng.uniform(0, 1, (frames, channels)) < 0.004) * 1.0
    bound = estimated_bytes("ogg", "", channels, frames, rate)
    for samples in (hiss, bursts, clicks):
        path = written(tmp_path / "a.ogg", samples.astype(np.float32), "ogg", rate=rate, tags=LONGEST)
        assert path.stat().st_size <= bound
    assert bound < 1.3 * frames * channels + 20_000  # it is worth something


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("frames", [1, 4097, 100_000])
def test_estimates_bound_flac(tmp_path: Path, subtype: str, channels: int, frames: int) -> None:
    path = written(
        tmp_path / "a", noise(frames, channels, subtype), "flac", subtype, rate=655_350, tags=LONGEST
    )
    bound = estimated_bytes("flac", subtype, channels, frames, 655_350)
    raw = frames * channels * (2 if subtype == "PCM_16" else 3)
    assert path.stat().st_size <= bound <= 1.01 * raw + 10_000


def test_estimates_bound_a_long_flac(tmp_path: Path) -> None:
    """Long enough that what every frame has beside its samples counts."""
    samples = noise(6_000_000, 1, "PCM_16")
    path = written(tmp_path / "a", samples, "flac")
    assert path.stat().st_size <= estimated_bytes("flac", "PCM_16", 1, len(samples), 44100)


@pytest.mark.parametrize(("subtype", "width"), [("PCM_16", 2), ("PCM_24", 3), ("FLOAT", 4)])
def test_estimates_of_wav(subtype: str, width: int) -> None:
    raw = 1001 * 3 * width
    assert raw + 100 + len(info_chunk(LONGEST)) < estimated_bytes("wav", subtype, 3, 1001, 44100) < raw + 5000
