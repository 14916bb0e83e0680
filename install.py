"""Sets the project up in `.venv`, for the Makefile: `python3 install.py [--extra NAME] [--gpu]`.

Says before each step what comes, and leaves the progress to pip. torch is installed first, since it is most
of the bytes: on Linux pip's default is the build with CUDA, some ten times the size of the CPU build, which
PyTorch has on an index of its own. Everything else comes from the index that pip is set to.

Runs before anything is installed, so it needs the standard library alone.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import sysconfig
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PROBE_SECONDS = 5.0
#: torch and what must be of the same build.
TORCH = ("torch", "torchvision")
#: pip's words for the pinned versions; it runs in the repository.
CONSTRAINT = ("--constraint", "constraints.txt")


class Size(NamedTuple):
    """What an installation takes: packages, bytes to download and on disk, seconds on a fast connection."""

    packages: int
    download: float
    disk: float
    seconds: float

    def __str__(self) -> str:
        minutes = "a minute" if self.seconds < 90 else f"{self.seconds / 60:.0f} minutes"
        return (
            f"about {self.packages} packages, {self.download / 1e9:.1f} GB to download, "
            f"{self.disk / 1e9:.1f} GB on disk; {minutes} on a fast connection"
        )


#: As measured on Linux x86-64; tests/docs/test_pins.py holds the numbers of packages to the pins.
CPU = Size(34, 0.3e9, 1.1e9, 60)
CUDA = Size(53, 2.8e9, 5.1e9, 240)
EXTRAS = Size(158, 0.3e9, 1.0e9, 120)


@dataclass(frozen=True)
class Source:
    """Where torch comes from: an index (None: pip's own), what is said of it, and what comes with it."""

    index: str | None
    says: str
    size: Size


def pinned(package: str) -> str:
    """Return the version of `package` in constraints.txt."""
    found = re.search(rf"^{package}==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert found, package
    return found[1]


def why_not(index: str, version: str, seconds: float = PROBE_SECONDS) -> str | None:
    """Return why torch's CPU build for this interpreter cannot be had from `index`; None where it can."""
    answer: list[str] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(f"{index}/torch/", timeout=seconds) as page:
                text = page.read().decode(errors="replace")
        except (OSError, ValueError, http.client.HTTPException) as error:
            cause = getattr(error, "reason", error)
            answer.append(f"cannot be reached ({getattr(cause, 'strerror', None) or cause})")
            return
        python = f"cp{sys.version_info.major}{sys.version_info.minor}"
        machine = sysconfig.get_platform().rpartition("-")[2]
        wheel = rf"torch-{re.escape(version)}(\+|%2B)cpu-{python}-{python}-\w*{machine}\.whl"
        answer.append("" if re.search(wheel, text) else f"has no torch {version} for {python} on {machine}")

    # A thread, because each of a host's addresses may take all of the time-out, and its name longer.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return (answer[0] if answer else f"does not answer within {seconds:.0f} s") or None


def torch_source(*, gpu: bool, index: str | None, own_index: bool, version: str) -> Source:
    """Decide where torch comes from.

    Args:
        gpu: CUDA is wanted.
        index: the index that was asked for, if any.
        own_index: pip is set to an index other than its default one.
        version: of torch.
    """
    if index:
        return Source(
            index, f"torch {version} comes from the index that TORCH_INDEX names", CUDA if gpu else CPU
        )
    if not sys.platform.startswith("linux"):
        return Source(None, f"torch {version}: the default build, without CUDA", CPU)
    if gpu:
        return Source(None, f"torch {version}: the build with CUDA", CUDA)
    if own_index:
        says = (
            f"torch {version} comes from the index that pip is set to, with CUDA where that has no CPU build "
            f"(TORCH_INDEX={CPU_INDEX} has)"
        )
        return Source(None, says, CUDA)
    reason = why_not(CPU_INDEX, version)
    if reason is None:
        return Source(CPU_INDEX, f"torch {version}: the CPU build, from {CPU_INDEX}", CPU)
    says = f"{CPU_INDEX} {reason}, so torch's larger default build comes instead, with CUDA"
    return Source(None, says, CUDA)


def python_of(venv: Path) -> Path:
    """Return the path of the environment's interpreter."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def installed(python: Path) -> dict[str, str]:
    """Return what is installed, versions by name."""
    code = (
        "import importlib.metadata, json;"
        "print(json.dumps({each.name: each.version for each in importlib.metadata.distributions()}))"
    )
    found: dict[str, str] = json.loads(subprocess.check_output([python, "-c", code]))
    return found


def pip(python: Path, *words: str) -> None:
    """Run pip, which shows its own progress and errors; the program ends if it fails."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *words]
    if subprocess.run(command, check=False, cwd=ROOT).returncode:
        sys.exit("install.py: pip failed, and said why above; mend that, and give the command again")


def has_own_index(python: Path) -> bool:
    """Whether pip's configuration or environment names an index in place of the default one."""
    words = [str(python), "-m", "pip", "--disable-pip-version-check", "config", "list"]
    return "index-url=" in re.sub(r"extra-index-url=", "", subprocess.check_output(words, text=True))


def install_torch(python: Path, *, gpu: bool, index: str | None) -> None:
    """Have the pinned torch and torchvision come from where `torch_source` says, and say before what comes.

    From an index of its own it is installed here; otherwise pip installs it later, as a dependency.
    """
    before = installed(python)
    versions = {name: before.get(name, "").partition("+")[0] for name in TORCH}
    wrong_build = gpu and before.get("torch", "").endswith("+cpu")
    if not wrong_build and all(versions[name] == pinned(name) for name in TORCH):
        return
    own = index is None and has_own_index(python)
    source = torch_source(gpu=gpu, index=index, own_index=own, version=pinned("torch"))
    print(f"To install: {source.size}.\n{source.says}.", flush=True)
    if wrong_build:
        pip(python, "uninstall", "--yes", *TORCH)
    if source.index is not None:
        only = ("--no-deps", "--only-binary", ":all:", "--index-url", source.index)
        pip(python, "install", *CONSTRAINT, *only, *TORCH)


def install(extras: list[str], *, gpu: bool, index: str | None) -> None:
    """Install the project with `extras` into `.venv`, saying before what comes and after what came."""
    start = time.monotonic()
    python = python_of(VENV)
    if not python.exists() or "pip" not in installed(python):  # a system may leave out what makes pip
        print(f"python -m venv {VENV.name}", flush=True)
        if subprocess.run([sys.executable, "-m", "venv", VENV], check=False).returncode:
            sys.exit("install.py: no virtual environment could be made; what is missing is said above")
    before = installed(python)
    install_torch(python, gpu=gpu, index=index)
    if extras:
        more = "what is not there yet" if "pytest" in before else str(EXTRAS)
        print(f"To install, for {', '.join(extras)}: {more}.", flush=True)
    pip(python, "install", *CONSTRAINT, "--editable", f".[{','.join(extras)}]" if extras else ".")
    after = installed(python)
    size = sum(path.stat().st_size for path in VENV.rglob("*") if path.is_file() and not path.is_symlink())
    print(
        f"Installed in {time.monotonic() - start:.0f} s: {VENV.name} holds {len(after)} packages, "
        f"{size / 1e9:.1f} GB, with torch {after['torch']}",
        flush=True,
    )


def main() -> None:
    """Install what the options name."""
    if sys.version_info < (3, 11):  # noqa: UP036 - who runs this may have any
        found = ".".join(map(str, sys.version_info[:2]))
        sys.exit(f"Python 3.11 or later is needed, this is {found}; name one: make PYTHON=python3.12")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0].partition(":")[0])
    parser.add_argument(
        "--extra", action="append", default=[], help="one of pyproject.toml's extras; may be repeated"
    )
    parser.add_argument("--gpu", action="store_true", help="torch with CUDA (Linux)")
    parser.add_argument("--torch-index", metavar="URL", help="an index for torch and torchvision alone")
    given = parser.parse_args()
    if given.gpu and given.torch_index is None and not sys.platform.startswith("linux"):
        sys.exit("GPU=1 alone is for Linux; elsewhere name an index with CUDA builds, too: TORCH_INDEX=URL")
    try:
        install(given.extra, gpu=given.gpu, index=given.torch_index)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
