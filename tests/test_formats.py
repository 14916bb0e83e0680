"""Formats, tags and encoders, read back by libsndfile: what goes in comes out, and what cannot is refused."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from netsounds_stream.encoding import Resampler, SoundWriter
from netsounds_stream.errors import OptionError, OutputError
from netsounds_stream.formats import check_format, check_resampling, estimated_bytes, resampled_length
from netsounds_stream.tags import Tags, info_chunk, vorbis_comments

TAGS = Tags("Bank 1", "a picture.jpg", "honeycomb", "sum", "ifft", "netsounds-stream 0.1", bank="1")
EXTREME = Tags(
    title="Ünïcode „quotes“ \"and\" 'these' 日本語 🎵",
    picture="line\nbreak\r\ttab\0nul\x1b[31m\x85\u2028\ufffe\uffff.png",
    label="日本" * 500,
    scheme="caf\udce9",
    method="",
    software="",
    bank="1-4",
)
LIBSNDFILE = soundfile.__libsndfile_version__
LONGEST = Tags(*["é" * 1000] * 6, bank="é" * 1000)


def noise(frames: int, channels: int, subtype: str, seed: int = 7) -> np.ndarray:
    """Full-scale noise in the dtype of the subtype; in anything else float32 for Vorbis."""
    values = np.random.default_rng(seed).uniform(-1, 1, (frames, channels))
    if subtype == "PCM_16":
        return np.round(values * 32767).astype(np.int16)
    if subtype == "PCM_24":
        return np.round(values * (2**23 - 1)).astype(np.int32) << 8
    return values.astype(np.float32)


def written(
    path: Path,
    samples: np.ndarray,
    format: str,
    subtype: str = "PCM_16",
    rate: int = 44100,
    tags: Tags = TAGS,
    pieces: tuple[int, ...] = (),
) -> Path:
    """`samples` written in pieces that end at `pieces`."""
    with SoundWriter(path, format, subtype, rate, samples.shape[1], tags) as writer:
        for piece in np.split(samples, pieces):
            writer.write(piece)
    assert writer.frames == len(samples)
    return path


def wav_with_tags(path: Path, tags: Tags, samples: np.ndarray) -> Path:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 44100, 88200, 2, 16)
    data = struct.pack("<4sI", b"data", samples.nbytes) + samples.tobytes()
    body = b"WAVE" + form + info_chunk(tags) + data
    path.write_bytes(struct.pack("<4sI", b"RIFF", len(body)) + body)
    return path


# --- encoders


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("frames", [1, 4095, 4096, 20_001])
def test_flac_is_exact(tmp_path: Path, subtype: str, channels: int, frames: int) -> None:
    samples = noise(frames, channels, subtype)
    path = written(tmp_path / "a.flac", samples, "flac", subtype, 48000)
    found, rate = soundfile.read(path, dtype=samples.dtype.name, always_2d=True)
    assert rate == 48000 and soundfile.info(path).subtype == subtype
    assert np.array_equal(found, samples)


@pytest.mark.parametrize("rate", [8000, 44100, 192_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frames", [1, 63, 4096, 30_001])
def test_ogg_sounds_alike(tmp_path: Path, rate: int, channels: int, frames: int) -> None:
    times = np.arange(frames)[:, None] / rate
    samples = 0.4 * np.sin(2 * np.pi * 440 * times + np.arange(channels)) + 0.4 * np.sin(6000 * times)
    path = written(tmp_path / "a.ogg", samples.astype(np.float32), "ogg", rate=rate)
    info = soundfile.info(path)
    assert (info.format, info.subtype, info.samplerate) == ("OGG", "VORBIS", rate)
    found, _ = soundfile.read(path, always_2d=True)
    assert found.shape == samples.shape
    if frames > 10_000:
        for channel in range(channels):
            assert np.corrcoef(found[:, channel], samples[:, channel])[0, 1] > 0.9
            assert np.abs(found[:, channel]).max() == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize(("format", "subtype"), [("flac", "PCM_16"), ("flac", "PCM_24"), ("ogg", "VORBIS")])
def test_pieces_leave_the_bytes_alone(tmp_path: Path, format: str, subtype: str) -> None:
    samples = noise(20_001, 2, subtype)
    whole = written(tmp_path / "whole", samples, format, subtype).read_bytes()
    for pieces in [(1, 2, 2, 3), (4095, 4096, 4097), (8192, 8193), tuple(range(77, 20_001, 77))]:
        assert written(tmp_path / "cut", samples, format, subtype, pieces=pieces).read_bytes() == whole
    reversed_in_memory = np.asfortranarray(samples[::-1])[::-1]  # no contiguous array
    assert written(tmp_path / "strided", reversed_in_memory, format, subtype).read_bytes() == whole


def test_ogg_streams_are_told_apart_by_their_tags_alone(tmp_path: Path) -> None:
    """libsndfile draws stream numbers at random, once a process: another one must write the same bytes."""
    samples = noise(9000, 1, "VORBIS")
    first = written(tmp_path / "first.ogg", samples, "ogg").read_bytes()
    script = (
        "import sys; from pathlib import Path; from tests.test_formats import *;"
        "written(Path(sys.argv[1]), noise(9000, 1, 'VORBIS'), 'ogg')"
    )
    root = Path(__file__).parent.parent
    subprocess.run([sys.executable, "-c", script, tmp_path / "second.ogg"], check=True, cwd=root)
    assert (tmp_path / "second.ogg").read_bytes() == first
    other = written(tmp_path / "other.ogg", samples, "ogg", tags=replace(TAGS, bank="2")).read_bytes()
    assert other[:4] == first[:4] == b"OggS" and other[14:18] != first[14:18]
    joined = tmp_path / "joined.ogg"  # different numbers, so both can be read from one file
    joined.write_bytes(first + other)
    assert soundfile.info(joined).frames >= 9000


def test_a_long_write_does_not_overflow_the_stack(tmp_path: Path) -> None:
    """libvorbis by itself dies of two million frames at once."""
    samples = np.zeros((2_500_000, 1), np.float32)
    assert soundfile.info(written(tmp_path / "a.ogg", samples, "ogg")).frames == len(samples)


# --- limits

FLAC_RATES = [1, 7999, 8000, 44100, 65_535, 65_540, 96_000, 192_010, 384_000, 655_350]
FLAC_REFUSED = [0, -1, 65_536, 65_541, 88_201, 655_349, 655_351, 655_360, 768_000]
OGG_RATES = [1, 999, 8000, 8999, 9000, 15_000, 19_000, 26_000, 40_000, 44_100, 50_000, 96_000, 200_000]
OGG_REFUSED = [0, -1, 200_001, 384_000, 768_000]


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
        ("mp3", "PCM_16", 44100, 1, 1),
        ("wav", "PCM_8", 44100, 1, 1),
        ("flac", "ULAW", 44100, 1, 1),
        ("flac", "FLOAT", 44100, 1, 1),
        ("flac", "PCM_16", 44100, 0, 1),
        ("flac", "PCM_16", 44100, 9, 1),
        ("flac", "PCM_16", 44100, 1, 2**36),
        ("flac", "PCM_16", 44100, 1, 0),
        ("ogg", "PCM_16", 44100, 0, 1),
        ("ogg", "PCM_16", 44100, 9, 1),
        ("ogg", "PCM_16", 44100, 1, 0),
        ("wav", "PCM_16", 0, 1, 1),
        ("wav", "PCM_16", 768_001, 1, 1),
        ("wav", "PCM_16", 44100, 0, 1),
        ("wav", "PCM_16", 44100, 1025, 1),
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


def test_the_writer_refuses_what_crashes(tmp_path: Path) -> None:
    with pytest.raises(OptionError):
        SoundWriter(tmp_path / "a.ogg", "ogg", "", 200_001, 1, TAGS)
    assert not (tmp_path / "a.ogg").exists()


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


# --- tags


@pytest.mark.parametrize("tags", [TAGS, EXTREME, LONGEST])
@pytest.mark.parametrize("format", ["wav", "flac", "ogg"])
def test_tags_come_back(tmp_path: Path, tags: Tags, format: str) -> None:
    samples = noise(5000, 1, "VORBIS" if format == "ogg" else "PCM_16")
    path = tmp_path / "a"
    if format == "wav":
        wav_with_tags(path, tags, samples)
    else:
        written(path, samples, format, tags=tags)
    expected = vorbis_comments(tags)
    with soundfile.SoundFile(path) as file:
        assert file.frames == len(samples)
        assert file.title == expected["title"]
        assert file.comment == expected["comment"]
        assert file.software.removesuffix(f" (libsndfile-{LIBSNDFILE})") == expected.get("software", "")
        assert file.artist == file.album == ""


def test_texts() -> None:
    assert vorbis_comments(TAGS) == {
        "title": "Bank 1",
        "software": "netsounds-stream 0.1",
        "comment": "picture=a picture.jpg; bank=1; scheme=sum; method=ifft; label=honeycomb",
    }
    found = vorbis_comments(EXTREME)
    assert found["title"] == EXTREME.title and "software" not in found
    picture, bank, scheme, label = found["comment"].split("; ")
    assert picture == "picture=line break  tab nul [31m    .png"
    assert (bank, scheme) == ("bank=1-4", "scheme=caf")
    assert label == "label=" + "日本" * 33  # 198 bytes: the next character would be cut
    for text in vorbis_comments(LONGEST).values():
        assert set(text) >= {"é"} and "\ufffd" not in text
    assert len(vorbis_comments(LONGEST)["title"].encode()) == 200
    assert len(vorbis_comments(LONGEST)["software"].encode()) == 90


def test_chunks_are_bounded_and_even() -> None:
    for length in range(8):
        tags = replace(TAGS, title="x" * length, software="y" * (length // 2))
        chunk = info_chunk(tags)
        name, size, form = struct.unpack("<4sI4s", chunk[:12])
        assert (name, form) == (b"LIST", b"INFO") and size == len(chunk) - 8 and size % 2 == 0
        names, place = [], 12
        while place < len(chunk):
            name, size = struct.unpack("<4sI", chunk[place : place + 8])
            text = chunk[place + 8 : place + 8 + size]
            assert text.endswith(b"\0") and text.count(b"\0") == 1
            names.append(name)
            place += 8 + size + size % 2
        assert place == len(chunk)
        assert names == [b"INAM"] * (length > 0) + [b"ISFT"] * (length > 1) + [b"ICMT"]
    assert len(info_chunk(LONGEST)) < 2048
    assert info_chunk(Tags("", "", "", "", "", "")) == b""


# --- full disks


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """As on a disk that is full; Python has its signal ignored."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("format", "subtype"), [("flac", "PCM_16"), ("flac", "PCM_24"), ("ogg", "VORBIS")])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.5, 0.9, 0.999])
def test_a_full_disk_is_noticed(tmp_path: Path, format: str, subtype: str, share: float) -> None:
    """At any byte, also those that the encoder writes when it is closed, whose errors it swallows."""
    samples = noise(20_001, 1, subtype)
    path = written(tmp_path / "a", samples, format, subtype)
    size = path.stat().st_size
    for limit in {int(share * size), size - 1 if share else 1}:
        with files_no_longer_than(limit), pytest.raises(OutputError) as raised:
            written(path, samples, format, subtype)
        assert str(raised.value).startswith(f"cannot write {path} (")
        assert "room on the disk" in str(raised.value) and "large" in str(raised.value)
        assert "\n" not in str(raised.value)
    with files_no_longer_than(size):
        written(path, samples, format, subtype)


