"""The encoders, read back by libsndfile: what goes in comes out; and disks on which it has no room."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from netsounds_stream.errors import OptionError, OutputError
from netsounds_stream.sound.encoding import SoundWriter
from tests.helpers.encoded import TAGS, noise, written
from tests.helpers.reference import ROOT


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


@pytest.mark.process
def test_ogg_streams_are_told_apart_by_their_tags_alone(tmp_path: Path) -> None:
    """libsndfile draws stream numbers at random, once a process: another one must write the same bytes."""
    samples = noise(9000, 1, "VORBIS")
    first = written(tmp_path / "first.ogg", samples, "ogg").read_bytes()
    script = (
        "import sys; from pathlib import Path; from tests.helpers.encoded import *;"
        "written(Path(sys.argv[1]), noise(9000, 1, 'VORBIS'), 'ogg')"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "second.ogg"], check=True, cwd=ROOT)
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


def test_the_writer_refuses_what_crashes(tmp_path: Path) -> None:
    with pytest.raises(OptionError):
        SoundWriter(tmp_path / "a.ogg", "ogg", "", 200_001, 1, TAGS)
    assert not (tmp_path / "a.ogg").exists()


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
        assert "no larger file is allowed here" in str(raised.value)
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
