"""Makes the release in `dist/` and tries it, for `make release`: sdist and wheel, built and installed anew.

Nothing but the repository's files takes part: they are copied to a temporary folder and built there, the
wheel out of the sdist. Both must hold what the repository holds, no file more or less. The wheel is then
installed into a new environment, with the pinned versions and no extra, where every module must be importable
and `netsounds-stream demo` must succeed, in another folder and without this shell's environment. The sdist
is installed in the wheel's place, and its demo must give the same bytes.

Any failure ends it, with a line that says what failed; nothing is skipped.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path
from typing import NoReturn

import install
from install import CONSTRAINT, ROOT, python_of

DIST = ROOT / "dist"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGE = "netsounds_stream"
#: What of this shell's environment pip needs: its own settings, and how the network is reached.
_PIP_NEEDS = ("HOME", "PATH", "TORCH_INDEX", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
#: What of a demonstration holds times or the environment's place: two that are alike differ in them.
_TIMED = ("run.json", "index.html")
#: Imports every module, and prints where the package lies. A module may lack what an extra brings alone.
_IMPORT_ALL = f"""
import importlib, pkgutil, sys
import {PACKAGE} as package
for each in pkgutil.walk_packages(package.__path__, "{PACKAGE}."):
    try:
        if not each.name.endswith(".__main__"):
            importlib.import_module(each.name)
    except ModuleNotFoundError as error:
        if error.name not in sys.argv[1:]:
            raise
print(package.__path__[0])
"""
#: Extras for users; the rest are for developers, and no module of the package imports what they bring.
_EXTRAS = ("safetensors", "notebook", "cluster", "remote")


def fail(why: str) -> NoReturn:
    """End with one line."""
    sys.exit(f"release.py: {why}")


def run(*words: object, what: str, folder: Path, environment: dict[str, str]) -> str:
    """Run a command and return what it prints; where it fails, print that and end.

    Args:
        words: the command.
        what: what it does, for the line that says that it failed.
        folder: where it runs.
        environment: all of its environment.
    """
    done = subprocess.run(
        list(map(str, words)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
    )
    if done.returncode:
        print(done.stdout, flush=True)
        fail(f"{what} failed with status {done.returncode}, and said why above")
    return done.stdout


def tracked_files() -> list[str]:
    """Return the repository's files, `/` between folders: what git has or would take."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.check_output(words, cwd=ROOT, text=True)
    except (OSError, subprocess.CalledProcessError):
        fail("git cannot list the repository's files here; make the release in a clone")
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def build(files: list[str], source: Path) -> tuple[Path, Path]:
    """Build both into `dist/` from a copy of `files` at `source`; return the sdist's and the wheel's path."""
    for name in files:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    shutil.rmtree(DIST, ignore_errors=True)
    run(
        *(sys.executable, "-m", "build", "--outdir", DIST, source),
        what="the build",
        folder=source,
        environment={**os.environ, "PIP_CONSTRAINT": str(ROOT / CONSTRAINT[1])},
    )
    [sdist], [wheel] = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
    return sdist, wheel


def require_same_files(where: Path, found: set[str], expected: set[str]) -> None:
    """End unless a distribution holds what the repository does."""
    for names, what in ((expected - found, "lacks"), (found - expected, "must not hold")):
        if names:
            fail(f"{where.name} {what} {', '.join(sorted(names))}; see MANIFEST.in and pyproject.toml")


def check_contents(files: list[str], sdist: Path, wheel: Path, version: str) -> None:
    """End unless the sdist is the repository, and the wheel the package and what describes it."""
    with tarfile.open(sdist) as archive:
        inside = {member.name.partition("/")[2] for member in archive if member.isfile()}
    made = {
        name
        for name in inside
        if name in ("PKG-INFO", "setup.cfg") or name.partition("/")[0].endswith(".egg-info")
    }
    require_same_files(sdist, inside - made, set(files))
    with zipfile.ZipFile(wheel) as packed:
        inside = set(packed.namelist())
    about = f"{PACKAGE}-{version}.dist-info/"
    if f"{about}licenses/LICENSE" not in inside:
        fail(f"{wheel.name} lacks the licence")
    package = {name for name in files if name.startswith(f"{PACKAGE}/")}
    require_same_files(wheel, {name for name in inside if not name.startswith(about)}, package)