@pytest.mark.parametrize("format", ["flac", "ogg"])
def test_a_full_disk_is_noticed_soon(tmp_path: Path, format: str) -> None:
    """Long before the end."""
    writer = SoundWriter(tmp_path / "a", format, "PCM_16", 44100, 1, TAGS)
    with files_no_longer_than(10_000), pytest.raises(OutputError), writer:
        for _ in range(1000):
            writer.write(noise(4096, 1, "PCM_16" if format == "flac" else "VORBIS"))
    assert writer.frames < 200_000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
@pytest.mark.parametrize("format", ["flac", "ogg"])
def test_no_space_at_all(format: str) -> None:
    with pytest.raises(OutputError, match="No space left"):
        written(Path("/dev/full"), noise(5000, 1, "PCM_16" if format == "flac" else "VORBIS"), format)


@pytest.mark.parametrize("format", ["flac", "ogg"])
def test_no_such_folder(tmp_path: Path, format: str) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        SoundWriter(tmp_path / "none" / "a", format, "PCM_16", 44100, 1, TAGS)


def test_an_interrupt_in_a_write_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python drops what is raised in a function called from C, Ctrl-C too."""
    writer = SoundWriter(tmp_path / "a", "ogg", "", 44100, 1, TAGS)

    errors: list[BaseException] = [ZeroDivisionError(), KeyboardInterrupt()]

    def interrupted(content: bytes) -> None:
        raise errors.pop()  # the first one raised is to be told

    monkeypatch.setattr(writer._file, "_put", interrupted)
    with pytest.raises(KeyboardInterrupt), writer:
        writer.write(noise(50_000, 1, "VORBIS"))


@pytest.mark.parametrize("format", ["flac", "ogg"])
def test_lost_bytes_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    """Whatever swallowed them: here, all writes after the first go nowhere and say they went well."""
    writer = SoundWriter(tmp_path / "a", format, "PCM_16", 44100, 1, TAGS)
    writer.write(noise(4096, 1, "PCM_16" if format == "flac" else "VORBIS"))
    monkeypatch.setattr(writer._file, "_put", lambda content: None)
    with pytest.raises(OutputError, match="cannot write"):
        writer.write(noise(50_000, 1, "PCM_16" if format == "flac" else "VORBIS"))
        writer.close()


def test_an_error_of_the_callers_own_is_the_one_that_is_raised(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        SoundWriter(tmp_path / "a", "flac", "PCM_16", 44100, 1, TAGS) as writer,
    ):
        writer.write(noise(5000, 1, "PCM_16"))
        raise ZeroDivisionError
    writer.close()  # does nothing
    assert writer._file._file.closed


# --- resampling


def resampled(samples: np.ndarray, rate_in: int, rate_out: int, pieces: tuple[int, ...] = ()) -> np.ndarray:
    resampler = Resampler(rate_in, rate_out, samples.shape[1])
    parts = [resampler.push(piece) for piece in np.split(samples, pieces)]
    found = np.concatenate([*parts, resampler.flush()])
    assert found.dtype == np.float32
    return found


RATES = [
    (44100, 48000),
    (48000, 44100),
    (8000, 192_000),
    (192_000, 8000),
    (44100, 44101),
    (48000, 48000),
    (12_345, 99_991),
]


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_resampling_is_soxrs(rate_in: int, rate_out: int) -> None:
    samples = noise(20_000, 2, "VORBIS")
    expected = soxr.resample(samples, rate_in, rate_out, quality="VHQ")
    found = resampled(samples, rate_in, rate_out)
    assert len(found) == resampled_length(len(samples), rate_in, rate_out)
    assert np.array_equal(found[: len(expected)], expected)
    assert not found[len(expected) :].any()


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_pieces_leave_the_samples_alone(rate_in: int, rate_out: int) -> None:
    samples = noise(12_289, 2, "VORBIS")
    whole = resampled(samples, rate_in, rate_out)
    for pieces in [(1, 1, 2), (4095, 4096, 4097), tuple(range(333, 12_289, 333)), (12_288,)]:
        assert np.array_equal(resampled(samples, rate_in, rate_out, pieces), whole)


def test_a_tone_stays_in_its_place() -> None:
    """No delay: the samples of both rates are of one waveform."""
    at = np.arange(30_000)[:, None]
    found = resampled(np.sin(2 * np.pi * 1000 * at / 44100).astype(np.float32), 44100, 96_000)
    expected = np.sin(2 * np.pi * 1000 * np.arange(len(found))[:, None] / 96_000)
    assert np.abs(found - expected)[2000:-2000].max() < 1e-5


def test_lengths_are_exact() -> None:
    rng = np.random.default_rng(11)
    usual = [8000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000]
    for each in range(400):
        rate_in, rate_out = (
            int(rate) for rate in (rng.choice(usual, 2) if each % 2 else rng.integers(8000, 192_001, 2))
        )
        frames = int(rng.choice([0, 1, 2, 3, 4095, 4096, 4097, int(rng.integers(3, 9000))]))
        found = resampled(np.zeros((frames, 1), np.float32), rate_in, rate_out)
        assert len(found) == resampled_length(frames, rate_in, rate_out), (rate_in, rate_out, frames)


def test_resampled_length_is_the_ceiling() -> None:
    assert [resampled_length(each, 2, 1) for each in range(5)] == [0, 1, 1, 2, 2]
    assert resampled_length(2**60 + 1, 44100, 88200) == 2**61 + 2  # in integers


@pytest.mark.parametrize("rates", [(7999, 48000), (48000, 7999), (192_001, 48000), (48000, 192_001), (0, 1)])
def test_rates_that_are_not_resampled(rates: tuple[int, int]) -> None:
    for make in (check_resampling, lambda *rates: Resampler(*rates, 1)):
        with pytest.raises(OptionError) as raised:
            make(*rates)
        assert "\n" not in str(raised.value) and "use " in str(raised.value)
