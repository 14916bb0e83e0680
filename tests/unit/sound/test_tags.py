"""Tags as chunks and comments, read back by libsndfile, and what they leave out."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from netsounds_stream.sound.tags import Tags, broadcast_chunk, info_chunk, vorbis_comments
from tests.helpers.encoded import LONGEST, TAGS, noise, written

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


def wav_with_tags(path: Path, tags: Tags, samples: np.ndarray) -> Path:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 44100, 88200, 2, 16)
    data = struct.pack("<4sI", b"data", samples.nbytes) + samples.tobytes()
    body = b"WAVE" + form + info_chunk(tags) + data
    path.write_bytes(struct.pack("<4sI", b"RIFF", len(body)) + body)
    return path


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


def test_a_part_of_the_mix_lies_at_the_beginning_of_the_time_line() -> None:
    """The fields of EBU Tech 3285's chunk, at its offsets."""
    chunk = broadcast_chunk(replace(EXTREME, scheme="stem", software="netsounds-stream 0.2.0"))
    name, size = struct.unpack("<4sI", chunk[:8])
    content = chunk[8:]
    assert (name, size, len(content)) == (b"bext", 602, 602)
    assert content[:256].rstrip(b"\0").startswith(b"Unicode quotes")  # in ASCII
    assert content[256:288].rstrip(b"\0") == b"netsounds-stream 0.2.0"
    assert content[288:338] == bytes(50)  # reference, date and time
    assert struct.unpack("<QH", content[338:348]) == (0, 1)
    assert content[348:] == bytes(254)
    assert broadcast_chunk(replace(TAGS, scheme="sum")) == b""


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
    assert info_chunk(Tags(title="", picture="", label="", scheme="", method="", software="")) == b""
