"""What all questions share: their options, the pictures they draw, the commands they call, the result file.

A question is a script: it makes cases, has them measured, and leaves `results/NAME.json` with the machine,
the versions, the commit and the date. `--smoke` asks it in seconds at sizes that say nothing of speed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyvips
from harness import OUT, Measured
from make_picture import make_picture

from netsounds_stream.base.machine import describe

HERE = Path(__file__).parent
RESULTS = HERE / "results"
WORKERS = HERE / "workers"

#: glibc keeps and reuses every large tensor's memory: the strongest form of the whole-image peer. By itself
#: it maps and unmaps each one, and the kernel clears every page anew.
TUNED_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "8000000000", "MALLOC_TRIM_THRESHOLD_": "16000000000"}

_PARTS = (
    *("netsounds-stream", "torch", "torchvision", "onnxruntime", "lightstream", "zarr", "numcodecs"),
    *("scipy", "ducc0", "librosa", "soundfile", "numpy", "pyvips"),
)


def parser(text: str | None, *, rounds: int, weights: bool = True) -> argparse.ArgumentParser:
    """The options of every question; `text` is its module's docstring."""
    made = argparse.ArgumentParser(description=(text or "").splitlines()[0])
    if weights:
        made.add_argument("--weights", required=True, help="a squeezenet1_0 state_dict")
    made.add_argument("--rounds", type=int, help=f"runs of each case (default {rounds}, with --smoke 1)")
    made.add_argument("--smoke", action="store_true", help="tiny sizes: whether it works, not how fast")
    made.add_argument("--results", type=Path, help="folder of the result file; needed with --smoke")
    made.set_defaults(usual_rounds=rounds)
    return made


def parse(made: argparse.ArgumentParser, words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options as given. A smoke run says where its result goes, so that it replaces no measured one."""
    given = made.parse_args(words)
    if given.smoke and given.results is None:
        made.error("--smoke needs --results DIR: its figures are not results")
    given.rounds = given.rounds or (1 if given.smoke else given.usual_rounds)
    given.results = given.results or RESULTS
    return given


def write_result(given: argparse.Namespace, name: str, result: dict[str, Any]) -> None:
    """`NAME.json`: the result, and all that names the machine and the code it was measured with."""
    whole = {
        "smoke": given.smoke,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": describe(),
        "half_precision": half_precision_instructions(),
        "versions": versions(),
        **result,
    }
    given.results.mkdir(parents=True, exist_ok=True)
    target = given.results / f"{name}.json"
    target.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(target, file=sys.stderr)


def versions() -> dict[str, str]:
    """Versions of what the measured processes import; what is not installed is left out."""
    found = {"python": sys.version.split()[0]}
    for part in _PARTS:
        try:
            found[part] = version(part)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit measured, with '+' where files differ from it (results aside); '' outside a repository."""
    head = _git("rev-parse", "--short=12", "HEAD")
    own = [":/", f":(exclude,top){HERE.name}/results", f":(exclude,top){HERE.name}/plots"]
    return head + ("+" if head and _git("status", "--porcelain", "--untracked-files=no", "--", *own) else "")


def half_precision_instructions() -> list[str]:
    """Which of the CPU's flags stand for arithmetic in 16-bit floats; empty where there is none."""
    listing = Path("/proc/cpuinfo")
    flags = set(listing.read_text().split()) if listing.exists() else set()
    return sorted(flags & {"avx512_bf16", "amx_bf16", "avx512_fp16", "amx_fp16", "bf16", "sve_bf16"})


def program(*words: object) -> tuple[str, ...]:
    """The command `netsounds-stream` with these words."""
    return (str(Path(sys.executable).parent / "netsounds-stream"), *map(str, words))


def sonify(picture: Path, weights: str, out: str | Path, *words: object) -> tuple[str, ...]:
    """A run with all defaults but `words`, reporting its record."""
    given = ("--weights", weights, "--out", out, "--quiet", "--json")
    return program("sonify", picture, *given, *words)


@contextmanager
def versions_of(before: str | None) -> Iterator[dict[str, Path]]:
    """The checkouts to measure in turn: this one as 'now'; and, as 'before', another folder or commit."""
    now = HERE.parent
    if before is None:
        yield {"now": now}
    elif Path(before).is_dir():
        yield {"now": now, "before": Path(before).resolve()}
    else:
        with tempfile.TemporaryDirectory(prefix="netsounds-before-") as folder:
            whole = Path(folder) / "commit.tar"
            words = ("git", "-C", str(now), "archive", f"--output={whole}", before)
            if subprocess.run(words, check=False).returncode:
                sys.exit(f"--before {before}: neither a folder nor a commit of this repository")
            subprocess.run(("tar", "-xf", str(whole), "-C", folder), check=True)
            yield {"now": now, "before": Path(folder)}


def of_version(words: Sequence[str], checkout: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """A command of `program` as the package in `checkout` carries it out: its words and its environment."""
    # -P: the package on PYTHONPATH, not the one of the folder that this is called in
    code = "from netsounds_stream.cli import main; main()"
    return (sys.executable, "-P", "-c", code, *words[1:]), {"PYTHONPATH": str(checkout.resolve())}


def worker(name: str, *words: object) -> tuple[str, ...]:
    """A script of `workers/`, under this interpreter."""
    return (sys.executable, str(WORKERS / f"{name}.py"), *map(str, words))


def check_of(weights: str) -> tuple[str, ...]:
    """The check of a finished run against the whole-image network, on windows of its picture."""
    return (sys.executable, str(HERE / "check_run.py"), OUT, weights)


def run_json(run: Measured) -> dict[str, Any]:
    """A measured case, and, where it reported a run's record or stages, those and the planned memory."""
    seconds, plan = run.report.get("seconds"), run.report.get("plan", {})
    stages = {"stages": seconds} if isinstance(seconds, dict) else {}
    planned = {"planned_memory_bytes": plan["peak_memory_bytes"]} if plan else {}
    return {**run.as_json(), **stages, **planned}


def installed(part: str) -> bool:
    """Whether a package is there, without importing it."""
    try:
        version(part)
    except PackageNotFoundError:
        return False
    return True


def drawn(folder: Path, width: int, height: int, suffix: str = ".jpg") -> Path:
    """The demonstration picture at this size, drawn where it is not there yet."""
    path = folder / f"drawn-{width}x{height}{suffix}"
    if not path.exists():
        print(f"drawing {path.name}", file=sys.stderr, flush=True)
        partial = folder / f"partial-{path.name}"
        make_picture(width, height, partial)
        partial.replace(path)
    return path


def pixels_of(picture: Path) -> int:
    """Pixels of a picture's file, out of its header."""
    image = pyvips.Image.new_from_file(str(picture), access="sequential")
    return int(image.width * image.height)


@contextmanager
def folder_for(kept: Path | None) -> Iterator[Path]:
    """`kept`, made where it is missing; or a temporary folder where it is None."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="netsounds-pictures-") as folder:
        yield Path(folder)


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(HERE), *words], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