def try_installed(python: Path, home: Path, out: Path, version: str) -> dict[str, bytes]:
    """Import every installed module and run the demonstration; return its files but the timed ones.

    Args:
        python: the environment's interpreter.
        home: the user's folder, as the demonstration sees it; weights that can be had are kept there.
        out: the demonstration's folder, made anew.
        version: the expected one.
    """
    empty = {"HOME": str(home), "PATH": os.defpath, "TMPDIR": tempfile.gettempdir()}
    optional = [
        re.split(r"\W", each)[0] for name in _EXTRAS for each in PROJECT["optional-dependencies"][name]
    ]
    words = (python, "-c", _IMPORT_ALL, *optional)
    where = run(*words, what="importing every module", folder=home, environment=empty).strip()
    if not Path(where).is_relative_to(python.parent.parent):
        fail(f"the package was imported from {where}, not from the new environment")
    program = python.with_name("netsounds-stream")
    said = run(program, "--version", what="--version", folder=home, environment=empty)
    if version not in said.split():
        fail(f"the version should be {version}, and the command says: {said.strip()}")
    shutil.rmtree(out, ignore_errors=True)
    run(program, "demo", "--out", out, what="the demonstration", folder=home, environment=empty)
    [record] = out.rglob("run.json")
    run(program, "check", record.parent, what="check", folder=home, environment=empty)
    for name in ("index.html", "mix.wav"):
        if not (record.parent / name).is_file():
            fail(f"the demonstration made no {name}")
    files = (path for path in out.rglob("*") if path.is_file() and path.name not in _TIMED)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def main() -> None:
    """Make the release and try it."""
    started = time.monotonic()
    kept = {
        name: value for name, value in os.environ.items() if name.startswith("PIP_") or name in _PIP_NEEDS
    }
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    os.environ.clear()
    os.environ.update(kept | proxies)
    version = PROJECT["version"]
    files = tracked_files()
    with tempfile.TemporaryDirectory(prefix="netsounds-release-") as name:
        folder = Path(name).resolve()
        home = folder / "home"
        home.mkdir()
        print(f"Building {version} from {len(files)} files", flush=True)
        sdist, wheel = build(files, folder / "source")
        check_contents(files, sdist, wheel, version)
        for made in (sdist, wheel):
            print(f"{made.relative_to(ROOT)}: {made.stat().st_size / 1e6:.1f} MB", flush=True)
        print("Installing the wheel into a new environment", flush=True)
        run(
            sys.executable,
            "-m",
            "venv",
            folder / "venv",
            what="venv",
            folder=folder,
            environment=dict(os.environ),
        )
        python = python_of(folder / "venv")
        install.install_torch(python, gpu=False, index=kept.get("TORCH_INDEX"))
        install.pip(python, "install", "--quiet", *CONSTRAINT, str(wheel))
        install.pip(python, "check")
        of_wheel = try_installed(python, home, folder / "demo", version)
        print(f"The wheel's demonstration made {len(of_wheel)} files; now the sdist's", flush=True)
        install.pip(python, "uninstall", "--quiet", "--yes", "netsounds-stream")
        install.pip(python, "install", "--quiet", "--no-deps", *CONSTRAINT, str(sdist))
        of_sdist = try_installed(python, home, folder / "demo", version)
        differing = [name for name in of_wheel | of_sdist if of_wheel.get(name) != of_sdist.get(name)]
        if differing:
            fail(f"the demonstrations of wheel and sdist differ in {', '.join(differing)}")
    print(
        f"The release {version} works as wheel and as sdist, in {time.monotonic() - started:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
