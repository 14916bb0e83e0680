"""Systems that lack something: locks, a home, a temporary folder, loopback; folders of others' modules."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import pytest

from netsounds_stream import batch, open_run, plan, sonify
from netsounds_stream.base.locations import quoted
from netsounds_stream.errors import WeightsError
from netsounds_stream.network.networks import load_network
from tests.helpers.reference import PROGRAM, ROOT
from tests.helpers.runs import contents, stopped_run

fcntl = pytest.importorskip("fcntl")  # not on Windows
pwd = pytest.importorskip("pwd")

pytestmark = pytest.mark.process
ALONE: dict[str, Any] = {"banks": (4,), "scheme": "sum", "mix": False, "report": False}
FEW = "--banks 4 --scheme sum --no-mix --no-report"
MODULE = 'from pathlib import Path\nPath(__file__).with_name("RAN").touch()\n'


def called(words: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, in `folder`."""
    found = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run(
        words,
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONPATH": found, **environment},
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("way", ["batch", "batch --jobs 2", "cluster", "module"])
def test_nothing_is_imported_from_the_current_folder(
    tmp_path: Path, small_picture: Path, weights_file: Path, way: str
) -> None:
    """Not by the command, by its workers, nor by a cluster on this machine."""
    if way == "cluster":
        pytest.importorskip("distributed")
    for name in ("pickle", "signal", "random", "torch", "numpy", "netsounds_stream"):
        (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / "photos").mkdir()
    shutil.copy(small_picture, tmp_path / "photos" / "a.png")
    shutil.copy(small_picture, tmp_path / "photos" / "b.png")
    common = f"--out out --weights {quoted(weights_file)} {FEW}"
    words = {
        "batch": f"batch photos {common}",
        "batch --jobs 2": f"batch photos --jobs 2 {common}",
        "cluster": f"sonify photos/a.png --cluster local:1 {common}",
        "module": f"sonify photos/a.png {common}",
    }[way]
    program = [sys.executable, "-m", "netsounds_stream"] if way == "module" else [str(PROGRAM)]
    if (
        way == "module"
    ):  # Python itself puts the folder first: what it finds before our first line is not ours
        for name in ("netsounds_stream", "signal", "random"):
            (tmp_path / f"{name}.py").unlink()
    done = called([*program, *shlex.split(words)], tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("RAN"))


def test_names_in_the_encoding_of_an_old_locale(
    tmp_path: Path, small_picture: Path, weights_file: Path
) -> None:
    if shutil.which("localedef") is None:
        pytest.skip("no localedef here, to make a locale in Latin-1")
    made = ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", str(tmp_path / "de_DE.ISO-8859-1")]
    if subprocess.run(made, capture_output=True, check=False).returncode:
        pytest.skip("localedef makes no locale in Latin-1 here")
    name = os.fsencode(tmp_path) + b"/Gr\xfcn.png"
    Path(os.fsdecode(name)).write_bytes(small_picture.read_bytes())
    words: list[Any] = [sys.executable, "-m", "netsounds_stream", "sonify", name, "--weights", weights_file]
    words += [*FEW.split(), "--out", tmp_path / "run"]
    done = called(words, tmp_path, LOCPATH=str(tmp_path), LC_ALL="de_DE.ISO-8859-1", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert open_run(tmp_path / "run").record["picture"]["width"] == 161


def test_where_nothing_can_be_locked(
    tmp_path: Path, small_picture: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs are made, and their records say what to take care of."""

    def refuse(*_: Any) -> NoReturn:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    words: dict[str, Any] = {**ALONE, "weights": str(weights_file)}
    run = sonify(small_picture, tmp_path / "run", **words)
    (note,) = [note for note in run.record["notes"] if "has no locks" in note]
    assert os.strerror(errno.ENOLCK) in note
    assert sonify(small_picture, tmp_path / "run", overwrite=True, **words).record["notes"] == [note]
    monkeypatch.undo()
    assert not sonify(small_picture, tmp_path / "run", overwrite=True, **words).record["notes"]


def test_plans_need_no_temporary_folder(
    tmp_path: Path, small_picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        tempfile.mkdtemp()
    assert plan(small_picture, weights="untrained").width == 161


def test_without_a_home_no_folder_is_called_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No HOME, and no such user: what `~` stands for is not known."""

    def nobody(_: int) -> NoReturn:
        raise KeyError

    for name in ("HOME", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="TORCH_HOME"):
        load_network(weights="pretrained")
    assert not list(tmp_path.iterdir())


def test_a_cluster_that_cannot_start_is_one_line(
    tmp_path: Path, small_picture: Path, weights_file: Path
) -> None:
    """Here: in a network without even loopback."""
    pytest.importorskip("distributed")
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-n", "true"], check=False).returncode:
        pytest.skip("this test may not take away the network here")
    words = (
        f"sonify {quoted(small_picture)} --cluster local:1 --out run --weights {quoted(weights_file)} {FEW}"
    )
    done = called(["unshare", "-n", str(PROGRAM), *shlex.split(words), "--quiet"], tmp_path)
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(said) == 1 and "cluster" in said[0], done.stderr
    assert not (tmp_path / "run").exists()


def test_after_the_picture_moved_the_printed_command_goes_on(
    tmp_path: Path, small_picture: Path, weights_file: Path
) -> None:
    """The command that `resume` prints is run as it is printed, but for the new place."""
    before, after = tmp_path / "my  photo.png", tmp_path / "elsewhere" / "my  photo.png"
    shutil.copy(small_picture, before)
    # with room for what this process holds, which the plan counts
    words: dict[str, Any] = {**ALONE, "scheme": ("sum", "concat"), "memory": "3GiB"}
    stopped_run(tmp_path, before, weights_file, "sound 4", **{**words, "report": False})
    after.parent.mkdir()
    before.rename(after)
    done = called([str(PROGRAM), "resume", str(tmp_path / "run")], tmp_path)
    assert done.returncode == 1 and "is no longer at" in done.stderr
    command = done.stderr[done.stderr.index("netsounds-stream sonify NEW") :].splitlines()[0]
    replaced = shlex.split(command.replace("NEW", quoted(after), 1))
    done = called([str(PROGRAM), *replaced[1:]], tmp_path)
    assert done.returncode == 0, done.stderr
    assert open_run(tmp_path / "run").record["starts"] == 2
    sonify(after, tmp_path / "whole", weights=str(weights_file), label="a", **words)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_batch_goes_on_without_locks_too(
    tmp_path: Path, small_picture: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> NoReturn:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    done = batch([small_picture], tmp_path / "runs", weights=str(weights_file), **ALONE)
    assert not done.failed


def test_a_folder_that_is_gone(tmp_path: Path, small_picture: Path) -> None:
    words = f"mkdir gone; cd gone; rmdir ../gone; {shlex.quote(str(PROGRAM))} sonify {quoted(small_picture)}"
    done = called(["bash", "-c", words], tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("netsounds-stream: the folder that you are in is gone")
