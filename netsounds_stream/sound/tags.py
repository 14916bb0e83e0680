"""What a sound file says about itself: which picture it was, and how it became sound.

    WAV          a LIST chunk of type INFO: INAM, ISFT, ICMT
    FLAC, Ogg    Vorbis comments: title, software, comment

INFO's texts have no declared encoding; UTF-8 is what libsndfile and most players take them for.
"""

from __future__ import annotations

import struct
import unicodedata
from dataclasses import dataclass

_TEXT_BYTES = 200  # of a field; libsndfile skips an INFO text of more than 2 KiB, and the comment has five
# libsndfile cuts `software` and its own name at 127 bytes, be it within a character; libFLAC then does not
# take the text, and libsndfile crashes. So it does at U+FFFE and U+FFFF.
_SOFTWARE_BYTES = 90
_NO_CHARACTERS = "\ufffe\uffff"
_COMMENTED = ("picture", "bank", "scheme", "method", "label")
_INFO_NAMES = {"title": b"INAM", "software": b"ISFT", "comment": b"ICMT"}
# Controls, halves of surrogate pairs (file names that are not UTF-8), separators of lines and paragraphs.
_REPLACED = ("Cc", "Cs", "Zl", "Zp")


@dataclass(frozen=True)
class Tags:
    """The texts of one file; an empty one is left out. `bank` may be '1', or '1-4' for several."""

    title: str
    picture: str
    label: str
    scheme: str
    method: str
    software: str
    bank: str = ""


def info_chunk(tags: Tags) -> bytes:
    """The `LIST` chunk to stand before `data`: of even length, under 2 KiB; empty where no text is left."""
    entries = b"".join(
        _chunk(_INFO_NAMES[name], text.encode() + b"\0") for name, text in vorbis_comments(tags).items()
    )
    return _chunk(b"LIST", b"INFO" + entries) if entries else b""


def vorbis_comments(tags: Tags) -> dict[str, str]:
    """Texts by the names they have in libsndfile, which sets them as Vorbis comments in FLAC and Ogg.

    It adds its own name and version to `software`.
    """
    fields = {name: _bounded(getattr(tags, name)) for name in _COMMENTED}
    comment = "; ".join(f"{name}={text}" for name, text in fields.items() if text)
    title, software = _bounded(tags.title), _bounded(tags.software, _SOFTWARE_BYTES)
    texts = {"title": title, "software": software, "comment": comment}
    return {name: text for name, text in texts.items() if text}


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", name, len(content)) + content + bytes(len(content) % 2)


def _bounded(text: str, most: int = _TEXT_BYTES) -> str:
    """`text` on one line, in UTF-8 of `most` bytes at most, cut between characters."""
    plain = "".join(" " if _is_replaced(each) else each for each in text).strip()
    return plain.encode()[:most].decode(errors="ignore")


def _is_replaced(character: str) -> bool:
    return unicodedata.category(character) in _REPLACED or character in _NO_CHARACTERS
