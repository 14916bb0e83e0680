"""Locks on files: one holder at a time, who is named, and who may be found out to hold another file's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netsounds_stream.base.locks import FileLock, LockHeldError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked there")


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = FileLock(path)
    first.acquire()
    second = FileLock(path)
    with pytest.raises(LockHeldError) as refused:
        second.acquire()
    assert refused.value.holder == str(os.getpid())
    first.release()
    third = FileLock(path)
    third.acquire()
    third.release()


def test_a_lock_goes_where_its_folder_goes(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    lock = FileLock(folder / "lock")
    lock.acquire()
    assert lock.is_at(folder / "lock")
    folder.rename(tmp_path / "b")
    assert lock.is_at(tmp_path / "b" / "lock")
    assert not lock.is_at(folder / "lock")
    folder.mkdir()
    (folder / "lock").touch()
    assert not lock.is_at(folder / "lock")
    lock.release()


@pytest.mark.process
def test_a_killed_process_frees_its_lock(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from netsounds_stream.base.locks import FileLock\n"
        "lock = FileLock(Path(sys.argv[1])); lock.acquire(); print('held', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LockHeldError) as refused:
            FileLock(tmp_path / "lock").acquire()
        assert refused.value.holder == str(process.pid)
        process.kill()
    lock = FileLock(tmp_path / "lock")
    lock.acquire()
    lock.release()
