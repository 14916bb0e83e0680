"""A run's page as one file that needs no other: images scaled down, sounds as MP3, styles and scripts inside.

The sounds are MP3 because every browser plays it, also on older telephones that play neither Opus nor Vorbis.
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
from ..run.layout import IMAGE_TYPES, PAGE, RECORD_NAME, SINGLE_FILE
from ..run.record_file import add_files, read_record
from ..sound.encoding import Resampler
from ..sound.finishing import PIECE_SAMPLES
from .byte_scripts import bytes_of_script
from .page import page_data_of, write_single_page

#: Size of all sounds together, in bits: it decides their bit rate, within the limits below.
_SOUND_BITS = 8 * (4 << 20)
_MOST_KBPS = 112
_LEAST_KBPS = 32
_PARTS_KBPS = 64  # the banks' parts of the mix are embedded if all sounds get this rate
_MP3_RATES_HZ = (32_000, 44_100, 48_000)
# Contact sheets: the longest edge of a tile in pixels, and JPEG's quality.
_TILE_PIXELS = 56
_SHEET_QUALITY = 45


class _EmbeddedFiles:
    """Files to embed in the page, as text, by the keys that stand for them in the page's data."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, str]] = {}

    def add(self, file: str, media_type: str, content: bytes) -> str:
        """Embed a file named `file` and return its key."""
        key = f"data:,held-{len(self.files)}"
        self.files[key] = {"file": file, "type": media_type, "text": b64encode(content).decode()}
        return key


def write_single_file(
    out: Path,
    folder: Path,
    record: Mapping[str, Any],
    data: Mapping[str, Any],
    stages: Stages,
    opened: Callable[[Path], Any] = str,
) -> None:
    """Write a run's page as one file, with the mix and, if they are short, the banks' parts of it.

    Args:
        out: the file.
        folder: the run's folder.
        record: the run's record, as far as it is known.
        data: the data of the page's scripts.
        stages: reports progress.
        opened: returns what soundfile opens, given a finished sound file of the run.

    Raises:
        OutputError: the file cannot be written, or a file that the page shows is missing.
    """
    embedded = _EmbeddedFiles()
    sounds, kbps = embedded_sounds(data["sounds"])
    entries = []
    with stages.stage("single file", len(sounds), "sounds") as advance:
        for sound in sounds:
            name = f"{record['label']}, {sound['label'].lower()}.mp3"
            content, rate = _encoded(folder / unquote(sound["play"]), kbps, opened)
            play = embedded.add(name, "audio/mpeg", content)
            spectrogram = sound["spectrogram"]
            if spectrogram:
                spectrogram = {**spectrogram, "src": _embed_image(folder, spectrogram["src"], embedded)}
            changed = {
                "play": play,
                "file": play,
                "type": "audio/mpeg",
                "note": None,
                "spectrogram": spectrogram,
                "bytes": len(content),
                "sample_rate_hz": rate,
                "bytes_script": play if sound.get("bytes_script") else None,
            }
            entries.append({**sound, **changed})
            advance(1)
    picture = {**data["picture"], "src": _embed_image(folder, data["picture"]["src"], embedded)}
    banks = [_bank_entry(folder, bank, embedded) for bank in data["banks"]]
    firing = _embed_firing(folder, data.get("firing"), embedded)
    page_data = {**data, "picture": picture, "sounds": entries, "banks": banks, "firing": firing}
    write_single_page(out, record, page_data, embedded.files)


def share(folder: str | Path, out: str | Path | None = None, *, on_progress: Listener | None = None) -> Path:
    """Write the page of a finished run as one file that needs no other.

    Args:
        folder: the run's folder.
        out: the file. None: `share.html` in the run's folder, which then is one of the run's files.
        on_progress: called as the work goes on.

    Returns:
        The path of the file.

    Raises:
        OutputError: `folder` holds no run with a page, or the file cannot be written.

    Example:
        >>> from netsounds_stream import share
        >>> share("landscape-netsounds", "landscape.html").name
        'landscape.html'
    """
    top = Path(folder)
    record = read_record(top / RECORD_NAME)
    data = page_data_of(top / PAGE) if record is not None else None
    if record is None or data is None:
        raise OutputError(f"{top} holds no run with a page; make one with: netsounds-stream sonify PICTURE")
    target = top / SINGLE_FILE if out is None else Path(out)
    write_single_file(target, top, record, data, Stages(on_progress))
    if out is None:
        add_files(top, record, SINGLE_FILE, [target])
    return target


