"""The pictures that a batch's patterns stand for, and the folder of each: names only; nothing is decoded.

The tree below a given folder, or below a pattern's fixed part, is mirrored. A folder's name depends on which
pictures are given, not on the order in which.
"""

from __future__ import annotations

import codecs
import glob
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from ..base.locations import has_picture_suffix, safe_name
from ..errors import OptionError
from ..picture.loaders import is_picture
from ..run.layout import PAGE, RECORD_NAME
from ..run.record_file import is_run

#: A batch's own names in its folder: the list of results, and the page's pictures.
RECORDS, THUMBNAILS = "batch.jsonl", "thumbnails"
# Names in a batch's folder that no run may have.
_RESERVED = (RECORDS, PAGE, THUMBNAILS, RECORD_NAME)
_STDIN = "-"
_LIST_SUFFIX = ".txt"
# Byte order marks of lists; the longer one of two that begin alike first.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_LONGEST_SUFFIX = 16


@dataclass(frozen=True)
class Input:
    """A picture of a batch.

    Attributes:
        picture: its file.
        folder: its run's folder below that of the batch, with '/' between its parts.
    """

    picture: Path
    folder: str


@dataclass(frozen=True)
class _Match:
    """A file that a pattern stands for.

    Attributes:
        path: the file.
        below: its place in the tree that is mirrored.
    """

    path: Path
    below: PurePath


def no_stdin() -> bytes:
    """Return the content of a standard input that is closed."""
    return b""


def inputs_of(patterns: Sequence[str], out: Path, stdin: Callable[[], bytes] = no_stdin) -> list[Input]:
    """Return the pictures that patterns stand for, each once, in the order in which they are first met.

    A file that is named, or met by a glob, is taken as it is. From a folder, files are taken that begin as
    pictures do or are named so. Folders that cannot be listed are taken, too, so that they fail when their
    turn comes and are not left out in silence. Hidden files, those in `out` and those of a run are left out.

    Args:
        patterns: each a folder, a file, a glob (with `**`), a `.txt` file of names (see `names_in`), or '-'
            for standard input.
        out: folder of the batch.
        stdin: reads all of standard input.

    Returns:
        The pictures with their folders.

    Raises:
        OptionError: a pattern stands for nothing.
    """
    matches: dict[str, _Match] = {}  # by their real paths, in order
    for pattern in patterns:
        empty = True
        for match in _matches(pattern, out, stdin):
            empty = False
            real = os.path.realpath(match.path)
            matches[real] = min(matches.get(real, match), match, key=_rank)
        if empty:
            if pattern == _STDIN:
                raise OptionError("standard input names no picture; give one name on each line")
            raise OptionError(f"{pattern} matches no picture; check the name")
    folders = folders_of([(match.below, real) for real, match in matches.items()])
    return [Input(matches[real].path, folder) for real, folder in zip(matches, folders, strict=True)]


def _rank(match: _Match) -> tuple[int, str, str]:
    """Return a key by which the match of a file that mirrors most of its tree is the smallest."""
    return -len(match.below.parts), str(match.below), str(match.path)


def _matches(pattern: str, out: Path, stdin: Callable[[], bytes]) -> Iterator[_Match]:
    if pattern == _STDIN:
        yield from _listed(names_in(stdin()), out)
    elif pattern.lower().endswith(_LIST_SUFFIX) and os.path.isfile(pattern):
        try:
            content = Path(pattern).read_bytes()
        except OSError as error:
            raise OptionError(f"{pattern} cannot be read ({error.strerror}); make it readable") from error
        yield from _listed(names_in(content), out)
    elif os.path.lexists(pattern):
        yield from _matches_at(Path(pattern), out)
    elif glob.has_magic(pattern):
        top = _fixed_part(pattern)
        real_out = Path(os.path.realpath(out))
        for name in sorted(glob.iglob(pattern, recursive=True)):
            if not _made_here(Path(name), top, real_out):
                for match in _matches_at(Path(name), out):
                    yield _Match(match.path, match.path.relative_to(top))


