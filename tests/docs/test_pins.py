"""constraints.txt: its pins can be had for every Python and system that the project is for.

uv resolves them as pip would for systems other than this one, from the package index; nothing is installed.
`UV_DEFAULT_INDEX` or `PIP_INDEX_URL` names an index of one's own. Where none can be reached, this skips.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
import uv

from install import CPU, CUDA, EXTRAS
from tests.helpers.reference import ROOT

pytestmark = pytest.mark.docs

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: The first release of each, since a package may ask for a later one; the first is pyproject.toml's floor.
PYTHONS = ("3.11.0", "3.12.0", "3.13.0", "3.14.0")
LINUX = "x86_64-manylinux_2_28"
SYSTEMS = (LINUX, "aarch64-manylinux_2_28", "aarch64-apple-darwin", "x86_64-pc-windows-msvc")
#: The oldest macOS that torch's wheels are for.
MACOS = "14.0"
#: Of these the index has sources alone, which are plain Python and need no compiler.
SOURCES = ("pyvips", "antlr4-python3-runtime")
#: torch itself says which of these it wants.
OF_TORCH = re.compile(r"(nvidia|cuda)-.*|triton")
INDEX = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple"


def name_of(requirement: str) -> str:
    """Return the normalised name of what is pinned in a line."""
    return re.sub(r"[-_.]+", "-", requirement.partition("==")[0]).lower()


PINS = {name_of(line): line.partition("==")[2] for line in (ROOT / "constraints.txt").read_text().split()}


@pytest.fixture(scope="module")
def resolved(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], str | dict[str, str]]:
    """What uv finds, versions by name, or its error, by extra, Python and system."""
    try:
        with urllib.request.urlopen(f"{INDEX}/click/", timeout=10):
            pass
    except OSError as error:
        pytest.skip(f"the package index cannot be reached: {error}")
    # An index that says nothing about how long its pages hold would be read anew for each.
    config = tmp_path_factory.mktemp("uv") / "uv.toml"
    config.write_text(
        f'[[index]]\nurl = "{INDEX}"\ndefault = true\ncache-control = {{ api = "max-age=600" }}\n'
    )
    cases = [("dev", python, system) for python in PYTHONS for system in SYSTEMS]
    cases.append(("", PYTHONS[0], LINUX))
    program = uv.find_uv_bin()  # not in the threads below: sysconfig's first use is not safe there

    def resolve(case: tuple[str, ...]) -> str | dict[str, str]:
        extra, python, system = case
        words = [program, "pip", "compile", "--config-file", str(config), "--quiet"]
        words += ["--no-header", "--no-annotate", "--constraint", "constraints.txt", "pyproject.toml"]
        words += ["--system-certs", "--no-python-downloads", "--python", sys.executable]
        words += ["--python-version", python, "--python-platform", system]
        words += ["--extra", extra] if extra else []
        words += ["--only-binary", ":all:", *(word for name in SOURCES for word in ("--no-binary", name))]
        environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": MACOS}
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
        if done.returncode:
            return done.stderr
        found = (line.partition(" ;")[0] for line in done.stdout.splitlines() if "==" in line)
        return {name_of(line): line.partition("==")[2] for line in found}

    with ThreadPoolExecutor(4) as pool:
        return dict(zip(cases, pool.map(resolve, cases), strict=True))


def test_the_first_python_is_the_floor() -> None:
    assert PROJECT["requires-python"] == f">={PYTHONS[0].removesuffix('.0')}"


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_pins_resolve(
    resolved: dict[tuple[str, ...], str | dict[str, str]], python: str, system: str
) -> None:
    """With `dev`, and so without it, since that asks for the same versions of less."""
    found = resolved["dev", python, system]
    assert isinstance(found, dict), found
    free = {name for name, version in found.items() if PINS.get(name) != version}
    assert {name for name in free if not OF_TORCH.fullmatch(name)} == set()


def test_the_installer_says_how_much_comes(
    resolved: dict[tuple[str, ...], str | dict[str, str]],
) -> None:
    runtime, dev = resolved["", PYTHONS[0], LINUX], resolved["dev", PYTHONS[0], LINUX]
    assert isinstance(runtime, dict) and isinstance(dev, dict)
    of_cuda = {name for name in runtime if OF_TORCH.fullmatch(name)}
    # beside what is resolved there are pip and the package itself
    assert abs(CUDA.packages - (len(runtime) + 2)) <= 2
    assert abs(CPU.packages - (len(runtime) - len(of_cuda) + 2)) <= 2
    assert abs(EXTRAS.packages - (len(dev) - len(runtime))) <= 5
