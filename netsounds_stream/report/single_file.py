"""A run's page as one file that needs no other: pictures scaled, sounds as MP3, style and scripts inside.

MP3, for every browser plays it, those of older telephones, too, where Opus and Vorbis are not played.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import soundfile
from PIL import Image

from ..base.progress import Listener, Stages
from ..errors import OutputError
from ..run.layout import PAGE, SINGLE_FILE
from ..run.record_file import add_files, read_record
from ..sound.encoding import Resampler
from ..sound.finishing import PIECE_SAMPLES
from .page import page_data_of, write_single_page

#: Of all sounds together, in bits: what their rate follows, as far as it goes.
_SOUND_BITS = 8 << 22
_MOST_KBPS, _LEAST_KBPS, _PARTS_KBPS = 112, 32, 64
_RATES_HZ = (32_000, 44_100, 48_000)
# Of contact sheets: the longest edge of a tile in pixels, and WebP's quality.
_TILE, _SHEET_QUALITY = 56, 45


class _Held:
    """What the page holds: files as text, by the names that stand for them in the page."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, str]] = {}

    def add(self, file: str, kind: str, content: bytes) -> str:
        """Keep a file; the name that stands for it."""
        name = f"data:,held-{len(self.files)}"
        self.files[name] = {"file": file, "type": kind, "text": b64encode(content).decode()}
        return name


def write_single_file(
    out: Path,
    folder: Path,
    record: Mapping[str, Any],
    data: Mapping[str, Any],
    stages: Stages,
    opened: Callable[[Path], Any] = str,
) -> None:
    """Write the page of the run in `folder` as one file: the mix and, if it is short, the banks' parts of it.

    Args:
        out: the file.
        record: the run's, as far as it is known.
        data: what the page's script is told.
        opened: what soundfile reads a file of the run through.

    Raises:
        OutputError: it cannot be written, or what the page shows is missing.
    """
    held = _Held()
    sounds, kbps = held_sounds(data["sounds"])
    made = []
    with stages.stage("single file", len(sounds), "sounds") as advance:
        for sound in sounds:
            path = folder / unquote(sound["play"])
            name = f"{record['label']}, {sound['label'].lower()}.mp3"
            content, rate = _encoded(path, kbps, opened)
            play = held.add(name, "audio/mpeg", content)
            seen = sound["spectrogram"]
            seen = seen and {**seen, "src": _picture(folder, seen["src"], held)}
            of = {"play": play, "file": play, "type": "audio/mpeg", "note": None, "spectrogram": seen}
            made.append({**sound, **of, "bytes": len(content), "sample_rate_hz": rate})
            advance(1)
    picture = {**data["picture"], "src": _picture(folder, data["picture"]["src"], held)}
    banks = [_bank(folder, each, held) for each in data["banks"]]
    write_single_page(out, record, {**data, "picture": picture, "sounds": made, "banks": banks}, held.files)


def share(folder: str | Path, out: str | Path | None = None, *, on_progress: Listener | None = None) -> Path:
    """Write the page of a finished run as one file that needs no other.

    Args:
        folder: the run's.
        out: the file; None: `share.html` in the run's folder, and one of its files.
        on_progress: called as the work goes on.

    Returns:
        The file.

    Raises:
        OutputError: there is no run with a page, or the file cannot be written.

    Example:
        >>> from netsounds_stream import share
        >>> share("landscape-netsounds", "landscape.html").name
        'landscape.html'
    """
    top = Path(folder)
    record = read_record(top / "run.json")
    data = page_data_of(top / PAGE) if record is not None else None
    if record is None or data is None:
        raise OutputError(f"{top} holds no run with a page; make one with: netsounds-stream sonify PICTURE")
    target = top / SINGLE_FILE if out is None else Path(out)
    write_single_file(target, top, record, data, Stages(on_progress))
    if out is None:
        add_files(top, record, SINGLE_FILE, [target])
    return target


def held_sounds(sounds: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], float]:
    """Return the sounds that are held, and their rate in kilobits a second.

    The mix alone, or with the banks' parts of it where all get a fair rate; without a mix the banks' sums.
    """
    mix = [each for each in sounds if each["scheme"] == "mix"]
    parts = [each for each in sounds if each["scheme"] == "part"]
    sums = [each for each in sounds if each["scheme"] == "sum"]
    wanted = [*mix, *parts] if mix else sums
    if mix and _kbps(wanted) < _PARTS_KBPS:
        wanted = mix
    return wanted, max(_LEAST_KBPS, min(_MOST_KBPS, _kbps(wanted)))


def _kbps(sounds: Sequence[Mapping[str, Any]]) -> float:
    seconds = sum(float(each["duration_s"]) for each in sounds)
    return _SOUND_BITS / max(seconds, 1.0) / 1000


def _encoded(path: Path, kbps: float, opened: Callable[[Path], Any]) -> tuple[bytes, int]:
    """A sound file as MP3, and its sample rate, which is one that MP3 has."""
    made = io.BytesIO()
    try:
        with soundfile.SoundFile(opened(path)) as file:
            rate = file.samplerate if file.samplerate in _RATES_HZ else 44_100
            with soundfile.SoundFile(
                made, "w", rate, file.channels, "MPEG_LAYER_III", format="MP3",
                compression_level=(320 - kbps) / 288, bitrate_mode="CONSTANT",
            ) as mp3:  # fmt: skip
                for piece in _at_rate(file, rate):
                    mp3.write(piece)
    except (OSError, soundfile.LibsndfileError) as error:
        raise OutputError(f"{path} cannot be read for a single file ({error}); make the run again") from error
    return made.getvalue(), rate


def _at_rate(file: Any, rate: int) -> Iterator[Any]:
    pieces = file.blocks(PIECE_SAMPLES, dtype="float32", always_2d=True)
    if rate == file.samplerate:
        yield from pieces
        return
    resampler = Resampler(file.samplerate, rate, file.channels)
    for piece in pieces:
        yield resampler.push(piece)
    yield resampler.flush()


def _bank(folder: Path, bank: Mapping[str, Any], held: _Held) -> dict[str, Any]:
    """A bank's entry, with smaller contact sheets; single filters have no sound here."""
    number, sheets = bank["number"], {}
    for kind in ("sheet", "mean", "max"):
        of = bank[kind]
        shrunk = min(1.0, _TILE / max(of["tile_width"], of["tile_height"]))
        sheets[kind] = {**of, "src": _picture(folder, of["src"], held, shrunk)}
    script = f"data:text/javascript,netsoundsBank({number},{{columns:0,peaks:null,spectra:null}})"
    return {**bank, **sheets, "script": script}


def _picture(folder: Path, src: str, held: _Held, scale: float | None = None) -> str:
    """A picture of the run, as it is or scaled."""
    path = folder / unquote(src)
    try:
        if scale is None:
            return held.add(path.name, "image/webp", path.read_bytes())
        made = io.BytesIO()
        with Image.open(path) as image:
            size = [max(1, round(edge * scale)) for edge in image.size]
            image.convert("RGB").resize((size[0], size[1]), Image.Resampling.BOX).save(
                made, "WEBP", quality=_SHEET_QUALITY
            )
    except OSError as error:
        raise OutputError(f"{path} cannot be read for a single file ({error}); make the run again") from error
    return held.add(path.name, "image/webp", made.getvalue())
