"""Which pictures a batch is given, and what their folders are called, against the plain rules."""

from __future__ import annotations

import os
import random
from pathlib import Path, PurePath, PurePosixPath

import pytest
import pyvips
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from netsounds_stream.batches.inputs import folders_of, inputs_of, names_in
from netsounds_stream.errors import OptionError
from netsounds_stream.picture.demo_picture import draw

# few letters, so that names meet; capitals, what is made safe, what a batch keeps for itself
_PARTS = st.sampled_from(["a", "A", "b", "-a", "a b", "batch", "index", "run", "thumbnails", "a\n", "ﬁ"])
_NAMES = st.sampled_from(["a", "A", "a.b", "b", "~a", "batch.jsonl", "index.html", "thumbnails", "run.json"])
_ENDINGS = st.sampled_from(["", ".jpg", ".JPG", ".png", ".-x"])
_PLACES = st.builds(
    lambda parts, name, ending: PurePath(*parts, name + ending),
    st.lists(_PARTS, max_size=2),
    _NAMES,
    _ENDINGS,
)
_TAKEN = {"batch.jsonl", "index.html", "thumbnails", "run.json"}


@settings(max_examples=400, deadline=None)
@drawn(st.lists(_PLACES, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_no_two_folders_meet(places: list[PurePath], rng: random.Random) -> None:
    told_apart = [(place, f"/{at}/{place}") for at, place in enumerate(places)]
    names = folders_of(told_apart)
    keys = [PurePosixPath(name.casefold()) for name in names]
    for at, key in enumerate(keys):
        assert not key.is_absolute() and ".." not in key.parts
        assert key.parts[0] not in _TAKEN and not any(part.startswith((".", "-", "~")) for part in key.parts)
        for other in keys[:at]:
            assert key != other
            assert key not in other.parents and other not in key.parents
    shuffled = told_apart[:]
    rng.shuffle(shuffled)
    assert dict(zip(shuffled, folders_of(shuffled), strict=True)) == dict(zip(told_apart, names, strict=True))


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (["a.jpg"], ["a"]),
        (["x/y/a.tar.jpg"], ["x/y/a.tar"]),
        (["a.jpg", "a.PNG"], ["a-jpg", "a-png"]),
        (["a.jpg", "A.jpg", "b.jpg"], ["a-jpg-2", "A-jpg", "b"]),
        (["a.jpg", "a/b.jpg"], ["a-jpg", "a/b"]),
        (["a", "a.jpg"], ["a-2", "a-jpg"]),
        (["index.html.jpg", "thumbnails/a.jpg"], ["index.html-jpg", "thumbnails-pictures/a"]),
        (["-rf.jpg", "x\n.jpg"], ["rf", "x_"]),
    ],
)
def test_names(places: list[str], names: list[str]) -> None:
    assert folders_of([(PurePath(place), place) for place in places]) == names


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures, what is none, what is hidden, a run, and the batch's folder among them."""
    picture = pyvips.Image.new_from_array(draw(30, 20)).pngsave_buffer()
    for name in (
        "p/b.jpg",
        "p/a.png",
        "p/deep/c",
        "p/.hidden/d.png",
        "p/.e.png",
        "p/run/f.png",
        "p/out/g.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(picture)
    (tmp_path / "p/text.jpg").write_text("no picture")
    (tmp_path / "p/empty.png").touch()
    (tmp_path / "p/run/run.json").write_text('{"versions": {"netsounds-stream": "0.1.0"}')  # cut short
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*patterns: str, lines: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    def stdin() -> bytes:
        return "".join(lines).encode()

    return [(str(each.picture), each.folder) for each in inputs_of(patterns, Path("p/out"), stdin)]


def test_a_folder(tree: Path) -> None:
    """By their first bytes or their names; nothing hidden, nothing of a run or a batch."""
    pictures = [(f"p/{name}", Path(name).stem) for name in ("a.png", "b.jpg", "empty.png", "text.jpg")]
    assert found("p") == [*pictures, ("p/deep/c", "deep/c")]
    assert found("p/") == found("p")
    (tree / "p/deep/run.json").write_text('{"job": 7}')  # another program's
    (tree / "p/deep/names").write_text("no picture, and not called one")
    assert found("p")[-1] == ("p/deep/c", "deep/c")


def test_a_glob(tree: Path) -> None:
    assert found("p/*.png") == [("p/a.png", "a"), ("p/empty.png", "empty")]
    assert found("p/**/*.png") == [("p/a.png", "a"), ("p/empty.png", "empty")]
    assert found("p/d*") == [("p/deep/c", "deep/c")]
    assert found("p/*/c") == [("p/deep/c", "deep/c")]


def test_a_name_with_a_wildcard_is_a_name(tree: Path) -> None:
    (tree / "a[1].png").write_bytes((tree / "p/a.png").read_bytes())
    assert found("a[1].png") == [("a[1].png", "a[1]")]


def test_a_list(tree: Path) -> None:
    names = "# mine\n\np/a.png\r\np/absent.png\np/deep\n"
    expected = [("p/a.png", "a"), ("p/absent.png", "absent"), ("p/deep/c", "c")]
    (tree / "names.txt").write_text(names)
    assert found("names.txt") == expected
    assert found("-", lines=tuple(names.splitlines(keepends=True))) == expected


def test_a_picture_given_twice_is_taken_once(tree: Path) -> None:
    os.symlink("a.png", tree / "p/z.png")
    one = found("p/deep/c", "p", str(tree / "p/deep/c"))
    assert [name for _, name in one] == ["deep/c", "a", "b", "empty", "text"]
    assert sorted(one) == sorted(found("p", "p/deep/c"))


@pytest.mark.parametrize("pattern", ["absent.png", "absent/*.png", "p/*.gif", "p/run", "nothing.txt", "-"])
def test_what_stands_for_nothing(tree: Path, pattern: str) -> None:
    (tree / "nothing.txt").write_text("# none\n")
    with pytest.raises(OptionError, match=r"matches no picture|names no picture"):
        found("p", pattern)


LISTS: dict[str, tuple[bytes, list[str]]] = {
    "lines": (b"a.png\nb c.png\n", ["a.png", "b c.png"]),
    "without an end": (b"a.png\nb.png", ["a.png", "b.png"]),
    "of Windows": (b"a.png\r\nb.png\r\n", ["a.png", "b.png"]),
    "comments": (b"# mine\n\n  \na.png\n", ["a.png"]),
    "a byte order mark": (b"\xef\xbb\xbfa.png\r\n\xc3\xbc.png\r\n", ["a.png", "\u00fc.png"]),
    "UTF-16": ("\ufeffa.png\r\n\u00fc.png\r\n".encode("utf-16-le"), ["a.png", "\u00fc.png"]),
    "UTF-16, big-endian": ("\ufeffa.png\n\u03a9.png".encode("utf-16-be"), ["a.png", "\u03a9.png"]),
    "UTF-32": ("\ufeffa.png\n\u03a9.png".encode("utf-32-le"), ["a.png", "\u03a9.png"]),
    "find -print0": (b"a.png\0#b\nc.png\0", ["a.png", "#b\nc.png"]),
    "find -print0 without an end": (b"a.png\0b.png", ["a.png", "b.png"]),
    "bytes that are not UTF-8": (b"gr\xfcn.png\n", [os.fsdecode(b"gr\xfcn.png")]),
    "old Macs' ends are part of a name": (b"a\rb.png\n", ["a\rb.png"]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_as_other_programs_write_them(name: str) -> None:
    content, expected = LISTS[name]
    assert names_in(content) == expected


def test_links_to_folders_are_followed_once(tree: Path) -> None:
    before = found("p")
    (tree / "elsewhere").mkdir()
    (tree / "elsewhere/new.png").write_bytes((tree / "p/a.png").read_bytes())
    (tree / "p/link").symlink_to(tree / "elsewhere", target_is_directory=True)
    (tree / "elsewhere/circle").symlink_to(tree / "p", target_is_directory=True)
    (tree / "p/broken.png").symlink_to(tree / "nowhere.png")
    assert set(found("p")) == {*before, ("p/link/new.png", "link/new"), ("p/broken.png", "broken")}
