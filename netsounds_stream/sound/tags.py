"""Tags of sound files: which picture a file was made of, and how.

    WAV          a LIST chunk of type INFO: INAM, ISFT, ICMT; of the mix and its parts a chunk bext before it
    FLAC, Ogg    Vorbis comments: title, software, comment

`bext` makes a Broadcast Wave file (EBU Tech 3285, version 1), which editors place on their time line by its
time reference: mix and stems begin together, at sample 0. Its date is left empty, since equal options give
equal bytes.

INFO's texts have no declared encoding; UTF-8 is what libsndfile and most players take them for.
"""

from __future__ import annotations

import struct
import unicodedata
from dataclasses import dataclass

# Most bytes of a field: libsndfile skips an INFO text of more than 2 KiB, and the comment has five fields.
_TEXT_BYTES = 200
# libsndfile cuts `software` and its own name at 127 bytes, even within a character; libFLAC then refuses the
# text, and libsndfile crashes. U+FFFE and U+FFFF have the same effect.
_SOFTWARE_BYTES = 90
_NO_CHARACTERS = "\ufffe\uffff"
# Files that belong together on a time line.
_PLACED = ("mix", "stem", "part")
_BEXT = struct.Struct("<256s32s32s10s8sQH64s190s")
_BEXT_VERSION = 1
_COMMENTED = ("picture", "bank", "scheme", "method", "label")
_INFO_NAMES = {"title": b"INAM", "software": b"ISFT", "comment": b"ICMT"}
# Controls, halves of surrogate pairs (file names that are not UTF-8), separators of lines and paragraphs.
_REPLACED = ("Cc", "Cs", "Zl", "Zp")


@dataclass(frozen=True, kw_only=True)
class Tags:
    """Texts of one file; an empty text is left out.

    Attributes:
        title: title of the sound.
        picture: name of the picture.
        label: class that the network predicted.
        scheme: the file's scheme: 'sum', 'mix' and so on.
        method: how activations became sound: 'ifft' or 'istft'.
        software: the program and its version.
        bank: number of the bank, or of several: '1,2,3,4'.
    """

    title: str
    picture: str
    label: str
    scheme: str
    method: str
    software: str
    bank: str = ""


def info_chunk(tags: Tags) -> bytes:
    """Encode tags as a `LIST` chunk of type INFO, to stand before a WAV's `data`.

    Returns:
        The chunk, of even length and under 2 KiB; empty where all texts are.
    """
    entries = b"".join(
        _chunk(_INFO_NAMES[name], text.encode() + b"\0") for name, text in vorbis_comments(tags).items()
    )
    return _chunk(b"LIST", b"INFO" + entries) if entries else b""


def broadcast_chunk(tags: Tags) -> bytes:
    """Encode the place of a file on the time line as a `bext` chunk, to stand before a WAV's `data`.

    Returns:
        The chunk, 610 bytes; empty for a sound that is not the mix or a part of it.
    """
    if tags.scheme not in _PLACED:
        return b""
    # ASCII is asked for
    title, software = (
        unicodedata.normalize("NFKD", _bounded(text)).encode("ascii", "ignore")
        for text in (tags.title, tags.software)
    )
    start = 0  # in samples since midnight
    content = _BEXT.pack(title[:255], software[:31], b"", b"", b"", start, _BEXT_VERSION, b"", b"")
    return _chunk(b"bext", content)


def vorbis_comments(tags: Tags) -> dict[str, str]:
    """Return tags as Vorbis comments for FLAC and Ogg.

    libsndfile, which writes them, adds its own name and version to `software`.

    Returns:
        Texts that are not empty, by libsndfile's names: 'title', 'software', 'comment'.
    """
    fields = {name: _bounded(getattr(tags, name)) for name in _COMMENTED}
    texts = {
        "title": _bounded(tags.title),
        "software": _bounded(tags.software, _SOFTWARE_BYTES),
        "comment": "; ".join(f"{name}={text}" for name, text in fields.items() if text),
    }
    return {name: text for name, text in texts.items() if text}


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", name, len(content)) + content + bytes(len(content) % 2)


def _bounded(text: str, most: int = _TEXT_BYTES) -> str:
    """Bring a text onto one line, in UTF-8 of at most `most` bytes, cut between characters."""
    plain = "".join(" " if _is_replaced(character) else character for character in text).strip()
    return plain.encode()[:most].decode(errors="ignore")


def _is_replaced(character: str) -> bool:
    return unicodedata.category(character) in _REPLACED or character in _NO_CHARACTERS