def names_in(content: bytes) -> list[str]:
    """Read a list of names as any program may write it.

    Args:
        content: names one on each line, or each ended by a NUL as by `find -print0`; in UTF-16 or UTF-32 with
            a byte order mark, or else in the encoding of file names, whose bytes need not be UTF-8.

    Returns:
        The names. Empty lines are left out, and lines that begin with '#', but of names ended by NUL nothing.
    """
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            text = content[len(mark) :].decode(
                encoding, "surrogatepass" if encoding == "utf-8" else "replace"
            )
            break
    else:
        text = os.fsdecode(content)
    if "\0" in text:
        return [name for name in text.split("\0") if name.strip("\r\n")]
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _listed(names: Iterable[str], out: Path) -> Iterator[_Match]:
    """Yield the files and folders of a list; one that does not exist fails when its turn comes."""
    for name in names:
        yield from _matches_at(Path(name), out)


def _matches_at(path: Path, out: Path) -> Iterator[_Match]:
    if path.is_dir():
        yield from _matches_below(path, out)
    else:
        yield _Match(path, PurePath(path.name))


def _matches_below(top: Path, out: Path) -> Iterator[_Match]:
    """Yield the pictures below a folder, in the order of their names; links to folders are followed once."""
    real_out = os.path.realpath(out)
    unlisted: list[Path] = []
    met: set[str] = set()
    for folder, below, names in os.walk(
        top, onerror=lambda error: unlisted.append(Path(error.filename)), followlinks=True
    ):
        real = os.path.realpath(folder)
        if real in met or real == real_out or (RECORD_NAME in names and is_run(Path(folder))):
            below.clear()
            continue
        met.add(real)
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and (has_picture_suffix(path) or is_picture(path)):
                yield _Match(path, path.relative_to(top))
    for path in unlisted:
        yield _Match(path, path.relative_to(top))


def _made_here(path: Path, top: Path, real_out: Path) -> bool:
    """Return whether a file lies in the batch's own folder, or in a run's below `top`."""
    between = [folder for folder in path.parents if folder.is_relative_to(top)]
    return Path(os.path.realpath(path)).is_relative_to(real_out) or any(map(is_run, between))


def _fixed_part(pattern: str) -> Path:
    """Return the folders of a glob before the first part that has a wildcard."""
    parts = Path(pattern).parts
    wild = next(at for at, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:wild])


def folders_of(places: Sequence[tuple[PurePath, str]]) -> list[str]:
    """Choose a folder for each picture: its place in its tree, without the suffix.

    No two folders are one, and none is within another, also on file systems that take capitals and small
    letters for the same. Those that would be get their suffix, `a-jpg` and `a-png`, and then a number.

    Args:
        places: for each picture its place in its tree, and its real path, which tells apart pictures of one
            place.

    Returns:
        The folders, with '/' between their parts, in the same order.
    """
    plain = [
        PurePosixPath(*map(_folder_name, place.parts[:-1]), safe_name(place.stem)) for place, _ in places
    ]
    count = Counter(map(_key, plain))
    used = {_key(parent) for path in plain for parent in path.parents} | set(map(_key, _RESERVED))
    chosen: dict[int, PurePosixPath] = {
        at: path for at, path in enumerate(plain) if count[_key(path)] == 1 and _key(path) not in used
    }
    used |= set(map(_key, chosen.values()))
    rest = sorted(
        set(range(len(plain))) - set(chosen),
        key=lambda at: (str(plain[at]), str(places[at][0]), places[at][1]),
    )
    for at in rest:
        candidates = _candidates(plain[at], places[at][0].suffix)
        chosen[at] = next(path for path in candidates if _key(path) not in used)
        used.add(_key(chosen[at]))
    return [str(chosen[at]) for at in range(len(plain))]


def _folder_name(part: str) -> str:
    name = safe_name(part)
    return f"{name}-pictures" if _key(name) in map(_key, _RESERVED) else name


def _candidates(plain: PurePosixPath, suffix: str) -> Iterator[PurePosixPath]:
    """Yield other names for a folder, the best first, without an end."""
    ending = safe_name(suffix.lower())[:_LONGEST_SUFFIX] if suffix.strip(".") else ""
    stem = f"{plain.name}-{ending}" if ending else plain.name
    if ending:
        yield plain.with_name(stem)
    number = 2
    while True:
        yield plain.with_name(f"{stem}-{number}")
        number += 1


def _key(name: PurePosixPath | str) -> str:
    """Return the same text for all names that some file system takes for one."""
    return unicodedata.normalize("NFC", str(name).casefold())
