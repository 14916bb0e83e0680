"""install.py: where torch comes from, against indexes on this machine, and what is said of it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket

import pytest

import install

pytestmark = pytest.mark.docs

VERSION = install.pinned("torch")
PYTHON = f"cp{sys.version_info.major}{sys.version_info.minor}"
MACHINE = sysconfig.get_platform().rpartition("-")[2]
WHEEL = f"torch-{VERSION}+cpu-{PYTHON}-{PYTHON}-manylinux_2_28_{MACHINE}.whl"

#: A build backend for a project that needs torch and torchvision and holds nothing.
BACKEND = """
import zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    about = "project-1.dist-info"
    needs = "Requires-Dist: torch\\nRequires-Dist: torchvision\\n"
    with zipfile.ZipFile(f"{folder}/project-1-py3-none-any.whl", "w") as made:
        made.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\\nName: project\\nVersion: 1\\n" + needs)
        made.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        made.writestr(f"{about}/RECORD", "")
    return "project-1-py3-none-any.whl"
"""

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="one build for all elsewhere")


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, without a log."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def index_over(folder: Path) -> Iterator[str]:
    """Serve `folder` on this machine; its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def page(folder: Path, package: str, *files: str) -> None:
    """Write a package's page of an index."""
    (folder / package).mkdir(parents=True, exist_ok=True)
    links = "".join(f'<a href="{name.replace("+", "%2B")}">{name}</a>\n' for name in files)
    (folder / package / "index.html").write_text(links)


def wheel(folder: Path, package: str, version: str) -> None:
    """Write a wheel of nothing, as a package of an index that has no other."""
    name, about = f"{package}-{version}-py3-none-any.whl", f"{package}-{version}.dist-info"
    page(folder, package, name)
    with zipfile.ZipFile(folder / package / name, "w") as made:
        made.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        made.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        made.writestr(f"{about}/RECORD", "")


@linux_only
def test_the_cpu_build_is_taken_where_its_index_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page(tmp_path, "torch", WHEEL)
    with index_over(tmp_path) as url:
        monkeypatch.setattr(install, "CPU_INDEX", url)
        found = install.torch_source(gpu=False, index=None, own_index=False, version=VERSION)
    assert (found.index, found.size) == (url, install.CPU)
    assert "the CPU build" in found.says


@linux_only
def test_the_larger_build_comes_and_is_said_where_that_index_is_out_of_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and never listens
        monkeypatch.setattr(install, "CPU_INDEX", f"http://127.0.0.1:{closed.getsockname()[1]}")
        found = install.torch_source(gpu=False, index=None, own_index=False, version=VERSION)
    assert (found.index, found.size) == (None, install.CUDA)
    assert "cannot be reached (Connection refused)" in found.says
    assert "larger default build" in found.says


def test_an_index_that_lacks_the_version_is_passed_over(tmp_path: Path) -> None:
    page(tmp_path, "torch", WHEEL.replace(VERSION, "1.0"), WHEEL.replace(PYTHON, "cp99"))
    with index_over(tmp_path) as url:
        assert install.why_not(url, VERSION) == f"has no torch {VERSION} for {PYTHON} on {MACHINE}"
        assert install.why_not(f"{url}/none", VERSION) == "cannot be reached (File not found)"
        assert install.why_not(url, "1.0") is None


def test_an_index_that_does_not_answer_is_given_up() -> None:
    with socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        reason = install.why_not(f"http://127.0.0.1:{silent.getsockname()[1]}", VERSION, seconds=0.2)
    assert reason is not None
    assert "timed out" in reason or "does not answer" in reason


@pytest.mark.parametrize(
    ("gpu", "index", "own_index", "taken"),
    [
        (True, None, False, None),
        (False, None, True, None),
        (False, "https://mirror.example/cpu", False, "https://mirror.example/cpu"),
        (True, "https://mirror.example/cu130", True, "https://mirror.example/cu130"),
    ],
)
def test_a_choice_is_not_overridden(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, index: str | None, own_index: bool, taken: str | None
) -> None:
    def unasked(*_: object) -> str:
        raise AssertionError("nobody needs to be asked")

    monkeypatch.setattr(install, "why_not", unasked)
    found = install.torch_source(gpu=gpu, index=index, own_index=own_index, version=VERSION)
    assert found.index == taken


@linux_only
def test_the_whole_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Into an environment left without pip: first the CPU build, then, by GPU=1, the other."""
    own, cpu, project = tmp_path / "own", tmp_path / "cpu", tmp_path / "project"
    for package in install.TORCH:
        wheel(own, package, install.pinned(package))
        wheel(cpu, package, f"{install.pinned(package)}+cpu")
    project.mkdir()
    pins = "".join(f"{package}=={install.pinned(package)}\n" for package in install.TORCH)
    (project / "constraints.txt").write_text(pins)
    (project / "backend.py").write_text(BACKEND)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project / ".venv"], check=True)
    monkeypatch.setattr(install, "ROOT", project)
    monkeypatch.setattr(install, "VENV", project / ".venv")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with index_over(own) as default, index_over(cpu) as url:
        monkeypatch.setenv("PIP_INDEX_URL", default)
        install.install([], gpu=False, index=url)
        said = capfd.readouterr().out
        assert said.index("To install: about 34 packages") < said.index("Successfully installed")
        assert f"with torch {VERSION}+cpu" in said.splitlines()[-1]
        install.install([], gpu=True, index=None)
        assert capfd.readouterr().out.endswith(f"with torch {VERSION}\n")


def test_a_failing_pip_ends_the_program(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="pip"):
        install.pip(Path(sys.executable), "no-such-command")
    assert "unknown command" in capfd.readouterr().err