def embedded_sounds(sounds: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], float]:
    """Choose the sounds to embed: the mix, with the banks' parts of it if all get a fair bit rate.

    A run without a mix has its banks' sums embedded.

    Args:
        sounds: all sounds of the page's data.

    Returns:
        The sounds to embed, and their bit rate in kbit/s.
    """
    by_scheme = {
        scheme: [sound for sound in sounds if sound["scheme"] == scheme] for scheme in ("mix", "part", "sum")
    }
    mix = by_scheme["mix"]
    chosen = [*mix, *by_scheme["part"]] if mix else by_scheme["sum"]
    if mix and _kbps(chosen) < _PARTS_KBPS:
        chosen = mix
    return chosen, max(_LEAST_KBPS, min(_MOST_KBPS, _kbps(chosen)))


def _kbps(sounds: Sequence[Mapping[str, Any]]) -> float:
    """Return the bit rate in kbit/s at which the sounds together have the size they may have."""
    seconds = sum(float(sound["duration_s"]) for sound in sounds)
    return _SOUND_BITS / max(seconds, 1.0) / 1000


def _encoded(path: Path, kbps: float, opened: Callable[[Path], Any]) -> tuple[bytes, int]:
    """Encode a sound file as MP3, resampled if MP3 lacks its sample rate.

    Returns:
        The MP3 file, and its sample rate in Hz.
    """
    content = io.BytesIO()
    try:
        with soundfile.SoundFile(opened(path)) as file:
            rate = file.samplerate if file.samplerate in _MP3_RATES_HZ else 44_100
            with soundfile.SoundFile(
                content, "w", rate, file.channels, "MPEG_LAYER_III", format="MP3",
                compression_level=(320 - kbps) / 288, bitrate_mode="CONSTANT",
            ) as mp3:  # fmt: skip
                for piece in _resampled(file, rate):
                    mp3.write(piece)
    except (OSError, soundfile.LibsndfileError) as error:
        raise _unreadable(path, error) from error
    return content.getvalue(), rate


def _resampled(file: Any, rate: int) -> Iterator[Any]:
    """Yield a sound file's samples at `rate` Hz, float32 `[sample, channel]`."""
    pieces = file.blocks(PIECE_SAMPLES, dtype="float32", always_2d=True)
    if rate == file.samplerate:
        yield from pieces
        return
    resampler = Resampler(file.samplerate, rate, file.channels)
    for piece in pieces:
        yield resampler.push(piece)
    yield resampler.flush()


def _bank_entry(folder: Path, bank: Mapping[str, Any], embedded: _EmbeddedFiles) -> dict[str, Any]:
    """Embed a bank's contact sheets, scaled down.

    Returns:
        The bank's entry of the page's data, without its filters' sounds.
    """
    sheets = {}
    for kind in ("sheet", "mean", "max"):
        entry = bank[kind]
        scale = min(1.0, _TILE_PIXELS / max(entry["tile_width"], entry["tile_height"]))
        sheets[kind] = {**entry, "src": _embed_image(folder, entry["src"], embedded, scale)}
    payload = "{columns:0,peaks:null,spectra:null}"
    script = f"data:text/javascript,netsoundsBank({bank['number']},{payload})"
    return {**bank, **sheets, "script": script}


def _embed_image(folder: Path, src: str, embedded: _EmbeddedFiles, scale: float | None = None) -> str:
    """Embed an image of the run, as it is (`scale` None) or scaled, and return its key."""
    path = folder / unquote(src)
    try:
        if scale is None:
            return embedded.add(path.name, IMAGE_TYPES[path.suffix], path.read_bytes())
        content = io.BytesIO()
        with Image.open(path) as image:
            size = [max(1, round(edge * scale)) for edge in image.size]
            image.convert("RGB").resize((size[0], size[1]), Image.Resampling.BOX).save(
                content, "JPEG", quality=_SHEET_QUALITY
            )
    except OSError as error:
        raise _unreadable(path, error) from error
    return embedded.add(path.name, "image/jpeg", content.getvalue())


def _embed_firing(folder: Path, src: str | None, embedded: _EmbeddedFiles) -> str | None:
    """Embed the filters' levels over time and return their key; None where the run has none."""
    if src is None:
        return None
    path = folder / unquote(src)
    try:
        content = bytes_of_script(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    return embedded.add(path.stem, "application/octet-stream", content)


def _unreadable(path: Path, error: Exception) -> OutputError:
    return OutputError(f"{path} cannot be read for a single file ({error}); make the run again")
