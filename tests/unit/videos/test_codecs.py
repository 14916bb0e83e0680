"""Which encoders are chosen, by what is there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from netsounds_stream.errors import OptionError
from netsounds_stream.videos.codecs import AUDIO_ENCODERS, VIDEO_ENCODERS, chosen_encoders, installed_encoders

ALL = {each.name for each in (*VIDEO_ENCODERS, *AUDIO_ENCODERS)}
MP4, WEBM = Path("a.mp4"), Path("b.WEBM")


@pytest.mark.parametrize(
    ("out", "codec", "lacking", "expected"),
    [
        (MP4, None, set(), ("libx264", "aac")),
        (WEBM, None, set(), ("libvpx-vp9", "libopus")),
        (MP4, "av1", set(), ("libsvtav1", "aac")),
        (WEBM, "av1", {"libsvtav1"}, ("libaom-av1", "libopus")),
        (MP4, None, {"libx264"}, ("libopenh264", "aac")),
        (MP4, "mpeg4", {"libopus"}, ("mpeg4", "aac")),
    ],
)
def test_the_usual_ones(out: Path, codec: str | None, lacking: set[str], expected: tuple[str, str]) -> None:
    chosen = chosen_encoders(out, codec, ALL - lacking)
    assert (chosen.video.name, chosen.audio.name) == expected
    assert chosen.note is None


@pytest.mark.parametrize(
    ("out", "lacking", "expected", "said"),
    [
        (MP4, {"libx264", "libopenh264"}, ("libsvtav1", "aac"), "AV1, since .* h264"),
        (MP4, {"libx264", "libopenh264", "libsvtav1", "libaom-av1"}, ("libvpx-vp9", "aac"), "VP9"),
        (MP4, {"aac"}, ("libx264", "libopus"), "Opus, since .* aac"),
        (WEBM, {"libvpx-vp9"}, ("libsvtav1", "libopus"), "AV1, since .* vp9"),
    ],
)
def test_others_are_said(out: Path, lacking: set[str], expected: tuple[str, str], said: str) -> None:
    chosen = chosen_encoders(out, None, ALL - lacking)
    assert (chosen.video.name, chosen.audio.name) == expected
    assert chosen.note is not None
    assert re.search(said, chosen.note)


@pytest.mark.parametrize(
    ("out", "codec", "lacking", "said"),
    [
        (Path("a.avi"), None, set(), "a.avi.*mp4 or .webm"),
        (Path("a"), None, set(), "mp4 or .webm"),
        (WEBM, "h264", set(), "cannot hold codec 'h264'; use vp9 or av1"),
        (MP4, "theora", set(), "'theora'; use h264 or av1 or vp9 or mpeg4"),
        (MP4, "h264", {"libx264", "libopenh264"}, "no encoder of h264; use av1 or vp9 or mpeg4"),
        (WEBM, None, {"libopus"}, "no encoder of opus; use another suffix"),
        (WEBM, None, {"libvpx-vp9", "libsvtav1", "libaom-av1"}, "no encoder of vp9; use another suffix"),
    ],
)
def test_what_is_not_there_is_named(out: Path, codec: str | None, lacking: set[str], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        chosen_encoders(out, codec, ALL - lacking)


def test_the_installed_ones_are_found() -> None:
    pytest.importorskip("av")
    found = installed_encoders()
    assert found <= ALL
    assert found & {"mpeg4", "libx264"} and "aac" in found  # FFmpeg's own, which every wheel has


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(OptionError, match=r"pip install 'netsounds-stream\[video\]'"):
        installed_encoders()
