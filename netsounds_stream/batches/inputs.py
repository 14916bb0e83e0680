"""Which pictures a batch is given, and the folder of each: names only; nothing is decoded.

The tree below a given folder, or below a pattern's fixed part, is mirrored. A name depends on what is given,
not on the order in which.
"""

from __future__ import annotations

import glob
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from ..base.locations import has_picture_suffix, safe_name
from ..errors import OptionError
from ..picture.loaders import is_picture
from ..run.layout import PAGE, RECORD_NAME
from ..run.record_file import is_run

#: What a batch keeps in its folder besides runs.
RECORDS, THUMBNAILS = "batch.jsonl", "thumbnails"
_TAKEN = (RECORDS, PAGE, THUMBNAILS, RECORD_NAME)
_STDIN, _LIST = "-", ".txt"
_LONGEST_SUFFIX = 16


@dataclass(frozen=True)
class Given:
    """A picture, and its run's folder below that of the batch, with '/' between its parts."""

    picture: Path
    folder: str


@dataclass(frozen=True)
class _Found:
    """A file, and where it lies below what was given."""

    path: Path
    below: PurePath


def given(patterns: Sequence[str], out: Path, lines: Iterable[str] = ()) -> list[Given]:
    """The pictures that `patterns` stand for, each once, in the order in which they are first met.

    A pattern is a folder, a file, a glob (with `**`), a `.txt` of names, or '-' for the names in `lines`.
    In folders, files are taken that begin as pictures or are called so, and folders that cannot be listed:
    what cannot be opened fails when its turn comes, and is not left out in silence. Hidden files, those in
    `out` and those of a run are left out. What is named by itself or met by a glob is taken as it is.

    Raises:
        OptionError: a pattern stands for nothing.
    """
    found: dict[str, _Found] = {}  # by their real paths, in order
    for pattern in patterns:
        some = False
        for each in _found(pattern, out, lines):
            some = True
            real = os.path.realpath(each.path)
            found[real] = min(found.get(real, each), each, key=_rank)
        if not some:
            raise OptionError(f"{pattern} matches no picture; check the name")
    names = folders([(each.below, real) for real, each in found.items()])
    return [Given(found[real].path, name) for real, name in zip(found, names, strict=True)]


def _rank(found: _Found) -> tuple[int, str, str]:
    """Of one file given in several ways, the way that mirrors most of its tree."""
    return -len(found.below.parts), str(found.below), str(found.path)


def _found(pattern: str, out: Path, lines: Iterable[str]) -> Iterator[_Found]:
    if pattern == _STDIN:
        yield from _named(lines, out)
    elif pattern.lower().endswith(_LIST) and os.path.isfile(pattern):
        try:
            # as file names are: not every name is UTF-8
            with open(pattern, encoding="utf-8", errors="surrogateescape") as names:
                yield from _named(names, out)
        except OSError as error:
            raise OptionError(f"{pattern} cannot be read ({error.strerror}); make it readable") from error
    elif os.path.lexists(pattern):
        yield from _at(Path(pattern), out)
    elif glob.has_magic(pattern):
        fixed, ours = _fixed_part(pattern), Path(os.path.realpath(out))
        for name in sorted(glob.iglob(pattern, recursive=True)):
            if not _made_here(Path(name), fixed, ours):
                for each in _at(Path(name), out):
                    yield _Found(each.path, each.path.relative_to(fixed))


def _named(lines: Iterable[str], out: Path) -> Iterator[_Found]:
    """Files and folders, a name a line; a file that is not there is found out when its turn comes."""
    for line in lines:
        name = line.rstrip("\r\n")
        if name.strip() and not name.startswith("#"):
            yield from _at(Path(name), out)


def _at(path: Path, out: Path) -> Iterator[_Found]:
    if path.is_dir():
        yield from _within(path, out)
    else:
        yield _Found(path, PurePath(path.name))


def _within(top: Path, out: Path) -> Iterator[_Found]:
    """The pictures below a folder, in the order of their names."""
    ours = os.path.realpath(out)
    closed: list[Path] = []
    for folder, below, names in os.walk(top, onerror=lambda error: closed.append(Path(error.filename))):
        if os.path.realpath(folder) == ours or (RECORD_NAME in names and is_run(Path(folder))):
            below.clear()
            continue
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and (has_picture_suffix(path) or is_picture(path)):
                yield _Found(path, path.relative_to(top))
    for path in closed:
        yield _Found(path, path.relative_to(top))


def _made_here(path: Path, top: Path, ours: Path) -> bool:
    """Whether a file lies in the batch's own folder, or in a run's below `top`."""
    between = [each for each in path.parents if each.is_relative_to(top)]
    return Path(os.path.realpath(path)).is_relative_to(ours) or any(is_run(each) for each in between)


def _fixed_part(pattern: str) -> Path:
    """The folders of a glob before the first that has a wildcard."""
    parts = Path(pattern).parts
    wild = next(at for at, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:wild])


def folders(places: Sequence[tuple[PurePath, str]]) -> list[str]:
    """A folder for each picture's place in its tree, its suffix dropped, in their order.

    Beside each place stands what tells apart pictures of one place: their paths.
    No two are one, nor is one within another, on file systems that know no capitals either. Those that would
    be get their suffix, `a-jpg` and `a-png`, and then a number.
    """
    plain = [PurePosixPath(*map(_folder, each.parts[:-1]), safe_name(each.stem)) for each, _ in places]
    count = Counter(map(_key, plain))
    taken = {_key(parent) for each in plain for parent in each.parents} | {_key(name) for name in _TAKEN}
    names: dict[int, PurePosixPath] = {
        at: each for at, each in enumerate(plain) if count[_key(each)] == 1 and _key(each) not in taken
    }
    taken |= {_key(each) for each in names.values()}
    rest = sorted(
        set(range(len(plain))) - set(names),
        key=lambda at: (str(plain[at]), str(places[at][0]), places[at][1]),
    )
    for at in rest:
        names[at] = next(name for name in _others(plain[at], places[at][0].suffix) if _key(name) not in taken)
        taken.add(_key(names[at]))
    return [str(names[at]) for at in range(len(plain))]


def _folder(part: str) -> str:
    name = safe_name(part)
    return f"{name}-pictures" if _key(name) in map(_key, _TAKEN) else name


def _others(plain: PurePosixPath, suffix: str) -> Iterator[PurePosixPath]:
    more = safe_name(suffix.lower())[:_LONGEST_SUFFIX] if suffix.strip(".") else ""
    stem = f"{plain.name}-{more}" if more else plain.name
    if more:
        yield plain.with_name(stem)
    number = 2
    while True:
        yield plain.with_name(f"{stem}-{number}")
        number += 1


def _key(name: PurePosixPath | str) -> str:
    """What file systems may take for one name."""
    return unicodedata.normalize("NFC", str(name).casefold())
