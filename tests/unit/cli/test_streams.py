"""Streams that are closed, full, without a reader or in another encoding; the run is made all the same."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from netsounds_stream.base.locations import quoted
from netsounds_stream.errors import limit_met, of_system, remedy_for

pytestmark = pytest.mark.process

PROGRAM = f"{shlex.quote(sys.executable)} -m netsounds_stream"


def shell(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, env=environment, check=False
    )


@pytest.mark.parametrize(
    ("redirected", "status"),
    [
        ("2>&-", 0),
        ("2>/dev/full >/dev/null", 0),
        ("2>&1 >/dev/null | true; exit ${PIPESTATUS[0]}", 0),
        (">&- 2>&-", 0),
        (">/dev/full", 1),
        ("| true; exit ${PIPESTATUS[0]}", 1),
    ],
)
def test_a_run_goes_on_without_its_streams(
    tmp_path: Path, picture_file: Path, weights_file: Path, redirected: str, status: int
) -> None:
    options = f"--out run --weights {quoted(weights_file)} --banks 4 --no-mix --no-report"
    words = f"sonify {quoted(picture_file)} {options}"
    done = shell(f"{PROGRAM} {words} {redirected}", tmp_path)
    assert done.returncode == status, done.stderr
    assert (tmp_path / "run" / "run.json").exists()
    assert b"Traceback" not in done.stderr
    if redirected == ">/dev/full":
        assert b"cannot be printed" in done.stderr


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-16"])
def test_names_that_the_encoding_lacks(
    tmp_path: Path, encoding: str, picture_file: Path, weights_file: Path
) -> None:
    picture = tmp_path / "\u03a9.png"
    picture.write_bytes(picture_file.read_bytes())
    words = (
        f"sonify {quoted(picture)} --weights {quoted(weights_file)} --banks 4 --no-mix --no-report --label a"
    )
    done = shell(f"{PROGRAM} {words}", tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "\u03a9-netsounds" / "run.json").exists()
    assert "activations-4_a_sum.wav" in done.stdout.decode(encoding, "replace")


@pytest.mark.parametrize(
    "name",
    [
        "plain",
        "two  spaces",
        "it's",
        'a "quote"',
        "$HOME `ls` !x",
        "new\nline",
        "tab\tand\x1b[31m",
        "gr\udcfcn",
        "-x",
        "%s \\n",
    ],
)
def test_quoted_words_run_as_printed(tmp_path: Path, name: str) -> None:
    word = quoted(Path(name))
    assert word.isprintable()
    for program in ("sh", "bash"):
        done = subprocess.run([program, "-c", f"printf %s {word}"], capture_output=True, check=True)
        assert os.fsdecode(done.stdout) in (name, f"./{name}")


@pytest.mark.parametrize(
    ("limit", "words", "named"),
    [
        ("-n 14", "sonify {picture} --out run --weights {weights}", b"ulimit -n"),
        ("-f 100", "sonify {picture} --out run --weights {weights} --size 300", b"ulimit -f"),
        ("-v 300000", "sonify {picture} --out run --weights {weights}", b"ulimit -v"),
    ],
)
def test_limits_of_the_system_are_named(
    tmp_path: Path, picture_file: Path, weights_file: Path, limit: str, words: str, named: bytes
) -> None:
    words = words.format(picture=quoted(picture_file), weights=quoted(weights_file))
    done = shell(f"ulimit {limit}; {PROGRAM} {words} --quiet", tmp_path, PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 1
    assert named in done.stderr and b"Traceback" not in done.stderr and b"room on the disk" not in done.stderr


def test_words_of_limits() -> None:
    assert "ulimit -u" in remedy_for(RuntimeError("can't start new thread"))
    assert "ulimit -v" in remedy_for(MemoryError())
    assert limit_met("a defect") is None
    failure = RuntimeError("cannot join thread before it is started")
    assert of_system(failure) is None
    failure.__context__ = RuntimeError("can't start new thread")
    assert of_system(failure) is failure.__context__
