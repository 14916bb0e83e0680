"""Which encoders a video is made with: those of a table that the installed PyAV has, the first that fits.

Options are for pictures that stand still but for a line: a key frame every ten seconds, no frames predicted
from later ones, quality by a fixed quantiser, since a rate control has nothing to divide. What the choice is
made from is handed in, so that it is a pure function. Nothing is encoded here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import OptionError

#: Seconds from one key frame to the next, at most: players jump to these.
KEY_SECONDS = 10
_MISSING = "video needs another package: pip install 'netsounds-stream[video]'"


@dataclass(frozen=True, kw_only=True)
class VideoEncoder:
    """An encoder of pictures.

    Attributes:
        codec: name of the codec, as `--codec` has it.
        name: name of FFmpeg's encoder.
        title: the codec's name for people.
        options: options of the encoder.
    """

    codec: str
    name: str
    title: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AudioEncoder:
    """An encoder of sound.

    Attributes:
        codec: name of the codec.
        name: name of FFmpeg's encoder.
        title: the codec's name for people.
        bits_a_channel: bits a second for a channel.
    """

    codec: str
    name: str
    title: str
    bits_a_channel: int


@dataclass(frozen=True, kw_only=True)
class Encoders:
    """The encoders of one video.

    Attributes:
        container: name of FFmpeg's muxer.
        video: of its pictures.
        audio: of its sound.
        note: a line for the user where it is not the usual pair of the container; else None.
    """

    container: str
    video: VideoEncoder
    audio: AudioEncoder
    note: str | None


# x264: a fixed quantiser spares the passes over each frame that estimate its cost, a third of the time.
_X264 = {
    "preset": "veryfast",
    "qp": "20",
    "x264-params": "rc-lookahead=0:mbtree=0:scenecut=0:weightp=0:bframes=0:aq-mode=0:ref=1:me=dia:subme=2",
}
_VPX = {
    "deadline": "realtime",
    "cpu-used": "8",
    "row-mt": "1",
    "tile-columns": "1",
    "b": "4M",  # which the quantiser overrules
    "qmin": "26",
    "qmax": "26",
    "lag-in-frames": "0",
    "auto-alt-ref": "0",
    "aq-mode": "0",
}
_SVT = {"preset": "12", "crf": "26", "svtav1-params": "rtc=1:pred-struct=1:scm=1:lp=2"}
_AOM = {"cpu-used": "9", "usage": "realtime", "crf": "26", "b": "0", "row-mt": "1"}
VIDEO_ENCODERS = (
    VideoEncoder(codec="h264", name="libx264", title="H.264", options=_X264),
    VideoEncoder(codec="h264", name="libopenh264", title="H.264", options={"b": "8M"}),
    VideoEncoder(codec="vp9", name="libvpx-vp9", title="VP9", options=_VPX),
    VideoEncoder(codec="av1", name="libsvtav1", title="AV1", options=_SVT),
    VideoEncoder(codec="av1", name="libaom-av1", title="AV1", options=_AOM),
    VideoEncoder(codec="mpeg4", name="mpeg4", title="MPEG-4 part 2", options={"qmin": "3", "qmax": "3"}),
)
AUDIO_ENCODERS = (
    AudioEncoder(codec="aac", name="aac", title="AAC", bits_a_channel=96_000),
    AudioEncoder(codec="opus", name="libopus", title="Opus", bits_a_channel=80_000),
)
#: Names of video codecs, as `--codec` takes them.
CODECS = tuple(dict.fromkeys(each.codec for each in VIDEO_ENCODERS))
# By suffix: the muxer, and codecs in the order in which they are taken; the first of each is the usual one.
_CONTAINERS = {
    ".mp4": ("mp4", ("h264", "av1", "vp9", "mpeg4"), ("aac", "opus")),
    ".webm": ("webm", ("vp9", "av1"), ("opus",)),
}


def installed_encoders() -> frozenset[str]:
    """Return the names of the encoders above that the installed PyAV has.

    Raises:
        OptionError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise OptionError(_MISSING) from error
    found = set()
    for encoder in (*VIDEO_ENCODERS, *AUDIO_ENCODERS):
        try:
            av.Codec(encoder.name, "w")
        except ValueError:  # unknown
            continue
        found.add(encoder.name)
    return frozenset(found)


def chosen_encoders(out: Path, codec: str | None, installed: Collection[str]) -> Encoders:
    """Choose the encoders of a video.

    Args:
        out: the video; its suffix says the container.
        codec: the video codec; None: the first of the container's that is there.
        installed: names of the encoders that are there.

    Returns:
        The encoders.

    Raises:
        OptionError: no such container, or no such codec in it or here.
    """
    suffix = out.suffix.lower()
    if suffix not in _CONTAINERS:
        raise OptionError(f"a video cannot be {out.name}; end its name in {' or '.join(_CONTAINERS)}")
    container, usual, usual_sound = _CONTAINERS[suffix]
    video = {each.codec: each for each in reversed(VIDEO_ENCODERS) if each.name in installed}
    audio = {each.codec: each for each in AUDIO_ENCODERS if each.name in installed}
    here = [name for name in usual if name in video]
    sounds = [name for name in usual_sound if name in audio]
    if codec is not None and codec not in usual:
        raise OptionError(f"{suffix} cannot hold codec {codec!r}; use {_listed(here or usual)}")
    if not here or not sounds or (codec is not None and codec not in here):
        missing = codec or (usual if not here else usual_sound)[0]
        others = [name for name in here if sounds] or [
            f"another suffix than {suffix}, or an installation of av with more codecs"
        ]
        raise OptionError(f"the installed av has no encoder of {missing}; use {_listed(others)}")
    chosen = codec or here[0]
    unusual = []
    if codec is None and chosen != usual[0]:
        unusual.append(f"{video[chosen].title}, since the installed av has no encoder of {usual[0]}")
    if sounds[0] != usual_sound[0]:
        unusual.append(f"{audio[sounds[0]].title}, since it has none of {usual_sound[0]}")
    note = f"the video is {' with '.join(unusual)}: not every player reads it" if unusual else None
    return Encoders(container=container, video=video[chosen], audio=audio[sounds[0]], note=note)


def _listed(names: Collection[str]) -> str:
    return " or ".join(names)
